"""Dead letters: records that can never succeed, in a queue and a bucket, and the way back from there.

A message of the queue (SQS) holds letters as JSON Lines: `{"function": name, "reason": text, "payload": text}`. The
payload is a record of the function's event, as JSON, so that `wattfall replay` calls the function with it again. IoT
Core's error action puts its own format into the same queue. Lambda puts whole batches, on which a function crashed or
which were too old, into the bucket. Messages that are refused are no dead letters: the store counts and keeps them.

An erasure scans both (`schedules.letters_about`): a replay takes them back, and refuses what is of erased days.
"""

import logging
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson

from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.periods import LEVELS
from aggregator.core.readings import check_device_id
from aggregator.intake.formats import FORMATS, Topic, parse_topic
from aggregator.store.port import READINGS

SECONDS = 20  # timeout of a call
RULES = ("glow/+/#", "SMART/HILD/+", "tele/+/SENSOR", "+/events/rpc")  # of the template, for formats' own topics


def client(service: str, **options: str) -> Any:  # noqa: ANN401 - boto3 has no types
    """Return a boto3 client from the standard AWS chain and variables, with `options` on top."""
    import boto3  # type: ignore[import-untyped]  # noqa: TID251 - the other client to AWS, opened only where needed
    from botocore.config import Config  # type: ignore[import-untyped]  # noqa: TID251 - part of it

    config = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"mode": "standard", "max_attempts": 5})
    return boto3.client(service, config=config, **options)


@contextmanager
def aws_errors() -> Iterator[None]:
    """Raise ConfigurationError for what AWS refuses or cannot be asked."""
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # noqa: TID251 - of boto3

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise ConfigurationError(
            f"AWS: {str(error).rstrip('.')}; check the address, the region and the credentials"
        ) from error


# The way in

BYTES = 250_000  # bytes of a message; a larger letter goes alone
log = logging.getLogger("wattfall.deadletters")


class DeadLetter(NamedTuple):
    """A quarantined record."""

    function: str
    reason: str
    payload: str  # the record of the event, as JSON


def quarantine(queue: str, letters: Sequence[DeadLetter]) -> None:
    """Send letters to the queue at a URL. Raises on failure, so that the batch is retried."""
    if not letters:
        return
    log.error("%d quarantined: %s", len(letters), letters[0].reason)
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


def waiting(queue: str) -> int:
    """Return how many messages the queue at a URL holds; each batch in the bucket has one. AWS says: about."""
    names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    with aws_errors():
        counts = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return sum(int(counts[name]) for name in names)


# The way back

WAIT_S, HIDDEN_S = 1, 900  # for the next message; the longest that a function works on one
_PARENTS = {LEVELS[row.child].table if row.child else READINGS: row.table for row in LEVELS.values()}


class Dead(NamedTuple):
    """What is to be done again: a function, and its event."""

    function: str
    event: dict[str, Any]


class BatchPlace(NamedTuple):
    """An object in a bucket."""

    bucket: str
    key: str


def batch_place(body: str) -> BatchPlace | None:
    """Return the place of the batch that a message of the queue tells of; None for a message with its own content."""
    note = _object(body) if "aws.s3" in body and "\n" not in body else {}
    if note.get("source") != "aws.s3":
        return None
    return BatchPlace(_text(note["detail"]["bucket"], "name"), _text(note["detail"]["object"], "key"))


def received(sqs: Any, queue: str) -> list[dict[str, str]]:  # noqa: ANN401 - boto3 has no types
    """Return some messages of the queue at a URL, which nobody else gets for HIDDEN_S; none where it is empty."""
    answer = sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=WAIT_S, VisibilityTimeout=HIDDEN_S
    )
    found: list[dict[str, str]] = answer.get("Messages", [])
    return found


def dead_of(body: str) -> list[Dead]:
    """Return what a message of the queue holds, or the batch of which it tells.

    Raises Refused, and ConfigurationError for a batch that AWS does not give.
    """
    place = batch_place(body)
    if place is None:
        return dead_of_message(body)
    with aws_errors():
        batch = fetch_batch(place)
    return [dead_of_batch(batch)] if batch else []


def fetch_batch(place: BatchPlace) -> bytes | None:
    """Return an object of the bucket; None where it has been replayed before."""
    storage = client("s3")
    try:
        body: bytes = storage.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
    except storage.exceptions.NoSuchKey:
        return None
    return body


def delete_batch(place: BatchPlace) -> None:
    """Delete an object of the bucket."""
    client("s3").delete_object(Bucket=place.bucket, Key=place.key)


