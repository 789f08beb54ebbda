"""A household is erased: its own days go, the days beside stay exact, and nothing brings it back; on every store.

The meter counts 100 Wh in each half hour of 8 and 9 November for acacia, 200 Wh of the 10th and 11th for birch, and 300
Wh of the 12th and 13th for willow. Its readings are 7 minutes off the half hour: each day shares a step with the
next one.
"""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import orjson
import pytest

from aggregator.aws.dead_letters import DeadLetter, dead_of_message
from aggregator.aws.lambdas import Functions
from aggregator.aws.schedules import erase_due
from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, Refused, StoreAway
from aggregator.core.periods import DAY_S, FOR_EVER, HALF_HOUR
from aggregator.core.readings import Interval, Reading
from aggregator.core.status import Status
from aggregator.erasure.erasing import OutsideStore, remains
from aggregator.erasure.erasure_plan import make_plan
from aggregator.erasure.erasure_requests import (
    AGAIN_S,
    ask_for_erasure,
    begin,
    carry_out,
    due_erasures,
    overdue,
    take_back,
)
from aggregator.intake.formats.message import Content
from aggregator.intake.imports.import_records import find_import, imports_of, undo
from aggregator.intake.ingest import Outcome, Received, ingest, ingest_lines, show_live, take_in
from aggregator.intake.refusals import UNKNOWN, Batch, load_refusals, put_refusals
from aggregator.store import Store
from aggregator.store.collections import IMPORTS
from aggregator.store.occupancies import occupancies
from aggregator.support import actions
from aggregator.support.audit import Audit, Who
from aggregator.support.audit_check import AuditCheck
from aggregator.waterfall.levels import move, recompute
from aggregator.waterfall.verify import differences, rebuild
from aggregator.waterfall.worker import drain
from tests.aggregator.intake.imports.files import bring
from tests.contract.conftest import Clock
from tests.copies import damage_record

CAD, GAS = "cad-1", "cad-1~gas"
DAYS = [f"2026-11-{day:02d}" for day in range(8, 14)]
WH = dict(zip(DAYS, [100] * 2 + [200] * 2 + [300] * 2, strict=True))
OFF_S = 420
# By hand. At a midnight between equal days of 100, 200 and 300 Wh the register is interpolated 1, 1 and 0 Wh below its
# exact value: -77 + 100 * 1380 // 1800 = -1. Where the household changes it is 17 Wh above: -77 + 123 * 1380 // 1800.
# The first reading has 23 Wh of the first day behind it; the last one is 54 Wh short: -230 + 230 * 1380 // 1800.
EXACT = {
    "2026-11-08": 4_800 - 23 - 1,
    "2026-11-09": 4_800 + 1 + 17,
    "2026-11-10": 9_600 - 17 - 1,
    "2026-11-11": 9_600 + 1 + 17,
    "2026-11-12": 14_400 - 17,
    "2026-11-13": 14_400 - 54,
}
SECRET = "a secret that is long enough for the chain"
STAFF = Who("anna", "anna@example.org", "support", "Anna")


def start_of(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())


NOW = start_of("2026-11-14") + 3600


