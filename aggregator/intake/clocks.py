"""Clocks that are wrong: a device's that is older than the retention, and the server's own.

Devices set their clocks themselves. When most of at least three devices run ahead of the server's clock, it is the
server's that is wrong; see `ServerClock`.
"""

from collections import OrderedDict
from typing import NamedTuple

from aggregator.core.errors import Refused
from aggregator.core.periods import iso_utc
from aggregator.intake.chunk import reading_json
from aggregator.intake.formats.message import Content, Unread

WINDOW_S = 600  # a vote counts so long
FEWEST = 3  # devices that outvote the server's clock
_MOST = 2000  # devices in memory, of each kind; the least recent are forgotten
AHEAD = "in_the_future"


class _Vote(NamedTuple):
    at: float  # monotonic seconds
    is_ahead: bool


class ServerClock:
    """Judge the server's clock by the devices: each has one vote, its last, in the last WINDOW_S.

    The caller names the authenticated sender (of the token or the topic), so a device cannot vote for others. Most of
    all devices must run ahead, FEWEST at least; and of the registered ones at least half, so that senders with made-up
    names cannot outvote them.
    """

    def __init__(self) -> None:
        self._votes: dict[bool, OrderedDict[str, _Vote]] = {True: OrderedDict(), False: OrderedDict()}

    def note(self, sender: str, content: Content, at: float, *, is_registered: bool) -> bool:
        """Count the vote of a message that came at `at` (monotonic seconds). Return whether it runs ahead."""
        is_ahead = runs_ahead(content)
        if is_ahead or content.readings:
            votes = self._votes[is_registered]
            votes[sender] = _Vote(at, is_ahead)
            votes.move_to_end(sender)
            if len(votes) > _MOST:
                votes.popitem(last=False)
        return is_ahead

    def is_behind(self, at: float) -> bool:
        """Whether the server's clock is the wrong one, as of `at` (monotonic seconds)."""
        registered, others = (
            [vote.is_ahead for vote in self._votes[kind].values() if at - vote.at <= WINDOW_S] for kind in (True, False)
        )
        ahead = sum(registered) + sum(others)
        is_most = ahead >= FEWEST and 2 * ahead > len(registered) + len(others)
        return is_most and 2 * sum(registered) >= len(registered)


def runs_ahead(content: Content) -> bool:
    """Whether a message has readings of the future."""
    return any(unread.why.reason == AHEAD for unread in content.refused)


def refuse_old(content: Content, earliest: int) -> None:
    """Refuse the readings of a message that are older than the retention; `earliest` is in UTC seconds."""
    for number, reading in enumerate(content.readings):
        if reading.at < earliest:
            why = Refused("too_old", f"{iso_utc(reading.at)} is before {iso_utc(earliest)}, where the retention begins")
            content.refused.append(Unread(why, reading_json(reading), number))
    content.readings = [reading for reading in content.readings if reading.at >= earliest]
