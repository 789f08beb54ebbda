"""The doctor names what is to be mended, and nothing else."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aggregator.core.live import Live
from aggregator.store import open_store
from dashboard.commands.main import main
from tests.servers import free_port


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation in which everything is well."""
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / "wattfall-20261001T000000Z.db").touch()
    now = int(time.time())
    with closing(open_store(f"sqlite:///{tmp_path}/wattfall.db")) as store:
        store.put_live([Live("d", now, now, 5, None, None, None)])
    for name in [name for name in os.environ if name.startswith("WATTFALL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WATTFALL_STORE", f"sqlite:///{tmp_path}/wattfall.db")
    monkeypatch.setenv("WATTFALL_SECRET", "x" * 40)
    monkeypatch.setenv("WATTFALL_BACKUP_DIR", str(tmp_path / "backups"))
    return tmp_path


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments])


def to_mend(result: Result) -> dict[str, str]:
    """Return the findings to be mended, by name."""
    lines = (line.split(maxsplit=2) for line in result.stdout.splitlines())
    return {name: text for state, name, text in lines if state == "MEND"}


@pytest.mark.usefixtures("folder")
def test_a_good_installation_is_well() -> None:
    result = doctor()
    assert (to_mend(result), result.exit_code) == ({}, 0)
    assert {line.split()[1] for line in result.stdout.splitlines()} == {
        *(
            "settings",
            "secret",
            "permissions",
            "disk",
            "log",
            "pages",
            "backups",
            "store",
            "records",
            "clock",
            "worker",
        ),
    }


def execute(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "wattfall.db")) as database:
        database.execute(statement, values)
        database.commit()


def tell(folder: Path, at: int, received_at: int) -> None:
    with closing(open_store(f"sqlite:///{folder}/wattfall.db")) as store:
        store.drop_live("d")
        store.put_live([Live("d", at, received_at, 5, None, None, None)])


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(3 * 8192)
        file.write(os.urandom(8192))


LATER = int(time.time()) + 86_400
RECORD = "INSERT INTO records VALUES ('notes', 'a', 0, '1', 7)"
WAIT = "INSERT INTO changes (level, device_id, key, due, first) VALUES ('day', 'd', '2026-01-01', 5, 0)"
FAULTS: list[tuple[str, Callable[[Path], object], str]] = [
    ("permissions", lambda folder: (folder / "wattfall.db").chmod(0o644), "others can open"),
    ("permissions", lambda folder: folder.chmod(0o777), "others can write to"),
    ("pages", lambda folder: overwrite(folder / "wattfall.db"), "is damaged"),
    ("pages", lambda folder: execute(folder, "ALTER TABLE prices DROP check_value"), "has another form of prices"),
    ("records", lambda folder: execute(folder, RECORD), "differs from its check value"),
    ("backups", lambda folder: os.utime(next((folder / "backups").iterdir()), (0, 0)), "days old"),
    ("backups", lambda folder: next((folder / "backups").iterdir()).unlink(), "there is none"),
    ("store", lambda folder: (folder / "wattfall.db").unlink(), "does not exist"),
    ("clock", lambda folder: tell(folder, LATER, LATER - 86_400), "most devices are ahead"),
    ("clock", lambda folder: tell(folder, LATER - 86_400, LATER), "in the future; set the clock"),
    ("worker", lambda folder: execute(folder, WAIT), "1 changes wait"),
]


@pytest.mark.parametrize(("name", "fault", "said"), FAULTS)
def test_a_fault_is_named(folder: Path, name: str, fault: Callable[[Path], object], said: str) -> None:
    fault(folder)
    result = doctor()
    assert result.exit_code == 1
    assert said in to_mend(result)[name]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("WATTFALL_SECRET", "", "secret"),
        ("WATTFALL_BACKUP_DIR", "", "backups"),
        ("WATTFALL_BACKUPDIR", "x", "settings"),
    ],
)
def test_a_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str) -> None:
    monkeypatch.setenv(variable, value)
    result = doctor()
    assert (result.exit_code, [*to_mend(result)]) == (1, [name])


@pytest.mark.usefixtures("folder")
def test_a_broker_out_of_reach_is_named() -> None:
    assert "cannot be reached" in to_mend(doctor("--mqtt", f"mqtt://127.0.0.1:{free_port()}/"))["broker"]


def test_the_clock_is_compared_with_every_device(folder: Path) -> None:
    now = int(time.time())
    with closing(open_store(f"sqlite:///{folder}/wattfall.db")) as store:
        store.put_live([Live(f"a{number:03}", now, now, 5, None, None, None) for number in range(150)])
        store.put_live([Live(f"b{number:03}", now + 3600, now, 5, None, None, None) for number in range(200)])
    assert to_mend(doctor()) == {"clock": "most devices are ahead of this machine's clock; set the clock"}
