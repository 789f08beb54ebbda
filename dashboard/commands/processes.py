"""Commands of Wattfall that run beside each other and end together."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence

import click

from aggregator.core.errors import ConfigurationError

PATIENCE_S = 30  # seconds for the web process to answer, and for a process to end
Stopped = Callable[[], bool]
_Process = subprocess.Popen[bytes]


def run_together(
    commands: Sequence[Sequence[str]], environ: Mapping[str, str], port: int, ready: str, stopped: Stopped
) -> None:
    """Run commands, the web among them, until `stopped()`; print `ready` once the web answers on `port`.

    Raises ConfigurationError if one of them ends.
    """
    if stopped():
        return
    parts = [_start(arguments, os.environ | dict(environ)) for arguments in commands]
    try:
        _wait_for_web(port, parts, stopped)
        if not stopped():
            click.echo(ready)
        while not stopped():
            _check(parts)
            time.sleep(0.2)
    finally:
        _end(parts)


def _start(arguments: Sequence[str], environ: Mapping[str, str]) -> _Process:
    command = [sys.executable, "-m", "dashboard.commands.main", *arguments]
    # Its own session: Ctrl-C reaches this process alone, which then ends the others in order.
    return subprocess.Popen(command, env=environ, start_new_session=True)  # noqa: S603 - our own command


def _wait_for_web(port: int, parts: Sequence[_Process], stopped: Stopped) -> None:
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


def _check(parts: Sequence[_Process]) -> None:
    for part in parts:
        if part.poll() is not None:
            raise ConfigurationError(f"`wattfall {part.args[3]}` ended with code {part.returncode}")  # type: ignore[index, str-bytes-safe]


def _end(parts: Sequence[_Process]) -> None:
    for part in parts:
        part.terminate()
    for part in parts:
        try:
            part.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            part.kill()
