"""What the commands share: options, the store and the device that they name, and how a long one is stopped."""

import logging
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import click

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.periods import check_period
from aggregator.core.readings import check_device_id
from aggregator.settings import Settings
from aggregator.store import Store, open_store


def with_store(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option that every command about a store has."""
    return click.option("--store", "store_url", metavar="URL", help="Where documents live [WATTFALL_STORE].")(command)


def with_days(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command about the days from one to another, both included."""
    last = click.option("--to", "last_day", metavar="DAY", callback=_day, help="The last day.")
    first = click.option("--from", "first_day", metavar="DAY", callback=_day, help="The first day, like 2026-11-01.")
    return first(last(command))


def _day(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    return text and check_period("day", text)


def opened(settings: Settings, url: str | None) -> Store:
    """The store of an option, or of the settings."""
    return open_store(url or settings.store)


def check_id(device_id: str) -> str:
    """A device id from the command line; raises ConfigurationError when it cannot be one."""
    try:
        return check_device_id(device_id)
    except Refused as refused:
        raise ConfigurationError(refused.detail) from refused


def known(store: Store, device_id: str) -> Device:
    """A device of the registry; raises ConfigurationError where there is none."""
    device = store.device(device_id)
    if device is None:
        raise ConfigurationError(f"there is no device {device_id!r}; `wattfall device list` shows those there are")
    return device


def until_stopped() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def log_to_stderr() -> None:
    """Long-running commands say what they do, with the time."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("botocore").setLevel(logging.WARNING)  # it tells of every call
