"""From a broker to whatever keeps its messages: what was kept is acknowledged, what was not is tried again."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aggregator.errors import Refused, StoreAway, StoreUnusable
from aggregator.ingest import Outcome
from aggregator.intake import Received
from aggregator.sources.base import Content, Origin, Unread
from aggregator.sources.formats import of_topic, read_whole

if TYPE_CHECKING:
    from aggregator.mqtt import Arrived, Subscriber

BATCH = 1000  # messages
Keep = Callable[[Sequence[Received]], Outcome]  # durable on return
log = logging.getLogger("wattfall.mqtt")


@dataclass(slots=True)
class MqttFeed:
    """What comes from a broker, a batch at a time."""

    subscriber: "Subscriber"
    keep: Keep
    zone_of: Callable[[str], str]  # device -> its time zone
    format_name: str = ""  # of all messages; empty where each topic tells
    clock: Callable[[], float] = time.time
    total: Outcome = field(default_factory=Outcome)
    _held: "list[Arrived]" = field(default_factory=list)  # not kept yet

    def take_in(self, wait_s: float) -> int:
        """Take in what has come; how many messages. Raises StoreAway, and holds them for the next time."""
        self._held = self._held or self.subscriber.take(BATCH, wait_s)
        now = int(self.clock())
        if self._held:
            self._keep([self._received(message, now) for message in self._held])
            self.subscriber.acknowledge(self._held)
        count, self._held = len(self._held), []
        return count

    def _received(self, message: "Arrived", now: int) -> Received:
        try:
            one, device_id, part = of_topic(message.topic, self.format_name)
        except Refused as why:
            return Received("", Content(refused=[Unread(why, f"{message.topic} ".encode() + message.payload)]))
        zone = self.zone_of(device_id) if one.is_local else ""
        return Received(device_id, read_whole(one, message.payload, Origin(device_id, now, zone, part)))

    def _keep(self, messages: Sequence[Received]) -> None:
        """Keep messages; where that breaks, ever fewer of them, to find the one at fault, which is refused."""
        try:
            self.total.add(self.keep(messages))
        except (StoreAway, StoreUnusable):
            raise
        except (
            Exception
        ) as error:  # whatever one message brings about must not stop the others, nor come again for ever
            if len(messages) > 1:
                middle = len(messages) // 2
                self._keep(messages[:middle])
                self._keep(messages[middle:])
                return
            device_id, content = messages[0]
            log.exception("a message of %s is put aside", device_id)
            unread = Unread(Refused("not_stored", repr(error)[:120]), repr(content).encode(errors="replace"))
            self.total.add(self.keep([Received(device_id, Content(refused=[unread]))]))
