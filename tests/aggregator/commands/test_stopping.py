"""SIGTERM ends a process, whatever holds it up."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

WAIT_FOR_A_LOCK = """
import sys
from aggregator.commands.console import until_stopped
from aggregator.store import open_store
store = open_store(sys.argv[1], 600)
stop = until_stopped(late_s=0.1, late_code=7)
print("waits", flush=True)
store.mark("day", "d", ["2026-01-01"])
"""
WAIT_FOR_AN_ANSWER = """
import socket
from aggregator.commands.console import until_stopped
silent = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(silent.getsockname())
stop = until_stopped(late_s=0.1, late_code=7)
print("waits", flush=True)
client.recv(1)
"""
END_IN_TIME = """
from aggregator.commands.console import until_stopped
stop = until_stopped(late_s=600, late_code=7)
print("waits", flush=True)
stop.wait()
"""


@pytest.mark.parametrize(("program", "code"), [(WAIT_FOR_A_LOCK, 7), (WAIT_FOR_AN_ANSWER, 7), (END_IN_TIME, 0)])
def test_a_process_ends_soon_after_sigterm(tmp_path: Path, program: str, code: int) -> None:
    path = tmp_path / "wattfall.db"
    subprocess.run(
        [sys.executable, "-m", "dashboard.commands.main", "device", "set", "d", "--store", f"sqlite:///{path}"]
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        process = subprocess.Popen(
            [sys.executable, "-c", program, f"sqlite:///{path}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate()
    assert (process.returncode, "something held the process up" in said) == (code, code == 7)
