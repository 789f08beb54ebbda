"""No table, collection or index is forgotten: each is erased by name, or declared free of people."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from aggregator.core.periods import DAY_S
from aggregator.erasure.erasure_plan import ErasedStay
from aggregator.erasure.erasure_rules import FREE, OF_DEVICE, TABLES, WALKED, erase_device_records, keys_of_person
from aggregator.store.collections import COLLECTIONS, SIGNAL
from aggregator.store.dynamodb.tables import tables
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.store.stored_records import Record

NOW = 1_800_000_000 // DAY_S * DAY_S


def test_every_collection_has_a_rule_or_is_declared_free() -> None:
    known = [*OF_DEVICE, *WALKED, *FREE]
    assert [row.name for row in COLLECTIONS if row not in known] == []
    assert [row.name for row in known if row not in COLLECTIONS] == []
    assert len(known) == len(set(known))


def test_every_table_of_both_stores_is_erased_or_declared_free(tmp_path: Path) -> None:
    path = tmp_path / "wattfall.db"
    SqliteStore(str(path)).close()
    with sqlite3.connect(path) as database:
        found = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    found |= {table.name for table in tables()}
    assert found == set(TABLES)


def test_what_others_write_during_an_erasure_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of the next household is written between the read and the write of the record."""
    store, stay = SqliteStore(str(tmp_path / "wattfall.db")), ErasedStay("d", NOW, NOW + DAY_S)
    key, old, kept, new = "0", [NOW + 60, 3, 3], [NOW - 60, 1, 1], [NOW + DAY_S + 60, 2, 2]
    store.put_record(SIGNAL.of("d"), key, json.dumps({"1": old, "2": kept}))
    records = store.records

    def slow(collection: str, *rest: Any, **more: Any) -> list[Record]:  # noqa: ANN401 - handed on as it comes
        found = records(collection, *rest, **more)
        if collection == SIGNAL.of("d") and found:
            store.put_record(collection, key, json.dumps({"1": old, "2": kept, "3": new}))
        return found

    monkeypatch.setattr(store, "records", slow)
    for _ in erase_device_records(store, stay, NOW):
        pass
    assert json.loads(store.record(SIGNAL.of("d"), key) or "") == {"2": kept, "3": new}
    store.close()


def test_a_persons_records_are_found_by_id_and_address_the_account_last() -> None:
    found = [(row.name, key) for row, key in keys_of_person("u-1", "ann@Éxample.org")]
    assert found == [
        ("audit/people", "u-1"),
        ("audit/people", "ann@éxample.org"),
        ("audit/searches", "u-1"),
        ("emails", "ann@Éxample.org"),
        ("invited", "u-1"),
        ("api/keys", "u-1"),
        ("api/uses", "u-1"),
        ("exports", "u-1"),
        ("users", "u-1"),
    ]


def test_what_is_free_belongs_to_nobody() -> None:
    assert [row.name for row in FREE if row.owner != "nobody"] == []
