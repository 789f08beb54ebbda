"""Claim codes: what makes one void, what proves presence, and what a claim changes."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner

from aggregator.core.documents import Device
from aggregator.core.errors import StoreAway
from aggregator.core.live import Live
from aggregator.core.periods import DAY_S
from aggregator.core.readings import Reading
from aggregator.erasure.erasure_plan import stay_spans, without_household
from aggregator.intake import claims
from aggregator.intake.claims import FRESH_S, LIVE, MOST_TRIES, NUMBER, VALID_S, WINDOW_S, Claim, NotFree, has_step
from aggregator.intake.device_status import is_watched
from aggregator.intake.ingest import ingest
from aggregator.store import open_store
from aggregator.store.port import Store
from aggregator.support.audit import Audit
from aggregator.waterfall.levels import move
from dashboard.commands.main import main
from tests.contract.conftest import MEMORY, in_memory, store_on

NOW = 1_800_000_000  # 15 January 2027, 08:00 UTC
CAD = "cad-1"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(f"sqlite:///{tmp_path / 'claims.db'}")
    store.put_device(Device(CAD, meter_point="1200 0123 4567 8"))
    return store


def device(store: Store) -> Device:
    found = store.device(CAD)
    assert found
    return found


def begun(store: Store, now: int = NOW) -> Claim:
    found = claims.find_code(store, claims.new_code(store, device(store), now), now)
    assert found
    claim = claims.begin(store, found, "u1", now)
    assert claim
    return claim


def powers(store: Store, *watts: int, first: int = NOW + 10) -> None:
    """Let the meter send a power every ten seconds."""
    readings = [Reading(CAD, first + 10 * place, one, None, None) for place, one in enumerate(watts)]
    ingest(store, readings, readings[-1].at, "UTC")


def raises(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


# Codes


def test_a_code_is_not_in_the_store(store: Store, tmp_path: Path) -> None:
    code = claims.new_code(store, device(store), NOW)
    store.close()
    with sqlite3.connect(tmp_path / "claims.db") as database:
        held = "".join(map(str, database.execute("SELECT key, body FROM records").fetchall()))
    assert CAD in held
    assert code not in held
    assert code.replace("-", "") not in held


def test_a_code_is_found_as_people_type_it(store: Store) -> None:
    code = claims.new_code(store, device(store), NOW)
    for typed in (code, code.lower(), code.replace("-", " "), f" {code}\n"):
        assert claims.find_code(store, typed, NOW)


@pytest.mark.parametrize("typed", ["", "-", "K7QF-3MZP-9XWD", "x" * 5000, "é", "' OR 1=1"])
def test_any_other_text_is_no_code(store: Store, typed: str) -> None:
    claims.new_code(store, device(store), NOW)
    assert claims.find_code(store, typed, NOW) is None


def test_a_code_expires_and_a_newer_one_voids_it(store: Store) -> None:
    older, newer = (claims.new_code(store, device(store), NOW) for _ in range(2))
    assert claims.find_code(store, older, NOW) is None
    assert claims.find_code(store, newer, NOW + VALID_S - 1)
    assert claims.find_code(store, newer, NOW + VALID_S) is None


def test_a_device_with_a_household_and_a_second_meter_get_no_code(store: Store) -> None:
    with pytest.raises(NotFree, match="belongs to willow"):
        claims.new_code(store, replace(device(store), household="willow"), NOW)
    with pytest.raises(NotFree, match="claim cad-1"):
        claims.new_code(store, Device("cad-1~gas"), NOW)


# Presence


@pytest.mark.parametrize(
    ("watts", "is_step"),
    [
        ([200, 210, 2300, 2290, 220], True),
        ([200, 700, 200], True),
        ([200, 699, 200], False),
        ([2300, 2300, 200], False),  # only off
        ([200, 2300, 2300], False),  # only on
        ([2300, 200, 2300, 300], True),
        ([200, 400, 600, 800, 300], True),
        ([-1500, -900, -1500], True),  # while exporting
        ([], False),
    ],
)
def test_a_step_is_a_rise_and_a_fall(watts: list[int], is_step: bool) -> None:
    assert has_step(watts) is is_step


def test_a_kettle_proves_presence(store: Store) -> None:
    powers(store, 200, first=NOW - 10)
    claim = begun(store)
    assert claims.way(store, claim, NOW) == LIVE
    powers(store, 210, 2300, 2310)
    looked = claims.look(store, claim, NOW + 35)
    assert looked
    assert not looked.is_proven
    powers(store, 205, first=NOW + 40)
    proven = claims.look(store, looked, NOW + 45)
    assert proven
    assert proven.is_proven
    assert claims.load_claim(store, claim.hashed, NOW + 60) == proven


def test_a_step_before_the_claim_or_after_its_window_proves_nothing(store: Store) -> None:
    powers(store, 200, 2300, 200, first=NOW - 40)
    claim = begun(store)
    powers(store, 210, 220)
    looked = claims.look(store, claim, NOW + 25)
    assert looked
    assert not looked.is_proven
    late = NOW + WINDOW_S
    powers(store, 2300, 200, first=late)
    looked = claims.look(store, looked, late + 11)
    assert looked
    assert not looked.is_proven


def test_powers_that_leave_no_reading_are_seen_while_the_page_looks(store: Store) -> None:
    """An edge sends half hours, and its live power only while somebody looks."""
    claim: Claim | None = begun(store)
    assert is_watched(store, CAD)
    for place, watts in enumerate((200, 2300, 210)):
        at = NOW + 10 * place
        store.put_live([Live(CAD, at, at, watts, None, None, None)])
        assert claim
        claim = claims.look(store, claim, at + 2)
    assert claim
    assert claim.is_proven


def test_without_live_power_the_meters_number_proves_presence(store: Store) -> None:
    claim = begun(store)
    assert claims.way(store, claim, NOW) == NUMBER
    wrong = claims.tell_number(store, claim, "1111")
    assert wrong
    assert not wrong.is_proven
    right = claims.tell_number(store, claim, "5678")
    assert right
    assert right.is_proven


def test_old_power_is_no_live_power_and_an_unknown_number_no_proof(store: Store) -> None:
    store.put_device(Device(CAD, meter_point="A-12"))
    store.put_live([Live(CAD, NOW - FRESH_S - 1, NOW - FRESH_S - 1, 300, None, None, None)])
    claim = begun(store)
    assert claims.way(store, claim, NOW) == ""
    told = claims.tell_number(store, claim, "")
    assert told
    assert not told.is_proven


def test_wrong_digits_and_windows_use_up_a_code(store: Store) -> None:
    claim: Claim | None = begun(store)
    for _ in range(MOST_TRIES):
        assert claim
        assert claims.load_claim(store, claim.hashed, NOW)
        claim = claims.tell_number(store, claim, "0000")
    assert claim
    assert claims.load_claim(store, claim.hashed, NOW) is None


# The move


def proven(store: Store, now: int = NOW) -> Claim:
    told = claims.tell_number(store, begun(store, now), "5678")
    assert told
    return told


def test_a_device_that_nobody_had_belongs_to_the_household_from_ever(store: Store) -> None:
    claim = proven(store)
    _, after = claims.occupied(store, claim, "acacia", NOW)
    claims.occupy(store, claim, after)
    assert (device(store).household, device(store).occupied_from, device(store).former) == ("acacia", "", "")


def test_a_device_that_was_moved_out_belongs_to_the_household_from_today(store: Store) -> None:
    store.put_device(replace(device(store), household="birch"))
    move(store, device(store), "", "2027-01-10")
    claim = proven(store)
    _, after = claims.occupied(store, claim, "acacia", NOW)
    claims.occupy(store, claim, after)
    assert (device(store).household, device(store).occupied_from) == ("acacia", "2027-01-15")


def test_a_device_whose_household_was_erased_measures_for_the_next_one_from_today(store: Store) -> None:
    known = replace(device(store), household="birch")
    gone = without_household(known, stay_spans(known, "birch"), NOW - 3 * DAY_S)
    store.put_device(replace(gone, meter_point="1200 0123 4567 8"))
    claim = proven(store)
    _, after = claims.occupied(store, claim, "acacia", NOW)
    claims.occupy(store, claim, after)
    assert (device(store).household, device(store).occupied_from) == ("acacia", "2027-01-15")
    for at, is_taken in ((NOW - DAY_S, 0), (NOW, 1)):
        assert ingest(store, [Reading(CAD, at, 5, None, None)], NOW, "UTC").accepted == is_taken


def test_a_home_that_was_emptied_today_is_free_tomorrow(store: Store) -> None:
    store.put_device(replace(device(store), household="birch"))
    move(store, device(store), "", "2027-01-15")
    with pytest.raises(NotFree, match="the day after"):
        claims.new_code(store, device(store), NOW)


def test_a_code_works_once(store: Store) -> None:
    claim = proven(store)
    _, after = claims.occupied(store, claim, "acacia", NOW)
    claims.occupy(store, claim, after)
    with pytest.raises(NotFree):
        claims.occupy(store, claim, replace(after, household="willow"))
    assert device(store).household == "acacia"
    with pytest.raises(NotFree, match="belongs to acacia"):
        claims.occupied(store, claim, "willow", NOW)


@pytest.fixture(params=["sqlite", "dynamodb"])
def either(request: pytest.FixtureRequest, store: Store) -> Store:
    """A store of each kind with a device from which somebody has moved out."""
    either = store if request.param == "sqlite" else store_on(in_memory(), MEMORY)
    either.put_device(Device(CAD, meter_point="1200 0123 4567 8", household="birch"))
    move(either, device(either), "", "2027-01-10")
    return either


STEPS = ("record", "put_record", "device", "put_device", "drop_record")  # the calls of a claim


@contextmanager
def at_step(number: int, store: Store, happens: Callable[[], object]) -> Iterator[None]:
    """Let something happen before one of the next steps on a store."""
    steps = count(1)

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **more: object) -> object:
            if next(steps) == number:
                happens()
            return call(*arguments, **more)

        return step

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(store, name, counted(getattr(store, name)))
        yield


@pytest.mark.parametrize("number", range(1, 10))
def test_of_two_households_at_once_one_takes_the_device(either: Store, number: int) -> None:
    claim, took = proven(either), list[str]()

    def take(household: str) -> None:
        with suppress(NotFree):
            claims.occupy(either, claim, wished[household])
            took.append(household)

    wished = {one: claims.occupied(either, claim, one, NOW)[1] for one in ("acacia", "willow")}
    with at_step(number, either, partial(take, "willow")):
        take("acacia")
    assert took == [device(either).household]


@pytest.mark.parametrize("number", range(1, 10))
def test_a_claim_that_was_cut_off_can_be_repeated_by_its_household(either: Store, number: int) -> None:
    claim = proven(either)
    wished = {one: claims.occupied(either, claim, one, NOW)[1] for one in ("acacia", "willow")}
    with at_step(number, either, raises(StoreAway("the disk"))), suppress(StoreAway):
        claims.occupy(either, claim, wished["acacia"])
    if either.record("claims/newest", CAD) != claim.hashed:
        with pytest.raises(NotFree):
            claims.occupy(either, claim, wished["willow"])
    if again := claims.load_claim(either, claim.hashed, NOW):
        claims.occupy(either, again, claims.occupied(either, again, "acacia", NOW)[1])
    assert (device(either).household, device(either).occupied_from) == ("acacia", "2027-01-15")
    assert claims.load_claim(either, claim.hashed, NOW) is None


def test_without_a_proof_nothing_moves(store: Store) -> None:
    with pytest.raises(NotFree):
        claims.occupied(store, begun(store), "acacia", NOW)


# The command


def test_an_operator_prints_codes_for_many_devices(store: Store, tmp_path: Path) -> None:
    store.put_device(Device("cad-2", household="willow"))
    table = tmp_path / "devices.csv"
    table.write_text("device_id,street\ncad-1,Acacia Road\n\ncad-2,Willow Road\ncad-new,Birch Road\nno device!,x\n")
    environ = {"WATTFALL_STORE": f"sqlite:///{tmp_path / 'claims.db'}"}
    done = CliRunner().invoke(main, ["device", "code", "cad-1", "--csv", str(table)], env=environ)
    rows = [line.split(",") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["device_id", "cad-1", "cad-new"]
    assert all(claims.find_code(store, row[1], store.now()) for row in rows[1:])
    assert done.exit_code == 2
    assert "cad-2 belongs to willow" in done.stderr
    assert "2 of 4 devices got no code" in done.stderr
    assert [one.reason for one in Audit(store, []).entries(device_id=CAD)] == ["claim code made"]
    nothing = CliRunner().invoke(main, ["device", "code"], env=environ)
    assert (nothing.exit_code, "name the devices" in nothing.stderr) == (2, True)
