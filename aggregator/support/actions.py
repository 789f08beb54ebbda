"""What the staff can do to a device. Each is written down in the audit first, with the reason, and only then done.

What is refused is not written down: the home would read of something that nobody did.

Nothing here asks whether somebody may: that is for whoever calls. Nor is the waterfall drained: a worker does that.
"""

from aggregator.core.documents import Device
from aggregator.core.periods import iso_utc
from aggregator.store.port import Store
from aggregator.support import exchanges
from aggregator.support.audit import Who, append
from aggregator.support.bundle import bundle, zipped
from aggregator.support.notes import Note, check_note, put_note
from aggregator.waterfall import verify


def add_note(store: Store, who: Who, device: Device, text: str, reason: str, now: int) -> Note:
    """Add a note about a device. Raises ConfigurationError for a text or a reason that cannot be one."""
    text = check_note(text)
    entry = append(store, who, "note", device.device_id, reason, now)
    return put_note(store, device.device_id, entry.key, who, text, entry.at)


def rebuild(
    store: Store, who: Who, device: Device, first_day: str | None, last_day: str | None, reason: str, now: int
) -> int:
    """Compute days of a device again, both included; returns how many."""
    days = {"from": first_day or "", "to": last_day or ""}
    append(store, who, "rebuild", device.device_id, reason, now, {name: day for name, day in days.items() if day})
    return verify.rebuild(store, device, first_day, last_day)


def mark_exchange(
    store: Store, who: Who, device: Device, at: int, reason: str, now: int, *, is_exchange: bool
) -> Device:
    """Say that the meter was exchanged at `at` (UTC seconds), or that it was not. Raises ConfigurationError."""
    exchanges.check_mark(store, device, at, is_exchange=is_exchange)
    details = {"at": iso_utc(at), "is": "exchanged" if is_exchange else "not exchanged"}
    append(store, who, "exchange", device.device_id, reason, now, details)
    return exchanges.mark(store, device, at, is_exchange=is_exchange)


def unmark_exchange(store: Store, who: Who, device: Device, at: int, reason: str, now: int) -> Device:
    """Take back what was said about `at`. Raises ConfigurationError where nothing was."""
    exchanges.check_unmark(store, device, at)
    append(store, who, "exchange", device.device_id, reason, now, {"at": iso_utc(at), "is": "taken back"})
    return exchanges.unmark(store, device, at)


def export_bundle(store: Store, who: Who, device: Device, reason: str, now: int) -> bytes:
    """The diagnostic bundle of a device as a ZIP file."""
    append(store, who, "export", device.device_id, reason, now)
    return zipped(bundle(store, device, now), now)
