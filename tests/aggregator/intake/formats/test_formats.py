"""Formats: a topic names the format and the device of its messages."""

import json
from contextlib import suppress

import pytest

from aggregator.core.errors import Refused
from aggregator.intake import formats
from aggregator.intake.formats import FORMATS, parse_topic, read_whole
from aggregator.intake.formats.message import Origin
from tests.aggregator.intake.formats.messages import HEX


@pytest.mark.parametrize(
    ("topic", "name", "device_id", "part"),
    [
        ("0123456789AB/SENSOR/electricitymeter", "glow", "0123456789AB", "SENSOR/electricitymeter"),
        ("0123456789AB/STATE", "glow", "0123456789AB", "STATE"),
        ("SMART/HILD/0123456789AB", "glow-hex", "0123456789AB", ""),
        ("tele/washing-cellar/SENSOR", "tasmota", "washing-cellar", ""),
        ("shellyproem50-08f9e0/status/em1data:0", "shelly", "shellyproem50-08f9e0", "status/em1data:0"),
        ("shellyproem50-08f9e0/events/rpc", "shelly", "shellyproem50-08f9e0", "events/rpc"),
        ("shellies/shellyem-B9F0A1/info", "shelly", "shellyem-B9F0A1", ""),
        ("washing-cellar/tele/SENSOR", "tasmota", "washing-cellar", ""),
        ("wattfall/cad-1/readings", "json", "cad-1", ""),
        ("wattfall/cad-1/block", "block", "cad-1", ""),
    ],
)
def test_a_topic_names_format_and_device(topic: str, name: str, device_id: str, part: str) -> None:
    found = parse_topic(topic)
    assert (found.format.name, found.device_id, found.part) == (name, device_id, part)


