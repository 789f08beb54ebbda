"""The fleet: counts of devices by state and by firmware, refused messages, and the lag.

A census reads all devices a page at a time and writes its counts as records, so a page of the desk reads one key.
The worker does other work between two pages, so a census takes a few minutes and delays nothing.

| collection | key | body |
|---|---|---|
| `fleet` | `summary` | all counts |
| `fleet/devices` | `state/late`, `firmware/v2.0.2`, `refused/today`, `waterfall/waiting` | up to MOST_LISTED devices |
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b

import orjson

from aggregator.core.live import Live
from aggregator.core.periods import DAY_S, HOUR, day_of
from aggregator.intake import device_status, refusals
from aggregator.store.collections import FLEET, FLEET_DEVICES
from aggregator.store.port import Backlog, Store, feeds
from aggregator.support.device_state import arrival_state, device_state
from aggregator.waterfall.pricing import PRICES

SILENT = {  # most seconds since the last arrival of a silent device
    "silent_10_minutes": HOUR,
    "silent_1_hour": DAY_S,
    "silent_1_day": 7 * DAY_S,
    "silent_7_days": 30 * DAY_S,
    "silent_30_days": 2**40,
}
STATES = ("sending", "late", *SILENT, "supplied", "never")
MOST_LISTED = 500  # listed devices of a count; the count is complete
MOST_WAITING = 5000  # dirty keys read per feed
MOST_FIRMWARES = 50  # the most frequent ones; OTHERS counts the rest
OTHERS = "others"


@dataclass(slots=True)
class _Group:
    """A count of devices, and the first MOST_LISTED of them."""

    count: int = 0
    devices: list[str] = field(default_factory=list)

    def add(self, device_id: str) -> None:
        self.count += 1
        if len(self.devices) < MOST_LISTED:
            self.devices.append(device_id)


class _Seen:
    """The devices that have been seen, in 8 bytes each: hashes, of which two of a million are alike once in 10^7."""

    def __init__(self) -> None:
        self._hashes, self._is_sorted = array("Q"), True

    def add(self, device_id: str) -> None:
        self._hashes.append(_hash(device_id))
        self._is_sorted = False

    def __contains__(self, device_id: str) -> bool:
        if not self._is_sorted:
            self._hashes, self._is_sorted = array("Q", sorted(self._hashes)), True
        wanted = _hash(device_id)
        place = bisect_left(self._hashes, wanted)
        return place < len(self._hashes) and self._hashes[place] == wanted


def _hash(device_id: str) -> int:
    return int.from_bytes(blake2b(device_id.encode(), digest_size=8).digest(), "little")


@dataclass(frozen=True, slots=True)
class Summary:
    """The counts of a census."""

    at: int  # UTC seconds of its start
    devices: int  # with a registry entry or a live state
    states: Mapping[str, int]  # devices by STATES
    firmwares: Mapping[str, int]  # devices by firmware, the most frequent first
    refused: Mapping[str, int]  # refused messages of the UTC day by reason
    refused_devices: int  # senders of refused messages
    waiting: int | None  # dirty keys; None if the store cannot count them
    waiting_since: int | None  # UTC seconds of the oldest
    waiting_devices: int = 0  # devices of the oldest dirty keys; the census reads MOST_WAITING per feed


def summary(store: Store) -> Summary | None:
    """Return the counts of the last complete census, or None."""
    body = store.record(FLEET.of(), "summary")
    return Summary(**orjson.loads(body)) if body else None


def listed_devices(store: Store, kind: str, name: str) -> list[str]:
    """Return the listed devices of a count.

    `kind` and `name` are `state` and one of STATES, `firmware` and its name, `refused` and `today`, or `waterfall` and
    `waiting` (devices with unpropagated changes, the longest waiting first).
    """
    body = store.record(FLEET_DEVICES.of(), f"{kind}/{name}")
    return list(orjson.loads(body)) if body else []


def take_census(store: Store, now: int, backlog: Backlog | None) -> None:
    """Take a census without pauses."""
    for _ in census(store, now, backlog):
        pass


def census(store: Store, now: int, backlog: Backlog | None) -> Iterator[None]:
    """Take a census, one page per step; the last step writes the counts."""
    waiting = _waiting(store) if backlog and backlog.waiting else []
    states = {state: _Group() for state in STATES}
    live_ids = _Seen()
    for _ in _by_state(store, now, states, live_ids):
        yield
    for _ in _without_arrivals(store, now, states, live_ids):
        yield
    firmwares: dict[str, _Group] = {}
    for _ in _by_firmware(store, firmwares):
        yield
    _put_summary(store, now, states, _most_frequent(firmwares), (backlog, waiting))


def _waiting(store: Store) -> list[str]:
    """Return the devices of the oldest dirty keys that are due, the oldest first."""
    changes = sorted(
        change for table in (*feeds(), PRICES) for change in store.changes(table, MOST_WAITING, store.now())
    )
    return list(dict.fromkeys(change.device_id for change in changes))[:MOST_LISTED]


def _by_state(store: Store, now: int, states: Mapping[str, _Group], live_ids: "_Seen") -> Iterator[None]:
    after = ""
    while page := store.lives(after):
        for live in page:
            states[_state_name(live, now)].add(live.device_id)
            live_ids.add(live.device_id)
        after = page[-1].device_id
        yield


def _state_name(live: Live, now: int) -> str:
    """Return one of STATES: the device's state; for a silent device also its duration."""
    state, age = arrival_state(live, now), now - live.received_at
    return next(name for name, most in SILENT.items() if age <= most) if state == "silent" else state


