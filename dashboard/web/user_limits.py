"""What one user, or one address without a user, may take of the server: CPU time, and requests at once.

Each process measures the CPU time of each request and charges it to who sent it. So every dear address counts, the next
one too: a year as CSV, a rebuild, a bundle, a heat map, a search. Who has used up the allowance gets 429, with the
seconds until it has grown again. Devices have limits of their own (`intake.tokens`), and files cost nearly nothing.
"""

import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from flask import Flask, Response, g, request

from aggregator.core.errors import StoreAway
from aggregator.intake.tokens import network
from dashboard.accounts.access import viewer
from dashboard.web.request_guard import UPLOADS, is_free, too_much_answer
from dashboard.web.responses import API

ALLOWANCE_S, RATE = 4.0, 0.15  # CPU seconds at first, and CPU seconds for each second
# Slow requests of a user in one process; the next one waits. What Dash asks for a page comes together, and is quick: on
# a busy machine the page's dependencies would wait for its layout, and a page without one of them stays empty.
AT_ONCE, PATIENCE_S = 1, 1.0
DOWNLOADS = 2  # answers in pieces of a user at once; they take from an allowance of their own, and no page waits
MOST_KEYS = 10_000
DASH, LIVE = "/_dash-", "/live"


class Budgets:
    """The allowances of users and addresses in one process. `pace` is a monotonic clock, in seconds."""

    def __init__(self, pace: Callable[[], float] = time.monotonic, patience_s: float = PATIENCE_S) -> None:
        self._pace, self._patience_s, self._lock = pace, patience_s, threading.Condition()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # CPU seconds, and when
        self._running: Counter[str] = Counter()

    def begin(self, key: str, *, is_slow: bool, at_once: int = AT_ONCE) -> int:
        """Begin a request; return the seconds to wait, or 0 where it may run."""
        with self._lock:
            is_free = not is_slow or self._lock.wait_for(lambda: self._running[key] < at_once, self._patience_s)
            left = self._of(key)
            wait_s = math.ceil(-left / RATE) if left <= 0 else 0 if is_free else 1
            if not wait_s and is_slow:
                self._running[key] += 1
            return wait_s

    def end(self, key: str, cpu_s: float, *, is_slow: bool) -> None:
        """End a request that ran, and charge its CPU time."""
        with self._lock:
            self._left[key] = (self._of(key) - cpu_s, self._pace())
            self._left.move_to_end(key)
            if len(self._left) > MOST_KEYS:
                self._left.popitem(last=False)
            if is_slow:
                self._running -= Counter([key])
                self._lock.notify_all()

    def _of(self, key: str) -> float:
        left, at = self._left.get(key, (ALLOWANCE_S, 0.0))
        return min(left + (self._pace() - at) * RATE, ALLOWANCE_S)


def install(server: Flask, budgets: Budgets) -> None:
    """Charge each request to its user. Call it after the guard."""

    @server.before_request
    def begin() -> Response | None:
        if is_free(request):
            return None
        key, is_slow = _key(), not (request.path.startswith(DASH) or request.path.endswith(LIVE))
        key += " upload" if request.endpoint in UPLOADS else ""  # a slow sender's pages do not wait for it
        wait_s = budgets.begin(key, is_slow=is_slow)
        if wait_s:
            return too_much_answer(wait_s)
        g.charged = key, time.thread_time(), is_slow
        return None

    @server.after_request
    def meter(response: Response) -> Response:
        """Charge an answer in pieces until its last piece is made or its reader has gone, beside the pages."""
        if not response.is_streamed or response.direct_passthrough or "charged" not in g:
            return response
        key = f"{g.charged[0]} pieces"
        wait_s = budgets.begin(key, is_slow=True, at_once=DOWNLOADS)
        if wait_s:
            response.close()
            return too_much_answer(wait_s)
        response.response = pieces = _Metered(response.response)
        response.call_on_close(lambda: budgets.end(key, pieces.cpu_s, is_slow=True))
        return response

    @server.teardown_request
    def end(_: BaseException | None) -> None:
        if "charged" in g:
            key, began, is_slow = g.pop("charged")
            budgets.end(key, time.thread_time() - began, is_slow=is_slow)


class _Metered:
    """The pieces of an answer, and the CPU seconds that they have taken so far."""

    def __init__(self, pieces: Iterable[Any]) -> None:
        self._pieces, self._next, self.cpu_s = pieces, iter(pieces).__next__, 0.0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - bytes or text
        began = time.thread_time()
        try:
            return self._next()
        finally:
            self.cpu_s += time.thread_time() - began

    def close(self) -> None:
        """End what makes the pieces."""
        if isinstance(self._pieces, Generator):
            self._pieces.close()


def _key() -> str:
    """Return the user of the current request, or else the address; visitors of the demo share a user.

    A user's programs, which send a key, have an allowance beside that of the pages.
    """
    is_program = request.path.startswith(API) and "Authorization" in request.headers
    try:
        user = viewer()
    except StoreAway:
        user = None
    if user and not user.is_visitor:
        return f"{user.user_id} api" if is_program else user.user_id
    address = network(request.remote_addr or "")
    return f"{user.user_id} {address}" if user else address


def paced(
    worked_s: Callable[[], float] = time.thread_time, wait: Callable[[float], object] = time.sleep
) -> Callable[[], None]:
    """Return a function that waits as long as the thread has worked since it was called before.

    Its CPU is charged to no request, so a file takes half of a core at most, and one file of a process works at a time.
    """
    before = worked_s()

    def pace() -> None:
        nonlocal before
        wait(worked_s() - before)
        before = worked_s()

    return pace
