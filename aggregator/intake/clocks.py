"""Clocks that are wrong: a device's that is older than the retention, and the server's own.

Devices set their clocks themselves. When most of at least three devices run ahead of the server's clock, it is the
server's that is wrong; see `ServerClock`.
"""

import mmap
from collections.abc import Callable
from enum import Enum, auto
from operator import attrgetter
from zlib import crc32

from aggregator.core.errors import Refused
from aggregator.core.periods import iso_utc
from aggregator.core.readings import Interval, Reading
from aggregator.intake.formats.message import Content, Unread
from aggregator.intake.refusals import evidence_json
from aggregator.store.occupancies import ERASED, is_kept
from aggregator.store.port import Store

WINDOW_S = 600  # a vote counts so long
FEWEST = 3  # devices that outvote the server's clock
DECIDE_S = 60  # messages of the future wait so long for the votes of others
JUMP_S = 60  # a clock that moves so far against the monotonic one was set: the votes were about another clock
TELL_S = 60  # between two complaints
_SLOTS = 1 << 15  # votes of each kind; two devices with one slot share a vote
_OFFSET, _SINCE, _LAST, _TOLD, _HEAD = range(5)  # numbers before the votes
_AHEAD = "in_the_future"
_at = attrgetter("at")


class Wrong(Enum):
    """Whose clock is wrong where a message lies in the future."""

    DEVICE = auto()  # refuse the message
    SERVER = auto()  # hold it until the clock is set
    UNDECIDED = auto()  # hold it until there are more votes


class ServerClock:
    """Judge the server's clock by the devices: each has one vote, its last, in the last WINDOW_S.

    The caller names the authenticated sender (of the token or the topic), so a device cannot vote for others. Most of
    all devices must run ahead, FEWEST at least; and of the registered ones at least half, so that senders with made-up
    names cannot outvote them. With too few votes the judge waits for DECIDE_S.

    The votes lie in memory that is shared with forked processes: whichever process a message comes to, the votes are
    the same. They are of one machine since its start, as its clock is. All of `at` are monotonic seconds.
    """

    def __init__(self) -> None:
        self._numbers = memoryview(mmap.mmap(-1, 8 * (_HEAD + 2 * _SLOTS))).cast("d")  # 0: none; see `note`

    def note(
        self,
        sender: str,
        content: Content,
        now: float,
        at: float,
        is_registered: Callable[[str], bool] = lambda _: True,
        *,
        is_old: bool = False,
    ) -> None:
        """Count the vote of a message as of `now` (UTC seconds) and `at`: 1 + `at`, below zero if ahead.

        `is_old` is a message that waits: its sender may have voted since.
        """
        ahead = bool(content.refused) and is_ahead(content)
        if not content.readings and not ahead:
            return
        numbers = self._numbers
        if abs(now - at - numbers[_OFFSET]) > JUMP_S:
            self._begin_again(now - at)
        slot = _HEAD + crc32(sender.encode()) % _SLOTS
        if not ahead:  # storing the readings registers the device
            numbers[slot], numbers[slot + _SLOTS] = 1 + at, 0
            return
        if is_old and numbers[slot] > 0:
            return
        if at + 1 - numbers[_LAST] > WINDOW_S or not numbers[_LAST]:
            numbers[_SINCE] = 1 + at
        numbers[_LAST] = 1 + at
        if numbers[slot] or is_registered(sender):
            numbers[slot], numbers[slot + _SLOTS] = -1 - at, 0
        else:
            numbers[slot + _SLOTS] = -1 - at

    def wrong(self, at: float) -> Wrong:
        """Return whose clock is wrong, if a message lies in the future as of `at`."""
        head, votes = self._numbers[:_HEAD], self._numbers[_HEAD:]
        if not head[_LAST] or at + 1 - head[_LAST] > WINDOW_S:
            return Wrong.DEVICE
        known, others = (
            [vote < 0 for vote in kind if vote and at + 1 - abs(vote) <= WINDOW_S]
            for kind in (votes[:_SLOTS], votes[_SLOTS:])
        )
        ahead, count = sum(known) + sum(others), len(known) + len(others)
        if ahead >= FEWEST and 2 * ahead > count and 2 * sum(known) >= len(known):
            return Wrong.SERVER
        is_outvoted = 2 * ahead <= count or 2 * sum(known) < len(known)
        return (
            Wrong.DEVICE if (count >= FEWEST and is_outvoted) or at + 1 - head[_SINCE] >= DECIDE_S else Wrong.UNDECIDED
        )

    def complaint(self, at: float) -> Content | None:
        """Return what support is told while messages wait, once in TELL_S; None in between."""
        told = self._numbers[_TOLD]
        if told and at + 1 - told < TELL_S:
            return None
        self._numbers[_TOLD] = 1 + at
        return Content(refused=[Unread(Refused("server_clock", "set the clock of this server"), b"")])

    def _begin_again(self, offset: float) -> None:
        """Forget all votes: the clock was set. `offset` is its distance from the monotonic one."""
        self._numbers[:] = memoryview(bytes(self._numbers.nbytes)).cast("d")
        self._numbers[_OFFSET] = offset


def is_ahead(content: Content) -> bool:
    """Whether a message has readings of the future."""
    return any(unread.why.reason == _AHEAD for unread in content.refused)


def refuse_old(store: Store, content: Content, earliest: int) -> None:
    """Refuse the evidence of a device that is older than the retention, which begins at `earliest` (UTC seconds).

    What is newer than all that the device has sent before is no history, however old: then this clock may be wrong.
    """
    if not content.intervals and min(map(_at, content.readings), default=earliest) >= earliest:
        return
    dated: list[tuple[Reading | Interval, int]] = [
        *((one, one.at) for one in content.readings),
        *((one, one.end) for one in content.intervals),
    ]
    old = [(number, one) for number, (one, at) in enumerate(dated) if at < earliest and not _is_newest(store, one, at)]
    for number, one in old:
        why = Refused("too_old", f"older than the retention, which begins at {iso_utc(earliest)}")
        if not is_kept(store.device(one.device_id), one):
            why = ERASED
        content.refused.append(Unread(why, evidence_json(one), number))
    refused = {id(one) for _, one in old}
    content.readings = [one for one in content.readings if id(one) not in refused]
    content.intervals = [one for one in content.intervals if id(one) not in refused]


def _is_newest(store: Store, one: Reading | Interval, at: int) -> bool:
    live = store.live(one.device_id)
    return live is not None and at > live.at
