"""A small soak; `python -m tests.bench.soak` is the long one."""

from pathlib import Path

from tests.bench.soak import soak


def test_killing_worker_and_broker_loses_and_repeats_nothing(tmp_path: Path) -> None:
    result = soak(tmp_path, devices=20, seconds=8, pause=(1, 2.5), seed=4, tick_s=0.1)
    assert result.kills >= 3
    assert result.acknowledged == result.messages > 500
    assert (result.missing, result.differences, result.wrong_totals) == (0, 0, 0)
