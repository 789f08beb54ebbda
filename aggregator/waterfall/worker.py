"""The worker: it follows a store's change feed and propagates every level to the next until nothing is dirty.

It also takes in messages, sweeps expired readings, reports the lag and runs a census of the fleet. Errors of the store
are logged and retried with growing pauses.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator

from aggregator.core.errors import StoreAway, StoreUnusable
from aggregator.store.port import Store
from aggregator.waterfall.levels import propagate, steps
from aggregator.waterfall.retention import sweep

BATCH = 1440  # change records per level and settling pass
IDLE_S = 0.25  # between polls of an empty feed
LONGEST_PAUSE_S = 30.0  # between attempts while the store is away
PACK_S, PACK_LIMIT = 2.0, 500  # between packings; half hours packed at once, in about 0.1 s
QUIET_S = 60  # from the last reading of a half hour to its packing
SWEEP_S = 3600  # between sweeps of expired readings
TAKE_S = 1.0  # longest intake between two passes
REPORT_S = 60  # between reports of the lag
CENSUS_S = 300  # between censuses of the fleet
CENSUS_SHARE_S = 0.02  # per pass, for the next pages of a census
TakeIn = Callable[[float], int]  # seconds to wait for messages -> number taken in
Census = Callable[[int], Iterator[None]]  # now (UTC seconds) -> the pages of a census
log = logging.getLogger("wattfall.worker")


def settle_once(store: Store) -> int:
    """Propagate each feed's dirty keys once. Return their number; 0 means settled."""
    count, every = 0, steps()
    for feed in dict.fromkeys(step.feed for step in every):
        with store.transaction():
            changes = store.changes(feed, BATCH)
            for step in every:
                if step.feed == feed:  # of a month both the year and a quarter may be made
                    propagate(store, step, changes)
            store.settle(changes)
        count += len(changes)
    return count


def drain(store: Store) -> int:
    """Settle until nothing is dirty. Return the number of change records propagated."""
    total = 0
    while count := settle_once(store):
        total += count
    return total


def take_waiting(take_in: TakeIn, wait_s: float, clock: Callable[[], float] = time.monotonic) -> int:
    """Take in waiting messages, for up to TAKE_S while more arrive: propagating them together costs less."""
    until, count = clock() + TAKE_S, 0
    more = take_in(wait_s)
    while more:
        count += more
        more = take_in(0) if clock() < until else 0
    return count


def run_worker(
    store: Store,
    retention_days: int,
    stop: threading.Event,
    clock: Callable[[], float] = time.time,
    take_in: TakeIn | None = None,
    census: Census | None = None,
) -> None:
    """Propagate changes until `stop` is set; retry a failing store with growing pauses.

    Between passes `take_in` stores new messages: it waits for at most the given seconds and returns the number taken.
    A `census` of the fleet runs every CENSUS_S, a few pages per pass.
    """
    pause = IDLE_S
    next_pack = next_sweep = next_report = next_census = clock()
    pages: Iterator[None] = iter(())
    while not stop.is_set():
        try:
            store.follow()
            settled = settle_once(store)
            if take_in:
                settled += take_waiting(take_in, 0 if settled else IDLE_S)
            if clock() >= next_pack:
                next_pack = clock() + PACK_S
                store.pack(int(clock()) - QUIET_S, PACK_LIMIT)
            if clock() >= next_sweep:
                next_sweep = clock() + SWEEP_S
                sweep(store, retention_days, int(clock()))
            if clock() >= next_report:
                next_report = clock() + REPORT_S
                report_lag(store, int(clock()))
            if census and clock() >= next_census:
                next_census = clock() + CENSUS_S
                pages = census(int(clock()))
            _continue_census(pages, clock)
            pause = IDLE_S
        except (StoreAway, StoreUnusable) as error:
            settled, pause = 0, min(pause * 2, LONGEST_PAUSE_S)
            log.warning("%s; trying again in %g s", error, pause)
        if not settled and (take_in is None or pause > IDLE_S):
            stop.wait(pause)
    log.info("stopped; the next worker propagates the remaining change records")


def _continue_census(pages: Iterator[None], clock: Callable[[], float]) -> None:
    """Run the next pages of a census for CENSUS_SHARE_S."""
    until = clock() + CENSUS_SHARE_S
    for _ in pages:
        if clock() >= until:
            return


def report_lag(store: Store, now: int) -> None:
    """Log how far the documents lag behind the readings."""
    backlog = store.backlog()
    log.info("%d documents waiting, lag %d s", backlog.waiting, now - backlog.since if backlog.since else 0)
