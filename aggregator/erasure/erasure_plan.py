"""The plan of an erasure: which times of which devices, which people, and what there is of them.

The plan is made once, before anything is deleted, and is kept in the store until the end, so that an erasure that was
stopped goes on with it. It has the registers at both ends of each erased time: they keep the days beside it exact.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple

import msgspec
import orjson

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, shown
from aggregator.core.faults import judge
from aggregator.core.periods import FIRST_DAY, FOR_EVER, LAST_DAY, LEVELS, Window, block_start
from aggregator.core.readings import Reading
from aggregator.core.registers import CHANNELS, overrides_text, parse_overrides, register_at, register_of
from aggregator.intake.imports.import_records import imports_of
from aggregator.store.collections import USERS, record_pages
from aggregator.store.layers import OWN
from aggregator.store.occupancies import (
    ErasedSpan,
    Occupancy,
    erased_spans,
    occupancies,
    registry_text,
    seen_instants,
)
from aggregator.store.port import Store

PAGE = 500
NEAR_BLOCKS = 48  # half hours read on each side of an end, to tell the register there


class Boundary(NamedTuple):
    """Registers at an end of an erased time."""

    layer: int  # of the evidence that tells them: the device's own, or of an import that can still be taken back
    reading: Reading


class ErasedStay(NamedTuple):
    """A time of a device that is to be erased."""

    device_id: str
    start: int  # UTC seconds
    end: int  # UTC seconds; FOR_EVER while nobody else has moved in
    boundaries: tuple[Boundary, ...] = ()  # the registers at the start and at the end, where readings beside tell them

    @property
    def span(self) -> Window:
        """Return the time."""
        return Window(self.start, self.end)


class Resident(NamedTuple):
    """A person of a household who may sign in."""

    user_id: str
    email: str

    @property
    def ids(self) -> list[str]:
        """Return the names by which records know the person."""
        return [one for one in (self.user_id, self.email) if one]

    @property
    def attempts(self) -> list[str]:
        """Return the keys of the attempts to sign in, as `dashboard.accounts` makes them."""
        return [f"account-{sha256(one.strip().lower().encode()).hexdigest()}" for one in self.ids]


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """All that belongs to a household."""

    household: str
    stays: tuple[ErasedStay, ...]
    people: tuple[Resident, ...]

    def to_text(self) -> str:
        """Return the plan as JSON."""
        return msgspec.json.encode(self).decode()


def plan_from_text(text: str) -> ErasurePlan:
    """Return the plan of a JSON text. Raises ValueError."""
    return msgspec.json.decode(text, type=ErasurePlan)


def make_plan(store: Store, household: str, *, may_be_empty: bool = False) -> ErasurePlan:
    """Return the plan of a household's erasure. Raises ConfigurationError where nothing is kept, unless it may be."""
    devices = [device for one in store.household_devices(household) if (device := store.device(one))]
    stays = [_stay(store, device, span) for device in devices for span in stay_spans(device, household)]
    people = tuple(residents(store, household))
    if not (stays or people or may_be_empty):
        raise ConfigurationError(f"nothing is kept of a household {shown(household)}; `wattfall device list` shows all")
    return ErasurePlan(household, tuple(stays), people)


def stay_spans(device: Device, household: str) -> list[Window]:
    """Return the times in which a household lived at the home of a device."""
    return [seen_instants(replace(device, seen=one.days)) for one in occupancies(device) if one.household == household]


def without_household(device: Device, spans: Iterable[Window], now: int) -> Device:
    """Return a device that has forgotten who lived there in some spans; their evidence counts as erased at `now`."""
    gone = {Window(*one) for one in spans}

    def is_gone(one: Occupancy) -> bool:
        return seen_instants(replace(device, seen=one.days)) in gone

    former = [Occupancy("", *one.days) if is_gone(one) else one for one in occupancies(device)[:-1]]
    known = {one.start for one in erased_spans(device)}  # who has moved in since has shortened it
    erased = sorted([*erased_spans(device), *(ErasedSpan(*one, now) for one in gone if one.start not in known)])
    overrides = parse_overrides(device.exchange_overrides)
    left = [one for one in overrides if not any(span.start < one.at < span.end for span in gone)]
    changed = replace(
        device,
        former=registry_text(former),
        erased=registry_text(erased),
        exchange_overrides=overrides_text(tuple(left)),
    )
    if is_gone(occupancies(device)[-1]):
        return replace(changed, household="", name="", postcode="", meter_point="", tariff="")
    return changed


def residents(store: Store, household: str) -> Iterator[Resident]:
    """Yield the people of a household who have an account."""
    for page in record_pages(store, USERS.of()):
        for key, body in page:
            user = orjson.loads(body)
            if user.get("household") == household and user.get("role") == "household":
                yield Resident(key, user.get("email", ""))


