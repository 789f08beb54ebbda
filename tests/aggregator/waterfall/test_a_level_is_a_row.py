"""Quarters of a year by one row and its words: documents on both stores, a chart, a CSV, links, and `show`."""

import csv
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from flask.testing import FlaskClient

from aggregator.aws import lambdas
from aggregator.aws.deployment import emulator
from aggregator.core.documents import Device, add
from aggregator.core.periods import HALF_HOUR
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store import Store, open_store
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.dynamodb.tables import table_request, tables
from aggregator.support.diagnostics import diagnose
from aggregator.waterfall.verify import differences, rebuild
from aggregator.waterfall.worker import drain
from dashboard.charts import chart_model, sentences
from dashboard.charts.view import View
from dashboard.pages.household import navigation
from dashboard.text.language import ENGLISH
from tests import quarter
from tests.aggregator.aws import test_template
from tests.dashboard import homes
from tests.dashboard.homes import HOUSEHOLD, LONDON, NOW, instant
from tests.dashboard.people import at_home

KEEP = 36_500  # days
VIEW = View("household", "cad-1", "quarter", "2026-Q4")


@pytest.fixture(autouse=True)
def with_quarters() -> Iterator[None]:
    with quarter.added():
        yield


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{tmp_path}/wattfall.db")) as store:
        yield store


@pytest.fixture
def on_dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    with emulator() as endpoint:
        for name, value in endpoint.environ.items():
            monkeypatch.setenv(name, value)
        client = AwsDynamoClient(None)
        for table in tables():
            client.call("create_table", **table_request("quarters", table))
        with closing(DynamoStore(client, "quarters", KEEP, pace_s=0)) as store:
            yield store
        client.close()


