from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from aggregator.core.documents import Device
from aggregator.store.port import Store
from aggregator.support import actions, audit
from aggregator.support.audit import Audit, Who
from dashboard.accounts.access import is_staff, may_edit, visible_device, visible_devices
from dashboard.accounts.users import ADMIN, HOUSEHOLD, SUPPORT, User
from tests.dashboard.people import Clock

ANN = User("u1", "ann@example.org", "Ann", HOUSEHOLD, "acacia")
STAFF = User("u2", "desk@example.org", "Des", SUPPORT)
ADMINISTRATOR = User("u3", "admin@example.org", "Ada", ADMIN)
HOME, OTHER, UNTIED = Device("cad-1", household="acacia"), Device("cad-2", household="willow"), Device("cad-3")
NOW = Clock().at


@pytest.fixture
def homes(store: Store) -> Store:
    for device in (HOME, OTHER, UNTIED):
        store.put_device(device)
    return store


def seen(store: Store, viewer: User | None, now: int = NOW) -> list[str]:
    ids = ("cad-1", "cad-2", "cad-3", "cad-4", "")
    return [device.device_id for one in ids if (device := visible_device(store, viewer, one, now))]


def look_up(store: Store, user: User, device_id: str) -> None:
    actions.look_up(Audit(store, []), Who(user.user_id, user.email, user.role), device_id, "the customer called", NOW)


def test_a_household_sees_its_own_devices(homes: Store) -> None:
    assert seen(homes, ANN) == ["cad-1"]
    assert visible_devices(homes, ANN, 10) == [HOME]


def test_each_member_sees_every_device_of_the_household(homes: Store) -> None:
    homes.put_device(replace(OTHER, household="acacia"))
    for user in (ANN, User("u9", "bob@example.org", role=HOUSEHOLD, household="acacia")):
        assert seen(homes, user) == ["cad-1", "cad-2"]
        assert [device.device_id for device in visible_devices(homes, user, 10)] == ["cad-1", "cad-2"]
    assert len(visible_devices(homes, ANN, 1)) == 1


def test_a_gas_meter_is_seen_by_the_household_of_its_reader_alone(homes: Store) -> None:
    homes.put_device(Device("cad-1~gas"))
    gas = visible_device(homes, ANN, "cad-1~gas", NOW)
    assert gas
    assert visible_devices(homes, ANN, 10) == [HOME, gas]
    assert may_edit(ANN, gas)
    homes.put_device(replace(HOME, household="willow"))
    assert visible_device(homes, ANN, "cad-1~gas", NOW) is None
    assert visible_devices(homes, ANN, 10) == []
    assert [one.device_id for one in visible_devices(homes, replace(ANN, household="willow"), 10)] == [
        *("cad-1", "cad-1~gas", "cad-2")
    ]


@pytest.mark.parametrize(
    "viewer",
    [
        None,
        ADMINISTRATOR,
        STAFF,
        replace(ANN, household=""),
        replace(ANN, is_disabled=True),
        replace(ANN, household="ACACIA"),
        replace(ANN, role="root"),
        replace(ADMINISTRATOR, household="acacia"),
        replace(STAFF, household="acacia"),
    ],
)
def test_other_households_and_managers_see_no_device(homes: Store, viewer: User | None) -> None:
    assert seen(homes, viewer) == []
    assert visible_devices(homes, viewer, 10) == []


def test_support_sees_a_looked_up_device_for_some_hours(homes: Store) -> None:
    look_up(homes, STAFF, "cad-2")
    assert seen(homes, STAFF) == ["cad-2"]
    assert seen(homes, replace(STAFF, user_id="u8")) == []
    assert seen(homes, replace(STAFF, is_disabled=True)) == []
    assert seen(homes, replace(STAFF, role=ADMIN)) == []
    assert seen(homes, STAFF, NOW + audit.GRANT_HOURS * 3600 - 1) == ["cad-2"]
    assert seen(homes, STAFF, NOW + audit.GRANT_HOURS * 3600) == []


def test_a_look_up_of_a_missing_device_shows_nothing(homes: Store) -> None:
    look_up(homes, STAFF, "cad-4")
    assert seen(homes, STAFF) == []


def test_only_a_household_edits_its_own_device(homes: Store) -> None:
    look_up(homes, STAFF, "cad-1")
    viewers = (ANN, STAFF, ADMINISTRATOR, None, replace(ANN, is_disabled=True), replace(ANN, household=""))
    assert [may_edit(viewer, HOME) for viewer in viewers] == [True, *[False] * 5]
    assert [may_edit(ANN, device) for device in (OTHER, UNTIED)] == [False, False]


def test_support_counts_as_staff() -> None:
    viewers = (ANN, STAFF, ADMINISTRATOR, None, replace(STAFF, is_disabled=True))
    assert [is_staff(viewer) for viewer in viewers] == [False, True, False, False, False]


@pytest.mark.parametrize("viewer", [ANN, STAFF, ADMINISTRATOR, None])
def test_unauthorized_and_missing_devices_take_the_same_reads(homes: Store, viewer: User | None) -> None:
    asked: list[Counter[str]] = []
    for device_id in ("cad-2", "cad-4"):
        counting = Counting(homes)
        assert visible_device(counting, viewer, device_id, NOW) is None
        asked.append(counting.asked)
    assert asked[0] == asked[1]


class Counting:
    """A store that counts its reads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the rest of the store as it is
        self.asked[name] += 1
        return getattr(self._store, name)