def household_of(store: Store, device_id: str, start: int) -> str:
    """Return the household that moved into the home of a device at exactly this time; empty for none."""
    device = store.device(device_id)
    names = {one.household for one in occupancies(device)} if device else set()
    own = (one for one in names if device and one and start in [span.start for span in stay_spans(device, one)])
    return next(own, "")


def people_of(store: Store, user_ids: Sequence[str]) -> Iterator[Resident]:
    """Yield those of some people who have an account."""
    for user_id in user_ids:
        if body := store.record(USERS.of(), user_id):
            yield Resident(user_id, orjson.loads(body).get("email", ""))


def _stay(store: Store, device: Device, span: Window) -> ErasedStay:
    ends = [at for at in span if 0 < at < FOR_EVER]
    found = [boundary for at in ends for boundary in _boundaries(store, device, at)]
    return ErasedStay(device.device_id, *span, tuple(found))


def _boundaries(store: Store, device: Device, at: int) -> Iterator[Boundary]:
    """Yield the registers of a device at an instant, as its readings before and after tell them; none without both."""
    before, after = (store.block_starts(device.device_id, at, side * NEAR_BLOCKS) for side in (-1, 1))
    span = (device.device_id, min([*before, block_start(at)]), max([*after, block_start(at)]))
    readings, imports = store.readings(*span), [one.layer for one in imports_of(store, device.device_id)]
    layers = {layer: store.layer_readings(*span, layer) for layer in sorted((*imports, OWN), reverse=True)}
    overrides, values = parse_overrides(device.exchange_overrides), defaultdict[int, dict[str, int]](dict)
    for channel in CHANNELS:
        for piece in judge(register_of(readings, channel, overrides), device.max_power_w).pieces:
            if piece.ats[0] < at <= piece.ats[-1]:
                place = bisect_left(piece.ats, at)
                near = {*piece.ats[place if piece.ats[place] == at else place - 1 : place + 1]}
                values[_layer_telling(layers, channel, near)][channel] = register_at(piece, at)
    meter = next((one.meter_id for one in reversed(readings) if one.at <= at and one.meter_id), None)
    for layer, known in values.items():
        imported, exported, volume = (known.get(channel) for channel in CHANNELS)
        yield Boundary(layer, Reading(device.device_id, at, None, imported, exported, meter, volume))


def _layer_telling(layers: Mapping[int, list[Reading]], channel: str, ats: set[int]) -> int:
    """Return the import by which a register between two instants is known, else the device's own layer."""
    left, telling = set(ats), [OWN]
    for layer, readings in layers.items():  # the highest first, which counts
        told = {one.at for one in readings if one.at in left and getattr(one, channel) is not None}
        left -= told
        telling += [layer] if told else []
    return max(telling, key=abs)


# What there is


def told(store: Store, plan: ErasurePlan) -> Iterator[str]:
    """Yield lines for people: what is going to be erased, and how much."""
    for stay in plan.stays:
        device = store.device(stay.device_id) or Device(stay.device_id)
        counts = [f"{len(_periods(store, device, level, stay.span))} {LEVELS[level].table}" for level in LEVELS]
        yield (
            f"{stay.device_id}: {_days(device, stay.span)}, {_blocks(store, stay)} half hours of readings,"
            f" {', '.join(counts)}, and all records about it"
        )
    names = ", ".join(one.email or one.user_id for one in plan.people) or "none"
    yield f"accounts, with sessions and invitations: {names}"


def _days(device: Device, span: Window) -> str:
    first = "the first day" if span.start == 0 else periods.day_of(span.start, device.timezone)
    return f"{first} to {'today' if span.end == FOR_EVER else periods.day_of(span.end - 1, device.timezone)}"


def _blocks(store: Store, stay: ErasedStay) -> int:
    count, at = 0, stay.start - 1
    while starts := store.block_starts(stay.device_id, at, PAGE):
        count += sum(start < stay.end for start in starts)
        if starts[-1] >= stay.end:
            break
        at = starts[-1]
    return count


def _periods(store: Store, device: Device, level: str, span: Window) -> list[str]:
    first, last = days_of_span(device, span)
    return [one for one in store.periods(level, device.device_id) if overlaps_days(level, one, first, last)]


def days_of_span(device: Device, span: Window) -> tuple[str, str]:
    """Return the first and the last local day of a span."""
    first = FIRST_DAY if span.start == 0 else periods.day_of(span.start, device.timezone)
    return first, LAST_DAY if span.end == FOR_EVER else periods.day_of(span.end - 1, device.timezone)


def overlaps_days(level: str, period: str, first: str, last: str) -> bool:
    """Whether a period has one of the days from `first` to `last`."""
    own_first, own_last = periods.days(level, period)
    return own_first <= last and first <= own_last