def some_evenings(store: Store) -> None:
    """Return half-hourly readings on a few evenings from September to November; the days between are estimated."""
    evenings = ("2026-09-29", "2026-10-01", "2026-10-31", "2026-11-02")
    starts = [instant(f"{day}T18:00:00Z") for day in evenings]
    at = [start + HALF_HOUR * n for start in starts for n in range(8)]
    ingest(store, [Reading("cad-1", one, None, (one - at[0]) // 60, None) for one in at], NOW, LONDON)
    drain(store)


def check_quarters(store: Store) -> None:
    """Check that each quarter has its months as parts, and that its total is their sum."""
    device = store.device("cad-1")
    assert device is not None
    assert store.periods("quarter", "cad-1") == ["2026-Q3", "2026-Q4"]
    months = {month: store.document("month", "cad-1", month) for month in ("2026-09", "2026-10", "2026-11")}
    parts = {month: document.total for month, document in months.items() if document}
    last = store.document("quarter", "cad-1", "2026-Q4")
    assert last is not None
    assert last.parts == {"m1": parts["2026-10"], "m2": parts["2026-11"]}
    assert last.total == add([parts["2026-10"], parts["2026-11"]])
    year = store.document("year", "cad-1", "2026")
    assert year is not None
    assert year.total == add(parts.values())
    assert list(differences(store, device)) == []


def test_quarters_are_the_sums_of_their_months_on_sqlite(on_sqlite: Store) -> None:
    some_evenings(on_sqlite)
    check_quarters(on_sqlite)


def test_quarters_are_the_sums_of_their_months_on_dynamodb(on_dynamodb: Store) -> None:
    some_evenings(on_dynamodb)
    check_quarters(on_dynamodb)


def test_a_rebuild_adds_quarters_to_an_older_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/wattfall.db"
    with quarter.gone(), closing(open_store(url)) as store:
        some_evenings(store)
    with closing(open_store(url)) as store:
        device = store.device("cad-1")
        assert device is not None
        assert len(list(differences(store, device))) == 3  # months without a quarter
        rebuild(store, device, None, None)
        drain(store)
        check_quarters(store)


def test_a_chart_of_a_quarter_has_words_columns_and_links(on_sqlite: Store) -> None:
    homes.fill(on_sqlite, Device("cad-1"), "2026-10-01", NOW)
    drain(on_sqlite)
    document = on_sqlite.document("quarter", "cad-1", "2026-Q4")
    chart = chart_model.chart_of(VIEW, document, LONDON, NOW, "2026-Q3", ENGLISH)
    assert chart.name == "Q4 2026"
    assert [column.label.name for column in chart.columns] == ["October", "November", "December"]
    assert [column.below and column.below.period for column in chart.columns] == ["2026-10", "2026-11", None]
    assert "most in October" in sentences.summary(chart, ENGLISH)


def test_links_lead_to_and_from_a_quarter() -> None:
    assert View.from_url(VIEW.to_url()) == VIEW
    links = navigation.links(VIEW, "2026-Q3", "2026-Q4", NOW, LONDON, ENGLISH)
    assert links["previous.href"] == "/d/cad-1/quarter/2026-Q3"
    assert links["current.children"] == "This quarter"
    month = View("household", "cad-1", "month", "2026-08")
    assert navigation.links(month, None, None, NOW, LONDON, ENGLISH)["to-quarter.href"] == "/d/cad-1/quarter/2026-Q3"
    ways = navigation.crumb_slots(month, "August 2026", ENGLISH)["crumbs.children"].children
    assert [way.children.children for way in ways] == ["2026", "Q3"]
    assert VIEW.with_options(compare="year").compared == "2025-Q4"


@pytest.mark.parametrize(("by", "count"), [("month", 2), ("day", 54), ("half-hour", 53 * 48 + 2 + 29)])
def test_a_quarter_exports_as_csv_by_month_day_and_half_hour(on_sqlite: Store, by: str, count: int) -> None:
    some_evenings(on_sqlite)
    found = _of_the_household(on_sqlite).get(f"/api/v1/devices/cad-1/quarter/2026-Q4.csv?by={by}").text
    rows = list(csv.DictReader(io.StringIO(found)))
    document = on_sqlite.document("quarter", "cad-1", "2026-Q4")
    assert document is not None
    assert len(rows) == count
    known = [round(float(row["import_kwh"]) * 1000) for row in rows if row["import_kwh"]]
    assert sum(known) == document.total.import_wh


def test_a_wrong_quarter_is_refused_with_an_example(on_sqlite: Store) -> None:
    some_evenings(on_sqlite)
    browser = _of_the_household(on_sqlite)
    assert orjson.loads(browser.get("/api/v1/devices/cad-1/quarter/2026-Q4").data)["parts"][0]["import_wh"] > 0
    assert "write it like 2026-Q4" in browser.get("/api/v1/devices/cad-1/quarter/2026-Q5.csv").text
    assert "write day, month, quarter or year" in browser.get("/api/v1/devices/cad-1/week/2026-Q4.csv").text


def test_the_support_desk_checks_a_quarter(on_sqlite: Store) -> None:
    some_evenings(on_sqlite)
    device = on_sqlite.device("cad-1")
    assert device is not None
    states = diagnose(on_sqlite, device, instant("2026-11-02T22:00:00Z")).levels
    assert [(state.level, state.is_right) for state in states[1:]] == [
        ("month", True),
        ("quarter", True),
        ("year", True),
    ]


def test_show_accepts_a_quarter(on_sqlite: Store, tmp_path: Path) -> None:
    some_evenings(on_sqlite)
    program = "from tests import quarter; quarter.add(); from dashboard.commands.main import main; main()"
    arguments = ["show", "quarter", "cad-1", "2026-Q4"]
    environ = os.environ | {"WATTFALL_STORE": f"sqlite:///{tmp_path}/wattfall.db"}
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environ, capture_output=True, text=True, check=True
    )
    assert [line.split()[0] for line in ran.stdout.splitlines()[2:]] == ["Oct", "Nov", "Dec", "total"]


def test_a_level_missing_in_the_template_is_detected() -> None:
    assert callable(lambdas.quarters)
    made = test_template.of_type("AWS::Lambda::Function").keys()
    assert test_template.level_streams().keys() - made == {"QuartersFunction"}
    assert test_template.level_streams()["QuartersFunction"] == "Months"
    assert {table.name.capitalize() for table in tables()} - test_template.translated().keys() == {"Quarters"}


def _of_the_household(store: Store) -> FlaskClient:
    """Return a browser signed in as a household."""
    device = store.device("cad-1")
    assert device is not None
    store.put_device(replace(device, household=HOUSEHOLD))
    return at_home(store)
