"""Steps that run side by side within a round, and calls that do not depend on each other."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from aggregator.core.errors import StoreAway
from aggregator.store.dynamodb.steps import Fetch, Stale, Step

Answer = TypeVar("Answer")

TRIES = 20  # of a step that keeps finding changed what it read


class Rounds:
    """The rounds of a store; each thread has its own, and so has each step."""

    def __init__(self, fetch: Fetch, width: int) -> None:
        self._fetch = fetch
        self._pool = ThreadPoolExecutor(width, "dynamodb")
        self._local = threading.local()

    def close(self) -> None:
        """End the threads, when their work is done."""
        self._pool.shutdown()

    @property
    def step(self) -> Step | None:
        """The step that this thread is in."""
        return getattr(self._local, "step", None)

    @property
    def _waiting(self) -> list[Future[None]] | None:
        return getattr(self._local, "waiting", None)

    @contextmanager
    def round(self) -> Iterator[None]:
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
        step = self._local.step = Step(self._fetch)
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
