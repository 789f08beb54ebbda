import pytest

from aggregator.core.documents import Device
from aggregator.core.live import Arrival, Live
from aggregator.tariffs.rates import Rate
from dashboard.charts.usage_profile import UsageProfile
from dashboard.pages.household import live_tile
from dashboard.pages.household.live_tile import Home
from dashboard.pages.household.slots import Slots
from dashboard.text.language import ENGLISH
from tests.dashboard.homes import LONDON, NOW, instant, live

PENCE = 10**8  # a penny for a kWh, in units per Wh
DEVICE = Device("cad-1", LONDON)
HOME = Home(DEVICE)
QUIET = UsageProfile(200, 800, is_own=True)


def hero(state: Live | None, home: Home = HOME) -> Slots:
    return {**live_tile.slots(state, home, NOW, ENGLISH), **live_tile.lasting(home, ENGLISH)}


def costs(watts: int, imported: int | None, exported: int | None = 0) -> object:
    """Return the tile's cost at a power, with rates in units per Wh."""
    return hero(live("cad-1", watts), Home(DEVICE, rate=Rate(imported, exported), currency="GBP"))[
        "power-cost.children"
    ]


@pytest.mark.parametrize(("watts", "word"), [(120, "low"), (612, "medium"), (2875, "high"), (-5, "exporting")])
def test_the_level_is_a_word_and_not_only_a_colour(watts: int, word: str) -> None:
    slots = hero(live("cad-1", watts))
    assert slots["power-badge.children"] == slots["hero.data-level"] == word


def test_the_level_is_relative_to_this_home() -> None:
    assert hero(live("cad-1", 900), Home(DEVICE, QUIET))["power-badge.children"] == "high"
    sentence = live_tile.lasting(Home(DEVICE, QUIET), ENGLISH)["power-badge.title"]
    assert sentence == "For this home, low is below 200 W and high is from 800 W"
    usual = live_tile.lasting(Home(DEVICE, UsageProfile()), ENGLISH)["power-badge.title"]
    assert usual == "Low is below 500 W, high is from 2.00 kW, until a day is known of this home"


def test_the_direction_is_named_and_export_has_no_minus() -> None:
    assert hero(live("cad-1", 612))["power-direction.children"] == " · importing"
    slots = hero(live("cad-1", -1240))
    assert (slots["power-number.children"], slots["power-unit.children"]) == ("1.24", " kW")
    assert (slots["power-direction.children"], slots["power-badge.children"]) == ("", "exporting")


def test_an_hour_at_this_power_has_a_price() -> None:
    assert costs(612, 2450_0000 * 100) == "15 p an hour at this power"
    assert costs(4600, 30 * PENCE) == "£1.38 an hour at this power"


def test_export_earns() -> None:
    assert costs(-1240, 25 * PENCE, 15 * PENCE) == "earning 18.6 p an hour"
    assert costs(-1240, 25 * PENCE, -2 * PENCE) == "paying 2.5 p an hour for export"


def test_a_negative_price_is_money_for_the_home() -> None:
    assert costs(1000, -4 * PENCE) == "you are paid 4 p an hour"


def test_a_cost_of_zero_is_not_shown() -> None:
    assert costs(1000, 0) == costs(0, 25 * PENCE) == costs(-800, 25 * PENCE, 0) == ""
    assert hero(live("cad-1", 612))["power-cost.children"] == ""


def test_an_unknown_price_is_not_free() -> None:
    assert costs(1000, None) == "no price known for now"


def test_unreported_power_is_not_zero() -> None:
    slots = hero(live("cad-1", None))
    assert (slots["power-number.children"], slots["power-without.children"]) == ("", "power not reported")
    assert slots["power-badge.children"] == slots["power-direction.children"] == ""
    assert hero(live("cad-1", 0))["power-number.children"] == "0"


def test_a_silent_device_shows_its_last_known_power_without_a_cost() -> None:
    came = instant("2026-11-23T14:02:00+00:00")
    last = Live("cad-1", came - 300, came, 433, None, None, None)
    slots = hero(last, Home(DEVICE, rate=Rate(25 * PENCE, 0), currency="GBP"))
    assert (slots["power-number.children"], slots["power-badge.children"]) == ("433", "last known")
    assert slots["power-note.children"] == "No reading since 14:02, the device may be offline"
    assert slots["power-cost.children"] == slots["power-direction.children"] == ""
    assert slots["live.data"] == {"age": None, "power_w": None}


