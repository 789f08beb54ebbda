"""A home whose evidence is deleted: a clock that is set, sweeps, and outages that are refilled in slices."""

import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hypothesis import strategies as st

from aggregator.core.documents import GAS, GAS_POWER_W, Device
from aggregator.core.live import Live
from aggregator.core.periods import Window
from aggregator.core.readings import Interval, Reading
from aggregator.intake.ingest import ingest, ingest_intervals
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.port import Store
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.waterfall.retention import sweep
from aggregator.waterfall.worker import drain
from tests.aggregator.invariants.series import DAY, HOME, HOUR, utc
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

    def __init__(self, store: Store, clock: Clock, client: MemoryClient | None, device: Device) -> None:
        self.store, self._clock, self._client = store, clock, client
        store.put_device(device)

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
def past(kind: str, zone: str, *, is_gas: bool = False) -> Iterator[Past]:
    """A home on an empty store; its meter counts electricity in Wh, or gas in litres."""
    clock, device = Clock(), Device(HOME, zone, GAS_POWER_W, kind=GAS) if is_gas else Device(HOME, zone)
    if kind == "memory":
        client = in_memory()
        store = DynamoStore(client, MEMORY, KEPT_DAYS, 0, clock)
        yield Past(store, clock, client, device)
        store.close()
        return
    with TemporaryDirectory(dir=quick_disk()) as folder:
        path = Path(folder) / "past.db"
        path.write_bytes(empty_file())
        sqlite = SqliteStore(str(path), clock)
        yield Past(sqlite, clock, None, device)
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
    is_gas: bool = False

    def __repr__(self) -> str:
        kinds = [f"{len(one)} from {one[0]}" for one in self.slices]
        return f"{self.zone}: {self.before[-1]} to {self.after[0]}, {kinds}, {self.lateness_s}, {self.pauses_s}"

    @property
    def ends(self) -> int:
        """When the last live reading comes in."""
        return self.after[-1].at + 60


WITHIN = (0, HOUR * 5, DAY, 3 * DAY)
BEYOND = (DAY, 38 * DAY, GONE + DAY)


LOST = ("both", "both", "export")  # channels
KINDS_OF_EVIDENCE = ("r", "i", "ri")  # readings, intervals
STATED = ("import", "both", "export")  # channels of intervals
FAULTS = ("zeros", "clock", "backup")


@st.composite
def refills(draw: st.DrawFn, pauses: Sequence[int], *, may_contradict: bool = False) -> Refill:
    """Registers of two rhythms, an outage of both or of export alone, and what was lost: readings, intervals, or both.

    Intervals begin and end at any second. With `may_contradict`, some readings show a fault or a wrong clock.
    """
    chance, zone = random.Random(draw(st.integers(0, 2**20), label="seed")), draw(st.sampled_from(ZONES))
    steps, wh = draw(st.tuples(*[st.sampled_from([600, 900, 1800])] * 2)), draw(st.sampled_from([0, 1_000_000]))
    at = utc("2026-03-26T00:00") + draw(st.integers(0, DAY)) // 3 * 3
    whole = []
    for step in [steps[0]] * (DAY // steps[0]) + [steps[1]] * (DAY // steps[1]):
        whole.append(Reading(HOME, at, None, wh, wh // 3))
        at, wh = at + step, wh + chance.choice([0, 3, 40]) * step // 300
    first = draw(st.integers(len(whole) // 10, len(whole) // 2), label="outage begins")
    last = draw(st.integers(first + 3, len(whole) * 9 // 10), label="outage ends")
    lost, before, kinds = whole[first + 1 : last], whole[: first + 1], draw(st.sampled_from(KINDS_OF_EVIDENCE))
    if draw(st.sampled_from(LOST), label="lost") == "export":
        before += [one._replace(export_wh=None) for one in lost]
        lost = [one._replace(import_wh=None) for one in lost]
    items: list[Reading | Interval] = []
    if "r" in kinds:
        items += lost if draw(st.booleans()) else chance.sample(lost, chance.randrange(1, len(lost) + 1))
    if "i" in kinds:
        length, offset = draw(st.sampled_from([900, 1800, 3600, 4321, 5400])), draw(st.just(0) | st.integers(1, 1799))
        spans = [(at, at + length) for at in range(whole[first].at // 1800 * 1800 + offset, whole[last].at, length)]
        channels = draw(st.sampled_from(STATED))
        items += [stated(whole, *span, channels) for span in spans if chance.random() < 0.9]
    if may_contradict:
        fault, known = draw(st.sampled_from(FAULTS)), Window(whole[0].at, whole[-1].at)
        items = [_faulty(one, fault, known, chance) for one in items]
    items.sort(key=lambda one: one[1] if isinstance(one, Interval) else one.at)
    if draw(st.booleans(), label="interleaved"):
        chance.shuffle(items)
    count = draw(st.integers(1, 5), label="slices")
    slices = [items[n * len(items) // count : (n + 1) * len(items) // count] for n in range(count)]
    refill = Refill(
        zone,
        before,
        whole[last:],
        [one for one in slices if one],
        draw(st.sampled_from([1, 30, 34, 36, 60, 400])) * DAY,
        draw(st.lists(st.sampled_from(pauses), min_size=count, max_size=count)),
        imported(whole[-1]) - imported(whole[0]),
        imported(whole[-1]) // 3 - imported(whole[0]) // 3,
    )
    return _in_litres(refill) if draw(st.integers(0, 3), label="gas") == 0 else refill


def _faulty(one: Reading | Interval, fault: str, known: Window, chance: random.Random) -> Reading | Interval:
    """Return one reading of ten with a fault, or with a wrong time between known ones; the rest as they are."""
    if isinstance(one, Interval) or chance.random() < 0.9:
        return one
    if fault == "clock":
        at = one.at + chance.choice([-DAY, -HOUR, HOUR, DAY])
        return one._replace(at=at) if known.start < at < known.end else one
    low = {"zeros": 0, "backup": max(((one.import_wh or one.export_wh or 0) - 700), 0)}[fault]
    return one._replace(import_wh=one.import_wh and low, export_wh=one.export_wh and low // 3)


def _in_litres(refill: Refill) -> Refill:
    """Return the import as the litres of a gas meter."""

    def litres(some: Sequence[Reading | Interval]) -> list[Any]:
        counted = [one._replace(import_wh=None, export_wh=None, volume_l=one.import_wh) for one in some]
        return [one for one in counted if one.volume_l is not None]

    slices = [one for one in map(litres, refill.slices) if one]
    return refill._replace(before=litres(refill.before), after=litres(refill.after), slices=slices, is_gas=True)


def imported(reading: Reading) -> int:
    """The register of import, where it is known."""
    assert reading.import_wh is not None
    return reading.import_wh


def stated(whole: Sequence[Reading], start: int, end: int, channels: str) -> Interval:
    """The interval that a supplier states of a span: import, export or both."""
    ats = [reading.at for reading in whole]

    def register(at: int) -> int:
        place = min(max(bisect_right(ats, at) - 1, 0), len(whole) - 2)
        low, high = whole[place], whole[place + 1]
        return imported(low) + (imported(high) - imported(low)) * (at - low.at) // (high.at - low.at)

    wh = max(register(end) - register(start), 0)
    return Interval(HOME, start, end, None if channels == "export" else wh, None if channels == "import" else wh // 3)
