"""Canonical JSON, in every shape in which it comes, and whose it may be."""

import orjson
import pytest

from aggregator.core.errors import Refused
from aggregator.core.periods import iso_utc
from aggregator.core.readings import Reading
from aggregator.core.status import Status
from aggregator.intake.formats import canonical
from aggregator.intake.formats.message import Origin

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
def test_one_or_many_in_any_shape_are_the_same(payload: bytes) -> None:
    assert canonical.parse_canonical(payload, TRUSTED).readings == [reading(), reading(power_w=6)]


def test_what_names_no_device_is_of_the_one_that_sent_it() -> None:
    assert canonical.parse_canonical(orjson.dumps(item(None)), OWN).readings == [reading()]


def test_a_device_sends_for_itself_and_the_meters_that_it_reads_and_for_nobody_else() -> None:
    devices = ("cad-1", "cad-1~gas", "cad-2", "cad-1~gas~x", "cad-10", "cad-2~gas")
    content = canonical.parse_canonical(orjson.dumps([item(name) for name in devices]), OWN)
    assert [one.device_id for one in content.readings] == ["cad-1", "cad-1~gas"]
    assert [(one.item, one.why.reason) for one in content.refused] == [
        (place, "bad_device_id") for place in (2, 3, 4, 5)
    ]


def test_the_device_of_a_topic_holds_only_where_nobody_better_is_known() -> None:
    forged = orjson.dumps({**item("cad-2"), "topic_device": "cad-2"})
    assert canonical.parse_canonical(forged, TRUSTED).readings == [reading("cad-2")]
    assert canonical.parse_canonical(forged, OWN).readings == []
    assert canonical.parse_canonical(orjson.dumps({**item(), "topic_device": ["cad-1"]}), TRUSTED).readings == []


def test_one_bad_item_does_not_lose_the_others_and_is_named_by_its_place() -> None:
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


def test_a_status_of_somebody_else_is_refused() -> None:
    assert canonical.parse_canonical(orjson.dumps(item("cad-2", lqi=96)), OWN).statuses == []


def test_what_a_gateway_refused_is_told_under_its_own_name() -> None:
    told = canonical.report(Refused("no_values", "nothing in it"), b"\xffraw")
    (unread,) = canonical.parse_canonical(orjson.dumps([told]), OWN).refused
    assert (unread.why.reason, unread.why.detail, unread.payload) == ("no_values", "nothing in it", rb"\xffraw")


def test_a_report_with_a_name_of_its_own_is_no_report() -> None:
    (unread,) = canonical.parse_canonical(orjson.dumps({**item(), "power_w": None, "refused": "<script>"}), OWN).refused
    assert unread.why.reason == "no_values"


def test_too_much_at_once_is_refused_whole() -> None:
    with pytest.raises(Refused, match="message_too_long"):
        canonical.parse_canonical(b"\n".join([b"1"] * (canonical.MOST_ITEMS + 1)), OWN)


def test_a_line_that_is_too_long_is_refused_and_the_others_are_not() -> None:
    content = canonical.parse_canonical(b"[" + b" " * 300_000 + b"]\n" + orjson.dumps(item()), OWN)
    assert [one.why.reason for one in content.refused] == ["message_too_long"]
    assert content.readings == [reading()]
