"""An import comes to the same on every store."""

from unittest.mock import patch

import pytest

from aggregator.core.documents import Device, Part
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import LEVELS
from aggregator.core.readings import Reading
from aggregator.intake.imports import importing
from aggregator.intake.imports.import_records import UNDONE, find_import, imports_of, undo
from aggregator.intake.imports.import_report import ImportReport
from aggregator.intake.ingest import ingest
from aggregator.store import Store
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.waterfall.verify import differences
from aggregator.waterfall.worker import drain
from tests.aggregator.intake.imports.files import bring as bring_file
from tests.contract.conftest import Tables

HALF_HOUR, DAY = 1800, 86_400
NOW = 4_117_888_800  # a day in 2100: a store that removes readings by its own clock keeps what is sent
FIRST = NOW - NOW % DAY - 300 * DAY
ENERGIES = [100 + place % 7 for place in range(100)]


def bring(store: Store, places: range, column: str = "import_wh") -> ImportReport:
    rows = (f"{FIRST + place * HALF_HOUR},{FIRST + (place + 1) * HALF_HOUR},{ENERGIES[place]}\n" for place in places)
    content = (f"start,end,{column}\n" + "".join(rows)).encode()
    with patch.object(importing, "BATCH", 40):
        return bring_file(store, content, now=NOW)


def check(store: Store) -> None:
    first = bring(store, range(60))
    rest = bring(store, range(100))
    again = bring(store, range(100))
    device = store.device("d")

    assert [(one.accepted, one.known, one.differs) for one in (first, rest, again)] == [
        (60, 0, 0),
        (40, 60, 0),
        (0, 100, 0),
    ]
    assert device is not None
    assert list(differences(store, device)) == []
    assert sum(year.total.import_wh or 0 for year in store.documents("year", "d", "1970", "2199")) == sum(ENERGIES)


def test_history_is_imported_continued_and_recognized(either: Store) -> None:
    check(either)


def test_older_history_is_propagated_too(tables: Tables, client: AwsDynamoClient) -> None:
    with tables() as prefix:
        store = DynamoStore(client, prefix, 35, pace_s=0, clock=lambda: NOW)
        check(store)
        store.close()


@pytest.mark.parametrize("order", [("import_wh", "export_wh"), ("export_wh", "import_wh")])
def test_import_and_export_files_of_the_same_spans_both_count(either: Store, order: tuple[str, str]) -> None:
    first, second, again = (bring(either, range(100), column) for column in (*order, order[0]))
    (total,) = [year.total for year in either.documents("year", "d", "1970", "2199")]

    assert [(one.accepted, one.known, one.differs) for one in (first, second, again)] == [
        (100, 0, 0),
        (100, 0, 0),
        (0, 100, 0),
    ]
    assert (total.import_wh, total.export_wh, total.interval_wh) == (sum(ENERGIES), sum(ENERGIES), 2 * sum(ENERGIES))
    assert total.interval_s == 100 * HALF_HOUR


def test_an_import_is_taken_back_whole(either: Store) -> None:
    either.put_device(Device("d", "UTC"))
    ingest(either, [Reading("d", FIRST + at, 300, 5000 + at // 12, None) for at in range(0, DAY, 600)], NOW, "UTC")
    drain(either)
    before = documents(either)
    bring(either, range(20))
    bring_file(either, b"at,wh\n" + b"".join(b"%d,%d\n" % (FIRST + 1800 * n, 5000 + 151 * n) for n in range(40)),
               columns="time=at,import_register_wh=wh", now=NOW, is_correction=True)  # fmt: skip
    assert documents(either) != before
    for name in ("d/2", "d/1"):
        assert undo(either, find_import(either, name), "a test", NOW).state == UNDONE
        drain(either)

    assert documents(either) == before
    assert [one.state for one in imports_of(either, "d")] == [UNDONE, UNDONE]
    assert list(differences(either, either.device("d") or Device("d"))) == []
    with pytest.raises(ConfigurationError, match="d/1 was taken back already"):
        undo(either, find_import(either, "d/1"), "a test", NOW)


def test_an_import_that_is_taken_back_while_charts_are_made_leaves_nothing(either: Store) -> None:
    def taking_back(store: Store) -> None:
        undo(store, find_import(store, "d/1"), "a test", NOW + 5)
        drain(store)

    content = b"start,end,import_wh\n%d,%d,700\n" % (FIRST, FIRST + HALF_HOUR)
    with pytest.raises(ConfigurationError, match="d/1 was taken back while it ran"):
        bring_file(either, content, now=NOW, settle=taking_back)
    drain(either)
    (record,) = imports_of(either, "d")

    assert (record.state, record.undone_at) == (UNDONE, NOW + 5)
    assert (either.intervals("d", 0, NOW), documents(either)) == ([], {})


def documents(store: Store) -> dict[tuple[str, str], dict[str, Part]]:
    return {
        (level, period): dict(found.parts)
        for level in LEVELS
        for period in store.periods(level, "d")
        if (found := store.document(level, "d", period))
    }
