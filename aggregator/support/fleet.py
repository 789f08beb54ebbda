"""The fleet: counts of devices by state, firmware and area, refused messages, the lag, and what needs somebody now.

A census reads all devices a page at a time and writes its counts as records, so a page of the desk reads one key.
The worker does other work between two pages, so a census takes a few minutes and delays nothing. Of each device that
has sent, 8 bytes are in memory meanwhile.

| collection | key | body |
|---|---|---|
| `fleet` | `summary` | all counts |
| `fleet/days` | UTC day | the counts of the day's last census |
| `fleet/devices` | `state/late`, `firmware/v2.0.2`, `refused/today`, `signal/weak`, ... | the first MOST_LISTED |
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import takewhile
from typing import Literal, NamedTuple

import orjson

from aggregator.core.documents import Device
from aggregator.core.live import Live
from aggregator.core.periods import DAY_S, HOUR, RECORD_DAYS, day_of
from aggregator.core.status import Status, signal_strength
from aggregator.intake import device_status, refusals
from aggregator.intake.device_status import KnownStatus
from aggregator.store import IdSet, pages
from aggregator.store.collections import FLEET, FLEET_DAYS, FLEET_DEVICES
from aggregator.store.port import Backlog, Store, feeds, name_once
from aggregator.support.device_state import Heard, arrival_state, device_state, judge
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
LAG_S = 600  # a longer lag of the charts needs somebody
MOST_AREAS = 50  # those with the most devices late or silent
MOST_FIRMWARES = 50  # the most frequent ones; OTHERS counts the rest
OTHERS = "others"


_AREA = re.compile(r"[A-Za-z]{1,2}(?=\d)|\d\d")


def area_of(postcode: str) -> str:
    """Return the area of a postcode: the letters at its start (`SW`), or two digits (`10`); empty without them."""
    found = _AREA.match(postcode.strip())
    return found[0].upper() if found else ""


@dataclass(slots=True)
class _Group:
    """A count of devices, and the first MOST_LISTED of them, each with its place in the list."""

    count: int = 0
    places: dict[str, int] = field(default_factory=dict)

    def add(self, device_id: str, place: int = 0) -> None:
        self.count += 1
        if len(self.places) < MOST_LISTED:
            self.places[device_id] = place

    @property
    def devices(self) -> list[str]:
        return sorted(self.places, key=lambda one: (self.places[one], one))


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
    weak: int = 0  # devices with a weak signal
    areas: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # by area: devices, and those late or silent

    @property
    def is_behind(self) -> bool:
        """Whether the charts are so far behind that somebody is needed."""
        return self.waiting_since is not None and self.at - self.waiting_since > LAG_S


def summary(store: Store) -> Summary | None:
    """Return the counts of the last complete census, or None."""
    body = store.record(FLEET.of(), "summary")
    return Summary(**orjson.loads(body)) if body else None


def history(store: Store, now: int) -> list[Summary]:
    """Return the counts of each day's last census in the last RECORD_DAYS days, the oldest first."""
    first, last = day_of(now - (RECORD_DAYS - 1) * DAY_S, "UTC"), day_of(now, "UTC")
    return [Summary(**orjson.loads(one.body)) for one in store.records(FLEET_DAYS.of(), first, last)]


def listed_devices(store: Store, kind: str, name: str) -> list[str]:
    """Return the listed devices of a count.

    `kind` and `name` are `state` and one of STATES (those longest without an arrival first), `firmware` and its name,
    `refused` and `today`, `signal` and `weak`, or `waterfall` and `waiting` (devices with unpropagated changes, the
    longest waiting first).
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
    found = _Census(now)
    for page in (found.lives(store), found.devices(store), found.statuses(store)):
        for _ in page:
            yield
    _put_summary(store, found, (backlog, waiting))


def _waiting(store: Store) -> list[str]:
    """Return the devices of the oldest dirty keys that are due, the oldest first."""
    changes = sorted(
        change for table in (*feeds(), PRICES) for change in store.changes(table, MOST_WAITING, store.now())
    )
    return list(dict.fromkeys(change.device_id for change in changes))[:MOST_LISTED]


def _state_name(live: Live, now: int) -> str:
    """Return one of STATES: the device's state; for a silent device also its duration."""
    state, age = arrival_state(live, now), now - live.received_at
    return next(name for name, most in SILENT.items() if age <= most) if state == "silent" else state


