"""Provisioning on a store: what is made, changed and moved, what is refused, and what a second run does."""

import io
from collections.abc import Iterator

import pytest

from aggregator.core.documents import Device
from aggregator.core.periods import FOR_EVER, Window
from aggregator.erasure.erasure_plan import without_household
from aggregator.store.collections import HOME, MARKS
from aggregator.store.occupancies import erased_spans, occupancies
from aggregator.store.port import Store
from aggregator.support.audit import Audit, Who
from dashboard.accounts.provision_rows import Refusal, read_rows
from dashboard.accounts.provisioning import BATCH, ProvisionRun, Report, provision, rehearsed
from dashboard.accounts.users import User
from tests.dashboard import homes
from tests.dashboard.people import SECRET, Clock, accounts_on

FILE = """device,kind,timezone,household,from,name,postcode,email,person,role
cad-1,,Europe/Berlin,acacia,,12 Acacia Road,ZZ1 1AA,ann@example.org,Ann,
cad-1~gas,gas,Europe/Berlin,,,,,,,
cad-1,,,willow,2026-03-01,Villa,,wil@example.org,,
cad-2,generation,,,,,,,,
,,,,,,,des@example.org,Des,support
"""


class Place:
    """A store with what its runs said."""

    def __init__(self, store: Store) -> None:
        self.store, self.accounts, self.audit = store, accounts_on(store), Audit(store, [SECRET])
        self.refused: list[tuple[int, str]] = []
        self.invited: list[str] = []
        self.run = ProvisionRun(
            self.audit, self.accounts, Who("terminal", "", "operator"), "a file", Clock().at, homes.LONDON
        )

    def provision(self, text: str, run: ProvisionRun | None = None) -> Report:
        def refuse(one: Refusal) -> None:
            self.refused.append((one.line, one.reason))

        def deliver(user: User, token: str) -> None:
            assert self.accounts.invited(token) == user
            self.invited.append(user.email)

        return provision(run or self.run, read_rows(io.StringIO(text).readline), refuse, deliver)

    def dry(self, text: str) -> Report:
        with rehearsed(self.run) as run:
            return self.provision(text, run)

    def device(self, device_id: str) -> Device:
        found = self.store.device(device_id)
        assert found
        return found


@pytest.fixture
def place(store: Store) -> Place:
    return Place(store)


def counts(report: Report) -> tuple[dict[str, int], dict[str, int], int]:
    return dict(report.devices), dict(report.people), report.refused


def test_a_file_makes_devices_homes_and_people(place: Place) -> None:
    assert counts(place.provision(FILE)) == ({"made": 3, "moved": 1}, {"made": 3}, 0)
    home, gas = place.device("cad-1"), place.device("cad-1~gas")
    assert [(one.household, one.first, one.name) for one in occupancies(home)] == [
        ("acacia", "1970-01-01", "12 Acacia Road"),
        ("willow", "2026-03-01", "Villa"),
    ]
    assert (home.timezone, home.postcode, gas.kind, gas.household) == ("Europe/Berlin", "ZZ1 1AA", "gas", "willow")
    assert place.device("cad-2").kind == "generation"
    people = {user.email: (user.household, user.role, user.name) for user in place.accounts.everybody()}
    assert people == {
        "ann@example.org": ("acacia", "household", "Ann"),
        "wil@example.org": ("willow", "household", ""),
        "des@example.org": ("", "support", "Des"),
    }
    assert place.invited == ["ann@example.org", "wil@example.org", "des@example.org"]


def test_a_second_run_changes_nothing_and_writes_no_entry(place: Place) -> None:
    place.provision(FILE)
    before, entries = list(place.store.devices()), place.audit.head()
    report = place.provision(FILE)
    assert report.is_unchanged
    assert counts(report) == ({"unchanged": 4}, {"unchanged": 3}, 0)
    assert (list(place.store.devices()), place.audit.head(), len(place.invited)) == (before, entries, 3)


