"""Intervals by every way in: counted, refused by name, stored as what they are."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from aggregator.core.errors import Refused
from aggregator.core.periods import HALF_HOUR, iso_utc
from aggregator.core.readings import AHEAD_S, Interval, Reading
from aggregator.intake.formats import parse_topic, read_whole
from aggregator.intake.formats.canonical import MOST_HALF_HOURS
from aggregator.intake.formats.message import Origin
from aggregator.intake.ingest import Outcome, Received, ingest, ingest_lines, show_live, take_in
from aggregator.store import Store, open_store

NOW = 1_795_000_000
START = NOW - NOW % HALF_HOUR - 4 * HALF_HOUR
TOPIC = "wattfall/cad-1/readings"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{tmp_path}/intervals.db")) as opened:
        yield opened


def item(place: int = 0, **fields: object) -> dict[str, object]:
    start, end = (iso_utc(START + (place + more) * HALF_HOUR) for more in (0, 1))
    return {"device_id": "cad-1", "start": start, "end": end} | (fields or {"import_wh": 214})


def interval(place: int, import_wh: int | None = 214, export_wh: int | None = None) -> Interval:
    return Interval("cad-1", START + place * HALF_HOUR, START + (place + 1) * HALF_HOUR, import_wh, export_wh)


def stored(store: Store, device_id: str = "cad-1") -> list[Interval]:
    return store.intervals(device_id, 0, START + 100 * HALF_HOUR)


def by_lines(store: Store, *items: object) -> tuple[Outcome, list[tuple[int, Refused]]]:
    outcome, refused = Outcome(), list[tuple[int, Refused]]()
    lines = [one if isinstance(one, bytes) else orjson.dumps(one) for one in items]
    ingest_lines(store, lines, 1, NOW, "UTC", outcome, lambda number, why: refused.append((number, why)))
    return outcome, refused


def by_topic(store: Store, *items: object) -> Outcome:
    topic = parse_topic(TOPIC)
    content = read_whole(topic.format, orjson.dumps(items), Origin(topic.device_id, NOW))
    return take_in(store, [Received(topic.device_id, content)], NOW, "UTC")


def test_lines_hold_readings_intervals_and_statuses(store: Store) -> None:
    reading = {"device_id": "cad-1", "at": iso_utc(START), "power_w": 5}
    status = {"device_id": "cad-1", "at": iso_utc(START), "lqi": 96}
    outcome, refused = by_lines(store, reading, item(), status, item(1, export_wh=7, source="octopus"))

    assert refused == []
    assert outcome.as_json() == {"accepted": 3, "unchanged": 0, "statuses": 1, "rejected": 0, "reasons": {}}
    assert stored(store) == [interval(0), interval(1, None, 7)._replace(source="octopus")]


def test_a_message_of_a_topic_holds_intervals_of_its_device(store: Store) -> None:
    named, unnamed, strange = item(), item(1), item(2) | {"device_id": "cad-2"}
    del unnamed["device_id"]
    outcome = by_topic(store, named, unnamed, strange)

    assert (outcome.accepted, outcome.reasons) == (2, {"bad_device_id": 1})
    assert stored(store) == [interval(0), interval(1)]
    assert store.device("cad-2") is None


def test_a_repeated_interval_is_unchanged(store: Store) -> None:
    first, _ = by_lines(store, item(), item())
    again = by_topic(store, item())

    assert (first.accepted, first.unchanged) == (1, 1)
    assert (again.accepted, again.unchanged) == (0, 1)


def test_import_and_export_of_one_span_are_merged(store: Store) -> None:
    by_lines(store, item(export_wh=7))
    by_topic(store, item(import_wh=214))

    assert stored(store) == [interval(0, 214, 7)]


def test_a_device_of_intervals_registers_itself_and_stays_without_live_state(store: Store) -> None:
    by_lines(store, item(import_wh=1, export_wh=2))
    device = store.device("cad-1")

    assert device is not None
    assert (device.timezone, device.registers, device.longest_interval_s) == ("UTC", (), HALF_HOUR)
    assert store.live("cad-1") is None


def test_an_interval_leaves_the_live_state_unchanged(store: Store) -> None:
    ingest(store, [Reading("cad-1", START, 431, 1000, None)], NOW, "UTC")
    before = store.live("cad-1")
    by_lines(store, item(3))
    by_topic(store, item(2))

    assert store.live("cad-1") == before


def test_an_interval_in_a_live_message_is_stored(store: Store) -> None:
    content = read_whole(parse_topic(TOPIC).format, orjson.dumps(item()), Origin("cad-1", NOW))

    assert show_live(store, content, NOW, "UTC").accepted == 1
    assert stored(store) == [interval(0)]


REFUSED = [
    ({"start": "2026-11-23T10:00:00"}, "no_offset"),
    ({"end": "2026-11-23T10:30:00"}, "no_offset"),
    ({"end": iso_utc(START)}, "bad_interval"),
    ({"end": iso_utc(START - 1)}, "bad_interval"),
    ({"start": iso_utc(START - 90_000)}, "bad_interval"),
    ({"start": iso_utc(NOW), "end": iso_utc(NOW + AHEAD_S + 1)}, "in_the_future"),
    ({"start": "1999-12-31T23:30:00Z", "end": "2000-01-01T00:00:00Z"}, "before_2000"),
    ({"start": None}, "bad_time"),
    ({"end": 5}, "bad_time"),
    ({"import_wh": None}, "no_values"),
    ({"import_wh": -1}, "negative_register"),
    ({"import_wh": 0.5}, "not_whole"),
    ({"import_wh": "much"}, "not_a_number"),
    ({"source": 5}, "bad_interval"),
    ({"device_id": "../etc"}, "bad_device_id"),
]


@pytest.mark.parametrize(("fields", "reason"), REFUSED)
def test_an_impossible_interval_is_refused_by_name(store: Store, fields: dict[str, object], reason: str) -> None:
    outcome, refused = by_lines(store, item() | fields, item(1))
    told = by_topic(store, item() | fields, item(2))

    assert [(number, why.reason) for number, why in refused] == [(1, reason)]
    assert (outcome.accepted, outcome.reasons, told.accepted, told.reasons) == (1, {reason: 1}, 1, {reason: 1})
    assert stored(store) == [interval(1), interval(2)]


def test_a_refused_interval_names_its_start_or_end() -> None:
    topic = parse_topic(TOPIC)
    for name in ("start", "end"):
        (unread,) = read_whole(topic.format, orjson.dumps(item() | {name: "soon"}), Origin("cad-1", NOW)).refused
        assert unread.why.detail == f"{name}: at is 'soon'"


def test_an_interval_may_end_a_little_ahead_of_the_clock(store: Store) -> None:
    ahead = item() | {"start": iso_utc(NOW), "end": iso_utc(NOW + AHEAD_S)}

    assert by_lines(store, ahead)[0].accepted == 1


def test_a_line_with_values_that_json_lacks_is_refused_by_name(store: Store) -> None:
    _, refused = by_lines(store, b'{"device_id":"cad-1","at":5,"power_w":NaN}')

    assert [why.reason for _, why in refused] == ["bad_time"]


def test_a_message_of_too_many_half_hours_is_refused(store: Store) -> None:
    outcome = by_topic(store, *(item(-place) for place in range(MOST_HALF_HOURS + 1)))

    assert outcome.reasons == {"message_too_long": 1}
    assert stored(store) == []
