"""AWS Lambda handlers. `template.yaml` defines their events, windows and batch sizes.

| function | event | action |
|---|---|---|
| `ingest` | a window of the coalescing stream (Kinesis) | merges evidence into half hours, and writes the live state |
| `watched` | a few seconds of the same stream | writes the live state of the devices that somebody looks at |
| `http` | a request of the HTTP API (payload format 2.0) | answers as the web process does (`intake.ingest_endpoint`) |
| a level's: `days`, `months`, ... | a batch of change records of the level below | runs the worker's step |
| `fleet` | a schedule, every few minutes | counts the fleet for the support desk |
| `closing` | a schedule | closes days and months of devices that have gone silent |
| `erasing` | a schedule | erases the households whose day has come, with the secret that signs the audit |

A batch is processed in rounds of many devices, whose calls run side by side. When the store fails, or the time of the
call is nearly over, the answer is the first sequence number not done: Lambda retries from there, and repeated records
change nothing, in any order. After any other error the round is bisected; a record that can never succeed becomes a
dead letter, once, and the batch continues.

A document of a period that is not over goes no further, since pages read it themselves (`pricing.current`).
"""

import gc
import logging
import os
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from math import inf
from typing import Any, NamedTuple

import orjson

from aggregator.aws.dead_letters import DeadLetter, client, message_of, quarantine, topic_of
from aggregator.aws.schedules import close_periods, erase_due, letters_about
from aggregator.core.documents import Device
from aggregator.core.errors import Refused, StoreAway, StoreUnusable
from aggregator.core.live import live_state
from aggregator.core.periods import DAY_S, LEVELS, RETENTION_DAYS
from aggregator.core.readings import Reading, check_owner
from aggregator.erasure.erasure_requests import outside_store
from aggregator.intake.clocks import refuse_old
from aggregator.intake.device_status import looked_at
from aggregator.intake.formats import FORMATS, Topic, read_whole
from aggregator.intake.formats.message import Content, DeviceRules, Origin, Unread
from aggregator.intake.ingest import Received, rules_in, store_content, store_refusals
from aggregator.intake.ingest_endpoint import IngestEndpoint, IngestRequest
from aggregator.settings import load
from aggregator.store import Store, open_store
from aggregator.store.dynamodb.items import changed_key, is_open, table_of
from aggregator.store.occupancies import without_erased
from aggregator.store.port import Change
from aggregator.support.audit import Audit
from aggregator.support.fleet import take_census
from aggregator.waterfall.levels import Step, propagate, steps
from aggregator.waterfall.pricing import PRICES

Record = dict[str, Any]  # an event, or a record of one
Answer = dict[str, list[dict[str, str]]]  # the records to retry
LeftS = Callable[[], float]  # seconds that are left of the call
ROUND = 256  # devices at once
RESERVE_S = 10  # of a call, for its answer and its letters
log = logging.getLogger("wattfall.lambdas")


def no_deadline() -> float:
    """Return the time that is left of a call without end."""
    return inf


class Item(NamedTuple):
    """One record of a batch, prepared for its step."""

    sequence: str
    owner: str  # device; its items are processed in one round
    content: Any  # a Change, or a Received
    record: Record  # for the quarantine


TakeIn = Callable[[Sequence[Item]], None]


