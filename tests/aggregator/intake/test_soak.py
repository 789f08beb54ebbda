"""A small soak; `python -m tests.bench.soak` is the long one."""

from pathlib import Path

from tests.bench.soak import soak
from tests.budgets import scaled


def test_worker_and_broker_may_be_killed_at_any_time_and_nothing_is_lost_or_counted_twice(tmp_path: Path) -> None:
    result = soak(tmp_path, devices=20, seconds=scaled(8, 4), pause=(1, 2.5), seed=4, tick_s=0.1)
    assert result.kills >= scaled(3)
    assert result.acknowledged == result.messages > 500
    assert (result.missing, result.differences, result.wrong_totals) == (0, 0, 0)
