"""Clocks that are wrong: a device's that is older than the retention, and the server's own.

Devices set their clocks themselves. When most of at least three devices run ahead of the server's clock, it is the
server's that is wrong; see `ServerClock`.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from aggregator.core.errors import Refused
from aggregator.core.periods import iso_utc
from aggregator.core.readings import Interval, Reading
from aggregator.intake.chunk import evidence_json
from aggregator.intake.formats.message import Content, Unread
from aggregator.store.port import Store

WINDOW_S = 600  # a vote counts so long
FEWEST = 3  # devices that outvote the server's clock
TELL_S = 60  # between two complaints
_MOST = 2000  # devices in memory, of each kind; the least recent are forgotten
_AHEAD = "in_the_future"


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
        self._told = -float(TELL_S)

    def note(self, sender: str, content: Content, at: float, is_registered: Callable[[], bool] = lambda: True) -> None:
        """Count the vote of a message that came at `at` (monotonic seconds)."""
        if not content.readings and not is_ahead(content):
            return
        kind = sender in self._votes[True] or is_registered()
        if kind:
            self._votes[False].pop(sender, None)
        votes = self._votes[kind]
        votes[sender] = _Vote(at, is_ahead(content))
        votes.move_to_end(sender)
        if len(votes) > _MOST:
            votes.popitem(last=False)

    def is_behind(self, at: float) -> bool:
        """Whether the server's clock is the wrong one, as of `at` (monotonic seconds)."""
        registered, others = (
            [vote.is_ahead for vote in self._votes[kind].values() if at - vote.at <= WINDOW_S] for kind in (True, False)
        )
        ahead = sum(registered) + sum(others)
        is_most = ahead >= FEWEST and 2 * ahead > len(registered) + len(others)
        return is_most and 2 * sum(registered) >= len(registered)

    def complaint(self, at: float) -> Content | None:
        """Return what support is told while messages wait, once in TELL_S; None in between."""
        if at - self._told < TELL_S:
            return None
        self._told = at
        return Content(refused=[Unread(Refused("server_clock", "set the clock of this server"), b"")])


def is_ahead(content: Content) -> bool:
    """Whether a message has readings of the future."""
    return any(unread.why.reason == _AHEAD for unread in content.refused)


def refuse_old(store: Store, content: Content, earliest: int) -> None:
    """Refuse the evidence of a device that is older than the retention, which begins at `earliest` (UTC seconds).

    What is newer than all that the device has sent before is no history, however old: then this clock may be wrong.
    """
    dated: list[tuple[Reading | Interval, int]] = [
        *((one, one.at) for one in content.readings),
        *((one, one.end) for one in content.intervals),
    ]
    old = [(number, one) for number, (one, at) in enumerate(dated) if at < earliest and not _is_newest(store, one, at)]
    for number, one in old:
        why = Refused("too_old", f"older than the retention, which begins at {iso_utc(earliest)}")
        content.refused.append(Unread(why, evidence_json(one), number))
    refused = {id(one) for _, one in old}
    content.readings = [one for one in content.readings if id(one) not in refused]
    content.intervals = [one for one in content.intervals if id(one) not in refused]


def _is_newest(store: Store, one: Reading | Interval, at: int) -> bool:
    live = store.live(one.device_id)
    return live is not None and at > live.at
