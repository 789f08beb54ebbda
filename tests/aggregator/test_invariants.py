"""The invariants of architecture.md, section 3, by name: random series through `ingest` and `drain` on a SQLite file.

What is expected comes from the readings by the plainest means (a loop over minutes for a local midnight, a loop over
pairs of readings for energy), never from the code that is tested.
"""

import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator import periods, verify
from aggregator.documents import EMPTY, Device, Part, add, as_json
from aggregator.ingest import ingest
from aggregator.readings import Reading
from aggregator.retention import expire
from aggregator.store import Store, open_store
from aggregator.waterfall import LEVELS
from aggregator.worker import drain

NOW = 1_800_000_000  # later than every reading here
HALF_HOUR, HOUR, DAY = 1800, 3600, 86_400
GAP = 300  # a longer interval across a boundary is estimated
HOME = "home"
FAST = Path("/dev/shm")  # a disk in memory: the same SQLite, less waiting


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


CLOCK_CHANGES = [
    ("Europe/London", utc("2026-03-29T01:00")),
    ("Europe/London", utc("2025-10-26T01:00")),
    ("Australia/Lord_Howe", utc("2026-04-04T15:00")),  # half an hour back
    ("Australia/Lord_Howe", utc("2025-10-04T15:30")),  # half an hour forward
    ("Asia/Kathmandu", utc("2026-03-31T18:15")),  # +05:45; a month begins
    ("America/St_Johns", utc("2026-03-08T05:30")),
    ("America/St_Johns", utc("2010-11-07T02:31")),  # at 00:01 back to 23:01: the date repeats
    ("America/St_Johns", utc("2010-03-14T03:31")),  # at 00:01 forward
    ("Antarctica/Troll", utc("2026-03-29T01:00")),  # two hours
    ("Antarctica/Troll", utc("2025-10-26T01:00")),
    ("America/Havana", utc("2026-03-08T05:00")),  # no midnight
    ("America/Havana", utc("2025-11-02T05:00")),  # two midnights
    ("Pacific/Apia", utc("2011-12-30T10:00")),  # no 30 December at all, a month and a year end
    ("Antarctica/Casey", utc("2020-10-03T16:01")),  # three hours
    ("Pacific/Chatham", utc("2026-04-04T14:00")),  # +13:45 to +12:45
    ("America/New_York", utc("2026-01-01T05:00")),  # a year begins
]


# A home and what its device sends


class Series(NamedTuple):
    """Readings in order of time, at most one an instant, and the zone of the home."""

    zone: str
    readings: list[Reading]


class Stretch(NamedTuple):
    """Some readings in a row."""

    gap_s: int  # before the first of them
    step_s: int
    length: int
    watts: int
    sends: str  # i(mport), e(xport), p(ower)
    is_aligned: bool  # on the half hour


STRETCHES = st.builds(
    Stretch,
    gap_s=st.sampled_from([0, 0, 10, 299, 301, 1800, 5 * HOUR, DAY, 3 * DAY]),
    step_s=st.sampled_from([10, 60, 120, 299, 300, 301, 900, 1800, 3600, 7200]),
    length=st.integers(1, 8),
    watts=st.sampled_from([0, 1, 431, 7200, 99_000]),
    sends=st.sampled_from(["i", "ip", "ie", "iep", "e"]),
    is_aligned=st.booleans(),
)


@st.composite
def starts(draw: st.DrawFn) -> tuple[str, int]:
    """A zone, and an instant up to a day and a half before its clocks change."""
    zone, change = draw(st.sampled_from(CLOCK_CHANGES))
    return zone, change - draw(st.integers(0, 72)) * HALF_HOUR - draw(st.sampled_from([0, 0, 1, 7, 900]))


@st.composite
def clean(draw: st.DrawFn, kinds: Sequence[str] = (), max_stretches: int = 5) -> Series:
    """One meter that never errs; with `kinds`, only stretches that send these."""
    zone, at = draw(starts())
    readings: list[Reading] = []
    imported, exported = draw(st.sampled_from([(0, 0), (1_234_567, 89), (10**9, 10**6)]))
    stretches = draw(st.lists(STRETCHES, min_size=1, max_size=max_stretches))
    for stretch in stretches:
        sends = draw(st.sampled_from(kinds)) if kinds else stretch.sends
        for number in range(stretch.length):
            before = at
            at += stretch.step_s if number else stretch.gap_s + 1
            if stretch.is_aligned and not number:
                at += -at % HALF_HOUR
            imported += stretch.watts * (at - before) // HOUR
            exported += stretch.watts * (at - before) // HOUR // 3
            readings.append(
                Reading(
                    HOME,
                    at,
                    stretch.watts if "p" in sends else None,
                    imported if "i" in sends else None,
                    exported if "e" in sends else None,
                )
            )
    return Series(zone, readings)


