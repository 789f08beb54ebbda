"""The SQLite store's file, locks and faults. tests/contract tests the port on both stores."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from aggregator.core.blocks import MANY
from aggregator.core.documents import LABELS, Device
from aggregator.core.errors import Damaged, StoreAway, StoreUnusable
from aggregator.core.live import Live
from aggregator.core.periods import DAY_S, LEVELS
from aggregator.core.readings import Interval, Reading
from aggregator.intake.ingest import ingest
from aggregator.store import open_store
from aggregator.store.port import READINGS, Written, name_once
from aggregator.store.sqlite.sqlite_file import translated
from aggregator.store.sqlite.sqlite_schema import CHECKED, LEVEL_TABLE, SCHEMA, VERSION, crcs_of
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.store.stored_records import crc_of
from aggregator.support.fleet import summary, take_census
from aggregator.tariffs.rates import Series
from aggregator.waterfall.retention import MARGIN_DAYS, expire, sweep
from aggregator.waterfall.worker import drain
from dashboard.commands.main import main

NOW = 1_790_000_000
AGAIN = ["2026-01-01"]


def filled(path: Path) -> SqliteStore:
    """Return a store with a device, its live state, readings and documents."""
    store = SqliteStore(str(path))
    ingest(store, [Reading("d", NOW - 90_000 + n * 600, 200, 1000 + n * 30, n) for n in range(100)], NOW, "UTC")
    drain(store)
    store.pack(NOW + 1, 1000)
    return store


def read_everything(store: SqliteStore) -> None:
    for level in LEVELS:
        for period in store.periods(level, "d"):
            store.document(level, "d", period)
    store.live("d")
    store.devices()
    store.readings("d", 0, NOW)
    store.intervals("d", 0, NOW)
    store.prices("d", 0, NOW)
    store.retention_cutoff("d")


def test_processes_creating_the_same_file_at_once_all_succeed(tmp_path: Path) -> None:
    path = tmp_path / "wattfall.db"
    program = (
        "import sys, time\n"
        "from aggregator.store import open_store\n"
        "time.sleep(max(0, float(sys.argv[2]) - time.time()))\n"
        "open_store('sqlite:///' + sys.argv[1]).mark('day', sys.argv[3], ['2026-01-01'])"
    )
    start = str(time.time() + 1)
    arguments = [sys.executable, "-c", program, str(path), start]
    running = [subprocess.Popen([*arguments, f"d{number}"], stderr=subprocess.PIPE, text=True) for number in range(6)]
    assert [process.communicate()[1] for process in running] == [""] * 6
    store = open_store(f"sqlite:///{path}")
    assert {change.device_id for change in store.changes("day", 10)} == {f"d{number}" for number in range(6)}
    store.close()


@pytest.mark.parametrize(
    ("table", "column"),
    [(table, "body") for table in ("days", "months", "years", "devices", "readings")]
    + [("live", "arrivals"), ("layers", "readings"), ("layers", "intervals")],
)
def test_a_damaged_row_gives_one_line_with_the_file(tmp_path: Path, table: str, column: str) -> None:
    path = tmp_path / "wattfall.db"
    store = filled(path)
    store.put_live([Live("d", NOW + 60, NOW, 1, 2, 3, None)])
    store.write_layer(-1, [Reading("d", NOW + 7, 1, 2, 3), Interval("d", NOW, NOW + 1800, 4, None)], NOW)
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE {table} SET {column} = substr({column}, 1, length({column}) - 4)")
    database.close()
    with pytest.raises(StoreUnusable, match=r"wattfall\.db is damaged") as damage:
        read_everything(store)
    assert "\n" not in str(damage.value)
    store.close()


HALF = NOW - NOW % 1800
SEEN = ("d", NOW + 60, 431, 2000, 7, "AB-1", 5)  # a reading that is not packed yet
SPAN = Interval("d", NOW, NOW + 1800, 4, 5, "supplier", 6)
PRICES = Series({HALF: Decimal("0.2150"), HALF + 1800: Decimal("0.2150")}, {HALF: Decimal("0.0410")})
LEGIBLE = {
    "meter_id": "'AB-2'",
    "source": "'suppliers'",
    "intervals": "replace(intervals, '4', '6')",
    "body": "replace(body, '0.3012', '0.8012')",
    "import_price": "'0.2950'",
    "export_price": "'0.0910'",
}


@pytest.mark.parametrize(
    ("table", "column"),
    [(table, column) for table, columns in CHECKED.items() for column in columns[1:] if table != "records"],
)
def test_a_changed_value_of_a_row_is_named(tmp_path: Path, table: str, column: str) -> None:
    """The changed value is as plausible as the one before. A repeated message does not make it right."""
    path = tmp_path / "wattfall.db"
    with closing(filled(path)) as store:
        ingest(store, [Reading(*SEEN)], NOW, "UTC")
        store.write_intervals([SPAN], NOW)
        store.write_layer(-1, [Reading("d", NOW + 7, 1, 2, 3), SPAN], NOW)
        store.put_device(Device("d", "UTC", tariff='{"import": 0.3012}'))
        store.put_prices("d", PRICES)
        store.put_retention_cutoff("d", NOW - 10)
        read_everything(store)
        change(path, f"UPDATE {table} SET {column} = {LEGIBLE.get(column, f'coalesce({column}, 0) + 1')}")
        store.write_readings({("d", HALF): {NOW + 60: Reading("d", NOW + 60, 431, None, None)}}, NOW + 1)
        store.put_retention_cutoff("d", NOW - 20)
        with pytest.raises(Damaged, match="differs from its check value"):
            read_everything(store)


@pytest.mark.parametrize(
    "damaged",
    [
        "shelf = 'votes'",
        "key = '2'",
        f"expires = {NOW - 1}",
        "body = '8'",
        "body = x'ff'",
        "expires = 'x'",
        "key = x'ff'",
    ],
)
def test_any_changed_value_of_a_record_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: str) -> None:
    with closing(SqliteStore(str(tmp_path / "wattfall.db"), lambda: NOW)) as store:
        store.put_record("notes", "1", "7", expires=NOW + 60)
        change(tmp_path / "wattfall.db", f"UPDATE records SET {damaged}")
        name_once.cache_clear()
        for collection in ("notes", "votes"):
            assert not store.records(collection)
            assert not store.record(collection, "1")
        assert len(list(filter(None, store.damaged_records()))) == 1
        store.expire_records(NOW + 60)
        assert len([line for line in caplog.messages if "differs from its check value" in line]) == 1


def test_a_new_price_takes_the_place_of_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "wattfall.db"
    with closing(filled(path)) as store:
        store.put_prices("d", PRICES)
        change(path, "UPDATE prices SET import_price = '0.9150'")
        store.put_prices("d", Series({HALF: Decimal("0.22")}, {}))
        with pytest.raises(Damaged):
            store.prices("d", HALF, HALF + 1800)
        assert store.prices("d", HALF, HALF) == Series({HALF: Decimal("0.22")}, {})


def test_a_damaged_device_is_named_once_and_stops_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "wattfall.db"
    later, devices = NOW + 90 * DAY_S, ("d", "e", "e~gas", "f")
    with closing(SqliteStore(str(path), lambda: NOW)) as store:
        for device_id in devices:
            sent = [Reading(device_id, NOW - 90_000 + n * 600, 200, 1000 + n * 30, n) for n in range(100)]
            ingest(store, sent, NOW, "UTC")
        drain(store)
        change(path, "UPDATE devices SET body = replace(body, 'UTC', 'UCT') WHERE device_id = 'e'")
        for _ in range(2):
            assert [one.device_id for one in store.devices(limit=2, leave_out=name_once)] == ["d"]
            take_census(store, later, None)
        damage = f"{path} is damaged: e: a row differs from its check value;{DAMAGED.partition(';')[2]}"
        counts = Counter(caplog.messages)
        assert (counts[f"e: {damage}"], counts[f"the live state of e is left out: {damage}"]) == (1, 1)
        census = summary(store)
        assert census
        assert census.devices == 2
        ingest(store, [Reading("d", later, 200, 2000, 9), Reading("f", later, 200, 2000, 9)], later, "UTC")
        drain(store)
        assert sweep(store, 35, later) > 0
        with pytest.raises(Damaged):
            store.devices()
    for arguments, exit_code, last in (["verify"], 1, "2 devices, 2 differences"), (["device", "list"], 2, "f\tUTC"):
        result = CliRunner().invoke(main, [*arguments, "--store", f"sqlite:///{path}"])
        assert (result.exit_code, f"e: {damage}" in result.output, last in result.stdout) == (exit_code, True, True)


def set_aside(store: SqliteStore) -> list[list[str | None]]:
    """The rows that were taken out of the only quarantined half hour."""
    ((body,),) = store._all("SELECT body FROM aside")
    return [json.loads(line) for line in body.splitlines()]


@pytest.mark.parametrize("value", ["'AB-2'", "CAST(x'ff41' AS TEXT)"], ids=["another meter", "no text"])
def test_packing_puts_a_damaged_reading_aside_and_keeps_the_others(tmp_path: Path, value: str) -> None:
    path = tmp_path / "wattfall.db"
    with closing(filled(path)) as store:
        sent = [Reading("d", NOW + n * 60, 431, 4000 + n, 7, "AB-1") for n in range(4)]
        ingest(store, sent, NOW + 300, "UTC")
        change(path, f"UPDATE recent SET meter_id = {value} WHERE at = {NOW + 60}")
        with pytest.raises(Damaged):
            store.live("d")
        store.pack(NOW + 86_400, 1000)
        drain(store)
        assert store.readings("d", HALF, HALF) == [sent[0], *sent[2:]]
        assert "is damaged" in store.quarantined("d")[0]
        meter_id = store._one(f"SELECT CAST({value} AS BLOB)")[0].decode("latin-1")
        kept = ["d", f"{NOW + 60}", "431", "4001", "7", meter_id, None, f"{NOW + 300}"]
        assert set_aside(store) == [kept]
        change(path, f"UPDATE readings SET body = x'00ff' WHERE start = {HALF}")
        ingest(store, [Reading("d", NOW + 360, 500, 4900, 8)], NOW + 400, "UTC")
        store.pack(NOW + 86_400, 1000)
        store.quarantine(READINGS, "d", [str(HALF)], "another reason")
        assert [set_aside(store)[0], *(row[-1] for row in set_aside(store)[1:])] == [kept, "\x00\xff"]
        ingest(store, [Reading("d", NOW + 400, 500, 5000, 9)], NOW + 400, "UTC")
        live = store.live("d")
        assert live
        assert (live.at, live.power_w) == (NOW + 400, 500)


def test_the_retention_cutoff_never_moves_back(tmp_path: Path) -> None:
    """A later sweep of older history leaves the cutoff where it is."""
    store = filled(tmp_path / "wattfall.db")
    device = store.device("d")
    assert device is not None
    cutoff = NOW + MARGIN_DAYS * DAY_S + 1
    assert expire(store, device, cutoff) > 0
    assert store.retention_cutoff("d") == cutoff
    old = [Reading("d", NOW - 900_000 + n * 1800, None, n, None) for n in range(10)]
    ingest(store, old, NOW - 5000, "UTC")
    drain(store)
    assert expire(store, device, cutoff - 4000) == 10
    assert store.retention_cutoff("d") == cutoff
    store.close()


# The schema

PINNED = "ddf99cdb568d6f81c2b716f158b4a290ea57d91eeeddfc5501ce30aad8a6e408"  # SHA-256 of the schema of version 2
CHECK = 3_382_789_145  # of SEEN
CHANGED = "changing the schema needs a new VERSION, a migration and a test that opens the file of the version before"


def test_the_schema_is_that_of_its_version() -> None:
    assert VERSION == 2, CHANGED
    assert sha256(" ".join((SCHEMA + LEVEL_TABLE).split()).encode()).hexdigest() == PINNED, CHANGED
    assert crc_of(*SEEN, NOW, None) == crcs_of([(*SEEN, NOW, None)])[0] == CHECK, CHANGED


def test_a_file_of_version_1_gets_layers_and_check_values(tmp_path: Path) -> None:
    path = tmp_path / "wattfall.db"
    with closing(filled(path)) as store:
        ingest(store, [Reading(*SEEN)], NOW, "UTC")
        store.write_intervals([SPAN], NOW)
        store.put_prices("d", PRICES)
        store.put_retention_cutoff("d", NOW - 10)
        store.put_record("notes", "a", "1")
        before = store._all("SELECT sql FROM sqlite_master ORDER BY name")
    change(path, "DROP TABLE layers")
    for table in CHECKED.keys() - {"layers"}:
        change(path, f"ALTER TABLE {table} DROP COLUMN check_value")
    change(path, "PRAGMA user_version = 1")
    for _ in range(2):
        with closing(SqliteStore(str(path))) as store:
            read_everything(store)
            assert store.readings("d", HALF, HALF)[-1] == Reading(*SEEN)
            assert (store.prices("d", HALF, HALF + 1800), store.retention_cutoff("d")) == (PRICES, NOW - 10)
            assert (store.record("notes", "a"), any(store.damaged_records())) == ("1", False)
            assert store._all("SELECT sql FROM sqlite_master ORDER BY name") == before
            assert store._one("PRAGMA user_version") == (VERSION,)
    with closing(SqliteStore(str(path))) as store:
        store.write_layer(-1, [SPAN._replace(start=NOW + 1800, end=NOW + 3600)], NOW)
        assert [one.start for one in store.intervals("d", HALF, NOW + 1800)] == [NOW, NOW + 1800]
    change(path, "UPDATE recent SET import_wh = 2001")
    with closing(SqliteStore(str(path))) as store, pytest.raises(Damaged):
        read_everything(store)


def test_a_look_for_readings_passes_over_no_intervals_of_imports(tmp_path: Path) -> None:
    with closing(SqliteStore(str(tmp_path / "wattfall.db"))) as store:
        store.write_layer(
            -1, [Interval("d", start, start + 1800, 1, None) for start in range(0, 5000 * 1800, 1800)], NOW
        )
        looks: list[int] = []
        store._database.set_progress_handler(lambda: looks.append(1), 1000)  # of SQLite's own instructions
        for count in (1, -1):
            assert store.block_starts("d", 2500 * 1800, count, of_readings=True) == []
        assert not looks


# The registry and the records


def test_empty_labels_take_no_space(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "wattfall.db"))
    store.put_device(Device("d"))
    (plain,) = store._one("SELECT body FROM devices")
    assert json.loads(plain).keys().isdisjoint(LABELS)
    store.put_device(Device("d", name="12 Acacia Road"))
    (named,) = store._one("SELECT body FROM devices")
    assert json.loads(named) == json.loads(plain) | {"name": "12 Acacia Road"}
    store.close()


def test_a_device_and_its_search_terms_are_written_together(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "wattfall.db"))
    store.put_device(Device("d", name="Oak House"))
    with suppress(KeyError), store.transaction():
        store.put_device(Device("d", name="Elm House"))
        store.put_record("notes", "a", "1")
        raise KeyError
    assert store.find_devices("oak", 9) == ["d"]
    assert store.find_devices("elm", 9) == []
    assert store.record("notes", "a") is None
    store.put_device(Device("d"))
    assert store._all("SELECT term FROM device_terms ORDER BY term") == [("<d",), ("d",)]
    store.close()


def test_a_sweep_deletes_expired_records(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "wattfall.db"), lambda: NOW)
    for expires in (0, NOW - 1, NOW, NOW + 1):
        store.put_record("sessions", str(expires), "{}", expires=expires)
    assert sweep(store, 35, NOW) == 0
    assert store._all("SELECT key FROM records ORDER BY key") == [("0",), (str(NOW + 1),)]
    store.close()


# An unusable file: each fault gives one line with the file and the mend


def of_a_newer_version(path: Path) -> None:
    filled(path).close()
    change(path, f"PRAGMA user_version = {VERSION + 1}")


def of_another_program(path: Path) -> None:
    change(path, "CREATE TABLE diary (day TEXT)")


def a_letter(path: Path) -> None:
    path.write_text("Dear all, " * 1000)


def cut_in_half(path: Path) -> None:
    filled(path).close()
    os.truncate(path, path.stat().st_size // 2)


def cut_in_its_header(path: Path) -> None:
    filled(path).close()
    os.truncate(path, 100)


def overwritten(path: Path) -> None:
    """Overwrite the file from the second page on."""
    filled(path).close()
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * (path.stat().st_size - 8192))


def overwritten_at_its_start(path: Path) -> None:
    filled(path).close()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * 4000)


def a_folder(path: Path) -> None:
    path.mkdir()


def change(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as database:
        database.execute(statement)
    database.close()


NEWER = "was written by a newer Wattfall (format 3, this one knows 2); upgrade Wattfall or name another file"
FOREIGN = "is not a Wattfall store; name another file"
DAMAGED = "is damaged; put a backup in its place with `wattfall restore`"
CLOSED = "cannot be opened; check that its folder exists and is writable"
FAULTS: list[tuple[Callable[[Path], None], str]] = [
    (of_a_newer_version, NEWER),
    (of_another_program, FOREIGN),
    (a_letter, FOREIGN),
    (cut_in_half, DAMAGED),
    (cut_in_its_header, DAMAGED),
    (overwritten, DAMAGED),
    (overwritten_at_its_start, DAMAGED),
    (a_folder, CLOSED),
]


@pytest.mark.parametrize(("fault", "message"), FAULTS)
def test_an_unusable_file_gives_one_line(tmp_path: Path, fault: Callable[[Path], None], message: str) -> None:
    path = tmp_path / "wattfall.db"
    fault(path)
    with pytest.raises(StoreUnusable) as raised:
        SqliteStore(str(path)).devices()
    assert str(raised.value) == f"{path} {message}"


@pytest.mark.parametrize("arguments", [["device", "list"], ["show", "day", "d"], ["ingest"], ["verify"]])
@pytest.mark.parametrize(("fault", "message"), FAULTS)
def test_every_command_reports_an_unusable_file_and_exits_with_2(
    tmp_path: Path, fault: Callable[[Path], None], message: str, arguments: list[str]
) -> None:
    path = tmp_path / "wattfall.db"
    fault(path)
    line = json.dumps({"device_id": "d", "at": "2026-06-01T00:00:00Z", "import_wh": 5})
    result = CliRunner().invoke(main, [*arguments, "--store", f"sqlite:///{path}"], input=line)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"wattfall: {path} {message}\n")


@pytest.mark.parametrize("name", ["letter.txt/wattfall.db", "letter.txt/deeper/wattfall.db"])
def test_a_file_in_place_of_a_folder_gives_one_line(tmp_path: Path, name: str) -> None:
    a_letter(tmp_path / "letter.txt")
    result = CliRunner().invoke(main, ["device", "list", "--store", f"sqlite:///{tmp_path / name}"])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"wattfall: {tmp_path / name} cannot be opened: ")
    assert result.stderr.count("\n") == 1


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "wattfall.db").touch()
    store = SqliteStore(str(tmp_path / "wattfall.db"))
    store.mark("day", "d", AGAIN)
    assert store.backlog().waiting == 1
    store.close()


# Read-only files: root may write everywhere, so another user tries

OPEN_AS_NOBODY = """
import os, sys
from aggregator.core.errors import WattfallError
from aggregator.store import open_store
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    store = open_store("sqlite:///" + sys.argv[1])
    print(store.periods("year", "d"))
    store.mark("day", "d", ["2026-01-01"])
