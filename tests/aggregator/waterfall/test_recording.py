"""The recording of a real home gives documents with its own sums."""

import gzip
import json
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from shutil import copytree
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from aggregator.core.documents import Document
from aggregator.core.periods import LEVELS
from aggregator.store import open_store
from dashboard.commands.main import main

RECORDING = Path(__file__).parents[2] / "data" / "uci_household_1min.txt.gz"
PARIS = ZoneInfo("Europe/Paris")
ROWS = 37_283


def recorded() -> Iterator[tuple[datetime, Decimal]]:
    """Return local minute and mean power in kW of the complete rows."""
    with gzip.open(RECORDING, "rt") as lines:
        next(lines)
        for line in lines:
            date, clock, power, *rest = line.split(";")
            if len(rest) == 6 and power not in ("", "?"):
                yield (
                    datetime.strptime(f"{date} {clock} +0100", "%d/%m/%Y %H:%M:%S %z").astimezone(PARIS),
                    Decimal(power),
                )


@pytest.fixture(scope="module")
def readings() -> list[tuple[str, int, int]]:
    """Return the recording as device readings: instant, power, and the register after each minute, accumulated and
    cut to Wh.
    """
    register, rows = Decimal(0), []
    for at, power_kw in recorded():
        register += power_kw * 1000 / 60
        rows.append((at.isoformat(), int(power_kw * 1000), int(register)))
    assert len(rows) == ROWS
    return rows


@pytest.fixture(scope="module")
def lines(readings: list[tuple[str, int, int]]) -> list[str]:
    return [
        json.dumps({"device_id": "uci", "at": at, "power_w": power_w, "import_wh": import_wh})
        for at, power_w, import_wh in readings
    ]


def ingest(path: Path, lines: list[str]) -> dict[str, object]:
    result = CliRunner().invoke(main, ["ingest", "--store", f"sqlite:///{path}"], input="\n".join(lines))
    outcome = json.loads(result.stdout.splitlines()[-1])
    assert isinstance(outcome, dict)
    return outcome


def set_up(path: Path) -> Path:
    CliRunner().invoke(main, ["device", "set", "uci", "--timezone", "Europe/Paris", "--store", f"sqlite:///{path}"])
    return path


@pytest.fixture(scope="module")
def recording_store(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> Path:
    """Return a store with the whole recording, ingested at once."""
    path = set_up(tmp_path_factory.mktemp("recording") / "whole.db")
    assert ingest(path, lines) == {"accepted": ROWS, "unchanged": 0, "rejected": 0, "reasons": {}}
    return path


def documents(path: Path) -> list[Document | None]:
    with closing(open_store(f"sqlite:///{path}")) as store:
        return [store.document(level, "uci", period) for level in LEVELS for period in store.periods(level, "uci")]


def test_day_totals_equal_the_recordings_sums(recording_store: Path, readings: list[tuple[str, int, int]]) -> None:
    first: dict[str, int] = {}  # of a day: the register at its first minute
    for at, _, import_wh in readings:
        first.setdefault(at[:10], import_wh)
    days = list(first)[1:]  # the recording begins and ends within a day
    with closing(open_store(f"sqlite:///{recording_store}")) as store:
        for day, following in pairwise(days):
            document = store.document("day", "uci", day)
            assert document is not None
            assert document.total.import_wh == first[following] - first[day]
        year = [store.document("year", "uci", period) for period in ("2006", "2007")]
    recorded_wh = readings[-1][2] - readings[0][2]
    assert sum(document.total.import_wh or 0 for document in year if document) == recorded_wh


def test_ingesting_the_recording_again_reports_no_change(
    recording_store: Path, tmp_path: Path, lines: list[str]
) -> None:
    again = (
        Path(copytree(recording_store.parent, tmp_path / "again")) / recording_store.name
    )  # with SQLite's companion files
    assert ingest(again, lines) == {"accepted": 0, "unchanged": ROWS, "rejected": 0, "reasons": {}}
    assert documents(again) == documents(recording_store)


def test_shuffled_files_give_the_same_documents(recording_store: Path, tmp_path: Path, lines: list[str]) -> None:
    shuffled = random.Random(7).sample(lines, len(lines))
    pieces = set_up(tmp_path / "pieces.db")
    for piece in range(3):
        ingest(pieces, shuffled[piece::3])
    assert documents(pieces) == documents(recording_store)
