"""Documents: their public JSON, their sums and their stored bytes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Document, Part, add, as_json, coverage, decode, encode, spliced
from aggregator.core.live import Live, live_json
from aggregator.core.money import NOTHING, Cost

LONDON, LORD_HOWE = "Europe/London", "Australia/Lord_Howe"
HOUR = Part(600, None, covered_s=3600)
ENERGIES = {"import_wh": None, "export_wh": None, "estimated_wh": None, "coverage": 0}

WHS = st.none() | st.integers(0, 10**12)
SECONDS = st.integers(0, 366 * 86_400)
AMOUNTS = st.none() | st.integers(-(10**24), 10**24)
COSTS = st.builds(
    Cost,
    import_cost=AMOUNTS,
    export_earnings=AMOUNTS,
    standing_charge=st.none(),  # of documents that are shown, not of stored ones
    unpriced_import_wh=st.integers(0, 10**12),
    unpriced_export_wh=st.integers(0, 10**12),
    estimated_import_cost=st.integers(-(10**24), 10**24),
    estimated_export_earnings=st.integers(-(10**24), 10**24),
)
PARTS = st.builds(
    Part,
    import_wh=WHS,
    export_wh=WHS,
    estimated_import_wh=st.integers(0, 10**12),
    estimated_export_wh=st.integers(0, 10**12),
    covered_s=SECONDS,
    estimated_s=SECONDS,
    interval_import_wh=st.just(0) | st.integers(0, 10**12),
    interval_export_wh=st.just(0) | st.integers(0, 10**12),
    interval_s=st.just(0) | SECONDS,
    cost=st.just(NOTHING) | COSTS,
    volume_l=WHS,
    is_converted=st.booleans(),
).map(lambda part: part._replace(is_converted=part.is_converted and part.volume_l is not None))
NAMES = st.builds("{}{:02d}".format, st.sampled_from("hsdm"), st.integers(0, 99))
BODIES = st.dictionaries(NAMES, PARTS, max_size=12)


def shown(level: str, period: str, zone: str = LONDON, parts: Mapping[str, Part] | None = None) -> dict[str, Any]:
    return as_json(Document(level, "cad-1", period, zone, parts or {}))


# The public JSON


@pytest.mark.parametrize(
    ("zone", "day", "hours", "half_hours"),
    [
        (LONDON, "2026-11-23", 24, 48),
        (LONDON, "2026-03-29", 23, 46),
        (LONDON, "2026-10-25", 25, 50),
        (LORD_HOWE, "2026-04-05", 25, 49),  # 24.5 hours
        (LORD_HOWE, "2026-10-04", 24, 47),  # 23.5 hours
        ("Asia/Kathmandu", "2026-03-29", 24, 48),
        ("Pacific/Apia", "2011-12-30", 0, 0),  # a date that was skipped
    ],
)
def test_a_day_has_contiguous_hours_and_half_hours(zone: str, day: str, hours: int, half_hours: int) -> None:
    content = shown("day", day, zone)
    window = periods.window("day", day, zone)
    assert (len(content["parts"]), len(content["half_hours"])) == (hours, half_hours)
    for parts in (content["parts"], content["half_hours"]):
        ends = [(datetime.fromisoformat(part["start"]), datetime.fromisoformat(part["end"])) for part in parts]
        edges = [start for start, _ in ends[:1]] + [end for _, end in ends]
        assert [start for start, _ in ends[1:]] == edges[1:-1]
        assert [edge.timestamp() for edge in (*edges[:1], *edges[-1:])] == [*window][: 2 * bool(hours)]


def test_the_repeated_hour_differs_by_its_offset() -> None:
    starts = [part["start"] for part in shown("day", "2026-10-25")["parts"]]
    assert starts[0:4] == [
        "2026-10-25T00:00:00+01:00",
        "2026-10-25T01:00:00+01:00",
        "2026-10-25T01:00:00+00:00",
        "2026-10-25T02:00:00+00:00",
    ]


def test_a_skipped_hour_has_no_part() -> None:
    parts = shown("day", "2026-03-29")["parts"]
    assert (parts[0]["start"], parts[0]["end"]) == ("2026-03-29T00:00:00+00:00", "2026-03-29T02:00:00+01:00")
    assert parts[1]["start"] == "2026-03-29T02:00:00+01:00"


def test_a_24_5_hour_day_ends_with_half_an_hour() -> None:
    half = {"import_wh": 7, "export_wh": None, "estimated_wh": 0, "coverage": 1}
    last = shown("day", "2026-04-05", LORD_HOWE, {"h24": Part(7, None, covered_s=1800)})["parts"][24]
    assert last.items() >= half.items()
    assert (last["start"], last["end"]) == ("2026-04-05T23:30:00+10:30", "2026-04-06T00:00:00+10:30")


@pytest.mark.parametrize(
    ("level", "period", "count"), [("month", "2026-02", 28), ("month", "2028-02", 29), ("year", "2026", 12)]
)
def test_a_month_has_its_days_and_a_year_its_months(level: str, period: str, count: int) -> None:
    content = shown(level, period)
    assert len(content["parts"]) == count
    assert "half_hours" not in content


def test_a_document_names_its_device_and_period() -> None:
    names = {"device_id": "cad-1", "level": "month", "period": "2026-02", "timezone": LONDON}
    assert shown("month", "2026-02").items() >= names.items()


def test_missing_data_is_null_with_zero_coverage() -> None:
    content = shown("day", "2026-11-23")
    for place in (content, *content["parts"], *content["half_hours"]):
        assert place.items() >= ENERGIES.items()


def test_null_is_not_zero() -> None:
    parts = shown("day", "2026-11-23", parts={"h01": Part(0, None, covered_s=3600), "h02": Part(None, 0)})["parts"]
    assert parts[0].items() >= ENERGIES.items()
    assert parts[1].items() >= {"import_wh": 0, "export_wh": None, "estimated_wh": 0, "coverage": 1}.items()
    assert parts[2].items() >= {"import_wh": None, "export_wh": 0, "estimated_wh": 0, "coverage": 0}.items()


def test_only_gas_in_cubic_metres_has_volumes() -> None:
    gas = Part(16_831, None, covered_s=3600, volume_l=1500)
    content = shown("day", "2026-11-23", parts={"h00": gas, "s00": gas})
    places = [content, content["parts"][0], content["half_hours"][0], content["parts"][1], content["half_hours"][1]]
    assert [place["volume_m3"] for place in places] == [1.5, 1.5, 1.5, None, None]
    assert "volume_m3" not in shown("day", "2026-11-23", parts={"h00": HOUR})["parts"][0]


def test_a_day_with_only_a_standing_charge_has_no_energy() -> None:
    """A day without data still owes the standing charge."""
    charged = Part(None, None, cost=Cost(None, None, 45))
    content = shown("month", "2026-02", parts={"d01": charged})
    assert content.items() >= ENERGIES.items()
    assert content["parts"][0].items() >= ENERGIES.items()


def test_a_total_is_null_only_without_any_value() -> None:
    one = shown("month", "2026-02", parts={"d07": Part(5, None, covered_s=60)})
    assert one.items() >= {"import_wh": 5, "export_wh": None, "estimated_wh": 0}.items()
    both = shown("month", "2026-02", parts={"d07": Part(5, None, covered_s=60), "d08": Part(None, 0)})
    assert both.items() >= {"import_wh": 5, "export_wh": 0, "estimated_wh": 0}.items()


def test_estimated_energy_counts_both_directions() -> None:
    content = shown("month", "2026-02", parts={"d01": Part(90, 40, 30, 4, 0, 600), "d02": Part(1, 1, 1, 0, 5, 5)})
    assert [part["estimated_wh"] for part in content["parts"][:3]] == [34, 1, None]
    assert content["estimated_wh"] == 35


def test_a_day_total_counts_hours_once() -> None:
    parts = {"h00": HOUR, "s00": Part(250, None, covered_s=1800), "s01": Part(350, None, covered_s=1800)}
    document = Document("day", "cad-1", "2026-11-23", LONDON, parts)
    assert document.total == HOUR
    assert as_json(document)["import_wh"] == 600


def test_coverage_never_rounds_up_to_1() -> None:
    assert coverage(Part(1, None, covered_s=3600), 3600) == 1
    assert coverage(Part(1, None, covered_s=3599), 3600) == 0.9997
    assert coverage(Part(1, None, covered_s=366 * 86_400 - 1), 366 * 86_400) == 0.9999
    assert coverage(Part(1, None, covered_s=1, estimated_s=3599), 3600) == 0.0003
    assert coverage(Part(1, None, covered_s=86_389), 86_400) == 0.9999
    assert coverage(EMPTY, 0) == 0


@given(st.integers(1, 366 * 86_400), st.data())
def test_coverage_is_1_only_for_every_second(seconds: int, data: st.DataObject) -> None:
    covered = data.draw(st.integers(0, seconds))
    share = coverage(Part(1, None, covered_s=covered), seconds)
    assert 0 <= share <= 1
    assert abs(share - covered / seconds) <= 0.0001
    assert (share == 1) == (covered == seconds)


def test_a_25_hour_day_needs_25_hours_of_coverage() -> None:
    hours = {f"h{number:02d}": HOUR for number in range(25)}
    assert shown("day", "2026-10-25", parts=hours)["coverage"] == 1
    assert shown("day", "2026-10-25", parts={**hours, "h24": HOUR._replace(covered_s=3599)})["coverage"] == 0.9999


def test_live_state_uses_utc() -> None:
    live = Live("cad-1", 1774745990, 1774745992, -431, 5, None, None)
    assert (
        live_json(live).items()
        >= {
            "device_id": "cad-1",
            "at": "2026-03-29T00:59:50Z",
            "received_at": "2026-03-29T00:59:52Z",
            "power_w": -431,
            "import_wh": 5,
            "export_wh": None,
        }.items()
    )


# Sums


def test_an_empty_sum_is_unknown() -> None:
    assert add([]) == add([EMPTY, EMPTY]) == EMPTY
    assert EMPTY.is_empty
    assert not Part(0, None).is_empty
    assert not Part(None, 0).is_empty


@given(st.lists(PARTS, max_size=8), st.integers(0, 8))
def test_sums_are_associative(parts: list[Part], cut: int) -> None:
    assert add([add(parts[:cut]), add(parts[cut:])]) == add(parts) == add(reversed(parts))


# The stored bytes


@given(BODIES, st.sampled_from([LONDON, LORD_HOWE, "UTC"]), st.sampled_from(["", "GBP"]))
def test_a_document_round_trips_through_its_bytes(parts: dict[str, Part], zone: str, currency: str) -> None:
    document = decode("day", "cad-1", "2026-11-23", 5, 7, encode(zone, currency, parts), None)
    assert document == Document("day", "cad-1", "2026-11-23", zone, parts, currency)
    assert all(type(part) is Part for part in document.parts.values())


@given(BODIES, st.randoms(use_true_random=False))
def test_equal_content_gives_equal_bytes_in_any_order(parts: dict[str, Part], chance: Any) -> None:  # noqa: ANN401 - hypothesis's Random
    names = list(parts)
    chance.shuffle(names)
    shuffled = {name: parts[name] for name in names}
    body = encode("UTC", "", parts)
    assert encode("UTC", "", shuffled) == body
    assert encode("UTC", "", decode("day", "d", "2026-01-01", 5, 7, body, None).parts) == body


@given(BODIES, BODIES, st.sampled_from(["", "GBP"]))
def test_splicing_parts_gives_the_bytes_of_encoding_all(
    parts: dict[str, Part], others: dict[str, Part], currency: str
) -> None:
    replaced = {name: part for name, part in others.items() if name in parts}
    body = encode(LONDON, currency, parts)
    assert spliced(body, LONDON, currency, replaced) == encode(LONDON, currency, parts | replaced)


@pytest.mark.parametrize(
    ("zone", "currency", "parts"),
    [("UTC", "GBP", {}), (LONDON, "EUR", {}), (LONDON, "GBP", {"h00": None}), (LONDON, "GBP", {"h01": Part(1, None)})],
)
def test_other_terms_or_other_parts_are_not_spliced(zone: str, currency: str, parts: dict[str, Part | None]) -> None:
    assert spliced(encode(LONDON, "GBP", {"h00": Part(1, None)}), zone, currency, parts) is None


@given(BODIES, BODIES)
def test_different_content_gives_different_bytes(one: dict[str, Part], other: dict[str, Part]) -> None:
    assert (encode("UTC", "", one) == encode("UTC", "", other)) == (one == other)
    assert len({encode("UTC", "", one), encode("UTC", "GBP", one), encode("Europe/London", "", one)}) == 3
