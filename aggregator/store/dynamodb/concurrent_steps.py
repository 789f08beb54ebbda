"""A step without a transaction: repeated until what it read is still so after it has written.

Two workers on the same key may interleave: one reads a child, the other reads it later and writes the parent, the
first then writes what is old. So after its writes a step reads again, consistently, what it had read; what has
changed meanwhile makes it run again on the newer state. Whoever writes last has then seen that it wrote from what is
there, and no item needs a version. A write is also conditional on the parts that it replaces, which keeps most such
writes from happening at all. Pure: what reads is handed in.

Steps that run side by side within a round, and calls that do not depend on each other.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from aggregator.core.errors import StoreAway
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


class OptimisticStep:
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


# concurrent steps

Answer = TypeVar("Answer")

TRIES = 20  # of a step that keeps finding changed what it read


class ConcurrentSteps:
    """The rounds of a store; each thread has its own, and so has each step."""

    def __init__(self, fetch: Fetch, width: int) -> None:
        self._fetch = fetch
        self._pool = ThreadPoolExecutor(width, "dynamodb")
        self._local = threading.local()

    def close(self) -> None:
        """End the threads, when their work is done."""
        self._pool.shutdown()

    @property
    def step(self) -> OptimisticStep | None:
        """The step that this thread is in."""
        return getattr(self._local, "step", None)

    @property
    def _waiting(self) -> list[Future[None]] | None:
        return getattr(self._local, "waiting", None)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Steps inside run side by side; the round ends when all have. Joins the one that is open."""
        if self._waiting is not None:
            yield
            return
        self._local.waiting = []
        try:
            yield
            self.join()
        finally:
            wait(self._waiting or ())
            self._local.waiting = None

    def join(self) -> None:
        """Wait for the steps of this round; raises what the first of them raised."""
        waiting = self._waiting or []
        wait(waiting)
        for future in waiting:
            future.result()
        waiting.clear()

    def run(self, work: Callable[[], object]) -> None:
        """Run a step: in a round beside others, else at once."""
        if self._waiting is None:
            self._repeat(work)
        else:
            self._waiting.append(self._pool.submit(self._repeat, work))

    def side_by_side(self, work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The answers of calls that do not depend on each other; all are made, even when one fails."""
        if len(jobs) < 2:
            return [work(*job) for job in jobs]
        futures = [self._pool.submit(work, *job) for job in jobs]
        wait(futures)
        return [future.result() for future in futures]

    def begin(self, read: Callable[[], Answer]) -> Callable[[], Answer]:
        """Begin a read that no other waits for within it; what is returned waits for its answer."""
        return self._pool.submit(read).result

    def _repeat(self, work: Callable[[], object]) -> None:
        step = self._local.step = OptimisticStep(self._fetch)
        try:
            for _ in range(TRIES):
                try:
                    work()
                except Stale:
                    step.restart()
                    continue
                if not step.is_stale():
                    return
            raise StoreAway(f"a step found changed what it had read, {TRIES} times in a row")
        finally:
            self._local.step = None
