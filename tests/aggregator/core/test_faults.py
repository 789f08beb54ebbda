"""Faults, rollovers and exchanges of one register: the right values are worked out by hand in each test."""

import pytest

from aggregator.core.faults import RegisterJudgement, judge
from aggregator.core.registers import Register

DAY, HOUR = 86_400, 3600
START = 1_800_000_000
Points = list[tuple[int, int]]  # seconds after START, Wh


def steady(first_wh: int, hours: float, step: int = 10, watts: int = 1000, at: int = 0) -> Points:
    """A constant power, from `at` on; without its last reading."""
    return [(at + s, first_wh + watts * s // HOUR) for s in range(0, int(hours * HOUR), step)]


def judged(points: Points, ids: tuple[int, str, str] | None = None) -> RegisterJudgement:
    """Judge a register; `ids` are the number of readings of the first meter, and both meters' ids."""
    ordered = sorted(points)
    names = [ids and (ids[1] if n < ids[0] else ids[2]) for n in range(len(ordered))]
    return judge(Register([START + at for at, _ in ordered], [wh for _, wh in ordered], names), 100_000)


def energy(judgement: RegisterJudgement) -> int:
    return sum(piece.whs[-1] - piece.whs[0] for piece in judgement.pieces)


# A register rises at once


@pytest.mark.parametrize(
    ("known_h", "first_wh", "rise", "is_exchange"),
    [
        (2, 900_000, 2000, False),  # two hours at 1 kW: a clock was put back by them
        (2, 900_000, 3900, False),  # and at nearly twice that power
        (2, 900_000, 4100, False),  # or the clock had been ahead since before the first reading
        (48, 900_000, 47_000, False),  # nearly two days of energy within one, the longest
        (48, 900_000, 49_000, True),
        (2, 900_000, 49_000, True),
        (2, 0, 1900, False),  # a small register likewise
        (2, 0, 4100, True),  # but with a leap, more than twice what the home used in the two hours is another meter
        (0.2, 0, 5000, True),  # from 200 to 5,200 Wh: nobody used that in twelve minutes
        (2, 900_000, 9_000_000, True),
    ],
)
def test_a_register_that_rises_at_once_is_known_by_what_the_home_uses(
    known_h: float, first_wh: int, rise: int, *, is_exchange: bool
) -> None:
    """The old register's energy, the new one's, and the rise unless another meter shows it."""
    old = steady(first_wh, known_h)
    new = steady(old[-1][1] + rise, 1, at=old[-1][0] + 10)
    found = judged(old + new)
    assert len(found.pieces) == (2 if is_exchange else 1)
    assert energy(found) == old[-1][1] - first_wh + 997 + (0 if is_exchange else rise)


def test_another_meter_id_is_an_exchange_however_small_the_rise() -> None:
    old = steady(900_000, 2)
    new = steady(old[-1][1] + 1000, 1, at=old[-1][0] + 10)
    found = judged(old + new, (len(old), "a", "b"))
    assert (len(found.pieces), energy(found)) == (2, 1997 + 997)


@pytest.mark.parametrize("new_wh", [0, 3, 1500, 2900])
def test_a_smaller_register_is_an_exchange_when_it_stays(new_wh: int) -> None:
    """5 kWh on the old meter, then 2,5 kWh on the new one: 7.5 kWh, whatever the new one begins at."""
    old = steady(0, 5)
    new = steady(new_wh, 2.5, at=5 * HOUR)
    found = judged(old + new)
    assert (len(found.pieces), energy(found)) == (2, 4997 + 2497)


# Readings overshoot


def test_a_stretch_of_the_future_in_a_gap_is_dropped() -> None:
    """1 kW; an hour is missing, and the fifty minutes after two hours more are dated into it, and beyond its end."""
    points = steady(900_000, 10)
    wrong = [(at - 5400, wh) for at, wh in points[2000:2300]]
    true = points[:1260] + points[1620:2000] + points[2300:]
    known = dict(true) | dict(wrong)  # where two are of one instant, the one received last stays
    found = judged(sorted(known.items()))
    assert (len(found.pieces), energy(found)) == (1, 9997)


@pytest.mark.parametrize("rise", [20, 100, 270])
def test_a_reading_that_fits_by_chance_adds_nothing(rise: int) -> None:
    """100 W; one reading is too high by what 100 kW give in ten seconds, at most."""
    points = steady(900_000, 10, watts=100)
    points[500] = points[500][0], points[500][1] + rise
    found = judged(points)
    assert (len(found.pieces), energy(found)) == (1, 999)


@pytest.mark.parametrize(("fall", "energy_wh", "pieces"), [(500, 9983 + 2983 - 500, 1), (3000, 9983 + 2983, 2)])
def test_a_register_that_falls_for_good_is_a_dip_only_while_it_catches_up(
    fall: int, energy_wh: int, pieces: int
) -> None:
    """1 kW. A fall that is caught up with in an hour may be a dip; the energy after a larger one counts as well."""
    old = steady(900_000, 10, step=60)
    found = judged(old + steady(old[-1][1] - fall, 3, step=60, at=10 * HOUR))
    assert (len(found.pieces), energy(found)) == (pieces, energy_wh)


# Rollovers


@pytest.mark.parametrize("largest", [10**6, 2**20, 10**7, 2**24])
@pytest.mark.parametrize("days", [8, 40, 120, 300])
@pytest.mark.parametrize("has_before", [True, False])
def test_an_hour_dated_months_early_is_no_rollover(largest: int, days: int, *, has_before: bool) -> None:
    """Eight hours of 1 kW end just below the largest number; their fifth hour is dated early."""
    points = steady(largest - 9000, 8)
    before = steady(largest - 300_000, 1, at=-(days + 9) * DAY) if has_before else []
    early = [(at - days * DAY, wh) for at, wh in points[1440:1800]]
    found = judged(before + early + points[:1440] + points[1800:])
    assert (len(found.pieces), found.rollovers) == (1, [])
    assert energy(found) == points[-1][1] - (before or points)[0][1]


def test_a_lap_of_months_that_a_home_may_use_is_no_rollover() -> None:
    """1 kW is 2.9 MWh in 120 days: nothing tells how often a register of 1 MWh began again."""
    found = judged(steady(990_000, 2) + steady(1000, 2, at=120 * DAY))
    assert (len(found.pieces), found.rollovers, energy(found)) == (2, [], 1997 + 1997)


@pytest.mark.parametrize("largest", [10**6, 2**20, 10**8])
def test_an_outage_of_three_days_hides_a_rollover(largest: int) -> None:
    """1 kW all the time, 72 of the 76 hours unseen."""
    found = judged(steady(largest - 5000, 2) + steady(largest - 5000 + 74_000 - largest, 2, at=74 * HOUR))
    assert [one.modulus_wh for one in found.rollovers] == [largest]
    assert energy(found) == 74_000 + 1997


@pytest.mark.parametrize(
    ("last_wh", "silent_h", "is_rollover"), [(59_000, 0.25, False), (52_000, 2, False), (61_000, 2, True)]
)
def test_a_small_register_begins_again_where_the_home_usually_uses_so_much(
    last_wh: int, silent_h: float, *, is_rollover: bool
) -> None:
    """2.5 kW. A register of 16 bits may have rolled over; but a plug that was reset shows the same."""
    old = steady(last_wh - 10_000, 4, 300, 2500)
    new = steady(0, 4, 300, 2500, at=int((4 + silent_h) * HOUR))
    found = judged(old + new)
    assert (len(found.rollovers), len(found.pieces)) == ((1, 1) if is_rollover else (0, 2))
    unseen = 2**16 - old[-1][1] if is_rollover else 0
    assert energy(found) == old[-1][1] - old[0][1] + unseen + new[-1][1]


def test_an_exchange_in_the_hours_after_a_rollover_is_an_exchange() -> None:
    """Four hours before the rollover and ten after it; the new meter begins where the old one has been since."""
    old = steady(2**32 - 10_000, 14, 60, 2500)
    new = steady(1269, 2, 60, 2500, at=14 * HOUR)
    found = judged([(at, wh % 2**32) for at, wh in old] + new)
    assert [one.modulus_wh for one in found.rollovers] == [2**32]
    assert (len(found.pieces), energy(found)) == (2, old[-1][1] - old[0][1] + new[-1][1] - 1269)


@pytest.mark.parametrize("shown", [2**32 - 1, 10**9 - 1, 999_999])
def test_a_largest_number_shown_at_first_is_no_register(shown: int) -> None:
    found = judged([(-10 * n, shown) for n in range(1, 40)] + steady(20, 2))
    assert (found.rollovers, energy(found)) == ([], 1997)


@pytest.mark.parametrize("shown", [0, 1])
def test_a_low_number_shown_at_first_is_no_register_to_return_to(shown: int) -> None:
    """After an outage of 25 hours at 2 kW the register has risen by so much that nothing but its own past tells it."""
    points = steady(171_445, 8, 300, at=9000)
    later = steady(points[-1][1] + 50_000, 8, 300, at=points[-1][0] + 25 * HOUR)
    found = judged([(300 * n, shown) for n in range(30)] + points + later)
    assert (found.rollovers, energy(found)) == ([], later[-1][1] - 171_445)


# Garbage

GARBAGE = (69_953, 0, 78_445, 20_995, 2_099_800, 315_156, 1_702_550_797, 21_013)


@pytest.mark.parametrize("shift", range(8))
def test_garbage_of_two_hours_leaves_no_trace(shift: int) -> None:
    """Some of it could follow the register before it, at up to 100 kW; the register after it goes on for hours."""
    points = steady(200_000, 24, 900)
    wrong = dict(enumerate(GARBAGE[shift:] + GARBAGE[:shift], 40))
    found = judged([(at, wrong.get(n, wh)) for n, (at, wh) in enumerate(points)])
    assert (len(found.pieces), found.rollovers, energy(found)) == (1, [], points[-1][1] - 200_000)


@pytest.mark.parametrize(("first", "second"), [(-1000, 22_000), (1024, 4096)])
def test_hours_between_two_wrong_readings_are_no_fault(first: int, second: int) -> None:
    """The register seems to run on from the first one, or up to it; the second one is high."""
    true = steady(900_000, 24, step=60, watts=300)
    points, places = dict(true), [6 * HOUR, 8 * HOUR if first > 0 else 16 * HOUR]
    for at, by in zip(places, (first, second), strict=True):
        points[at] += by
    found = judged([*points.items()])
    assert [START + at for at, _ in true if at not in places] == found.pieces[0].ats


def test_a_short_stretch_of_the_register_among_zeros_counts() -> None:
    points = steady(900_000, 3, 60)
    found = judged([(at, 0 if n in range(60, 70) or n in range(72, 80) else wh) for n, (at, wh) in enumerate(points)])
    assert START + 71 * 60 in found.pieces[0].ats
    assert energy(found) == points[-1][1] - 900_000


def test_a_stretch_of_the_future_beside_an_exchange_is_dropped() -> None:
    """A new meter begins at 12 kWh; before its first readings stand some of six hours later."""
    old, new = steady(900_000, 5, 60), steady(12_000, 10, 60, at=5 * HOUR + 600)
    wrong = steady(18_000, 0.13, 60, at=5 * HOUR + 60)
    found = judged(old + wrong + [one for n, one in enumerate(new) if not 360 <= n < 360 + len(wrong)])
    assert (len(found.pieces), energy(found)) == (2, 4983 + 9983)


# Other units, other meters


def test_a_register_rounded_down_from_now_on_keeps_its_sum() -> None:
    """1 kW for five hours in Wh and for five more in whole kWh: from 900,000 to 909,000 Wh."""
    points = [(at, wh if at < 5 * HOUR + 1800 else wh // 1000 * 1000) for at, wh in steady(900_000, 10)]
    found = judged(points)
    assert (len(found.pieces), energy(found)) == (1, 9000)


def test_a_count_of_a_whole_kwh_after_a_spike_counts() -> None:
    """A kWh within 30 s would be 120 kW, but the register counts no less."""
    whs = [55_269_000] * 92 + [63_094_053] + [55_269_000] * 25 + [55_270_000] * 122
    found = judged([(30 * n, wh) for n, wh in enumerate(whs)])
    assert (len(found.pieces), energy(found)) == (1, 1000)


@pytest.mark.parametrize("step", [10, 300])
def test_kilowatt_hours_taken_for_watt_hours_are_dropped(step: int) -> None:
    points = [(at, wh // 1000 if 3 * HOUR <= at < 5 * HOUR else wh) for at, wh in steady(900_000, 10, step)]
    found = judged(points)
    assert (len(found.pieces), energy(found)) == (1, 10_000 - (3 if step == 10 else 84))


@pytest.mark.parametrize("other_wh", [3_000_000, 12_345])
def test_of_two_meters_in_turn_the_first_one_counts(other_wh: int) -> None:
    points = steady(900_000, 3)
    shown = [(at, other_wh + (wh - 900_000) // 3 if n % 2 else wh) for n, (at, wh) in enumerate(points[:-1])]
    found = judged([*shown, points[-1]])
    assert (len(found.pieces), energy(found)) == (1, 2997)
