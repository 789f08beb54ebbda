"""A home whose evidence is deleted: a clock that is set, sweeps, and outages that are refilled in slices."""

import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from hypothesis import strategies as st

from aggregator.core.documents import Device
from aggregator.core.live import Live
from aggregator.core.readings import Interval, Reading
from aggregator.intake.ingest import ingest, ingest_intervals
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.port import Store
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.waterfall.retention import sweep
from aggregator.waterfall.worker import drain
from tests.aggregator.invariants.series import DAY, HALF_HOUR, HOME, HOUR, utc
from tests.aggregator.invariants.stores import Documents, documents
from tests.contract.conftest import MEMORY, Clock, in_memory
from tests.contract.memory_client import MemoryClient
from tests.copies import empty_file, quick_disk

KINDS = ("sqlite", "memory")
KEPT_DAYS = 35
GONE = 45 * DAY  # evidence that came in so long ago is deleted on both stores
ZONES = (*("UTC", "Europe/London", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Chatham"),)
Items = Sequence[Reading | Interval]


class Past:
    """A home on a store with a clock of its own."""

    def __init__(self, store: Store, clock: Clock, client: MemoryClient | None, zone: str) -> None:
        self.store, self._clock, self._client = store, clock, client
        store.put_device(Device(HOME, zone))

    def take_in(self, items: Items, at: float) -> None:
        """Evidence comes in, and the worker settles."""
        self._clock.now = at
        readings = [one for one in items if isinstance(one, Reading)]
        intervals = [one for one in items if isinstance(one, Interval)]
        ingest(self.store, readings, int(at), "UTC")
        ingest_intervals(self.store, intervals, int(at), "UTC")
        drain(self.store)

    def sweep(self, at: float) -> None:
        """Delete what has expired, as the worker or DynamoDB does. Other devices report the present."""
        self._clock.now = at
        self.store.put_live([Live(f"other-{n}", int(at), int(at), 1, None, None, None) for n in range(3)])
        sweep(self.store, KEPT_DAYS, int(at))
        if self._client:
            self._client.expire(f"{MEMORY}-readings", int(at))

    def replay(self) -> None:
        """Compute everything again whose evidence is still there."""
        self.store.mark("readings", HOME, map(str, self.store.block_starts(HOME, 0, 10_000)))
        drain(self.store)

    def documents(self) -> Documents:
        return documents(self.store)

    def total(self, channel: str) -> int:
        years = [self.store.document("year", HOME, one) for one in self.store.periods("year", HOME)]
        return sum(getattr(year.total, channel) or 0 for year in years if year)

    @property
    def device(self) -> Device:
        device = self.store.device(HOME)
        assert device is not None
        return device


@contextmanager
def past(kind: str, zone: str) -> Iterator[Past]:
    """A home on an empty store."""
    clock = Clock()
    if kind == "memory":
        client = in_memory()
        store = DynamoStore(client, MEMORY, KEPT_DAYS, 0, clock)
        yield Past(store, clock, client, zone)
        store.close()
        return
    with TemporaryDirectory(dir=quick_disk()) as folder:
        path = Path(folder) / "past.db"
        path.write_bytes(empty_file())
        sqlite = SqliteStore(str(path), clock)
        yield Past(sqlite, clock, None, zone)
        sqlite.close()


class Refill(NamedTuple):
    """A home with an outage, and slices of evidence that come later, with a pause after each."""

    zone: str
    before: list[Reading]  # until the outage
    after: list[Reading]
    slices: list[list[Reading | Interval]]
    lateness_s: int  # of the first slice
    pauses_s: list[int]
    import_wh: int  # over all, by the registers
    export_wh: int

    def __repr__(self) -> str:
        kinds = [f"{len(one)} from {one[0]}" for one in self.slices]
        return f"{self.zone}: {self.before[-1]} to {self.after[0]}, {kinds}, {self.lateness_s}, {self.pauses_s}"

    @property
    def ends(self) -> int:
        """When the last live reading comes in."""
        return self.after[-1].at + 60


WITHIN = (0, HOUR * 5, DAY, 3 * DAY)
BEYOND = (DAY, 38 * DAY, GONE + DAY)


@st.composite
def refills(draw: st.DrawFn, pauses: Sequence[int], evidence: Sequence[str] = ("r", "i", "ri")) -> Refill:
    """Registers at a regular step with an outage, and what was lost: readings, intervals, or both."""
    chance = random.Random(draw(st.integers(0, 2**20), label="seed"))
    step, wh = draw(st.sampled_from([600, 900, 1800])), draw(st.sampled_from([0, 1_000_000]))
    at = utc("2026-03-26T00:00") + draw(st.integers(0, DAY)) // 3 * 3
    whole = []
    for _ in range(DAY * 2 // step):
        whole.append(Reading(HOME, at, None, wh, wh // 3))
        at, wh = at + step, wh + chance.choice([0, 3, 40]) * step // 300
    first = draw(st.integers(len(whole) // 10, len(whole) // 2), label="outage begins")
    last = draw(st.integers(first + 3, len(whole) * 9 // 10), label="outage ends")
    lost, kinds = whole[first + 1 : last], draw(st.sampled_from(evidence))
    items: list[Reading | Interval] = []
    if "r" in kinds:
        items += lost if draw(st.booleans()) else chance.sample(lost, chance.randrange(1, len(lost) + 1))
    if "i" in kinds:
        length = draw(st.sampled_from([HALF_HOUR, HOUR]))
        starts = range(whole[first].at // HALF_HOUR * HALF_HOUR, whole[last].at, length)
        items += [stated(whole, start, start + length) for start in starts if chance.random() < 0.9]
    items.sort(key=lambda one: one[1] if isinstance(one, Interval) else one.at)
    if draw(st.booleans(), label="interleaved"):
        chance.shuffle(items)
    count = draw(st.integers(1, 5), label="slices")
    slices = [items[n * len(items) // count : (n + 1) * len(items) // count] for n in range(count)]
    return Refill(
        draw(st.sampled_from(ZONES)),
        whole[: first + 1],
        whole[last:],
        [one for one in slices if one],
        draw(st.sampled_from([1, 30, 34, 36, 60, 400])) * DAY,
        draw(st.lists(st.sampled_from(pauses), min_size=count, max_size=count)),
        imported(whole[-1]) - imported(whole[0]),
        imported(whole[-1]) // 3 - imported(whole[0]) // 3,
    )


def imported(reading: Reading) -> int:
    """The register of import, where it is known."""
    assert reading.import_wh is not None
    return reading.import_wh


def stated(whole: Sequence[Reading], start: int, end: int) -> Interval:
    """The interval that a supplier states of a span."""
    ats = [reading.at for reading in whole]

    def register(at: int) -> int:
        place = min(max(bisect_right(ats, at) - 1, 0), len(whole) - 2)
        low, high = whole[place], whole[place + 1]
        return imported(low) + (imported(high) - imported(low)) * (at - low.at) // (high.at - low.at)

    return Interval(HOME, start, end, max(register(end) - register(start), 0), None)
