"""Optimistic steps in place of transactions, and threads that run them side by side.

Two workers on one key may interleave: A reads a child, B reads it later and writes the parent, then A writes old
values. A step therefore reads its inputs again after its writes, consistently, and runs again if they have changed.
The last writer re-reads its inputs, so items carry no version. Writes are also conditional on the parts that they
replace, which prevents most such conflicts. `OptimisticStep` is pure: the caller passes in the read function.

Steps that run side by side read the items of one table together (`GatheredReads`): a call costs more CPU time than an
item.

A step that conflicts TRIES times raises StoreAway.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    """Read at most `most` half-hour blocks from `start` (UTC seconds), forward or backward."""

    device_id: str
    start: int
    most: int
    is_onwards: bool

    def span(self, answer: list[Item]) -> tuple[int, int]:
        """Return the span of block starts for which `answer` is complete."""
        end = start_of(answer[-1]) if len(answer) == self.most else None
        if self.is_onwards:
            return self.start, FOR_EVER if end is None else end
        return end or 0, self.start


Read = Get | GetBlocks
Fetch = Callable[[Read, bool], list[Item]]  # read, is_consistent -> items
FetchMany = Callable[[Sequence[Get], bool], Mapping[Get, Item]]  # reads of one table, is_consistent -> those that exist


class Stale(Exception):
    """An input of a step has changed."""


class OptimisticStep:
    """The reads of one step: repeated reads give the same answer; `is_stale` checks them at the end."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._answers: dict[Read, list[Item]] = {}
        self._is_consistent = False  # the first read may be outdated; `is_stale` detects it

    def ask(self, read: Read) -> list[Item]:
        """Return the items as this step read them first."""
        if read not in self._answers:
            self._answers[read] = self._fetch(read, self._is_consistent)
        return self._answers[read]

    def find(self, device_id: str, first: int, last: int) -> list[Item] | None:
        """Return the blocks that start from `first` to `last`, if this step has read them all."""
        for (low, high), blocks in self._complete_spans(device_id):
            if low <= first and last <= high:
                return [item for item in blocks if first <= start_of(item) <= last]
        return None

    def nearest(self, device_id: str, at: int, count: int, *, is_onwards: bool) -> list[int] | None:
        """Return the starts of `count` blocks after (before) `at`, nearest first, if this step has read them."""
        for (low, high), blocks in self._complete_spans(device_id):
            if is_onwards:
                found = [start for start in starts(blocks) if start > at][:count]
                is_complete = low <= at + 1 and (len(found) == count or high == FOR_EVER)
            else:
                found = [start for start in reversed(starts(blocks)) if start < at][:count]
                is_complete = high >= at - 1 and (len(found) == count or low == 0)
            if is_complete:
                return found
        return None

    def _complete_spans(self, device_id: str) -> Iterator[tuple[tuple[int, int], list[Item]]]:
        """Yield the spans for which this step has read all blocks, in order of time."""
        for read, answer in self._answers.items():
            if isinstance(read, GetBlocks) and read.device_id == device_id:
                yield read.span(answer), answer if read.is_onwards else answer[::-1]

    def forget(self, read: Read) -> None:
        """Forget an item that this step replaced conditionally."""
        self._answers.pop(read, None)

    def restart(self) -> None:
        """Read everything again, consistently."""
        self._answers.clear()
        self._is_consistent = True

    def is_stale(self) -> bool:
        """Read all inputs again; the next attempt of the step uses the new answers."""
        before, self._is_consistent = self._answers, True
        self._answers = {read: self._fetch(read, True) for read in before}
        return self._answers != before


def start_of(item: Item) -> int:
    """Return the start of a block, UTC seconds."""
    return int(item["b"]["N"])


def starts(blocks: list[Item]) -> list[int]:
    """Return the starts of blocks, UTC seconds."""
    return [start_of(item) for item in blocks]


# Gathered reads

GATHER_S = 0.005  # a read waits so long for others; a call takes twice as long


class GatheredReads:
    """Reads of items by several threads, those of a table in one call. Other reads go on alone."""

    def __init__(self, fetch: Fetch, fetch_many: FetchMany) -> None:
        self._fetch, self._fetch_many = fetch, fetch_many
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, bool], list[tuple[Get, Future[list[Item]]]]] = defaultdict(list)

    def fetch(self, read: Read, is_consistent: bool) -> list[Item]:
        """Return the items of a read; the first thread that reads a table calls for all that come within GATHER_S."""
        if not isinstance(read, Get):
            return self._fetch(read, is_consistent)
        future, kind = Future[list[Item]](), (read.table, is_consistent)
        with self._lock:
            self._waiting[kind].append((read, future))
            is_first = len(self._waiting[kind]) == 1
        if is_first:
            time.sleep(GATHER_S)
            with self._lock:
                together = self._waiting.pop(kind)
            self._answer(together, is_consistent)
        return future.result()

    def _answer(self, together: Sequence[tuple[Get, "Future[list[Item]]"]], is_consistent: bool) -> None:
        try:
            found = self._fetch_many([read for read, _ in together], is_consistent)
        except BaseException as error:  # of everybody who waits
            for _, future in together:
                future.set_exception(error)
            return
        for read, future in together:
            future.set_result([found[read]] if read in found else [])


# Concurrent steps

Answer = TypeVar("Answer")

TRIES = 20  # attempts of a step whose inputs keep changing


class ConcurrentSteps:
    """The transactions of a store: steps inside one run side by side; each thread has its own transaction."""

    def __init__(self, fetch: Fetch, fetch_many: FetchMany, width: int) -> None:
        self._fetch, self._gathered = fetch, GatheredReads(fetch, fetch_many)
        self._pool = ThreadPoolExecutor(width, "dynamodb")
        self._local = threading.local()

    def close(self) -> None:
        """Stop the threads after their work."""
        self._pool.shutdown()

    @property
    def step(self) -> OptimisticStep | None:
        """Return the current step of this thread."""
        return getattr(self._local, "step", None)

    @property
    def _waiting(self) -> list[Future[None]] | None:
        return getattr(self._local, "waiting", None)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the steps inside side by side and wait for all of them. Joins an open transaction."""
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
        """Wait for the steps of this transaction; raise the error of the first that failed."""
        waiting = self._waiting or []
        wait(waiting)
        for future in waiting:
            future.result()
        waiting.clear()

    def run(self, work: Callable[[], object]) -> None:
        """Run a step: beside others within a transaction, else at once."""
        if self._waiting is None:
            self._repeat(work, self._fetch)
        else:
            self._waiting.append(self._pool.submit(self._repeat, work, self._gathered.fetch))

    def side_by_side(self, work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the answers of independent calls; all of them run, even when one fails."""
        if len(jobs) < 2:
            return [work(*job) for job in jobs]
        futures = [self._pool.submit(work, *job) for job in jobs]
        wait(futures)
        return [future.result() for future in futures]

    def begin(self, read: Callable[[], Answer]) -> Callable[[], Answer]:
        """Start a read in the background. Return a function that waits for its answer."""
        return self._pool.submit(read).result

    def _repeat(self, work: Callable[[], object], fetch: Fetch) -> None:
        step = self._local.step = OptimisticStep(fetch)
        try:
            for _ in range(TRIES):
                try:
                    work()
                except Stale:
                    step.restart()
                    continue
                if not step.is_stale():
                    return
            raise StoreAway(f"the inputs of a step changed {TRIES} times in a row")
        finally:
            self._local.step = None
