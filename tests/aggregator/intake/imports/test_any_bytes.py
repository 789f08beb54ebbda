"""No bytes raise anything but a named refusal."""

import gzip
import io
import zipfile
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import ConfigurationError
from tests.aggregator.intake.imports.files import understood
from tests.aggregator.intake.imports.test_providers import SAMPLES, spans
from tests.budgets import examples

BEGINNINGS = (
    b"start,end,import_wh\n2026-02-01 00:00,2026-02-01 01:00,500\n",
    b"time;kWh\n2026-02-01 00:00;0,5\n2026-02-01 00:30;0,6\n",
    b'{"results": [{"interval_start": "2026-02-01T00:00Z", "consumption": 1}]}',
    b"<feed><entry><IntervalReading><start>1</start></IntervalReading></entry></feed>",
    b"100,NEM12\n200,1,E1,1,E1,N,1,kWh,30,\n300,20260201,1,2\n",
    b"tele/plug/SENSOR {}\n",
    b"/KFM5\n1-0:1.8.1(1*kWh)\n!0000\n",
    b"PK\x03\x04",
    b"\x1f\x8b\x08\x00",
    b"\xd0\xcf\x11\xe0",
    b"\xff\xfe",
    b"",
)


def said_of(content: bytes) -> str:
    """The refusal of a file; empty where it was understood."""
    try:
        understood(content)
    except ConfigurationError as error:
        return str(error)
    return ""


@examples(150)
@given(st.sampled_from(BEGINNINGS), st.binary(max_size=300), st.integers(0, 80), st.integers(0, 40))
def test_any_bytes_are_understood_or_refused_in_one_line(start: bytes, noise: bytes, at: int, cut: int) -> None:
    assert "\n" not in said_of(start[:at] + noise + start[at + cut :])


@pytest.mark.parametrize("text", ["[" * 5000, '{"a":' * 3000, "<a>" * 3000, '"' * 5000, "\x00" * 100, "1,2\n" * 50])
def test_deep_and_odd_texts_are_refused(text: str) -> None:
    assert said_of(text.encode())


PARTS = [sample.write(spans(sample.zone, sample.minutes)) for sample in SAMPLES]
HEADS = [part if part[:2] == b"PK" else b"\n".join(part.split(b"\n")[:40])[:20_000] for part in PARTS]
ODD = [b"", b"\x00", b"9" * 400, b"1e999", b'"', b"\n\n", b"{", b"<", b"\xff\xfe", "٣".encode(), b"-1", b"0800", b"@"]


@examples(150)
@given(st.sampled_from(HEADS), st.floats(0, 1), st.integers(0, 30), st.sampled_from(ODD))
def test_a_damaged_file_of_a_provider_is_understood_or_refused(head: bytes, place: float, cut: int, odd: bytes) -> None:
    at = int(place * len(head))
    assert "\n" not in said_of(head[:at] + odd + head[at + cut :])


@examples(60)
@given(st.sampled_from(HEADS), st.randoms(use_true_random=False))
def test_lines_and_columns_in_disorder_are_understood_or_refused(head: bytes, random: Random) -> None:
    lines = head.split(b"\n")
    some = [random.choice(lines) for _ in lines]
    assert "\n" not in said_of(b"\n".join(line[random.randrange(3) :] for line in some))


def zipped(*files: tuple[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return target.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        zipped(("bomb.csv", bytes(60 << 20))),
        gzip.compress(bytes(60 << 20)),
        zipped(("xl/workbook.xml", b"<workbook/>"), *((f"xl/{place}.xml", bytes(20 << 20)) for place in range(3))),
    ],
    ids=["zip", "gzip", "workbook"],
)
def test_what_inflates_without_end_is_refused(content: bytes) -> None:
    assert len(content) < 1 << 20
    assert said_of(content) == "the file holds more than 50 MB; import it in parts"


@pytest.mark.parametrize("outer", [gzip.compress, lambda content: zipped(("inner", content))], ids=["gzip", "zip"])
def test_an_archive_that_holds_another_or_itself_is_not_followed(outer: Callable[[bytes], bytes]) -> None:
    for inner in (gzip.compress(bytes(60 << 20)), zipped(("bomb.csv", bytes(60 << 20)))):
        assert said_of(outer(inner)) == "it is an archive in an archive; import the file in it"


def test_entities_of_xml_are_refused() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;">]><feed>&c;</feed>'
    assert said_of(bomb.encode()).startswith("the file begins like XML but is invalid")


def test_a_workbook_at_which_its_library_panics_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        """As a library in Rust raises it: no Exception."""

    def panics(*_: object) -> None:
        raise PanicException("slice index starts at 25600 but ends at 25530")

    monkeypatch.setattr("aggregator.intake.tables.structured.CalamineWorkbook.from_filelike", panics)
    assert "the workbook cannot be read" in said_of(b"\xd0\xcf\x11\xe0")
