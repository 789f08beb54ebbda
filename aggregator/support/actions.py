"""The actions of staff on a device: look up, note, rebuild, mark an exchange, export the diagnostic bundle.

Each action writes an audit entry with its reason first, and acts then. A refused action writes none, because the
household reads the entries. The web and the command line call these functions; nothing else acts for staff.

| action | details of its entry |
|---|---|
| `look-up`, `note`, `export`, `tariff` | none; the reason of a note is its text |
| `household export`, `erase` | `household`: the pseudonym of the household, which alone reads the entry |
| `import` | `undone`: the id of an import that is taken back; the reason ends with the name of the file |
| `search` | `number` of searches `since` an ISO instant in UTC |
| `device` | `changed`: the names of the fields; `to household`: where the device went, `its first day` there |
| `account` | `account`: the pseudonym; the fields and their new values |
| `provision` | `devices`, `people`: how many were added |
| `rebuild` | `from`, `to`: local days, without a bound not given |
| `exchange` | `at`: ISO instant in UTC; `is`: EXCHANGED, NOT_EXCHANGED or TAKEN_BACK |

The caller checks who may act. The waterfall is not drained here; a worker does that.
"""

from collections.abc import Iterable
from dataclasses import fields, replace
from functools import partial

import orjson

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import HALF_HOUR, HOUR, Window, block_start, iso_utc
from aggregator.core.readings import check_device_id
from aggregator.core.registers import (
    CHANNELS,
    ExchangeOverride,
    ExchangeOverrides,
    overrides_text,
    parse_overrides,
    register_of,
)
from aggregator.intake.claims import check_free, new_code
from aggregator.store import new_entry
from aggregator.store.collections import AUDIT_SEARCHES, update_record
from aggregator.store.port import Store
from aggregator.support.audit import GRANT_HOURS, Audit, Entry, Who, grant
from aggregator.support.audit_entry import LONGEST_REASON, check_reason
from aggregator.support.audit_people import MOVED, MOVED_FROM, NAMED_HOUSEHOLD, household_id, pseudonym_of
from aggregator.support.bundle import bundle, zipped
from aggregator.waterfall import verify
from aggregator.waterfall.levels import recompute
from aggregator.waterfall.recompute_window import RecomputeWindow
from aggregator.waterfall.stored_half_hours import is_old

EXCHANGED, NOT_EXCHANGED, TAKEN_BACK = "exchanged", "not exchanged", "taken back"
SEARCHES = 20  # of a person, in one entry
MOST = 20  # marked instants of a device
_NEAR = 8  # blocks with data on each side of a mark


def look_up(audit: Audit, who: Who, device_id: str, reason: str, now: int) -> Entry:
    """Grant access to a device for GRANT_HOURS. Raises ConfigurationError without a reason."""
    entry = audit.append(who, "look-up", device_id, reason, now)
    grant(audit.store, who.user_id, device_id, now + GRANT_HOURS * HOUR)
    return entry


def count_search(audit: Audit, who: Who, now: int) -> None:
    """Count a search of a person; each SEARCHES of them make one entry."""

    def count(body: str | None) -> str:
        searches, since = orjson.loads(body) if body else (0, now)
        return orjson.dumps([1, now] if searches >= SEARCHES else [searches + 1, since]).decode()

    searches, since = orjson.loads(update_record(audit.store, AUDIT_SEARCHES.of(), who.user_id, count).body or "[0,0]")
    if searches == SEARCHES:
        audit.append(who, "search", "", "searched for devices", now, {"number": str(searches), "since": iso_utc(since)})


def record_device(audit: Audit, who: Who, before: Device | None, after: Device, reason: str, now: int) -> None:
    """Write down which fields of a device are about to change, without their values, and where it goes.

    Call it before the change. Equal ones leave no entry.
    """
    former = before or Device(after.device_id)
    names = [one.name for one in fields(after) if getattr(former, one.name) != getattr(after, one.name)]
    home = _home(audit, after.household) if after.household else "-"
    first = {MOVED_FROM: after.occupied_from} if after.occupied_from else {}
    moved = {MOVED: home, **first} if "household" in names else {}
    if names or not before:
        audit.append(who, "device", after.device_id, reason, now, {"changed": ", ".join(names) or "new", **moved})


