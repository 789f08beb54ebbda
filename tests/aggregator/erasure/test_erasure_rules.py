"""No table, collection or index is forgotten: each is erased by name, or declared free of people."""

import sqlite3
from pathlib import Path

from aggregator.erasure.erasure_rules import FREE, OF_DEVICE, TABLES, WALKED, keys_of_person
from aggregator.store.collections import COLLECTIONS
from aggregator.store.dynamodb.tables import tables
from aggregator.store.sqlite.sqlite_store import SqliteStore


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
        ("users", "u-1"),
    ]


def test_what_is_free_belongs_to_nobody() -> None:
    assert [row.name for row in FREE if row.owner != "nobody"] == []
