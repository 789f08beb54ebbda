"""Faults that people reported elsewhere, with the values that are right: from the message to the day document.

Where the order of messages does not matter, a case comes in order, backwards, and shuffled on the other store.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import orjson
import pytest

from aggregator.core.documents import Device, Part, add, coverage
from aggregator.core.faults import RegisterJudgement, judge
from aggregator.core.live import Live
from aggregator.core.periods import FOR_EVER, iso_utc
from aggregator.core.registers import register_of
from aggregator.intake.formats import parse_topic, read_whole
from aggregator.intake.formats.message import DeviceRules, Origin
from aggregator.intake.ingest import Outcome, Received, ingest_lines, take_in
from aggregator.store import Store
from aggregator.waterfall import verify
from aggregator.waterfall.worker import drain
from tests.aggregator.invariants.stores import store_of

DAY = int(datetime(2026, 11, 28, tzinfo=UTC).timestamp())
HOUR = 3600
NOW = DAY + 2 * 86_400

Message = tuple[str, bytes]  # topic (empty for a line of `ingest`) and payload


WAYS = [("sqlite", "as sent"), ("sqlite", "backwards"), ("memory", "shuffled")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "order" in metafunc.fixturenames:
        metafunc.parametrize(("store", "order"), WAYS, indirect=True)
    elif "store" in metafunc.fixturenames:
        metafunc.parametrize("store", ["sqlite", "memory"], indirect=True)


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with store_of(request.param) as opened:
        yield opened


@pytest.fixture
def order(request: pytest.FixtureRequest) -> Callable[[list[Message]], list[Message]]:
    def ordered(messages: list[Message]) -> list[Message]:
        chance = random.Random(5)
        return {"as sent": messages, "backwards": messages[::-1]}.get(
            request.param, chance.sample(messages, len(messages))
        )

    return ordered


def line(at: int, **fields: int) -> Message:
    return "", orjson.dumps({"device_id": "d", "at": iso_utc(at), **fields})


def send(store: Store, messages: Sequence[Message], zone: str = "UTC", batch: int = 100) -> Outcome:
    """Send messages by their way in, a few at a time, while a worker runs."""
    outcome = Outcome()
    for first in range(0, len(messages), batch):
        some = messages[first : first + batch]
        ingest_lines(store, [payload for topic, payload in some if not topic], 1, NOW, zone, outcome, lambda *_: None)
        topics = [(parse_topic(topic), payload) for topic, payload in some if topic]
        received = [
            Received(
                topic.device_id,
                read_whole(topic.format, payload, Origin(topic.device_id, NOW, DeviceRules(zone), topic.part)),
            )
            for topic, payload in topics
        ]
        outcome.add(take_in(store, received, NOW, zone))
        drain(store)
    return outcome


def energy(store: Store, device_id: str, start: int = DAY, end: int = DAY + 86_400) -> Part:
    """Return the sum of the half hours of a span within a day, after a check of all documents."""
    device = store.device(device_id)
    assert device is not None
    assert list(verify.differences(store, device)) == []
    day = datetime.fromtimestamp(start, ZoneInfo(device.timezone)).date()
    document = store.document("day", device_id, day.isoformat())
    assert document is not None
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(device.timezone)).timestamp())
    places = range((start - midnight) // 1800, (end - midnight) // 1800)
    return add(document.parts[name] for name in (f"s{place:02d}" for place in places) if name in document.parts)


def judged(store: Store, device_id: str, channel: str = "import_wh") -> RegisterJudgement:
    readings = store.readings(device_id, 0, FOR_EVER)
    return judge(register_of(readings, channel), Device(device_id).max_power_w)


def live(store: Store, device_id: str) -> Live:
    found = store.live(device_id)
    assert found is not None
    return found


Order = Callable[[list[Message]], list[Message]]


def test_parts_of_one_instant_are_one_reading(store: Store, order: Order) -> None:
    parts = [
        line(DAY + 60 * k, **part)
        for k in range(11)
        for part in ({"import_wh": 1000 + 5 * k}, {"export_wh": 70}, {"power_w": 300})
    ]
    send(store, order(parts))
    part = energy(store, "d")
    assert (part.import_wh, part.export_wh) == (50, 0)
    state = live(store, "d")
    assert (state.power_w, state.import_wh, state.export_wh) == (300, 1050, 70)


def test_shelly_registers_and_power_of_one_second_come_in_either_order(store: Store, order: Order) -> None:
    messages = []
    for device, step in (("shellyproem-a", 1), ("shellyproem-b", -1)):
        for k in range(61):
            at = DAY + 10 * HOUR + 60 * k
            register = {"total_act": 2_000_000 + 567 * k / 60, "total_act_ret": 10.0}
            pair = [(at + 0.1, "emdata:0", register), (at + 0.3, "em:0", {"total_act_power": 100.0})]
            for ts, key, values in pair[::step]:
                params = {"ts": ts, key: {"id": 0, **values}}
                body = {"src": device, "method": "NotifyStatus", "params": params}
                messages.append((f"{device}/events/rpc", orjson.dumps(body)))
    send(store, order(messages))
    for device in ("shellyproem-a", "shellyproem-b"):
        assert energy(store, device, DAY + 10 * HOUR, DAY + 11 * HOUR).import_wh == 567


def test_tasmota_total_that_falls_is_net(store: Store) -> None:
    """Four minutes of 1 kW taken, four minutes of 1 kW given, two hours; Berlin."""
    total, given, messages = 100.0, 50.0, []
    for k in range(721):
        sign = 1 if k // 24 % 2 == 0 else -1
        local = datetime.fromtimestamp(DAY + 11 * HOUR + 10 * k, UTC).replace(tzinfo=None)
        body = {"Total": round(total, 3), "ExportActive": round(given, 3), "Power": 1000 * sign}
        messages.append(("tele/plug/SENSOR", orjson.dumps({"Time": local.isoformat(), "ENERGY": body})))
        total, given = total + sign * 10 / HOUR, given + (10 / HOUR if sign < 0 else 0)
    send(store, messages, "Europe/Berlin", batch=30)
    part = energy(store, "plug", DAY + 10 * HOUR, DAY + 12 * HOUR)
    assert (part.import_wh, part.export_wh, part.estimated_wh) == (1000, 1000, 0)
    assert [len(judged(store, "plug", one).pieces) for one in ("import_wh", "export_wh")] == [1, 1]


Wrong = Callable[[int], int]
HOME_WH = 7_000_000


def sent(hours: int, step: int, watts: int = 2000, first: int = HOME_WH) -> list[tuple[int, int]]:
    """Return instants and registers from 5:00 on."""
    return [(DAY + 5 * HOUR + s, first + watts * s // HOUR) for s in range(0, hours * HOUR + 1, step)]


STRETCHES: dict[str, tuple[int, list[tuple[int, int, Wrong]], int]] = {  # step, (first, after, shows), estimated Wh
    "zeros for twenty minutes": (30, [(120, 160, lambda _: 0)], 683),
    "a backup of 500 Wh ago that stands still": (30, [(120, 160, lambda _: HOME_WH + 1500)], 683),
    "a backup of a month ago that counts on": (30, [(120, 240, lambda wh: wh - 300_000)], 2017),
    "two stretches": (30, [(120, 160, lambda _: 0), (220, 260, lambda wh: wh - 100_000)], 1366),
    "zeros with garbage between": (30, [(120, 160, lambda _: 0), (140, 142, lambda _: 99_999_999)], 683),
    "zeros on a half-hourly device": (1800, [(4, 7, lambda _: 0)], 4000),
    "one zero on a half-hourly device": (1800, [(4, 5, lambda _: 0)], 0),  # an hour is no gap in this rhythm
}


@pytest.mark.parametrize("name", STRETCHES)
@pytest.mark.parametrize("field", ["import_wh", "export_wh"])
def test_a_fault_is_a_gap_and_no_exchange(store: Store, name: str, field: str) -> None:
    step, stretches, estimated = STRETCHES[name]
    points = sent(6, step)
    for first, after, wrong in stretches:
        points[first:after] = [(at, wrong(wh)) for at, wh in points[first:after]]
    send(store, [line(at, **{field: wh}) for at, wh in points])
    part = energy(store, "d")
    right = (12_000, estimated)
    assert (getattr(part, field), part.estimated_wh) == right
    found = judged(store, "d", field)
    assert (len(found.pieces), found.rollovers) == (1, [])


@pytest.mark.parametrize("dip", [1, 3, 8, 40])
@pytest.mark.parametrize("length", [1, 5, 90])
def test_dips_of_few_watt_hours_change_no_sum(store: Store, dip: int, length: int) -> None:
    points = [(at, wh - dip if 200 <= n < 200 + length else wh) for n, (at, wh) in enumerate(sent(3, 30, 300))]
    send(store, [line(at, import_wh=wh) for at, wh in points])
    assert energy(store, "d").import_wh == 900
    assert len(judged(store, "d").pieces) == 1


def test_first_readings_of_zero_are_no_energy(store: Store) -> None:
    points = [(at, 0 if n < 40 else wh) for n, (at, wh) in enumerate(sent(3, 30))]
    points[200:240] = [(at, 0) for at, _ in points[200:240]]
    send(store, [line(at, import_wh=wh) for at, wh in points])
    assert energy(store, "d").import_wh == 6000 - 666  # from the first true reading, after twenty minutes


@pytest.mark.parametrize("modulus", [10**8, 10**9, 2**32])
@pytest.mark.parametrize("outage_h", [0, 1])
def test_a_rollover_is_counted_and_said(store: Store, order: Order, modulus: int, outage_h: int) -> None:
    """2 kW, a reading a minute, and perhaps an hour without any around the rollover."""
    points = [(at, (wh + modulus - 2000) % modulus) for at, wh in sent(2, 60, first=0)]
    silent = range(DAY + 5 * HOUR + 1801, DAY + 5 * HOUR + 1800 + outage_h * HOUR)
    send(store, order([line(at, import_wh=wh) for at, wh in points if at not in silent]))
    assert energy(store, "d").import_wh == 4000
    found = judged(store, "d")
    assert (len(found.pieces), [one.modulus_wh for one in found.rollovers]) == (1, [modulus])


@pytest.mark.parametrize(("step", "jitter"), [(10, 0), (300, 1), (600, 30), (900, 60), (3600, 120)])
def test_the_rhythm_of_a_device_is_no_outage(store: Store, order: Order, step: int, jitter: int) -> None:
    """120 W from 00:00:11 to 24:00: 2879 Wh, or less by the rounding of the register."""
    chance, at, messages, last = random.Random(3), DAY + 11, [], 0
    while last < DAY + 86_400:
        messages.append(line(at, import_wh=10_000 + 120 * (at - DAY - 11) // HOUR))
        last, at = at, at + step + chance.randint(-jitter, jitter)
    send(store, order(messages), batch=1000)
    part = energy(store, "d")
    assert part.import_wh in (2878, 2879)
    assert (part.estimated_wh, coverage(part, 86_400)) == (0, 0.9999)


def test_a_tasmota_rhythm_of_five_minutes_is_measured(store: Store, order: Order) -> None:
    chance, at, total, messages = random.Random(3), DAY + 11, 10.0, []
    while at < DAY + 86_700:
        time = datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat()
        body = {"Time": time, "ENERGY": {"Total": round(total, 3), "Power": 120}}
        messages.append(("tele/plug/SENSOR", orjson.dumps(body)))
        step = chance.choice([300, 300, 301])
        at, total = at + step, total + 120 * step / HOUR / 1000
    send(store, order(messages))
    part = energy(store, "plug")
    assert (part.import_wh, part.estimated_wh, coverage(part, 86_400)) == (2879, 0, 0.9999)


def test_a_rhythm_may_change(store: Store, order: Order) -> None:
    """Six hours of readings every 10 s, then every 15 minutes."""
    points = sent(6, 10) + [(at + 6 * HOUR, wh + 12_000) for at, wh in sent(10, 900)[1:]]
    send(store, order([line(at, import_wh=wh) for at, wh in points]), batch=500)
    part = energy(store, "d")
    assert (part.import_wh, part.estimated_wh) == (32_000, 0)


def test_live_fields_come_in_turn(store: Store, order: Order) -> None:
    powers = [line(DAY + 10 * k, power_w=1200) for k in range(31)]
    send(store, order([*powers, line(DAY + 303, import_wh=5100)]))
    state = live(store, "d")
    assert (state.power_w, state.import_wh, state.at) == (1200, 5100, DAY + 303)
    assert state.power_at == DAY + 300


def test_a_clock_that_was_three_hours_behind_replaces_no_true_reading(store: Store) -> None:
    messages = []
    for k in range(2161):
        late = 3 * HOUR if 1260 <= k < 1620 else 0
        messages.append(line(DAY + 4 * HOUR + 10 * k - late, import_wh=900_000 + k * 10_000 // HOUR))
    outcome = send(store, messages)
    assert energy(store, "d").import_wh == 6000
    assert set(outcome.reasons) <= {"contradicts_neighbours"}
    stored = {one.at: one.import_wh for one in store.readings("d", 0, FOR_EVER)}
    true = {DAY + 4 * HOUR + 10 * k: 900_000 + k * 10_000 // HOUR for k in range(2161) if not 1260 <= k < 1620}
    assert {at: stored[at] for at in true} == true


CLOCKS: dict[str, tuple[int, int, int, int]] = {  # readings; the clock is wrong from, until before, and by seconds
    "put back for good": (2880, 720, 2881, -HOUR - 5),
    "put back for longer than its shift": (3600, 1260, 2700, -3 * HOUR),
    "put ahead for longer than its shift": (3600, 360, 1440, HOUR),
    "put back for good, to instants of its own readings": (2880, 1260, 2881, -2 * HOUR),
    "put ahead for good": (2880, 720, 2881, HOUR),
}


@pytest.mark.parametrize("name", CLOCKS)
@pytest.mark.parametrize("first_wh", [900_000, 0])
def test_a_clock_that_is_put_back_or_ahead_loses_no_energy(store: Store, name: str, first_wh: int) -> None:
    """1 kW, a reading every 10 s; by the register, the energy of all readings is known."""
    count, first, after, by = CLOCKS[name]
    points = [(DAY + 4 * HOUR + 10 * k, first_wh + k * 10_000 // HOUR) for k in range(count + 1)]
    points[first:after] = [(at + by, wh) for at, wh in points[first:after]]
    outcome = send(store, [line(at, import_wh=wh) for at, wh in points])
    assert energy(store, "d").import_wh == count * 10_000 // HOUR
    assert set(outcome.reasons) <= {"contradicts_neighbours"}
    assert len(judged(store, "d").pieces) == 1


@pytest.mark.parametrize("batch", [25, 10_000])
@pytest.mark.parametrize(("hour", "by"), [(2.5, 3), (3.5, 1), (3.5, 3), (3.5, 24), (3.5, -5), (2.5, -3)])
def test_an_hour_that_is_dated_otherwise_is_a_gap_in_its_place(store: Store, hour: float, by: int, batch: int) -> None:
    """1 kW for six hours. The hour is dated after or before all others too, and all may come in at once."""
    points = [(DAY + 4 * HOUR + 30 * k, 900_000 + k * 30_000 // HOUR) for k in range(721)]
    first = int(hour * 120)
    points[first : first + 120] = [(at + by * HOUR, wh) for at, wh in points[first : first + 120]]
    outcome = send(store, [line(at, import_wh=wh) for at, wh in points], batch=batch)
    years = [store.document("year", "d", one) for one in store.periods("year", "d")]
    assert sum(year.total.import_wh or 0 for year in years if year) == 6000
    assert set(outcome.reasons) <= {"contradicts_neighbours"}
    device = store.device("d")
    assert device is not None
    assert list(verify.differences(store, device)) == []


@pytest.mark.parametrize("batch", [25, 10_000])
@pytest.mark.parametrize("by", [1, 3, 7])
def test_a_clock_that_is_ahead_at_first_loses_no_energy(store: Store, by: int, batch: int) -> None:
    """1 kW for ten hours. The first hour is dated otherwise, and readings of the true time contradict it."""
    points = [
        (DAY + 4 * HOUR + 30 * k + (by * HOUR if k < 120 else 0), 900_000 + k * 30_000 // HOUR) for k in range(1201)
    ]
    outcome = send(store, [line(at, import_wh=wh) for at, wh in points], batch=batch)
    assert energy(store, "d").import_wh == 10_000
    assert set(outcome.reasons) == {"contradicts_neighbours"}


def test_an_hour_that_is_dated_years_early_is_history_of_its_own(store: Store) -> None:
    """It lies further back than energy is spread; the day has a gap in its place."""
    points = [(DAY + 4 * HOUR + 30 * k, 900_000 + k * 30_000 // HOUR) for k in range(721)]
    points[300:420] = [(at - 8000 * 86_400, wh) for at, wh in points[300:420]]
    send(store, [line(at, import_wh=wh) for at, wh in points], batch=10_000)
    assert energy(store, "d").import_wh == 6000


def test_a_clock_put_back_into_an_outage_leaves_no_trace(store: Store) -> None:
    """An hour is lost; 50 minutes are dated back into it and over true readings, which are replaced."""
    points = [(DAY + 4 * HOUR + 10 * k, 900_000 + k * 10_000 // HOUR) for k in range(3601)]
    points[2000:2300] = [(at - 5400, wh) for at, wh in points[2000:2300]]
    del points[1260:1620]
    send(store, [line(at, import_wh=wh) for at, wh in points])
    assert energy(store, "d").import_wh == 10_000
    assert len(judged(store, "d").pieces) == 1


@pytest.mark.parametrize("largest", [10**6, 2**20])
def test_an_hour_dated_months_early_is_no_rollover(store: Store, order: Order, largest: int) -> None:
    """2 kW for eight hours up to just below the register's largest number; the fifth is dated 120 days early."""
    points = sent(8, 60, first=largest - 17_000)
    points[240:300] = [(at - 120 * 86_400, wh) for at, wh in points[240:300]]
    send(store, order([line(at, import_wh=wh) for at, wh in points]), batch=200)
    assert energy(store, "d").import_wh == 16_000
    found = judged(store, "d")
    assert (len(found.pieces), found.rollovers) == (1, [])
    assert store.periods("year", "d") == ["2026"]


