"""What functions do on a schedule: close the documents of silent devices, and erase the households that are due.

A document is marked while its period goes on, and its function at the next level is not called for it. The first write
after the end removes the mark. A device that has fallen silent makes no such write: its last day, and later its last
month, would be missing one level up. So a schedule looks for devices that are silent since before the end of a period,
and writes their documents again, unchanged but for the mark.

An erasure is carried out in short steps, and what is done stays done: each call goes on until its time is nearly over.
It ends with a scan of the dead letters, which leaves them as they are.
"""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import orjson

from aggregator.aws.dead_letters import HIDDEN_S, aws_errors, client, dead_of, message_of, received, waiting
from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.live import Live
from aggregator.core.periods import DAY_S, HALF_HOUR, HOUR, feed_levels, period_of, window
from aggregator.erasure.erasing import OutsideStore
from aggregator.erasure.erasure_plan import ErasurePlan
from aggregator.erasure.erasure_requests import due_erasures, overdue
from aggregator.store import pages
from aggregator.store.port import Store
from aggregator.support.audit import Audit

STEP_S = 30  # of a call that must be left for another step of an erasure
LOOK_BACK_S = 2 * HOUR  # ends of periods that one call looks for; several calls see each of them
_EARLIEST, _LATEST = "Pacific/Kiritimati", "Pacific/Pago_Pago"  # the first and the last to begin a day
log = logging.getLogger("wattfall.deadletters")


def close_periods(store: Store, now: int) -> int:
    """Close the periods that ended in the LOOK_BACK_S before `now` (UTC seconds). Return the number of documents."""
    return sum(_close(store, level, live, now) for level, live in _candidates(store, now))


def _candidates(store: Store, now: int) -> Iterator[tuple[str, Live]]:
    """Yield silent devices whose last period has ended of late in some time zone, without looking theirs up."""
    oldest = {level: period_of(level, now - LOOK_BACK_S, _LATEST) for level in feed_levels()}
    ended = [level for level, period in oldest.items() if period != period_of(level, now, _EARLIEST)]
    for live in chain.from_iterable(pages(store.lives, store)):
        if live.received_at < now - HALF_HOUR:
            yield from ((one, live) for one in ended if period_of(one, live.at, _EARLIEST) >= oldest[one])


def _close(store: Store, level: str, live: Live, now: int) -> bool:
    device = store.device(live.device_id) or Device(live.device_id)
    period = period_of(level, live.at, device.timezone)
    if not now - LOOK_BACK_S < window(level, period, device.timezone).end <= now:
        return False
    document = store.document(level, live.device_id, period)
    return document is not None and store.merge_parts(
        level, live.device_id, period, document.timezone, {}, document.currency
    )


def erase_due(store: Store, audit: Audit, now: int, outside: OutsideStore, left_s: Callable[[], float]) -> None:
    """Go on with the erasures that are due at `now` (UTC seconds) while `left_s` of the call allows another step.

    Raises ConfigurationError, for an alarm, where one is a day late.
    """
    for _ in due_erasures(store, audit, now, outside):
        if left_s() < STEP_S:
            break
    if late := len(overdue(store, now - DAY_S)):
        raise ConfigurationError(f"erasures that are a day late: {late}; `wattfall household due` names the households")


# Dead letters of a household


def letters_about(queue: str, _store: Store, plan: ErasurePlan) -> Iterator[str]:
    """Yield lines for the dead letters that name a device of a plan, and empty lines between short steps.

    One that cannot be read counts too, and so do those that the scan did not get. Each stays in the queue. The queue
    gives letters in any order, sometimes twice, and again after HIDDEN_S: the scan ends where it gives none or only
    known ones, and is whole if it then has no other.
    """
    if not queue or not plan.stays:
        return
    ids = "|".join(re.escape(one.device_id) for one in plan.stays)
    named, held, sqs = re.compile(rf"(?<![\w.:~-])(?:{ids})(?![\w.:~-])"), dict[str, str](), client("sqs")
    with aws_errors():
        try:
            while messages := received(sqs, queue):
                new, left = [one for one in messages if one["MessageId"] not in held], 0
                held |= {one["MessageId"]: one["ReceiptHandle"] for one in messages}
                if not new:
                    break
                for one in new:
                    try:
                        left += _names(one["Body"], named)
                    except ConfigurationError as error:
                        yield f"the dead letter {one['MessageId']}, whose batch cannot be read: {error}"
                yield (
                    f"{left} dead letters, which may tell of it; run `wattfall replay --queue {queue}`" if left else ""
                )
            if (others := waiting(queue) - len(held)) > 0:
                yield f"{others} dead letters that this scan did not get; run it again later"
        finally:
            _release(sqs, queue, [*held.values()])


def _release(sqs: Any, queue: str, handles: Sequence[str]) -> None:  # noqa: ANN401 - boto3 has no types
    """Let others get messages of the queue again; what AWS refuses to release comes back after HIDDEN_S."""
    for first in range(0, len(handles), 10):
        some = enumerate(handles[first : first + 10])
        entries = [{"Id": str(place), "ReceiptHandle": one, "VisibilityTimeout": 0} for place, one in some]
        try:
            with aws_errors():
                failed = sqs.change_message_visibility_batch(QueueUrl=queue, Entries=entries).get("Failed", [])
        except ConfigurationError as error:
            failed = [error]
        if failed:
            log.warning("dead letters come back only in %d s: %s", HIDDEN_S, failed[0])


def _names(body: str, named: re.Pattern[str]) -> bool:
    try:
        texts = [body]
        for _, event in dead_of(body):
            for record in event["Records"]:
                texts.append(orjson.dumps(record).decode())
                if "kinesis" in record:
                    message = message_of(record["kinesis"])
                    texts += [message.topic, message.payload.decode(errors="replace")]
    except (Refused, ValueError, TypeError, LookupError):
        return True
    return any(named.search(one) for one in texts)
