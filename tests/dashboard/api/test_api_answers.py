import csv
import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from werkzeug.test import TestResponse

from aggregator.core import periods
from aggregator.core.documents import Device, Document
from aggregator.core.errors import Refused, StoreAway
from aggregator.core.readings import check_device_id
from aggregator.store.port import Store
from aggregator.tariffs.tariff import tariff_from_json
from aggregator.waterfall.pricing import change_tariff
from aggregator.waterfall.worker import drain
from dashboard.api.api_answers import ROWS
from dashboard.charts import pictures
from tests.copies import Copy, Originals, nothing
from tests.dashboard import homes
from tests.dashboard.homes import NOW
from tests.dashboard.people import at_home

TARIFF = tariff_from_json(
    {
        "currency": "GBP",
        "versions": [{"from": "2026-10-20", "import": "0.2450", "export": "0.15", "standing_charge": "0.5310"}],
    }
)

Get = Callable[..., TestResponse]


class Watched:
    """A store that records the requested ranges, and can become unreachable."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.ranges: list[tuple[str, str, str]] = []
        self.answers = 1000  # until it becomes unreachable

    def documents(self, level: str, device_id: str, first: str, last: str) -> list[Document]:
        self.ranges.append((level, first, last))
        if len(self.ranges) > self.answers:
            raise StoreAway("the store is busy")
        return self._store.documents(level, device_id, first, last)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the rest of the store as it is
        return getattr(self._store, name)


def some_weeks(store: Store) -> None:
    homes.fill(store, Device("cad-1"), "2026-10-20", NOW)


@pytest.fixture
def store(copy: Copy) -> Store:
    return copy(some_weeks)


@pytest.fixture
def watched(store: Store) -> Watched:
    return Watched(store)


@pytest.fixture
def get(watched: Watched) -> Get:
    client = at_home(watched)
    return lambda path, **how: client.get(path, **how)


@pytest.fixture(scope="module")
def read(originals: Originals, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Get]:
    """The same for tests that only read: one app on one store."""
    with originals.opened(some_weeks, tmp_path_factory.mktemp("downloads") / "homes.db") as store:
        client = at_home(store)
        yield lambda path: client.get(path)


def table(answer: TestResponse) -> list[dict[str, str]]:
    assert answer.status_code == 200
    return list(csv.DictReader(answer.text.splitlines()))


def kwh(found: list[dict[str, str]]) -> Decimal:
    return sum((Decimal(row["import_kwh"]) for row in found if row["import_kwh"]), Decimal(0))


def line(answer: TestResponse) -> str:
    """Return the one line of a refusal."""
    content = json.loads(answer.data)
    assert (answer.mimetype, content["status"]) == ("application/problem+json", answer.status_code)
    (only,) = str(content["detail"]).splitlines()
    return only


# CSV


@pytest.mark.parametrize(
    ("path", "count", "name"),
    [
        ("day/2026-11-22.csv", 24, "wattfall-cad-1-2026-11-22.csv"),
        ("day/2026-11-22.csv?by=half-hour", 48, "wattfall-cad-1-2026-11-22-half-hour.csv"),
        ("day/2026-10-25.csv", 25, "wattfall-cad-1-2026-10-25.csv"),
        ("month/2026-10.csv", 31, "wattfall-cad-1-2026-10.csv"),
        ("month/2026-10.csv?by=half-hour", 31 * 48 + 2, "wattfall-cad-1-2026-10-half-hour.csv"),
        ("year/2025.csv?by=half-hour", 17_520, "wattfall-cad-1-2025-half-hour.csv"),
        ("year/2026.csv?by=day", 327, "wattfall-cad-1-2026-day.csv"),
        ("year/2026.csv", 11, "wattfall-cad-1-2026.csv"),
        ("year/2027.csv", 0, "wattfall-cad-1-2027.csv"),
    ],
)
def test_every_interval_is_a_row_under_a_header(read: Get, path: str, count: int, name: str) -> None:
    answer = read(f"/api/v1/devices/cad-1/{path}")
    assert len(table(answer)) == count
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.text.endswith("\r\n")


@pytest.mark.parametrize("path", ["day/2026-11-22", "month/2026-11", "year/2026"])
def test_every_interval_length_sums_to_the_chart(get: Get, store: Store, path: str) -> None:
    level, period = path.split("/")
    document = store.document(level, "cad-1", period)
    assert document is not None
    sums = {kwh(table(get(f"/api/v1/devices/cad-1/{path}.csv?by={by}"))) for by in pictures.intervals(level)}
    assert sums == {Decimal(document.total.import_wh or 0) / 1000}


def test_rows_have_no_gap_and_no_repetition(read: Get) -> None:
    found = table(read("/api/v1/devices/cad-1/year/2026.csv?by=half-hour"))
    ends = [row["end"] for row in found]
    assert [row["start"] for row in found[1:]] == ends[:-1]
    assert found[-1]["start"] == "2026-11-23T14:00:00+00:00"


def test_a_day_of_24_5_hours_ends_with_half_an_hour(get: Get, store: Store) -> None:
    homes.fill(store, Device("howe", "Australia/Lord_Howe"), "2026-04-04", homes.instant("2026-04-06T00:00:00+00:00"))
    found = table(get("/api/v1/devices/howe/day/2026-04-05.csv"))
    assert len(found) == 25
    assert (found[-1]["start"], found[-1]["end"]) == ("2026-04-05T23:30:00+10:30", "2026-04-06T00:00:00+10:30")


def test_an_outage_has_empty_and_estimated_cells(get: Get, store: Store) -> None:
    gap = homes.outage("2026-11-22T02:00:00+00:00", "2026-11-22T10:00:00+00:00", "2026-11-22T06:00:00+00:00")
    homes.fill(store, Device("patchy"), "2026-11-22", NOW, gap)
    found = table(get("/api/v1/devices/patchy/day/2026-11-22.csv"))
    figures = [[row[name] for name in ("import_kwh", "estimated_kwh", "coverage")] for row in found]
    assert figures[1][1:] == ["0.000", "1.0000"]
    assert figures[2] == ["0.600", "0.600", "0.0000"]
    assert figures[6] == ["", "", "0.0000"]


def test_money_sums_up_and_only_days_have_standing_charges(get: Get, store: Store) -> None:
    change_tariff(store, Device("cad-1", household=homes.HOUSEHOLD), TARIFF)
    drain(store)
    by_day = table(get("/api/v1/devices/cad-1/month/2026-11.csv"))
    by_half_hour = table(get("/api/v1/devices/cad-1/month/2026-11.csv?by=half-hour"))
    cost = sum(Decimal(row["import_cost"]) for row in by_day)
    assert cost == sum(Decimal(row["import_cost"]) for row in by_half_hour) == kwh(by_day) * Decimal("0.2450")
    assert {row["standing_charge"] for row in by_day} == {"0.531"}
    assert {row["currency"] for row in by_day + by_half_hour} == {"GBP"}
    assert "standing_charge" not in by_half_hour[0]


def test_days_without_data_owe_their_standing_charge_everywhere(get: Get, store: Store) -> None:
    device = Device("patchy", household=homes.HOUSEHOLD, tariff=homes.SOLAR)
    gap = homes.outage("2026-11-09T00:00:00+00:00", "2026-11-13T00:00:00+00:00", "2026-11-09T00:00:00+00:00")
    homes.fill(store, device, "2026-11-01", NOW, gap)
    by_day = table(get("/api/v1/devices/patchy/month/2026-11.csv"))
    assert [row["standing_charge"] for row in by_day] == ["0.531"] * 23  # today is the 23rd
    known = {name: cell for name, cell in by_day[9].items() if cell and name not in ("start", "end")}
    assert known == {"coverage": "0.0000", "standing_charge": "0.531", "currency": "GBP"}
    shown = [
        json.loads(get(f"/api/v1/devices/patchy/{path}").data)
        for path in ("year/2026", "month/2026-11", *(f"day/2026-11-{number:02d}" for number in range(1, 31)))
    ]
    charges = [content["standing_charge"] for content in shown]
    assert charges == ["12.213", "12.213", *["0.531"] * 23, *[None] * 7]  # 23 × 0.531
    assert (shown[11]["import_wh"], shown[11]["currency"]) == (None, "GBP")
    assert len(store.periods("day", "patchy")) == 19


def test_a_device_id_with_colons_gets_a_safe_file_name(get: Get, store: Store) -> None:
    homes.fill(store, Device("70:b3:d5"), "2026-11-22", NOW)
    answer = get("/api/v1/devices/70%3Ab3%3Ad5/day/2026-11-22.csv")
    assert 'filename="wattfall-70-b3-d5-2026-11-22.csv"' in answer.headers["Content-Disposition"]
    assert table(answer) == table(get("/api/v1/devices/70:b3:d5/day/2026-11-22.csv"))


def test_a_year_of_half_hours_is_streamed_by_the_month(get: Get, watched: Watched) -> None:
    chunks = get("/api/v1/devices/cad-1/year/2025.csv?by=half-hour", buffered=False).iter_encoded()
    assert next(chunks).startswith(b"start,end,")
    assert watched.ranges == [("day", "2025-01-01", "2025-01-31")]
    assert next(chunks).count(b"\r\n") == ROWS
    assert len(watched.ranges) == 1
    for _ in chunks:
        pass
    assert [first for _, first, _ in watched.ranges] == [f"2025-{month:02d}-01" for month in range(1, 13)]


def test_the_future_is_not_read(get: Get, watched: Watched) -> None:
    get("/api/v1/devices/cad-1/year/2026.csv?by=hour").get_data()
    assert watched.ranges[-1] == ("day", "2026-11-01", "2026-11-30")
    get("/api/v1/devices/cad-1/year/2100.csv?by=hour").get_data()
    assert len(watched.ranges) == 11


def test_a_store_failure_aborts_the_download(get: Get, watched: Watched) -> None:
    watched.answers = 3
    chunks = get("/api/v1/devices/cad-1/year/2025.csv?by=half-hour", buffered=False).iter_encoded()
    with pytest.raises(StoreAway):
        b"".join(chunks)


def test_an_unreachable_store_fails_before_the_download_begins(get: Get, watched: Watched) -> None:
    watched.answers = 0
    answer = get("/api/v1/devices/cad-1/day/2026-11-22.csv")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "try again" in line(answer)


# JSON


def test_a_documents_json_has_times_in_the_homes_zone(read: Get) -> None:
    answer = read("/api/v1/devices/cad-1/day/2026-10-25")
    content = json.loads(answer.data)
    assert answer.mimetype == "application/json"
    assert (content["level"], content["period"], len(content["parts"])) == ("day", "2026-10-25", 25)
    assert content["parts"][2]["start"] == "2026-10-25T01:00:00+00:00"
    assert len(content["half_hours"]) == 50


def test_a_period_without_data_is_a_document_without_data(read: Get) -> None:
    content = json.loads(read("/api/v1/devices/cad-1/month/2024-02").data)
    assert (content["import_wh"], content["coverage"], len(content["parts"])) == (None, 0, 29)


def test_a_device_without_a_reading_gets_404(read: Get) -> None:
    answer = read("/api/v1/devices/cad-1/live")
    assert answer.status_code == 404
    assert "no reading yet" in line(answer)


def test_the_live_state_is_json_in_utc(get: Get, store: Store) -> None:
    store.put_live([homes.live("cad-1", -1240)])
    content = json.loads(get("/api/v1/devices/cad-1/live").data)
    assert (content["power_w"], content["at"]) == (-1240, "2026-11-23T14:20:00Z")


# Pictures


def test_a_picture_shows_the_pages_figure(get: Get, store: Store) -> None:
    change_tariff(store, Device("cad-1", household=homes.HOUSEHOLD), TARIFF)
    drain(store)
    answer = get("/d/cad-1/month/2026-11/picture.json?unit=money&compare=previous")
    content = json.loads(answer.data)
    assert (answer.mimetype, answer.headers["Cache-Control"]) == ("application/json", "no-store")
    assert (content["layout"]["width"], content["layout"]["height"]) == (1600, 900)
    assert {"Imported", "Standing charge", "October"} <= {trace["name"] for trace in content["data"]}


def test_a_picture_of_no_data_says_so(read: Get) -> None:
    assert "Before the first reading" in read("/d/cad-1/day/2024-01-01/picture.json").text


def test_a_picture_speaks_the_language_of_the_reader(watched: Watched) -> None:
    client = at_home(watched)
    german = client.get("/d/cad-1/day/2026-11-22/picture.json", headers={"Accept-Language": "de-DE,de;q=0.9"})
    assert "Sonntag, 22. November 2026" in german.text


# Access, and invalid addresses


@pytest.mark.parametrize(
    ("file", "kept"),
    [("day/2026-11-22.csv", "no-store"), ("day/2026-11-22", "private, no-cache"), ("live", "private, no-cache")],
)
def test_nobody_but_the_reader_keeps_an_answer(get: Get, store: Store, file: str, kept: str) -> None:
    store.put_live([homes.live("cad-1", 612)])
    assert get(f"/api/v1/devices/cad-1/{file}").headers["Cache-Control"] == kept
    assert get(f"/api/v1/devices/nobody/{file}").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("file", ["day/2026-11-22.csv", "month/2026-11", "picture", "live", "week/1.csv"])
def test_an_unauthorized_device_looks_like_a_missing_one(get: Get, store: Store, file: str) -> None:
    store.put_device(Device("cad-1", household="willow"))
    store.put_live([homes.live("cad-1", 612)])
    address = "/d/{}/year/2026/picture.json" if file == "picture" else f"/api/v1/devices/{{}}/{file}"
    hidden, absent = get(address.format("cad-1")), get(address.format("nobody"))
    assert (hidden.status_code, hidden.text, [*hidden.headers]) == (404, absent.text, [*absent.headers])
    store.put_device(Device("cad-1", household=homes.HOUSEHOLD))
    assert "check the address" in line(hidden)
    assert get(address.format("cad-1")).text != absent.text


@pytest.mark.parametrize(
    ("path", "status", "mend"),
    [
        ("week/2026-11-22.csv", 404, "day, month or year"),
        ("d%61y%2561/2026-11-22", 404, "day, month or year"),
        ("day/2026-02-31.csv", 404, "2026-11-23"),
        ("day/2026-11", 404, "2026-11-23"),
        ("month/2026-11-22.csv", 404, "like 2026-11"),
        ("year/9999.csv", 404, "like 2026"),
        ("year/%D9%A2%D9%A0%D9%A2%D9%A6.csv", 404, "like 2026"),
        ("day/a%0D%0AX-Evil:%201.csv", 404, "2026-11-23"),
        ("day/2026-11-22.csv?by=day", 400, "by=half-hour, by=hour"),
        ("day/2026-11-22.csv?by=", 400, "by=half-hour, by=hour"),
        ("year/2026.csv?by=%3Cscript%3E", 400, "by=day, by=month"),
        (f"day/{'9' * 600}.csv", 404, "check the address"),
    ],
)
def test_an_invalid_address_gets_one_line_with_the_fix(read: Get, path: str, status: int, mend: str) -> None:
    answer = read(f"/api/v1/devices/cad-1/{path}")
    assert answer.status_code == status
    assert mend in line(answer)
    assert len(answer.text) < 200


NUMBER = re.compile(r"-?\d+(\.\d+)?")
FORMULAS = "=+-@\t\r"  # a spreadsheet reads these as the start of a formula


@pytest.mark.parametrize("name", ["=cmd|'/c calc'!A1", "+1+cmd", "-2+3", "@SUM(A1:A9)", '",=1+1'])
def test_no_cell_is_a_formula_for_any_home_name(get: Get, store: Store, name: str) -> None:
    tariff = homes.tariff([{"name": name, "from": "00:00", "to": "24:00", "rate": "-0.2450"}], "-0.15")
    hostile = Device("cad-x", name=name, serial=name, meter_point=name, postcode=name[:16], tariff=tariff)
    homes.fill(store, hostile, "2026-11-20", NOW, homes.sunny)
    for path in ("day/2026-11-22", "month/2026-11", "year/2026"):
        for by in pictures.intervals(path.partition("/")[0]):
            answer = get(f"/api/v1/devices/cad-x/{path}.csv?by={by}")
            assert answer.status_code == 200
            cells = [cell for row in csv.reader(answer.text.splitlines()) for cell in row]
            assert [cell for cell in cells if cell[:1] in FORMULAS and cell and not NUMBER.fullmatch(cell)] == []
            assert not any(name in cell for cell in cells)
            assert answer.headers["Content-Disposition"].startswith('attachment; filename="wattfall-cad-x-')


@pytest.mark.parametrize("device_id", ["=cmd|'/c calc'!A1", "+1", "-1", "@x", "a,b", 'a"b', "a\tb", "a\r\nb", ""])
def test_no_device_id_looks_like_a_formula(device_id: str) -> None:
    with pytest.raises(Refused):
        check_device_id(device_id)


@pytest.mark.parametrize("device_id", ["..", "%2e%2e", "a%0D%0Ab", "a%22b", "%3Dcmd()", "x" * 600, "-rf"])
def test_a_hostile_device_id_is_not_found(read: Get, device_id: str) -> None:
    answer = read(f"/api/v1/devices/{device_id}/day/2026-11-22.csv")
    assert answer.status_code == 404
    assert "check the address" in line(answer)


@pytest.mark.parametrize("first", ["2026-10-20", "2026-11-23"])  # a home with a past, and one of today
def test_open_months_and_years_hold_the_day_that_is_not_carried(copy: Copy, first: str) -> None:
    store, today = copy(nothing), "2026-11-23"
    if first < today:
        homes.fill(store, Device("cad-1"), first, periods.day_start(today, homes.LONDON))
    store.put_device(Device("cad-1", household=homes.HOUSEHOLD))
    homes.fill_day(store, Device("cad-1"), today, NOW, homes.curve)
    client = at_home(store)

    def energy(address: str) -> object:
        return client.get(f"/api/v1/devices/cad-1/{address}").get_json()["import_wh"]

    days = [store.document("day", "cad-1", f"2026-11-{date:02d}") for date in range(1, 24)]
    november = sum(day.total.import_wh or 0 for day in days if day)
    months = [store.document("month", "cad-1", "2026-10")]
    october = sum(month.total.import_wh or 0 for month in months if month)
    assert (energy(f"day/{today}"), energy("month/2026-11")) == (days[-1] and days[-1].total[0], november)
    assert energy("year/2026") == october + november
    by_day, by_month = (table(client.get(f"/api/v1/devices/cad-1/{one}.csv")) for one in ("month/2026-11", "year/2026"))
    assert sum(round(float(row["import_kwh"] or 0) * 1000) for row in by_day) == november
    assert sum(round(float(row["import_kwh"] or 0) * 1000) for row in by_month) == october + november