except WattfallError as error:
    print(type(error).__name__, error)
"""
READ_ONLY = "is read-only; make the file and its folder writable"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that other users can reach, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        yield path
        path.chmod(0o755)


@pytest.mark.parametrize(
    ("file_mode", "folder_mode", "is_readable", "message"),
    [
        (0o444, 0o555, False, READ_ONLY),
        (0o444, 0o777, True, READ_ONLY),
        (0o000, 0o755, False, CLOSED),
    ],
)
def test_a_read_only_file_gives_one_line(
    folder: Path, file_mode: int, folder_mode: int, message: str, *, is_readable: bool
) -> None:
    path = folder / "wattfall.db"
    filled(path).close()
    path.chmod(file_mode)
    folder.chmod(folder_mode)
    assert as_nobody(path) == [*["['2026']"] * is_readable, f"StoreUnusable {path} {message}"]


def test_a_store_in_a_read_only_folder_gives_one_line(folder: Path) -> None:
    folder.chmod(0o555)
    assert as_nobody(folder / "wattfall.db") == [
        f"StoreUnusable {folder}/wattfall.db cannot be opened: Permission denied"
    ]


def test_a_store_on_a_read_only_disk_is_named_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says only that it cannot open the file: it writes beside the file even to read it."""
    monkeypatch.setattr(os, "access", lambda _path, mode: mode == os.R_OK)
    error = sqlite3.OperationalError("unable to open database file")
    error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
    assert str(translated("/mnt/wattfall.db", error)) == f"/mnt/wattfall.db {READ_ONLY}"


