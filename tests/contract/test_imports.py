"""An import comes to the same on every store."""

from unittest.mock import patch

import pytest

from aggregator.intake.imports import importing
from aggregator.intake.imports.import_report import ImportReport
from aggregator.store import Store
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.waterfall.verify import differences
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
