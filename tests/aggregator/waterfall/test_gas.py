"""Gas in m³: litres are kept, their energy closes at every level, and a corrected calorific value changes it."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core import periods
from aggregator.core.documents import Device, Document, Part
from aggregator.core.periods import FIRST_DAY
from aggregator.core.readings import Interval, Reading
from aggregator.intake.ingest import ingest, ingest_intervals
from aggregator.store import Store, open_store
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.tariffs.gas import Conversion, conversion_of, converted
from aggregator.waterfall.pricing import change_conversion
from aggregator.waterfall.retention import expire
from aggregator.waterfall.verify import differences, rebuild
from aggregator.waterfall.worker import drain
from tests.contract.conftest import KEEP, MEMORY, in_memory

ID, ZONE, DAY = "cad-1~gas", "Europe/London", "2026-11-10"
GAS = Device(ID, ZONE, kind="gas")
MIDNIGHT = 1_794_268_800  # of DAY
NOW = MIDNIGHT + 20 * 86_400
HOUR = 3600


@pytest.fixture(params=["sqlite", "dynamodb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    is_file = request.param == "sqlite"
    file = f"sqlite:///{tmp_path / 'gas.db'}"
    with closing(open_store(file) if is_file else DynamoStore(in_memory(), MEMORY, KEEP, pace_s=0)) as opened:
        yield opened


def half(litres: int | None, covered_s: int = 1800, estimated_s: int = 0, interval_s: int = 0) -> Part:
    return Part(None, None, 0, 0, covered_s, estimated_s, interval_s=interval_s, volume_l=litres)


def register(*litres: int, start: int = MIDNIGHT) -> list[Reading]:
    """Readings every half hour of a register that begins at 5,000 l."""
    levels = accumulate(litres, initial=5000)
    return [Reading(ID, start + 1800 * n, None, None, None, None, level) for n, level in enumerate(levels)]


def document(store: Store, level: str, period: str) -> Document:
    found = store.document(level, ID, period)
    assert found
    return found


def import_wh(store: Store, day: str) -> int | None:
    return document(store, "day", day).total.import_wh


def rounded(litres: int, factor: str, value: str) -> int:
    """Return litres as Wh, in decimal arithmetic."""
    exact = Decimal(litres) * Decimal(factor) * Decimal(value) * 10 / 36
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


# One day


def test_a_cubic_metre_and_a_half_are_16831_watt_hours() -> None:
    parts = converted(GAS, DAY, {"s14": half(1000), "s15": half(500)})
    assert [parts[name].import_wh for name in ("s14", "s15")] == [11_221, 5_610]  # 11,220.63 and 16,830.95 in all
    assert [parts[name].volume_l for name in ("s14", "s15")] == [1000, 500]


def test_estimated_and_interval_energy_follow_the_time() -> None:
    part = half(1000, covered_s=600, estimated_s=900, interval_s=300)
    (found,) = converted(GAS, DAY, {"s14": part}).values()
    assert (found.import_wh, found.estimated_import_wh, found.interval_import_wh) == (11_221, 5_610, 1_870)


@pytest.mark.parametrize(
    "device",
    [Device("cad-1", ZONE), Device("roof", ZONE, kind="generation"), replace(GAS, registers=("import_wh", "volume_l"))],
)
def test_energy_that_a_device_sends_itself_is_kept(device: Device) -> None:
    halves = {"s14": Part(700, None, covered_s=1800, volume_l=1000)}
    assert converted(device, DAY, halves) == halves


def test_a_calorific_value_holds_from_its_first_day() -> None:
    gas = replace(GAS, conversion=Conversion(calorific_values={FIRST_DAY: Decimal(39), DAY: Decimal(40)}).to_text())
    energies = [converted(gas, day, {"s00": half(1000)})["s00"].import_wh for day in ("2026-11-09", DAY, "2027-01-01")]
    assert energies == [rounded(1000, "1.02264", value) for value in ("39", "40", "40")] == [11_079, 11_363, 11_363]


@given(st.lists(st.none() | st.integers(0, 9000), min_size=48, max_size=48), st.sampled_from(["38.1", "39.512", "41"]))
def test_half_hours_add_up_to_the_energy_of_the_days_litres(litres: list[int | None], value: str) -> None:
    gas = replace(GAS, conversion=Conversion(Decimal("1.0031"), {FIRST_DAY: Decimal(value)}).to_text())
    parts = converted(gas, DAY, {f"s{n:02d}": half(volume) for n, volume in enumerate(litres)})
    known = [volume for volume in litres if volume is not None]
    assert sum(part.import_wh or 0 for part in parts.values()) == rounded(sum(known), "1.0031", value)
    assert all((part.import_wh is None) is (part.volume_l is None) for part in parts.values())
    assert all(part.import_wh is None or part.import_wh >= 0 for part in parts.values())


# In the waterfall


def take_in(store: Store, *readings: Reading) -> None:
    ingest(store, readings, NOW, ZONE)
    drain(store)


def test_litres_and_energy_are_in_every_document(store: Store) -> None:
    take_in(store, *register(1000, 500, 0, 250))
    day = document(store, "day", DAY)
    assert (day.part("s00").import_wh, day.part("s01").import_wh, day.part("h00").import_wh) == (11_221, 5_610, 16_831)
    for level, period in (("day", DAY), ("month", "2026-11"), ("year", "2026")):
        total = document(store, level, period).total
        assert (total.import_wh, total.volume_l) == (rounded(1750, "1.02264", "39.5"), 1750)
    assert list(differences(store, store.device(ID) or GAS)) == []


def test_later_readings_of_a_day_leave_the_sums_closed(store: Store) -> None:
    litres = [137, 211, 0, 93, 401, 7, 77, 313] * 6
    readings = register(*litres)
    for first, last in ((30, 49), (0, 12), (11, 31)):
        take_in(store, *readings[first:last])
    day = document(store, "day", DAY)
    for n in range(48):
        until = sum(day.part(f"s{k:02d}").import_wh or 0 for k in range(n + 1))
        assert until == rounded(sum(litres[: n + 1]), "1.02264", "39.5")
    assert [day.part(f"h{n:02d}").import_wh for n in range(24)] == [
        (day.part(f"s{2 * n:02d}").import_wh or 0) + (day.part(f"s{2 * n + 1:02d}").import_wh or 0) for n in range(24)
    ]
    assert list(differences(store, store.device(ID) or GAS)) == []


def test_intervals_in_litres_are_energy_too(store: Store) -> None:
    stated = [Interval(ID, MIDNIGHT + 1800 * n, MIDNIGHT + 1800 * (n + 1), None, None, "app", 500) for n in (14, 15)]
    ingest_intervals(store, stated, NOW, ZONE)
    drain(store)
    total = document(store, "day", DAY).total
    assert (total.import_wh, total.volume_l, total.interval_s) == (11_221, 1000, 3600)
    assert total.interval_import_wh == 11_221


@pytest.mark.parametrize("first_day", [FIRST_DAY, "2026-11-11"])
def test_a_corrected_calorific_value_reprices_the_days_that_it_changes(store: Store, first_day: str) -> None:
    take_in(store, *register(*[100] * 48 * 3))
    gas = store.device(ID) or GAS
    days = [periods.shift("day", DAY, n) for n in range(3)]
    changed = [day for day in days if day >= first_day]
    usual = conversion_of(gas)
    new = replace(usual, calorific_values={**usual.calorific_values, first_day: Decimal("39.4")})
    assert change_conversion(store, gas, new) == len(changed)
    drain(store)
    values = ["39.4" if day in changed else "39.5" for day in days]
    assert [import_wh(store, day) for day in days] == [rounded(4800, "1.02264", value) for value in values]
    assert document(store, "month", "2026-11").total.import_wh == sum(import_wh(store, day) or 0 for day in days)
    assert list(differences(store, store.device(ID) or GAS)) == []


def test_repricing_equals_a_fresh_computation(store: Store) -> None:
    take_in(store, *register(*[137, 211, 93] * 16))
    gas = store.device(ID) or GAS
    change_conversion(store, gas, Conversion(Decimal("0.98"), {FIRST_DAY: Decimal("38.07")}))
    drain(store)
    repriced = document(store, "day", DAY)
    rebuild(store, store.device(ID) or GAS, None, None)
    drain(store)
    assert document(store, "day", DAY) == repriced
    assert change_conversion(store, store.device(ID) or GAS, conversion_of(store.device(ID) or GAS)) == 1
    drain(store)
    assert document(store, "day", DAY) == repriced


def test_a_meter_that_once_sent_energy_and_then_litres_alone_is_converted(store: Store) -> None:
    """Two half hours of 700 Wh in kWh, then two of 1000 l; the fourth boundary is known by both."""
    energy = [Reading(ID, MIDNIGHT + 1800 * n, None, 50_000 + 700 * n, None) for n in range(3)]
    litres = register(0, 0, 1000, 1000)[2:]
    for readings in (energy[:2], litres[:1], energy[2:], litres[1:]):
        take_in(store, *readings)
    day = document(store, "day", DAY)
    assert [day.part(f"s0{n}").import_wh for n in range(4)] == [700, 700, 11_221, 11_220]
    assert day.total.import_wh == 1400 + rounded(2000, "1.02264", "39.5")
    assert list(differences(store, store.device(ID) or GAS)) == []
    change_conversion(store, store.device(ID) or GAS, Conversion(Decimal("0.98"), {FIRST_DAY: Decimal("38.07")}))
    drain(store)
    assert import_wh(store, DAY) == 1400 + rounded(2000, "0.98", "38.07")


# Beyond the retention


def test_late_readings_of_an_expired_outage_keep_the_sum_of_the_litres(tmp_path: Path) -> None:
    """10 h without readings; 4 of its half hours come in after the evidence has been deleted."""
    litres = [100 + 7 * n for n in range(40 * 48)]
    readings = register(*litres)
    outage = range(20, 40)
    clock = [MIDNIGHT + 2 * 86_400]
    with closing(SqliteStore(str(tmp_path / "old.db"), lambda: clock[0])) as store:
        steady = [reading for n, reading in enumerate(readings) if n not in outage]
        ingest(store, [one for one in steady if one.at < clock[0]], clock[0], ZONE)
        drain(store)
        before = document(store, "day", DAY).total
        ingest(store, [one for one in steady if one.at >= clock[0]], readings[-1].at, ZONE)
        clock[0] = readings[-1].at
        drain(store)
        assert expire(store, store.device(ID) or GAS, MIDNIGHT + 35 * 86_400) == 2 * 48 - len(outage)
        ingest(store, readings[28:32], clock[0], ZONE)
        drain(store)
        after = document(store, "day", DAY)
    assert (after.total.volume_l, after.total.import_wh) == (before.volume_l, before.import_wh)
    assert (before.volume_l, before.import_wh) == (sum(litres[:48]), rounded(sum(litres[:48]), "1.02264", "39.5"))
    assert [after.part(f"s{n:02d}").volume_l for n in (28, 29, 30)] == litres[28:31]
    assert after.total.estimated_s < before.estimated_s
