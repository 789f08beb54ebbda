"""Mark the exchange of a meter by hand, or say that there was none; what that changes is computed again.

What the staff can do to a device. Each is written down in the audit first, with the reason, and only then done.

What is refused is not written down: the home would read of something that nobody did.

Nothing here asks whether somebody may: that is for whoever calls. Nor is the waterfall drained: a worker does that.
"""

from dataclasses import replace
from functools import partial

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import HALF_HOUR, Window, block_start, iso_utc
from aggregator.core.registers import (
    CHANNELS,
    ExchangeOverride,
    ExchangeOverrides,
    overrides_text,
    parse_overrides,
    register_of,
)
from aggregator.store.port import Store
from aggregator.support.audit import Who, append
from aggregator.support.bundle import bundle, zipped
from aggregator.support.notes import Note, check_note, put_note
from aggregator.waterfall import verify
from aggregator.waterfall.levels import recompute
from aggregator.waterfall.recompute_window import RecomputeWindow

MOST = 20  # exchange_overrides of a device
_NEAR = 8  # blocks with data on each side of a mark


def mark(store: Store, device: Device, at: int, *, is_exchange: bool) -> Device:
    """Say that the meter was exchanged at `at` (UTC seconds), or that it was not; drain the waterfall after it.

    Saying it again changes nothing. Raises ConfigurationError where the readings of that time have expired, where a
    register went down, which no meter's does by itself, or where there are too many exchange_overrides.
    """
    return _put(store, device, check_mark(store, device, at, is_exchange=is_exchange), at)


def unmark(store: Store, device: Device, at: int) -> Device:
    """Take back what was said about `at`; the readings decide again. Raises ConfigurationError where nothing was."""
    return _put(store, device, check_unmark(store, device, at), at)


def check_mark(store: Store, device: Device, at: int, *, is_exchange: bool) -> ExchangeOverrides:
    """What `mark` would leave marked. Raises ConfigurationError as it does, so that nothing refused is written down."""
    exchange_overrides = parse_overrides(device.exchange_overrides)
    if not is_exchange:
        _check_runs_on(store, device, at)
    changed = (*(one for one in exchange_overrides if one.at != at), ExchangeOverride(at, is_exchange))
    if len(changed) > MOST:
        raise ConfigurationError(
            f"{device.device_id} has {MOST} exchange_overrides of exchanges already; take one away first"
        )
    _check_is_kept(store, device, at)
    return changed


def check_unmark(store: Store, device: Device, at: int) -> ExchangeOverrides:
    """What `unmark` would leave marked. Raises ConfigurationError as it does."""
    exchange_overrides = parse_overrides(device.exchange_overrides)
    left = tuple(one for one in exchange_overrides if one.at != at)
    if len(left) == len(exchange_overrides):
        raise ConfigurationError(f"nothing is marked at {iso_utc(at)} of {device.device_id}")
    _check_is_kept(store, device, at)
    return left


def _check_is_kept(store: Store, device: Device, at: int) -> None:
    if at < store.retention_cutoff(device.device_id):
        raise ConfigurationError(f"the readings of {iso_utc(at)} have expired; what they have made stays as it is")


def _put(store: Store, device: Device, exchange_overrides: ExchangeOverrides, at: int) -> Device:
    changed = replace(device, exchange_overrides=overrides_text(exchange_overrides))
    spans = [_reached(store, one, at) for one in (device, changed)]
    span = Window(min(one.start for one in spans), max(one.end for one in spans))
    with store.transaction():
        # Whose home it is, or its tariff, may have changed since somebody opened the form.
        changed = replace(store.device(device.device_id) or device, exchange_overrides=changed.exchange_overrides)
        store.put_device(changed)
        store.step(partial(recompute, store, changed, span))
    return changed


def _reached(store: Store, device: Device, at: int) -> Window:
    """The hours that depend on whether the meter was exchanged at an instant."""
    first, last = _around(store, device.device_id, at)
    return RecomputeWindow(store, device, first, last).hours(Window(first, last + HALF_HOUR))


def _around(store: Store, device_id: str, at: int) -> tuple[int, int]:
    """The starts of blocks so far before and after an instant that each register has readings on both sides."""
    before, after = (store.block_starts(device_id, at, side * _NEAR) for side in (-1, 1))
    return (before or [block_start(at)])[-1], (after or [block_start(at)])[-1]


def _check_runs_on(store: Store, device: Device, at: int) -> None:
    readings = store.readings(device.device_id, *_around(store, device.device_id, at))
    for channel in CHANNELS:
        ats, whs, *_ = register_of(readings, channel)
        earlier = [wh for one, wh in zip(ats, whs, strict=True) if one < at]
        later = [wh for one, wh in zip(ats, whs, strict=True) if one >= at]
        if earlier and later and later[0] < earlier[-1]:
            raise ConfigurationError(
                f"{channel} went down from {earlier[-1]} to {later[0]} Wh at {iso_utc(at)}: no meter runs backwards,"
                " so it was exchanged, or what it showed then was wrong"
            )


# actions


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
    check_mark(store, device, at, is_exchange=is_exchange)
    details = {"at": iso_utc(at), "is": "exchanged" if is_exchange else "not exchanged"}
    append(store, who, "exchange", device.device_id, reason, now, details)
    return mark(store, device, at, is_exchange=is_exchange)


def unmark_exchange(store: Store, who: Who, device: Device, at: int, reason: str, now: int) -> Device:
    """Take back what was said about `at`. Raises ConfigurationError where nothing was."""
    check_unmark(store, device, at)
    append(store, who, "exchange", device.device_id, reason, now, {"at": iso_utc(at), "is": "taken back"})
    return unmark(store, device, at)


def export_bundle(store: Store, who: Who, device: Device, reason: str, now: int) -> bytes:
    """The diagnostic bundle of a device as a ZIP file."""
    append(store, who, "export", device.device_id, reason, now)
    return zipped(bundle(store, device, now), now)
