"""Random series of a home's device, for the invariants of architecture.md, section 4."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from hypothesis import strategies as st

from aggregator.core.readings import Interval, Reading

NOW = 1_800_000_000  # later than every reading here
HALF_HOUR, HOUR, DAY = 1800, 3600, 86_400
HOME = "home"


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


class Series(NamedTuple):
    """Readings in order of time, at most one per instant, and the home's zone."""

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
    """One faultless meter; with `kinds`, only stretches of these kinds."""
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
    """Any series: power alone, implausible power, glitches, exchanged meters with and without an id."""
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


Points = list[tuple[int, int]]  # UTC seconds and Wh
Evidence = Reading | Interval


@st.composite
def meters(draw: st.DrawFn) -> tuple[str, Points]:
    """A zone and a faultless register: up to three rhythms with jitter, outages, what a home uses."""
    zone, at = draw(starts())
    wh, points = float(draw(st.sampled_from([0, 5, 123_456, 7_000_000, 99_990_000]))), []
    for _ in range(draw(st.integers(1, 3))):
        step, length = draw(st.sampled_from([10, 30, 60, 299, 301, 600, 900, 1800, 3600])), draw(st.integers(3, 40))
        chance, jitter = random.Random(draw(st.integers(0, 2**16))), draw(st.sampled_from([0, 0, step // 10]))
        for _ in range(length):
            seconds = (
                step + chance.randint(-jitter, jitter) + (chance.random() < 0.03) * chance.choice([301, 9000, 32_400])
            )
            at += seconds
            wh += chance.choice([0, 3, 100, 431, 2000, 7200]) * seconds / HOUR
            points.append((at, int(wh)))
    return zone, points


SHOWN = ("zeros", "restored", "frozen", "high", "garbage", "largest", "other unit", "rounded", "chance")
LARGEST = (2**31 - 1, 2**32 - 1, 10**9 - 1, 999_999, 1)


def faulty(points: Points, first: int, after: int, shows: str, back: int, seed: int) -> Points:
    """Return a register that shows something wrong from `first` until before `after`."""
    chance, good = random.Random(seed), points[first - 1][1]
    wrong: dict[str, Callable[[int], int]] = {
        "zeros": lambda _: 0,
        "restored": lambda wh: max(wh - back, 0),
        "frozen": lambda _: max(good - back, 0),
        "high": lambda wh: wh + 7 * 10**9,
        "largest": lambda _: LARGEST[seed % len(LARGEST)],
        "other unit": lambda wh: wh // 1000,
        "rounded": lambda wh: wh // 1000 * 1000,
        "chance": lambda wh: max(wh + chance.randint(-back, back), 0),
        "garbage": lambda wh: chance.choice([0, wh // 3, 10**11, 7 * wh + 50_000_000, chance.randint(0, wh)]),
    }
    return [(at, wrong[shows](wh)) if first <= place < after else (at, wh) for place, (at, wh) in enumerate(points)]


@st.composite
def stretches(draw: st.DrawFn, points: Points) -> tuple[int, int]:
    """The first place of a stretch of at most six days, and the one after it."""
    first = draw(st.integers(1, len(points) - 1))
    after = min(first + draw(st.sampled_from([1, 1, 2, 3, 8, 20, 60])), len(points))
    return first, next(
        n for n in range(after, 0, -1) if n == first + 1 or points[n - 1][0] - points[first][0] <= 6 * DAY
    )


class Clocked(NamedTuple):
    """A faultless register, in the order in which it is sent with a clock that is wrong for a while or from then on."""

    zone: str
    sent: Points
    energy_wh: int  # from the first reading to the last one


@st.composite
def wrong_clocks(draw: st.DrawFn) -> Clocked:
    """A clock that is put back or ahead by a day at most. The home uses a power up to its double; readings may lack.

    The device has sent for as long as the clock is wrong by, and goes on for that time and an hour. The register is
    large beside what the home uses in a day.
    """
    zone, at = draw(starts())
    step = draw(st.sampled_from([10, 30, 60, 300, 900, 1800]))
    steps = draw(st.integers(1, min(150, DAY // step - 1)))
    by = (steps * step + draw(st.sampled_from([0, 1, 7]))) * draw(st.sampled_from([-1, 1]))
    first = steps + draw(st.integers(12, 40)) + HOUR // step // 4
    after = first + draw(st.sampled_from([1, 2, 5, 20, 60, 200]))
    count = after + steps + draw(st.integers(30, 60)) + HOUR // step
    after = draw(st.sampled_from([after, count]))  # for good
    chance, watts = random.Random(draw(st.integers(0, 2**16))), draw(st.sampled_from([60, 300, 1000, 4000]))
    wh, jitter, points = float(draw(st.sampled_from([323_456, 7_000_000, 99_990_000]))), draw(st.booleans()), []
    for _ in range(count):
        seconds = step + chance.randint(-step // 10, step // 10) * jitter
        at, wh = at + seconds, wh + chance.uniform(watts, 2 * watts) * seconds / HOUR
        points.append((at, int(wh)))
    missing = draw(st.integers(5, first - 5))
    lost = range(missing, min(missing + draw(st.sampled_from([0, 0, 3, 40])), first - 3))
    sent = [(at + by if first <= n < after else at, wh) for n, (at, wh) in enumerate(points) if n not in lost]
    return Clocked(zone, sent, points[-1][1] - points[0][1])


@st.composite
def troubled(draw: st.DrawFn) -> tuple[str, list[Reading]]:
    """A zone and readings of a register with faults, rounding, an exchange or a rollover."""
    zone, points = draw(meters())
    for _ in range(draw(st.integers(0, 3))):
        back, seed = draw(st.sampled_from([3, 12, 50, 500, 20_000])), draw(st.integers(0, 99))
        points = faulty(points, *draw(stretches(points)), draw(st.sampled_from(SHOWN)), back, seed)
    if draw(st.integers(0, 3)) == 0:
        chance = random.Random(draw(st.integers(0, 99)))
        points = [(at, max(wh - chance.choice([0, 0, 1, 2]), 0)) for at, wh in points]
    middle = draw(st.integers(1, len(points) - 1))
    old = new = None
    happens = draw(st.sampled_from(["nothing", "nothing", "exchange", "rollover"]))
    if happens == "exchange":
        start, base = draw(st.sampled_from([0, 5000, 50_000_000])), points[middle][1]
        points = [(at, max(wh - base, 0) + start if place >= middle else wh) for place, (at, wh) in enumerate(points)]
        old, new = draw(st.sampled_from([(None, None), ("a", "b"), (None, "b"), ("a", None)]))
    elif happens == "rollover":
        modulus, base = draw(st.sampled_from([10**8, 10**9, 2**32])), points[middle][1]
        points = [(at, (wh - base) % modulus) for at, wh in points]
    return zone, [Reading(HOME, at, None, wh, None, new if n >= middle else old) for n, (at, wh) in enumerate(points)]


@st.composite
def intervals_near(draw: st.DrawFn, start: int, end: int) -> list[Interval]:
    """Intervals around a span: quarters, half hours, hours, days; overlapping, in a row; of import, export or both."""
    found = {}
    for _ in range(draw(st.integers(1, 5))):
        length, count = draw(st.sampled_from([(900, 1), (1800, 1), (1800, 20), (3600, 1), (DAY, 1), (7000, 1)]))
        first = draw(st.integers(start - 2 * HOUR, end + 2 * HOUR))
        first -= first % length if draw(st.booleans()) else 0
        for at in range(first, first + count * length, length):
            wh = draw(st.sampled_from([(0, None), (200, None), (1500, 300), (None, 300), (None, 0)]))
            found[at, length] = Interval(HOME, at, at + length, *wh)
    return list(found.values())


@st.composite
def evidence(draw: st.DrawFn) -> tuple[str, list[Evidence]]:
    """A zone and evidence in parts: registers, powers, exports and meter ids of one instant apart, and intervals."""
    zone, readings = draw(troubled())
    if draw(st.integers(0, 3)) == 0:
        readings = readings[:5]
    chance, has_export, has_power = random.Random(draw(st.integers(0, 99))), draw(st.booleans()), draw(st.booleans())
    parts: list[Evidence] = []
    for place, reading in enumerate(readings):
        is_silent = has_power and chance.random() < 0.2  # a power without a register
        parts += [] if is_silent else [reading]
        parts += [Reading(HOME, reading.at, None, None, 50 + place * 3)] if has_export and place % 3 else []
        parts += [Reading(HOME, reading.at, chance.choice([-500, 100, 2000]), None, None)] if has_power else []
    if draw(st.booleans()):
        parts += draw(intervals_near(readings[0].at, readings[-1].at))
    return zone, parts


@st.composite
def consistent(draw: st.DrawFn) -> tuple[str, list[Evidence]]:
    """A zone and evidence that does not contradict itself, in parts: registers, powers, litres, and intervals."""
    zone, points = draw(meters())
    points = points[: draw(st.sampled_from([2, 5, 30, 80]))]
    chance, sends = random.Random(draw(st.integers(0, 2**16))), draw(st.sampled_from(["", "e", "p", "v", "epv"]))
    middle, ids = draw(st.integers(1, len(points) - 1)), draw(st.sampled_from([(None, None), ("a", "a")]))
    happens, base = draw(st.sampled_from(["nothing", "nothing", "exchange", "rollover"])), points[middle][1]
    if happens == "exchange":
        ids, base = ("a", "b"), base - draw(st.sampled_from([0, 5000, 50_000_000]))
        points = [*points[:middle], *((at, wh - base) for at, wh in points[middle:])]
    elif happens == "rollover":
        points = [(at, (wh - base) % 10**9) for at, wh in points]
    parts: list[Evidence] = []
    for place, (at, wh) in enumerate(points):
        parts.append(Reading(HOME, at, None, wh, None, ids[place >= middle]))
        parts += [Reading(HOME, at, None, None, 50 + place * 3)] if "e" in sends and chance.random() < 0.7 else []
        parts += [Reading(HOME, at, None, None, None, None, 9000 + place * 40)] if "v" in sends and place % 3 else []
        power_at = at + chance.choice([0, 0, 0, 1])
        parts += [Reading(HOME, power_at, 100 * (place - 9), None, None)] if "p" in sends else []
    return zone, parts + (draw(intervals_near(points[0][0], points[-1][0])) if draw(st.booleans()) else [])


@st.composite
def batchings(draw: st.DrawFn) -> Callable[[Sequence[Any]], list[list[Any]]]:
    """A delivery of evidence: in some order, in some batches, some of it twice."""
    order = draw(st.sampled_from(["as they are", "backwards", "shuffled"]))
    size = draw(st.sampled_from([1, 2, 7]))
    seed = draw(st.integers(0, 2**16))

    def deliver(evidence: Sequence[Any]) -> list[list[Any]]:
        chance = random.Random(seed)
        queue = list(evidence)[:: -1 if order == "backwards" else 1]
        queue += chance.sample(queue, len(queue) // 4)
        if order == "shuffled":
            chance.shuffle(queue)
        return [queue[first : first + size] for first in range(0, len(queue), size)]

    return deliver


# Counterexamples that the properties found first


def every(step_s: int, count: int, start: str = "2026-03-02T00:00") -> list[Reading]:
    """A constant home with two registers: 200 W import, 100 W export."""
    at = utc(start)
    return [
        Reading(HOME, at + n * step_s, None, 10**6 + n * step_s // 18, 10**5 + n * step_s // 36) for n in range(count)
    ]
