"""DSMR P1 telegrams: one test for each quirk."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import Refused
from aggregator.core.readings import Reading
from aggregator.intake.formats import dsmr
from aggregator.intake.formats.message import DeviceRules, Origin
from tests.aggregator.intake.formats.messages import AT, NOW, TELEGRAM, bitwise_crc16, sealed, utc

WHOLE = sealed(TELEGRAM)
LATER = utc("2027-01-01")


def read(payload: bytes, now: int = NOW, device_id: str = "p1-1") -> Reading:
    content = dsmr.parse_dsmr(payload, Origin(device_id, now))
    assert content.statuses == []
    return content.readings[0]


def line(old: str, new: str, now: int = NOW) -> Reading:
    """Parse the telegram with a line changed or removed, and a matching checksum."""
    return read(spoiled(old, new), now)


def spoiled(old: str, new: str) -> bytes:
    assert TELEGRAM.count(old) == 1
    return sealed(TELEGRAM.replace(old, new))


def refusal(payload: bytes, now: int = NOW) -> str:
    with pytest.raises(Refused) as refused:
        read(payload, now)
    return refused.value.reason


def test_a_telegram_is_a_reading() -> None:
    assert read(WHOLE) == Reading("p1-1", AT, 612, 9_121_318, 12_004, "E0048000000000017")


def gas(*changes: tuple[str, str]) -> list[Reading]:
    telegram = TELEGRAM
    for old, new in changes:
        assert telegram.count(old) == 1
        telegram = telegram.replace(old, new)
    return dsmr.parse_dsmr(sealed(telegram), Origin("p1-1", NOW)).readings[1:]


GAS_LINE = "0-1:24.2.1(260201081000W)(01837.102*m3)\n"
GAS = Reading("p1-1~gas", AT - 20, None, None, None, "G0039001652050216", 1_837_102)


def test_gas_is_a_reading_in_litres_of_a_second_meter() -> None:
    assert gas() == [GAS]
    assert gas(("24.2.1", "24.2.3")) == [GAS]  # as Belgian meters send it
    assert gas(("0-1:96.1.0(4730303339303031363532303530323136)\n", "")) == [GAS._replace(meter_id=None)]


def test_the_newest_channel_of_two_gas_meters_counts() -> None:
    new = "0-3:24.1.0(003)\n0-3:24.2.1(260201081005W)(00000.007*m3)\n"
    assert gas((GAS_LINE, GAS_LINE + new)) == [Reading("p1-1~gas", AT - 15, None, None, None, None, 7)]


@pytest.mark.parametrize(
    "changes",
    [
        ("0-1:24.1.0(003)", "0-1:24.1.0(007)"),  # water
        ("0-1:24.1.0(003)\n", ""),
        (GAS_LINE, ""),
        ("(260201081000W)", "(632525252525S)"),
        ("(260201081000W)", "(000101000000W)"),
        ("(260201081000W)", "(270201081000W)"),
        ("*m3", "*kWh"),
        ("01837.102", "00000.000"),
        ("01837.102", "1.2.3"),
    ],
)
def test_gas_without_a_time_or_a_volume_is_absent(changes: tuple[str, str]) -> None:
    assert gas(changes) == []
    assert line(*changes) == read(WHOLE)


@pytest.mark.parametrize(
    ("local", "instant"),
    [
        ("260201081020W", "2026-02-01T07:10:20"),
        ("260701081020S", "2026-07-01T06:10:20"),
        ("261025023000S", "2026-10-25T00:30:00"),
        ("261025023000W", "2026-10-25T01:30:00"),
        ("260329015959W", "2026-03-29T00:59:59"),
        ("260329030000S", "2026-03-29T01:00:00"),
        ("240229235959W", "2024-02-29T22:59:59"),
    ],
)
def test_local_time_with_season_is_one_instant(local: str, instant: str) -> None:
    assert line("260201081020W", local, LATER).at == utc(instant)


def test_a_clock_that_is_months_behind_is_believed() -> None:
    assert line("260201081020W", "250610120000S").at == utc("2025-06-10T10:00:00")


def test_a_clock_that_is_months_ahead_is_refused() -> None:
    assert refusal(spoiled("260201081020W", "260610120000S")) == "in_the_future"


def test_a_clock_that_was_never_set_is_refused() -> None:
    assert refusal(spoiled("260201081020W", "000101000010W")) == "clock_not_set"


def stamped(time: str) -> int:
    """Return the instant of a telegram by a device that is stamped on arrival."""
    origin = Origin("p1-1", NOW, DeviceRules(stamp_on_arrival=True))
    return dsmr.parse_dsmr(spoiled("260201081020W", time), origin).readings[0].at


@pytest.mark.parametrize("never_set", ["000101000010W", "000701120000S", "091231235959W"])
def test_a_clock_that_was_never_set_can_be_stamped_on_arrival(never_set: str) -> None:
    assert stamped(never_set) == NOW


def test_only_a_clock_that_was_never_set_is_stamped() -> None:
    assert stamped("260201081020W") == AT
    assert stamped("250610120000S") == utc("2025-06-10T10:00:00")
    for time, reason in (("260610120000S", "in_the_future"), ("261301081020W", "bad_time")):
        with pytest.raises(Refused, match=reason):
            stamped(time)


@pytest.mark.parametrize(
    "time", ["261301081020W", "260201081020", "260201081020X", "632525252525W", "", "n/a", "２６0201081020W"]
)
def test_a_telegram_with_an_invalid_time_is_refused(time: str) -> None:
    telegram = TELEGRAM.replace("260201081020W", time).encode("utf-8").replace(b"\n", b"\r\n")
    assert refusal(telegram + f"{bitwise_crc16(telegram):04X}".encode()) == "bad_time"


def test_a_telegram_without_a_time_is_refused() -> None:
    assert refusal(spoiled("0-0:1.0.0(260201081020W)\n", "")) == "bad_time"


def test_a_register_is_the_sum_of_its_tariffs() -> None:
    assert line("1-0:2.8.2(000000.000*kWh)", "1-0:2.8.2(000001.500*kWh)").export_wh == 13_504
    assert line("1-0:2.8.2(000000.000*kWh)", "1-0:2.8.2(000001.500*kWh)\n1-0:2.8.3(000000.001*kWh)").export_wh == 13_505


@pytest.mark.parametrize("tariff", ["1-0:1.8.1(004120.317*kWh)\n", "1-0:1.8.2(005001.001*kWh)\n"])
def test_a_sum_with_a_missing_tariff_is_absent(tariff: str) -> None:
    assert line(tariff, "")[2:5] == (612, None, 12_004)


@pytest.mark.parametrize(
    "figure", ["n/a*kWh", "*kWh", "", "004120.317", "004120.317*m3", "4120317*kW", "-1*kWh", "9e99*kWh"]
)
def test_an_unreadable_tariff_makes_the_sum_absent(figure: str) -> None:
    assert line("004120.317*kWh", figure)[2:5] == (612, None, 12_004)


def test_a_meter_without_tariffs_has_a_total() -> None:
    belgian = TELEGRAM.replace("1-0:1.8.1(", "1-0:1.8.0(").replace("1-0:1.8.2(005001.001*kWh)\n", "")
    assert read(sealed(belgian)).import_wh == 4_120_317


def test_a_total_takes_precedence_over_tariffs() -> None:
    assert line("1-0:2.8.1(", "1-0:2.8.0(000012.005*kWh)\n1-0:2.8.1(").export_wh == 12_005


def test_zero_import_is_absent_but_zero_export_counts() -> None:
    empty = TELEGRAM.replace("004120.317", "000000.000").replace("005001.001", "0").replace("000012.004", "000000.000")
    assert read(sealed(empty))[2:5] == (612, None, 0)


def test_power_is_import_minus_export() -> None:
    exporting = TELEGRAM.replace("1-0:1.7.0(00.612", "1-0:1.7.0(00.000").replace("1-0:2.7.0(00.000", "1-0:2.7.0(02.341")
    assert read(sealed(exporting)).power_w == -2341
    assert line("1-0:1.7.0(00.612", "1-0:1.7.0(00.000").power_w == 0


def test_a_power_with_one_direction_missing_is_absent() -> None:
    assert line("1-0:2.7.0(00.000*kW)\n", "")[2:5] == (None, 9_121_318, 12_004)
    assert line("1-0:1.7.0(00.612*kW)", "1-0:1.7.0(00.612*A)")[2:5] == (None, 9_121_318, 12_004)


def test_figures_may_be_in_wh_and_w() -> None:
    assert line("1-0:1.7.0(00.612*kW)", "1-0:1.7.0(612*W)").power_w == 612
    assert line("2.8.1(000012.004*kWh)", "2.8.1(12004*Wh)").export_wh == 12_004


@pytest.mark.parametrize("written", ["", "n/a", "4", "00", "2D2D2D", "FFFE", "0745", "45", "45" * 33])
def test_an_unreadable_equipment_identifier_is_absent(written: str) -> None:
    assert line("4530303438303030303030303030303137", written).meter_id == ("E" if written == "45" else None)


def test_a_telegram_without_any_figure_is_refused() -> None:
    assert (
        refusal(sealed("/ISK5\n\n0-0:1.0.0(260201081020W)\n0-1:24.2.1(260201081000W)(01837.102*m3)\n!")) == "no_values"
    )


def test_a_wrong_checksum_is_refused() -> None:
    assert refusal(WHOLE.replace(b"00.612", b"00.613", 1)) == "bad_checksum"
    assert refusal(WHOLE[:-6] + b"0000\r\n") == "bad_checksum"


@given(st.integers(0, len(WHOLE) - 7), st.integers(0, 7))
def test_a_flipped_bit_is_always_refused(place: int, bit: int) -> None:
    flipped = bytearray(WHOLE)
    flipped[place] ^= 1 << bit
    assert refusal(bytes(flipped)) in {"bad_checksum", "wrong_format"}


def test_a_truncated_telegram_is_refused() -> None:
    content = WHOLE.rstrip()
    assert {refusal(content[:length]) for length in range(len(content))} == {"wrong_format"}
    assert {refusal(content[start:]) for start in range(1, len(content))} == {"wrong_format"}


def test_a_version_3_telegram_without_checksum_is_refused() -> None:
    assert refusal(TELEGRAM.encode()) == "wrong_format"
    assert refusal(b"/ISk5\r\n\r\n1-0:1.8.1(00001.001*kWh)\r\n!\r\n") == "wrong_format"


def test_two_telegrams_in_one_message_are_refused() -> None:
    assert refusal(WHOLE + WHOLE) == "wrong_format"


def test_a_telegram_without_carriage_returns_passes_its_checksum() -> None:
    assert read(WHOLE.replace(b"\r\n", b"\n")) == read(WHOLE)


def test_lower_case_checksums_and_blanks_are_accepted() -> None:
    content, end, checksum = WHOLE.partition(b"!")
    assert read(b"\0\r\n" + content + end + checksum.lower() + b"\0\n") == read(WHOLE)


def test_an_oversized_telegram_is_refused() -> None:
    text = "0-0:96.13.0(" + "30" * 8000 + ")\n"
    assert refusal(spoiled("0-0:96.13.0()\n", text)) == "message_too_long"
    assert refusal(b"/" * 10_000_000) == "message_too_long"


def test_the_longest_meter_text_fits() -> None:
    assert line("0-0:96.13.0()", f"0-0:96.13.0({'30' * 1024})") == read(WHOLE)


def test_a_telegram_without_a_device_is_refused() -> None:
    with pytest.raises(Refused, match="bad_device_id"):
        read(WHOLE, device_id="")


def test_the_checksum_is_crc_16_arc() -> None:
    assert dsmr.crc16(b"123456789") == 0xBB3D
    assert dsmr.crc16(b"") == 0


@given(st.binary(max_size=64))
def test_the_two_byte_checksum_equals_the_bitwise_one(content: bytes) -> None:
    assert dsmr.crc16(content) == bitwise_crc16(content)


def cut(stream: bytes) -> list[bytes]:
    return list(dsmr.telegrams(BytesIO(stream)))


def test_a_stream_is_cut_into_telegrams() -> None:
    second = sealed(TELEGRAM.replace("081020W", "081030W"))
    assert cut(WHOLE + second + WHOLE) == [WHOLE, second, WHOLE]
    assert cut(b"\r\n\0" + WHOLE + b"\r\n\r\n" + second) == [b"\0" + WHOLE, second]
    assert [read(one).at - AT for one in cut(b"\0" + WHOLE + second)] == [0, 10]
    assert cut(b"") == []


def test_an_incomplete_telegram_in_a_stream_is_refused_alone() -> None:
    tail, head = WHOLE[310:], WHOLE[:310] + b"\r\n"
    assert cut(tail + WHOLE + head + WHOLE + head) == [tail, WHOLE, head, WHOLE, head]
    assert {refusal(piece) for piece in (tail, head)} == {"wrong_format"}


def test_any_stream_is_cut_in_bounded_memory() -> None:
    endless = (b"1-0:1.8.1(004120.317*kWh)\r\n" for _ in range(200_000))
    (piece,) = dsmr.telegrams(endless)
    assert len(piece) <= 2 * dsmr.LONGEST_TELEGRAM
    assert refusal(piece) == "message_too_long"
    (piece,) = dsmr.telegrams([b"/" + b"x" * 5_000_000 + b"\n", b"y" * 5_000_000])
    assert len(piece) <= 2 * dsmr.LONGEST_TELEGRAM + 2
    assert refusal(piece) == "message_too_long"
    assert cut(b"x\n" * 20_000 + WHOLE)[1:] == [WHOLE]


@given(
    st.lists(
        st.sampled_from([WHOLE, b"\r\n", b"garbage\r\n", WHOLE[:200], WHOLE[200:], b"!", b"/\n", b"\0"]), max_size=12
    )
)
def test_every_telegram_in_a_noisy_stream_is_found(pieces: list[bytes]) -> None:
    stream = b"".join(piece if piece.endswith(b"\n") else piece + b"\n" for piece in pieces)
    assert sum(piece.count(WHOLE) for piece in cut(stream)) == stream.count(WHOLE)
