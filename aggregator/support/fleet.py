"""The whole fleet: how many devices send, since when the others do not, firmwares, what is refused, the lag.

A census goes over all devices a page at a time and keeps what it found as records, so that looking is a key read.
Between two pages other work goes on: it takes a few minutes rather than getting in the way.

| collection | key | body |
|---|---|---|
| `fleet` | `summary` | all counts |
| `fleet/devices` | `state/late`, `firmware/v2.0.2`, `refused/today`, `waterfall/waiting` | MOST_LISTED devices |
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

import orjson

from aggregator.core.documents import Live
from aggregator.core.periods import DAY_S, HOUR, day_of
from aggregator.intake import device_status, refusals
from aggregator.store.collections import FLEET, FLEET_DEVICES
from aggregator.store.port import Backlog, Store, feeds
from aggregator.support.device_state import device_state
from aggregator.waterfall.pricing import PRICES

SILENT = {  # seconds since the last reading of a silent device came in: at most
    "silent_10_minutes": HOUR,
    "silent_1_hour": DAY_S,
    "silent_1_day": 7 * DAY_S,
    "silent_7_days": 30 * DAY_S,
    "silent_30_days": 2**40,
}
NEVER = "never"
STATES = ("sending", "late", *SILENT, NEVER)
MOST_LISTED = 500  # devices behind a count; the count is of all
MOST_WAITING = 5000  # dirty keys of a level
MOST_FIRMWARES = 50  # the most frequent; the others are counted as OTHERS
OTHERS = "others"


@dataclass(slots=True)
class _Group:
    """Devices that have something in common."""

    count: int = 0
    devices: list[str] = field(default_factory=list)

    def add(self, device_id: str) -> None:
        self.count += 1
        if len(self.devices) < MOST_LISTED:
            self.devices.append(device_id)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a census found."""

    at: int  # UTC seconds, when it began
    devices: int  # in the registry, or heard of
    states: Mapping[str, int]  # devices by STATES
    firmwares: Mapping[str, int]  # devices by what they run, the most frequent first
    refused: Mapping[str, int]  # messages of the UTC day by reason
    refused_devices: int  # that sent them
    waiting: int | None  # dirty keys; None where they cannot be counted
    waiting_since: int | None  # UTC seconds, of the oldest
    waiting_devices: int = 0  # to which the oldest of them belong; the census looks at MOST_WAITING of each level


def summary(store: Store) -> Summary | None:
    """What the last census found; None before the first has ended."""
    body = store.record(FLEET.of(), "summary")
    return Summary(**orjson.loads(body)) if body else None


def listed_devices(store: Store, kind: str, name: str) -> list[str]:
    """The devices behind a count: `state` and one of STATES, `firmware` and its name, `refused` and `today`.

    `waterfall` and `waiting` are those with changes that are not in the charts yet, who waits longest first.
    """
    body = store.record(FLEET_DEVICES.of(), f"{kind}/{name}")
    return list(orjson.loads(body)) if body else []


def take_census(store: Store, now: int, backlog: Backlog | None) -> None:
    """A census in one go."""
    for _ in census(store, now, backlog):
        pass


def census(store: Store, now: int, backlog: Backlog | None) -> Iterator[None]:
    """A census, a page at each step; what it found is kept with the last."""
    waiting = _waiting(store) if backlog and backlog.waiting else []
    states = {state: _Group() for state in STATES}
    heard: set[str] = set()
    for _ in _by_state(store, now, states, heard):
        yield
    for _ in _never_heard(store, states[NEVER], heard):
        yield
    firmwares: dict[str, _Group] = {}
    for _ in _by_firmware(store, firmwares):
        yield
    _put_summary(store, now, states, _most_frequent(firmwares), (backlog, waiting))


def _waiting(store: Store) -> list[str]:
    """The devices of the oldest dirty keys, the oldest first."""
    changes = sorted(change for table in (*feeds(), PRICES) for change in store.changes(table, MOST_WAITING))
    return list(dict.fromkeys(change.device_id for change in changes))[:MOST_LISTED]


def _by_state(store: Store, now: int, states: Mapping[str, _Group], heard: set[str]) -> Iterator[None]:
    after = ""
    while page := store.lives(after):
        for live in page:
            states[_state_name(live, now)].add(live.device_id)
        heard.update(live.device_id for live in page)
        after = page[-1].device_id
        yield


def _state_name(live: Live, now: int) -> str:
    """One of STATES: that of `device_state`, and of a silent device also for how long."""
    state, age = device_state(live, now), now - live.received_at
    return next(name for name, most in SILENT.items() if age <= most) if state == "silent" else state


def _never_heard(store: Store, never: _Group, heard: set[str]) -> Iterator[None]:
    after = ""
    while page := store.devices(after):
        for device in page:
            if device.device_id not in heard:
                never.add(device.device_id)
        after = page[-1].device_id
        yield


def _by_firmware(store: Store, firmwares: dict[str, _Group]) -> Iterator[None]:
    for shard in range(device_status.SHARDS):
        for known in device_status.shard_statuses(store, shard):
            if known.status.firmware:
                firmwares.setdefault(known.status.firmware, _Group()).add(known.status.device_id)
        yield


def _most_frequent(firmwares: Mapping[str, _Group]) -> dict[str, _Group]:
    ordered = sorted(firmwares.items(), key=lambda one: (-one[1].count, one[0]))
    found, others = dict(ordered[:MOST_FIRMWARES]), _Group()
    for _, group in ordered[MOST_FIRMWARES:]:
        others.count += group.count
        others.devices += group.devices[: MOST_LISTED - len(others.devices)]
    return found | ({OTHERS: others} if others.count else {})


def _put_summary(
    store: Store,
    now: int,
    states: Mapping[str, _Group],
    firmwares: Mapping[str, _Group],
    behind: tuple[Backlog | None, list[str]],
) -> None:
    backlog, waiting = behind
    refused = refusals.load_total(store, day_of(now, "UTC"))
    found = Summary(
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
        store.put_record(FLEET.of(), "summary", orjson.dumps(asdict(found)).decode())
