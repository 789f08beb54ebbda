"""No bytes raise anything but a named refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import ConfigurationError
from tests.aggregator.intake.imports.files import understood
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
