"""A real home's recording goes in at one end and comes out right at the other."""

import gzip
import json
import random
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from aggregator.documents import Document
from aggregator.store import Store, open_store
from dashboard.cli import main

RECORDING = Path(__file__).parent.parent / "data" / "uci_household_1min.txt.gz"
PARIS = ZoneInfo("Europe/Paris")
ROWS = 37_283


def recorded() -> Iterator[tuple[datetime, Decimal]]:
    """Local minute and mean power in kW, of the rows that are whole."""
    with gzip.open(RECORDING, "rt") as lines:
        next(lines)
        for line in lines:
            date, clock, power, *rest = line.split(";")
            if len(rest) == 6 and power not in ("", "?"):
                yield (
                    datetime.strptime(f"{date} {clock} +0100", "%d/%m/%Y %H:%M:%S %z").astimezone(PARIS),
                    Decimal(power),
                )


def readings() -> list[dict[str, object]]:
    """The recording as a device would have sent it: the register after each minute, accumulated and cut to Wh."""
    register, rows = Decimal(0), []
    for at, power_kw in recorded():
        register += power_kw * 1000 / 60
        rows.append(
            {"device_id": "uci", "at": at.isoformat(), "power_w": int(power_kw * 1000), "import_wh": int(register)}
        )
    return rows


@pytest.fixture(scope="module")
def lines() -> list[str]:
    rows = [json.dumps(row) for row in readings()]
    assert len(rows) == ROWS
    return rows


def ingest(store: str, text: str) -> dict[str, object]:
    result = CliRunner().invoke(main, ["ingest", "--store", store], input=text)
    outcome = json.loads(result.stdout.splitlines()[-1])
    assert isinstance(outcome, dict)
    return outcome


def set_up(path: Path) -> str:
    url = f"sqlite:///{path}"
    CliRunner().invoke(main, ["device", "set", "uci", "--timezone", "Europe/Paris", "--store", url])
    return url


def documents(store: Store) -> list[Document | None]:
    return [
        store.document(level, "uci", period)
        for level in ("day", "month", "year")
        for period in store.periods(level, "uci")
    ]


def test_day_totals_equal_the_recordings_own_sums(tmp_path: Path, lines: list[str]) -> None:
    url = set_up(tmp_path / "once.db")
    assert ingest(url, "\n".join(lines)) == {"accepted": ROWS, "unchanged": 0, "rejected": 0, "reasons": {}}

    store = open_store(url)
    first: dict[str, int] = {}  # of a day: the register at its first minute
    for row in readings():
        first.setdefault(str(row["at"])[:10], int(str(row["import_wh"])))
    days = list(first)
    whole = days[1:-1]  # the recording begins and ends within a day
    for day, following in zip(whole, days[2:], strict=True):
        document = store.document("day", "uci", day)
        assert document is not None
        assert document.total.import_wh == first[following] - first[day]
    year = [store.document("year", "uci", period) for period in ("2006", "2007")]
    rows = readings()
    recorded_wh = int(str(rows[-1]["import_wh"])) - int(str(rows[0]["import_wh"]))
    assert sum(document.total.import_wh or 0 for document in year if document) == recorded_wh


def test_ingesting_the_recording_again_changes_nothing_and_says_so(tmp_path: Path, lines: list[str]) -> None:
    url = set_up(tmp_path / "twice.db")
    ingest(url, "\n".join(lines))
    before = documents(open_store(url))

    assert ingest(url, "\n".join(lines)) == {"accepted": 0, "unchanged": ROWS, "rejected": 0, "reasons": {}}
    assert documents(open_store(url)) == before


def test_shuffled_and_in_fifty_files_the_recording_gives_the_same_documents(tmp_path: Path, lines: list[str]) -> None:
    once = set_up(tmp_path / "whole.db")
    ingest(once, "\n".join(lines))
    shuffled = random.Random(7).sample(lines, len(lines))
    pieces = set_up(tmp_path / "pieces.db")
    for piece in range(50):
        ingest(pieces, "\n".join(shuffled[piece::50]))

    assert documents(open_store(pieces)) == documents(open_store(once))
