"""Every look at a home is audited, and a changed audit is detected."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import ConfigurationError, StoreAway, StoreUnusable
from aggregator.store import Store, open_store
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.support import audit
from aggregator.support.actions import look_up
from aggregator.support.audit import (
    GRANT_HOURS,
    Entry,
    Who,
    append,
    check,
    entries,
    granted,
    seen_by_staff,
    withdraw,
)
from aggregator.support.audit_entry import check_reason, decode, encode

NOW, DAY = 1_795_000_205, 86_400  # 2026-11-18
ANNA = Who("u-1", "Anna.Kay@example.com", "support", "Anna Kay")
BEN = Who("u-2", "ben@example.com", "support")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/audit.db")
    yield opened
    opened.close()


def numbers(listed: list[Entry]) -> list[int]:
    return [entry.number for entry in listed]


def test_an_entry_has_person_action_device_time_and_reason(store: Store) -> None:
    append(store, ANNA, "rebuild", "cad-1", "hole in  Tuesday\n", NOW, {"from": "2026-11-17"})

    (entry,) = entries(store)
    assert (entry.who, entry.action, entry.device_id, entry.at) == (ANNA, "rebuild", "cad-1", NOW)
    assert (entry.reason, entry.details) == ("hole in Tuesday", {"from": "2026-11-17"})
    assert entry.as_json()["email"] == "Anna.Kay@example.com"


def test_entries_are_listed_by_device_person_and_day_newest_first(store: Store) -> None:
    for number, (who, device_id) in enumerate([(ANNA, "a"), (BEN, "a"), (ANNA, "b"), (ANNA, "a"), (BEN, "")]):
        append(store, who, "note", device_id, "because", NOW + number * DAY)

    assert numbers(entries(store)) == [5, 4, 3, 2, 1]
    assert numbers(entries(store, limit=2)) == [5, 4]
    assert numbers(entries(store, device_id="a")) == [4, 2, 1]
    assert numbers(entries(store, person="u-1")) == [4, 3, 1]
    assert numbers(entries(store, person="anna.kay@EXAMPLE.com")) == [4, 3, 1]
    assert numbers(entries(store, device_id="a", person="u-2")) == [2]
    assert numbers(entries(store, first_day="2026-11-19", last_day="2026-11-21")) == [4, 3, 2]
    assert numbers(entries(store, device_id="a", first_day="2026-11-19")) == [4, 2]
    assert entries(store, first_day="2026-12-01") == []
    assert entries(store, last_day="2026-11-17") == []
    assert entries(store, device_id="nobody's") == []


def test_a_clock_set_back_keeps_entries_in_order(store: Store) -> None:
    append(store, ANNA, "note", "a", "because", NOW)
    assert append(store, ANNA, "note", "a", "because", NOW - DAY).at == NOW


@pytest.mark.parametrize("reason", ["", "  \n ", "ab", "x" * 501])
def test_a_look_up_without_a_reason_is_refused(store: Store, reason: str) -> None:
    with pytest.raises(ConfigurationError, match="give a reason of 3 to 500 characters"):
        look_up(store, ANNA, "cad-1", reason, NOW)
    assert entries(store) == []
    assert not granted(store, "u-1", "cad-1", NOW)


@given(st.text())
def test_a_reason_is_one_printable_line_or_refused(text: str) -> None:
    try:
        said = check_reason(text)
    except ConfigurationError as error:
        said = str(error)
    assert said.isprintable()


def test_a_look_up_grants_one_person_one_device_for_hours(store: Store) -> None:
    now = int(time.time())  # the store's own clock counts too
    look_up(store, ANNA, "cad-1", "customer called", now)

    assert granted(store, "u-1", "cad-1", now)
    assert granted(store, "u-1", "cad-1", now + GRANT_HOURS * 3600 - 1)
    assert not granted(store, "u-1", "cad-1", now + GRANT_HOURS * 3600)
    assert not granted(store, "u-1", "cad-2", now)
    assert not granted(store, "u-2", "cad-1", now)
    withdraw(store, "u-1", "cad-1")
    assert not granted(store, "u-1", "cad-1", now)


def test_a_home_sees_staff_without_their_address(store: Store) -> None:
    look_up(store, ANNA, "cad-1", "customer called", NOW)
    append(store, BEN, "rebuild", "cad-1", "hole in Tuesday", NOW + 60, {"from": "2026-11-17"})
    look_up(store, ANNA, "other", "somebody else", NOW)

    assert seen_by_staff(store, "cad-1") == [
        audit.Seen(NOW + 60, "support", "rebuild", "hole in Tuesday", {"from": "2026-11-17"}),
        audit.Seen(NOW, "support, Anna K.", "look-up", "customer called", {}),
    ]


# The chain


def three(store: Store) -> None:
    for device_id in "abc":
        look_up(store, ANNA, device_id, f"asked about {device_id}", NOW)


def test_an_untouched_audit_has_no_faults(store: Store) -> None:
    assert list(check(store)) == []
    three(store)
    assert list(check(store)) == []


def test_a_changed_entry_is_detected(store: Store) -> None:
    three(store)
    (second,) = entries(store, device_id="b")
    fields = orjson.loads(store.record("audit", second.key) or "")
    forged = orjson.dumps([*fields[:5], "nothing much", *fields[6:]]).decode()
    store.put_record("audit", second.key, forged)
    assert list(check(store)) == [
        "entry 2 was changed",
        *(f"entry 2 is not the same on audit/{collection}" for collection in ("device/b", "person/u-1")),
        "entry 2 is not the same on audit/person/anna.kay@example.com",
    ]


def test_an_entry_with_a_new_hash_breaks_the_chain(store: Store) -> None:
    three(store)
    (second,) = entries(store, device_id="b")
    _, forged = encode(Entry(2, NOW, BEN, "look-up", "b", "it was not me", {}, second.previous))
    for collection in ("audit", "audit/device/b", "audit/person/u-2", "audit/person/ben@example.com"):
        store.put_record(collection, second.key, forged)
    assert list(check(store)) == ["entry 3 does not follow the one before it"]


@pytest.mark.parametrize(
    ("removed", "line"),
    [(1, "entries after 0 missing, up to 1"), (2, "entries after 1 missing, up to 2")],
)
def test_a_removed_entry_is_detected(store: Store, removed: int, line: str) -> None:
    three(store)
    store.drop_record("audit", f"{removed:012d}")
    assert list(check(store)) == [line]


def test_a_truncated_audit_is_detected_after_new_entries(store: Store) -> None:
    three(store)
    store.drop_record("audit", f"{3:012d}")
    assert list(check(store)) == ["entries after 2 missing, up to 3"]
    look_up(store, BEN, "d", "asked about d", NOW)
    assert list(check(store)) == ["entries after 2 missing, up to 3"]


def test_a_damaged_entry_is_detected_and_others_stay_readable(store: Store) -> None:
    three(store)
    store.put_record("audit", f"{2:012d}", "{")
    assert list(check(store)) == ["entry 000000000002 cannot be read"]
    assert numbers(entries(store, device_id="c")) == [3]
    store.put_record("audit", f"{4:012d}", "{")
    with pytest.raises(StoreUnusable, match="entry 000000000004 of the audit cannot be read"):
        look_up(store, ANNA, "d", "asked about d", NOW)


class Dying(SqliteStore):
    """A store whose process dies at its nth write of a record."""

    left = 1000

    def put_record(self, *place: Any, **more: Any) -> bool:  # noqa: ANN401 - handed on
        self.left -= 1
        if self.left == 0:
            raise StoreAway("killed")
        return super().put_record(*place, **more)


@pytest.mark.parametrize("at", range(1, 8))
def test_the_next_writer_completes_an_interrupted_entry(tmp_path: Path, at: int) -> None:
    store = Dying(str(tmp_path / "dying.db"))
    append(store, BEN, "note", "a", "the first", NOW)
    store.left = at
    with pytest.raises(StoreAway):
        look_up(store, ANNA, "a", "customer called", NOW)
    granted_before = granted(store, "u-1", "a", NOW)

    written = [2, 1] if at > 1 else [1]
    assert numbers(entries(store, device_id="a")) == written
    assert numbers(entries(store, person="u-1")) == written[:-1]
    append(store, BEN, "note", "a", "the last", NOW)
    assert numbers(entries(store)) == [written[0] + 1, *written]
    assert list(check(store)) == []
    assert not granted_before, "nobody sees a home before the entry is complete"
    store.close()


def test_no_code_deletes_or_replaces_an_entry() -> None:
    root = Path(audit.__file__).parents[2]
    paths = [path for package in ("aggregator", "dashboard") for path in (root / package).rglob("*.py")]
    sources = {path: path.read_text() for path in paths}
    collections = re.compile(r"""_record\(\s*f?["']audit""")
    assert [path.name for path, text in sources.items() if collections.search(text)] == []

    own = sources[root / "aggregator" / "support" / "audit.py"]
    assert re.findall(r"drop_record\((.*)\)", own) == ["_grants(user_id), device_id"]
    assert re.findall(r"put_record\(_LEDGER, (.*)\)", own) == ["entry.key, body, was=None"]


def test_concurrent_entries_get_distinct_numbers_in_one_chain(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        store = open_store(f"sqlite:///{tmp_path}/audit.db")
        list(pool.map(lambda n: append(store, ANNA, "note", f"d-{n % 3}", "because", NOW), range(40)))
        assert numbers(entries(store)) == [*range(40, 0, -1)]
        assert list(check(store)) == []
    store.close()


@given(st.text(max_size=20), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_an_entry_survives_a_round_trip(reason: str, details: dict[str, str]) -> None:
    try:
        entry, body = encode(Entry(1, NOW, ANNA, "note", "a", reason, details, "0" * 64))
    except TypeError:  # a lone surrogate, which no form can send
        return
    assert decode(body) == entry
    assert entry.is_intact