def record_token(audit: Audit, who: Who, device_id: str, now: int, *, is_end: bool) -> None:
    """Write down that a device is about to get a token, or to lose all of them."""
    reason = "device token revoked" if is_end else "device token made"
    audit.append(who, "device", device_id, reason, now, {"changed": "token"})


def record_account(audit: Audit, who: Who, reason: str, account: Who, now: int, **details: str) -> None:
    """Write down that an account is about to change. Pseudonyms stand for person and household; no name is kept."""
    texts = {field: value for field, value in details.items() if value and field != "name"}
    if household := texts.get(NAMED_HOUSEHOLD):
        texts[NAMED_HOUSEHOLD] = _home(audit, household)
    audit.append(who, "account", "", reason, now, {"account": pseudonym_of(audit.store, account), **texts})


def _home(audit: Audit, household: str) -> str:
    return pseudonym_of(audit.store, Who(household_id(household), "", ""))


def record_added(audit: Audit, who: Who, reason: str, devices: int, people: int, now: int) -> None:
    """Write down how many devices and people are about to be added at once; none leave no entry."""
    counts = {"devices": str(devices), "people": str(people)}
    if devices or people:
        audit.append(who, "provision", "", reason, now, {name: text for name, text in counts.items() if text != "0"})


def make_code(audit: Audit, who: Who, device_id: str, default_zone: str, now: int) -> str:
    """Return a new code by which a household claims a device; one that is not known yet is added.

    Raises Refused for an invalid id, and ConfigurationError for a device that is not free.
    """
    found = audit.store.device(check_device_id(device_id)) or new_entry(audit.store, device_id, default_zone)
    check_free(found, now)
    if audit.store.device(device_id) is None:
        audit.store.put_device(found)
    audit.append(who, "device", device_id, "claim code made", now, {"changed": "claim code"})
    return new_code(audit.store, found, now)


def record_household_export(audit: Audit, who: Who, household: str, device_ids: Iterable[str], now: int) -> None:
    """Write down, with each of its devices if any, that everything of a household is about to be exported."""
    told = {NAMED_HOUSEHOLD: _home(audit, household)}
    for device_id in [*device_ids] or [""]:
        audit.append(who, "household export", device_id, "everything of the household", now, told)


def record_erasure(audit: Audit, who: Who, household: str, device_ids: Iterable[str], reason: str, now: int) -> None:
    """Write down, with each of its devices if any, that a household is about to be erased."""
    told = {NAMED_HOUSEHOLD: _home(audit, household)}
    for device_id in [*device_ids] or [""]:
        audit.append(who, "erase", device_id, reason, now, told)


def record_tariff(audit: Audit, who: Who, device: Device, reason: str, now: int) -> None:
    """Write down that the tariff or the prices of a device are about to change."""
    audit.append(who, "tariff", device.device_id, reason, now)


def record_import(
    audit: Audit, who: Who, device_id: str, reason: str, now: int, *, file: str = "", undone: str = ""
) -> None:
    """Write down that a file is about to be imported, or the import `undone` to be taken back.

    A file's name may name a person: it is in the reason, which an erasure takes, and not in the details, which stay.
    """
    reason = check_reason(reason)
    said = f"{reason}: {file}"[:LONGEST_REASON] if file else reason
    audit.append(who, "import", device_id, said, now, {"undone": undone} if undone else {})


def add_note(audit: Audit, who: Who, device: Device, text: str, now: int) -> Entry:
    """Add a note to a device's audit. Raises ConfigurationError for an invalid reason."""
    return audit.append(who, "note", device.device_id, text, now)


def rebuild(
    audit: Audit, who: Who, device: Device, first_day: str | None, last_day: str | None, reason: str, now: int
) -> int:
    """Recompute local days of a device from `first_day` to `last_day`, both included; None means no bound.

    Return the number of days. Raises ConfigurationError without a reason.
    """
    days = {"from": first_day, "to": last_day}
    audit.append(who, "rebuild", device.device_id, reason, now, {name: day for name, day in days.items() if day})
    return verify.rebuild(audit.store, device, first_day, last_day)


