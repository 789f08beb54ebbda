"""Search of devices and lists of live states, on every store."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from aggregator.core.documents import Device, Part
from aggregator.core.errors import ConfigurationError
from aggregator.core.live import REMEMBERED, Live
from aggregator.core.periods import FIRST_DAY, LAST_DAY
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store import Store
from aggregator.store.occupancies import Occupancy, moved, occupancies, seen_by
from aggregator.waterfall.levels import move
from aggregator.waterfall.pricing import PRICES
from tests.contract.conftest import Another

ACACIA = Device("cad-0042", household="h1", name="12 Acacia Road", serial="GEO-1944Z", meter_point="1012345678901")
PARK = Device("cad-0043", household="h1", name="3 Park Road", postcode="SW1A 1AA", meter_point="2012345678777")
LANE = Device("p1-7", "Europe/Berlin", 5000, ("import_wh",), "{}", household="h10", name="Park Lane 12")
ALL = (ACACIA, PARK, LANE)


def put(store: Store, *devices: Device) -> None:
    for device in devices:
        store.put_device(device)


def test_labels_are_stored_and_removed(either: Store) -> None:
    put(either, *ALL)
    assert [either.device(device.device_id) for device in ALL] == [*ALL]
    assert list(either.devices()) == [*ALL]
    put(either, Device("cad-0042", postcode="N1"))
    assert either.device("cad-0042") == Device("cad-0042", postcode="N1")


def test_how_messages_are_read_is_stored_and_removed(either: Store) -> None:
    told = Device("p1-7", kind="gas", netting="sum", stamp_on_arrival=True, is_total_import=True)
    told = moved(replace(told, household="acacia", name="Villa"), "willow", "2026-11-10")
    put(either, told)
    assert either.device("p1-7") == told
    put(either, Device("p1-7"))
    assert either.device("p1-7") == Device("p1-7")


def test_a_too_long_label_is_a_configuration_error(either: Store) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        either.put_device(Device("d", name="x" * 81))
    assert either.device("d") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cad-0042", ["cad-0042"]),
        ("CAD", ["cad-0042", "cad-0043"]),
        ("0043", ["cad-0043"]),
        ("geo", ["cad-0042"]),
        ("44z", ["cad-0042"]),
        ("1012345678901", ["cad-0042"]),
        ("20123", []),
        ("8777", ["cad-0043"]),
        ("5678901", []),
        ("2012 3456 78777", ["cad-0043"]),
        ("h1", ["cad-0042", "cad-0043", "p1-7"]),
        ("h10", ["p1-7"]),
        ("acac", ["cad-0042"]),
        ("park", ["p1-7", "cad-0043"]),
        ("road", ["cad-0042", "cad-0043"]),
        ("sw1a", ["cad-0043"]),
        ("SW1A 1AA", ["cad-0043"]),
        ("1aa", ["cad-0043"]),
        ("park road", ["cad-0043"]),
        ("road park", ["cad-0043"]),
        ("12 park", ["p1-7"]),
        ("12 lane acacia", []),
        ("p1-7", ["p1-7"]),
        ("zz", []),
        ("c", []),
        ("", []),
        ("=h1=", ["cad-0042", "cad-0043", "p1-7"]),
        ("%", []),
        ("\ud800\x00", []),
        ("x" * 10_000, []),
    ],
)
def test_a_part_of_what_people_know_finds_devices(either: Store, text: str, expected: list[str]) -> None:
    put(either, *ALL)
    assert either.find_devices(text, 10) == expected


def test_a_search_is_limited_and_its_order_is_stable(either: Store) -> None:
    put(either, *(Device(f"cad-{number:03d}", name="Park Road") for number in range(230)))
    assert either.find_devices("cad", 20) == [f"cad-{number:03d}" for number in range(20)]
    assert either.find_devices("park", 120) == [f"cad-{number:03d}" for number in range(120)]
    twenties = [f"cad-{number:03d}" for number in range(220, 230)]
    assert either.find_devices("park 22", 20) == [*twenties, "cad-022", "cad-122"]
    assert len(either.find_devices("road", 1000)) == 230
    assert either.find_devices("road", 0) == []


def test_a_renamed_device_is_not_found_by_its_old_name(either: Store) -> None:
    put(either, *ALL)
    put(either, replace(ACACIA, name="7 Oak Hill", meter_point="", serial="NEW-1"))
    for text in ("acacia", "12 acacia", "8901", "geo"):
        assert either.find_devices(text, 10) == []
    assert either.find_devices("oak", 10) == either.find_devices("new1", 10) == ["cad-0042"]
    assert either.find_devices("cad", 10) == ["cad-0042", "cad-0043"]
    put(either, ACACIA)
    assert either.find_devices("acacia", 10) == either.find_devices("8901", 10) == ["cad-0042"]
    assert either.find_devices("oak", 10) == []


def test_a_household_has_its_own_devices_and_no_other_s(either: Store) -> None:
    put(either, *reversed(ALL), Device("cad-1", household="h1=h10"), Device("cad-2", household="H1"))
    assert either.household_devices("h1") == ["cad-0042", "cad-0043"]
    assert either.household_devices("h10") == ["p1-7"]
    assert either.household_devices("h1=h10") == ["cad-1"]
    for none in ("", "h", "h2", "h1=", "=h1", " h1", "\ud800"):
        assert either.household_devices(none) == []


def test_kind_and_conversion_are_stored_and_removed(either: Store) -> None:
    gas = Device("meter", kind="gas", conversion='{"volume_factor": "1"}', registers=("volume_l",))
    put(either, gas)
    assert either.device("meter") == gas
    put(either, replace(gas, kind="electricity", conversion=""))
    assert either.device("meter") == Device("meter", registers=("volume_l",))


def test_a_second_meter_has_the_home_of_its_sender(either: Store) -> None:
    gas = Device(
        "cad-0043~gas", "UTC", registers=("import_wh",), name="Gas", household="h10", postcode="N1", kind="gas"
    )
    put(either, gas)
    assert either.device(gas.device_id) == replace(gas, household="", postcode="")
    put(either, *ALL, Device("cad-0043~1"), Device("cad-00430", household="h2"), Device("cad-00430~gas"))
    home = replace(gas, household="h1", postcode="SW1A 1AA")
    assert either.device(gas.device_id) == home
    assert [device for device in either.devices() if device.device_id == gas.device_id] == [home]
    assert either.household_devices("h1") == ["cad-0042", "cad-0043", "cad-0043~1", "cad-0043~gas"]
    assert either.find_devices("0043gas", 10) == ["cad-0043~gas"]
    assert either.find_devices("h10", 10) == ["p1-7"]


def test_a_second_meter_goes_with_the_device_that_reads_it(another: Another) -> None:
    reader, writer = another(), another()
    put(writer, *ALL, Device("cad-0042~gas"))
    assert reader.household_devices("h1") == ["cad-0042", "cad-0042~gas", "cad-0043"]
    put(writer, replace(ACACIA, household="h10"))
    assert reader.household_devices("h1") == ["cad-0043"]
    assert reader.household_devices("h10") == ["cad-0042", "cad-0042~gas", "p1-7"]
    gas = reader.device("cad-0042~gas")
    assert gas
    assert gas.household == "h10"
    put(writer, replace(gas, name="Gas"))  # a change of the meter keeps no household
    put(writer, replace(ACACIA, household=""))
    assert reader.household_devices("h10") == ["p1-7"]
    assert reader.device("cad-0042~gas") == Device("cad-0042~gas", name="Gas")


def test_a_moved_device_belongs_to_the_new_household_alone(another: Another) -> None:
    reader, writer = another(), another()
    put(writer, *ALL)
    assert reader.household_devices("h1") == ["cad-0042", "cad-0043"]
    put(writer, replace(ACACIA, household="h10"))
    assert reader.household_devices("h1") == ["cad-0043"]
    assert reader.household_devices("h10") == ["cad-0042", "p1-7"]
    put(writer, replace(LANE, household=""))
    assert reader.household_devices("h10") == ["cad-0042"]


def test_a_device_that_registers_itself_can_be_found(either: Store) -> None:
    ingest(either, [Reading("glow-ab12", 1_795_000_200, 5, 6, None)], 1_795_000_300, "UTC")
    assert either.find_devices("glow", 5) == either.find_devices("ab12", 5) == ["glow-ab12"]


def test_concurrent_renames_leave_the_last_name_searchable(another: Another) -> None:
    names = [f"{word} House" for word in ("Oak", "Elm", "Ash", "Yew", "Fir")]
    stores, ready = [another() for _ in names], threading.Barrier(len(names))
    put(stores[0], ACACIA)

    def rename(number: int) -> None:
        ready.wait()
        for name in (names[number], "12 Acacia Road", names[number]):
            stores[number].put_device(replace(ACACIA, name=name))

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(rename, range(len(names))))
    left = stores[0].device("cad-0042")
    assert left is not None
    found = [name for name in (*names, "12 Acacia Road") if stores[0].find_devices(name, 5)]
    assert found == [left.name]
    assert stores[0].find_devices("house", 5) == (["cad-0042"] if "House" in left.name else [])


# live states


def test_two_writers_leave_the_arrivals_in_order(another: Another) -> None:
    stores, ready = [another() for _ in range(2)], threading.Barrier(2)
    sent = [Live("cad-1", 1000 + 10 * number, 1003 + 10 * number, number, None, None, None) for number in range(20)]

    def send(writer: int) -> None:
        ready.wait()
        for state in sent[writer::2]:
            stores[writer].put_live([state])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(send, range(2)))
    live = stores[0].live("cad-1")
    assert live
    assert live._replace(arrivals=()) == sent[-1]
    assert list(live.arrivals) == sorted({*live.arrivals})
    assert {*live.arrivals} < {(state.at, state.received_at) for state in sent[:-1]}
    assert len(live.arrivals) == REMEMBERED  # each writer alone makes ten


def test_live_states_are_listed_once_each_in_a_stable_order(either: Store) -> None:
    states = [Live(f"cad-{number}", 10 + number, 20, number, None, None, None) for number in range(25)]
    assert either.lives() == []
    either.put_live(states)
    paged: list[Live] = []
    after = ""
    while page := either.lives(after, limit=4):
        assert len(page) <= 4
        paged += page
        after = page[-1].device_id
    assert sorted(paged) == sorted(states)
    assert paged == [*either.lives()]


def test_pages_in_the_stores_own_order_name_every_device_once(either: Store) -> None:
    ids = [f"home-{number}" for number in range(7)]
    for device_id in ids:
        either.put_device(Device(device_id))
    found, after = list[str](), ""
    while page := either.stored_devices(after, limit=3):
        assert len(page) <= 3
        found += [device.device_id for device in page]
        after = found[-1]
    assert sorted(found) == ids
    with either.reading_ahead(ids[:2]):
        either.put_device(Device(ids[0], "Europe/Berlin"))
        known = either.device(ids[0])
        assert known is not None
        assert known.timezone == "Europe/Berlin"


@pytest.mark.parametrize("call", range(6))
def test_a_move_that_stopped_anywhere_is_finished_by_the_same_move(
    either: Store, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    ids, day = ("cad-1", "cad-1~gas", "cad-1~1"), "2026-11-10"
    for device_id in ids:
        either.put_device(Device(device_id, "UTC", household="acacia", name="Villa", tariff="{}"))
        either.merge_parts("day", device_id, day, "UTC", {"s00": Part(1, None)})
    calls = iter(range(6))

    def stopping(name: str) -> None:
        whole = getattr(either, name)
        monkeypatch.setattr(either, name, lambda *values: 1 / (next(calls) != call) and whole(*values))

    for name in ("put_device", "mark"):
        stopping(name)
    with pytest.raises(ZeroDivisionError):
        move(either, device_of(either, "cad-1"), "birch", day)
    monkeypatch.undo()
    for device in map(partial(device_of, either), ids):
        seen = seen_by(device, "birch")
        assert seen is None or seen.occupied_from == day
        assert seen_by(device, "acacia")

    move(either, device_of(either, "cad-1"), "birch", day)
    for device in map(partial(device_of, either), ids):
        acacia = Occupancy("acacia", FIRST_DAY, "2026-11-09", "Villa", tariff="{}")
        assert occupancies(device) == (acacia, Occupancy("birch", day, LAST_DAY))
    marked = {(change.device_id, change.key) for change in either.changes(PRICES, 99)}
    assert marked >= {(device_id, day) for device_id in ids}


def device_of(store: Store, device_id: str) -> Device:
    found = store.device(device_id)
    assert found
    return found