def as_nobody(path: Path) -> list[str]:
    command = [sys.executable, "-c", OPEN_AS_NOBODY, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert re.fullmatch(r"(.* can be opened by other users; .*\n)?", result.stderr)
    return result.stdout.splitlines()


# A full disk

INGEST_WITH_A_LIMIT = """
import resource, signal, sys
from dashboard.commands.main import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
main(["ingest", "--store", "sqlite:///" + sys.argv[1]])
"""


def many() -> list[Reading]:
    return [Reading(f"e{number}", NOW, 200, number, None, "meter" * 12) for number in range(2000)]


def test_a_full_disk_gives_one_line_and_loses_no_acknowledged_reading(tmp_path: Path) -> None:
    path = tmp_path / "wattfall.db"
    store = filled(path)
    before = store.readings("d", 0, NOW)
    pages = int(store._database.execute("PRAGMA page_count").fetchone()[0])
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnusable) as raised:
        ingest(store, many(), NOW, "UTC")
    assert str(raised.value) == f"{path} cannot grow, its disk or that of temporary files is full; free some space"
    assert [device.device_id for device in store.devices()] == ["d"]
    assert store.readings("d", 0, NOW) == before
    store._database.execute(f"PRAGMA max_page_count = {pages + 1000}")
    ingest(store, many(), NOW, "UTC")
    assert store.readings("e1999", 0, NOW) == many()[1999:]
    store.close()


