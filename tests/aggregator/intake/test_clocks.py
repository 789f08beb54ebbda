"""Wrong clocks of devices and of the server; a sender with too many messages."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import orjson
import pytest

from aggregator.core.documents import Device
from aggregator.core.errors import Refused
from aggregator.core.periods import DAY_S, FOR_EVER, HOUR, iso_utc
from aggregator.core.readings import Reading
from aggregator.intake import mqtt_feed
from aggregator.intake.clocks import DECIDE_S, FEWEST, WINDOW_S, ServerClock, Wrong, refuse_old
from aggregator.intake.formats.message import Content, DeviceRules, Unread
from aggregator.intake.ingest import Outcome, Received, ingest, take_in
from aggregator.intake.mqtt import UNACKNOWLEDGED, Arrived, Subscriber
from aggregator.intake.mqtt_feed import AGAIN_S, SPOOL_BYTES, MqttFeed, Spool
from aggregator.intake.refusals import UNKNOWN, load_refusals
from aggregator.store import Store, open_store

NOW = 1_795_824_000
AHEAD = Content(refused=[Unread(Refused("in_the_future", "ahead"), b"")])
RIGHT = Content([Reading("d", NOW, 1, None, None)])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/clocks.db")
    yield opened
    opened.close()


# The judge


def judge(registered: str, others: str = "", after: float = 1) -> Wrong:
    """Judge a clock by devices that are ahead (A) or right (R)."""
    clock = ServerClock()
    for is_registered, votes in ((True, registered), (False, others)):
        for number, vote in enumerate(votes):
            content = AHEAD if vote == "A" else RIGHT
            clock.note(f"{is_registered} {number}", content, NOW, 0, lambda sender: sender.startswith("True"))
    return clock.wrong(after)


@pytest.mark.parametrize(
    ("registered", "others", "wrong"),
    [
        ("AAA", "", Wrong.SERVER),
        ("AAAARR", "", Wrong.SERVER),
        ("AA", "", Wrong.UNDECIDED),
        ("A", "A", Wrong.UNDECIDED),
        ("AR", "", Wrong.UNDECIDED),
        ("AAR", "", Wrong.UNDECIDED),  # more are ahead than right: another device decides
        ("ARR", "", Wrong.DEVICE),
        ("AAARRR", "", Wrong.DEVICE),
        ("", "AAA", Wrong.SERVER),
        ("RR", "A" * 50, Wrong.DEVICE),
        ("A", "AA", Wrong.SERVER),
        ("", "", Wrong.DEVICE),
    ],
)
def test_most_of_three_devices_outvote_the_servers_clock(registered: str, others: str, wrong: Wrong) -> None:
    assert judge(registered, others) is wrong


@pytest.mark.parametrize("votes", ["A", "AA", "AR", "AAR"])
def test_too_few_votes_wait_for_a_minute_by_the_monotonic_clock(votes: str) -> None:
    assert judge(votes, after=DECIDE_S - 1) is Wrong.UNDECIDED
    assert judge(votes, after=DECIDE_S) is Wrong.DEVICE


def test_a_device_has_one_vote_for_ten_minutes() -> None:
    clock = ServerClock()
    for number in range(100):
        clock.note(f"d{number % (FEWEST - 1)}", AHEAD, NOW + number, number)
    assert clock.wrong(100) is Wrong.DEVICE
    clock.note("another", AHEAD, NOW + 100, 100)
    assert clock.wrong(100) is Wrong.SERVER
    assert clock.wrong(101 + WINDOW_S) is Wrong.DEVICE


def test_the_minute_begins_again_after_ten_quiet_minutes() -> None:
    clock = ServerClock()
    for at in (0, WINDOW_S + 10):
        clock.note("d", AHEAD, NOW + at, at)
        assert clock.wrong(at + DECIDE_S - 1) is Wrong.UNDECIDED
    assert clock.wrong(WINDOW_S + 10 + DECIDE_S) is Wrong.DEVICE


@pytest.mark.parametrize("jump", [-3600, 3600, 900])
def test_votes_are_dropped_when_the_clock_is_set(jump: int) -> None:
    clock = ServerClock()
    for number in range(3):
        clock.note(f"r{number}", RIGHT, NOW, 0)
    clock.note("a", AHEAD, NOW + jump + 1, 1)
    assert clock.wrong(DECIDE_S) is Wrong.UNDECIDED
    for number in range(2):
        clock.note(f"r{number}", AHEAD, NOW + jump + 2, 2)
    assert clock.wrong(3) is Wrong.SERVER


def test_a_message_that_waits_does_not_outvote_what_its_sender_said_since() -> None:
    clock = ServerClock()
    for number in range(3):
        clock.note(f"d{number}", AHEAD, NOW, 0)
    for number in range(3):
        clock.note(f"d{number}", RIGHT, NOW + 5, 5)
        clock.note(f"d{number}", AHEAD, NOW + 5, 5, is_old=True)
    assert clock.wrong(5) is Wrong.DEVICE


def test_votes_do_not_depend_on_the_process_that_got_the_message() -> None:
    clock = ServerClock()
    clock.note("d0", AHEAD, NOW, 0)
    for number in (1, 2):
        child = os.fork()
        if not child:
            clock.note(f"d{number}", AHEAD, NOW, 0)
            os._exit(0)
        os.waitpid(child, 0)
    assert clock.wrong(1) is Wrong.SERVER


def test_made_up_names_outvote_nobody_and_stay_in_bounded_memory() -> None:
    clock = ServerClock()
    size = clock._numbers.nbytes
    for number in range(5000):
        clock.note(f"made-up-{number}", AHEAD, NOW, 0, lambda _: False)
    for number in range(3):
        clock.note(f"d{number}", RIGHT, NOW, 0)
    assert clock.wrong(1) is Wrong.DEVICE
    assert clock._numbers.nbytes == size < 1_000_000


# Old evidence


def test_evidence_older_than_the_retention_is_refused_by_name(store: Store) -> None:
    ingest(store, [Reading("d", NOW, 1, None, None)], NOW, "UTC")
    content = Content([Reading("d", NOW - 40 * DAY_S, 5, None, None), Reading("d", NOW - 10, 6, None, None)])
    refuse_old(store, content, NOW - 35 * DAY_S)
    assert [reading.at for reading in content.readings] == [NOW - 10]
    assert [(unread.why.reason, unread.item) for unread in content.refused] == [("too_old", 0)]
    assert orjson.loads(content.refused[0].payload) == {
        "device_id": "d",
        "at": iso_utc(NOW - 40 * DAY_S),
        "power_w": 5,
    }


def test_the_newest_of_a_device_is_taken_by_a_server_a_year_ahead(store: Store) -> None:
    ingest(store, [Reading("d", NOW, 1, None, None)], NOW, "UTC")
    content = Content([Reading("d", NOW + 10, 5, None, None), Reading("new", NOW + 10, 5, None, None)])
    refuse_old(store, content, NOW + 365 * DAY_S)
    assert [reading.device_id for reading in content.readings] == ["d"]


# Over MQTT


class Queue:
    """A subscriber with messages in memory."""

    def __init__(self) -> None:
        self.waiting: list[Arrived] = []
        self.acknowledged: list[int] = []
        self._count = 0

    def publish(self, device_id: str, body: bytes) -> None:
        self._count += 1
        self.waiting.append(Arrived(f"wattfall/{device_id}/readings", body, 1, self._count, 1))

    def take(self, most: int, _wait_s: float) -> list[Arrived]:
        taken, self.waiting = self.waiting[:most], self.waiting[most:]
        return taken

    def acknowledge(self, messages: Sequence[Arrived]) -> None:
        self.acknowledged += [message.number for message in messages if message.qos]


class Feed:
    """A feed with clocks to set."""

    def __init__(self, store: Store) -> None:
        self.queue, self.now, self.pace = Queue(), float(NOW), 0.0
        self.feed = MqttFeed(
            cast(Subscriber, self.queue),
            lambda messages: take_in(store, messages, int(self.now), "UTC"),
            lambda _: DeviceRules(),
            clock=lambda: self.now,
            check_age=lambda content, now: refuse_old(store, content, now - 35 * DAY_S),
            is_registered=lambda device_id: store.device(device_id) is not None,
            spool=Spool(store),
            pace=lambda: self.pace,
            sleep=lambda _: None,
        )

    def say(self, device_id: str, at: int, **fields: object) -> None:
        self.queue.publish(device_id, orjson.dumps({"at": iso_utc(at), "power_w": 5} | fields))

    def run(self) -> None:
        for _ in range(40):
            self.feed.take_in(0)
            self.wait(0.1)

    def wait(self, seconds: float) -> None:
        self.pace += seconds
        self.now += seconds


def test_messages_wait_while_the_servers_clock_is_behind(store: Store) -> None:
    feed = Feed(store)
    for number in range(300):
        feed.say(f"d{number % 5}", NOW + HOUR + number)
    feed.run()
    assert (feed.queue.acknowledged, feed.feed.total.accepted) == ([], 0)
    assert load_refusals(store, UNKNOWN).messages[0].reason == "server_clock"
    feed.now += HOUR
    feed.wait(AGAIN_S)
    feed.run()
    assert sorted(feed.queue.acknowledged) == [*range(1, 301)]
    assert feed.feed.total.accepted == 300


def test_no_message_is_refused_before_a_third_device_has_voted(store: Store) -> None:
    feed = Feed(store)
    for number in range(2):
        feed.say(f"d{number}", NOW + HOUR)
        feed.run()
    feed.say("d2", NOW + HOUR)
    feed.run()
    feed.wait(2 * DECIDE_S)
    feed.run()
    assert (feed.queue.acknowledged, [*feed.feed.total.reasons]) == ([], ["server_clock"])
    feed.now += HOUR
    feed.wait(AGAIN_S)
    feed.run()
    assert (sorted(feed.queue.acknowledged), feed.feed.total.accepted) == ([1, 2, 3], 3)


def test_the_future_of_a_home_of_one_is_refused_after_a_minute(store: Store) -> None:
    feed = Feed(store)
    feed.say("d", NOW + HOUR)
    feed.run()
    feed.say("e", NOW)
    feed.run()
    assert (feed.queue.acknowledged, feed.feed.total.accepted) == ([2], 1)
    feed.wait(DECIDE_S)
    feed.run()
    assert feed.queue.acknowledged == [2, 1]
    assert feed.feed.total.reasons == {"in_the_future": 1}


def test_a_message_that_needs_no_acknowledgement_waits_in_memory(store: Store) -> None:
    feed = Feed(store)
    feed.say("d", NOW + HOUR)
    feed.queue.waiting = [message._replace(qos=0) for message in feed.queue.waiting]
    feed.run()
    feed.now += HOUR
    feed.wait(AGAIN_S)
    feed.run()
    assert feed.feed.total.as_json() == Outcome(accepted=1).as_json()


def test_a_spooled_message_waits_in_the_spool(store: Store) -> None:
    Spool(store).put("d", [("wattfall/d/readings", orjson.dumps({"at": iso_utc(NOW + HOUR), "power_w": 7}))], NOW)
    feed = Feed(store)
    feed.run()
    assert (len(store.records("spool")), feed.feed.total.rejected) == (1, 0)
    feed.now += HOUR
    feed.wait(DECIDE_S)
    feed.run()
    assert (store.records("spool"), feed.feed.total.accepted) == ([], 1)


def test_two_devices_ahead_are_refused_and_hold_nobody_up(store: Store) -> None:
    feed = Feed(store)
    for number in range(40):
        feed.say(f"d{number % 2}", NOW + HOUR)
        feed.say(f"e{number % 3}", NOW + number)
    feed.run()
    assert len(feed.queue.acknowledged) == 80
    assert feed.feed.total.reasons == {"in_the_future": 40}
    assert feed.feed.total.accepted == 40


def test_old_evidence_over_mqtt_is_refused(store: Store) -> None:
    feed = Feed(store)
    feed.say("d", 946_685_100, import_wh=61)
    feed.say("d", NOW, import_wh=5_000_000)
    feed.run()
    assert feed.feed.total.reasons == {"too_old": 1}
    assert [reading.at for reading in store.readings("d", 0, FOR_EVER)] == [NOW]


def test_a_sender_with_too_many_messages_delays_no_other(store: Store) -> None:
    feed = Feed(store)
    body = b"\n".join(orjson.dumps({"at": iso_utc(NOW - 60 * n), "import_wh": 10**6 - n}) for n in range(1000))
    many = 2 * SPOOL_BYTES // len(body) + 1
    for _ in range(many):
        feed.queue.publish("many", body)
    feed.say("other", NOW)
    feed.feed.take_in(0)
    assert store.live("other") is not None
    assert len(feed.queue.acknowledged) == many + 1
    feed.run()
    assert feed.feed.total.accepted == 1001
    assert len(store.readings("many", 0, FOR_EVER)) == 1000
    assert store.records("spool") == []


def test_a_sender_with_a_full_spool_is_refused_by_name_and_delays_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_feed, "MOST_SPOOLED", SPOOL_BYTES)
    feed = Feed(store)
    readings = [orjson.dumps({"at": iso_utc(NOW - 60 * n), "import_wh": 10**6 - n}) for n in range(1000)]
    body = b"\n".join(readings)
    many = 2 * SPOOL_BYTES // len(body) + 1
    for _ in range(many):
        feed.queue.publish("many", body)
    feed.feed.take_in(0)
    for _ in range(UNACKNOWLEDGED):  # as many as the broker sends unacknowledged
        feed.say("many", NOW, import_wh=10**6 + 7)
    feed.say("other", NOW)
    feed.feed.take_in(0)
    assert store.live("other") is not None
    assert len(feed.queue.acknowledged) == many + UNACKNOWLEDGED + 1
    assert feed.feed.total.reasons == {"too_many": UNACKNOWLEDGED}
    feed.run()
    assert (feed.feed.total.accepted, store.records("spool")) == (1001, [])
    feed.say("many", NOW, import_wh=10**6 + 7)  # there is room again
    feed.run()
    live = store.live("many")
    assert live is not None
    assert live.import_wh == 10**6 + 7


def test_newer_messages_wait_behind_those_spooled_before_a_restart(store: Store) -> None:
    body = orjson.dumps({"at": iso_utc(NOW), "power_w": 7})
    Spool(store).put("d", [("wattfall/d/readings", body)] * 3, NOW)
    feed = Feed(store)
    feed.say("d", NOW, power_w=9)
    feed.run()
    live = store.live("d")
    assert live is not None
    assert live.power_w == 9


def test_spooled_messages_survive_a_restart(store: Store) -> None:
    Spool(store).put("d", [("wattfall/d/readings", orjson.dumps({"at": iso_utc(NOW), "power_w": 7}))], NOW)
    Feed(store).run()
    live = store.live("d")
    assert live is not None
    assert live.power_w == 7


@pytest.mark.parametrize("body", ["{", "[1.2]", "7"])
def test_a_damaged_message_in_the_spool_holds_up_no_other(store: Store, body: str) -> None:
    store.put_record("spool", f"d {0:020d}", body)
    Spool(store).put("d", [("wattfall/d/readings", orjson.dumps({"at": iso_utc(NOW), "power_w": 7}))], NOW)
    feed = Feed(store)
    feed.run()
    assert ([record.body for record in store.records("spool")], feed.feed.total.accepted) == ([body], 1)


def test_a_block_of_an_edge_may_be_of_any_age(store: Store) -> None:
    store.put_device(Device("d"))
    old = Content([Reading("d", NOW - 400 * DAY_S, 5, None, None)])
    assert take_in(store, [Received("d", old, is_history=True)], NOW, "UTC").accepted == 1
