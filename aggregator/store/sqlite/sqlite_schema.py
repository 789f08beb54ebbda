"""The embedded store's schema: its tables, the migrations of earlier versions, the check values of rows. Pure.

A packed block and a document tell by themselves whether they are intact. A row that is spread over columns, or holds
plain text, has a check value beside them: what writes the row sets it, and what reads the row compares it.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

from aggregator.core.live import FIELDS
from aggregator.core.readings import Interval, Reading
from aggregator.store.stored_records import DIFFERS, packed

APPLICATION_ID = 0x57415454  # "WATT"
VERSION = 2  # of the schema; a change needs a new one, a migration, and a test with a file of the version before

CHECKED = {  # tables whose rows have a check value of these columns
    "recent": (*Reading._fields, "written"),
    "intervals": (*Interval._fields, "written"),
    "live": ("device_id", "at", "received_at", *FIELDS, "power_at", "import_at", "export_at", "arrivals"),
    "layers": ("device_id", "start", "layer", "written", "readings", "intervals"),
    "devices": ("device_id", "body"),
    "horizons": ("device_id", "at"),
    "prices": ("device_id", "start", "import_price", "export_price"),
    "records": ("shelf", "key", "expires", "body"),
}


def check_value(names: Iterable[str]) -> str:
    """Return SQL for the check value of a row, by the names of its columns or parameters."""
    values = (f"iif(typeof({one}) = 'text', CAST({one} AS BLOB), {one})" for one in names)
    return f"check_value({', '.join(values)})"


def given(table: str) -> list[str]:
    """Return SQL's names of the values that a statement is given for a row."""
    return [f"?{number}" for number in range(1, len(CHECKED[table]) + 1)]


def crcs_of(rows: Iterable[tuple[object, ...]]) -> list[int]:
    """Return the check values of rows. Live arrival checks so many that a call of SQL for each would cost the most."""
    return list(map(crc32, map(packed, rows)))


# SQL by table: whether a row is as it was written
INTACT = {table: f"check_value IS {check_value(columns)}" for table, columns in CHECKED.items()}


def intact(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows without their last value, which is INTACT. Raises ValueError where one is not."""
    if not all(row[-1] for row in rows):
        raise ValueError(DIFFERS)
    return [row[:-1] for row in rows]


def as_written(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows of all CHECKED columns without the check value behind them. Raises ValueError where one differs."""
    found = [row[:-1] for row in rows]
    if crcs_of(found) != [row[-1] for row in rows]:
        raise ValueError(DIFFERS)
    return found


def checked_rows(*values: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - their key, then the rows
    """Return the rows, the last value, as `intact` does."""
    return intact(values[-1])


_LAYERS = """
CREATE TABLE layers (device_id TEXT, start INTEGER, layer INTEGER, written INTEGER NOT NULL, readings BLOB,
    intervals BLOB, PRIMARY KEY (device_id, start, layer)) WITHOUT ROWID;
CREATE INDEX layers_by_readings ON layers (device_id, start) WHERE readings IS NOT NULL
"""
_TABLES = f"""{_LAYERS};
CREATE TABLE devices (device_id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE device_terms (term TEXT, device_id TEXT, PRIMARY KEY (term, device_id)) WITHOUT ROWID;
CREATE TABLE live (device_id TEXT PRIMARY KEY, at INTEGER NOT NULL, received_at INTEGER NOT NULL, power_w INTEGER,
    import_wh INTEGER, export_wh INTEGER, meter_id TEXT, power_at INTEGER, import_at INTEGER, export_at INTEGER,
    arrivals TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE recent (device_id TEXT, at INTEGER, power_w INTEGER, import_wh INTEGER, export_wh INTEGER, meter_id TEXT,
    volume_l INTEGER, written INTEGER NOT NULL, PRIMARY KEY (device_id, at)) WITHOUT ROWID;
CREATE TABLE readings (device_id TEXT, start INTEGER, written INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (device_id, start)) WITHOUT ROWID;
CREATE TABLE intervals (device_id TEXT, start INTEGER, end INTEGER, import_wh INTEGER, export_wh INTEGER, source TEXT,
    volume_l INTEGER, written INTEGER NOT NULL, PRIMARY KEY (device_id, start, end)) WITHOUT ROWID;
CREATE TABLE horizons (device_id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE prices (device_id TEXT, start INTEGER, import_price TEXT, export_price TEXT,
    PRIMARY KEY (device_id, start)) WITHOUT ROWID;
CREATE TABLE records (shelf TEXT, key TEXT, expires INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (shelf, key)) WITHOUT ROWID;
CREATE INDEX records_that_expire ON records (expires) WHERE expires > 0;
CREATE TABLE aside (device_id TEXT, level TEXT, key TEXT, reason TEXT NOT NULL, body BLOB,
    PRIMARY KEY (device_id, level, key)) WITHOUT ROWID;
CREATE TABLE changes (sequence INTEGER PRIMARY KEY AUTOINCREMENT, level TEXT NOT NULL, device_id TEXT NOT NULL,
    key TEXT NOT NULL, due INTEGER NOT NULL, first INTEGER NOT NULL, UNIQUE (level, device_id, key));
CREATE INDEX changes_by_due ON changes (level, due)
"""
_CHECKS = ";".join(
    f"ALTER TABLE {table} ADD COLUMN check_value INTEGER; UPDATE {table} SET check_value = {check_value(columns)}"  # noqa: S608 - constants
    for table, columns in CHECKED.items()
)
MIGRATIONS = (f"{_LAYERS};{_CHECKS}",)  # from version 1 to 2
SCHEMA = f"{_TABLES};{_CHECKS}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}"
LEVEL_TABLE = """
CREATE TABLE IF NOT EXISTS {table} (device_id TEXT, period TEXT, created INTEGER NOT NULL, changed INTEGER NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (device_id, period)) WITHOUT ROWID
"""
