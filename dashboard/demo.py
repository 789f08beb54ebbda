"""The demo: history with a progress bar, then worker, simulator and web as processes of their own, ended together."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import click

from aggregator.errors import ConfigurationError
from aggregator.feed import check_is_demo, expected, fill
from aggregator.settings import sqlite_url
from aggregator.simulator import households
from aggregator.store import open_store
from aggregator.worker import drain
from dashboard.server import check_port

PATIENCE_S = 30  # for the web process to answer, and for a process to end


def run_demo(data: Path, port: int, count: int, days: int, seed: int, stopped: Callable[[], bool]) -> None:
    """Everything in one go, until `stopped` says so. Raises ConfigurationError when a part of it ends by itself."""
    check_port(port)
    url = sqlite_url(data.resolve() / "wattfall.db")
    prepare(url, count, days, seed)
    environ = os.environ | {"WATTFALL_STORE": url, "PORT": str(port)}
    homes = ["--households", str(count), "--days", str(days), "--seed", str(seed)]
    parts = [_start(environ, *arguments) for arguments in (["worker"], ["simulate", *homes], ["web"])]
    try:
        _wait_for_web(port, parts, stopped)
        click.echo(f"Wattfall is at http://localhost:{port}/ (Ctrl-C ends it; the data stays in {data})")
        while not stopped():
            _check(parts)
            time.sleep(0.2)
    finally:
        _end(parts)


def prepare(url: str, count: int, days: int, seed: int) -> None:
    """Fill the store with the households' history, up to now, with every chart settled."""
    homes, now = households(count, seed), int(time.time())
    with closing(open_store(url)) as store:
        check_is_demo(store, homes)
        is_new = not store.devices(limit=1)
        length = expected(homes, days) if is_new else None
        with click.progressbar(length=length or 1, label="History", file=sys.stderr) as bar:
            fill(store, homes, days, now, bar.update if length else lambda _: None)
            drain(store)
            bar.update(bar.length or 1)


def _start(environ: dict[str, str], *arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "dashboard.cli", *arguments]
    # A session of its own: Ctrl-C reaches the demo alone, which then ends its parts in order.
    return subprocess.Popen(command, env=environ, start_new_session=True)  # noqa: S603 - our own command


def _wait_for_web(port: int, parts: Sequence["subprocess.Popen[bytes]"], stopped: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not stopped():
        _check(parts)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise ConfigurationError(f"the web process did not answer on port {port}") from None
            time.sleep(0.1)


def _check(parts: Sequence["subprocess.Popen[bytes]"]) -> None:
    for part in parts:
        if part.poll() is not None:
            raise ConfigurationError(f"`wattfall {part.args[3]}` ended with code {part.returncode}")  # type: ignore[index]


def _end(parts: Sequence["subprocess.Popen[bytes]"]) -> None:
    for part in parts:
        part.terminate()
    for part in parts:
        try:
            part.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            part.kill()
