"""Rate limits of devices, and size limits of request bodies."""

import gzip

import pytest

from aggregator.core.errors import Refused
from aggregator.intake.formats.message import LARGEST, TooLarge, inflated
from aggregator.intake.tokens import COST_BYTES, FULL, REFILL_S, Limits


def test_a_reading_each_second_is_never_limited() -> None:
    limits = Limits()
    assert {limits.take("cad-1", 700, float(second)) for second in range(2000)} == {0}


def test_a_flood_gets_a_retry_time() -> None:
    limits = Limits()
    assert [limits.take("cad-1", 100, 0.0) for _ in range(int(FULL) + 2)][-2:] == [1, 1]
    assert limits.take("cad-1", 100, 1 / REFILL_S) == 0


def test_a_flood_limits_only_its_own_device() -> None:
    limits = Limits()
    for _ in range(1000):
        limits.take("cad-1", 100, 0.0)
    assert limits.take("cad-2", 100, 0.0) == 0


def test_large_messages_cost_more() -> None:
    limits = Limits()
    sizes = [limits.take("cad-1", LARGEST, 0.0) for _ in range(30)]
    assert sizes.index(next(filter(None, sizes))) == FULL // (1 + LARGEST // COST_BYTES)


def test_a_clock_set_back_changes_no_limit() -> None:
    limits = Limits()
    limits.take("cad-1", 0, 1000.0)
    assert limits.take("cad-1", 0, 0.0) == 0


def test_plain_and_gzip_bodies_are_accepted() -> None:
    assert inflated(b"[]", "") == inflated(b"[]", "identity") == inflated(gzip.compress(b"[]"), "gzip") == b"[]"


def test_a_gzip_bomb_is_refused_early() -> None:
    with pytest.raises(TooLarge):
        inflated(gzip.compress(bytes(50_000_000)), "gzip")


PACKED = gzip.compress(b"[]", mtime=0)


@pytest.mark.parametrize(
    ("body", "encoding"), [(b"[]", "gzip"), (PACKED[:-4], "gzip"), (PACKED + b"x", "gzip"), (b"[]", "br")]
)
def test_a_body_that_contradicts_its_encoding_is_refused(body: bytes, encoding: str) -> None:
    with pytest.raises(Refused, match="wrong_format"):
        inflated(body, encoding)