@dataclass(slots=True)
class _Census:
    """The counts of a census while it goes on; each method counts one table, a page per step."""

    now: int
    states: dict[str, _Group] = field(default_factory=lambda: {state: _Group() for state in STATES})
    firmwares: dict[str, _Group] = field(default_factory=dict)
    weak: _Group = field(default_factory=_Group)
    areas: dict[str, tuple[int, int]] = field(default_factory=dict)
    sending: IdSet = field(default_factory=IdSet)
    quiet: IdSet = field(default_factory=IdSet)  # late or silent

    def lives(self, store: Store) -> Iterator[None]:
        """Count the devices that have sent by their state."""
        for page in pages(store.lives, store):
            for live in page:
                state = _state_name(live, self.now)
                self.states[state].add(live.device_id, live.received_at)
                (self.sending if state == "sending" else self.quiet).add(live.device_id)
            yield

    def devices(self, store: Store) -> Iterator[None]:
        """Count the devices that have never sent, and all that have by their area."""
        for page in pages(partial(store.stored_devices, leave_out=name_once), store):
            for device in page:
                is_quiet = device.device_id in self.quiet
                if not is_quiet and device.device_id not in self.sending:
                    self.states[device_state(device, None, self.now)].add(device.device_id)
                elif area := area_of(device.postcode):
                    known, quiet = self.areas.get(area, (0, 0))
                    self.areas[area] = known + 1, quiet + is_quiet
            yield

    def statuses(self, store: Store) -> Iterator[None]:
        """Count the devices by their firmware, and those with a weak signal on the last day."""
        for shard in range(device_status.SHARDS):
            for merged in device_status.shard_statuses(store, shard):
                status = merged.status
                if status.firmware:
                    self.firmwares.setdefault(status.firmware, _Group()).add(status.device_id)
                if signal_strength(status) == "weak" and self.now - merged.received_at <= DAY_S:
                    self.weak.add(status.device_id)
            yield


def _most_frequent(firmwares: Mapping[str, _Group]) -> dict[str, _Group]:
    ordered = sorted(firmwares.items(), key=lambda one: (-one[1].count, one[0]))
    named, others = dict(ordered[:MOST_FIRMWARES]), _Group()
    for _, group in ordered[MOST_FIRMWARES:]:
        others.count += group.count
        others.places |= dict(list(group.places.items())[: MOST_LISTED - len(others.places)])
    return named | ({OTHERS: others} if others.count else {})


def _put_summary(store: Store, found: _Census, behind: tuple[Backlog | None, list[str]]) -> None:
    (backlog, waiting), now, states, firmwares = behind, found.now, found.states, _most_frequent(found.firmwares)
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
        found.weak.count,
        dict(sorted(found.areas.items(), key=lambda one: (-one[1][1], -one[1][0], one[0]))[:MOST_AREAS]),
    )
    lists = {f"state/{state}": group.devices for state, group in states.items()}
    lists |= {f"firmware/{name}": group.devices for name, group in firmwares.items()}
    lists["refused/today"] = sorted(list(refused.devices)[:MOST_LISTED])
    lists |= {"waterfall/waiting": waiting, "signal/weak": found.weak.devices}
    with store.transaction():  # on SQLite one write to the disk
        for key, devices in lists.items():
            text, expires = orjson.dumps(devices).decode(), FLEET_DEVICES.expires(now)
            store.put_record(FLEET_DEVICES.of(), key, text, expires=expires)
        body = orjson.dumps(asdict(counts)).decode()
        store.put_record(FLEET.of(), "summary", body)
        store.put_record(FLEET_DAYS.of(), day_of(now, "UTC"), body, expires=FLEET_DAYS.expires(now))


