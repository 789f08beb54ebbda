"""The edge stores readings through power cuts and outages, and sends each half hour once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import ClassVar

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.commands.edge_command import run_edge
from aggregator.core.errors import Refused, StoreReplaced
from aggregator.core.periods import HALF_HOUR, HOUR, LEVELS
from aggregator.core.readings import Interval, Reading
from aggregator.core.status import Counters, Status
from aggregator.intake.device_status import known_status
from aggregator.intake.edge.edge import (
    ALONE,
    ASK_S,
    EARLY_S,
    JITTER_S,
    KEPT_S,
    LONGEST_PAUSE_S,
    PACE_S,
    REFUSED_S,
    WATCHED_S,
    Edge,
    TrafficReport,
    due,
)
from aggregator.intake.edge.ingest_client import SendResult, Sent, ServerAnswer
from aggregator.intake.formats import canonical
from aggregator.intake.formats.message import Content, Origin, Unread
from aggregator.intake.ingest import Received, ingest, show_live, take_in
from aggregator.store import Store, open_store
from aggregator.store.port import Change
from aggregator.waterfall.worker import drain
from tests.budgets import examples

START = 1_795_000_200 - 1_795_000_200 % HALF_HOUR
OVER = START + HALF_HOUR + JITTER_S  # the first half hour is over and due, whoever the device is
KEPT = ServerAnswer(SendResult.KEPT)


@dataclass
class Server:
    """A stand-in for the HTTP server: real ingest into a real store, and failures on demand."""

    tells_viewers: ClassVar[bool] = True
    store: Store
    device_id: str = "cad-1"
    answers: list[ServerAnswer] = field(default_factory=list)  # instead of its own
    sent: list[tuple[bytes, str, bool]] = field(default_factory=list)
    is_watched: bool = False
    now: int = 2_000_000_000

    def send(self, body: bytes, content_type: str, *, is_live: bool = False) -> ServerAnswer:
        self.sent.append((body, content_type, is_live))
        if self.answers:
            return self.answers.pop(0)
        parse = canonical.parse_block if content_type == canonical.BLOCK else canonical.parse_canonical
        content = parse(body, Origin(self.device_id, self.now))
        if is_live:
            show_live(self.store, content, self.now, "UTC")
        else:
            take_in(self.store, [Received(self.device_id, content)], self.now, "UTC")
        return KEPT._replace(is_watched=self.is_watched)

    @property
    def blocks(self) -> list[list[Reading]]:
        origin = Origin(self.device_id, self.now)
        return [
            canonical.parse_block(body, origin).readings
            for body, content_type, _ in self.sent
            if content_type == canonical.BLOCK
        ]

    @property
    def lives(self) -> list[list[dict[str, object]]]:
        return [orjson.loads(body) for body, _, is_live in self.sent if is_live]


class Clock:
    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    store = open_store(f"sqlite:///{tmp_path}/server.db")
    yield Server(store)
    store.close()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/edge.db")
    yield store
    store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def edge(spool: Store, server: Server, clock: Clock) -> Edge:
    return Edge(spool, server, 60, clock, clock)


def readings(first: int = START, last: int = START + HALF_HOUR, device_id: str = "cad-1") -> list[Reading]:
    return [Reading(device_id, at, at % 3000, (at - START) // 10 + 1000, 0) for at in range(first, last, 10)]


def given_to(edge: Edge, *of: Reading, statuses: tuple[Status, ...] = ()) -> None:
    edge.accept([Received("cad-1", Content(list(of), list(statuses)))])


def run(edge: Edge, clock: Clock, seconds: float, step: float = 1.0) -> None:
    until = clock.at + seconds
    while clock.at < until:
        edge.send()
        clock.at += step


def test_an_edge_ends_when_its_file_is_moved(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "edge.db").rename(tmp_path / "elsewhere.db")
    report = TrafficReport(edge, Sent())
    with pytest.raises(StoreReplaced):
        run_edge(edge, report, lambda _: 0, Event())


def test_a_finished_half_hour_is_sent_as_one_block(edge: Edge, server: Server, clock: Clock) -> None:
    given_to(edge, *readings())
    run(edge, clock, HALF_HOUR)
    assert server.blocks == []
    run(edge, clock, JITTER_S + 2 * PACE_S)
    assert server.blocks == [readings()]
    run(edge, clock, HOUR)
    assert len(server.blocks) == 1


def test_block_documents_equal_those_of_single_readings(
    edge: Edge, server: Server, clock: Clock, tmp_path: Path
) -> None:
    last = START + HALF_HOUR + 60
    given_to(edge, *readings(last=last))
    run(edge, clock, 4 * HALF_HOUR, step=7)
    drain(server.store)
    other = open_store(f"sqlite:///{tmp_path}/one-by-one.db")
    for reading in readings(last=last):
        ingest(other, [reading], server.now, "UTC")
        drain(other)
    for level in LEVELS:
        periods = other.periods(level, "cad-1")
        assert periods == server.store.periods(level, "cad-1")
        for period in periods:
            assert other.document(level, "cad-1", period) == server.store.document(level, "cad-1", period)
    other.close()


def test_intervals_are_sent_once_with_their_half_hour(edge: Edge, server: Server, clock: Clock) -> None:
    hour = Interval("cad-1", START, START + HOUR, 214, None, "supplier")
    later = Interval("cad-1", START + HALF_HOUR, START + HOUR, None, 7)
    strange = Interval("cad-2", START, START + HOUR, 5, None)
    edge.accept([Received("cad-1", Content(readings(), intervals=[hour, later, strange]))])
    clock.at = OVER + HALF_HOUR
    run(edge, clock, 5)
    assert server.store.intervals("cad-1", START, START + HALF_HOUR) == [hour, later]
    assert server.store.intervals("cad-2", START, START) == []
    assert server.blocks == [readings()]
    sent = len(server.sent)
    run(edge, clock, HOUR)
    assert len(server.sent) == sent


def test_intervals_of_an_outage_stay_until_they_are_sent(edge: Edge, server: Server, clock: Clock) -> None:
    one = Interval("cad-1", START, START + HALF_HOUR, 214, None)
    edge.accept([Received("cad-1", Content(intervals=[one]))])
    server.answers = [ServerAnswer(SendResult.LATER, why="away")] * 2
    clock.at = OVER
    run(edge, clock, 1)
    assert edge.waiting == 1
    run(edge, clock, 120)
    assert server.store.intervals("cad-1", START, START) == [one]
    assert edge.waiting == 0


def test_devices_of_a_fleet_send_with_their_own_jitter() -> None:
    times = [due(Change(0, "readings", f"cad-{number}", str(START))) - START - HALF_HOUR for number in range(1000)]
    assert min(times) < JITTER_S * 0.05
    assert max(times) > JITTER_S * 0.95
    assert max(times.count(second) for second in set(times)) < 20


def test_only_a_new_late_reading_resends_its_half_hour(edge: Edge, server: Server, clock: Clock) -> None:
    (late,) = readings(START + 50, START + 60)
    given_to(edge, *(reading for reading in readings() if reading != late))
    clock.at = OVER
    run(edge, clock, 5)
    given_to(edge, late)
    given_to(edge, late)
    run(edge, clock, 5)
    assert [len(one) for one in server.blocks] == [179, 180]
    given_to(edge, late)
    run(edge, clock, 5)
    assert len(server.blocks) == 2
    assert server.store.readings("cad-1", START, START) == readings()


def test_a_reading_that_comes_in_during_the_sending_is_sent_again(
    edge: Edge, server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_to(edge, *readings()[:-1])
    send = server.send

    def slowly(body: bytes, content_type: str, *, is_live: bool = False) -> ServerAnswer:
        if content_type == canonical.BLOCK and len(server.blocks) == 0:
            given_to(edge, readings()[-1])  # as another process of the same store would
        return send(body, content_type, is_live=is_live)

    monkeypatch.setattr(server, "send", slowly)
    clock.at = OVER
    run(edge, clock, 60)
    assert [len(block) for block in server.blocks] == [179, 180]


def test_a_power_cut_loses_no_stored_reading(edge: Edge, server: Server, clock: Clock, tmp_path: Path) -> None:
    given_to(edge, *readings())
    # Whoever opens the file now has what a cut would leave: nothing was closed.
    again = open_store(f"sqlite:///{tmp_path}/edge.db")
    clock.at = OVER
    run(Edge(again, server, 60, clock, clock), clock, 5)
    assert server.blocks == [readings()]
    again.close()


def test_failed_sends_are_stored_and_retried_with_growing_pauses(edge: Edge, server: Server, clock: Clock) -> None:
    given_to(edge, *readings())
    clock.at = OVER
    server.answers = [ServerAnswer(SendResult.LATER, why="down")] * 1000
    run(edge, clock, 24 * HOUR, step=5)
    tried = len(server.sent)
    assert 24 * HOUR / LONGEST_PAUSE_S / 2 < tried < 24 * HOUR / LONGEST_PAUSE_S + 20
    server.answers = []
    run(edge, clock, 2 * LONGEST_PAUSE_S + 5, step=5)
    assert server.blocks[-1] == readings()
    assert edge.waiting == 0


def test_the_edge_respects_the_servers_retry_time(edge: Edge, server: Server, clock: Clock) -> None:
    given_to(edge, *readings())
    clock.at = OVER
    server.answers = [ServerAnswer(SendResult.LATER, wait_s=3000)]
    run(edge, clock, 2999)
    assert len(server.sent) == 1


def test_a_refused_token_loses_no_reading(edge: Edge, server: Server, clock: Clock) -> None:
    given_to(edge, *readings())
    clock.at = OVER
    server.answers = [ServerAnswer(SendResult.NO_ENTRY, why="401")] * 3
    run(edge, clock, HOUR, step=5)
    assert server.blocks[-1] == readings()


def test_weeks_offline_are_sent_in_order_at_a_bounded_rate(edge: Edge, server: Server, clock: Clock) -> None:
    two_weeks = START + 14 * 24 * HOUR
    given_to(edge, *(Reading("cad-1", at, 5, at // 100, 0) for at in range(START, two_weeks, 600)))
    clock.at = two_weeks + HALF_HOUR + JITTER_S
    times: list[float] = []
    while edge.waiting:
        before = edge.counts.blocks
        edge.send()
        if edge.counts.blocks > before:
            times.append(clock.at)
        clock.at += 0.25
    starts = [one[0].at for one in server.blocks]
    assert len(starts) == 14 * 48
    assert starts == sorted(starts)
    assert min(after - before for before, after in pairwise(times)) >= PACE_S


@pytest.mark.parametrize(("result", "wait_s"), [(SendResult.REFUSED, REFUSED_S), (SendResult.EARLY, EARLY_S)])
def test_a_refused_block_is_retried_without_blocking_others(
    edge: Edge, server: Server, clock: Clock, result: SendResult, wait_s: float
) -> None:
    given_to(edge, *readings(last=START + 2 * HALF_HOUR))
    clock.at = OVER + HALF_HOUR
    server.answers = [KEPT, ServerAnswer(result, why="not this one")]  # the newest reading, then the first block
    run(edge, clock, 10)
    assert server.blocks[1:] == [readings(START + HALF_HOUR, START + 2 * HALF_HOUR)]
    assert edge.waiting == 1
    run(edge, clock, wait_s - 20, step=60)
    assert len(server.blocks) == 2
    run(edge, clock, 100)
    assert server.blocks[2:] == [readings()]
    assert edge.waiting == 0


def test_a_clock_jump_does_not_stop_sending(spool: Store, server: Server) -> None:
    wall, ticks = Clock(START), Clock(0)
    edge = Edge(spool, server, 60, wall, ticks)
    given_to(edge, *readings())
    wall.at = OVER + 5 * 365 * 24 * HOUR
    server.answers = [ServerAnswer(SendResult.LATER)] * 2
    for _ in range(100):
        edge.send()
        ticks.at += 1
    wall.at = OVER
    for _ in range(100):
        edge.send()
        ticks.at += 1
    assert server.blocks[-1] == readings()


def test_live_readings_go_every_ten_seconds_with_a_viewer(edge: Edge, server: Server, clock: Clock) -> None:
    def minutes(count: int) -> int:
        before = len(server.lives)
        for _ in range(6 * count):
            given_to(edge, *readings(int(clock.at) // 10 * 10, int(clock.at) // 10 * 10 + 10))
            run(edge, clock, 10)
        return len(server.lives) - before

    assert minutes(5) == 5
    server.is_watched = True
    minutes(1)
    assert minutes(5) == 5 * 60 / WATCHED_S
    server.is_watched = False
    minutes(1)
    assert minutes(5) == 5
    live = server.store.live("cad-1")
    assert live
    assert live.at > clock.at - 70


def test_without_a_viewer_no_live_reading_is_sent(spool: Store, server: Server, clock: Clock) -> None:
    edge = Edge(spool, server, 0, clock, clock)

    def sent_in(seconds: int) -> list[list[dict[str, object]]]:
        before = len(server.lives)
        for _ in range(seconds // 10):
            given_to(edge, *readings(int(clock.at) // 10 * 10, int(clock.at) // 10 * 10 + 10))
            run(edge, clock, 10)
        return server.lives[before:]

    assert sent_in(ASK_S + 20) == [[], []]  # it asks twice
    assert server.store.live("cad-1") is None
    server.is_watched = True
    assert [len(one) for one in sent_in(ASK_S + 60)][:4] == [0, 1, 1, 1]
    live = server.store.live("cad-1")
    assert live
    assert live.at > clock.at - 30
    server.is_watched = False
    sent_in(20)
    assert len(sent_in(ASK_S)) == 1


def test_the_answer_to_a_half_hour_starts_live_readings(spool: Store, server: Server, clock: Clock) -> None:
    edge = Edge(spool, server, 0, clock, clock)
    given_to(edge, *readings())
    clock.at = START + HALF_HOUR - 5
    run(edge, clock, 2)
    server.is_watched, clock.at = True, OVER
    given_to(edge, *readings(OVER - OVER % 10, OVER - OVER % 10 + 10))
    run(edge, clock, WATCHED_S + 5)
    assert [len(one) for one in server.lives] == [0, 1]


def test_a_live_reading_is_sent_once(edge: Edge, server: Server, clock: Clock) -> None:
    given_to(edge, *readings(last=START + 10))
    run(edge, clock, 300)
    assert len(server.lives) == 1


def test_statuses_and_refusals_are_sent(edge: Edge, server: Server, clock: Clock) -> None:
    status = Status("cad-1", START, -71, 96, "v2", None, True, Counters(START, 1204, None, 0))
    given_to(edge, statuses=(status,))
    edge.accept([Received("cad-1", Content(refused=[Unread(Refused("no_values", "none"), b"\x00raw")]))])
    run(edge, clock, 5)
    said = known_status(server.store, "cad-1")
    assert said
    assert said.status == status
    assert [item.get("refused") for item in server.lives[0]] == [None, "no_values"]


def test_a_second_meter_is_sent_but_other_devices_are_not(edge: Edge, server: Server, clock: Clock) -> None:
    given_to(edge, *readings(device_id="cad-1~gas"), *readings(device_id="cad-2"))
    clock.at = OVER + JITTER_S
    run(edge, clock, 10)
    assert server.blocks == [readings(device_id="cad-1~gas")]


def test_sent_readings_expire_after_two_days_unsent_ones_stay(edge: Edge, server: Server, clock: Clock) -> None:
    given_to(edge, *readings())
    clock.at = OVER
    run(edge, clock, 5)
    clock.at += KEPT_S + HOUR
    given_to(edge, *readings(START + HALF_HOUR, START + 2 * HALF_HOUR))
    server.answers = [ServerAnswer(SendResult.LATER)] * 100
    run(edge, clock, 10 * HOUR, step=60)
    assert edge.store.readings("cad-1", START, START + HALF_HOUR) == readings(START + HALF_HOUR, START + 2 * HALF_HOUR)


@given(st.lists(st.tuples(st.sampled_from(["keep", "send", "cut", "down"]), st.integers(0, 200)), max_size=40))
@examples(30)
def test_every_stored_reading_arrives_after_any_failures(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("edge")
    server, clock = Server(open_store(f"sqlite:///{folder}/server.db")), Clock(START)
    edge = Edge(open_store(f"sqlite:///{folder}/edge.db"), server, 60, clock, clock)
    kept: dict[int, Reading] = {}
    for step, number in steps:
        clock.at += number * 10
        if step == "keep":
            new = readings(int(clock.at) // 10 * 10 - number * 10, int(clock.at) // 10 * 10)
            given_to(edge, *new)
            kept |= {reading.at: reading for reading in new}
        elif step == "send":
            edge.send()
        elif step == "down":
            server.answers = [ServerAnswer(SendResult.LATER)] * (number % 3)
        else:
            edge = Edge(open_store(f"sqlite:///{folder}/edge.db"), server, 60, clock, clock)
    clock.at += HALF_HOUR + JITTER_S
    server.answers = []
    while edge.waiting:
        edge.send()
        clock.at += 30
    assert server.store.readings("cad-1", START - HALF_HOUR * 10, int(clock.at)) == [kept[at] for at in sorted(kept)]
    edge.store.close()
    server.store.close()


def test_the_daily_report_compares_bytes_and_writes(edge: Edge, clock: Clock) -> None:
    sent = Sent()
    report = TrafficReport(edge, sent)
    report.roll_over(clock.at)
    given_to(edge, *readings())
    clock.at = OVER
    run(edge, clock, 1)
    sent.messages, sent.size = 2, 1500
    said = report.finish_report(clock.at)
    assert (
        "180 readings kept; sent 1 half hours and 1 times the newest reading in 2 messages, 1,500 bytes, 3 writes"
        in said
    )
    assert f"180 messages, {180 * ALONE:,} bytes, 360 writes" in said
    assert "0 readings kept; sent 0 half hours" in report.finish_report(clock.at)
