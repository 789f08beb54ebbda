"""The diagnostics of a device are correct."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aggregator.core import periods, status
from aggregator.core.documents import Device, Part
from aggregator.core.readings import Interval, Reading
from aggregator.core.status import Status
from aggregator.intake import device_status
from aggregator.intake.ingest import Outcome, ingest, ingest_intervals, ingest_lines
from aggregator.store import Store, open_store
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.support.actions import mark_exchange
from aggregator.support.anomalies import Surplus
from aggregator.support.audit import Audit, Who
from aggregator.support.diagnostics import RECENT_DAYS, STRIP_DAYS, Diagnostics, diagnose
from aggregator.waterfall.verify import rebuild
from aggregator.waterfall.worker import drain

NOW = int(time.time()) // 1800 * 1800 + 905  # records expire by the store's own clock
HOUR, DAY = 3600, 86_400
ZONE = "UTC"  # all days have 24 hours
FIRST = (NOW - 3 * DAY) // 1800 * 1800


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/evidence.db")
    yield opened
    opened.close()


def steady(first: int = FIRST, last: int = NOW, step: int = 60, export_wh: int | None = None) -> list[Reading]:
    """Return the readings of a home that draws 600 W."""
    reading = Reading("cad-1", 0, 600, 0, export_wh)
    return [reading._replace(at=at, import_wh=100_000 + (at - FIRST) // 6) for at in range(first, last + 1, step)]


def without(readings: list[Reading], start: int, end: int) -> list[Reading]:
    return [reading for reading in readings if not start < reading.at < end]


def send(store: Store, readings: list[Reading], received: int = NOW) -> None:
    ingest(store, readings, received, ZONE)
    drain(store)


def send_in_rhythm(store: Store, readings: list[Reading]) -> None:
    """Send the last readings one by one, so that the newest arrives at NOW; send the earlier ones at once."""
    delay = NOW - readings[-1].at
    ingest(store, readings[:-9], readings[-10].at + delay, ZONE)
    for reading in readings[-9:]:
        ingest(store, [reading], reading.at + delay, ZONE)
    drain(store)


def diagnosed(store: Store, now: int = NOW) -> Diagnostics:
    device = store.device("cad-1")
    assert device
    return diagnose(store, device, now)


# Does it send?


def test_a_sending_device_has_its_own_interval(store: Store) -> None:
    send_in_rhythm(store, steady())
    assert diagnosed(store).judgement == ("sending", "on_time", None, 60)
    assert diagnosed(store, NOW + 180).judgement.state == "sending"
    assert diagnosed(store, NOW + 181).judgement == ("late", "overdue", NOW, 60)
    assert diagnosed(store, NOW + 601).judgement == ("silent", "nothing_comes", NOW, 60)


def test_a_half_hourly_device_is_not_late_for_an_hour(store: Store) -> None:
    send_in_rhythm(store, steady(step=1800))
    assert diagnosed(store, NOW + 5400).judgement.state == "sending"
    assert diagnosed(store, NOW + 5401).judgement.state == "late"
    assert diagnosed(store, NOW + 6 * 1800 + 1).judgement.state == "silent"


def test_a_device_with_intervals_alone_is_supplied_since_its_first_day(store: Store) -> None:
    first = (NOW - 40 * DAY) // 1800 * 1800
    ingest_intervals(store, [Interval("cad-1", first + n, first + n + 1800, 200, None) for n in (0, 1800)], NOW, ZONE)
    drain(store)
    assert diagnosed(store).judgement == ("supplied", None, first // DAY * DAY, 10)


def test_a_device_without_readings_has_never_sent(store: Store) -> None:
    store.put_device(Device("cad-1", ZONE))
    diagnostics = diagnosed(store)
    assert diagnostics.judgement == ("never", None, None, 10)
    assert (
        diagnostics.live,
        diagnostics.gaps,
        diagnostics.steps,
        diagnostics.closures,
        diagnostics.levels,
        diagnostics.last_readings,
    ) == (
        None,
        [],
        [],
        [],
        [],
        [],
    )
    assert {day.missing for day in diagnostics.strip} == {1.0}


def test_a_device_sends_since_the_end_of_its_last_gap(store: Store) -> None:
    back = FIRST + 2 * DAY
    send(store, without(steady(), back - HOUR, back))
    assert diagnosed(store).judgement.since == back


def test_a_silence_with_refused_messages_has_that_reason(store: Store) -> None:
    send_in_rhythm(store, steady())
    ingest_lines(store, [b'{"device_id": "cad-1", "at": 7}'], 1, NOW + 1200, ZONE, Outcome(), lambda *_: None)
    assert diagnosed(store, NOW + 1200).judgement == ("silent", "only_refused", NOW, 60)


@pytest.mark.parametrize(
    ("joined", "reason"), [(True, "only_statuses"), (False, "not_joined"), (None, "only_statuses")]
)
def test_a_device_with_statuses_only_has_that_reason(store: Store, joined: bool | None, reason: str) -> None:
    send_in_rhythm(store, steady())
    device_status.put_statuses(store, [Status("cad-1", NOW + 1000, -88, 20, "v1", None, joined)], NOW + 1000)
    diagnostics = diagnosed(store, NOW + 1200)
    assert diagnostics.judgement == ("silent", reason, NOW, 60)
    assert diagnostics.known
    assert diagnostics.known.status.rssi_dbm == -88


def test_a_slow_clock_is_reported(store: Store) -> None:
    send(store, steady(last=NOW - 1200), received=NOW)
    assert diagnosed(store).judgement.reason == "clock_behind"


def test_readings_are_counted_by_hour_with_their_expected_number(store: Store) -> None:
    hour = NOW // HOUR * HOUR
    send(store, without(steady(), hour - 4 * HOUR, hour - 4 * HOUR + 1800))
    hours = {one.start: (one.readings, one.expected) for one in diagnosed(store).hours}

    assert len(hours) == RECENT_DAYS * 24
    assert hours[hour - 5 * HOUR] == (60, 60)
    assert hours[hour - 4 * HOUR] == (31, 60)
    assert hours[hour] == ((NOW - hour) // 60 + 1, (NOW - hour) // 60 + 1)
    assert hours[hour - 5 * DAY] == (0, 60)


def test_every_hour_of_a_week_is_counted(store: Store) -> None:
    send(store, steady(NOW - 8 * DAY, NOW, 300))
    assert {one.readings for one in diagnosed(store).hours[:-1]} == {12}


def test_the_strip_has_measured_estimated_and_missing_shares(store: Store) -> None:
    midnight = periods.day_start(periods.day_of(NOW - DAY, ZONE), ZONE)
    send(store, without(steady(), midnight + 6 * HOUR, midnight + 12 * HOUR))
    strip = {one.day: one for one in diagnosed(store).strip}

    assert len(strip) == STRIP_DAYS
    yesterday = strip[periods.day_of(midnight, ZONE)]
    assert (yesterday.measured, yesterday.estimated, yesterday.missing) == (0.75, 0.25, 0.0)
    today = strip[periods.day_of(NOW, ZONE)]
    assert today.measured > 0.9, "the part of today that is still to come does not count"
    assert strip[periods.day_of(NOW - 10 * DAY, ZONE)].missing == 1.0


def test_half_hourly_history_before_frequent_readings_has_no_gaps(store: Store) -> None:
    seam = NOW // 1800 * 1800 - 40 * HOUR
    send(store, [*steady(last=seam, step=1800), *steady(seam + 60)])
    diagnostics = diagnosed(store)
    hours = {one.start: (one.readings, one.expected) for one in diagnostics.hours}

    assert diagnostics.gaps == []
    assert hours[(seam - 5 * HOUR) // HOUR * HOUR] == (2, 2)
    assert hours[(seam + 5 * HOUR) // HOUR * HOUR] == (60, 60)


# Is the data correct?


def send_counters(store: Store, at: int, **counters: int) -> None:
    message = {"device_id": "cad-1", "at": periods.iso_utc(at), **counters}
    device_status.put_statuses(store, [status.parse_status(message, at)], at)


def test_meter_counters_are_compared_with_the_charts(store: Store) -> None:
    send(store, steady())
    midnight = periods.day_start(periods.day_of(NOW, ZONE), ZONE)
    at = max(NOW - 3600, midnight + 60)
    send_counters(store, at, meter_day_wh=7, meter_month_wh=9)
    day, month = diagnosed(store).counted
    assert (day.span, day.at, day.meter_wh, day.charts_wh) == ("day", at, 7, (at - midnight) // 6)
    assert (month.span, month.meter_wh) == ("month", 9)
    assert month.charts_wh is not None
    assert month.charts_wh >= (at - midnight) // 6


def test_counters_with_expired_readings_are_not_compared(store: Store) -> None:
    send(store, steady(NOW - DAY, NOW))
    send_counters(store, NOW - 2 * DAY, meter_day_wh=7)
    diagnostics = diagnosed(store)
    assert diagnostics.counted == []
    assert diagnostics.known
    assert diagnostics.known.status.counters


def test_a_device_without_counters_has_no_comparison(store: Store) -> None:
    send(store, steady())
    device_status.put_statuses(store, [Status("cad-1", NOW, -88, 20, "v1", None, True)], NOW)
    assert diagnosed(store).counted == []


def test_gaps_are_listed_with_their_kind(store: Store) -> None:
    start = NOW // 1800 * 1800 - DAY
    gaps = [(start, start + 2 * HOUR), (start + 5 * HOUR + 300, start + 5 * HOUR + 1200)]
    readings = steady()
    for gap in gaps:
        readings = without(readings, *gap)
    send(store, readings)

    diagnostics = diagnosed(store, NOW + 1200)
    assert [(gap.start, gap.end, gap.kind, gap.seconds) for gap in diagnostics.gaps] == [
        (readings[-1].at, NOW + 1200, "open", NOW + 1200 - readings[-1].at),
        (*gaps[1], "bridged", 900),
        (*gaps[0], "estimated", 7200),
    ]


def test_without_a_register_a_gap_is_missing(store: Store) -> None:
    start = NOW // 1800 * 1800 - DAY
    powers = [reading._replace(import_wh=None) for reading in without(steady(), start, start + HOUR)]
    send(store, powers)
    assert [(gap.start, gap.end, gap.kind) for gap in diagnosed(store).gaps] == [(start, start + HOUR, "missing")]


def test_a_gap_with_late_readings_is_filled(store: Store) -> None:
    start = NOW // 1800 * 1800 - DAY
    send(store, without(steady(), start, start + HOUR))
    assert [gap.kind for gap in diagnosed(store).gaps] == ["estimated"]
    send(store, steady(start, start + 1800))
    assert [(gap.start, gap.end, gap.kind) for gap in diagnosed(store).gaps] == [
        (start + 1800, start + HOUR, "bridged"),
        (start, start + 1800, "filled"),
    ]
    send(store, steady(start, start + HOUR))
    assert [(gap.start, gap.end, gap.kind) for gap in diagnosed(store).gaps] == [(start, start + HOUR, "filled")]


def test_late_readings_fill_a_gap_without_a_register(store: Store) -> None:
    start = NOW // 1800 * 1800 - 2 * HOUR
    powers = [reading._replace(import_wh=None) for reading in steady()]
    send(store, without(powers, start - 60, start + HOUR))
    send(store, powers)
    assert [(gap.start, gap.end, gap.kind) for gap in diagnosed(store).gaps] == [(start, start + HOUR, "filled")]


def test_readings_in_order_are_never_filled(store: Store) -> None:
    """Neither for a slow device, nor for single readings, nor after a rebuild."""
    for reading in steady(NOW - 5 * HOUR, NOW, 420):
        send(store, [reading])
    device = store.device("cad-1")
    assert device
    rebuild(store, device, None, None)
    drain(store)
    assert [gap.kind for gap in diagnosed(store).gaps if gap.kind == "filled"] == []


def test_gaps_of_weeks_ago_are_exact_to_the_second(store: Store) -> None:
    old = NOW - 20 * DAY
    start = old // 1800 * 1800 + 7 * HOUR + 420
    readings = steady(old, last=NOW, step=300)
    send(store, without(readings, start, start + 26 * HOUR + 60))
    (gap,) = diagnosed(store).gaps
    last, first = (max(r.at for r in readings if r.at <= start), min(r.at for r in readings if r.at >= start + 93_660))
    assert (gap.start, gap.end, gap.kind) == (last, first, "estimated")


@pytest.mark.parametrize("age_d", [1, 20])
def test_a_gap_of_the_export_alone_is_listed(store: Store, age_d: int) -> None:
    start = NOW // 1800 * 1800 - age_d * DAY
    readings = steady(start - DAY, start + DAY, step=300)
    exporting = [one._replace(export_wh=(one.at - start + DAY) // 20) for one in readings]
    lost = [one.at for one in without(exporting, start, start + 3 * HOUR)]
    send(store, [one if one.at in lost else one._replace(export_wh=None) for one in exporting])
    diagnostics = diagnosed(store)
    assert [gap for gap in diagnostics.gaps if gap.kind != "open"] == [
        (start, start + 3 * HOUR, "estimated", "export_wh")
    ]
    assert diagnostics.judgement.since != start + 3 * HOUR  # it sent all the time


def test_a_fault_that_the_charts_spread_is_a_gap_of_the_register(store: Store) -> None:
    start = NOW // 1800 * 1800 - DAY
    readings = [one._replace(import_wh=0) if 0 < one.at - start < HOUR else one for one in steady()]
    send(store, readings)
    assert [gap for gap in diagnosed(store).gaps if gap.kind != "open"] == [
        (start, start + HOUR, "estimated", "import_wh")
    ]


def test_a_glitch_and_an_exchange_are_listed_with_their_registers(store: Store) -> None:
    readings = steady()
    glitch, seam = len(readings) // 2, len(readings) - 60
    readings[glitch] = readings[glitch]._replace(import_wh=0)
    readings[seam:] = [one._replace(import_wh=(one.import_wh or 0) - 90_000) for one in readings[seam:]]
    send(store, readings)

    diagnostics = diagnosed(store)
    assert [(one.kind, one.at, one.before_wh, one.after_wh, one.readings) for one in diagnostics.steps] == [
        ("exchange", readings[seam].at, readings[seam - 1].import_wh, readings[seam].import_wh, 0),
        ("glitch", readings[glitch].at, readings[glitch - 1].import_wh, 0, 1),
    ]
    assert [one.is_exact for one in diagnostics.closures] == [True]


def test_an_undecided_step_is_listed_as_undecided(store: Store) -> None:
    readings = steady()
    readings[-1] = readings[-1]._replace(import_wh=5)
    send(store, readings)
    assert [(one.kind, one.after_wh) for one in diagnosed(store).steps] == [("undecided", 5)]


def test_a_fault_of_hours_and_a_rollover_are_listed(store: Store) -> None:
    readings = [one._replace(import_wh=((one.import_wh or 0) + 99_870_000) % 100_000_000) for one in steady()]
    over = next(place for place, one in enumerate(readings) if one.import_wh == 0)
    readings[300:480] = [one._replace(import_wh=0) for one in readings[300:480]]
    send(store, readings)

    rollover, fault = diagnosed(store).steps
    assert (rollover.kind, rollover.at, rollover.before_wh, rollover.after_wh) == (
        *("rollover", readings[over].at, 99_999_990, 0),
    )
    assert (fault.kind, fault.at, fault.until) == ("glitch", readings[300].at, readings[479].at)
    assert (fault.readings, fault.before_wh, fault.after_wh) == (180, readings[299].import_wh, 0)


def test_intervals_that_exceed_a_gap_are_listed_with_both_energies(store: Store) -> None:
    """The meter draws 600 W; the supplier states 2 kWh for each of four half hours, and 300 Wh for a fifth."""
    start = NOW // 1800 * 1800 - DAY
    send(store, without(steady(), start - 60, start + 2 * HOUR))
    stated = [Interval("cad-1", start + 1800 * half, start + 1800 * (half + 1), 2000, None) for half in range(4)]
    stated.append(Interval("cad-1", start - 1800, start, 300, None))
    ingest_intervals(store, stated, NOW, ZONE)
    drain(store)

    diagnostics = diagnosed(store)
    assert diagnostics.surplus == [Surplus(start - 60, start + 2 * HOUR, "import_wh", 1210, 8010)]
    assert [one.is_exact for one in diagnostics.closures] == [True]


def test_intervals_that_fit_a_gap_are_no_surplus(store: Store) -> None:
    start = NOW // 1800 * 1800 - DAY
    send(store, without(steady(), start, start + 2 * HOUR))
    ingest_intervals(store, [Interval("cad-1", start, start + 1800, 500, None)], NOW, ZONE)
    drain(store)
    assert diagnosed(store).surplus == []


def test_an_open_gap_follows_the_rhythm_of_the_last_readings(store: Store) -> None:
    seam = NOW - 4 * HOUR
    send(store, [*steady(last=seam), *steady(seam + 1800, step=1800)])
    last = diagnosed(store).last_readings[0].at
    assert [gap.kind for gap in diagnosed(store, NOW + 5400).gaps] == []
    assert [(gap.start, gap.kind) for gap in diagnosed(store, NOW + 5401).gaps] == [(last, "open")]


def test_registers_equal_the_sum_of_correct_days_only(store: Store) -> None:
    send(store, steady(export_wh=7))
    assert [(one.channel, one.is_exact) for one in diagnosed(store).closures] == [
        ("import_wh", True),
        ("export_wh", True),
    ]

    day = periods.day_of(NOW - DAY, ZONE)
    store.merge_parts("day", "cad-1", day, ZONE, {"s10": Part(1, 0, 0, 0, 1800, 0)})
    closure = diagnosed(store).closures[0]
    assert (closure.is_exact, closure.documents_wh) == (False, closure.register_wh - 299)


def test_a_marked_exchange_is_listed_and_the_sum_holds(store: Store) -> None:
    send(store, steady())
    device = store.device("cad-1")
    assert device
    mark_exchange(Audit(store, []), Who("u-1", "", "support"), device, NOW - DAY, "new meter", NOW, is_exchange=True)
    drain(store)
    diagnostics = diagnosed(store)
    assert [(one.kind, one.at - NOW + DAY < 60) for one in diagnostics.steps] == [("exchange", True)]
    assert [one.is_exact for one in diagnostics.closures] == [True]


# Is the data in the charts?


def test_current_charts_are_right_on_every_level(store: Store) -> None:
    send(store, steady())
    diagnostics = diagnosed(store)
    assert [(one.level, one.behind_s, one.is_right) for one in diagnostics.levels] == [
        ("day", 0, True),
        ("month", 0, True),
        ("year", 0, True),
    ]
    assert (diagnostics.backlog.waiting, diagnostics.aside) == (0, [])


def test_a_replay_does_not_move_the_change_times_of_levels(tmp_path: Path) -> None:
    clock = iter(range(NOW, NOW + 10**6)).__next__
    opened = SqliteStore(f"{tmp_path}/changed.db", clock)
    send(opened, steady())
    first = [one.changed_at for one in diagnosed(opened).levels]
    assert all(at is not None and at >= NOW for at in first)
    device = opened.device("cad-1")
    assert device
    rebuild(opened, device, None, None)
    drain(opened)
    assert [one.changed_at for one in diagnosed(opened).levels] == first
    send(opened, steady(last=NOW + 60), NOW + 60)
    later = [one.changed_at for one in diagnosed(opened, NOW + 60).levels]
    assert all(after > before for before, after in zip(first, later, strict=True) if after and before)
    opened.close()


def test_unpropagated_readings_put_charts_behind(store: Store) -> None:
    known = steady(last=NOW - 300)
    send(store, known)
    ingest(store, steady(NOW - 240, NOW), NOW, ZONE)
    diagnostics = diagnosed(store)
    assert [(one.level, one.behind_s, one.is_right) for one in diagnostics.levels] == [
        ("day", NOW - known[-1].at, False),
        ("month", 0, True),
        ("year", 0, True),
    ]
    assert diagnostics.backlog.waiting == 1


def test_quarantined_keys_are_listed(store: Store) -> None:
    send(store, steady())
    store.quarantine("day", "cad-1", ["2026-01-01"], "it is damaged")
    assert diagnosed(store).aside == ["day 2026-01-01: it is damaged"]


def test_the_last_readings_are_listed_newest_first(store: Store) -> None:
    readings = steady()
    send(store, readings)
    assert list(diagnosed(store).last_readings) == readings[:-21:-1]


def test_a_device_is_judged_by_the_days_of_its_zone(store: Store) -> None:
    store.put_device(replace(Device("cad-1"), timezone="Asia/Kathmandu"))
    send(store, steady())
    diagnostics = diagnosed(store)
    assert diagnostics.strip[-1].day == periods.day_of(NOW, "Asia/Kathmandu")
    assert {one.is_right for one in diagnostics.levels} == {True}
    assert [one.is_exact for one in diagnostics.closures] == [True]
