"""The worker: follows a store's change feed and carries every level to the next until nothing is dirty."""

import logging
import threading
import time
from collections.abc import Callable, Iterator

from aggregator.core.errors import StoreAway, StoreUnusable
from aggregator.store.port import Store
from aggregator.waterfall.levels import propagate, steps
from aggregator.waterfall.retention import sweep

BATCH = 1440  # change records; as many as one round takes from each level
IDLE_S = 0.25  # between looks at an empty feed
LONGEST_PAUSE_S = 30.0  # while the store is away
SWEEP_S = 3600  # between removals of expired readings
TAKE_S = 1.0  # of new readings between two rounds
REPORT_S = 60  # between reports of the lag
CENSUS_S = 300  # between censuses of the fleet
CENSUS_SHARE_S = 0.02  # of a round, for the next pages of a census
TakeIn = Callable[[float], int]  # seconds to wait for messages -> how many have come
Census = Callable[[int], Iterator[None]]  # now, UTC seconds -> a census, a page at a time
log = logging.getLogger("wattfall.worker")


def settle_once(store: Store) -> int:
    """One round: each feed's dirty keys carried on, once each. Returns how many; 0 means settled."""
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
    """Rounds until nothing is dirty. Returns how many change records were carried on."""
    total = 0
    while count := settle_once(store):
        total += count
    return total


def take_what_waits(take_in: TakeIn, wait_s: float, clock: Callable[[], float] = time.monotonic) -> int:
    """Take in what has come; while more is there, for up to TAKE_S, since what is carried on together costs less."""
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
    """Carry changes on until `stop` is set. A store that fails is tried again, ever more slowly.

    Between rounds `take_in` brings new readings into the store: it waits for them as long as it is told, and returns
    how many messages it has taken. A `census` of the fleet is taken every CENSUS_S, some pages a round.
    """
    pause = IDLE_S
    next_sweep = next_report = next_census = clock()
    pages: Iterator[None] = iter(())
    while not stop.is_set():
        try:
            store.follow()
            settled = settle_once(store)
            if take_in:
                settled += take_what_waits(take_in, 0 if settled else IDLE_S)
            if clock() >= next_sweep:
                next_sweep = clock() + SWEEP_S
                sweep(store, retention_days, int(clock()))
            if clock() >= next_report:
                next_report = clock() + REPORT_S
                report_lag(store, int(clock()))
            if census and clock() >= next_census:
                next_census = clock() + CENSUS_S
                pages = census(int(clock()))
            _go_on(pages, clock)
            pause = IDLE_S
        except (StoreAway, StoreUnusable) as error:
            settled, pause = 0, min(pause * 2, LONGEST_PAUSE_S)
            log.warning("%s; trying again in %g s", error, pause)
        if not settled and (take_in is None or pause > IDLE_S):
            stop.wait(pause)
    log.info("stopped; every change record not carried on is kept for the next worker")


def _go_on(pages: Iterator[None], clock: Callable[[], float]) -> None:
    """Some more pages of a census, for as long as readings can wait."""
    until = clock() + CENSUS_SHARE_S
    for _ in pages:
        if clock() >= until:
            return


def report_lag(store: Store, now: int) -> None:
    """Say how far the charts are behind the readings."""
    backlog = store.backlog()
    log.info("%d documents waiting, lag %d s", backlog.waiting, now - backlog.since if backlog.since else 0)
