"""From a broker to whatever keeps its messages: what was kept is acknowledged, what was not is tried again."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aggregator.core.errors import Damaged, Refused, StoreAway, StoreUnusable
from aggregator.intake.formats.catalogue import of_topic, read_whole
from aggregator.intake.formats.message import Content, Origin, Unread, check_size
from aggregator.intake.ingest import Outcome
from aggregator.intake.received import Received
from aggregator.intake.refusals import UNKNOWN

if TYPE_CHECKING:
    from aggregator.intake.mqtt import Arrived, Subscriber

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
    lag_s: int = 0  # see Origin
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
        except Refused as why:  # whatever device it names within, that is not who sent it
            return Received(UNKNOWN, Content(refused=[Unread(why, f"{message.topic} ".encode() + message.payload)]))
        try:
            check_size(message.payload)
        except Refused as why:
            return Received(device_id, Content(refused=[Unread(why, message.payload)]))
        zone = self.zone_of(device_id) if one.is_local else ""
        return Received(device_id, read_whole(one, message.payload, Origin(device_id, now, zone, part, self.lag_s)))

    def _keep(self, messages: Sequence[Received]) -> None:
        """Keep messages; where that breaks, ever fewer of them, to find the one at fault, which is refused."""
        try:
            self.total.add(self.keep(messages))
        except Exception as error:  # what one message brings about must not stop the others, nor come for ever
            if isinstance(error, StoreAway | StoreUnusable) and not isinstance(error, Damaged):
                raise
            if len(messages) > 1:
                middle = len(messages) // 2
                self._keep(messages[:middle])
                self._keep(messages[middle:])
                return
            device_id, content = messages[0]
            log.exception("a message of %s is put aside", device_id)
            unread = Unread(Refused("our_fault", repr(error)[:120]), repr(content).encode(errors="replace"))
            owner = UNKNOWN if isinstance(error, Damaged) else device_id  # its registry may be what is damaged
            self.total.add(self.keep([Received(owner, Content(refused=[unread]))]))
