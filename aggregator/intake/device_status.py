"""The status of devices: signal, firmware, hardware, and membership in the meter's network; and live viewers.

**Statuses.** A status is a JSON line with `device_id`, `at`, no measured value, and at least one of `status.KEYS`::

    {"device_id": "cad-1", "at": "2026-03-29T00:59:50Z", "rssi_dbm": -71, "lqi": 96, "firmware": "v2.0.2",
     "hardware": "GLOW-IHD-02", "joined": true}

A status also carries the meter's own counters of the day, the week and the month (`meter_day_wh` and so on). Some
meters reset them at UTC midnight, so the support desk compares them; they are never a source of energy.

The store has the last value of each key, the first status of each UTC hour for KEPT_DAYS, and the first and last time
of each firmware. Statuses may come in any order.

| collection | key | body |
|---|---|---|
| `status/SHARD` | device | the last value of each key, the time of its arrival, firmwares |
| `signal/DEVICE` | UTC day | by hour: instant, RSSI, LQI, joined |

**Live viewers.** `watched` has a record, `{}`, for each device that somebody looks at. An edge sends live power only
then, and in a large fleet the worker carries such a device at once.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

import orjson

from aggregator.core.periods import DAY_S, HOUR, day_of
from aggregator.core.status import Counters, Status
from aggregator.store.collections import KEPT_DAYS as KEPT_DAYS
from aggregator.store.collections import SIGNAL, STATUS, WATCHED, parsed, record_pages, update_record
from aggregator.store.port import Store

SHARDS = STATUS.shards  # one partition would be too hot for the last statuses of a fleet
STEP_S = 60  # a newer status with the same values is written after this time
_FIRMWARES = 12  # the last ones of a device
_COMPARED = slice(2, 7)  # the compared fields of a status; the counters always change


class Signal(NamedTuple):
    """The signal of one hour, by its first status."""

    at: int  # UTC seconds
    rssi_dbm: int | None
    lqi: int | None
    joined: bool | None


@dataclass(frozen=True, slots=True)
class KnownStatus:
    """The merged status of a device."""

    status: Status  # the last value of each key; `at` is the time of the last status
    received_at: int  # UTC seconds
    firmwares: Mapping[str, tuple[int, int]]  # name -> first and last seen, UTC seconds, the newest first


# Statuses


def put_statuses(store: Store, statuses: Iterable[Status], now: int) -> None:
    """Write statuses to the store, in any number and order."""
    of_device: dict[str, list[Status]] = {}
    for status in statuses:
        of_device.setdefault(status.device_id, []).append(status)
    if of_device:
        with store.transaction():  # on SQLite one write to the disk
            for device_id, own in of_device.items():
                own.sort(key=attrgetter("at"))
                _put_last(store, device_id, own, now)
                _put_hours(store, device_id, [one for one in own if one.at > now - KEPT_DAYS * DAY_S])


def known_status(store: Store, device_id: str) -> KnownStatus | None:
    """Return the merged status of a device; None without a status."""
    body = store.record(STATUS.of(STATUS.shard_of(device_id)), device_id)
    return _parse_known(device_id, body)


def signal_hours(store: Store, device_id: str, first: int, last: int) -> list[Signal]:
    """Return the signal of each hour with a status from `first` to `last` (UTC seconds), oldest first."""
    days = store.records(SIGNAL.of(device_id), day_of(first, "UTC"), day_of(last, "UTC"))
    signals = [Signal(*row) for record in days for row in orjson.loads(record.body).values()]
    return sorted(one for one in signals if first <= one.at <= last)


def shard_statuses(store: Store, shard: int) -> Iterator[KnownStatus]:
    """Yield the statuses of a shard's devices; `shard` is from 0 to SHARDS - 1. Each device is in one shard."""
    for page in record_pages(store, STATUS.of(f"{shard:02d}")):
        yield from filter(None, (_parse_known(record.key, record.body) for record in page))


def _put_last(store: Store, device_id: str, statuses: list[Status], now: int) -> None:
    def merged(body: str | None) -> str:
        return _body(_merged(_parse_known(device_id, body), statuses, now))

    update_record(store, STATUS.of(STATUS.shard_of(device_id)), device_id, merged, may_be_lost=True)