# Exchanges


@pytest.mark.parametrize("silent_h", [0, 2])
@pytest.mark.parametrize("new_wh", [0, 6_500_000])
def test_an_exchange_soon_after_a_fault_is_an_exchange(store: Store, silent_h: int, new_wh: int) -> None:
    old = [(at, 0 if 300 <= n < 340 else wh) for n, (at, wh) in enumerate(sent(3, 30))]
    new = [(at + (3 + silent_h) * HOUR + 30, wh) for at, wh in sent(3, 30, 1000, first=new_wh)]
    send(store, [line(at, import_wh=wh) for at, wh in old + new])
    part = energy(store, "d")
    assert (part.import_wh, part.estimated_wh) == (9000, 683)
    assert len(judged(store, "d").pieces) == 2


# Intervals beside registers


def half_hour(start: int, **fields: int) -> Message:
    return "", orjson.dumps({"device_id": "d", "start": iso_utc(start), "end": iso_utc(start + 1800), **fields})


def outage() -> list[Message]:
    """2 kW for six hours, without readings from 7:00 to 9:00: 4000 Wh in them."""
    return [line(at, import_wh=wh) for at, wh in sent(6, 60) if not DAY + 7 * HOUR < at < DAY + 9 * HOUR]


def imports(store: Store, hour: float) -> int | None:
    start = DAY + int(hour * HOUR)
    return energy(store, "d", start, start + 1800).import_wh


