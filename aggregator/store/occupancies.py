"""Who lives at the home of a device, from which local day to which. Pure.

The registry holds the present household and its first day (`Device.occupied_from`), and the occupancies before as JSON.
A meter runs on when people move: its registers and what support sees know no households. A household sees the days of
its own occupancy only (`seen_by`, `own_days`), and each day costs by the tariff of its own occupancy. The waterfall
writes what each occupancy has of a shared month into the year (`parts_above`), so that any chart is one read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import NamedTuple, TypeVar

import orjson

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Device, Document, Part
from aggregator.core.errors import ConfigurationError, Phrase, Refused
from aggregator.core.periods import FIRST_DAY, FOR_EVER, LAST_DAY, Window
from aggregator.core.readings import Interval, Reading, sender_of
from aggregator.core.registers import overrides_text, parse_overrides
from aggregator.core.status import Status
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
    """Return the tariff of the occupancy to which a local day belongs, as text; empty for a day that is not seen."""
    valid = min(max(day, FIRST_DAY), LAST_DAY)
    return next((one.tariff for one in occupancies(device) if one.first <= valid <= one.last), "")


def at_home(device: Device, stored: Callable[[str], Device | None]) -> Device:
    """Return a stored device with the home that it belongs to; `stored` reads a device from the registry.

    A second meter has the household of the device that sends it, since then, its postcode and its erased times, and the
    households before from when it was not known yet.
    """
    if not device.is_second_meter:
        return device
    home = stored(sender_of(device.device_id)) or Device(device.device_id)
    return replace(
        device,
        household=home.household,
        postcode=home.postcode,
        occupied_from=home.occupied_from,
        former=_with_earlier(device.former, home.former),
        erased=home.erased,
    )


@lru_cache(maxsize=4096)
def _with_earlier(own: str, of_home: str) -> str:
    """Return the occupancies before of a second meter, and of its home those before them, without name and tariff."""
    known = _parsed(own)
    earlier = [one._replace(name="", tariff="") for one in _parsed(of_home) if not known or one.first < known[0].first]
    return registry_text([*earlier, *known])


def moved(device: Device, household: str, first: str) -> Device:
    """Return a device that belongs to another household, or to nobody, from a local day on.

    The new household names its home and sets its tariff anew. The same move again changes nothing, and completes one
    that stopped. Raises ConfigurationError where the day is not after the first one of the present household.
    """
    *former, present = occupancies(device)
    if (household, first) == (present.household, present.first):
        return device
    known = {"name": device.device_id, "household": present.household or Phrase("nobody"), "day": present.first}
    if household == present.household:
        raise ConfigurationError(Phrase("{name} belongs to {household} already", **known))
    if first <= present.first:
        raise ConfigurationError(Phrase("{name} belongs to {household} since {day}; name a later day", **known))
    if former and (former[-1].household, former[-1].first) == (present.household, present.first):
        present = former.pop()  # of a second meter whose sender has not moved: the move stopped between them
    text = registry_text([*former, present._replace(last=periods.shift("day", first, -1))])
    erased = registry_text(_until(one, first, device.timezone) for one in _spans(device.erased))
    return replace(device, household=household, occupied_from=first, former=text, erased=erased, name="", tariff="")


def returned(device: Device, first: str) -> Device:
    """Return a device whose newest move, that on the day `first`, is taken back; as it is if there was none.

    The household before has its days, name and tariff again; what the other one set is gone. Raises ConfigurationError
    where evidence since is erased: the household before would never get these days.
    """
    *former, _ = occupancies(device)
    if not former or former[-1].last != periods.shift("day", first, -1):
        return device
    own, erased = former.pop(), _spans(device.erased)
    if own.household and any(one.end > periods.day_start(first, device.timezone) for one in erased):
        why = Phrase("data of {name} since {day} are erased; move it on a later day", name=device.device_id, day=first)
        raise ConfigurationError(why)
    whole = {_until(new, first, device.timezone): new for one in erased for new in [one._replace(end=FOR_EVER)]}
    return replace(
        device,
        household=own.household,
        occupied_from="" if own.first == FIRST_DAY else own.first,
        former=registry_text(former),
        erased=registry_text(whole.get(one, one) for one in erased),
        name=own.name,
        postcode=own.postcode,
        tariff=own.tariff,
    )


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


Read = Callable[[str, str], Document | None]  # level and period -> the stored document


def own_days(device: Device, read: Read) -> Read:
    """Return a read of stored documents that knows only the days that the viewer of a device may see."""
    if device.seen is None:
        return read
    seen = device.seen

    def own(level: str, period: str) -> Document | None:
        document = read(level, period) if common(periods.days(level, period), seen) else None
        return _own_parts(document, seen, own) if document else None

    return own


def _own_parts(document: Document, stay: Span, own_below: Read) -> Document | None:
    """Return a stored document as the household of a stay sees it: the parts of its own days; None without data.

    A shared part that was stored before there were shares is read from below.
    """
    days = periods.days(document.level, document.period)
    if common(days, stay) == days:
        return document
    child, parts = periods.LEVELS[document.level].child, {}
    for name, below in periods.children(document.level, document.period).items():
        inside = periods.days(child, below)
        if own := common(inside, stay):
            parts[name] = document.part(name if own == inside else _share(own[0]))
            if own != inside and name in document.parts and document.parts.keys().isdisjoint(shares(inside)):
                earlier = own_below(child, below)
                parts[name] = earlier.total if earlier else EMPTY
    known = {name: part for name, part in parts.items() if not part.is_empty}
    return replace(document, parts=known) if known else None


def parts_above(device: Device, level: str, period: str, document: Document | None) -> dict[str, Part | None]:
    """Return the parts that a period has in the document of the longer `level`; None for one without data.

    A period that households share, as the month of a move, has its total there, and beside it a share for each of their
    stays, so that one read tells each household its year.
    """
    days = periods.days(periods.LEVELS[level].child, period)
    found: dict[str, Document | None] = {periods.part_in(level, period): document}
    if days[0] != days[1]:
        found |= dict.fromkeys(shares(days))
        for one in occupancies(device):
            own = common(days, one.days)
            if own and own != days:
                found[_share(own[0])] = _own_parts(document, one.days, lambda *_: None) if document else None
    totals = {name: one.total if one else EMPTY for name, one in found.items()}
    return {name: None if total.is_empty else total for name, total in totals.items()}


def shares(days: Span) -> list[str]:
    """Return the names of all shares that a document can have for stays from some days."""
    first, last = map(date.fromisoformat, days)
    return [_share(date.fromordinal(day).isoformat()) for day in range(first.toordinal(), last.toordinal() + 1)]


def _share(first: str) -> str:
    """Return the name of a share, by its first day; no chart has parts with its letter."""
    return f"o{first.replace('-', '')}"


# Erased times


class ErasedSpan(NamedTuple):
    """A time whose data were erased for the household that lived there; no evidence of it is taken any more."""

    start: int  # UTC seconds
    end: int  # UTC seconds; FOR_EVER until somebody moves in
    at: int  # UTC seconds when it was erased

    def overlaps(self, start: int, end: int) -> bool:
        """Whether it has time in a span."""
        return self.start < end and start < self.end


def erased_spans(device: Device) -> tuple[ErasedSpan, ...]:
    """Return the erased times of a device, in order."""
    return _spans(device.erased)


_WHY = ("erased", "the data of this time were erased")
ERASED = Refused(*_WHY)  # to be named, not raised


Item = TypeVar("Item", Reading, Interval, Status)


def _until(span: ErasedSpan, first: str, zone: str) -> ErasedSpan:
    """Return an erased time until somebody moves in, but nothing before the erasure is given back."""
    return span._replace(end=min(span.end, max(span.start, periods.day_start(first, zone), span.at)))


def is_kept(device: Device | None, one: Reading | Interval | Status) -> bool:
    """Whether evidence or a status tells of no erased time."""
    if not device or not device.erased:
        return True
    start, end = (one.start, one.end) if isinstance(one, Interval) else (one.at, one.at + 1)
    return not any(span.overlaps(start, end) for span in erased_spans(device))


def check_kept(device: Device | None, one: Reading | Interval | Status) -> None:
    """Raise Refused for evidence or a status that tells of an erased time."""
    if not is_kept(device, one):
        raise Refused(*_WHY)


def without_erased(items: Iterable[Item], devices: Mapping[str, Device]) -> tuple[list[Item], list[str]]:
    """Return the items that tell of no erased time, and the devices of the others."""
    kept: list[Item] = []
    gone: list[str] = []
    for one in items:
        if is_kept(devices[one.device_id], one):
            kept.append(one)
        else:
            gone.append(one.device_id)
    return kept, gone


def has_past(device: Device) -> bool:
    """Whether a new household has a first day: another one lived at the home before, though it may be erased."""
    return bool(device.former or device.erased)


@lru_cache(maxsize=4096)
def _spans(text: str) -> tuple[ErasedSpan, ...]:
    return tuple(ErasedSpan(*row) for row in orjson.loads(text)) if text else ()


def registry_text(rows: Iterable[Occupancy | ErasedSpan]) -> str:
    """Return the occupancies before, or erased times, as the registry stores them."""
    listed = [tuple(one) for one in rows]
    return orjson.dumps(listed).decode() if listed else ""


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Occupancy, ...]:
    return tuple(Occupancy(*row) for row in orjson.loads(text)) if text else ()


def households(device: Device) -> Iterator[str]:
    """Yield the households of a device, past and present."""
    return (one.household for one in occupancies(device) if one.household)
