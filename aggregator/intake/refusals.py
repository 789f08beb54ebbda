"""Refused messages: for each device the counts by UTC day and reason, and the last messages with their reasons.

UNKNOWN counts the messages without a registered device, and those beyond the first _DEVICES devices of a batch. A
flood cannot fill the store. A device stores its last KEPT messages, cut to LONGEST bytes: the first KEPT of a day at
once, then one per PAUSE_S. All devices together store about ALL_A_DAY messages a day. Every message is counted.

A count is the number of deliveries: a message that a queue delivers twice counts twice.

| collection | key | body |
|---|---|---|
| `refused/DEVICE` | UTC day | counts by reason |
| `refused/DEVICE/messages` | place in the ring | number, instant, reason, detail, payload |
| `refused` | device | number of stored messages, time of the last, its day, number on that day |
| `unknown-topics` | kind of topic | of unknown topics: messages, the first and the last instant, what was expected |
| `refused/days/DAY` | shard | of all devices: counts by reason and by device, number of stored messages |
"""

import re
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import orjson

from aggregator.core.errors import Refused
from aggregator.core.periods import day_of, iso_utc
from aggregator.core.readings import Interval, Reading
from aggregator.intake.formats import topic_kind
from aggregator.store.collections import KEPT_DAYS as KEPT_DAYS
from aggregator.store.collections import (
    REFUSED,
    REFUSED_DAYS,
    REFUSED_MESSAGES,
    REFUSED_STATE,
    UNKNOWN_TOPICS,
    parsed,
    update_record,
)
from aggregator.store.port import Store

UNKNOWN = "-"  # in place of an unnamed or unregistered device
LONGEST = 2048  # stored bytes of a payload
KEPT = 20  # stored messages of a device
PAUSE_S = 60  # between two stored messages of a device, after the first KEPT of a day
MOST_TOPICS = 50  # kinds of unknown topics that are kept
ALL_A_DAY = 20_000  # stored messages of all devices
MESSAGE_DAYS = REFUSED_MESSAGES.days
_A_BATCH = 5  # stored messages of a device per batch
_DEVICES = 500  # named devices in a batch, and in a day's list over all shards; others are only counted
_NAMED = re.compile(rb'"device_id"\s*:\s*"([A-Za-z0-9][A-Za-z0-9._:~-]{0,63})"')


class Message(NamedTuple):
    """A refused message."""

    number: int
    at: int  # UTC seconds of its arrival
    reason: str  # one of `readings.REASONS`
    detail: str
    payload: str  # its beginning; invalid UTF-8 as \\x00


@dataclass(frozen=True, slots=True)
class Refusals:
    """The refused messages of a device."""

    days: Mapping[str, Mapping[str, int]]  # UTC day, newest first -> reason -> messages
    messages: list[Message]  # the last ones, newest first


@dataclass(frozen=True, slots=True)
class Total:
    """The counts of a day's refused messages, of all devices."""

    reasons: Mapping[str, int]
    devices: Mapping[str, int]  # messages by device; incomplete after a flood
    device_count: int


_Sample = tuple[int, Refused, bytes]  # UTC seconds of the arrival, reason, beginning of the payload


class UnknownTopic(NamedTuple):
    """The dropped messages of one kind of unknown topic."""

    kind: str  # the topic, with + in place of what differs
    messages: int
    first: int  # UTC seconds
    last: int
    detail: str  # a topic of the kind, and what the nearest format expects


