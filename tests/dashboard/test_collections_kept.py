"""A store in which everything has happened once: the table explains each collection in it, and names no other."""

import sqlite3
import time
from pathlib import Path

import pytest

from aggregator.erasure.erasure_rules import FREE
from aggregator.store import open_store
from aggregator.store.collections import COLLECTIONS, FOR_EVER
from dashboard.accounts.users import User
from tests.planted import plant, row_of, traces

Row = tuple[str, str, int, str]  # collection, key, expiry, body


@pytest.fixture(scope="module")
def ann_and_rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[User, list[Row]]:
    """Somebody, and all records of the store."""
    path = Path(tmp_path_factory.mktemp("furnished")) / "all.db"
    store = open_store(f"sqlite:///{path}")
    ann = plant(store, int(time.time()))
    store.close()
    with sqlite3.connect(path) as database:
        return ann, database.execute("SELECT shelf, key, expires, body FROM records").fetchall()


def test_stored_collections_and_rows_match(ann_and_rows: tuple[User, list[Row]]) -> None:
    rows = ann_and_rows[1]
    assert [name for name, *_ in rows if row_of(name) is None] == []
    assert [row.name for row in COLLECTIONS if row not in {row_of(name) for name, *_ in rows}] == []


def test_a_record_lives_as_long_as_its_row_says(ann_and_rows: tuple[User, list[Row]]) -> None:
    for name, key, expires, _ in ann_and_rows[1]:
        row = row_of(name)
        assert row
        assert bool(expires) is (row.lifetime_s != FOR_EVER), name
        assert expires <= row.expires(int(time.time())), (name, key)


def test_a_collection_that_an_erasure_leaves_names_no_person(ann_and_rows: tuple[User, list[Row]]) -> None:
    ann, rows = ann_and_rows
    free = [record for record in rows if row_of(record[0]) in FREE]
    assert free
    assert [record for record in free for name in traces(ann) if name in str(record)] == []
