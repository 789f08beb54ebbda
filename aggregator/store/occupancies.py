"""Who lives at the home of a device, from which local day to which. Pure.

The registry holds the present household and its first day (`Device.occupied_from`), and the occupancies before as JSON.
A meter runs on when people move: its registers, its charts and what support sees know no households. A household sees
the days of its own occupancy only (`seen_by`, `own_days`), and each day costs by the tariff of its own occupancy.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import orjson

from aggregator.core import periods
from aggregator.core.documents import Device, Document
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import FIRST_DAY, FOR_EVER, LAST_DAY, Window
from aggregator.core.registers import overrides_text, parse_overrides
from aggregator.tariffs.rates import Span, common


class Occupancy(NamedTuple):
    """The local days in which a home belongs to one household; an empty one is nobody's."""

    household: str
    first: str  # the first whole local day; FIRST_DAY is from ever
    last: str  # the last whole local day; LAST_DAY is still
    name: str = ""  # the household's name for the home
    postcode: str = ""
    tariff: str = ""  # JSON text, see `tariffs`

    @property
    def days(self) -> Span:
        """The first and the last day."""
        return self.first, self.last


def occupancies(device: Device) -> tuple[Occupancy, ...]:
    """Return every occupancy of a device's home, the present one last."""
    first, last = device.seen or (device.occupied_from or FIRST_DAY, LAST_DAY)
    present = Occupancy(device.household, first, last, device.name, device.postcode, device.tariff)
    return (*_parsed(device.former), present)


def tariff_text_on(device: Device, day: str) -> str:
    """Return the tariff of the occupancy to which a local day belongs, as text."""
    return next(one.tariff for one in reversed(occupancies(device)) if one.first <= day or one.first == FIRST_DAY)


def moved(device: Device, household: str, first: str) -> Device:
    """Return a device that belongs to another household, or to nobody, from a local day on.

    The new household names its home and sets its tariff anew. Raises ConfigurationError where the day is not after the
    first one of the present household.
    """
    present = occupancies(device)[-1]
    if household == present.household:
        raise ConfigurationError(f"{device.device_id} belongs to {household or 'nobody'} already")
    if first <= present.first:
        raise ConfigurationError(
            f"{device.device_id} belongs to {present.household or 'nobody'} since {present.first}; name a later day"
        )
    former = [*_parsed(device.former), present._replace(last=periods.shift("day", first, -1))]
    text = orjson.dumps([tuple(one) for one in former]).decode()
    return replace(device, household=household, occupied_from=first, former=text, name="", tariff="")


def seen_by(device: Device, household: str) -> Device | None:
    """Return a device as a household sees it, with its own days, name and tariff; None if it never lived there.

    A household that came back sees its newest occupancy.
    """
    return next(stays(device, household), None)


def stays(device: Device, household: str) -> Iterator[Device]:
    """Yield a device as a household sees it in each of its occupancies, the newest first."""
    return (_as_seen(device, one) for one in reversed(occupancies(device)) if household and one.household == household)


def _as_seen(device: Device, own: Occupancy) -> Device:
    if own.days == (FIRST_DAY, LAST_DAY):
        return device
    shown = replace(device, seen=own.days)
    span = seen_instants(shown)
    exchanges = [one for one in parse_overrides(device.exchange_overrides) if span.start <= one.at < span.end]
    return replace(
        shown,
        household=own.household,
        name=own.name,
        postcode=own.postcode,
        tariff=own.tariff,
        occupied_from="" if own.first == FIRST_DAY else own.first,
        former="",
        exchange_overrides=overrides_text(tuple(exchanges)),
    )


def seen_instants(device: Device) -> Window:
    """Return the time of the days that the viewer of a device may see, UTC seconds."""
    first, last = device.seen or (FIRST_DAY, LAST_DAY)
    start = 0 if first == FIRST_DAY else periods.day_start(first, device.timezone)
    end = FOR_EVER if last == LAST_DAY else periods.day_start(periods.shift("day", last, 1), device.timezone)
    return Window(start, end)


def is_over(device: Device) -> bool:
    """Whether the viewer of a device has moved out."""
    return device.seen is not None and device.seen[1] != LAST_DAY


def own_days(device: Device, read: Callable[[str, str], Document | None]) -> Callable[[str, str], Document | None]:
    """Return a read of stored documents that knows only the days that the viewer of a device may see.

    `read` takes a level and a period. A chart of which some days are another's keeps its own parts; a part that is
    shared, as a month of a year, is replaced by the total of its own days: one read more.
    """
    if device.seen is None:
        return read
    seen = device.seen

    def own(level: str, period: str) -> Document | None:
        days = periods.days(level, period)
        if common(days, seen) is None:
            return None
        document = read(level, period)
        if document is None or common(days, seen) == days:
            return document
        child, parts = periods.LEVELS[level].child, dict(document.parts)
        for name, below in periods.children(level, period).items():
            inside = periods.days(child, below)
            if common(inside, seen) == inside:
                continue
            parts.pop(name, None)
            shared = own(child, below) if common(inside, seen) else None
            if shared is not None:
                parts[name] = shared.total
        return replace(document, parts=parts) if parts else None

    return own


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Occupancy, ...]:
    return tuple(Occupancy(*row) for row in orjson.loads(text)) if text else ()


def households(device: Device) -> Iterator[str]:
    """Yield the households of a device, past and present."""
    return (one.household for one in occupancies(device) if one.household)
