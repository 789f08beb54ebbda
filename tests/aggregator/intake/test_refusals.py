"""Refusals are recorded with their reasons, and a flood of them does no harm."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.documents import Device
from aggregator.core.errors import Refused
from aggregator.core.periods import day_of
from aggregator.intake import refusals
from aggregator.intake.ingest import Outcome, ingest_lines
from aggregator.intake.refusals import (
    KEPT,
    LONGEST,
    MOST_TOPICS,
    UNKNOWN,
    Batch,
    filter_refusals,
    load_refusals,
    load_total,
    named_device,
    put_refusals,
    unknown_topics,
)
from aggregator.store import Store, open_store
from aggregator.store.collections import REFUSED_DAYS

NOW = int(time.time())  # records expire by the store's own clock
TODAY = day_of(NOW, "UTC")
DAY = 86_400


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/refused.db")
    for device_id in ("cad-1", "cad-2"):
        opened.put_device(Device(device_id))
    yield opened
    opened.close()


def line(device_id: str = "cad-1", **fields: object) -> bytes:
    return orjson.dumps({"device_id": device_id, "at": "2026-11-18T10:00:00Z", **fields})


def take_in(store: Store, *lines: bytes, now: int = NOW) -> Outcome:
    outcome = Outcome()
    ingest_lines(store, lines, 1, now, "Europe/London", outcome, lambda *_: None)
    return outcome


def test_a_refused_line_is_recorded_under_its_device(store: Store) -> None:
    bad = line(power_w="n/a")
    outcome = take_in(store, line(power_w=5), bad, line("cad-2", power_w=6))

    assert (outcome.accepted, outcome.rejected) == (2, 1)
    found = load_refusals(store, "cad-1")
    assert found.days == {TODAY: {"not_a_number": 1}}
    assert found.messages == [(0, NOW, "not_a_number", "power_w is 'n/a'", bad.decode())]
    assert load_refusals(store, "cad-2") == refusals.Refusals({}, [])


def test_a_truncated_line_still_names_its_device(store: Store) -> None:
    take_in(store, line(power_w=5)[:-4], b'{"at": "2026', b"\xff\xfe nothing")

    assert load_refusals(store, "cad-1").days == {TODAY: {"malformed_json": 1}}
    assert load_refusals(store, UNKNOWN).days == {TODAY: {"malformed_json": 2}}
    assert "\\xff\\xfe nothing" in {message.payload for message in load_refusals(store, UNKNOWN).messages}


def test_an_unknown_device_gets_no_own_record(store: Store) -> None:
    take_in(store, line("made-up-1", power_w=True), line("made-up-2", power_w=True))

    assert load_refusals(store, "made-up-1").days == {}
    assert load_refusals(store, UNKNOWN).days == {TODAY: {"not_a_number": 2}}


def test_counts_accumulate_across_batches_and_days(store: Store) -> None:
    for now in (NOW - DAY, NOW - DAY, NOW):
        take_in(store, line(power_w="x"), line(import_wh=-1), now=now)

    assert load_refusals(store, "cad-1").days == {
        TODAY: {"not_a_number": 1, "negative_register": 1},
        day_of(NOW - DAY, "UTC"): {"not_a_number": 2, "negative_register": 2},
    }
    assert [message.at for message in load_refusals(store, "cad-1").messages] == [NOW] * 2 + [NOW - DAY] * 4


def test_a_payload_is_cut_at_2_kb(store: Store) -> None:
    take_in(store, line(power_w="x" * 10_000), line(power_w="\x00" * 60_000))

    assert {len(message.payload) for message in load_refusals(store, "cad-1").messages} == {LONGEST}


def test_the_newest_messages_are_kept(store: Store) -> None:
    for number in range(KEPT + 5):
        take_in(store, line(power_w="x", n=number), now=NOW - 7200 + number * refusals.PAUSE_S)

    kept = [orjson.loads(message.payload)["n"] for message in load_refusals(store, "cad-1").messages]
    assert kept == [*range(KEPT + 4, 4, -1)]


def test_one_refused_message_a_minute_is_kept(store: Store) -> None:
    for number in range(200):
        take_in(store, line(power_w="x", n=number), now=NOW - 200 + number)

    (counts,) = load_refusals(store, "cad-1").days.values()
    kept = [orjson.loads(message.payload)["n"] for message in load_refusals(store, "cad-1").messages]
    assert counts == {"not_a_number": 200}
    assert kept == [199, 139, 79, *range(KEPT - 1, 2, -1)]


def test_a_flood_of_devices_keeps_bounded_messages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "ALL_A_DAY", 20 * REFUSED_DAYS.shards)
    owners = [f"home-{number}" for number in range(900)]
    for owner in owners:
        store.put_device(Device(owner))
    for _ in range(3):
        for first in range(0, 900, 300):
            take_in(store, *(line(owner, power_w="x") for owner in owners[first : first + 300]))

    total = load_total(store, TODAY)
    kept = sum(len(load_refusals(store, owner).messages) for owner in owners)
    assert total.reasons == {"not_a_number": 2700}
    assert total.device_count == 900
    assert len(total.devices) == refusals._DEVICES // REFUSED_DAYS.shards * REFUSED_DAYS.shards
    assert 0 < kept <= 20 * REFUSED_DAYS.shards


def test_a_flooding_device_leaves_room_for_others(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "ALL_A_DAY", 40 * REFUSED_DAYS.shards)
    monkeypatch.setattr(refusals, "REFUSED_DAYS", replace(REFUSED_DAYS, shards=1))
    for _ in range(30):
        take_in(store, *[line(power_w="x")] * 50)
    take_in(store, line("cad-2", power_w="x"))
    assert len(load_refusals(store, "cad-2").messages) == 1


def test_a_batch_names_some_devices_and_counts_the_rest(store: Store) -> None:
    batch = Batch()
    for number in range(20_000):
        batch.add(line(f"made-up-{number}", power_w="x"), Refused("not_a_number", "power_w"), NOW)

    assert len(batch.counts) <= refusals._DEVICES + 1
    put_refusals(store, batch, NOW)
    assert load_refusals(store, UNKNOWN).days == {TODAY: {"not_a_number": 20_000}}
    assert not batch.counts


def test_refusals_of_the_fleet_take_one_read(store: Store) -> None:
    take_in(store, line(power_w="x"), line(power_w="x"), line("cad-2", import_wh=-1), b"{")

    total = load_total(store, TODAY)
    assert total.reasons == {"not_a_number": 2, "negative_register": 1, "malformed_json": 1}
    assert total.devices == {"cad-1": 2, "cad-2": 1, UNKNOWN: 1}
    assert total.device_count == 3


@given(st.binary(max_size=300))
def test_any_bytes_name_a_device_or_none(payload: bytes) -> None:
    assert len(named_device(payload)) <= 64
    assert named_device(b'{"device_id" : "cad-1"' + payload) == "cad-1"


def test_refusals_are_searched_by_reason_day_and_words(store: Store) -> None:
    yesterday = day_of(NOW - 86_400, "UTC")
    take_in(store, line(), line(at="soon"), line(at="soon"), now=NOW - 86_400)
    take_in(store, line(power_w="Two Kilowatts"))
    found = load_refusals(store, "cad-1")
    assert filter_refusals(found, (), "", "", "") == found
    assert filter_refusals(found, ("bad_time",), "", "", "").days == {yesterday: {"bad_time": 2}}
    assert [one.payload for one in filter_refusals(found, (), "two kilo", "", "").messages] == [
        line(power_w="Two Kilowatts").decode()
    ]
    assert set(filter_refusals(found, (), "", TODAY, "").days) == {TODAY}
    assert set(filter_refusals(found, (), "", "", yesterday).days) == {yesterday}
    assert filter_refusals(found, ("no_values",), "", TODAY, TODAY) == refusals.Refusals({}, [])


# Unknown topics


def drop(store: Store, *topics: str, now: int = NOW) -> None:
    batch = Batch()
    for topic in topics:
        batch.add(f"{topic} {{}}".encode(), Refused("unknown_topic", f"{topic} belongs to no known format"), now)
    put_refusals(store, batch, now)


def test_dropped_messages_are_counted_by_the_kind_of_their_topic(store: Store) -> None:
    drop(store, "home/meter1/power", "home/meter2/power", "attic/power", now=NOW - 60)
    drop(store, "home/meter3/power")
    assert [(one.kind, one.messages, one.first, one.last, one.detail) for one in unknown_topics(store)] == [
        ("home/+/power", 3, NOW - 60, NOW, "home/meter3/power belongs to no known format"),
        ("attic/power", 1, NOW - 60, NOW - 60, "attic/power belongs to no known format"),
    ]


def test_only_so_many_kinds_of_unknown_topics_are_kept(store: Store) -> None:
    drop(store, *("x" * length for length in range(1, MOST_TOPICS + 10)))
    drop(store, "late/power", "x")
    found = unknown_topics(store)
    assert (len(found), found[0].kind, found[0].messages) == (MOST_TOPICS, "x", 2)


def test_a_topic_that_begins_with_a_space_has_a_kind_too(store: Store) -> None:
    drop(store, " power")
    assert [one.kind for one in unknown_topics(store)] == ["-"]
