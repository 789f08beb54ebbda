"""What a device says about itself: its signal, firmware, hardware, and whether it has joined the meter's network.

A status is a JSON line with `device_id`, `at`, none of the three figures of a reading, and at least one of `KEYS`::

    {"device_id": "cad-1", "at": "2026-03-29T00:59:50Z", "rssi_dbm": -71, "lqi": 96, "firmware": "v2.0.2",
     "hardware": "GLOW-IHD-02", "joined": true}

The meter's own counters of the day, the week and the month, `meter_day_wh` and so on, come the same way. Some meters
begin them anew at UTC midnight, so they are for the support desk to compare, and never a source of energy.

Kept are what is known last of each key, the first status of each UTC hour for KEPT_DAYS, and when each firmware was
first and last seen. Statuses may come in any order.

| collection | key | body |
|---|---|---|
| `status/SHARD` | device | the last of each key, when it came in, firmwares |
| `signal/DEVICE` | UTC day | by hour: instant, RSSI, LQI, joined |

Which devices somebody is looking at, so that those that send half hours show their power only while it is seen.

| collection | key | body |
|---|---|---|
| `edges` | device | that it sends half hours; `{}` |
| `watched` | device | that somebody is looking; `{}` |
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import NamedTuple

import orjson

from aggregator.core.periods import DAY_S, HOUR, day_of
from aggregator.core.status import Counters, Status
from aggregator.store.collections import EDGES, SIGNAL, STATUS, WATCHED, update_record
from aggregator.store.collections import KEPT_DAYS as KEPT_DAYS
from aggregator.store.port import Store

SHARDS = STATUS.shards  # of the last statuses: one partition would be too hot for a fleet
STEP_S = 60  # the last status is replaced by one that is newer by so much, or says something else
_FIRMWARES = 12  # of a device, the last ones
_COMPARED = slice(2, 7)  # of a status, all but its counters, which go on all the time


class Signal(NamedTuple):
    """The signal of one hour, by its first status."""

    at: int  # UTC seconds
    rssi_dbm: int | None
    lqi: int | None
    joined: bool | None


@dataclass(frozen=True, slots=True)
class KnownStatus:
    """What is known of a device from its statuses."""

    status: Status  # the last that was said of each key; `at` is of the last status
    received_at: int  # UTC seconds
    firmwares: Mapping[str, tuple[int, int]]  # name -> first and last seen, UTC seconds, the newest first


# keeping


def put_statuses(store: Store, statuses: Iterable[Status], now: int) -> None:
    """Keep statuses, in any number and order."""
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
    """What is known of a device; None where it has said nothing."""
    body = store.record(STATUS.of(STATUS.shard_of(device_id)), device_id)
    return _parse_known(device_id, body) if body else None


def signal_hours(store: Store, device_id: str, first: int, last: int) -> list[Signal]:
    """The hours that have a status from one instant to another (UTC seconds), oldest first."""
    days = store.records(SIGNAL.of(device_id), day_of(first, "UTC"), day_of(last, "UTC"))
    found = [Signal(*row) for record in days for row in orjson.loads(record.body).values()]
    return sorted(one for one in found if first <= one.at <= last)


def shard_statuses(store: Store, shard: int) -> Iterator[KnownStatus]:
    """What is known of the devices of a shard, 0 to SHARDS - 1; every device is in one."""
    after = ""
    while page := store.records(STATUS.of(f"{shard:02d}"), after):
        yield from (_parse_known(record.key, record.body) for record in page)
        after = page[-1].key + "\0"


def _put_last(store: Store, device_id: str, statuses: list[Status], now: int) -> None:
    def merged(body: str | None) -> str:
        return _body(_merged(_parse_known(device_id, body) if body else None, statuses, now))

    update_record(store, STATUS.of(STATUS.shard_of(device_id)), device_id, merged, may_be_lost=True)


def _merged(stored: KnownStatus | None, statuses: list[Status], now: int) -> KnownStatus:
    """What is known after statuses in order of time; as it was where they tell nothing new."""
    said = stored.status if stored else statuses[0]
    for status in statuses:
        if status.at >= said.at:
            said = Status._make(old if new is None else new for old, new in zip(said, status, strict=True))
    firmwares = _firmwares(stored.firmwares if stored else {}, statuses)
    if stored is None or said.at - stored.status.at >= STEP_S or said[_COMPARED] != stored.status[_COMPARED]:
        return KnownStatus(said, now, firmwares)
    return KnownStatus(stored.status, stored.received_at, firmwares)


def _firmwares(stored: Mapping[str, tuple[int, int]], statuses: list[Status]) -> dict[str, tuple[int, int]]:
    """When each firmware was seen, the newest first; a last time moves by STEP_S at least."""
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
    """A day's hours with the first status of each, after statuses in order of time."""
    hours = orjson.loads(body) if body else {}
    for status in reversed(statuses):
        hour = f"{status.at % DAY_S // HOUR:02d}"
        if hour not in hours or status.at < hours[hour][0]:
            hours[hour] = [status.at, status.rssi_dbm, status.lqi, status.joined]
    return orjson.dumps(hours, option=orjson.OPT_SORT_KEYS).decode()


def _parse_known(device_id: str, body: str) -> KnownStatus:
    (at, rssi, lqi, firmware, hardware, joined, *counted), received_at, firmwares = orjson.loads(body)
    counters = Counters(*counted[0]) if counted and counted[0] else None  # a former version kept none
    said = Status(device_id, at, rssi, lqi, firmware, hardware, joined, counters)
    return KnownStatus(said, received_at, {name: (first, last) for name, first, last in firmwares})


def _body(known: KnownStatus) -> str:
    firmwares = [[name, *seen] for name, seen in known.firmwares.items()]
    counters = known.status.counters
    said = [*known.status[1:-1], counters and [*counters]]
    return orjson.dumps([said, known.received_at, firmwares]).decode()


# live viewers

LOOK_S = WATCHED.lifetime_s  # a look is known for so long; a page that stays open looks again


def note_edge(store: Store, device_id: str, now: int) -> None:
    """Note that a device sends half hours; written once, while it is known still."""
    if store.record(EDGES.of(), device_id) is None:
        store.put_record(EDGES.of(), device_id, "{}", expires=EDGES.expires(now))


def note_look(store: Store, device_id: str, now: int) -> bool:
    """Note that somebody is looking at a device; False, and nothing is kept, for one that sends its power anyway."""
    if store.record(EDGES.of(), device_id) is None:
        return False
    store.put_record(WATCHED.of(), device_id, "{}", expires=WATCHED.expires(now))
    return True


def is_watched(store: Store, device_id: str) -> bool:
    """Whether somebody is looking at a device."""
    return store.record(WATCHED.of(), device_id) is not None
