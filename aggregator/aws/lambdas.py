"""AWS Lambda handlers, their dead letters and clients. `template.yaml` defines their events and batch sizes.

| function | event | action |
|---|---|---|
| `live` | one reading, from an IoT rule | replaces the live state, if the reading is newer |
| `ingest` | a batch of the coalescing stream (Kinesis) | merges readings and intervals into their half hours |
| a level's: `days`, `months`, ... | a batch of change records of the level below | runs the worker's step |
| `fleet` | a schedule, every few minutes | counts the fleet for the support desk |

A batch is processed a device at a time. When the store fails, the answer is the first sequence number not done, and
nothing after it is tried: Lambda retries from there, and repeated records change nothing. A record that can never
succeed goes to the dead-letter queue with its payload, and the batch continues.

A message of the queue (SQS) holds letters as JSON Lines: `{"function": name, "reason": text, "payload": text}`. The
payload of `ingest` is the original message. The payload of a level is the dirty key; `wattfall rebuild` does the work
of that change.
"""

import logging
import os
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import orjson

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, Refused, StoreAway, StoreUnusable
from aggregator.core.live import live_state
from aggregator.core.periods import DAY_S, LEVELS, RETENTION_DAYS
from aggregator.core.readings import check_owner, is_interval, parse
from aggregator.intake import refusals
from aggregator.intake.clocks import refuse_old
from aggregator.intake.formats import canonical
from aggregator.intake.formats.message import Content, Origin, Unread
from aggregator.intake.ingest import ingest as take_in
from aggregator.intake.ingest import ingest_intervals, store_statuses
from aggregator.settings import load
from aggregator.store import Store, open_store
from aggregator.store.dynamodb.items import changed_key, table_of
from aggregator.store.port import Change
from aggregator.support.fleet import take_census
from aggregator.waterfall.levels import Step, propagate, steps
from aggregator.waterfall.pricing import PRICES

SECONDS = 20  # timeout of a call


def client(service: str, **options: str) -> Any:  # noqa: ANN401 - boto3 has no types
    """Return a boto3 client from the standard AWS chain and variables, with `options` on top."""
    import boto3  # type: ignore[import-untyped]  # noqa: TID251 - the other client to AWS, opened only where needed
    from botocore.config import Config  # type: ignore[import-untyped]  # noqa: TID251 - part of it

    config = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"mode": "standard", "max_attempts": 5})
    return boto3.client(service, config=config, **options)


# Dead letters

BYTES = 250_000  # bytes of a message; a larger letter goes alone
letters_log = logging.getLogger("wattfall.deadletters")


class DeadLetter(NamedTuple):
    """A quarantined record."""

    function: str
    reason: str
    payload: str


def quarantine(queue: str, letters: Sequence[DeadLetter]) -> None:
    """Send letters to the queue at a URL. Raises on failure, so that the batch is retried."""
    if not letters:
        return
    letters_log.error("%d quarantined: %s", len(letters), letters[0].reason)
    if not queue:
        raise ConfigurationError("WATTFALL_DEAD_LETTERS: name the queue for quarantined records")
    sqs = client("sqs")
    for body in bundles(orjson.dumps(letter._asdict()).decode() for letter in letters):
        sqs.send_message(QueueUrl=queue, MessageBody=body)


def bundles(lines: Iterable[str]) -> Iterator[str]:
    """Join lines to messages within the queue's size limit."""
    bundle, size = list[str](), 0
    for line in lines:
        length = len(line.encode()) + 1
        if bundle and size + length > BYTES:
            yield "\n".join(bundle)
            bundle, size = [], 0
        bundle.append(line)
        size += length
    if bundle:
        yield "\n".join(bundle)


# Handlers

Record = Mapping[str, Any]  # a record of a Lambda event
Answer = dict[str, list[dict[str, str]]]  # the records to retry
log = logging.getLogger("wattfall.lambdas")


class Item(NamedTuple):
    """One record of a batch, prepared for its step."""

    sequence: str
    owner: str  # device; its items are processed together
    content: Any  # a Change, or the Content of a message
    letter: DeadLetter  # for the quarantine


TakeIn = Callable[[Sequence[Item]], None]


