"""The table of collections gives every name."""

import ast
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aggregator.core.errors import StoreAway
from aggregator.core.periods import DAY_S
from aggregator.store import collections
from aggregator.store.collections import (
    COLLECTIONS,
    FEW_TRIES,
    REFUSED_DAYS,
    REFUSED_MESSAGES,
    SIGNAL,
    STATUS,
    TOKENS,
    TRIES,
    USERS,
    Collection,
    Update,
    update_record,
)
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.store.stored_records import check_record

ROOT = Path(__file__).parents[3]
TABLE = ROOT / "aggregator/store/collections.py"
SAMPLES = {"device": "cad-1", "user": "u-1", "pseudonym": "0f" * 16, "shard": "07", "day": "2026-11-23", "": None}
RECORDS = ("record", "records", "put_record", "drop_record", "update_record")


def concrete(row: Collection) -> str:
    return row.of(SAMPLES[row.part])


# The table


def test_a_name_has_its_variable_part_filled_in() -> None:
    assert (TOKENS.of(), SIGNAL.of("cad-1")) == ("tokens", "signal/cad-1")
    assert REFUSED_MESSAGES.of("cad-1") == "refused/cad-1/messages"
    assert REFUSED_DAYS.of("2026-11-23") == "refused/days/2026-11-23"
    assert STATUS.of(STATUS.shard_of("cad-1")) == "status/15"


@pytest.mark.parametrize("row", COLLECTIONS, ids=lambda row: row.name)
def test_a_row_gives_a_name_that_the_store_takes(row: Collection) -> None:
    check_record(concrete(row), "key")
    assert row.meaning


def test_the_table_has_every_row() -> None:
    assert set(COLLECTIONS) == {one for one in vars(collections).values() if isinstance(one, Collection)}
    assert len({row.name for row in COLLECTIONS}) == len(COLLECTIONS)


def test_a_wrong_variable_part_is_refused() -> None:
    with pytest.raises(ValueError, match="signal"):
        SIGNAL.of()
    with pytest.raises(ValueError, match="tokens"):
        TOKENS.of("cad-1")


def test_a_lifetime_gives_days_and_an_expiry() -> None:
    assert (SIGNAL.days, SIGNAL.expires(1_000)) == (36, 1_000 + 36 * DAY_S)
    assert (USERS.days, USERS.expires(1_000)) == (0, 0)


# Names in the code


def calls(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the collection argument of each call that reads or writes records."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in RECORDS and node.args:
                yield node.args[1 if name == "update_record" else 0]


def assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the value assigned to each name, in the module or inside functions."""
    pairs = [(node.targets, node.value) for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    return {target.id: value for targets, value in pairs for target in targets if isinstance(target, ast.Name)}


def literal(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant | ast.JoinedStr | ast.Starred | ast.BinOp)


def pattern(node: ast.AST) -> str:
    """Return the text of a literal; `{}` stands for each variable part of an f-string."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def test_no_module_writes_the_name_of_a_collection() -> None:
    families = {re.sub(r"\{\w+\}", "{}", row.name) for row in COLLECTIONS if "/" in row.name}
    written, checked = [], 0
    for path in (one for package in ("aggregator", "dashboard") for one in (ROOT / package).rglob("*.py")):
        tree = ast.parse(path.read_text())
        names, arguments = assigned(tree), list(calls(tree))
        checked += len(arguments)
        written += [
            f"{path.name}:{one.lineno}"
            for one in arguments
            if literal(one) or (isinstance(one, ast.Name) and literal(names.get(one.id)))
        ]
        if path != TABLE:
            written += [f"{path.name}: {text}" for text in map(pattern, ast.walk(tree)) if text in families]
    assert written == []
    assert checked > 50


# Changing a record


class Contended(SqliteStore):
    """A store on which another writer is faster for the next `losses` writes."""

    losses = 0

    def put_record(self, *place: Any, **more: Any) -> bool:  # noqa: ANN401 - handed on
        if self.losses:
            self.losses -= 1
            collection, key = place[:2]
            super().put_record(collection, key, str(int(self.record(collection, key) or 0) + 10))
        return super().put_record(*place, **more)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Contended]:
    monkeypatch.setattr(collections, "_LONGEST_S", 0.0)
    made = Contended(str(tmp_path / "records.db"))
    yield made
    made.close()


def add(body: str | None) -> str:
    return str(int(body or 0) + 1)


def test_a_change_starts_from_the_current_record(store: Contended) -> None:
    assert update_record(store, "counts", "a", add) == Update(None, "1")
    assert update_record(store, "counts", "a", add) == Update("1", "2")
    store.losses = TRIES - 1
    last = 2 + 10 * (TRIES - 1)
    assert update_record(store, "counts", "a", add) == Update(str(last), str(last + 1))
    assert store.record("counts", "a") == str(last + 1)


@pytest.mark.parametrize("same", [lambda _: None, lambda body: body])
def test_an_empty_change_writes_nothing(store: Contended, same: Any) -> None:  # noqa: ANN401 - a lambda
    assert update_record(store, "counts", "a", same) == Update(None, None)
    update_record(store, "counts", "a", add)
    store.losses = 1
    assert update_record(store, "counts", "a", same) == Update("1", "1")
    assert store.losses == 1


def test_a_change_that_always_loses_raises_or_is_given_up(store: Contended) -> None:
    store.losses = TRIES
    with pytest.raises(StoreAway, match="a of counts"):
        update_record(store, "counts", "a", add)
    assert (store.losses, store.record("counts", "a")) == (0, str(10 * TRIES))
    store.losses = FEW_TRIES + 1
    given_up = update_record(store, "counts", "a", add, may_be_lost=True)
    assert (store.losses, given_up.was) == (1, given_up.body)


def test_a_changed_record_expires(store: Contended) -> None:
    update_record(store, "counts", "a", add, expires=int(time.time()) - 1)
    assert store.record("counts", "a") is None


def test_concurrent_changes_are_all_applied(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "busy.db"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: update_record(store, "counts", "a", add), range(200)))
    assert store.record("counts", "a") == "200"
    store.close()
