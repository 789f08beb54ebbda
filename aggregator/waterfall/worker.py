"""The worker: it follows a store's change feed and propagates every level to the next until nothing is dirty.

It also takes in messages, sweeps expired readings, reports the lag and runs a census of the fleet. Errors of the store
are logged and retried with growing pauses; StoreReplaced ends it.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from aggregator.core.errors import StoreAway, StoreReplaced, StoreUnusable
from aggregator.core.periods import FOR_EVER, HOUR
from aggregator.store.collections import WATCHED
from aggregator.store.port import READINGS, Change, Store
from aggregator.waterfall.levels import IN_BULK, Step, Work, pieces, propagate, steps
from aggregator.waterfall.retention import sweeping

PASS, BATCH = 1000, 20_000  # change records per feed and pass; the second number is more than one device can make
FEW = 1000  # devices with new evidence within COUNT_S: so many are carried at once
PACE_S = 45  # from the first new evidence of a device to its day, in a larger fleet
COUNT_S = 2 * PACE_S  # in which the devices with new evidence are counted; each is carried at least once
LOOK_S, MOST_LOOKS = 1.0, 20_000  # between readings of the devices that somebody looks at, and their number
SHARE_S, DRAIN_S = 0.2, 5.0  # of a settling pass, before the next intake; of one that no intake waits for
COMMIT_S = 0.05  # of a transaction that is shared by devices; a piece more may come on top
IDLE_S = 0.25  # between polls of an empty feed
LONGEST_PAUSE_S = 30.0  # between attempts while the store is away
PACK_S, PACK_LIMIT = 2.0, 500  # between packings; half hours packed at once, in about 0.1 s
QUIET_S = 60  # from the last reading of a half hour to its packing
SWEEP_S = 6 * HOUR  # between the beginnings of sweeps of expired readings
TAKE_S = 0.25  # longest intake between two passes
REPORT_S = 60  # between reports of the lag
CENSUS_S = 300  # between censuses of the fleet
SLICE_S = 0.02  # per pass, for the next steps of a sweep, and of a census
Piece = list[Change]
TakeIn = Callable[[float], int]  # seconds to wait for messages -> number taken in
Census = Callable[[int], Iterator[None]]  # now (UTC seconds) -> the pages of a census
log = logging.getLogger("wattfall.worker")


class Agenda:
    """What the worker carries next, and what it remembers of the devices from one pass to the next."""

    def __init__(
        self,
        store: Store,
        pace: Callable[[], float] = time.monotonic,
        share_s: float = SHARE_S,
        work: Work | None = None,
    ) -> None:
        """`share_s` is the time of a settling pass."""
        self.store, self.pace, self.share_s, self.work = store, pace, share_s, work or Work()
        self.looked_at, self._spoke = set[str](), set[str]()  # `_spoke`: with new evidence since a COUNT_S began
        self._is_large = False
        self._next_look, self._next_count = pace(), pace() + COUNT_S

    def changes(self, feed: str, now: int) -> list[Change]:
        """Return dirty keys of a feed to propagate at `now` (UTC seconds); at FOR_EVER all, due or not.

        In a large fleet the evidence of a device waits for PACE_S, so that several readings are carried at once, unless
        somebody looks at the device.
        """
        if feed != READINGS or now == FOR_EVER:
            return self._oldest(feed, now)
        if self.pace() >= self._next_look:
            self._next_look = self.pace() + LOOK_S
            self.looked_at = {record.key for record in self.store.records(WATCHED.of(), limit=MOST_LOOKS)}
        if not self._is_large:
            return self._counted(self._oldest(feed, now))
        due = self._oldest(feed, now - PACE_S)
        devices = self.looked_at | {change.device_id for change in due}
        rest = self.store.changes(feed, 0, now - PACE_S, devices)  # a device's half hours are carried together
        return self._counted(due + rest)

    def _counted(self, changes: list[Change]) -> list[Change]:
        """Count the devices that have new evidence within COUNT_S, and return their changes."""
        self._spoke.update(change.device_id for change in changes)
        is_over = self.pace() >= self._next_count
        self._is_large = len(self._spoke) > FEW or (self._is_large and not is_over)
        if is_over:
            self._next_count = self.pace() + COUNT_S
            self._spoke.clear()
            self.work.forget_half()
        return changes

    def _oldest(self, feed: str, until: int) -> list[Change]:
        """Return the oldest keys: enough for a pass, and more where a few devices made most of them."""
        found = self.store.changes(feed, PASS, until)
        is_mixed = len(found) < PASS or 2 * len({change.device_id for change in found}) > len(found)
        return found if is_mixed else self.store.changes(feed, BATCH, until)


def settle_once(store: Store, agenda: Agenda | None = None, now: int = FOR_EVER) -> int:
    """Propagate each feed's dirty keys, for about the agenda's share. Return the number of keys; 0 means settled.

    The senders take turns, and each commit is short: none waits long for the work or the write lock of another.
    """
    agenda, every, count = agenda or Agenda(store), steps(), 0
    until = agenda.pace() + agenda.share_s
    for feed in dict.fromkeys(step.feed for step in every):
        own = [step for step in every if step.feed == feed]  # of a month both the year and a quarter may be made
        waiting = pieces(agenda.changes(feed, now), agenda.work, agenda.looked_at)
        piece = next(waiting, None)
        while piece:
            done, piece = _commit(agenda, own, piece, waiting)
            count += done
            if agenda.pace() >= until:
                break
    return count


def _commit(
    agenda: Agenda, own: Sequence[Step], piece: Piece | None, following: Iterator[Piece]
) -> tuple[int, Piece | None]:
    """Propagate pieces in one transaction, of a device each, for about COMMIT_S; return the keys' number and the next.

    On DynamoDB they run side by side, so that two pieces of a device would be in each other's way.
    """
    done: list[Change] = []
    devices: set[str] = set()
    with agenda.store.transaction():
        until = agenda.pace() + COMMIT_S
        while piece and piece[0].device_id not in devices and (not done or agenda.pace() < until):
            for step in own:
                propagate(agenda.store, step, piece, agenda.work)
            devices.add(piece[0].device_id)
            done += piece
            piece = next(following, None)
        agenda.store.settle(done)
    return len(done), piece


def drain(store: Store) -> int:
    """Settle until nothing is dirty. Return the number of change records propagated."""
    total, agenda = 0, Agenda(store, share_s=DRAIN_S, work=Work(IN_BULK))
    while count := settle_once(store, agenda):
        total += count
    return total


def take_waiting(take_in: TakeIn, wait_s: float, pace: Callable[[], float] = time.monotonic) -> int:
    """Take in waiting messages, for up to TAKE_S while more arrive: propagating them together costs less."""
    until, count = pace() + TAKE_S, 0
    more = take_in(wait_s)
    while more:
        count += more
        more = take_in(0) if pace() < until else 0
    return count


def run_worker(
    store: Store,
    retention_days: int,
    stop: threading.Event,
    clock: Callable[[], float] = time.time,
    take_in: TakeIn | None = None,
    census: Census | None = None,
    pace: Callable[[], float] = time.monotonic,
) -> None:
    """Propagate changes until `stop` is set; retry a failing store with growing pauses.

    Between passes `take_in` stores new messages: it waits for at most the given seconds and returns the number taken.
    A `census` of the fleet runs every CENSUS_S, a few pages per pass. Intervals follow `pace`, a monotonic clock: the
    wall clock may be corrected at any time.
    """
    pause, agenda = IDLE_S, Agenda(store, pace)
    next_pack = next_sweep = next_report = next_census = pace()
    sweeps: Iterator[object] = iter(())
    pages: Iterator[object] = iter(())
    while not stop.is_set():
        try:
            store.check()
            store.follow()
            settled = settle_once(store, agenda, store.now())
            if take_in:
                settled += take_waiting(take_in, 0 if settled else IDLE_S, pace)
            if pace() >= next_pack:
                next_pack = pace() + PACK_S
                store.pack(int(clock()) - QUIET_S, PACK_LIMIT)
            if pace() >= next_sweep:
                next_sweep = pace() + SWEEP_S
                sweeps = sweeping(store, retention_days, int(clock()))
            if pace() >= next_report:
                next_report = pace() + REPORT_S
                report_lag(store, int(clock()))
            if census and pace() >= next_census:
                next_census = pace() + CENSUS_S
                pages = census(int(clock()))
            _continue(sweeps, pace)
            _continue(pages, pace)
            pause = IDLE_S
        except StoreReplaced:
            raise
        except (StoreAway, StoreUnusable) as error:
            settled, pause = 0, min(pause * 2, LONGEST_PAUSE_S)
            log.warning("%s; trying again in %g s", error, pause)
        if not settled and (take_in is None or pause > IDLE_S):
            stop.wait(pause)
    log.info("stopped; the next worker propagates the remaining change records")


def _continue(steps_of_work: Iterator[object], pace: Callable[[], float]) -> None:
    """Run the next steps of a long work for SLICE_S."""
    until = pace() + SLICE_S
    for _ in steps_of_work:
        if pace() >= until:
            return


def report_lag(store: Store, now: int) -> None:
    """Log how far the documents lag behind the readings."""
    backlog = store.backlog()
    log.info("%d documents waiting, lag %d s", backlog.waiting, now - backlog.since if backlog.since else 0)