def _merged(stored: KnownStatus | None, statuses: list[Status], now: int) -> KnownStatus:
    """Merge statuses in order of time into the stored one; return the stored one if they say nothing new."""
    last = stored.status if stored else statuses[0]
    for status in statuses:
        if status.at >= last.at:
            last = Status._make(old if new is None else new for old, new in zip(last, status, strict=True))
    firmwares = _firmwares(stored.firmwares if stored else {}, statuses)
    if stored is None or last.at - stored.status.at >= STEP_S or last[_COMPARED] != stored.status[_COMPARED]:
        return KnownStatus(last, now, firmwares)
    if stored.status.counters is None and last.counters:  # the first ones
        return KnownStatus(last, now, firmwares)
    return KnownStatus(stored.status, stored.received_at, firmwares)


def _firmwares(stored: Mapping[str, tuple[int, int]], statuses: list[Status]) -> dict[str, tuple[int, int]]:
    """Return the first and last time of each firmware, the newest first; a last time moves by at least STEP_S."""
    seen = dict(stored)
    for status in statuses:
        if status.firmware:
            first, last = seen.get(status.firmware, (status.at, status.at))
            seen[status.firmware] = (min(first, status.at), status.at if status.at >= last + STEP_S else last)
    return dict(sorted(seen.items(), key=lambda one: one[1][::-1], reverse=True)[:_FIRMWARES])


def _put_hours(store: Store, device_id: str, statuses: list[Status]) -> None:
    days: dict[str, list[Status]] = {}
    for status in statuses:
        if (status.rssi_dbm, status.lqi, status.joined) != (None, None, None):
            days.setdefault(day_of(status.at, "UTC"), []).append(status)
    for day, own in days.items():
        change, expires = partial(_with_hours, statuses=own), SIGNAL.expires(own[-1].at)
        update_record(store, SIGNAL.of(device_id), day, change, expires=expires, may_be_lost=True)


def _with_hours(body: str | None, statuses: list[Status]) -> str:
    """Merge statuses in order of time into a day's record, which has the first status of each hour."""
    hours = parsed(body, "a day of signals", dict) or {}
    for status in reversed(statuses):
        hour = f"{status.at % DAY_S // HOUR:02d}"
        if hour not in hours or status.at < hours[hour][0]:
            hours[hour] = [status.at, status.rssi_dbm, status.lqi, status.joined]
    return orjson.dumps(hours, option=orjson.OPT_SORT_KEYS).decode()


def _parse_known(device_id: str, body: str | None) -> KnownStatus | None:
    """Decode a record; None without one, and for a damaged one, in place of which the next status is written."""
    return parsed(body, f"the status of {device_id}", partial(_known, device_id))


def _known(device_id: str, content: Any) -> KnownStatus:  # noqa: ANN401 - JSON
    (at, rssi, lqi, firmware, hardware, joined, *rest), received_at, firmwares = content
    counters = Counters(*rest[0]) if rest and rest[0] else None  # an older version stored none
    status = Status(device_id, at, rssi, lqi, firmware, hardware, joined, counters)
    return KnownStatus(status, received_at, {name: (first, last) for name, first, last in firmwares})


def _body(merged: KnownStatus) -> str:
    firmwares = [[name, *seen] for name, seen in merged.firmwares.items()]
    counters = merged.status.counters
    values = [*merged.status[1:-1], counters and [*counters]]
    return orjson.dumps([values, merged.received_at, firmwares]).decode()


# Live viewers

LOOK_S = WATCHED.lifetime_s  # duration of a look; an open page renews it
MOST_LOOKS = 20_000


def note_look(store: Store, device_id: str, now: int) -> None:
    """Record that somebody looks at a device.

    Raises StoreAway at once where another writes: a page does not wait for a note.
    """
    store.put_record(WATCHED.of(), device_id, "{}", expires=WATCHED.expires(now), is_patient=False)


def looked_at(store: Store) -> set[str]:
    """Return the devices that somebody looks at, at most MOST_LOOKS."""
    return {record.key for record in store.records(WATCHED.of(), limit=MOST_LOOKS)}


def is_watched(store: Store, device_id: str) -> bool:
    """Whether somebody looks at a device."""
    return store.record(WATCHED.of(), device_id) is not None
