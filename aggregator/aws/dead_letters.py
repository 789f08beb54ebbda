"""Records that can never succeed, put aside in a queue (SQS) with their payload, so that the rest can go on.

A message of the queue is letters as JSON Lines: `{"function": who gave up, "reason": why, "payload": what}`. The
payload of `ingest` is the message as it came; that of a level is the key that was dirty, and `wattfall rebuild` does
what that change would have done.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import orjson

from aggregator.aws.clients import client
from aggregator.core.errors import ConfigurationError

BYTES = 250_000  # of a message; a larger letter goes alone
log = logging.getLogger("wattfall.deadletters")


class DeadLetter(NamedTuple):
    """What was put aside."""

    function: str
    reason: str
    payload: str


def put_aside(queue: str, letters: Sequence[DeadLetter]) -> None:
    """Send letters to the queue of that URL. Raises when that fails: then the batch has to come again."""
    if not letters:
        return
    log.error("%d put aside: %s", len(letters), letters[0].reason)
    if not queue:
        raise ConfigurationError("WATTFALL_DEAD_LETTERS: no queue is named for what has to be put aside")
    sqs = client("sqs")
    for body in bundles(orjson.dumps(letter._asdict()).decode() for letter in letters):
        sqs.send_message(QueueUrl=queue, MessageBody=body)


def bundles(lines: Iterable[str]) -> Iterator[str]:
    """Lines as messages that a queue takes."""
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