@pytest.mark.parametrize(
    "topic", ["", "x", "glow/shed/SENSOR/electricitymeter", "wattfall/cad-1/readings/x", "$SYS/uptime"]
)
def test_an_unknown_topic_is_refused_by_name(topic: str) -> None:
    with pytest.raises(Refused, match="unknown_topic"):
        parse_topic(topic)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        (
            "glow/cad-1/SENSOR/electricitymeter",
            "glow has glow/0123456789AB/SENSOR/electricitymeter, with 12 hexadecimal",
        ),
        ("home/shellies/em-1/info/x", "shelly has shellies/ID/info or ID/events/rpc"),
        ("what/is/this", "; known are wattfall/ID/readings; glow/"),
    ],
)
def test_an_unknown_topic_is_told_what_the_nearest_format_expects(topic: str, expected: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_topic(topic)
    assert expected in caught.value.detail


@pytest.mark.parametrize("device", ["+", "#", "..", "a b", "-x", "%2e", "é", "x" * 65, "\0", "a\nb"])
def test_a_topic_with_an_invalid_device_is_refused_by_name(device: str) -> None:
    for topic, named in ((f"wattfall/{device}/readings", ""), (f"p1/{device}", "dsmr")):
        with pytest.raises(Refused, match=r"bad_device_id|unknown_topic"):
            parse_topic(topic, named)


def test_a_named_format_takes_the_topics_last_word_as_device() -> None:
    for filters in (("cellar/p1/+",), ("cellar/p1/#",), ("cellar/p1/meter-7",)):
        assert parse_topic("cellar/p1/meter-7", "dsmr", filters)[0:2] == (FORMATS["dsmr"], "meter-7")
    assert parse_topic("cellar/meter-7/p1", "dsmr", ("cellar/+/p1",)).device_id == "meter-7"
    assert parse_topic("glow/0123456789AB/STATE", "glow", ("glow/+/#",)).device_id == "0123456789AB"


@pytest.mark.parametrize(
    ("filter_", "topic", "device_id"),
    [
        ("glow/+/#", "glow/0123456789AB/SENSOR/gasmeter", "0123456789AB"),
        ("home/up/glow/+/#", "home/up/glow/0123456789ab/STATE", "0123456789ab"),
        ("home/#", "home/tele/washing-cellar/SENSOR", "washing-cellar"),
        ("home/+/#", "home/washing-cellar/tele/SENSOR", "washing-cellar"),
        ("home/tele/+/SENSOR", "home/tele/washing-cellar/SENSOR", "washing-cellar"),
        ("tele/washing-cellar/+", "tele/washing-cellar/SENSOR", "washing-cellar"),
        ("+/events/rpc", "shellyproem50-08f9e0/events/rpc", "shellyproem50-08f9e0"),
    ],
)
def test_a_filter_says_which_level_is_the_device(filter_: str, topic: str, device_id: str) -> None:
    assert parse_topic(topic, "", (filter_,)).device_id == device_id


@pytest.mark.parametrize(
    ("filter_", "topic", "named"),
    [
        ("glow/+/#", "glow/liar/tele/cad-a/SENSOR", ""),
        ("glow/+/#", "glow/liar/cad-a/tele/SENSOR", ""),
        ("glow/+/#", "glow/liar/cad-a/events/rpc", ""),
        ("glow/+/#", "glow/liar/0123456789AB/SENSOR/electricitymeter", ""),
        ("glow/+/#", "glow/liar/wattfall/cad-a/readings", ""),
        ("home/#", "home/liar/tele/cad-a/SENSOR", ""),
        ("#", "liar/tele/cad-a/SENSOR", ""),
        ("+/#", "tele/cad-a/SENSOR", ""),
        ("p1/#", "p1/liar/cad-a", "dsmr"),
        ("p1/+/#", "p1/liar/tele/cad-a/SENSOR", "tasmota"),
        ("glow/+/#", "tele/cad-a/SENSOR", ""),  # of a former subscription of the session
    ],
)
def test_no_open_level_may_come_before_the_device(filter_: str, topic: str, named: str) -> None:
    with suppress(Refused):
        assert parse_topic(topic, named, (filter_,)).device_id == "liar"


SECOND = "2026-02-01T07:10:20"
AT = 1_769_929_820  # the same in UTC seconds


@pytest.mark.parametrize("part", ["", ".1", ".3", ".999999"])
def test_a_part_of_a_second_is_rounded_down_in_every_format(part: str) -> None:
    messages = {
        "json": {"device_id": "cad-1", "at": f"{SECOND}{part}Z", "power_w": 1},
        "glow": {"electricitymeter": {"timestamp": f"{SECOND}{part}Z", "power": {"value": 1}}},
        "glow-hex": {"gmtime": AT, "elecMtr": {"0702": HEX["elecMtr"]["0702"]}},
        "tasmota": {"Time": f"{SECOND}{part}", "ENERGY": {"Power": 1}},
        "shelly": {"params": {"ts": float(f"{AT}{part}"), "em:0": {"total_act_power": 1}}, "method": "NotifyStatus"},
    }
    for name, message in messages.items():
        content = read_whole(FORMATS[name], json.dumps(message).encode(), Origin("cad-1", AT + 5))
        assert [one.at for one in content.readings] == [AT], name


@pytest.mark.parametrize("name", FORMATS)
def test_an_unreadable_message_is_one_refused_item(name: str) -> None:
    content = read_whole(FORMATS[name], b"\xff nonsense", Origin("cad-1", 1_795_000_000))
    assert (content.readings, content.statuses) == ([], [])
    assert [one.payload for one in content.refused] == [b"\xff nonsense"]


def test_long_topics_are_parsed_and_not_remembered() -> None:
    prefix = "x" * 60_000
    topic = f"{prefix}/tele/washing-cellar/SENSOR"
    before = formats._known_topic.cache_info().currsize
    assert parse_topic(topic, "", (f"{prefix}/#",)).device_id == "washing-cellar"
    assert formats._known_topic.cache_info().currsize == before
