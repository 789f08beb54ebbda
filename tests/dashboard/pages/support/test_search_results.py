from dataclasses import replace

import pytest

from aggregator.core.documents import Device
from aggregator.core.live import Live
from aggregator.support.fleet import MOST_LISTED, STATES, Summary
from dashboard.pages.support import search_results
from dashboard.text.language import ENGLISH
from tests.dashboard.homes import NOW
from tests.dashboard.support_desks import DEVICE

COUNTS = {"sending": 98_812, "late": 340, "silent_10_minutes": 121, "silent_1_day": 27, "never": 700}
SUMMARY = Summary(
    NOW,
    100_000,
    {**dict.fromkeys(STATES, 0), **COUNTS},
    {"v2.0.2": 80_000, "a/b?c&d": 15_000, "others": 5_000},
    {"bad_time": 3, "malformed_json": 1_200},
    41,
    0,
    None,
)


def test_a_list_identifies_devices_with_masked_meter_points() -> None:
    one = search_results.search_result(DEVICE)
    assert (one.url, one.name, one.device_id) == ("/desk/device/cad-1", "12 Acacia Road", "cad-1")
    assert one.details == ["WF123", "•••• •••• 5678", "hh-1", "SW1A 1AA"]
    assert DEVICE.meter_point not in str(one)


def test_a_device_without_labels_goes_by_its_id() -> None:
    one = search_results.search_result(Device("cad:9"))
    assert (one.name, one.details, one.url) == ("cad:9", [], "/desk/device/cad%3A9")


def test_a_list_shows_the_age_of_the_last_reading() -> None:
    live = Live("cad-1", NOW - 7200, NOW - 7200, 1, None, None, None)
    assert search_results.search_result(DEVICE, live, NOW, ENGLISH).heard == "2 h ago"
    assert search_results.search_result(DEVICE, None, NOW, ENGLISH).heard == "never"


def test_fleet_counts_by_state_link_to_their_devices() -> None:
    fleet = search_results.fleet_view(SUMMARY, ENGLISH)
    assert (fleet.sending.number, fleet.sending.url) == ("98,812", "/desk/fleet/sending")
    assert (fleet.late.number, fleet.never.number, fleet.silent.number) == ("340", "700", "148")
    assert [(one.name, one.number, one.url) for one in fleet.silences] == [
        ("10 min to 1 h", "121", "/desk/fleet/silent_10_minutes"),
        ("1 to 7 days", "27", "/desk/fleet/silent_1_day"),
    ]
    assert (fleet.refused, fleet.refused_devices.url) == ("1,203", "/desk/fleet/refused")
    assert fleet.reasons == [("not JSON, or cut off", "1,200"), ("no usable time", "3")]


def test_any_firmware_name_is_linked_safely() -> None:
    plain, odd, others = search_results.fleet_view(SUMMARY, ENGLISH).firmwares
    assert (plain.name, plain.number, plain.share) == ("v2.0.2", "80,000", 80.0)
    assert odd.url == "/desk/fleet/firmware?name=a%2Fb%3Fc%26d"
    assert (others.name, others.url) == ("others", "/desk/fleet/firmware?name=others")


def test_every_state_has_a_name() -> None:
    assert set(search_results.STATE_NAMES) == set(STATES)


@pytest.mark.parametrize(
    ("waiting", "since", "expected", "tone"),
    [
        (0, None, "up to date", "good"),
        (3, NOW - 2, "2 s behind", "good"),
        (300, NOW - 90, "1 min behind", "good"),
        (300, NOW - 119, "1 min behind", "warn"),
        (9_000, NOW - 7200, "2 h behind", "bad"),
        (None, None, "not known", "unknown"),
    ],
)
def test_the_waterfall_is_as_late_as_its_oldest_change(
    waiting: int | None, since: int | None, expected: str, tone: str
) -> None:
    fleet = search_results.fleet_view(replace(SUMMARY, waiting=waiting, waiting_since=since), ENGLISH)
    assert (fleet.lag, fleet.lag_tone) == (expected, tone)


@pytest.mark.parametrize(
    ("waiting", "devices", "expected"),
    [(1, 1, "of 1 device"), (700, 41, "of 41 devices"), (9_000, 41, "of 41 devices or more"), (0, 0, "of 0 devices")],
)
def test_the_lag_links_to_its_devices(waiting: int, devices: int, expected: str) -> None:
    summary = replace(SUMMARY, waiting=waiting, waiting_since=NOW - 90, waiting_devices=devices)
    count = search_results.fleet_view(summary, ENGLISH).waiting
    assert (count.name, count.url) == (expected, "/desk/fleet/waiting")


def test_a_fleet_without_devices_is_shown_as_such() -> None:
    empty = search_results.fleet_view(Summary(NOW, 0, dict.fromkeys(STATES, 0), {}, {}, 0, 0, None), ENGLISH)
    assert (empty.devices, empty.sending.number, empty.sending.share, empty.silences) == (0, "0", 0.0, [])


def test_a_list_shows_its_range_and_end() -> None:
    assert search_results.listed_words(120, 51, 100, ENGLISH) == "51 to 100 of 120"
    assert "no more than these are listed" in search_results.listed_words(MOST_LISTED, 1, 50, ENGLISH)


@pytest.mark.parametrize(
    ("group", "name", "title"),
    [
        ("late", "", "Devices: Late"),
        ("silent", "", "Silent devices"),
        ("silent_1_hour", "", "Devices silent for 1 h to 1 day"),
        ("firmware", "v2.0.2", "Devices with firmware v2.0.2"),
        ("refused", "", "Devices with refused messages today"),
        ("waiting", "", "Devices with changes that are not in the charts yet, who waits longest first"),
    ],
)
def test_a_lists_title_names_its_group(group: str, name: str, title: str) -> None:
    assert search_results.list_title(group, name, ENGLISH) == title
