"""SIGKILL at any time loses no acknowledged reading, and the waterfall resumes."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from aggregator.core.periods import FOR_EVER
from aggregator.store import open_store
from aggregator.waterfall.verify import differences
from aggregator.waterfall.worker import drain
from tests.aggregator.waterfall import crash_ingester
from tests.aggregator.waterfall.crash_ingester import batch
from tests.budgets import scaled

KILLS = scaled(12)
ROOT = Path(__file__).parents[3]


def start(*arguments: str, lines: int) -> "tuple[subprocess.Popen[str], str]":
    """Start a process and wait for its first lines, which show that it works."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )
    assert process.stdout
    return process, "".join(process.stdout.readline() for _ in range(lines))


def start_worker(url: str) -> "subprocess.Popen[str]":
    worker, said = start("dashboard.commands.main", "worker", "--store", url, lines=1)
    assert "lag" in said
    return worker


def kill(process: "subprocess.Popen[str]") -> str:
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate()
    return output


def acknowledged(output: str) -> int:
    """Return the number of the last fully acknowledged batch, -1 for none."""
    whole = [int(line) for line in output.splitlines(keepends=True) if line.endswith("\n")]
    return whole[-1] if whole else -1


def test_acknowledged_readings_survive_sigkill(tmp_path: Path) -> None:
    url, chance, done = f"sqlite:///{tmp_path / 'crash.db'}", random.Random(3), 0
    worker = start_worker(url)
    for _ in range(KILLS):
        ingester, begun = start(crash_ingester.__name__, url, str(done), lines=2)
        time.sleep(chance.uniform(0, 0.1))
        if is_worker_killed := chance.random() < 0.6:
            kill(worker)
        done = max(done, acknowledged(begun + kill(ingester)) + 1)
        if is_worker_killed:
            worker = start_worker(url)
    kill(worker)

    store = open_store(url)
    drain(store)
    stored = set(store.readings("crash", 0, FOR_EVER))
    device = store.device("crash")
    assert done > KILLS
    assert [number for number in range(done) if not stored.issuperset(batch(number))] == []
    assert device is not None
    assert list(differences(store, device)) == []