def mark_exchange(
    audit: Audit, who: Who, device: Device, at: int, reason: str, now: int, *, is_exchange: bool
) -> Device:
    """Mark that the meter was exchanged at `at` (UTC seconds), or that it was not.

    A repeated mark changes no document. Raises ConfigurationError if the readings of that time have expired, if a
    register went down but should count as not exchanged, or if MOST instants are marked.
    """
    overrides = _with_mark(audit.store, device, at, is_exchange=is_exchange)
    _append_exchange(audit, who, device, at, reason, now, EXCHANGED if is_exchange else NOT_EXCHANGED)
    return _put(audit.store, device, overrides, at)


def unmark_exchange(audit: Audit, who: Who, device: Device, at: int, reason: str, now: int) -> Device:
    """Remove the mark at `at` (UTC seconds); the readings decide again.

    Raises ConfigurationError if nothing is marked, or if the readings of that time have expired.
    """
    overrides = _without_mark(audit.store, device, at)
    _append_exchange(audit, who, device, at, reason, now, TAKEN_BACK)
    return _put(audit.store, device, overrides, at)


def export_bundle(audit: Audit, who: Who, device: Device, reason: str, now: int) -> bytes:
    """Return the diagnostic bundle of a device as a ZIP file. Raises ConfigurationError without a reason."""
    audit.append(who, "export", device.device_id, reason, now)
    return zipped(bundle(audit.store, device, now), now)


# Exchanges


def _append_exchange(audit: Audit, who: Who, device: Device, at: int, reason: str, now: int, mark: str) -> None:
    audit.append(who, "exchange", device.device_id, reason, now, {"at": iso_utc(at), "is": mark})


def _with_mark(store: Store, device: Device, at: int, *, is_exchange: bool) -> ExchangeOverrides:
    if not is_exchange:
        _check_runs_on(store, device, at)
    others = (one for one in parse_overrides(device.exchange_overrides) if one.at != at)
    changed = (*others, ExchangeOverride(at, is_exchange))
    if len(changed) > MOST:
        raise ConfigurationError(f"{device.device_id} has {MOST} marked instants already; take one back first")
    _check_not_expired(store, device, at)
    return changed


def _without_mark(store: Store, device: Device, at: int) -> ExchangeOverrides:
    overrides = parse_overrides(device.exchange_overrides)
    left = tuple(one for one in overrides if one.at != at)
    if len(left) == len(overrides):
        raise ConfigurationError(f"nothing is marked at {iso_utc(at)} of {device.device_id}")
    _check_not_expired(store, device, at)
    return left


def _check_not_expired(store: Store, device: Device, at: int) -> None:
    document = store.document("day", device.device_id, periods.day_of(at, device.timezone))
    if is_old(document, store.retention_cutoff(device.device_id)):
        raise ConfigurationError(f"the readings of {iso_utc(at)} have expired, so its half hours cannot be recomputed")


def _put(store: Store, device: Device, exchange_overrides: ExchangeOverrides, at: int) -> Device:
    changed = replace(device, exchange_overrides=overrides_text(exchange_overrides))
    spans = [_reached(store, one, at) for one in (device, changed)]
    span = Window(min(one.start for one in spans), max(one.end for one in spans))
    with store.transaction():
        # The household or the tariff may have changed since the form was opened.
        changed = replace(store.device(device.device_id) or device, exchange_overrides=changed.exchange_overrides)
        store.put_device(changed)
        store.step(partial(recompute, store, changed, span))
    return changed


def _reached(store: Store, device: Device, at: int) -> Window:
    """Return the hours that depend on an exchange of the meter at `at`."""
    first, last = _around(store, device.device_id, at)
    return RecomputeWindow(store, device, first, last).hours(Window(first, last + HALF_HOUR))


def _around(store: Store, device_id: str, at: int) -> tuple[int, int]:
    """Return the starts of the farthest of _NEAR blocks with data before and after `at`."""
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
                f"{channel} went down from {earlier[-1]} to {later[0]} at {iso_utc(at)}: no meter runs backwards,"
                " so the meter was exchanged or a reading is wrong"
            )
