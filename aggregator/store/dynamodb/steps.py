"""A step without a transaction: repeated until what it read is still so after it has written.

Two workers on the same key may interleave: one reads a child, the other reads it later and writes the parent, the
first then writes what is old. So after its writes a step reads again, consistently, what it had read; what has
changed meanwhile makes it run again on the newer state. Whoever writes last has then seen that it wrote from what is
there, and no item needs a version. A write is also conditional on the parts that it replaces, which keeps most such
writes from happening at all. Pure: what reads is handed in.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from aggregator.core.periods import FOR_EVER
from aggregator.store.dynamodb.items import Item


class Get(NamedTuple):
    """Read one item of a table."""

    table: str
    device_id: str
    period: str | None = None


class GetBlocks(NamedTuple):
    """Read at most `most` half hours of readings, from the one that starts at `start`, onwards or backwards."""

    device_id: str
    start: int
    most: int
    is_onwards: bool

    def span(self, answer: list[Item]) -> tuple[int, int]:
        """From when to when `answer` has all blocks, by their starts."""
        end = start_of(answer[-1]) if len(answer) == self.most else None
        if self.is_onwards:
            return self.start, FOR_EVER if end is None else end
        return end or 0, self.start


Read = Get | GetBlocks
Fetch = Callable[[Read, bool], list[Item]]  # what to read, and whether consistently


class Stale(Exception):
    """What a step has read is no longer so."""


class Step:
    """What one step has read: asked again it gets the same answer, and in the end whether that still holds."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._answers: dict[Read, list[Item]] = {}
        self._is_consistent = False  # the first look may be old, which `is_stale` finds out

    def ask(self, read: Read) -> list[Item]:
        """The items, as this step saw them first."""
        if read not in self._answers:
            self._answers[read] = self._fetch(read, self._is_consistent)
        return self._answers[read]

    def find(self, device_id: str, first: int, last: int) -> list[Item] | None:
        """The blocks that start from `first` to `last`, if this step has them all."""
        for (low, high), blocks in self._known(device_id):
            if low <= first and last <= high:
                return [item for item in blocks if first <= start_of(item) <= last]
        return None

    def nearest(self, device_id: str, at: int, count: int, *, is_onwards: bool) -> list[int] | None:
        """The starts of `count` blocks after `at` (before it), nearest first, if this step has them."""
        for (low, high), blocks in self._known(device_id):
            if is_onwards:
                found = [start for start in starts(blocks) if start > at][:count]
                is_known = low <= at + 1 and (len(found) == count or high == FOR_EVER)
            else:
                found = [start for start in reversed(starts(blocks)) if start < at][:count]
                is_known = high >= at - 1 and (len(found) == count or low == 0)
            if is_known:
                return found
        return None

    def _known(self, device_id: str) -> Iterator[tuple[tuple[int, int], list[Item]]]:
        """The spans of which this step has all blocks, in order of time."""
        for read, answer in self._answers.items():
            if isinstance(read, GetBlocks) and read.device_id == device_id:
                yield read.span(answer), answer if read.is_onwards else answer[::-1]

    def forget(self, read: Read) -> None:
        """It was replaced by this step, on the condition that it was still so."""
        self._answers.pop(read, None)

    def restart(self) -> None:
        """Everything is to be read again, consistently."""
        self._answers.clear()
        self._is_consistent = True

    def is_stale(self) -> bool:
        """Read everything again; what is found is what the next attempt of the step sees."""
        before, self._is_consistent = self._answers, True
        self._answers = {read: self._fetch(read, True) for read in before}
        return self._answers != before


def start_of(item: Item) -> int:
    """The start of a block, UTC seconds."""
    return int(item["b"]["N"])


def starts(blocks: list[Item]) -> list[int]:
    """The starts of blocks."""
    return [start_of(item) for item in blocks]