@pytest.mark.parametrize("limit", [0, 50_000, 200_000])
def test_a_file_at_its_size_limit_is_one_error_line(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "wattfall.db"
    line = '{{"device_id": "d{}", "at": "2026-06-01T00:00:00Z", "import_wh": 5}}'
    text = "\n".join(line.format(number) for number in range(3000))
    command = [sys.executable, "-c", INGEST_WITH_A_LIMIT, str(path), str(limit)]
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"wattfall: {path} cannot be read or written; check the disk\n"


# Another process


def test_a_long_write_elsewhere_raises_store_away_without_blocking_readers(tmp_path: Path) -> None:
    path = tmp_path / "wattfall.db"
    filled(path).close()
    store = SqliteStore(str(path), busy_s=0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreAway) as raised:
        store.mark("day", "d", AGAIN)
    assert str(raised.value).startswith(f"{path} is busy: another process is writing")
    assert store.periods("year", "d") == ["2026"]
    other.execute("ROLLBACK")
    other.close()
    store.mark("day", "d", AGAIN)
    assert store.backlog().waiting == 1
    store.close()


def test_a_writer_waits_for_a_short_write_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "wattfall.db"
    store = filled(path)
    program = (
        "import sqlite3, sys, time\n"
        "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True)\n"
        "time.sleep(0.3)\n"
        "database.execute('COMMIT')"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        store.mark("day", "d", AGAIN)
    assert store.backlog().waiting == 1
    store.close()


def test_a_damaged_block_is_quarantined_and_new_readings_are_stored(tmp_path: Path) -> None:
    store = filled(tmp_path / "wattfall.db")
    newest = store.readings("d", 0, NOW)[-1]
    start = newest.at - newest.at % 1800
    with sqlite3.connect(tmp_path / "wattfall.db") as database:
        database.execute("UPDATE readings SET body = x'00ff' WHERE device_id = 'd' AND start = ?", (start,))
    database.close()
    late = newest._replace(at=newest.at + 1)

    assert ingest(store, [late, late._replace(device_id="other")], NOW, "UTC") == (2, 0)
    assert store.readings("d", start, start) == [late]
    assert f"readings {start}" in store.quarantined("d")[0]
    store.close()


# Packing


START = NOW - NOW % 1800 - 1800


def sent(device_id: str, count: int = 30, start: int = START) -> list[Reading]:
    return [Reading(device_id, start + 10 * n, n, 1000 + n, None, "m") for n in range(count)]


def write(store: SqliteStore, readings: list[Reading], now: int = NOW) -> Written:
    block = readings[0].at - readings[0].at % 1800
    return store.write_readings({(readings[0].device_id, block): {one.at: one for one in readings}}, now)


def rows(store: SqliteStore) -> tuple[int, int]:
    """Count the readings that lie as rows, and the packed half hours."""
    return tuple(store._one(f"SELECT count(*) FROM {table}")[0] for table in ("recent", "readings"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(str(tmp_path / "wattfall.db"))
    yield opened
    opened.close()


def test_a_half_hour_is_packed_once_it_is_over_and_quiet(store: SqliteStore) -> None:
    write(store, sent("d"), START + 1900)
    before, changes = store.readings("d", 0, NOW), store.changes("readings", 9)
    for early in (START + 1799, START + 1900):
        assert store.pack(early, 9) == 0
    assert rows(store) == (30, 0)
    assert store.pack(START + 1901, 9) == 1
    assert rows(store) == (0, 1)
    assert store.readings("d", 0, NOW) == before == sent("d")
    assert store.changes("readings", 9) == changes
    assert store.pack(START + 1901, 9) == 0


def test_late_evidence_lies_beside_a_packed_half_hour_until_the_next_packing(store: SqliteStore) -> None:
    write(store, sent("d"))
    store.pack(NOW + 1, 9)
    late = [Reading("d", START, None, None, 5), Reading("d", START + 5, 9, None, None), sent("d")[3]]
    assert write(store, late, NOW + 10) == (2, 1)
    assert rows(store) == (2, 1)
    expected = [sent("d")[0]._replace(export_wh=5), late[1], *sent("d")[1:]]
    assert store.readings("d", START, START) == expected
    assert write(store, late, NOW + 11) == (0, 3)
    store.pack(NOW + 12, 9)
    assert rows(store) == (0, 1)
    assert store.readings("d", START, START) == expected
    assert store.expire_readings("d", NOW, NOW + 10) == 0  # the late ones keep it


def test_a_chunk_of_a_half_hour_is_packed_at_once_with_what_was_there(store: SqliteStore) -> None:
    write(store, sent("d"))
    many = [one._replace(export_wh=1) for one in sent("d", MANY + 40)]
    assert write(store, many) == (MANY + 40, 0)
    assert rows(store) == (0, 1)
    assert store.readings("d", START, START) == many
    assert write(store, many[:5] + sent("d", MANY + 45)[-5:]) == (5, 5)
    assert rows(store) == (5, 1)


def test_packing_goes_from_device_to_device_a_few_at_a_time(store: SqliteStore) -> None:
    for number in range(5):
        write(store, sent(f"d{number}"))
        write(store, sent(f"d{number}", start=START - 1800))
        write(store, sent(f"d{number}", start=START + 1800), NOW + 1800)
    packed = [store.pack(NOW + 1, 3) for _ in range(5)]
    assert max(packed) == 3
    assert sum(packed) == 10
    assert rows(store) == (5 * 30, 10)
    for number in range(5):
        assert len(store.readings(f"d{number}", 0, NOW + 1800)) == 90


@pytest.mark.parametrize("column", ["readings", "intervals"])
def test_an_import_over_a_damaged_layer_names_the_file(store: SqliteStore, column: str) -> None:
    start = NOW // 1800 * 1800
    store.write_layer(-1, [Reading("d", start, 1, None, None), Interval("d", start, start + 1800, 5, None)], NOW)
    store._database.execute(f"UPDATE layers SET {column} = X'00'")
    with pytest.raises(StoreUnusable, match=r"is damaged: d, \d+: .*wattfall restore"):
        store.write_layer(-1, [Reading("d", start + 1, 1, None, None)], NOW)


def test_a_damaged_packed_half_hour_costs_no_later_reading(store: SqliteStore) -> None:
    for device_id in ("a", "b"):
        write(store, sent(device_id))
    store.pack(NOW + 1, 9)
    for device_id in ("a", "b"):
        write(store, [Reading(device_id, START + 5, 9, None, None)])
    store._run("UPDATE readings SET body = x'00ff' WHERE device_id = 'a'")
    assert store.pack(NOW + 1, 9) == 2
    assert store.readings("a", START, START) == [Reading("a", START + 5, 9, None, None)]
    assert len(store.readings("b", START, START)) == 31
    assert f"readings {START}" in store.quarantined("a")[0]
    assert set_aside(store) == [["a", str(START), str(NOW), "\x00\xff"]]
    assert store.quarantined("b") == []


def test_a_thread_that_ends_leaves_no_open_file(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    with closing(SqliteStore(str(tmp_path / "store.db"))) as store:
        before = len(list(descriptors.iterdir()))
        for _ in range(20):
            thread = Thread(target=store.devices)
            thread.start()
            thread.join()
        store.put_device(Device("d"))
        assert len(list(descriptors.iterdir())) <= before + 3  # SQLite keeps a few for the next connection


def test_a_store_outlives_the_thread_that_opened_it(tmp_path: Path) -> None:
    stores: list[SqliteStore] = []
    thread = Thread(target=lambda: stores.append(SqliteStore(str(tmp_path / "store.db"))))
    thread.start()
    thread.join()
    with closing(stores[0]) as store:
        store.put_device(Device("d"))
        assert store.device("d") == Device("d")


def test_an_impatient_write_does_not_wait_for_the_lock(tmp_path: Path) -> None:
    path = str(tmp_path / "wattfall.db")
    store, other = SqliteStore(path, busy_s=60), SqliteStore(path)
    with other.transaction(), pytest.raises(StoreAway):
        store.put_record("notes", "d", "{}", is_patient=False)  # a patient one would wait for a minute
    assert store._one("PRAGMA busy_timeout") == (60_000,)
    assert store.put_record("notes", "d", "{}", is_patient=False)
    store.close()
    other.close()


def test_a_device_that_another_connection_changed_is_read_again(tmp_path: Path) -> None:
    store, other = (SqliteStore(str(tmp_path / "wattfall.db")) for _ in range(2))
    for name in ("one", "two"):
        other.put_device(Device("d", name=name))
        with store.transaction():
            assert store.device("d") == Device("d", name=name)
    with suppress(ZeroDivisionError), store.transaction():
        store.put_device(Device("d", name="never"))
        raise ZeroDivisionError
    with store.transaction():
        assert store.device("d") == Device("d", name="two")
    store.close()
    other.close()


def test_a_key_that_another_connection_settled_is_marked_again(tmp_path: Path) -> None:
    store, other = (SqliteStore(str(tmp_path / "wattfall.db")) for _ in range(2))
    for settling in (other, store):
        store.mark("day", "d", AGAIN)
        assert len(store.changes("day", 10)) == 1
        settling.settle(settling.changes("day", 10))
        store.mark("day", "d", AGAIN)
        assert len(store.changes("day", 10)) == 1
    with suppress(ZeroDivisionError), store.transaction():
        store.mark("day", "d", ["2026-01-02"])
        raise ZeroDivisionError
    store.mark("day", "d", ["2026-01-02"])
    assert len(store.changes("day", 10)) == 2
    store.close()
    other.close()