@dataclass(slots=True)
class Batch:
    """The refused messages of one batch, in bounded memory."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    samples: dict[str, deque[_Sample]] = field(default_factory=dict)
    topics: dict[str, tuple[int, str]] = field(default_factory=dict)  # kind -> messages, detail

    def add(self, payload: bytes, refused: Refused, now: int, device_id: str = "") -> None:
        """Count a message, and store it among the last messages of its device."""
        owner = device_id or named_device(payload)
        if owner not in self.counts:
            owner = owner if len(self.counts) < _DEVICES else UNKNOWN
            self.counts.setdefault(owner, Counter())
            self.samples.setdefault(owner, deque(maxlen=_A_BATCH))
        if refused.reason == "unknown_topic":
            self._add_topic(payload, refused.detail)
        self.counts[owner][refused.reason] += 1
        self.samples[owner].append((now, refused, payload[:LONGEST]))

    def _add_topic(self, payload: bytes, detail: str) -> None:
        """Count a message by its kind of topic, which comes first in the payload."""
        kind = topic_kind(payload[:LONGEST].partition(b" ")[0].decode(errors="replace") or "-")
        if kind in self.topics or len(self.topics) < MOST_TOPICS:
            self.topics[kind] = self.topics.get(kind, (0, ""))[0] + 1, detail

    def clear(self) -> None:
        """Empty the batch."""
        self.topics.clear()
        self.counts.clear()
        self.samples.clear()


def named_device(payload: bytes) -> str:
    """Return the device named in a payload, even in broken JSON; UNKNOWN without one."""
    match = _NAMED.search(payload, 0, 2 * LONGEST)
    return match[1].decode() if match else UNKNOWN


def put_refusals(store: Store, batch: Batch, now: int) -> None:
    """Write the refused messages of a batch to the store, and empty the batch. An empty batch costs no access."""
    if not batch.counts:
        return
    counts: dict[str, Counter[str]] = {}
    samples: dict[str, list[_Sample]] = {}
    for device_id, reasons in batch.counts.items():
        device = store.device(device_id) if device_id != UNKNOWN else None
        owner = device_id if device else UNKNOWN
        counts.setdefault(owner, Counter()).update(reasons)
        own: Iterable[_Sample] = batch.samples[device_id]
        if device and device.erased:  # a payload may tell of the time that was erased
            own = [(at, Refused(why.reason, ""), b"") for at, why, _ in own]
        samples.setdefault(owner, []).extend(own)
    topics = dict(batch.topics)
    batch.clear()
    with store.transaction():  # on SQLite one write to the disk
        _put_topics(store, topics, now)
        for shard, owners in _by_shard(counts).items():
            fresh, room = (
                sum(_count(store, owner, counts[owner], now) for owner in owners),
                _messages_left(store, shard, now),
            )
            stored = 0
            for owner in owners:
                stored += _put_messages(store, owner, samples[owner][-_A_BATCH:], now) if stored < room else 0
            change = partial(_added, counts={owner: counts[owner] for owner in owners}, fresh=fresh, messages=stored)
            day, expires = REFUSED_DAYS.of(day_of(now, "UTC")), REFUSED_DAYS.expires(now)
            update_record(store, day, shard, change, expires=expires, may_be_lost=True)


def _put_topics(store: Store, topics: Mapping[str, tuple[int, str]], now: int) -> None:
    """Add to the counts of kinds of unknown topics; beyond MOST_TOPICS of them no new one is kept."""
    known = {one.kind: one for one in unknown_topics(store)} if topics else {}
    for kind, (count, detail) in topics.items():
        was = known.get(kind)
        if was or len(known) < MOST_TOPICS:
            known[kind] = UnknownTopic(
                kind, count + (was.messages if was else 0), was.first if was else now, now, detail
            )
            body = orjson.dumps([*known[kind][1:]]).decode()
            store.put_record(UNKNOWN_TOPICS.of(), kind, body, expires=UNKNOWN_TOPICS.expires(now))


def unknown_topics(store: Store) -> list[UnknownTopic]:
    """Return the kinds of unknown topics whose messages were dropped, the newest first."""
    found = [
        UnknownTopic(one.key, *orjson.loads(one.body)) for one in store.records(UNKNOWN_TOPICS.of(), limit=MOST_TOPICS)
    ]
    return sorted(found, key=lambda one: (-one.last, one.kind))


def load_refusals(store: Store, device_id: str) -> Refusals:
    """Return the refused messages of a device in the last KEPT_DAYS; UNKNOWN: those without a registered device."""
    days = store.records(REFUSED.of(device_id), newest_first=True, limit=KEPT_DAYS + 1)
    records = store.records(REFUSED_MESSAGES.of(device_id), limit=KEPT)
    messages = [Message(*orjson.loads(record.body)) for record in records]
    newest = sorted(messages, key=lambda message: (message.at, message.number), reverse=True)
    return Refusals({record.key: orjson.loads(record.body) for record in days}, newest)


def filter_refusals(refusals: Refusals, reasons: Collection[str], text: str, first_day: str, last_day: str) -> Refusals:
    """Return the refusals with one of `reasons` on UTC days from `first_day` to `last_day`; empty means no limit.

    Messages must also contain `text` in their payload or detail, in any case.
    """

    def is_wanted(day: str, reason: str) -> bool:
        return first_day <= day <= (last_day or day) and (not reasons or reason in reasons)

    days = {
        day: own
        for day, counts in refusals.days.items()
        if (own := {reason: count for reason, count in counts.items() if is_wanted(day, reason)})
    }
    wanted = text.casefold()
    messages = [
        message
        for message in refusals.messages
        if is_wanted(day_of(message.at, "UTC"), message.reason)
        and (wanted in message.payload.casefold() or wanted in message.detail.casefold())
    ]
    return Refusals(days, messages)


def load_total(store: Store, day: str) -> Total:
    """Return the counts of all devices' refused messages on a UTC day."""
    records = store.records(REFUSED_DAYS.of(day), limit=REFUSED_DAYS.shards)
    shards = [one for one in (_counts(record.body) for record in records) if one]
    reasons, devices = Counter[str](), Counter[str]()
    for shard in shards:
        reasons.update(shard["reasons"])
        devices.update(shard["devices"])
    return Total(reasons, dict(devices.most_common()), sum(shard["device_count"] for shard in shards))


