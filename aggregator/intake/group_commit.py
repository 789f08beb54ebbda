"""Group commit: what threads of one process write at the same time is durable at once, by one write to the disk."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from aggregator.core.errors import StoreAway
from aggregator.store.port import Store

Answer = TypeVar("Answer")


class _Waiting(Generic[Answer]):
    """A thread's work: not done until it has an answer or an error."""

    def __init__(self, work: Callable[[], Answer]) -> None:
        self.work = work
        self.is_done = False
        self.answer: Answer | None = None
        self.error: Exception | None = None

    def end(self, answer: Answer | None, error: Exception | None = None) -> None:
        self.answer, self.error, self.is_done = answer, error, True


class GroupCommit(Generic[Answer]):
    """The first thread leads: it commits all work that has come when the write lock is free.

    Work that fails fails alone: the transaction is repeated with each half of the group. Work must therefore be
    repeatable. A store without one write lock commits faster side by side, so each thread does its own work there.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = threading.Lock()
        self._queue: deque[_Waiting[Answer]] = deque()

    def run(self, work: Callable[[], Answer]) -> Answer:
        """Return what `work` returns; its writes are durable then. Raises what it raises."""
        if not self._store.has_one_writer:
            return work()
        own = _Waiting(work)
        self._queue.append(own)
        with self._turn:
            if not own.is_done:
                self._commit(self._arrived)
        if own.error or not own.is_done:
            raise own.error or StoreAway("the thread that wrote was stopped")
        return own.answer  # type: ignore[return-value] # there is no error

    def _arrived(self) -> list[_Waiting[Answer]]:
        return [self._queue.popleft() for _ in range(len(self._queue))]

    def _commit(self, take: Callable[[], list[_Waiting[Answer]]]) -> None:
        """Commit the work that `take` returns when the write lock is free."""
        group: list[_Waiting[Answer]] = []
        try:
            with self._store.transaction():
                group = take()
                answers = [one.work() for one in group]
        except Exception as error:
            group = group or take()
            middle = len(group) // 2
            if isinstance(error, StoreAway) or not middle:
                for one in group:
                    one.end(None, error)
                return
            for half in (group[:middle], group[middle:]):
                self._commit(half.copy)
            return
        for one, answer in zip(group, answers, strict=True):
            one.end(answer)