def sent() -> list[Reading]:
    """Exact at each half hour; what the meter sends is read 7 minutes later."""
    register, readings = 10_000, []
    for day in DAYS:
        for half in range(48):
            at = start_of(day) + half * HALF_HOUR
            readings.append(Reading(CAD, at + OFF_S, 500, register + WH[day] * OFF_S // HALF_HOUR, None, "m-1"))
            register += WH[day]
    return [*readings, Reading(CAD, start_of("2026-11-14") + OFF_S, 500, register, None, "m-1")]


@pytest.fixture
def home(either: Store, clock: Clock) -> Store:
    """A home with a gas meter that three households have had."""
    clock.now = NOW
    store = either
    store.put_device(Device(CAD, household="acacia", name="Villa", postcode="AB1 2CD", meter_point="2000012345678"))
    store.put_device(Device(GAS))
    for device_id in (CAD, GAS):
        ingest(store, [one._replace(device_id=device_id) for one in sent()], NOW, "Europe/London")
    drain(store)
    for household, first in (("birch", "2026-11-10"), ("willow", "2026-11-12")):
        move(store, device(store), household, first)
    drain(store)
    return store


def device(store: Store, device_id: str = CAD) -> Device:
    found = store.device(device_id)
    assert found
    return found


def audit_on(store: Store) -> Audit:
    return Audit(store, [SECRET])


def erase(store: Store, household: str, now: int = NOW) -> list[str]:
    plan = begin(store, audit_on(store), household, STAFF, "they asked for it", now)
    return [line for line in carry_out(store, audit_on(store), plan, now, OutsideStore()) if line]


def totals(store: Store, device_id: str = CAD) -> dict[str, int | None]:
    found = store.documents("day", device_id, "1", "~")
    return {one.period: one.total.import_wh for one in found}


def parts(store: Store, device_id: str = CAD) -> dict[str, dict[str, object]]:
    return {one.period: dict(one.parts) for one in store.documents("day", device_id, "1", "~")}


FIRST, MIDDLE, LAST = DAYS[:2], DAYS[2:4], DAYS[4:]
HOUSEHOLDS = [("acacia", FIRST), ("birch", MIDDLE), ("willow", LAST)]


@pytest.mark.parametrize(("household", "gone"), HOUSEHOLDS)
def test_only_the_days_of_the_household_go_and_the_others_stay_exact(
    home: Store, household: str, gone: list[str]
) -> None:
    before = {one: parts(home, one) for one in (CAD, GAS)}
    assert erase(home, household) == []
    drain(home)
    for device_id in (CAD, GAS):
        left = {day: own for day, own in before[device_id].items() if day not in gone and day != "2026-11-14"}
        after = parts(home, device_id)
        assert {day: own for day, own in after.items() if day != "2026-11-14"} == left
        month, year = home.document("month", device_id, "2026-11"), home.document("year", device_id, "2026")
        assert month
        assert year
        assert year.total == month.total
        assert month.total.import_wh == sum(home_day or 0 for home_day in totals(home, device_id).values())
        assert {day: wh for day, wh in totals(home, device_id).items() if day in left} == {
            day: EXACT[day] for day in left
        }


@pytest.mark.parametrize(("household", "gone"), HOUSEHOLDS)
def test_days_beside_stay_exact_when_all_is_computed_again(home: Store, household: str, gone: list[str]) -> None:
    before = parts(home)
    erase(home, household)
    for _ in range(2):
        rebuild(home, device(home), None, None)
        drain(home)
    assert {day: own for day, own in parts(home).items() if day not in gone} == {
        day: own for day, own in before.items() if day not in gone and (household != "willow" or day != "2026-11-14")
    }
    assert [*differences(home, device(home))] == []
    assert not set(parts(home)) & set(gone)


def test_of_the_erased_time_one_register_remains_at_each_end(home: Store) -> None:
    erase(home, "birch")
    start, end = start_of("2026-11-10"), start_of("2026-11-12")
    left = home.readings(CAD, start, end - HALF_HOUR)
    first = 10_000 + 2 * 48 * 100 + 17
    assert [(one.at, one.import_wh, one.power_w, one.meter_id) for one in left] == [(start, first, None, "m-1")]
    (boundary,) = [one for one in home.readings(CAD, end, end) if one.at == end]
    assert boundary.import_wh == first + 2 * 48 * 200


@pytest.mark.parametrize("is_damaged", [False, True])
def test_registers_at_the_ends_stay_with_the_import_that_told_them(home: Store, *, is_damaged: bool) -> None:
    """A meter that sends nothing itself: one file has the days that go, the other one the days beside.

    The record of the other one may be damaged since the erasure began: its evidence counts.
    """
    other = "cad-2"
    home.put_device(Device(other, household="acacia"))
    start, end = start_of("2026-11-10"), start_of("2026-11-12")
    for is_gone in (False, True):
        rows = [one for one in sent() if (start <= one.at < end) is is_gone]
        bring(home, "at,import_wh\n" + "".join(f"{one.at},{one.import_wh}\n" for one in rows), now=NOW, device_id=other)
    for household, day in (("birch", "2026-11-10"), ("willow", "2026-11-12")):
        move(home, device(home, other), household, day)
    drain(home)
    begin(home, audit_on(home), "birch", STAFF, "they asked for it", NOW)
    if is_damaged:
        damage_record(home, IMPORTS.of(other), f"{2:09d}")
    assert erase(home, "birch") == []
    span = (other, start - HALF_HOUR, end)
    ends = [one for one in home.readings(*span) if one.at in (start, end)]
    assert [one.import_wh for one in ends] == [10_000 + 2 * 48 * 100 + 17, 10_000 + 2 * 48 * 300 + 17]
    assert home.layer_readings(*span) == []
    assert [one for one in home.layer_readings(*span, -2) if one.at in (start, end)] == ends
    if is_damaged:
        return
    undo(home, find_import(home, f"{other}/2"), "a test", NOW)
    look_again(home)
    assert [one.at for one in home.readings(*span) if one.at in (start, end)] == []


def test_no_import_gets_the_number_of_an_erased_damaged_record(home: Store) -> None:
    later = start_of("2026-11-13")
    for wh in (7, 8):
        bring(home, f"start,end,import_wh\n{later},{later + HALF_HOUR},{wh}\n", now=NOW, device_id=CAD)
    damage_record(home, IMPORTS.of(CAD), f"{2:09d}")
    assert erase(home, "birch") == []
    assert home.record(IMPORTS.of(CAD), f"{2:09d}") == ""
    bring(home, f"start,end,import_wh\n{later},{later + HALF_HOUR},9\n", now=NOW, device_id=CAD)
    assert [one.number for one in imports_of(home, CAD)] == [3, 1]


def test_the_registry_and_the_search_forget_the_household(home: Store) -> None:
    erase(home, "willow")
    stays = occupancies(device(home))
    assert [(one.household, one.first) for one in stays][1:] == [("birch", "2026-11-10"), ("", "2026-11-12")]
    own = device(home)
    assert (own.name, own.postcode, own.meter_point, own.tariff) == ("", "", "", "")
    assert home.household_devices("willow") == home.find_devices("willow", 5) == home.find_devices("5678", 5) == []
    assert home.household_devices("acacia") == [CAD, GAS]


def test_the_audit_forgets_the_file_of_an_import_whenever_it_was(home: Store) -> None:
    """The file tells of the time of birch, and was imported when willow lived there."""
    start = start_of("2026-11-11")
    bring(home, f"start,end,import_wh\n{start},{start + HALF_HOUR},7\n", "Europe/London", now=NOW, device_id=CAD)
    for file in ("file", "of willow.csv"):
        actions.record_import(audit_on(home), STAFF, CAD, "imported", NOW - 60, file=file)
    assert erase(home, "birch") == []
    reasons = {one.reason for one in audit_on(home).entries(device_id=CAD) if one.action == "import"}
    assert reasons == {"", "imported: of willow.csv"}
    assert [*AuditCheck(audit_on(home)).faults()] == []


# Nothing comes back

LATE = start_of("2026-11-11") + 1234


def line(**values: object) -> bytes:
    return orjson.dumps({"device_id": CAD, **values})


def by_file(store: Store) -> Outcome:
    outcome, named = Outcome(), list[int]()
    lines = [
        line(at="2026-11-11T10:00:00Z", import_wh=35_000),
        line(at="2026-11-11T10:00:00Z", rssi_dbm=-60),
        line(start="2026-11-11T10:00:00Z", end="2026-11-11T10:30:00Z", import_wh=7),
    ]
    ingest_lines(store, lines, 1, NOW, "Europe/London", outcome, lambda number, _: named.append(number))
    assert named == [1, 2, 3]
    return outcome


def content(device_id: str = CAD) -> Content:
    return Content(
        readings=[Reading(device_id, LATE, 500, 35_000, None)],
        intervals=[Interval(device_id, LATE // 1800 * 1800, LATE // 1800 * 1800 + 1800, 7, None, "file")],
        statuses=[Status(device_id, LATE, -60, None, None, None, None)],
    )


def by_message(store: Store) -> Outcome:
    return take_in(store, [Received(CAD, content())], NOW, "Europe/London")


def by_edge(store: Store) -> Outcome:
    return take_in(store, [Received(CAD, content(), is_history=True)], NOW, "Europe/London")


def by_live(store: Store) -> Outcome:
    own = content()
    outcome = show_live(store, own, NOW, "Europe/London")
    outcome.reasons.update(unread.why.reason for unread in own.refused)
    return outcome


def by_second_meter(store: Store) -> Outcome:
    return take_in(store, [Received(CAD, content("cad-1~3"))], NOW, "Europe/London")


def by_import(store: Store) -> Outcome:
    starts = range(start_of("2026-11-11"), start_of("2026-11-11") + 3 * HALF_HOUR, HALF_HOUR)
    rows = "".join(f"{at},{at + HALF_HOUR},7\n" for at in starts)
    report = bring(store, f"start,end,import_wh\n{rows}", "Europe/London", now=NOW, device_id=CAD)
    return Outcome(report.accepted, reasons=report.refusals.reasons)


def by_replay(store: Store) -> Outcome:
    """Messages that IoT Core could not pass on lie in the queue of dead letters, and are replayed."""
    letters = list[DeadLetter]()
    functions = Functions(store, "Europe/London", letters.extend, clock=lambda: NOW)
    reasons = Counter[str]()
    for at in ("10:00", "11:00", "12:00"):
        payload = line(at=f"2026-11-11T{at}:00Z", import_wh=35_000)
        error = {"topic": f"wattfall/{CAD}/json", "base64OriginalPayload": b64encode(payload).decode(), "failures": []}
        ((_, event),) = dead_of_message(json.dumps(error))
        assert functions.ingest(event) == {"batchItemFailures": []}
    assert letters == []
    for counts in load_refusals(store, CAD).days.values():
        reasons.update(counts)
    return Outcome(reasons=reasons)


@pytest.mark.parametrize("door", [by_import, by_replay, by_file, by_message, by_edge, by_live, by_second_meter])
def test_evidence_of_erased_days_is_refused_by_name(home: Store, door: Callable[[Store], Outcome]) -> None:
    erase(home, "birch")
    before = {one: (parts(home, one), home.readings(one, 0, FOR_EVER), home.live(one)) for one in (CAD, GAS, "cad-1~3")}
    outcome = door(home)
    drain(home)
    assert (dict(outcome.reasons), outcome.accepted) == ({"erased": 3}, 0)
    after = {one: (parts(home, one), home.readings(one, 0, FOR_EVER), home.live(one)) for one in (CAD, GAS, "cad-1~3")}
    assert after == before
    assert [one.payload for one in load_refusals(home, CAD).messages if one.payload] == []


def test_who_still_lives_there_is_not_measured_until_somebody_moves_in(home: Store) -> None:
    erase(home, "willow")
    new = [Reading(CAD, NOW + 60, 500, 50_000, None)]
    assert ingest(home, new, NOW + 60, "Europe/London").accepted == 0
    move(home, device(home), "rowan", "2026-11-14")
    assert ingest(home, new, NOW + 60, "Europe/London").accepted == 1
    assert ingest(home, [Reading(CAD, LATE + 1 * DAY_S, 5, 5, None)], NOW, "Europe/London").accepted == 0


def test_days_that_were_erased_stay_erased_whoever_is_said_to_have_lived_there(home: Store) -> None:
    erase(home, "willow")
    move(home, device(home), "rowan", "2026-11-13")
    again = [one for one in sent() if start_of("2026-11-12") <= one.at < start_of("2026-11-14")]
    assert ingest(home, again, NOW, "Europe/London").accepted == 0
    assert ingest(home, [Reading(CAD, NOW + 60, 500, 50_000, None)], NOW + 60, "Europe/London").accepted == 1
    drain(home)
    assert totals(home).keys() & set(LAST) == set()


def test_a_move_into_the_erased_days_keeps_nothing_from_an_erasure_that_goes_on(home: Store) -> None:
    plan = begin(home, audit_on(home), "willow", STAFF, "they asked for it", NOW)
    steps = carry_out(home, audit_on(home), plan, NOW, OutsideStore())
    assert [next(steps), next(steps)] == ["", ""]  # the registry has forgotten the household, of both meters
    move(home, device(home), "rowan", "2026-11-13")
    assert erase(home, "willow") == []
    for one in (CAD, GAS):
        assert totals(home, one).keys() & set(LAST) == set()
        assert home.readings(one, start_of("2026-11-12") + HALF_HOUR, start_of("2026-11-14") - HALF_HOUR) == []


def look_again(store: Store) -> None:
    for _ in due_erasures(store, audit_on(store), NOW + AGAIN_S, OutsideStore()):
        pass
    assert store.records("erasures", limit=9) == []


@pytest.mark.parametrize(("device_id", "household"), [(CAD, "willow"), ("cad-2", "oak")])
def test_who_moves_in_before_the_last_look_keeps_everything(home: Store, device_id: str, household: str) -> None:
    home.put_device(Device("cad-2", household="oak"))
    assert erase(home, household) == []
    move(home, device(home, device_id), "rowan", "2026-11-14")
    new = Reading(device_id, NOW + 60, 500, 50_000, None)
    ingest(home, [new], NOW + 60, "Europe/London")
    look_again(home)
    assert home.household_devices("rowan")[0] == device_id
    assert new in home.readings(device_id, NOW, NOW + 60)
    assert ingest(home, [new._replace(at=NOW + 90)], NOW + 90, "Europe/London").accepted == 1


def test_who_moves_in_while_an_erasure_waits_to_go_on_keeps_everything(home: Store) -> None:
    begin(home, audit_on(home), "willow", STAFF, "they asked for it", NOW)
    move(home, device(home), "rowan", "2026-11-14")
    new = Reading(CAD, NOW + 60, 500, 50_000, None)
    ingest(home, [new], NOW + 60, "Europe/London")
    assert erase(home, "willow") == []
    look_again(home)
    assert (home.household_devices("willow"), home.household_devices("rowan")) == ([], [CAD, GAS])
    assert new in home.readings(CAD, NOW, NOW + 60)


def test_what_is_taken_back_while_another_erasure_runs_is_kept(home: Store) -> None:
    for household in ("acacia", "willow"):
        ask_for_erasure(home, household, NOW - 8 * DAY_S)
    steps = due_erasures(home, audit_on(home), NOW, OutsideStore())
    next(steps)
    assert take_back(home, "willow")
    assert not take_back(home, "acacia")
    for _ in steps:
        pass
    assert (home.household_devices("acacia"), home.household_devices("willow")) == ([], [CAD, GAS])


def test_on_aws_a_function_erases_what_is_due_call_by_call(home: Store, clock: Clock) -> None:
    def call(now: int, left_s: float) -> None:
        erase_due(home, audit_on(home), now, OutsideStore(), lambda: left_s)

    for household, asked in (("birch", NOW), ("willow", NOW - 7 * DAY_S)):
        ask_for_erasure(home, household, asked)
    for _ in range(3):  # calls that have time for a step each
        call(NOW, 0.0)
        assert home.household_devices("birch") == [CAD, GAS]
    assert overdue(home, NOW) == ["willow"]
    clock.now = NOW + DAY_S
    with pytest.raises(ConfigurationError, match="a day late: 1"):
        call(NOW + DAY_S, 0.0)
    call(NOW + DAY_S, 900.0)
    assert home.household_devices("willow") == overdue(home, NOW + DAY_S) == []
    assert not set(LAST) & set(totals(home))
    assert [*AuditCheck(audit_on(home)).faults()] == []


def test_an_erasure_that_the_audit_refuses_has_not_begun(home: Store) -> None:
    erase(home, "acacia")
    ask_for_erasure(home, "willow", NOW - 8 * DAY_S)
    for _ in due_erasures(home, Audit(home, [""]), NOW, OutsideStore()):
        pass
    assert take_back(home, "willow")
    assert home.household_devices("willow") == [CAD, GAS]


def test_refused_messages_of_no_device_that_name_the_home_go(home: Store) -> None:
    batch = Batch()
    for payload in (b"wattfall/cad-1/json {", b'{"device_id": "cad-10", ', b"glow/cad-1 x"):
        batch.add(payload, Refused("malformed_json", "it is cut"), NOW, "cad-9")
    put_refusals(home, batch, NOW)
    assert len(load_refusals(home, UNKNOWN).messages) == 3
    plan = make_plan(home, "birch")
    assert len([one for one in remains(home, plan, NOW) if "refused message" in one]) == 2
    assert erase(home, "birch") == []
    assert [one.payload for one in load_refusals(home, UNKNOWN).messages] == ['{"device_id": "cad-10", ']


def test_a_replayed_change_of_an_erased_day_writes_nothing(home: Store) -> None:
    erase(home, "birch")
    drain(home)
    before = parts(home)
    home.mark("readings", CAD, [str(start_of("2026-11-11"))])
    home.mark("day", CAD, ["2026-11-11"])
    home.mark("month", CAD, ["2026-11"])
    drain(home)
    recompute(home, device(home), periods.window("day", "2026-11-11", "Europe/London"))
    drain(home)
    assert parts(home) == before
    month = home.document("month", CAD, "2026-11")
    assert month
    assert "d11" not in month.parts


# Stopped


class Stopping:
    """A store whose process dies before one of its writes."""

    def __init__(self, store: Store, after: int) -> None:
        self._store, self._left = store, after

    def __getattr__(self, name: str) -> object:
        found = getattr(self._store, name)
        if name in ("put_device", "erase_evidence", "write_readings", "drop_documents", "merge_parts", "drop_live",
                    "drop_prices", "put_record", "drop_record", "clear_quarantine"):  # fmt: skip
            self._left -= 1
            if self._left < 0:
                raise StoreAway("the process died")
        return found


def test_an_erasure_that_was_stopped_anywhere_finishes_when_run_again(home: Store) -> None:
    before = parts(home)
    for after in (*range(12), 25, 60, 100):
        dying = Stopping(home, after)
        try:
            plan = begin(dying, audit_on(dying), "birch", STAFF, "they asked for it", NOW)  # type: ignore[arg-type]
            assert [one for one in carry_out(dying, audit_on(dying), plan, NOW, OutsideStore()) if one] == []  # type: ignore[arg-type]
            break
        except StoreAway:
            continue
    else:
        for _ in due_erasures(home, audit_on(home), NOW, OutsideStore()):
            pass
    drain(home)
    assert home.household_devices("birch") == []
    assert parts(home) == {d: own for d, own in before.items() if d not in MIDDLE}
    assert [*AuditCheck(audit_on(home)).faults()] == []