@dataclass(frozen=True, slots=True)
class Functions:
    """The functions with their store, settings and clock."""

    store: Store
    timezone: str  # default zone of a new device
    quarantine: Callable[[Sequence[DeadLetter]], None]
    clock: Callable[[], float] = time.time
    retention_days: int = RETENTION_DAYS

    def ingest(self, event: Record, left_s: LeftS = no_deadline) -> Answer:
        """Process a window of messages of the coalescing stream."""
        now = int(self.clock())
        senders = {record["kinesis"]["partitionKey"] for record in event["Records"]}
        try:
            with self.store.reading_ahead(senders):
                items = [self._item(record, now) for record in event["Records"]]
                done, answer = self._answer("ingest", items, partial(self._take_in, now), left_s)
        except (StoreAway, StoreUnusable) as error:
            log.warning("%s; retry all", error)
            return _retry_from(event["Records"][0]["kinesis"]["sequenceNumber"])
        self._keep_refused([item.content for item in done], now)
        return answer

    def _item(self, record: Record, now: int) -> Item:
        received = self._received(record["kinesis"], now)
        return Item(record["kinesis"]["sequenceNumber"], received.device_id, received, record)

    def _received(self, source: Record, now: int) -> Received:
        """Return the content of a message. The partition key says who sent it, and its topic may name nobody else."""
        message = message_of(source)
        try:
            topic = topic_of(message.topic) if message.topic else Topic(FORMATS["json"], message.sender, "")
            check_owner(message.sender, topic.device_id)
        except Refused as why:
            return Received(message.sender, Content(refused=[Unread(why, message.payload)]))
        rules = rules_in(self.store, self.timezone)(topic.device_id) if topic.format.has_rules else DeviceRules()
        content = read_whole(topic.format, message.payload, Origin(topic.device_id, now, rules, topic.part))
        is_history = topic.format.name == "block"
        if not is_history:
            refuse_old(self.store, content, now - self.retention_days * DAY_S)
        return Received(topic.device_id, content, is_history)

    def _take_in(self, now: int, items: Sequence[Item]) -> None:
        store_content(self.store, [item.content for item in items], now, self.timezone)

    def _keep_refused(self, messages: Sequence[Received], now: int) -> None:
        """Record refusals for the support desk; a failure is only logged, since it may not stop what is good."""
        try:
            store_refusals(self.store, messages, now)
        except (StoreAway, StoreUnusable) as error:
            refused = sum(len(content.refused) for _, content, _ in messages)
            log.error("%s; %d refused messages are not counted", error, refused)

    def watched(self, event: Record) -> None:
        """Write the live state of the devices that somebody looks at. A failure is mended by the next readings."""
        now, devices = int(self.clock()), looked_at(self.store)
        newest: dict[str, list[Reading]] = {}
        for record in event["Records"]:
            if record["kinesis"]["partitionKey"] in devices:
                for reading in self._received(record["kinesis"], now).content.readings:
                    newest.setdefault(reading.device_id, []).append(reading)
        lives = []
        for device_id, own in newest.items():
            device = self.store.device(device_id) or Device(device_id)
            kept, _ = without_erased(sorted(own, key=_at), {device_id: device})
            lives += [live_state(kept, device, now)] if kept else []
        self.store.put_live(lives)

    def fleet(self) -> None:
        """Count the fleet, without the lag of the waterfall, which the alarms watch."""
        take_census(self.store, int(self.clock()), None)

    def closing(self) -> None:
        """Close periods of silent devices."""
        close_periods(self.store, int(self.clock()))

    def propagate(self, step: Step, event: Record, left_s: LeftS = no_deadline) -> Answer:
        """Process a batch of change records of the level below."""
        changes = [(record, change_of(step, record)) for record in event["Records"]]
        items = [
            Item(record["dynamodb"]["SequenceNumber"], change.device_id, change, record)
            for record, change in changes
            if change
        ]

        def take(group: Sequence[Item]) -> None:
            with self.store.transaction():
                propagate(self.store, step, [item.content for item in group])

        return self._answer(LEVELS[step.level].table, items, take, left_s)[1]

    def _answer(self, name: str, items: Sequence[Item], take: TakeIn, left_s: LeftS) -> tuple[Sequence[Item], Answer]:
        """Run `take` for rounds of devices, up to a failure of the store or the end of the time.

        Return the items before the first one that is not done, and the answer. Later ones come again.
        """
        faults: dict[int, str] = {}  # place of an item -> what it fails with
        end, longest = len(items), 0.0
        for places in _rounds(items):
            began = left_s()
            if longest and began < RESERVE_S + longest:
                end = places[0]
                break
            try:
                _take(items, places, take, faults)
            except (StoreAway, StoreUnusable) as error:
                log.warning("%s; retry from %s", error, items[places[0]].sequence)
                end = places[0]
                break
            longest = max(longest, began - left_s())
        self.quarantine([_letter(name, why, items[place]) for place, why in sorted(faults.items()) if place < end])
        return items[:end], _retry_from(items[end].sequence) if end < len(items) else {"batchItemFailures": []}


def _rounds(items: Sequence[Item]) -> Iterator[list[int]]:
    """Yield the places of the items of ROUND devices after those of others; the first devices first."""
    owners: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        owners.setdefault(item.owner, []).append(place)
    every = [*owners.values()]
    for at in range(0, len(every), ROUND):
        yield sorted(place for own in every[at : at + ROUND] for place in own)