def _by_shard(owners: Iterable[str]) -> dict[str, list[str]]:
    shards: dict[str, list[str]] = {}
    for owner in owners:
        shards.setdefault(REFUSED_DAYS.shard_of(owner), []).append(owner)
    return shards


def _count(store: Store, owner: str, reasons: Mapping[str, int], now: int) -> bool:
    """Add to a device's counts of the day; return whether they are its first."""

    def add(body: str | None) -> str:
        return orjson.dumps(Counter(_counts(body)) + Counter(reasons)).decode()

    day, expires = day_of(now, "UTC"), REFUSED.expires(now)
    return update_record(store, REFUSED.of(owner), day, add, expires=expires, may_be_lost=True).was is None


def _messages_left(store: Store, shard: str, now: int) -> int:
    """Return the number of messages that a shard may still store today."""
    counts = _counts(store.record(REFUSED_DAYS.of(day_of(now, "UTC")), shard))
    return int(ALL_A_DAY // REFUSED_DAYS.shards - counts.get("kept", 0))


def _counts(body: str | None) -> dict[str, Any]:
    return parsed(body, "a count of refused messages", dict) or {}


def _added(body: str | None, counts: Mapping[str, Counter[str]], fresh: int, messages: int) -> str:
    stored = _counts(body)
    reasons, devices = Counter(stored.get("reasons", {})), Counter(stored.get("devices", {}))
    for owner, own in counts.items():
        reasons.update(own)
        if owner in devices or len(devices) < _DEVICES // REFUSED_DAYS.shards:
            devices[owner] += own.total()
    added = {
        "reasons": reasons,
        "devices": devices,
        "device_count": stored.get("device_count", 0) + fresh,
        "kept": stored.get("kept", 0) + messages,
    }
    return orjson.dumps(added).decode()


def _put_messages(store: Store, owner: str, samples: Iterable[_Sample], now: int) -> int:
    """Put messages in a device's ring, as many as it may store now. Return their number."""
    body = store.record(REFUSED_STATE.of(), owner)
    state = parsed(body, f"the state of refused messages of {owner}", lambda row: (row[0], row[1], row[2], row[3]))
    number, at, day, today = state or (0, 0, "", 0)
    today, before = today if day == day_of(now, "UTC") else 0, number
    for came_in, why, payload in samples:
        if today >= KEPT and came_in < at + PAUSE_S:
            continue
        placed = Message(number, came_in, why.reason, why.detail, payload.decode(errors="backslashreplace"))
        place, expires = f"{number % KEPT:02d}", REFUSED_MESSAGES.expires(now)
        store.put_record(REFUSED_MESSAGES.of(owner), place, orjson.dumps([*placed]).decode(), expires=expires)
        number, at, today = number + 1, came_in, today + 1
    if number > before:
        body = orjson.dumps([number, at, day_of(now, "UTC"), today]).decode()
        store.put_record(REFUSED_STATE.of(), owner, body, expires=REFUSED_STATE.expires(now))
    return int(number - before)


_INSTANTS = ("at", "start", "end")


def evidence_json(one: Reading | Interval) -> bytes:
    """Return a reading or an interval as its canonical message, as it is recorded when it is refused."""
    known = {name: value for name, value in one._asdict().items() if value is not None}
    return orjson.dumps({name: iso_utc(value) if name in _INSTANTS else value for name, value in known.items()})