def dead_of_message(body: str) -> list[Dead]:
    """Return what a message of the queue holds: letters, or an error of IoT Core. Raises Refused."""
    lines = [_object(line) for line in body.splitlines() if line.strip()]
    if len(lines) == 1 and "failures" in lines[0]:
        return [_of_iot(lines[0])]
    return [Dead(_text(line, "function"), {"Records": [_object(_text(line, "payload"))]}) for line in lines]


def _of_iot(error: dict[str, Any]) -> Dead:
    """Return the message that a rule's action could not pass on, as the stream would have brought it."""
    topic = _text(error, "topic")
    data = orjson.dumps({"topic": topic, "data": _text(error, "base64OriginalPayload")})
    source = {"data": b64encode(data).decode(), "partitionKey": _sender(topic), "sequenceNumber": topic}
    return Dead("ingest", {"Records": [{"kinesis": source}]})


def _sender(topic: str) -> str:
    """Return the partition key that a rule gives a message of a topic; the topic itself where no format takes it."""
    try:
        return topic_of(topic).device_id
    except Refused:
        return topic


def dead_of_batch(body: bytes) -> Dead:
    """Return what an object of the bucket holds: the event of a batch. Raises Refused."""
    outer = _object(body)
    event = outer.get("payload")
    event = _object(event) if isinstance(event, str) else event
    records = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(event, dict) or not isinstance(records, list) or not records:
        raise Refused("wrong_format", "it holds no records of a batch")
    if "kinesis" in records[0]:
        return Dead("ingest", event)
    table = str(records[0].get("eventSourceARN", "")).partition("/stream/")[0].rpartition("-")[2]
    if table not in _PARENTS:
        raise Refused("wrong_format", f"no function takes the changes of {table!r}")
    return Dead(_PARENTS[table], event)


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refused("malformed_json", str(error)) from None
    if not isinstance(found, dict):
        raise Refused("wrong_format", "it is not a JSON object")
    return found


def _text(holder: dict[str, Any], name: str) -> str:
    found = holder.get(name)
    if not isinstance(found, str):
        raise Refused("wrong_format", f"{name!r} is missing")
    return found


# Events of the coalescing stream

MOST_RECORDS = 500  # in one call


def stream_sender(stream: str) -> Callable[[str, Sequence[bytes]], None]:
    """Return a function that puts messages of a device into the coalescing stream, as a gateway does.

    It raises ConfigurationError where AWS refuses; what the stream has no room for is sent again.
    """
    kinesis = client("kinesis")

    def send(sender: str, payloads: Sequence[bytes]) -> None:
        waiting = [{"PartitionKey": sender, "Data": payload} for payload in payloads]
        while waiting:
            some, rest = waiting[:MOST_RECORDS], waiting[MOST_RECORDS:]
            with aws_errors():
                answer = kinesis.put_records(StreamName=stream, Records=some)
            failed = [one for one, done in zip(some, answer["Records"], strict=True) if "ErrorCode" in done]
            waiting = failed + rest

    return send


class StreamMessage(NamedTuple):
    """A message of the coalescing stream."""

    topic: str  # empty where a gateway has put canonical JSON into the stream itself
    sender: str  # the partition key
    payload: bytes


def message_of(source: dict[str, Any]) -> StreamMessage:
    """Return the message in a record (`kinesis`): as a rule of IoT Core wraps it, or as it is."""
    payload = b64decode(source["data"])
    wrapped = _wrapped(payload) if payload.startswith(b'{"') else None
    return (
        wrapped._replace(sender=source["partitionKey"])
        if wrapped
        else StreamMessage("", source["partitionKey"], payload)
    )


def _wrapped(payload: bytes) -> StreamMessage | None:
    try:
        found = orjson.loads(payload)
        is_wrapped = isinstance(found, dict) and found.keys() == {"topic", "data"}
        return StreamMessage(str(found["topic"]), "", b64decode(found["data"], validate=True)) if is_wrapped else None
    except (ValueError, TypeError):  # not of a rule
        return None


def topic_of(topic: str) -> Topic:
    """Parse a topic that a rule let in: `PREFIX/DEVICE/FORMAT`, or one of a format's own. Raises Refused."""
    levels = topic.split("/")
    if len(levels) == 3 and (levels[2] in FORMATS or levels[2] == "readings"):
        return Topic(FORMATS["json" if levels[2] == "readings" else levels[2]], check_device_id(levels[1]), "")
    return parse_topic(topic, "", RULES)
