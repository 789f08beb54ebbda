"""Random series through `ingest` or `take_in` and `drain` into a store of either kind, and the resulting contents."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import strategies as st

from aggregator.core import periods
from aggregator.core.documents import Part, add
from aggregator.core.readings import Interval, Reading, merged
from aggregator.core.registers import CHANNELS
from aggregator.intake.formats.message import Content
from aggregator.intake.ingest import Outcome, Received, ingest, ingest_intervals, registered
from aggregator.intake.ingest import take_in as take_in_messages
from aggregator.store import Store
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.waterfall.levels import steps
from aggregator.waterfall.worker import drain
from tests.aggregator.invariants.series import HALF_HOUR, HOME, NOW, Evidence, Series
from tests.contract.conftest import KEEP, MEMORY, in_memory
from tests.copies import empty_file, quick_disk

Documents = dict[tuple[str, str], tuple[str, dict[str, Part]]]


def take_in(store: Store, readings: Sequence[Reading], zone: str) -> None:
    ingest(store, readings, NOW, zone)
    drain(store)


def take_in_evidence(store: Store, evidence: Sequence[Evidence], zone: str) -> None:
    """Store evidence as it is, without the check of late readings, whose answer depends on the order."""
    blocks: dict[tuple[str, int], dict[int, Reading]] = defaultdict(dict)
    for one in evidence:
        if isinstance(one, Reading):
            block = blocks[HOME, one.at - one.at % HALF_HOUR]
            block[one.at] = merged(block[one.at], one) if one.at in block else one
    known = {
        name
        for name in CHANNELS
        for block in blocks.values()
        for one in block.values()
        if getattr(one, name) is not None
    }
    with store.transaction():
        registered(store, HOME, zone, known)
        store.write_readings(blocks, NOW)
    ingest_intervals(store, [one for one in evidence if isinstance(one, Interval)], NOW, zone)
    drain(store)


KINDS = st.sampled_from(("sqlite", "sqlite", "memory"))  # kinds of stores; DynamoDB is in memory, and slower


@contextmanager
def stores(kind: str, count: int) -> Iterator[list[Store]]:
    """An empty store, opened several times, as several processes do."""
    if kind == "memory":
        client = in_memory()
        opened: list[Store] = [DynamoStore(client, MEMORY, KEEP, 0, lambda: NOW) for _ in range(count)]
        yield opened
        for one in opened:
            one.close()
        return
    with TemporaryDirectory(dir=quick_disk()) as folder:
        path = Path(folder) / "home.db"
        path.write_bytes(empty_file())
        opened = [SqliteStore(str(path), lambda: NOW) for _ in range(count)]
        yield opened
        for one in opened:
            one.close()


@contextmanager
def store_of(kind: str) -> Iterator[Store]:
    """An empty store."""
    with stores(kind, 1) as (store,):
        yield store


def outcome_of(evidence: Sequence[Evidence], zone: str, kind: str = "sqlite") -> Documents:
    """Return the documents of evidence that comes in at once."""
    with store_of(kind) as store:
        take_in_evidence(store, evidence, zone)
        return documents(store)


def documents(store: Store) -> Documents:
    """Return the home's documents by level and period."""
    found: Documents = {}
    for level in periods.LEVELS:
        for period in store.periods(level, HOME):
            document = store.document(level, HOME, period)
            assert document is not None
            found[level, period] = (document.timezone, dict(document.parts))
    return found


def send(store: Store, evidence: Sequence[Evidence], now: int, zone: str, *, is_history: bool) -> Outcome:
    """Take in one message with evidence, as it comes by MQTT and HTTP, and settle."""
    readings = [one for one in evidence if isinstance(one, Reading)]
    intervals = [one for one in evidence if isinstance(one, Interval)]
    message = Received(HOME, Content(readings, intervals=intervals), is_history)
    outcome = take_in_messages(store, [message], now, zone)
    drain(store)
    return outcome


def replay(store: Store, keys: Iterable[tuple[str, str]]) -> None:
    """Mark keys as changed, and check that this dies out where nothing changes: no change records follow."""
    for table, key in keys:
        store.mark(table, HOME, [key])
    replayed = waiting(store)
    assert drain(store) == replayed
    assert waiting(store) == 0


def waiting(store: Store) -> int:
    """Return the number of waiting change records."""
    return sum(len(store.changes(feed, 1000)) for feed in {step.feed for step in steps()})


def outcome(series: Series, kind: str = "sqlite") -> Documents:
    """Return the documents of a single delivery."""
    with store_of(kind) as store:
        take_in(store, series.readings, series.zone)
        return documents(store)


def total(found: Documents, level: str = "year") -> Part:
    """Return the sum of the documents of a level."""
    letter = periods.LEVELS[level].letter
    return add(
        part
        for (name, _), (_, parts) in found.items()
        if name == level
        for key, part in parts.items()
        if key[0] == letter
    )


def half_hours(found: Documents) -> dict[tuple[str, int], Part]:
    """Return the half hours by local date and position."""
    return {
        (period, int(name[1:])): part
        for (level, period), (_, parts) in found.items()
        if level == "day"
        for name, part in parts.items()
        if name[0] == "s"
    }


def is_better_known(old: Part, new: Part) -> bool:
    """Whether `new` covers at least as much time and as many directions as `old`."""
    return (
        new.covered_s >= old.covered_s
        and new.covered_s + new.estimated_s >= old.covered_s + old.estimated_s
        and (old.import_wh is None or new.import_wh is not None)
        and (old.export_wh is None or new.export_wh is not None)
    )


def check_levels_sum(found: Documents) -> None:
    """Check that half hours sum to hours, hours to days, days to months, months to years, in every field."""
    sums: dict[tuple[str, str, str], list[Part]] = defaultdict(list)
    for (level, period), (_, parts) in found.items():
        chart = add(part for name, part in parts.items() if name[0] == periods.LEVELS[level].letter)
        if level == "day":
            for name, part in parts.items():
                if name[0] == "s":
                    sums["day", period, f"h{int(name[1:]) // 2:02d}"].append(part)
        for parent in periods.LEVELS.values():
            if parent.child == level:
                above = periods.containing(parent.name, level, period)
                sums[parent.name, above, periods.part_in(parent.name, period)].append(chart)
    expected = {key: add(parts) for key, parts in sums.items()}
    stored = {
        (level, period, name): part
        for (level, period), (_, parts) in found.items()
        for name, part in parts.items()
        if name[0] != "s"
    }
    assert stored == expected
