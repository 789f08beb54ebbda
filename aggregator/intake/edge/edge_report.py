"""What the edge has sent, in words, against a message for every reading."""

import logging
from dataclasses import dataclass, field

from aggregator.core.periods import day_of
from aggregator.intake.edge.edge import Counts, Edge
from aggregator.intake.edge.ingest_client import Sent

ALONE = 780  # bytes of a reading that is sent by itself, as `uplink.size_of` counts, about
WRITES_A_READING = 2  # of its half hour, and of the live state
WRITES_A_BLOCK = 2
log = logging.getLogger("wattfall.edge")


@dataclass(slots=True)
class Report:
    """The report of a day, and at the end of what came after it. Days are UTC."""

    edge: Edge
    sent: Sent
    _day: str = ""
    _before: Sent = field(default_factory=Sent)

    def go_on(self, now: float) -> None:
        """Log the report of a day that is over."""
        day = day_of(int(now), "UTC")
        if day != self._day:
            if self._day:
                log.info("%s", self.said(now))
            self._day = day

    def said(self, now: float) -> str:
        """What was sent since the last report, which this ends."""
        counts, self.edge.counts = self.edge.counts, Counts()
        size, messages = self.sent.size - self._before.size, self.sent.messages - self._before.messages
        self._before = Sent(self.sent.messages, self.sent.size)
        return sentence(self._day or day_of(int(now), "UTC"), counts, messages, size, self.edge.waiting)


def sentence(day: str, counts: Counts, messages: int, size: int, waiting: int) -> str:
    """Bytes on the wire and writes of the store, against those of sending each reading by itself."""
    writes = counts.blocks * WRITES_A_BLOCK + counts.lives
    return (
        f"{day}: {counts.readings:,} readings kept; sent {counts.blocks:,} half hours and {counts.lives:,} times the"
        f" newest reading in {messages:,} messages, {size:,} bytes, {writes:,} writes; {waiting:,} half hours wait."
        f" Each reading by itself would be {counts.readings:,} messages, {counts.readings * ALONE:,} bytes,"
        f" {counts.readings * WRITES_A_READING:,} writes"
    )
