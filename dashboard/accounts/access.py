"""Access: who may see which device. This module alone decides; every read of the dashboard asks it.

A household sees its own devices, each from its first day there to its last (`occupancies.seen_by`). Support sees a
device for some hours after a look-up with a reason. An account manager sees no energy. An unauthorized device looks
like a missing one: the same reads give the same answer.
"""

from flask import g, has_request_context

from aggregator.core.documents import Device
from aggregator.core.readings import is_device_id
from aggregator.store.occupancies import is_over, seen_by
from aggregator.store.port import Store
from aggregator.support import audit
from dashboard.accounts.sessions import signed_in
from dashboard.accounts.users import ADMIN, HOUSEHOLD, SUPPORT, User

_READER = "reader"


def viewer() -> User | None:
    """Return who asks in the current request: as whom its API key reads, or the signed-in user; else None."""
    reader: User | None = g.get(_READER) if has_request_context() else None
    return reader or signed_in()


def act_as(reader: User) -> None:
    """Let the rest of the current request, which an API key admits, read as a person and not as its session."""
    setattr(g, _READER, reader)


def visible_device(store: Store, viewer: User | None, device_id: str, now: int) -> Device | None:
    """Return a device if the viewer may see it at `now` (UTC seconds), else None."""
    if viewer is None or viewer.is_disabled or not is_device_id(device_id):
        return None
    device = store.device(device_id)
    if viewer.role == HOUSEHOLD:
        return seen_by(device, viewer.household) if device else None
    if is_staff(viewer):
        return device if audit.granted(store, viewer.user_id, device_id, now) else None
    return None


def visible_devices(store: Store, viewer: User | None, limit: int) -> list[Device]:
    """Return the first devices of a household, by id; empty for staff, who look up one at a time."""
    if viewer is None or viewer.is_disabled or viewer.role != HOUSEHOLD or not viewer.household:
        return []
    found = (store.device(device_id) for device_id in store.household_devices(viewer.household)[:limit])
    return [own for device in found if device and (own := seen_by(device, viewer.household))]


def may_edit(viewer: User | None, device: Device) -> bool:
    """Whether a viewer may change a household's own settings, such as its tariff. Who moved out may not."""
    if viewer is None or viewer.is_disabled or viewer.role != HOUSEHOLD or is_over(device):
        return False
    return bool(viewer.household) and device.household == viewer.household


def is_staff(viewer: User | None) -> bool:
    """Whether a viewer works in support."""
    return viewer is not None and not viewer.is_disabled and viewer.role == SUPPORT


def is_manager(viewer: User | None) -> bool:
    """Whether a viewer manages accounts and the registry."""
    return viewer is not None and not viewer.is_disabled and viewer.role == ADMIN
