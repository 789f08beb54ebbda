"""Backups: made of a store in use, read back before they count, and put in its place without its old log."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aggregator.core.errors import ConfigurationError, StoreUnusable
from aggregator.core.periods import DAY_S
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.operations import backup
from aggregator.operations.backup import back_up, backups, restore, run_backups
from aggregator.store import Store, open_store
from aggregator.waterfall.worker import drain
from dashboard.commands.main import main
from tests.copies import damage_record

NOW = 1_790_812_800  # 2026-10-01, midnight in UTC
HOME = ("home", "UTC")


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def send(store: Store, minutes: range) -> None:
    """A home that uses 10 Wh a minute."""
    ingest(store, [Reading("home", NOW + 60 * at, None, 10 * at, None) for at in minutes], NOW + 86_400, "UTC")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with two hours of readings: 1,190 Wh."""
    path = tmp_path / "wattfall.db"
    with closing(open_store(url_of(path))) as store:
        send(store, range(120))
        drain(store)
    return path


def used_wh(path: Path) -> int | None:
    with closing(open_store(url_of(path), may_create=False)) as store:
        document = store.document("day", "home", "2026-10-01")
        return document.total.import_wh if document else None


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def wattfall(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_the_head_of_the_audit_that_a_backup_prints_can_be_checked(path: Path, tmp_path: Path) -> None:
    wattfall("device", "set", "home", "--name", "Home", "--store", url_of(path))
    printed = wattfall("backup", str(tmp_path / "copy.db"), "--store", url_of(path)).stdout
    head = next(line.split()[-1] for line in printed.splitlines() if line.startswith("audit head"))

    checked = wattfall("audit", "--check", head, "--store", url_of(path))
    assert (checked.exit_code, checked.stdout) == (0, f"0 faults\nhead {head}\n")


# Make one


def test_a_backup_of_a_store_in_use_holds_what_was_acknowledged_before(path: Path, tmp_path: Path) -> None:
    with closing(open_store(url_of(path))) as store:
        send(store, range(120, 180))  # in the log: `cp` would not copy it
        copied = back_up(url_of(path), tmp_path / "copy.db")
        assert copied.rows["recent"] + copied.rows["readings"] >= 60
        assert copied.newest == NOW + 179 * 60
    with closing(open_store(url_of(tmp_path / "copy.db"), may_create=False)) as copy:
        assert len(copy.readings("home", NOW, NOW + 3 * 3600)) == 180


def test_writers_do_not_wait_for_a_backup(path: Path, tmp_path: Path) -> None:
    sent = iter(range(200, 10_000))
    with closing(open_store(url_of(path), busy_s=0)) as store:

        def write() -> None:  # raises StoreAway where it would wait
            at = next(sent)
            send(store, range(at, at + 1))

        copied = back_up(url_of(path), tmp_path / "copy.db", write)
    assert next(sent) > 202
    assert copied.newest == NOW + 119 * 60  # one snapshot, from before the first of these


def test_a_backup_is_one_file_of_its_owner_alone(path: Path, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        back_up(url_of(path), tmp_path / "copy.db")
    finally:
        os.umask(before)
    assert [one for one in names(tmp_path) if "copy" in one] == ["copy.db"]
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600


def test_a_backup_prints_what_it_holds(path: Path, tmp_path: Path) -> None:
    result = wattfall("backup", str(tmp_path / "copy.db"), "--store", url_of(path))
    assert result.exit_code == 0
    rows = dict(line.rsplit(maxsplit=1) for line in result.stdout.splitlines()[1:])
    assert (rows["devices"], rows["days"], rows["newest reading"]) == ("1", "1", "2026-10-01T01:59:00Z")


def test_no_file_is_overwritten(path: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("kept")
    with pytest.raises(ConfigurationError, match=r"copy\.db exists already; name a new file"):
        back_up(url_of(path), tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "kept"


def with_another_digit(path: Path) -> None:
    """Change one digit of a stored day, as no check of SQLite's notices."""
    with closing(sqlite3.connect(path)) as database:
        (body,) = database.execute("SELECT body FROM days").fetchone()
        wrong = body.replace(b'"h00":[600', b'"h00":[700')
        assert wrong != body
        database.execute("UPDATE days SET body = ?", (wrong,))
        database.commit()


def with_another_power(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        assert database.execute("UPDATE live SET power_w = coalesce(power_w, 0) + 1").rowcount > 0


def with_another_record(path: Path) -> None:
    with closing(open_store(url_of(path))) as store:
        store.put_record("notes", "a", "7")
        damage_record(store, "notes", "a")


def with_a_garbage_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(3 * 8192)
        file.write(os.urandom(8192))


@pytest.mark.parametrize("fault", [with_another_digit, with_another_power, with_another_record, with_a_garbage_page])
def test_a_backup_of_a_damaged_store_fails_and_leaves_nothing(path: Path, tmp_path: Path, fault: object) -> None:
    assert callable(fault)
    fault(path)
    result = wattfall("backup", str(tmp_path / "copy.db"), "--store", url_of(path))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "damaged" in result.stderr
    assert [one for one in names(tmp_path) if "copy" in one] == []


def test_a_backup_leaves_room_on_the_disk(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "ROOM", 1e12)
    with pytest.raises(StoreUnusable, match=r"MB free, and a copy needs \d+ MB; free space"):
        back_up(url_of(path), tmp_path / "copy.db")
    assert [one for one in names(tmp_path) if "copy" in one] == []


def test_a_dynamodb_store_is_referred_to_its_own_recovery(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="on DynamoDB use point-in-time recovery"):
        back_up("dynamodb://wattfall", tmp_path / "copy.db")


# Put one in its place


def test_a_restore_undoes_what_came_after_and_keeps_the_former_file(path: Path, tmp_path: Path) -> None:
    back_up(url_of(path), tmp_path / "night.db")
    with closing(open_store(url_of(path))) as store:
        send(store, range(120, 180))
        drain(store)
    assert used_wh(path) == 1790
    _, former = restore(url_of(path), tmp_path / "night.db", NOW)
    assert used_wh(path) == 1190
    assert former == tmp_path / "wattfall.db.before-20261001T000000Z"
    assert used_wh(former) == 1790


def test_a_log_left_by_a_crash_is_not_replayed_over_a_restored_file(path: Path, tmp_path: Path) -> None:
    back_up(url_of(path), tmp_path / "night.db")
    with closing(open_store(url_of(path))) as store:  # copied while open: as after SIGKILL, with its log
        send(store, range(120, 180))
        drain(store)
        shutil.copytree(tmp_path, tmp_path / "crashed", ignore=shutil.ignore_patterns("crashed"))
    crashed = tmp_path / "crashed" / "wattfall.db"
    assert crashed.with_name("wattfall.db-wal").stat().st_size > 0
    _, former = restore(url_of(crashed), tmp_path / "night.db", NOW)
    assert former
    assert (used_wh(crashed), used_wh(former)) == (1190, 1790)  # the log has stayed with its file


def test_the_command_verifies_what_it_has_restored(path: Path, tmp_path: Path) -> None:
    back_up(url_of(path), tmp_path / "night.db")
    result = wattfall("restore", str(tmp_path / "night.db"), "--store", url_of(path))
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "1 devices, 0 differences")
    assert wattfall("restore", str(path), "--store", url_of(path)).stderr.endswith(
        "is the store itself; name a backup\n"
    )


def test_a_new_machine_gets_its_store_from_a_backup(path: Path, tmp_path: Path) -> None:
    back_up(url_of(path), tmp_path / "night.db")
    (tmp_path / "new").mkdir()
    assert restore(url_of(tmp_path / "new" / "wattfall.db"), tmp_path / "night.db", NOW)[1] is None
    assert used_wh(tmp_path / "new" / "wattfall.db") == 1190


@pytest.mark.parametrize("fault", [with_another_digit, with_another_power, with_a_garbage_page])
def test_a_damaged_backup_is_not_put_in_place(path: Path, tmp_path: Path, fault: object) -> None:
    assert callable(fault)
    back_up(url_of(path), tmp_path / "night.db")
    fault(tmp_path / "night.db")
    with pytest.raises(StoreUnusable, match="damaged"):
        restore(url_of(path), tmp_path / "night.db", NOW)
    assert (used_wh(path), names(tmp_path)) == (1190, ["night.db", "wattfall.db"])


HOLD = """
import sys
from aggregator.store import open_store
store = open_store(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_open(path: Path) -> Iterator[None]:
    """Another process has the store open."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, url_of(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        yield
        process.communicate("")


def test_a_store_that_a_process_has_open_is_not_replaced(path: Path, tmp_path: Path) -> None:
    back_up(url_of(path), tmp_path / "night.db")
    with held_open(path), pytest.raises(ConfigurationError, match=r"is open in another process; stop worker, web"):
        restore(url_of(path), tmp_path / "night.db", NOW)
    assert [one for one in names(tmp_path) if "before" in one] == []
    restore(url_of(path), tmp_path / "night.db", NOW)


# Each day


class Days(threading.Event):
    """Days that take no time; it ends after so many waits between two backups."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count, self.waits = count, list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        if timeout != backup.PAUSE_S:
            self.waits.append(timeout or 0)
        return len(self.waits) > self.count


def test_the_worker_backs_up_once_a_day_and_keeps_the_newest(path: Path, tmp_path: Path) -> None:
    folder, days = tmp_path / "backups", Days(1)
    folder.mkdir()
    for day in range(1, 5):
        (folder / f"wattfall-2026090{day}T030000Z.db").touch()
        os.utime(folder / f"wattfall-2026090{day}T030000Z.db", (0, 0))
    (folder / "wattfall-20260904T030000Z.db.part").touch()  # a killed process left it
    (folder / "other.db").touch()
    run_backups(url_of(path), folder, 3, days)
    assert days.waits == [0, DAY_S]
    assert names(folder)[:3] == ["other.db", "wattfall-20260903T030000Z.db", "wattfall-20260904T030000Z.db"]
    assert len(names(folder)) == 4
    assert used_wh(backups(folder)[-1]) == 1190


def test_a_restarted_worker_waits_for_the_rest_of_the_day(path: Path, tmp_path: Path) -> None:
    run_backups(url_of(path), tmp_path, 3, Days(1))
    again = Days(0)
    run_backups(url_of(path), tmp_path, 3, again)
    assert DAY_S - 600 < again.waits[0] <= DAY_S


def test_a_failed_backup_is_said_and_tried_again(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with_a_garbage_page(path)
    days = Days(1)
    run_backups(url_of(path), tmp_path, 3, days)
    assert days.waits == [0, backup.RETRY_S]
    assert "no backup: " in caplog.messages[-1]
    assert backups(tmp_path) == []