# What needs somebody now

Problem = Literal["silent", "behind", "refused", "weak"]
PROBLEMS: tuple[Problem, ...] = ("silent", "behind", "refused", "weak")  # the worst first


class Trouble(NamedTuple):
    """A device that needs somebody."""

    device: Device
    problem: Problem
    since: int | None  # UTC seconds; None if unknown
    reason: str  # of a silence (`device_state.Reason`), or of most refused messages; empty for the other problems
    messages: int  # refused today; 0 for the other problems
    firmware: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """The wanted devices; an empty field wants all."""

    problem: str = ""
    area: str = ""
    firmware: str = ""


def troubles(store: Store, now: int, wanted: Wanted) -> Iterator[Trouble]:
    """Yield the devices that need somebody at `now` (UTC seconds), the worst first; each once.

    The last census lists them; each is judged again, so a device that is back is left out.
    """
    seen: set[str] = set()
    for problem in (one for one in PROBLEMS if wanted.problem in ("", one)):
        for device_id in _suspects(store, problem):
            found = None if device_id in seen else _trouble(store, problem, device_id, wanted, now)
            if found:
                seen.add(device_id)
                yield found


def _trouble(store: Store, problem: Problem, device_id: str, wanted: Wanted, now: int) -> Trouble | None:
    """Return the trouble of a wanted device; None if it has the problem no more."""
    device, known = store.device(device_id) or Device(device_id), device_status.known_status(store, device_id)
    firmware = (known.status.firmware if known else None) or ""
    if wanted.firmware not in ("", firmware) or wanted.area not in ("", area_of(device.postcode)):
        return None
    found = _judged(store, problem, device, known, now)
    return Trouble(device, problem, *found, firmware) if found else None


def _suspects(store: Store, problem: Problem) -> list[str]:
    if problem == "silent":
        return [one for state in reversed(SILENT) for one in listed_devices(store, "state", state)]
    if problem == "refused":
        return listed_devices(store, "refused", "today")
    if problem == "weak":
        return listed_devices(store, "signal", "weak")
    counts = summary(store)
    return listed_devices(store, "waterfall", "waiting") if counts and counts.is_behind else []


def _judged(
    store: Store, problem: Problem, device: Device, known: KnownStatus | None, now: int
) -> tuple[int | None, str, int] | None:
    """Return since when, why and how often; None if the device has the problem no more."""
    if problem == "behind":
        return None, "", 0
    if problem == "weak":
        return _weak_since(store, device.device_id, now), "", 0
    found = refusals.load_refusals(store, device.device_id)
    if problem == "refused":
        reasons = found.days.get(today := day_of(now, "UTC"), {})
        since = min((one.at for one in found.messages if day_of(one.at, "UTC") == today), default=None)
        return (since, max(reasons, key=lambda one: reasons[one]), sum(reasons.values())) if reasons else None
    said = (known.received_at, known.status.joined) if known else (None, None)
    heard = Heard(found.messages[0].at if found.messages else None, *said)
    judgement = judge(device, store.live(device.device_id), None, heard, now)
    return (judgement.since, judgement.reason or "", 0) if judgement.state == "silent" else None


def _weak_since(store: Store, device_id: str, now: int) -> int | None:
    """Return the first hour of the last run of hours with a weak signal."""
    hours = device_status.signal_hours(store, device_id, now - RECORD_DAYS * DAY_S, now)
    statuses = (Status(device_id, one.at, one.rssi_dbm, one.lqi, None, None, None) for one in reversed(hours))
    weak = list(takewhile(lambda one: signal_strength(one) == "weak", statuses))
    return weak[-1].at if weak else None