@pytest.mark.parametrize(("rhythm", "age"), [(10, 60), (300, 200), (300, 900), (1800, 1200), (1800, 5400)])
def test_a_device_that_keeps_its_rhythm_is_not_late(rhythm: int, age: int) -> None:
    before = tuple(Arrival(NOW - age - rhythm * back, NOW - age - rhythm * back) for back in (3, 2, 1))
    slots = hero(live("cad-1", 433, age)._replace(arrivals=before))
    assert (slots["hero.data-state"], slots["power-note.children"]) == ("sending", "")
    assert (slots["power-badge.children"], slots["live.data"]["age"]) == ("low", age)


def test_a_new_reading_is_not_late_by_its_meters_clock() -> None:
    slots = hero(Live("cad-1", NOW - 1500, NOW - 2, 433, None, None, None))
    assert (slots["hero.data-state"], slots["power-note.children"]) == ("sending", "")
    assert slots["live.data"]["age"] == 1500


def test_a_late_reading_is_marked_and_its_age_ticks() -> None:
    slots = hero(live("cad-1", 433, age=75))
    assert slots["power-note.children"] == " · late"
    assert slots["live.data"]["age"] == 75


def test_a_power_older_than_the_newest_reading_has_its_own_age() -> None:
    """Case 07: power every 10 s, then the register alone 3 s later."""
    slots = hero(live("cad-1", 1200)._replace(power_at=NOW - 7))
    assert (slots["power-number.children"], slots["power-unit.children"]) == ("1.20", " kW")
    assert slots["live.data"]["age"] == 7
    assert (slots["hero.data-state"], slots["power-note.children"]) == ("sending", "")
    assert (slots["power-badge.children"], slots["power-direction.children"]) == ("medium", " · importing")


def test_a_power_of_long_before_the_newest_reading_is_the_last_known() -> None:
    before = tuple(Arrival(NOW - 4 - 10 * back, NOW - 4 - 10 * back) for back in range(8, 0, -1))
    rate = Rate(25 * PENCE, 0)
    state = live("cad-1", 1200)._replace(arrivals=before, power_at=NOW - 7200)
    slots = hero(state, Home(DEVICE, rate=rate, currency="GBP"))
    assert (slots["hero.data-state"], slots["hero.data-level"]) == ("sending", "unknown")
    assert (slots["power-badge.children"], slots["power-cost.children"]) == ("last known", "")
    assert slots["live.data"]["age"] == 7200
    assert slots["power-note.children"] == " · no power since"
    assert hero(state._replace(power_at=NOW - 64))["power-badge.children"] == "medium"


def test_a_silent_device_says_since_when_its_power_is_unknown() -> None:
    came = instant("2026-11-23T14:02:00+00:00")
    slots = hero(Live("cad-1", came, came, 433, 1, None, None, power_at=came - 3600))
    assert slots["power-note.children"] == ("No reading since 14:02, no power since 13:02, the device may be offline")


def test_a_device_without_a_reading_waits_for_the_first() -> None:
    slots = hero(None)
    assert slots["power-without.children"] == "no reading yet"
    assert slots["power-note.children"] == "Waiting for the first reading"


def test_a_home_of_the_supplier_alone_waits_for_nothing() -> None:
    supplied = Home(Device("cad-1", LONDON, longest_interval_s=1800))
    slots = hero(None, supplied)
    assert (slots["power-without.children"], slots["hero.data-level"]) == ("no live power", "none")
    assert slots["power-note.children"] == "Its energy comes from the supplier"
    assert hero(live("cad-1", 612), supplied)["power-badge.children"] == "medium"


def test_a_gas_meter_has_no_power_and_its_age() -> None:
    slots = hero(live("cad-1~gas", None), Home(Device("cad-1~gas", LONDON, kind="gas")))
    assert (slots["power-without.children"], slots["hero.data-level"]) == ("no live power", "none")
    assert (slots["hero.data-state"], slots["live.data"]["age"]) == ("sending", 4)


def test_the_tile_of_gas_is_called_gas_and_says_how_often_it_is_read() -> None:
    arrivals = tuple(Arrival(NOW - 1800 * back, NOW - 1800 * back) for back in (3, 2, 1))
    read = Live("cad-1~gas", NOW, NOW, None, 5_000_000, None, None, arrivals=arrivals)
    slots = hero(read, Home(Device("cad-1~gas", LONDON, kind="gas")))
    assert (slots["power-name.children"], slots["power-without.children"]) == ("Gas", "read every 30 min")
    assert hero(live("cad-1", 612))["power-name.children"] == "Power now"


def test_the_roll_call_counts_homes_of_the_supplier_apart() -> None:
    supplied, plain = Device("cad-2", LONDON, longest_interval_s=1800), DEVICE
    states = [(plain, live("cad-1", 612)), (supplied, None), (plain, None)]
    assert live_tile.roll_call(states, NOW, ENGLISH) == (
        "1 sending · 1 from the supplier · 1 waiting for a first reading"
    )
