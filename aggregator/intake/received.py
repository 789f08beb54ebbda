"""Messages of any format into a store: readings, statuses, and what was refused.

The ways in (MQTT, HTTP) share it. A message is `Received`; how many come together is up to the way in: the more, the
fewer writes, since the readings of a half hour are written at once.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aggregator.intake import refusals
from aggregator.intake.formats.message import Content
from aggregator.intake.ingest import Outcome, ingest, keep_statuses, live_state, registered
from aggregator.store.port import Store


def zone_in(store: Store, default_zone: str) -> Callable[[str], str]:
    """What tells the time zone of a device."""

    def zone_of(device_id: str) -> str:
        device = store.device(device_id)
        return device.timezone if device else default_zone

    return zone_of


class Received(NamedTuple):
    """What was in a message, and the device that sent it (empty where that cannot be told)."""

    device_id: str
    content: Content


def take_in(store: Store, messages: Sequence[Received], now: int, default_zone: str) -> Outcome:
    """Take in messages; durable on return. Taken in again, they change nothing but the counts of what was refused."""
    contents = [message.content for message in messages]
    outcome = Outcome()
    written = ingest(store, [reading for one in contents for reading in one.readings], now, default_zone)
    statuses = [status for one in contents for status in one.statuses]
    keep_statuses(store, statuses, now, default_zone)
    outcome.accepted, outcome.unchanged = written
    outcome.statuses = len(statuses)
    outcome.reasons.update(keep_refused(store, messages, now))
    return outcome


def keep_refused(store: Store, messages: Sequence[Received], now: int) -> Counter[str]:
    """Keep what was refused of messages; the counts by reason."""
    reasons, batch = Counter[str](), refusals.Batch()
    for device_id, content in messages:
        for unread in content.refused:
            reasons[unread.why.reason] += 1
            batch.add(unread.payload, unread.why, now, device_id)
    refusals.keep(store, batch, now)
    return reasons


def show_live(store: Store, content: Content, now: int, default_zone: str) -> Outcome:
    """Bring the live state up to date, and the statuses: the readings come again with their half hour."""
    keep_statuses(store, content.statuses, now, default_zone)
    newest = {reading.device_id: reading for reading in sorted(content.readings, key=lambda reading: reading.at)}
    with store.round():
        devices = [registered(store, device_id, default_zone) for device_id in newest]
        store.put_live([live_state(newest[device.device_id], device, now) for device in devices])
    return Outcome(accepted=len(content.readings), statuses=len(content.statuses))
