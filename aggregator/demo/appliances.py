"""The catalogue of what the demo's households own: how each thing draws power, and when people start it."""

from dataclasses import dataclass
from typing import NamedTuple


class Habit(NamedTuple):
    """When an appliance is started, and how often on average. Hours are those of the clock."""

    from_h: float
    to_h: float
    weekday: float  # starts
    weekend: float  # starts


@dataclass(frozen=True, slots=True)
class Appliance:
    """What is switched on by habit. `cycle` is its phases in order, each of (seconds, W)."""

    cycle: tuple[tuple[int, int], ...]
    habits: tuple[Habit, ...]
    spread: float = 0.2  # a run is this share longer or shorter than the cycle
    winter: float = 0.0  # started this share more often at midwinter, and less at midsummer


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