def test_half_hours_of_the_supplier_shape_an_outage(store: Store, order: Order) -> None:
    stated = [half_hour(DAY + 7 * HOUR, import_wh=1500), half_hour(DAY + 8 * HOUR, import_wh=500)]
    send(store, order(outage() + stated))
    part = energy(store, "d")
    assert (part.import_wh, part.interval_import_wh, part.estimated_wh) == (12_000, 2000, 2000)
    assert [imports(store, hour) for hour in (6.5, 7, 7.5, 8, 8.5, 9)] == [1000, 1500, 1000, 500, 1000, 1000]


def test_half_hours_of_more_than_the_outage_do_not_count_there(store: Store, order: Order) -> None:
    send(store, order([*outage(), half_hour(DAY + 7 * HOUR, import_wh=4500)]))
    part = energy(store, "d")
    assert (part.import_wh, part.interval_import_wh, part.estimated_wh) == (12_000, 0, 4000)


def test_an_interval_beside_a_register_gives_the_rest_to_the_rest(store: Store, order: Order) -> None:
    """The register tells 5:00 to 7:15; 400 W are stated for 7:00 to 7:30, less than the register counted."""
    points = [line(at, import_wh=wh) for at, wh in sent(3, 60) if at <= DAY + 7 * HOUR + 900]
    send(store, order([*points, half_hour(DAY + 7 * HOUR, import_wh=800), half_hour(DAY + 8 * HOUR, import_wh=9)]))
    assert (imports(store, 7), imports(store, 7.5), imports(store, 8)) == (800, None, 9)
    part = energy(store, "d", DAY + 7 * HOUR, DAY + 7 * HOUR + 1800)
    assert (part.interval_import_wh, part.covered_s, part.interval_s) == (300, 900, 900)


def test_export_of_intervals_joins_import_of_a_register(store: Store, order: Order) -> None:
    points = [line(at, import_wh=wh) for at, wh in sent(1, 60)]
    send(store, order([*points, half_hour(DAY + 5 * HOUR, export_wh=300)]))
    part = energy(store, "d")
    assert (part.import_wh, part.export_wh, part.interval_export_wh, part.covered_s) == (2000, 300, 300, 3600)
