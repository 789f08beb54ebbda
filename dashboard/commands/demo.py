"""The demo: load a history, then run worker, simulator and web as separate processes, and end them together.

With --dynamodb an emulator of AWS replaces the file, and its Lambda functions replace the worker.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click

from aggregator.aws.deployment import check_installed, clean_environ, emulator
from aggregator.commands.console import own_folder
from aggregator.demo.feed import check_is_demo, expected, fill, mark_as_demo
from aggregator.demo.simulator import Household, households
from aggregator.settings import sqlite_url
from aggregator.store import Store, open_store
from aggregator.store.collections import USERS
from aggregator.waterfall.verify import differences
from aggregator.waterfall.worker import settle_once
from dashboard.commands.up import Stopped, run_together
from dashboard.server import check_port

SETTLE_S = 120  # seconds for the emulator's functions to bring the history to the charts
PREFIX = "wattfall-demo"


@dataclass(frozen=True, slots=True)
class Demo:
    """The settings of a demo."""

    port: int
    count: int  # households
    days: int  # of history
    seed: int

    @property
    def homes(self) -> tuple[Household, ...]:
        """The simulated households."""
        return tuple(households(self.count, self.seed))

    @property
    def options(self) -> list[str]:
        """The options of `wattfall simulate` for the same households."""
        return ["--households", str(self.count), "--days", str(self.days), "--seed", str(self.seed)]


def run_demo(demo: Demo, data: Path, stopped: Stopped) -> None:
    """Run the whole demo until `stopped()`. Raises ConfigurationError if one of its processes ends."""
    check_port(demo.port)
    own_folder(data)
    url = sqlite_url(data.resolve() / "wattfall.db")
    prepare(url, demo, lambda store: _drain(store, stopped), stopped)
    commands = [["worker"], ["simulate", *demo.options], ["web"]]
    _run(url, demo, commands, f"the data stays in {data.resolve()}", stopped)


def run_dynamodb_demo(demo: Demo, stopped: Stopped) -> None:
    """Run the demo on the deployed template, in an emulator that ends with the demo."""
    from aggregator.aws.deployment import deploy  # boto3 imports slowly

    check_port(demo.port)
    check_installed()
    with emulator() as endpoint:
        environ = clean_environ(os.environ) | dict(endpoint.environ)
        os.environ.clear()
        os.environ.update(environ)
        click.echo(f"Deploying the template into an emulator at {endpoint.url}", err=True)
        outputs = deploy(endpoint, PREFIX)
        url = f"dynamodb://{PREFIX}?region={endpoint.region}"
        prepare(url, demo, lambda _: _wait_until_settled(url, demo.homes, stopped), stopped)
        commands = [["simulate", *demo.options, "--stream", outputs["Incoming"]], ["web"]]
        _run(url, demo, commands, "the data goes with it", stopped)


def prepare(url: str, demo: Demo, settle: Callable[[Store], object], stopped: Stopped) -> None:
    """Load the households' history into the store and settle every chart. Stops early; the next start continues."""
    homes, now = demo.homes, int(time.time())
    with closing(open_store(url)) as store:
        check_is_demo(store, homes)
        is_new = not store.devices(limit=1)
        if not store.records(USERS.of(), limit=1, with_damaged=True):  # a store with accounts must not let in visitors
            mark_as_demo(store)
        length = expected(homes, demo.days) if is_new else None
        with click.progressbar(length=length or 1, label="History", file=sys.stderr) as bar:
            for home in homes:
                if stopped():
                    return
                fill(store, [home], demo.days, now, bar.update if length else lambda _: None)
            settle(store)
            bar.update(bar.length or 1)


def _drain(store: Store, stopped: Stopped) -> None:
    while not stopped() and settle_once(store):
        pass


def _wait_until_settled(url: str, homes: Sequence[Household], stopped: Stopped) -> None:
    """Wait for the functions, at most SETTLE_S; the demo then starts anyway."""
    deadline, waiting = time.monotonic() + SETTLE_S, list(homes)
    while waiting and not stopped() and time.monotonic() < deadline:
        time.sleep(0.5)
        with closing(open_store(url)) as store:  # a new one reads the charts as other processes do
            waiting = [home for home in waiting if not _is_settled(store, home)]
    if waiting and not stopped():
        click.echo(f"\nThe charts of {len(waiting)} households did not settle in {SETTLE_S} s", err=True)


def _is_settled(store: Store, home: Household) -> bool:
    device = store.device(home.device_id)
    return device is not None and next(differences(store, device, int(time.time())), None) is None


def _run(url: str, demo: Demo, commands: list[list[str]], remark: str, stopped: Stopped) -> None:
    environ = {"WATTFALL_STORE": url, "PORT": str(demo.port)}
    ready = f"Wattfall is at http://localhost:{demo.port}/ (Ctrl-C ends it; {remark})"
    run_together(commands, environ, demo.port, iter([ready]), stopped)