@dataclass(frozen=True, slots=True)
class Functions:
    """The functions with their store, settings and clock."""

    store: Store
    timezone: str  # default zone of a new device
    quarantine: Callable[[Sequence[DeadLetter]], None]
    clock: Callable[[], float] = time.time
    retention_days: int = RETENTION_DAYS

    def live(self, event: Record) -> None:
        """Process one reading from an IoT rule; an interval has no live state. `ingest` gets it too."""
        if is_interval(event):
            return
        now = int(self.clock())
        try:
            reading = parse(event, now)
            check_owner(str(event.get(canonical.TOPIC_DEVICE) or ""), reading.device_id)
        except Refused as refused:
            log.warning("%s", refused)
            return
        device = self.store.device(reading.device_id) or Device(reading.device_id)
        self.store.put_live([live_state([reading], device, now)])

    def ingest(self, event: Record) -> Answer:
        """Process a batch of messages of the coalescing stream."""
        now, items, letters, batch = int(self.clock()), list[Item](), list[DeadLetter](), refusals.Batch()
        for record in event["Records"]:
            source = record["kinesis"]
            payload = b64decode(source["data"])
            content, owner = _content(payload, now), source["partitionKey"]
            refuse_old(self.store, content, now - self.retention_days * DAY_S)
            reasons = "; ".join(str(unread.why) for unread in content.refused[:5])
            letter = DeadLetter("ingest", reasons, payload.decode(errors="backslashreplace"))
            letters += [letter] if content.refused else []
            for unread in content.refused:
                batch.add(unread.payload, unread.why, now, owner)
            items.append(Item(source["sequenceNumber"], owner, content, letter))

        def take(group: Sequence[Item]) -> None:
            contents = [item.content for item in group]
            take_in(self.store, [reading for one in contents for reading in one.readings], now, self.timezone)
            ingest_intervals(self.store, [one for content in contents for one in content.intervals], now, self.timezone)
            store_statuses(self.store, [said for one in contents for said in one.statuses], now, self.timezone)

        answer = self._answer(items, take, letters)
        self._keep_refused(batch, now)
        return answer

    def _keep_refused(self, batch: refusals.Batch, now: int) -> None:
        """Record refusals for the support desk; a failure is only logged, since the dead letters hold them too."""
        try:
            refusals.put_refusals(self.store, batch, now)
        except (StoreAway, StoreUnusable) as error:
            log.warning("%s; the refusals are only in the dead letters", error)

    def fleet(self) -> None:
        """Count the fleet, without the lag of the waterfall, which the alarms watch."""
        take_census(self.store, int(self.clock()), None)

    def propagate(self, step: Step, event: Record) -> Answer:
        """Process a batch of change records of the level below."""
        changes = [(record, change_of(step, record)) for record in event["Records"]]
        items = [_item(step, record, change) for record, change in changes if change]

        def take(group: Sequence[Item]) -> None:
            with self.store.transaction():
                propagate(self.store, step, [item.content for item in group])

        return self._answer(items, take, [])

    def _answer(self, items: Sequence[Item], take: TakeIn, letters: list[DeadLetter]) -> Answer:
        """Run `take` for each device's items, up to the first failure of the store."""
        owners: dict[str, list[Item]] = {}
        for item in items:
            owners.setdefault(item.owner, []).append(item)
        failures = []
        for group in owners.values():
            try:
                letters += _take(group, take)
            except (StoreAway, StoreUnusable) as error:
                log.warning("%s; retry from %s", error, group[0].sequence)
                failures = [{"itemIdentifier": group[0].sequence}]
                break
        self.quarantine(letters)
        return {"batchItemFailures": failures}


def _content(payload: bytes, now: int) -> Content:
    try:
        return canonical.parse_canonical(payload, Origin("", now))
    except Refused as why:
        return Content(refused=[Unread(why, payload)])


def change_of(step: Step, record: Record) -> Change | None:
    """Return the key of a step's feed that a change record makes dirty, or None."""
    key = changed_key(table_of(step.feed), record)
    return Change(0, step.feed, *key) if key else None


def _item(step: Step, record: Record, change: Change) -> Item:
    letter = DeadLetter(step.level, "", f"{change.table} {change.device_id} {change.key}")
    return Item(record["dynamodb"]["SequenceNumber"], change.device_id, change, letter)


def _take(group: Sequence[Item], take: TakeIn) -> list[DeadLetter]:
    """Run `take` for a group; after an error, bisect the group to find the faulty items."""
    try:
        take(group)
    except (StoreAway, StoreUnusable):
        raise
    except Exception as error:  # one record must not stop the others
        if len(group) == 1:
            log.exception("%s is quarantined", group[0].letter.payload[:200])
            return [group[0].letter._replace(reason=repr(error))]
        middle = len(group) // 2
        return _take(group[:middle], take) + _take(group[middle:], take)
    return []


@cache
def _functions() -> Functions:
    """Build the functions at the first call and keep them for the life of the process."""
    settings = load(os.environ)
    queue = os.environ.get("WATTFALL_DEAD_LETTERS", "")
    put_aside = partial(quarantine, queue)
    return Functions(open_store(settings.store), settings.timezone, put_aside, retention_days=settings.retention_days)


def live(event: Record, _context: object) -> None:
    """The handler of `live`."""
    _functions().live(event)


def ingest(event: Record, _context: object) -> Answer:
    """The handler of `ingest`."""
    return _functions().ingest(event)


def level_steps() -> dict[str, Step]:
    """The steps that the stream of a table drives, by the name of their function: the table that they write."""
    return {LEVELS[step.level].table: step for step in steps() if step.feed != PRICES}


def __getattr__(name: str) -> Callable[[Record, object], Answer]:
    """The handler of a level: `days`, `months`, `years`. Python asks here for a name that the module does not have."""
    step = level_steps().get(name)
    if step is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return lambda event, _context: _functions().propagate(step, event)


def fleet(_event: Record, _context: object) -> None:
    """The handler of `fleet`."""
    _functions().fleet()
