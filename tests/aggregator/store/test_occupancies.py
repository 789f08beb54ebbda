"""Occupancies: every day of a meter belongs to exactly one household, and each sees its own days of each chart."""

from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from aggregator.core import periods
from aggregator.core.documents import Device, Document, Part, add
from aggregator.core.registers import parse_overrides
from aggregator.store.occupancies import (
    households,
    moved,
    occupancies,
    own_days,
    parts_above,
    seen_by,
    stays,
    tariff_text_on,
)
from tests.budgets import examples

ZONE = "Australia/Lord_Howe"
FIRST = date(2024, 11, 20)
CALENDAR = [(FIRST + timedelta(number)).isoformat() for number in range(500)]  # with two turns of the year
UNMOVED = Device("cad", ZONE)


def chart(level: str, period: str, wh: dict[str, int], device: Device = UNMOVED) -> Document | None:
    """Return the chart of a period as the waterfall stores it, each day with its own energy."""
    parts: dict[str, Part | None] = {"h00": Part(wh[period], None)} if period in wh else {}
    if child := periods.LEVELS[level].child:
        for below in periods.children(level, period).values():
            parts |= parts_above(device, level, below, chart(child, below, wh, device))
    known = {name: part for name, part in parts.items() if part}
    return Document(level, "cad", period, ZONE, known) if known else None


@st.composite
def histories(draw: st.DrawFn) -> Device:
    """A device that was given away up to six times, also back, and to nobody."""
    device = Device("cad", ZONE, household=draw(st.sampled_from(["", "a", "b"])), tariff="t0")
    for number, day in enumerate(sorted(draw(st.sets(st.sampled_from(CALENDAR), max_size=6))), 1):
        others = [one for one in ("", "a", "b", "c") if one != device.household]
        device = replace(moved(device, draw(st.sampled_from(others)), day), tariff=f"t{number}")
    return device


@given(histories(), st.dictionaries(st.sampled_from(CALENDAR), st.integers(1, 10**6), min_size=1, max_size=60))
@examples(100)
def test_every_chart_of_a_household_is_the_sum_of_its_own_days(device: Device, wh: dict[str, int]) -> None:
    def read(level: str, period: str) -> Document | None:
        return chart(level, period, wh, device)

    for household in {*households(device), "stranger"}:
        seen = seen_by(device, household)
        if seen is None:
            assert household == "stranger"
            continue
        newest = next(one for one in reversed(occupancies(device)) if one.household == household)
        own = {day: energy for day, energy in wh.items() if newest.first <= day <= newest.last}
        for level in periods.LEVELS:
            for period in {periods.containing(level, "day", day) for day in wh}:
                assert own_days(seen, read)(level, period) == chart(level, period, own)


@given(histories())
@examples(100)
def test_every_day_belongs_to_one_occupancy_and_costs_by_its_tariff(device: Device) -> None:
    for day in CALENDAR:
        owners = [one for one in occupancies(device) if one.first <= day <= one.last]
        assert [one.tariff for one in owners] == [tariff_text_on(device, day)]
        told = [tariff_text_on(stay, day) for one in {*households(device)} for stay in stays(device, one)]
        assert [text for text in told if text] == [one.tariff for one in owners if one.household]  # its own days alone


def test_the_parts_of_a_shared_month_add_up_to_it() -> None:
    device = moved(Device("cad", ZONE, household="a"), "b", "2024-12-17")
    wh = {day: 1000 + number for number, day in enumerate(CALENDAR)}
    both = [seen_by(device, household) for household in ("a", "b")]
    for level, period in (("month", "2024-12"), ("year", "2024")):
        own = [
            own_days(one, lambda level, period: chart(level, period, wh, device))(level, period) for one in both if one
        ]
        whole = chart(level, period, wh)
        assert whole
        assert add(one.total for one in own if one) == whole.total


def test_an_exchange_is_told_to_the_household_of_its_time() -> None:
    exchange = periods.day_start("2024-12-10", "Europe/London")
    device = moved(Device("cad", household="a", exchange_overrides=f"{exchange}+"), "b", "2024-12-17")
    told = {
        household: parse_overrides(one.exchange_overrides) for household in "ab" if (one := seen_by(device, household))
    }
    assert [(household, len(found)) for household, found in told.items()] == [("a", 1), ("b", 0)]
