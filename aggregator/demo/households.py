"""The demo's households: their appliances, habits and days. Pure.

A day is a sum of runs: an appliance draws a power (W) for some seconds. All randomness of a day comes from one
generator, seeded by household and date, so a day is always the same. Only `Random.random()` is used: Python guarantees
its sequence, while other methods may change between versions.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from random import Random
from typing import NamedTuple
from zlib import crc32

from aggregator.core import periods
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import DAY_S


class Habit(NamedTuple):
    """The times at which an appliance is started, and how often on average. Hours are local clock hours."""

    from_h: float
    to_h: float
    weekday: float  # starts
    weekend: float  # starts


@dataclass(frozen=True, slots=True)
class Appliance:
    """An appliance started by habit. `cycle` is its phases in order, each (seconds, W)."""

    cycle: tuple[tuple[int, int], ...]
    habits: tuple[Habit, ...]
    spread: float = 0.2  # a run is up to this share longer or shorter than the cycle
    winter: float = 0.0  # this share more starts at midwinter, and fewer at midsummer


KETTLE = Appliance(
    ((140, 2800),),
    (
        Habit(6.4, 8.2, 1.6, 0.4),
        Habit(8.2, 12, 0.5, 2.2),
        Habit(12, 16, 0.6, 1.6),
        Habit(16, 18.5, 1.3, 1.2),
        Habit(18.5, 23.2, 1.5, 1.5),
    ),
    spread=0.4,
)
TOASTER = Appliance(((170, 950),), (Habit(6.6, 8.3, 1.2, 0.2), Habit(8.5, 11, 0.1, 1.3)))
MICROWAVE = Appliance(((200, 1250),), (Habit(7, 8.5, 0.3, 0.2), Habit(12, 14, 0.3, 0.7), Habit(17, 20, 0.9, 0.7)), 0.5)
HOB = Appliance(
    ((260, 1900), *((50, 1700), (60, 0)) * 8),
    (Habit(11.8, 13, 0.1, 0.5), Habit(17, 19.2, 0.9, 0.8)),
    spread=0.4,
    winter=0.15,
)
OVEN = Appliance(
    ((520, 2400), *((80, 2300), (130, 0)) * 9),
    (Habit(11, 13, 0.03, 0.25), Habit(16.8, 19, 0.4, 0.45)),
    spread=0.3,
    winter=0.2,
)
WASHING_MACHINE = Appliance(
    ((240, 90), (1000, 2050), (2500, 170), (200, 60), (420, 430)),
    (Habit(7.5, 11, 0.15, 0.6), Habit(11, 17, 0.1, 0.4), Habit(17.5, 20.5, 0.4, 0.2)),
)
DISHWASHER = Appliance(
    ((300, 60), (1000, 1950), (1600, 80), (800, 1950), (700, 40)),
    (Habit(13, 15, 0.05, 0.3), Habit(19.3, 22, 0.65, 0.6)),
)
DRYER = Appliance(((420, 2400), (60, 350)) * 7, (Habit(10, 16, 0.08, 0.35), Habit(18.5, 21, 0.22, 0.15)), winter=0.5)
HAIR_DRYER = Appliance(((240, 1600),), (Habit(6.8, 8, 0.6, 0.1), Habit(8.5, 11, 0, 0.6)), 0.5)
VACUUM = Appliance(((1300, 850),), (Habit(9.5, 17, 0.12, 0.5),), 0.5)
IRON = Appliance(((90, 2100), (110, 0)) * 10, (Habit(18, 21, 0.12, 0.25),), 0.4)
TELEVISION = Appliance(((9000, 140),), (Habit(9, 12, 0.1, 0.6), Habit(17, 20, 1.3, 1.3)), 0.5, winter=0.1)
COMPUTER = Appliance(((7000, 110),), (Habit(9, 13, 0.6, 0.8), Habit(13, 16, 0.6, 0.8), Habit(17.5, 21, 1.4, 1.1)), 0.6)
SHOWER = Appliance(((330, 8600),), (Habit(6.3, 8, 1.3, 0.3), Habit(8, 10.5, 0.1, 1.2), Habit(19, 22, 0.4, 0.5)), 0.4)
BOILER_PUMP = Appliance(((7200, 105),), (Habit(5.8, 6.5, 0.7, 0.6), Habit(15.5, 17.5, 1.1, 1.2)), 0.4, winter=0.9)
FAN_HEATER = Appliance(
    ((600, 1500), (420, 0)) * 8, (Habit(6.5, 7.5, 0.15, 0.15), Habit(16.5, 20, 0.35, 0.5)), 0.5, winter=1.6
)
PANEL_HEATER = Appliance(
    ((900, 1100), (500, 0)) * 4,
    (
        Habit(5.8, 8, 1.3, 1.1),
        Habit(8, 13, 1.3, 1.8),
        Habit(13, 17, 1.0, 1.5),
        Habit(17, 23.3, 2.3, 2.3),
        Habit(0, 5, 0.7, 0.7),
    ),
    spread=0.6,
    winter=2.0,
)
CAR = Appliance(((9600, 7400),), (Habit(0.5, 0.55, 0.5, 0.35),), spread=0.65, winter=0.15)

KITCHEN = (KETTLE, TOASTER, MICROWAVE, HOB, OVEN)
LAUNDRY = (WASHING_MACHINE, DISHWASHER, DRYER, VACUUM, IRON)
LIVING = (TELEVISION, COMPUTER, HAIR_DRYER, BOILER_PUMP)


# Households

CLOCK_CHANGE_S = 2 * 3600  # habits after this hour follow the changed clock
CLOUD_STEP_S = 300
LATITUDE = math.radians(52)


class ApplianceRun(NamedTuple):
    """A draw of `power_w` W (negative: generation) for `seconds` from `start_s` seconds after local midnight."""

    start_s: float
    seconds: float
    power_w: float


@dataclass(frozen=True, slots=True)
class Archetype:
    """A kind of home. Powers in W."""

    name: str
    appliances: tuple[Appliance, ...]
    base_w: int = 90  # router, clocks and standby
    fridge_w: int = 90  # compressor
    lights_w: int = 240  # lamps and screens with everyone at home after dark
    busy: float = 1.0  # use of appliances relative to a family of four
    solar_w: int = 0  # panels at a clear midsummer noon
    flaky: bool = False  # its connection loses, repeats and delays readings
    timezone: str = "Europe/London"


@dataclass(frozen=True, slots=True)
class Household:
    """A demo home with its meter."""

    device_id: str
    archetype: str
    timezone: str
    seed: int
    meter_id: str
    noise: int  # 32-bit seed of everything drawn per instant
    busy: float
    flaky: bool


@dataclass(frozen=True, slots=True)
class Day:
    """The circumstances of one local day."""

    length_s: int
    noon_s: int  # solar noon by the clock
    weekend: bool
    away: bool
    winter: float  # 1 at midwinter, -1 at midsummer
    chance: Callable[[], float]  # the next random number from 0 up to 1

    def elapsed(self, clock_s: float) -> float:
        """Return elapsed seconds since midnight at a clock time, which differ on days of a clock change."""
        return clock_s if clock_s < CLOCK_CHANGE_S else clock_s + self.length_s - DAY_S


ARCHETYPES = (
    Archetype("demo-family", (*KITCHEN, *LAUNDRY, *LIVING)),
    Archetype("demo-solar", (*KITCHEN, *LAUNDRY, *LIVING), busy=0.9, solar_w=3300),
    Archetype("demo-ev", (*KITCHEN, *LAUNDRY, *LIVING, SHOWER, CAR), base_w=130),
    Archetype(
        "demo-flaky", (*KITCHEN, WASHING_MACHINE, *LIVING, SHOWER), base_w=70, lights_w=180, busy=0.7, flaky=True
    ),
    Archetype("demo-flat", (*KITCHEN, WASHING_MACHINE, *LIVING, FAN_HEATER), 55, 70, 130, busy=0.5),
    Archetype("demo-berlin", (*KITCHEN, *LAUNDRY, *LIVING, PANEL_HEATER), base_w=220, timezone="Europe/Berlin"),
)
_BY_NAME = {archetype.name: archetype for archetype in ARCHETYPES}


def households(count: int, seed: int) -> tuple[Household, ...]:
    """Return the first `count` homes; beyond the table they repeat, numbered and with their own habits."""
    if count < 1:
        raise ConfigurationError(f"{count} households cannot be simulated; take at least 1")
    return tuple(
        _household(ARCHETYPES[number % len(ARCHETYPES)], 1 + number // len(ARCHETYPES), seed) for number in range(count)
    )


def _household(archetype: Archetype, number: int, seed: int) -> Household:
    device_id = archetype.name if number == 1 else f"{archetype.name}-{number}"
    noise = crc32(f"{seed}/{device_id}".encode())
    return Household(
        device_id=device_id,
        archetype=archetype.name,
        timezone=archetype.timezone,
        seed=seed,
        meter_id=f"23W{noise % 10**7:07d}",
        noise=noise,
        busy=archetype.busy * (1 if number == 1 else 0.75 + noise % 101 / 200),
        flaky=archetype.flaky,
    )


def generator(household: Household, purpose: str) -> Random:
    """Return a random generator for a household and a purpose, such as a date."""
    return Random(f"{household.seed}/{household.device_id}/{purpose}")  # noqa: S311 - a demo wants numbers that come again


def runs(household: Household, day: str) -> Iterator[ApplianceRun]:
    """Yield every run of a local day, in no order; some last past its end."""
    home, today = _BY_NAME[household.archetype], _circumstances(household, day)
    yield from _background(home, today)
    yield from _fridge(home, today)
    if home.solar_w:
        yield from _sun(home, today)
    if not today.away:
        yield from _lights(home, today)
        for appliance in home.appliances:
            yield from _uses(appliance, household.busy, today)


def _circumstances(household: Household, day: str) -> Day:
    when, zone = date.fromisoformat(day), household.timezone
    window = periods.window("day", day, zone)
    summer_time = periods.local(window.end - 1, zone).offset or 0
    return Day(
        length_s=window.end - window.start,
        noon_s=12 * 3600 + summer_time - _standard_offset(when.year, zone),
        weekend=when.weekday() >= 5,
        away=when.isocalendar().week == 30 + household.noise % 5,
        winter=math.cos((when.timetuple().tm_yday + 8) * math.tau / 365.25),
        chance=generator(household, day).random,
    )


@lru_cache(maxsize=256)
def _standard_offset(year: int, zone: str) -> int:
    return periods.local(periods.day_start(f"{year}-01-01", zone), zone).offset or 0


def _background(home: Archetype, day: Day) -> Iterator[ApplianceRun]:
    at = 0.0
    while at < day.length_s:
        seconds = 900 + 1800 * day.chance()
        yield ApplianceRun(at, seconds, home.base_w * (0.9 + 0.3 * day.chance()))
        at += seconds


def _fridge(home: Archetype, day: Day) -> Iterator[ApplianceRun]:
    rest = 2100 + 300 * day.winter  # the compressor works more in a warm kitchen
    at = -rest * day.chance()
    while at < day.length_s:
        at += rest * (0.8 + 0.4 * day.chance())
        seconds = 1000 * (0.8 + 0.4 * day.chance())
        yield ApplianceRun(at, seconds, home.fridge_w * (0.95 + 0.1 * day.chance()))
        at += seconds


def _lights(home: Archetype, day: Day) -> Iterator[ApplianceRun]:
    """Yield lamps and small loads: while people are awake and at home, more after dark."""
    up = (7.6 if day.weekend else 6.2) + 0.8 * day.chance()
    out, back = (24.0, 0.0) if day.weekend else (8.2 + day.chance(), 15.5 + 1.5 * day.chance())
    bed = 22.6 + 1.2 * day.chance()
    sunlit_h = 3.4 - 2.2 * day.winter  # hours of daylight on each side of noon, without twilight
    clock = up
    while clock < bed:
        hours = 0.15 + 0.5 * day.chance()
        if clock < out or clock > back:
            dark = abs(clock - day.noon_s / 3600) > sunlit_h + 2
            power = home.lights_w * (0.3 + 0.7 * day.chance()) * (1.0 if dark else 0.35)
            yield ApplianceRun(day.elapsed(clock * 3600), hours * 3600, power)
        clock += hours


def _sun(home: Archetype, day: Day) -> Iterator[ApplianceRun]:
    """Yield the panels' generation as negative power, from the sun's height and passing clouds."""
    tilt = math.radians(-23.44 * day.winter)
    high, wide = math.sin(LATITUDE) * math.sin(tilt), math.cos(LATITUDE) * math.cos(tilt)
    best = math.cos(LATITUDE - math.radians(23.44))
    overcast = day.chance() ** (0.85 - 0.25 * day.winter)
    clearness = 1 - overcast
    for clock_s in range(3 * 3600, 22 * 3600, CLOUD_STEP_S):
        height = high + wide * math.cos((clock_s - day.noon_s) * math.tau / DAY_S)
        if height > 0.02:
            drift = 0.35 * overcast * (1 - overcast) * 4 * (day.chance() - 0.5)
            clearness = min(1.0, max(0.08, clearness + drift + 0.1 * (1 - overcast - clearness)))
            yield ApplianceRun(day.elapsed(clock_s), CLOUD_STEP_S, -home.solar_w * clearness * (height / best) ** 1.15)


def _uses(appliance: Appliance, busy: float, day: Day) -> Iterator[ApplianceRun]:
    more = busy * max(0.0, 1 + appliance.winter * day.winter)
    for habit in appliance.habits:
        starts = more * (habit.weekend if day.weekend else habit.weekday)
        for _ in range(int(starts + day.chance())):
            clock_s = 3600 * (habit.from_h + (habit.to_h - habit.from_h) * day.chance())
            at = day.elapsed(clock_s)
            stretch = 1 + appliance.spread * (2 * day.chance() - 1)
            strength = 0.95 + 0.1 * day.chance()
            for seconds, power_w in appliance.cycle:
                yield ApplianceRun(at, seconds * stretch, power_w * strength)
                at += seconds * stretch
