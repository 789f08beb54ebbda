import pytest

from aggregator.core.documents import Device, Part
from aggregator.core.live import Live
from aggregator.store.port import Store
from dashboard.charts.view import View
from dashboard.pages.household import page_callbacks, start_page
from dashboard.text.language import ENGLISH
from dashboard.web.cache import open_cache
from dashboard.web.cached_reads import CachedReads
from tests.dashboard import homes
from tests.dashboard.homes import NOW, measured
from tests.dashboard.people import MEMBER, dashboard


@pytest.fixture
def data(store: Store) -> CachedReads:
    return CachedReads(store, open_cache(dashboard(store).server, ""), lambda: NOW)


def page_text(data: CachedReads) -> str:
    """Return the start page with all its content."""
    return repr(start_page.home_content(data, MEMBER, ENGLISH))


def test_a_page_without_devices_explains_the_start(data: CachedReads) -> None:
    assert "Your first reading has not arrived yet" in page_text(data)


def test_a_card_shows_power_level_and_the_days_energy(data: CachedReads, store: Store) -> None:
    homes.fill(store, Device("cad-1"), "2026-11-23", NOW, lambda _: measured(100))
    store.put_live([homes.live("cad-1", 612)])
    page = page_text(data)
    assert all(f"'{text}'" in page for text in ("612", "medium", "2.90 kWh today", "4 s ago", "1 sending"))


def test_a_card_has_the_hours_of_today_as_bars(data: CachedReads, store: Store) -> None:
    for name in ("cad-1", "cad-2"):
        homes.fill(store, Device(name), "2026-11-23", NOW, lambda _: measured(100))
    page = page_text(data)
    assert page.count("I(style={'height': '100%'})") == 2 * 14
    assert page.count("I(style={'height': '0%'})") == 2 * 9  # the hours to come


def test_a_card_and_the_device_page_show_the_same_level(data: CachedReads, store: Store) -> None:
    homes.fill(store, Device("cad-flat"), "2026-11-21", NOW, lambda _: measured(30))
    homes.fill(store, Device("cad-house"), "2026-11-21", NOW, lambda _: measured(900))
    store.put_live([homes.live("cad-flat", 612), homes.live("cad-house", 612)])
    page = page_text(data)
    assert "'high'" in page
    assert "'low'" in page
    assert "'medium'" not in page


def test_a_card_names_the_kind_of_a_meter_that_is_not_electricity(data: CachedReads, store: Store) -> None:
    for device in (Device("cad-1", household=homes.HOUSEHOLD), Device("cad-1~gas", kind="gas")):
        store.put_device(device)
    store.put_device(Device("cad-2", household=homes.HOUSEHOLD))
    page = page_text(data)
    assert "'cad-1 · Gas'" in page
    assert "'cad-1'" in page


def test_a_second_meter_has_the_name_of_its_home(data: CachedReads, store: Store) -> None:
    for device in (
        Device("cad-1", household=homes.HOUSEHOLD, name="12 Acacia Road"),
        Device("cad-1~gas", kind="gas"),
        Device("cad-2", household=homes.HOUSEHOLD),
    ):
        store.put_device(device)
    assert "'12 Acacia Road · Gas'" in page_text(data)
    gas = page_callbacks.show_page(data, MEMBER, View("household", "cad-1~gas"), "", ENGLISH)
    assert "'12 Acacia Road · Gas'" in repr(gas["place.children"])
    kept = store.device("cad-1~gas")
    assert kept
    assert kept.name == ""


def test_a_home_leads_to_its_gas_meter_also_without_data(data: CachedReads, store: Store) -> None:
    homes.fill(store, Device("cad-1", household=homes.HOUSEHOLD), "2026-11-23", NOW)
    store.put_device(Device("cad-1~gas"))
    page = page_callbacks.show_page(data, MEMBER, View("home"), "", ENGLISH)
    assert "A(children='no data', href='/d/cad-1~gas/day/2026-11-23')" in repr(page["facts.children"])


def test_a_card_of_gas_has_todays_cubic_metres(data: CachedReads, store: Store) -> None:
    gas = Device("cad-gas", kind="gas", registers=("volume_l",))
    homes.fill(
        store, gas, "2026-11-23", homes.instant("2026-11-23T01:00:00+00:00"), lambda _: Part(None, None, volume_l=750)
    )
    assert "'16.8 kWh, 1.50 m³ today'" in page_text(data)


def test_a_half_hourly_meter_between_two_readings_misses_nothing(data: CachedReads, store: Store) -> None:
    last = NOW - NOW % 1800 - 1800  # 50 minutes ago
    device = Device("cad-1", household=homes.HOUSEHOLD)
    homes.fill(store, device, "2026-11-23", last)
    for at in range(last - 8 * 1800, last + 1, 1800):
        store.put_live([Live("cad-1", at, at, None, 5, None, None)])
    for level, period in (("day", "2026-11-23"), ("month", "2026-11")):
        slots = page_callbacks.show_page(data, MEMBER, View("household", "cad-1", level, period), None, ENGLISH)
        assert "missing" not in str(slots["remarks.children"])
        assert "missing" not in str(slots["more-legend.children"] if level == "month" else "")


def test_a_silent_device_shows_its_last_time_without_a_ticking_age(data: CachedReads, store: Store) -> None:
    store.put_device(Device("cad-1", household=homes.HOUSEHOLD))
    store.put_live([homes.live("cad-1", 433, age=3600)])
    page = page_text(data)
    assert "No reading since 13:20" in page
    assert "last known" in page
    assert "data-age" not in page


def test_a_home_has_its_gas_and_its_panels_beside_its_electricity(data: CachedReads, store: Store) -> None:
    """By hand: half hours of 100 Wh in, 300 Wh out and 400 Wh made: 14.5 h have 2.90, 8.70 and 11.6 kWh."""
    until = homes.instant("2026-11-23T14:30:00+00:00")
    for device, energy in (
        (Device("cad-1"), measured(100, 300)),
        (Device("cad-1~gas", kind="gas"), measured(500)),
        (Device("cad-1~solar", kind="generation"), measured(400)),
    ):
        homes.fill(store, device, "2026-11-23", until, lambda _, energy=energy: energy)  # type: ignore[misc]
    page = page_callbacks.show_page(data, MEMBER, View("home"), "", ENGLISH)  # it is the household's only home
    facts = repr(page["facts.children"])
    for words in ("'14.5 kWh'", "'11.6 kWh'", "'2.90 kWh, 25 %'", "'50 %'"):
        assert words in facts
    for meter in ("cad-1~gas", "cad-1~solar"):
        assert f"href='/d/{meter}/day/2026-11-23'" in facts
    gas = page_callbacks.show_page(data, MEMBER, View("household", "cad-1~gas"), "", ENGLISH)
    assert "Made by the panels" not in repr(gas["facts.children"])
