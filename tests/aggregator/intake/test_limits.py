"""What a device may send, and what a body may hold."""

import gzip

import pytest

from aggregator.core.errors import Refused
from aggregator.intake.formats.message import LARGEST, TooLarge, inflated
from aggregator.intake.tokens import COST_BYTES, FULL, REFILL_S, Limits


def test_a_device_that_sends_each_second_is_never_told_to_wait() -> None:
    limits = Limits()
    assert {limits.take("cad-1", 700, float(second)) for second in range(2000)} == {0}


def test_a_flood_is_told_to_wait_and_how_long() -> None:
    limits = Limits()
    assert [limits.take("cad-1", 100, 0.0) for _ in range(int(FULL) + 2)][-2:] == [1, 1]
    assert limits.take("cad-1", 100, 1 / REFILL_S) == 0


def test_one_devices_flood_is_no_others() -> None:
    limits = Limits()
    for _ in range(1000):
        limits.take("cad-1", 100, 0.0)
    assert limits.take("cad-2", 100, 0.0) == 0


def test_large_messages_cost_more() -> None:
    limits = Limits()
    sizes = [limits.take("cad-1", LARGEST, 0.0) for _ in range(30)]
    assert sizes.index(next(filter(None, sizes))) == FULL // (1 + LARGEST // COST_BYTES)


def test_a_clock_that_is_put_back_gives_and_takes_nothing() -> None:
    limits = Limits()
    limits.take("cad-1", 0, 1000.0)
    assert limits.take("cad-1", 0, 0.0) == 0


def test_a_body_comes_as_it_is_or_from_gzip() -> None:
    assert inflated(b"[]", "") == inflated(b"[]", "identity") == inflated(gzip.compress(b"[]"), "gzip") == b"[]"


def test_a_bomb_is_refused_before_it_is_large() -> None:
    with pytest.raises(TooLarge):
        inflated(gzip.compress(bytes(50_000_000)), "gzip")


PACKED = gzip.compress(b"[]", mtime=0)


@pytest.mark.parametrize(
    ("body", "encoding"), [(b"[]", "gzip"), (PACKED[:-4], "gzip"), (PACKED + b"x", "gzip"), (b"[]", "br")]
)
def test_what_is_not_as_it_was_said_to_be_is_refused(body: bytes, encoding: str) -> None:
    with pytest.raises(Refused, match="wrong_format"):
        inflated(body, encoding)
