"""`wattfall demo --dynamodb`, from the command to the page and back to nothing."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing

import pytest

COMMAND = [sys.executable, "-m", "dashboard.cli", "demo", "--dynamodb", "--households", "1", "--days", "3"]
PATIENCE_S = 120


@pytest.fixture
def port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def demo(port: int) -> Iterator["subprocess.Popen[str]"]:
    environ = os.environ | {"AWS_PROFILE": "somebody's own", "WEB_CONCURRENCY": "1"}  # which the demo must not use
    process = subprocess.Popen(
        [*COMMAND, "--port", str(port)], env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    yield process
    process.kill()
    process.communicate()


def listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_page_appears_and_everything_ends_with_the_demo(port: int, demo: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not listens(port) and demo.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    if demo.poll() is not None:
        pytest.fail(demo.communicate()[0])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        assert b"<html" in answer.read()
    time.sleep(1)  # for the demo to say so
    demo.send_signal(signal.SIGTERM)
    said, _ = demo.communicate(timeout=60)
    assert demo.returncode == 0, said
    assert f"Wattfall is at http://localhost:{port}/" in said
    assert not listens(port)
    (emulator,) = re.findall(r"an emulator at http://127\.0\.0\.1:(\d+)", said)
    assert not listens(int(emulator))