def _without_arrivals(store: Store, now: int, states: Mapping[str, _Group], live_ids: "_Seen") -> Iterator[None]:
    after = ""
    while page := store.stored_devices(after):
        for device in page:
            if device.device_id not in live_ids:
                states[device_state(device, None, now)].add(device.device_id)
        after = page[-1].device_id
        yield


def _by_firmware(store: Store, firmwares: dict[str, _Group]) -> Iterator[None]:
    for shard in range(device_status.SHARDS):
        for merged in device_status.shard_statuses(store, shard):
            if merged.status.firmware:
                firmwares.setdefault(merged.status.firmware, _Group()).add(merged.status.device_id)
        yield


def _most_frequent(firmwares: Mapping[str, _Group]) -> dict[str, _Group]:
    ordered = sorted(firmwares.items(), key=lambda one: (-one[1].count, one[0]))
    named, others = dict(ordered[:MOST_FIRMWARES]), _Group()
    for _, group in ordered[MOST_FIRMWARES:]:
        others.count += group.count
        others.devices += group.devices[: MOST_LISTED - len(others.devices)]
    return named | ({OTHERS: others} if others.count else {})


def _put_summary(
    store: Store,
    now: int,
    states: Mapping[str, _Group],
    firmwares: Mapping[str, _Group],
    behind: tuple[Backlog | None, list[str]],
) -> None:
    backlog, waiting = behind
    refused = refusals.load_total(store, day_of(now, "UTC"))
    counts = Summary(
        now,
        sum(group.count for group in states.values()),
        {state: group.count for state, group in states.items()},
        {name: group.count for name, group in firmwares.items()},
        dict(refused.reasons),
        refused.device_count,
        backlog.waiting if backlog else None,
        backlog.since if backlog else None,
        len(waiting),
    )
    lists = {f"state/{state}": group.devices for state, group in states.items()}
    lists |= {f"firmware/{name}": group.devices for name, group in firmwares.items()}
    lists["refused/today"] = list(refused.devices)[:MOST_LISTED]
    lists = {key: sorted(devices) for key, devices in lists.items()} | {"waterfall/waiting": waiting}
    with store.transaction():  # on SQLite one write to the disk
        for key, devices in lists.items():
            text, expires = orjson.dumps(devices).decode(), FLEET_DEVICES.expires(now)
            store.put_record(FLEET_DEVICES.of(), key, text, expires=expires)
        store.put_record(FLEET.of(), "summary", orjson.dumps(asdict(counts)).decode())
