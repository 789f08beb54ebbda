"""A provisioning file on each store: the same registry and accounts, and a second run that changes nothing."""

from aggregator.store.port import Store
from tests.dashboard.accounts.test_provisioning import FILE, Place, counts


def test_a_file_is_carried_out_once(store: Store) -> None:
    place = Place(store)
    assert counts(place.provision(FILE)) == ({"made": 3, "moved": 1}, {"made": 3}, 0)
    assert {one.device_id: one.household for one in store.devices()} == {
        "cad-1": "willow",
        "cad-1~gas": "willow",
        "cad-2": "",
    }
    assert place.provision(FILE).is_unchanged