@st.composite
def messy(draw: st.DrawFn) -> Series:
    """Anything that is sent: power alone, implausible power, glitches, exchanged meters with and without an id."""
    series = draw(clean(kinds=("i", "i", "ie", "ip", "p", "p"), max_stretches=5))
    readings = series.readings
    for _ in range(draw(st.integers(0, 2))):
        first = draw(st.integers(0, len(readings) - 1))
        new = draw(st.sampled_from([0, 5000, 50_000_000]))
        ids = draw(st.sampled_from([(None, None), ("a", "b"), (None, "b"), ("a", None)]))
        base = next((reading.import_wh for reading in readings[first:] if reading.import_wh is not None), 0)
        readings[:first] = [reading._replace(meter_id=reading.meter_id or ids[0]) for reading in readings[:first]]
        readings[first:] = [
            reading._replace(
                meter_id=ids[1],
                import_wh=None if reading.import_wh is None else max(reading.import_wh - base, 0) + new,
            )
            for reading in readings[first:]
        ]
    for _ in range(draw(st.integers(0, 4))):
        position = draw(st.integers(0, len(readings) - 1))
        reading = readings[position]
        if reading.import_wh is not None:
            wrong = draw(st.sampled_from([0, reading.import_wh // 2, max(reading.import_wh - 1, 0), 10**11]))
            readings[position] = reading._replace(import_wh=wrong)
        elif draw(st.booleans()):
            readings[position] = reading._replace(power_w=draw(st.sampled_from([-500, 150_000, -9_000_000])))
    return series


@st.composite
def batchings(draw: st.DrawFn) -> Callable[[Sequence[Reading]], list[list[Reading]]]:
    """A way to deliver readings: in some order, cut into some batches, some of them twice."""
    order = draw(st.sampled_from(["as they are", "backwards", "shuffled"]))
    size = draw(st.sampled_from([1, 2, 7]))
    seed = draw(st.integers(0, 2**16))

    def deliver(readings: Sequence[Reading]) -> list[list[Reading]]:
        chance = random.Random(seed)
        queue = list(readings)[:: -1 if order == "backwards" else 1]
        queue += chance.sample(queue, len(queue) // 4)
        if order == "shuffled":
            chance.shuffle(queue)
        return [queue[first : first + size] for first in range(0, len(queue), size)]

    return deliver


# A store, and what is in it

Documents = dict[tuple[str, str], tuple[str, dict[str, Part]]]


def expire_before(store: Store, before: int) -> None:
    """Remove all readings of the home that are older, as a sweep does once their retention is over."""
    device = store.device(HOME)
    if device:
        expire(store, device, before, NOW + 1)


@contextmanager
def fresh_store() -> Iterator[Store]:
    with tempfile.TemporaryDirectory(dir=FAST if FAST.is_dir() else None) as folder:
        store = open_store(f"sqlite:///{folder}/wattfall.db")
        yield store
        store.close()


def take_in(store: Store, readings: Sequence[Reading], zone: str) -> None:
    ingest(store, readings, NOW, zone)
    drain(store)


def documents(store: Store) -> Documents:
    """Every document of the home, by level and period."""
    found: Documents = {}
    for level in periods.LEVELS:
        for period in store.periods(level, HOME):
            document = store.document(level, HOME, period)
            assert document is not None
            found[level, period] = (document.timezone, dict(document.parts))
    return found


def waiting(store: Store) -> int:
    """Change records that somebody will carry on."""
    return sum(len(store.changes(level.child, 1000)) for level in LEVELS)


def outcome(series: Series) -> Documents:
    """The documents when everything comes at once."""
    with fresh_store() as store:
        take_in(store, series.readings, series.zone)
        return documents(store)


def total(found: Documents, level: str = "year") -> Part:
    """All that the documents of a level show in their charts."""
    letter = periods.PART_LETTER[level]
    return add(
        part
        for (name, _), (_, parts) in found.items()
        if name == level
        for key, part in parts.items()
        if key[0] == letter
    )


def half_hours(found: Documents) -> dict[tuple[str, int], Part]:
    """The half hours by local date and position."""
    return {
        (period, int(name[1:])): part
        for (level, period), (_, parts) in found.items()
        if level == "day"
        for name, part in parts.items()
        if name[0] == "s"
    }


def is_better_known(old: Part, new: Part) -> bool:
    """Whether `new` knows at least as much as `old`: of the time, and of each direction."""
    return (
        new.covered_s >= old.covered_s
        and new.covered_s + new.estimated_s >= old.covered_s + old.estimated_s
        and (old.import_wh is None or new.import_wh is not None)
        and (old.export_wh is None or new.export_wh is not None)
    )


# The plain reference


@cache
def first_instant(day: date, zone: str) -> int:
    """The first minute that belongs to a local date (or, where the date was skipped, to a later one)."""
    start = utc(f"{day}T00:00") - 16 * HOUR
    clock = ZoneInfo(zone)
    return next(at for at in range(start, start + 32 * HOUR, 60) if datetime.fromtimestamp(at, clock).date() >= day)


def slot_of(at: int, zone: str) -> tuple[str, int, int, int]:
    """The local date of an instant, its half hour since midnight, and that one's start and end."""
    day = datetime.fromtimestamp(at, ZoneInfo(zone)).date()
    if at >= first_instant(day + timedelta(days=1), zone):
        day += timedelta(days=1)
    midnight, end = first_instant(day, zone), first_instant(day + timedelta(days=1), zone)
    number = (at - midnight) // HALF_HOUR
    start = midnight + number * HALF_HOUR
    return day.isoformat(), number, start, min(start + HALF_HOUR, end)


def pieces(start: int, end: int, zone: str) -> Iterator[tuple[tuple[str, int], int, int]]:
    """A span of time cut at the half hours of the home."""
    while start < end:
        day, number, _, slot_end = slot_of(start, zone)
        yield (day, number), start, min(end, slot_end)
        start = slot_end


def reference(series: Series) -> dict[tuple[str, int], Part]:
    """The half hours of one meter that never errs, interval by interval."""
    energy: dict[tuple[str, int], dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0, 0]))
    spans = []
    for channel in ("import_wh", "export_wh"):
        known = [(reading.at, getattr(reading, channel)) for reading in series.readings]
        known = [(at, wh) for at, wh in known if wh is not None]
        spans += [(known[0][0], known[-1][0])] if known else []
        for (one, low), (other, high) in pairwise(known):
            cut = list(pieces(one, other, series.zone))
            is_estimated = other - one > GAP and len(cut) > 1
            for key, start, end in cut:
                at_start = low + (high - low) * (start - one) // (other - one)
                at_end = low + (high - low) * (end - one) // (other - one)
                row = energy[key][channel]
                row[0] += at_end - at_start
                row[1] += end - start
                row[2] += (at_end - at_start) * is_estimated
                row[3] += (end - start) * is_estimated
    parts = {}
    for key, rows in energy.items():
        i, e = rows.get("import_wh"), rows.get("export_wh")
        _, spent, _, guessed = i or e or (0, 0, 0, 0)  # import, where it is known, decides what counts as measured
        parts[key] = Part(
            i[0] if i else None, e[0] if e else None, i[2] if i else 0, e[2] if e else 0, spent - guessed, guessed
        )
    return parts


def register_span(series: Series, channel: str) -> int | None:
    whs = [getattr(reading, channel) for reading in series.readings if getattr(reading, channel) is not None]
    return whs[-1] - whs[0] if len(whs) > 1 else None


def check_levels_sum(found: Documents) -> None:
    """Half hours make up hours, hours the day, days the month, months the year: field by field."""
    sums: dict[tuple[str, str, str], list[Part]] = defaultdict(list)
    for (level, period), (_, parts) in found.items():
        chart = add(part for name, part in parts.items() if name[0] == periods.PART_LETTER[level])
        if level == "day":
            for name, part in parts.items():
                if name[0] == "s":
                    sums["day", period, f"h{int(name[1:]) // 2:02d}"].append(part)
            sums["month", period[:7], f"d{period[8:]}"].append(chart)
        elif level == "month":
            sums["year", period[:4], f"m{period[5:]}"].append(chart)
    expected = {key: add(parts) for key, parts in sums.items()}
    stored = {
        (level, period, name): part
        for (level, period), (_, parts) in found.items()
        for name, part in parts.items()
        if name[0] != "s"
    }
    assert stored == expected


# 1. Exact closure


@settings(max_examples=120)
@given(clean())
def test_exact_closure_of_a_clean_series_at_every_level(series: Series) -> None:
    found = outcome(series)
    check_levels_sum(found)
    for level in periods.LEVELS:
        whole = total(found, level)
        assert whole.import_wh == register_span(series, "import_wh")
        assert whole.export_wh == register_span(series, "export_wh")


@settings(max_examples=120)
@given(clean())
def test_exact_closure_of_each_half_hour_measured_estimated_and_missing_apart(series: Series) -> None:
    assert half_hours(outcome(series)) == reference(series)


@settings(max_examples=120)
@given(messy())
def test_exact_closure_of_the_levels_survives_whatever_is_sent(series: Series) -> None:
    found = outcome(series)
    check_levels_sum(found)
    for (day, number), part in half_hours(found).items():
        slot = periods.half_hours(day, series.zone)[number]
        assert 0 < part.covered_s + part.estimated_s <= slot.end - slot.start
        assert (part.import_wh or 0) >= part.estimated_import_wh >= 0
        assert (part.export_wh or 0) >= part.estimated_export_wh >= 0


@settings(max_examples=60)
@given(clean(kinds=("i", "ie")), st.data())
def test_exact_closure_a_glitch_leaves_no_trace(series: Series, data: st.DataObject) -> None:
    with_glitch: list[Reading] = list(series.readings)
    position = data.draw(st.integers(1, len(with_glitch)), label="before which reading")
    before = series.readings[position - 1]
    after = series.readings[position] if position < len(with_glitch) else None
    room = (after.at if after else before.at + 20) - before.at
    if room > 1:
        at = before.at + data.draw(st.integers(1, room - 1), label="seconds after the one before")
        low = (before.import_wh or 0) - data.draw(st.sampled_from([1, 1000]))
        wrong = low if low >= 0 and data.draw(st.booleans(), label="low") else 10**11
        with_glitch.insert(position, Reading(HOME, at, None, wrong, None))
    assert outcome(Series(series.zone, with_glitch)) == outcome(series)


@settings(max_examples=60)
@given(starts(), st.sampled_from([10, 60, 300, 1800]), st.booleans(), st.sampled_from([0, 7, 10**9]), st.integers(3, 9))
def test_exact_closure_across_a_meter_exchange(
    start: tuple[str, int], step: int, has_id: bool, new: int, count: int
) -> None:
    zone, at = start
    ids = ("old", "new") if has_id else (None, None)
    old = [Reading(HOME, at + n * step, None, 500_000 + 40 * n, None, ids[0]) for n in range(count)]
    later = at + (count + 1) * step
    new_meter = [
        Reading(HOME, later + n * step, None, new + 25 * n, None, ids[1]) for n in range(max(3, 300 // step + 1))
    ]
    found = outcome(Series(zone, old + new_meter))
    check_levels_sum(found)
    assert total(found).import_wh == 40 * (count - 1) + 25 * (len(new_meter) - 1)
    assert sum(p.covered_s + p.estimated_s for p in half_hours(found).values()) == step * (count + len(new_meter) - 2)


# 2. Idempotence


@settings(max_examples=60)
@given(messy(), batchings(), st.data())
def test_idempotence_of_readings_and_change_records(
    series: Series, deliver: Callable[[Sequence[Reading]], list[list[Reading]]], data: st.DataObject
) -> None:
    with fresh_store() as store:
        take_in(store, series.readings, series.zone)
        before = documents(store)
        for batch in deliver(series.readings):
            written = ingest(store, batch, NOW + 60, series.zone)
            assert (written.accepted, written.unchanged) == (0, len(batch))
            assert waiting(store) == 0
        keys = [("readings", str(reading.at - reading.at % HALF_HOUR)) for reading in series.readings]
        keys += [*before, ("readings", "0"), ("day", "2001-02-03"), ("month", "2001-02")]
        for table, key in data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=12), label="replayed"):
            store.mark(table, HOME, [key])
        replayed = waiting(store)
        assert drain(store) == replayed, "a replay must die out where nothing changes"
        assert documents(store) == before
        assert waiting(store) == 0


def test_idempotence_once_settled_nothing_is_waiting() -> None:
    with fresh_store() as store:
        take_in(store, [Reading(HOME, NOW - 3000 + n * 60, 100, n, None) for n in range(9)], "Europe/London")
        assert store.backlog() == (0, None)


# 3. Order independence


@settings(max_examples=250)
@given(messy(), batchings())
def test_order_independence_of_any_delivery(
    series: Series, deliver: Callable[[Sequence[Reading]], list[list[Reading]]]
) -> None:
    with fresh_store() as store:
        for batch in deliver(series.readings):
            take_in(store, batch, series.zone)
        assert documents(store) == outcome(series)
        assert list(verify.differences(store, Device(HOME, series.zone))) == []


@settings(max_examples=60)
@given(messy(), batchings(), st.data())
def test_order_independence_when_the_worker_comes_late_and_records_are_replayed(
    series: Series, deliver: Callable[[Sequence[Reading]], list[list[Reading]]], data: st.DataObject
) -> None:
    with fresh_store() as store:
        for batch in deliver(series.readings):
            ingest(store, batch, NOW, series.zone)
            if data.draw(st.booleans(), label="drain"):
                drain(store)
            if data.draw(st.booleans(), label="replay"):
                reading = data.draw(st.sampled_from(batch))
                store.mark("readings", HOME, [str(reading.at - reading.at % HALF_HOUR)])
        drain(store)
        assert documents(store) == outcome(series)


def test_order_independence_of_a_register_once_a_day_among_power_readings() -> None:
    start = utc("2026-06-01T00:00")
    readings = [Reading(HOME, start + n * 600, 500, None, None) for n in range(1, 6 * 24 * 2)]
    readings += [Reading(HOME, start + day * DAY + 300, None, 10**6 + 12_000 * day, None) for day in range(3)]
    series = Series("UTC", sorted(readings, key=lambda reading: reading.at))
    with fresh_store() as store:
        for reading in series.readings:
            take_in(store, [reading], series.zone)
        assert total(documents(store)).import_wh == 24_000
        assert documents(store) == outcome(series)


# 4. Nothing from nothing


@settings(max_examples=60)
@given(messy())
def test_nothing_from_nothing_outside_what_was_read(series: Series) -> None:
    """A half hour that no interval between two readings touches, and no power was held in, does not exist."""
    found = outcome(series)
    touched = set()
    for one, other in pairwise(series.readings):
        touched |= {key for key, _, _ in pieces(one.at, other.at, series.zone)}
    assert set(half_hours(found)) <= touched
    for _, parts in found.values():
        assert all(not part.is_empty for part in parts.values())
        assert parts


@given(
    starts(), st.sampled_from([{"import_wh": 5}, {"export_wh": 0}, {"power_w": 300}, {"import_wh": 0, "power_w": 0}])
)
@settings(max_examples=20)
def test_nothing_from_nothing_one_reading_makes_no_document(start: tuple[str, int], values: dict[str, int]) -> None:
    reading = Reading(HOME, start[1], None, None, None)._replace(**values)  # type: ignore[arg-type]
    assert outcome(Series(start[0], [reading])) == {}


@settings(max_examples=60)
@given(clean(kinds=("p",)))
def test_nothing_from_nothing_power_is_held_five_minutes_and_no_longer(series: Series) -> None:
    held: dict[tuple[str, int], int] = defaultdict(int)
    watt_seconds: dict[tuple[str, int], int] = defaultdict(int)
    for one, other in pairwise(series.readings):
        for key, start, end in pieces(one.at, min(other.at, one.at + GAP), series.zone):
            held[key] += end - start
            watt_seconds[key] += (one.power_w or 0) * (end - start)
    found = half_hours(outcome(series))
    assert {key: part.covered_s for key, part in found.items()} == held
    assert all(abs((found[key].import_wh or 0) * 3600 - watt_seconds[key]) <= 1800 for key in held)
    assert all(part.estimated_s == 0 and part.export_wh == 0 for part in found.values())


# 5. Late data counts, and history can be filled in


@settings(max_examples=120)
@given(clean(kinds=("i", "ie")), st.data())
def test_late_data_counts_and_changes_exactly_the_parts_it_touches(series: Series, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(series.readings) - 1), label="late")
    late = series.readings[position]
    others = [reading for reading in series.readings if reading is not late]
    touched = set()
    for channel in ("import_wh", "export_wh"):
        known = [reading.at for reading in series.readings if getattr(reading, channel) is not None]
        if late.at in known:
            place = known.index(late.at)
            ends = known[max(place - 1, 0)], known[min(place + 1, len(known) - 1)]
            touched |= {key for key, _, _ in pieces(*ends, series.zone)}
    with fresh_store() as store:
        take_in(store, others, series.zone)
        before = half_hours(documents(store))
        take_in(store, [late], series.zone)
        after = half_hours(documents(store))
        assert documents(store) == outcome(series)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed <= touched


@settings(max_examples=100)
@given(messy(), st.data())
def test_late_data_counts_and_beyond_the_retention_no_part_gets_worse(series: Series, data: st.DataObject) -> None:
    readings = series.readings
    horizon = data.draw(st.sampled_from([reading.at for reading in readings])) + 1
    again = data.draw(st.lists(st.sampled_from(readings), min_size=1, max_size=6), label="imported again")
    forget = data.draw(st.sampled_from(["", "export_wh", "import_wh"]), label="without")
    if forget == "export_wh":
        again = [reading._replace(power_w=1, export_wh=None) for reading in again]
    elif forget == "import_wh":
        again = [reading._replace(power_w=1, import_wh=None) for reading in again]
    with fresh_store() as store:
        take_in(store, readings, series.zone)
        before = documents(store)
        expire_before(store, horizon)
        limit = store.horizon(HOME)
        take_in(store, again, series.zone)
        after = documents(store)
    old, new = half_hours(before), half_hours(after)
    protected = {key for key in old if periods.half_hours(key[0], series.zone)[key[1]].start < limit}
    pairs = {key: (old[key], new.get(key, EMPTY)) for key in protected}
    worse = {key: pair for key, pair in pairs.items() if not is_better_known(*pair)}
    assert worse == {}
    check_levels_sum(after)


@settings(max_examples=100)
@given(clean(kinds=("i", "ie")), st.data())
def test_late_data_counts_but_the_same_readings_again_damage_no_expired_part(
    series: Series, data: st.DataObject
) -> None:
    """Whichever of the expired readings come again, nothing that was known of their time is another energy now."""
    horizon = data.draw(st.sampled_from([reading.at for reading in series.readings])) + 1
    again = data.draw(st.lists(st.sampled_from(series.readings), min_size=1, max_size=6), label="imported again")
    with fresh_store() as store:
        take_in(store, series.readings, series.zone)
        before = documents(store)
        expire_before(store, horizon)
        take_in(store, again, series.zone)
        assert documents(store) == before


@settings(max_examples=40)
@given(clean(), st.data())
def test_idempotence_after_readings_have_expired(series: Series, data: st.DataObject) -> None:
    horizon = data.draw(st.sampled_from([reading.at for reading in series.readings])) + 1
    with fresh_store() as store:
        take_in(store, series.readings, series.zone)
        before = documents(store)
        expire_before(store, horizon)
        assert list(verify.differences(store, Device(HOME, series.zone))) == []
        keys = [str(start) for start in store.block_starts(HOME, 0, 1000)]
        store.mark("readings", HOME, data.draw(st.lists(st.sampled_from(keys), min_size=1), label="replayed"))
        drain(store)
        assert documents(store) == before


@settings(max_examples=60)
@given(clean(kinds=("ie",)), st.data(), batchings())
def test_late_data_counts_and_history_is_filled_in_before_what_has_expired(
    series: Series, data: st.DataObject, deliver: Callable[[Sequence[Reading]], list[list[Reading]]]
) -> None:
    """A device in use for long; then its older history is imported, in any order, while a worker runs."""
    cut = data.draw(st.integers(1, len(series.readings)), label="history ends before")
    history, live = series.readings[:cut], series.readings[cut:]
    with fresh_store() as store:
        if live:
            take_in(store, live, series.zone)
            expire_before(store, live[-1].at + 1)
        for batch in deliver(history):
            take_in(store, batch, series.zone)
        after = half_hours(documents(store))
    expected = half_hours(outcome(Series(series.zone, history)))
    seam = slot_of(history[-2 if cut > 1 else -1].at, series.zone)[:2]  # there the gap to what has expired may show
    for key in (key for key in expected if key < seam):
        wanted, found = expected[key], after[key]
        assert found.covered_s == wanted.covered_s
        if not wanted.estimated_s:  # of estimates the first one stays, or none where something was measured once
            assert found == wanted


# What the properties found first, in a few readings


def every(step_s: int, count: int, start: str = "2026-03-02T00:00") -> list[Reading]:
    """A steady home with a register each way: 200 W in, 100 W out."""
    at = utc(start)
    return [
        Reading(HOME, at + n * step_s, None, 10**6 + n * step_s // 18, 10**5 + n * step_s // 36) for n in range(count)
    ]


def test_order_independence_when_an_implausible_power_lies_between() -> None:
    at = utc("2026-06-01T00:30")
    readings = [Reading(HOME, at + n * HOUR, power, None, None) for n, power in enumerate([7200, 150_000, 7200])]
    with fresh_store() as store:
        for reading in readings:
            take_in(store, [reading], "UTC")
        assert documents(store) == outcome(Series("UTC", readings))


@pytest.mark.parametrize("wrong", [0, 10**11])
def test_exact_closure_when_two_readings_of_a_half_hourly_history_are_wrong(wrong: int) -> None:
    readings = every(HALF_HOUR, 12)
    broken = [reading._replace(import_wh=wrong) if n in (5, 6) else reading for n, reading in enumerate(readings)]
    whole = total(outcome(Series("UTC", broken)))
    assert whole.import_wh == (readings[-1].import_wh or 0) - (readings[0].import_wh or 0)


def test_late_data_counts_but_an_import_only_file_leaves_expired_export_alone() -> None:
    readings = every(HALF_HOUR, 48 * 4)
    with fresh_store() as store:
        take_in(store, readings, "UTC")
        before = documents(store)
        expire_before(store, readings[-48].at)
        take_in(store, [reading._replace(export_wh=None) for reading in readings[:48]], "UTC")
        assert documents(store) == before


def test_late_data_counts_but_older_history_leaves_an_expired_outage_alone() -> None:
    """An outage of 10 h was spread over its own time; older history changes nothing."""
    at = utc("2026-03-02T00:00")
    live = [Reading(HOME, at + n * 60, None, 10**6 + n * 50, None) for n in range(60 * 48) if not 600 < n < 1200]
    history = [Reading(HOME, at - 10 * DAY + n * HALF_HOUR, None, n, None) for n in range(48)]
    with fresh_store() as store:
        take_in(store, live, "UTC")
        before = documents(store)
        expire_before(store, live[-100].at)
        take_in(store, history, "UTC")
        after = documents(store)
    assert {key: after[key] for key in before if key[0] == "day"} == {
        key: document for key, document in before.items() if key[0] == "day"
    }


def test_idempotence_when_one_register_is_rarer_than_the_other_and_readings_have_expired() -> None:
    """Import every minute, export once a day: what the sweep leaves must still give what was computed."""
    readings = [
        reading._replace(export_wh=reading.export_wh if n % 1440 == 100 else None)
        for n, reading in enumerate(every(60, 1440 * 4))
    ]
    with fresh_store() as store:
        take_in(store, readings, "UTC")
        before = documents(store)
        expire_before(store, readings[1440 * 2].at)
        assert list(verify.differences(store, Device(HOME, "UTC"))) == []
        store.mark("readings", HOME, [str(start) for start in store.block_starts(HOME, 0, 3)])
        drain(store)
        assert documents(store) == before


def test_idempotence_when_the_newest_reading_left_by_the_sweep_was_a_glitch() -> None:
    readings = every(HALF_HOUR, 48)
    readings[20] = readings[20]._replace(import_wh=0)
    readings = [reading._replace(import_wh=(reading.import_wh or 0) % 10**6) for reading in readings]
    with fresh_store() as store:
        take_in(store, readings, "UTC")
        before = documents(store)
        expire_before(store, readings[20].at + 1)
        store.mark("readings", HOME, [str(start) for start in store.block_starts(HOME, 0, 3)])
        drain(store)
        assert documents(store) == before


# 6. Local days are local


@settings(max_examples=60)
@given(clean(kinds=("i",)))
def test_local_days_are_local(series: Series) -> None:
    """Each day's energy is the register at one local midnight less the register at the one before."""
    found = outcome(series)
    known = [(reading.at, reading.import_wh or 0) for reading in series.readings]

    def register_at(at: int) -> int:
        for (one, low), (other, high) in pairwise(known):
            if one <= at <= other:
                return low + (high - low) * (at - one) // (other - one)
        return known[0][1] if at < known[0][0] else known[-1][1]

    for (level, period), (zone, parts) in found.items():
        assert zone == series.zone
        if level == "day":
            day = date.fromisoformat(period)
            start, end = first_instant(day, zone), first_instant(day + timedelta(days=1), zone)
            chart = add(part for name, part in parts.items() if name[0] == "h")
            assert chart.import_wh == register_at(end) - register_at(start)
            assert all(int(name[1:]) < -(-(end - start) // HOUR) for name in parts if name[0] == "h")
            assert all(int(name[1:]) < -(-(end - start) // HALF_HOUR) for name in parts if name[0] == "s")


@pytest.mark.parametrize(
    ("zone", "day", "hours", "last_hour_s"),
    [
        ("Europe/London", "2026-03-29", 23, HOUR),
        ("Europe/London", "2025-10-26", 25, HOUR),
        ("Australia/Lord_Howe", "2026-04-05", 25, HALF_HOUR),
        ("Australia/Lord_Howe", "2025-10-05", 24, HALF_HOUR),
        ("America/St_Johns", "2026-03-08", 23, HOUR),
        ("Asia/Kathmandu", "2026-03-29", 24, HOUR),
        ("Antarctica/Troll", "2026-03-29", 22, HOUR),
        ("Antarctica/Troll", "2025-10-26", 26, HOUR),
        ("America/Havana", "2026-03-08", 23, HOUR),
        ("America/Havana", "2025-11-02", 25, HOUR),
    ],
)
def test_local_days_are_local_where_the_clocks_change(zone: str, day: str, hours: int, last_hour_s: int) -> None:
    """1 Wh a second: each part shows its own length."""
    start = first_instant(date.fromisoformat(day), zone) - HOUR
    readings = [Reading(HOME, start + n * 900, None, n * 900, None) for n in range(4 * 30)]
    with fresh_store() as store:
        store.put_device(Device(HOME, zone, max_power_w=10_000))
        take_in(store, readings, zone)
        document = store.document("day", HOME, day)
        assert document is not None
        parts = as_json(document)["parts"]
        assert isinstance(parts, list)
        assert [part["import_wh"] for part in parts] == [HOUR] * (hours - 1) + [last_hour_s]
        assert all(part["coverage"] == 1 for part in parts)


def test_local_days_are_local_and_a_skipped_date_has_no_document() -> None:
    start = utc("2011-12-28T00:00")
    readings = [Reading(HOME, start + n * HALF_HOUR, None, n * 100, None) for n in range(48 * 6)]
    found = outcome(Series("Pacific/Apia", readings))
    days = [period for level, period in found if level == "day"]
    assert "2011-12-29" in days
    assert "2011-12-31" in days
    assert "2011-12-30" not in days
    assert "d30" not in found["month", "2011-12"][1]
    assert total(found).import_wh == 100 * (48 * 6 - 1)


@pytest.mark.parametrize("batch", [1, 7, 20])
def test_late_data_counts_also_when_history_off_the_boundaries_comes_in_pieces(batch: int) -> None:
    readings = every(HALF_HOUR, 60, "2026-03-02T00:05")  # each step crosses a boundary, so all of it is estimated
    with fresh_store() as store:
        store.put_device(Device(HOME, "UTC"))
        store.put_horizon(HOME, utc("2026-06-01T00:00"))
        for first in range(0, len(readings), batch):
            take_in(store, readings[first : first + batch], "UTC")
        assert documents(store) == outcome(Series("UTC", readings))


def test_idempotence_where_an_outage_begins_in_a_half_hour_whose_first_readings_have_expired() -> None:
    seconds = (-6, -5, 115, 235, 355, 475, 2276)  # the outage ends beyond the horizon
    readings = [Reading(HOME, utc("2026-03-29T01:00") + after, None, after + 100, None) for after in seconds]
    with fresh_store() as store:
        take_in(store, readings, "UTC")
        before = documents(store)
        expire_before(store, readings[2].at + 1)
        store.mark("readings", HOME, [str(start) for start in store.block_starts(HOME, 0, 100)])
        drain(store)
        assert documents(store) == before