def _take(items: Sequence[Item], places: Sequence[int], take: TakeIn, faults: dict[int, str]) -> None:
    """Run `take` for items; after an error, bisect them to find the faulty ones."""
    try:
        take([items[place] for place in places])
    except (StoreAway, StoreUnusable):
        raise
    except Exception as error:  # one record must not stop the others
        if len(places) == 1:
            log.exception("a record of %s is quarantined", items[places[0]].owner)
            faults[places[0]] = repr(error)
            return
        middle = len(places) // 2
        _take(items, places[:middle], take, faults)
        _take(items, places[middle:], take, faults)


def _letter(name: str, reason: str, item: Item) -> DeadLetter:
    return DeadLetter(name, reason, orjson.dumps(item.record, default=str).decode())


def _retry_from(sequence: str) -> Answer:
    return {"batchItemFailures": [{"itemIdentifier": sequence}]}


def _at(reading: Reading) -> int:
    return reading.at


def change_of(step: Step, record: Record) -> Change | None:
    """Return the key of a step's feed that a change record makes dirty; None for none, or a period that is not over."""
    key = None if is_open(record) else changed_key(table_of(step.feed), record)
    return Change(0, step.feed, *key) if key else None


# Entry points


@cache
def functions() -> Functions:
    """Build the functions at the first call and keep them for the life of the process."""
    settings = load(os.environ)
    put_aside = partial(quarantine, os.environ.get("WATTFALL_DEAD_LETTERS", ""))
    store = open_store(settings.store)
    gc.freeze()  # a census takes 15 % longer where the collector walks over what stays
    return Functions(store, settings.timezone, put_aside, retention_days=settings.retention_days)


def _left_s(context: Any) -> LeftS:  # noqa: ANN401 - of Lambda's runtime
    """Return the clock of a call's deadline, by Lambda's context."""
    return lambda: float(context.get_remaining_time_in_millis()) / 1000


def ingest(event: Record, context: object) -> Answer:
    """The handler of `ingest`."""
    return functions().ingest(event, _left_s(context))


@cache
def _endpoint() -> IngestEndpoint:
    own = functions()
    return IngestEndpoint(own.store, own.timezone, retention_days=own.retention_days)


def http(event: Record, _context: object) -> Record:
    """The handler of `http`."""
    return answer_to(_endpoint(), event)


def answer_to(endpoint: IngestEndpoint, event: Record) -> Record:
    """Return the answer of an endpoint to a request, as API Gateway takes it."""
    body = event.get("body") or ""
    sent = b64decode(body) if event.get("isBase64Encoded") else body.encode()
    query = event.get("queryStringParameters") or {}
    address = event.get("requestContext", {}).get("http", {}).get("sourceIp", "")
    answer = endpoint.answer(IngestRequest(event["headers"], query, len(sent), lambda: sent, address))
    headers = {"content-type": "application/json", "cache-control": "no-store", **answer.headers}
    return {"statusCode": answer.status, "headers": headers, "body": orjson.dumps(answer.content).decode()}


def watched(event: Record, _context: object) -> None:
    """The handler of `watched`."""
    functions().watched(event)


def level_steps() -> dict[str, Step]:
    """The steps that the stream of a table drives, by the name of their function: the table that they write."""
    return {LEVELS[step.level].table: step for step in steps() if step.feed != PRICES}


def __getattr__(name: str) -> Callable[[Record, object], Answer]:
    """The handler of a level: `days`, `months`, `years`. Python asks here for a name that the module does not have."""
    step = level_steps().get(name)
    if step is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return lambda event, context: functions().propagate(step, event, _left_s(context))


def fleet(_event: Record, _context: object) -> None:
    """The handler of `fleet`."""
    functions().fleet()


def closing(_event: Record, _context: object) -> None:
    """The handler of `closing`."""
    functions().closing()


def erasing(_event: Record, context: object) -> None:
    """The handler of `erasing`."""
    secret = client("secretsmanager").get_secret_value(SecretId=os.environ["WATTFALL_SECRET_ARN"])["SecretString"]
    store, letters = functions().store, partial(letters_about, os.environ["WATTFALL_DEAD_LETTERS"])
    outside = outside_store(load(os.environ), letters)
    erase_due(store, Audit(store, [secret]), int(time.time()), outside, _left_s(context))