def test_a_dry_run_reports_the_same_and_stores_nothing(place: Place) -> None:
    assert counts(place.dry(FILE)) == ({"made": 3, "moved": 1}, {"made": 3}, 0)
    assert (list(place.store.devices()), list(place.accounts.everybody()), place.audit.head().number) == ([], [], 0)
    place.provision(FILE)
    changed = place.dry("device,serial,email,person\ncad-1,WF1,ann@example.org,Anna\ncad-1,WF1,ann@example.org,Anna\n")
    assert counts(changed) == ({"changed": 1, "unchanged": 1}, {"changed": 1, "unchanged": 1}, 0)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("cad-1,oak,", "cad-1 belongs to willow; fill in `from`, the first day of oak"),
        ("cad-1,willow,2026-04-01", "cad-1 belongs to willow since 2026-03-01, not 2026-04-01"),
        ("cad-1,oak,2026-02-01", "cad-1 belongs to willow since 2026-03-01; name a later day"),
        ("cad-1,oak,2199-01-01", "2199-01-01 is still to come"),
        (f"cad-3,{'x' * 65},", "is no household id"),
    ],
)
def test_a_household_never_gets_the_past_of_another(place: Place, cells: str, reason: str) -> None:
    place.provision(FILE)
    before = list(place.store.devices())
    report = place.provision(f"device,household,from\n{cells}\ncad-2,oak,\n")
    assert [(line, reason in said) for line, said in place.refused] == [(2, True)], place.refused
    assert counts(report) == ({"changed": 1}, {}, 1)
    assert [one for one in place.store.devices() if one.device_id != "cad-2"] == before[:2]


def test_after_an_erasure_the_next_household_needs_a_first_day(place: Place) -> None:
    place.store.put_device(without_household(Device("cad-1", household="acacia"), [Window(0, FOR_EVER)], 1))
    place.provision("device,household,from\ncad-1,oak,\n")
    assert ["fill in `from`" in said for _, said in place.refused] == [True]
    place.provision("device,household,from\ncad-1,oak,2026-03-01\n")
    (span,) = erased_spans(place.device("cad-1"))
    assert (place.device("cad-1").household, span.end) == ("oak", 1772323200)  # 1 March 2026, 00:00 UTC


def test_an_empty_cell_leaves_what_is_stored(place: Place) -> None:
    place.provision(FILE)
    place.provision("device,serial,name,email,role\ncad-1,WF0012,,,\n,,,ann@example.org,\n")
    home = place.device("cad-1")
    assert (home.serial, home.name, home.household) == ("WF0012", "Villa", "willow")
    found = place.accounts.find("ann@example.org")
    assert found
    assert (found.household, found.role) == ("acacia", "household")


def test_a_home_can_stand_empty(place: Place) -> None:
    place.provision(FILE)
    report = place.provision("device,household,from\ncad-1,-,2026-05-01\ncad-1,-,2026-05-01\n")
    assert counts(report) == ({"moved": 1, "unchanged": 1}, {}, 0)
    assert place.device("cad-1").household == ""


def test_a_household_of_a_store_of_one_home_is_named_by_the_file(place: Place) -> None:
    place.store.put_record(MARKS.of(), HOME, "{}")
    place.provision("device,household\ncad-1,acacia\ncad-2,\n")
    assert (place.device("cad-1").household, place.device("cad-2").household) == ("acacia", HOME)


def test_the_audit_counts_what_is_added_and_names_what_is_changed(place: Place) -> None:
    place.provision(FILE)
    place.provision("device,serial,email,household\ncad-2,WF2,,\n,,ann@example.org,oak\n")
    said = [(one.action, one.device_id, dict(one.details)) for one in reversed(place.audit.entries())]
    assert [(action, device_id) for action, device_id, _ in said] == [
        ("provision", ""),
        ("account", ""),
        ("provision", ""),
        ("device", "cad-1"),
        ("device", "cad-2"),
        ("account", ""),
    ]
    assert (said[0][2], said[2][2]) == ({"devices": "2", "people": "1"}, {"devices": "1", "people": "2"})
    assert said[3][2]["to household"] == "willow"


def test_nobody_is_added_whom_no_invitation_can_reach(place: Place) -> None:
    run = ProvisionRun(
        place.audit, place.accounts, place.run.who, "a file", place.run.now, homes.LONDON, "no way to send it"
    )
    report = place.provision("email,household\nann@example.org,acacia\n", run)
    assert (counts(report), place.refused) == (({}, {}, 1), [(2, "no way to send it")])


def test_a_run_holds_no_more_rows_than_a_batch(place: Place) -> None:
    behind: list[bool] = []

    def lines() -> Iterator[str]:
        yield "device,household\n"
        for number in range(3 * BATCH):
            earlier = number - BATCH - 1
            behind.append(earlier >= 0 and place.store.device(f"cad-{earlier}") is None)
            yield f"cad-{number},home-{number}\n"

    read = lines()
    report = provision(place.run, read_rows(lambda _: next(read, "")), lambda _: None, lambda *_: None)
    assert (report.devices["made"], any(behind)) == (3 * BATCH, False)
