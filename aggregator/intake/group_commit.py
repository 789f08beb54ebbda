"""Group commit: what threads of one process write at the same time is durable at once, by one write to the disk."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from aggregator.core.errors import StoreAway
from aggregator.store.port import Store

Message = TypeVar("Message")
Answer = TypeVar("Answer")


class NotTogether(Exception):
    """Messages whose answers cannot be told apart; each is stored by itself."""


class _Waiting(Generic[Message, Answer]):
    """A thread's message: not done until it has an answer or an error."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.is_done = False
        self.answer: Answer | None = None
        self.error: Exception | None = None

    def end(self, answer: Answer | None, error: Exception | None = None) -> None:
        self.answer, self.error, self.is_done = answer, error, True


class GroupCommit(Generic[Message, Answer]):
    """The first thread leads: it stores all messages that have come when the write lock is free.

    A message that fails fails alone: the transaction is repeated with each half of the group. A store without one write
    lock commits faster side by side, so each thread stores its own message there.
    """

    def __init__(self, store: Store, put: Callable[[Sequence[Message]], Sequence[Answer]]) -> None:
        """`put` stores messages in an open transaction, and returns their answers; it must be repeatable."""
        self._store, self._put = store, put
        self._turn = threading.Lock()
        self._queue: deque[_Waiting[Message, Answer]] = deque()

    def put(self, message: Message) -> Answer:
        """Return the answer to a message; it is durable then. Raises what storing it raises."""
        if not self._store.has_one_writer:
            return self._put([message])[0]
        own = _Waiting[Message, Answer](message)
        self._queue.append(own)
        with self._turn:
            if not own.is_done:
                self._commit(self._arrived)
        if own.error or not own.is_done:
            raise own.error or StoreAway("the thread that wrote was stopped")
        return own.answer  # type: ignore[return-value] # there is no error

    def _arrived(self) -> list[_Waiting[Message, Answer]]:
        return [self._queue.popleft() for _ in range(len(self._queue))]

    def _commit(self, take: Callable[[], list[_Waiting[Message, Answer]]]) -> None:
        """Commit the messages that `take` returns when the write lock is free."""
        group: list[_Waiting[Message, Answer]] = []
        try:
            with self._store.transaction():
                group = take()
                answers = self._put([one.message for one in group])
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
