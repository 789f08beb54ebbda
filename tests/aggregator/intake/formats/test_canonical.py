"""Canonical JSON: its shapes, and the devices for which a sender may report."""

import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aggregator.core.errors import Refused
from aggregator.core.periods import iso_utc
from aggregator.core.readings import Reading
from aggregator.core.status import Status
from aggregator.intake.formats import canonical
from aggregator.intake.formats.message import Content, Origin

NOW = 1_795_000_000
TRUSTED, OWN = Origin("", NOW), Origin("cad-1", NOW)


def item(device_id: str | None = "cad-1", **fields: object) -> dict[str, object]:
    named = {} if device_id is None else {"device_id": device_id}
    return {**named, "at": iso_utc(NOW), **(fields or {"power_w": 5})}


def reading(device_id: str = "cad-1", power_w: int = 5) -> Reading:
    return Reading(device_id, NOW, power_w, None, None)


@pytest.mark.parametrize(
    "payload",
    [
        orjson.dumps([item(), item(power_w=6)]),
        orjson.dumps({"readings": [item(), item(power_w=6)]}),
        orjson.dumps(item()) + b"\n\n" + orjson.dumps(item(power_w=6)) + b"\n",
        orjson.dumps([item()]) + b"\r\n" + orjson.dumps({"readings": [item(power_w=6)]}),
    ],
)
def test_every_message_shape_gives_the_same_readings(payload: bytes) -> None:
    assert canonical.parse_canonical(payload, TRUSTED).readings == [reading(), reading(power_w=6)]


def test_an_item_without_device_belongs_to_the_sender() -> None:
    assert canonical.parse_canonical(orjson.dumps(item(None)), OWN).readings == [reading()]


def test_a_device_reports_only_for_itself_and_its_meters() -> None:
    devices = ("cad-1", "cad-1~gas", "cad-2", "cad-1~gas~x", "cad-10", "cad-2~gas")
    content = canonical.parse_canonical(orjson.dumps([item(name) for name in devices]), OWN)
    assert [one.device_id for one in content.readings] == ["cad-1", "cad-1~gas"]
    assert [(one.item, one.why.reason) for one in content.refused] == [
        (place, "bad_device_id") for place in (2, 3, 4, 5)
    ]


def test_one_bad_item_is_named_and_leaves_the_others() -> None:
    content = canonical.parse_canonical(
        orjson.dumps([item(), 5, item(power_w="x"), item(None, lqi=96)]) + b"\n{cut", OWN
    )
    assert content.readings == [reading()]
    assert content.statuses == [Status("cad-1", NOW, None, 96, None, None, None)]
    assert [(one.item, one.why.reason) for one in content.refused] == [
        (1, "not_an_object"),
        (2, "not_a_number"),
        (4, "malformed_json"),
    ]
    assert [one.payload for one in content.refused] == [b"5", orjson.dumps(item(power_w="x")), b"{cut"]


def test_a_status_of_another_device_is_refused() -> None:
    assert canonical.parse_canonical(orjson.dumps(item("cad-2", lqi=96)), OWN).statuses == []


def test_a_gateways_refusal_report_keeps_its_reason() -> None:
    told = canonical.report(Refused("no_values", "nothing in it"), b"\xffraw")
    (unread,) = canonical.parse_canonical(orjson.dumps([told]), OWN).refused
    assert (unread.why.reason, unread.why.detail, unread.payload) == ("no_values", "nothing in it", rb"\xffraw")


def test_a_report_with_an_unknown_reason_is_not_a_report() -> None:
    (unread,) = canonical.parse_canonical(orjson.dumps({**item(), "power_w": None, "refused": "<script>"}), OWN).refused
    assert unread.why.reason == "no_values"


def test_an_oversized_message_is_refused_whole() -> None:
    with pytest.raises(Refused, match="message_too_long"):
        canonical.parse_canonical(b"\n".join([b"1"] * (canonical.MOST_ITEMS + 1)), OWN)


def test_an_oversized_line_leaves_the_others() -> None:
    content = canonical.parse_canonical(b"[" + b" " * 300_000 + b"]\n" + orjson.dumps(item()), OWN)
    assert [one.why.reason for one in content.refused] == ["message_too_long"]
    assert content.readings == [reading()]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ITEM = st.fixed_dictionaries(
    {"at": st.sampled_from([iso_utc(NOW), iso_utc(NOW + 9999), "2026-11-18"]) | ANY},
    optional={
        "device_id": st.sampled_from(["d", "d~gas", "e", "", "x y"]) | ANY,
        "power_w": st.integers(-9_000_000, 9_000_000) | st.just(-8_388_608) | ANY,
        "import_wh": st.integers(-2, 2**49) | ANY,
        "volume_l": st.integers(0, 9) | ANY,
        "meter_id": st.sampled_from(["E6S-1", "---", "", "\x07"]) | ANY,
        "lqi": st.just(96),
        "refused": st.sampled_from(["no_values", "what"]),
        "end": st.just(iso_utc(NOW)),
    },
)


def told(content: Content) -> object:
    refused = [(one.why.reason, one.why.detail, one.payload, one.item) for one in content.refused]
    return content.readings, content.statuses, content.intervals, refused


@given(ITEM | st.lists(ITEM, max_size=4) | ANY, st.sampled_from(["", "d"]))
@example([{"at": iso_utc(NOW), "power_w": 1}, {"at": iso_utc(NOW), "power_w": 2}], "d")
@example([{"at": iso_utc(NOW), "power_w": 1}, {"at": iso_utc(NOW), "power_w": True}], "d")
@example([], "d")
def test_the_compiled_step_changes_no_result(message: object, sender: str) -> None:
    payload, origin = json.dumps(message).encode(), Origin(sender, NOW)
    assert told(canonical.parse_canonical(payload, origin)) == told(canonical._parsed(payload, origin))
