"""`wattfall up`: the installation of one home in a folder; the worker, the web and the broker's listener run together.

The folder holds the store, the secret, the options of the last start and a backup of each day. A start without options
continues with those of the last one.
"""

import json
import os
import secrets
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from itertools import chain
from pathlib import Path

import click

from aggregator.commands.console import own_folder
from aggregator.commands.support_commands import operator
from aggregator.core.errors import ConfigurationError
from aggregator.settings import SHORTEST_SECRET, WARNINGS, Settings, data_folder, sqlite_url
from aggregator.store import open_store
from aggregator.store.collections import HOME, MARKS
from aggregator.support.actions import record_account
from aggregator.support.audit import Audit, Who
from dashboard.accounts.accounts import Accounts
from dashboard.accounts.users import HOUSEHOLD, Passwords, User
from dashboard.server import check_port

_OPTIONS, _SECRET, _STORE, _BACKUPS = "up.json", "secret", "wattfall.db", "backups"
PATIENCE_S = 30  # seconds for the web process to answer, and for a process to end
Stopped = Callable[[], bool]
_Process = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Up:
    """The options of an installation; None and () were not given."""

    email: str | None = None  # of the first account
    port: int | None = None
    host: str | None = None  # address to listen on
    timezone: str | None = None
    mqtt: str | None = None  # the broker's address
    topics: tuple[str, ...] = ()
    format_name: str | None = None
    ca_file: str | None = None

    def after(self, last: "Up") -> "Up":
        """Return these options, and those of the last start where one was not given."""
        return Up(*(getattr(self, one.name) or getattr(last, one.name) for one in fields(self)))

    @property
    def listener(self) -> list[str]:
        """The worker's options for the broker."""
        named = {"--mqtt": self.mqtt, "--format": self.format_name, "--ca-file": self.ca_file}
        given = [word for option, value in named.items() if value for word in (option, value)]
        return given + [word for topic in self.topics for word in ("--topic", topic)]


def run_up(given: Up, data: Path | None, settings: Settings, stopped: Stopped) -> None:
    """Make the installation in a folder or continue it, and run it until `stopped()`. Raises ConfigurationError."""
    folder = data or data_folder() / "home"
    own_folder(folder)
    options = given.after(_last_options(folder))
    port = options.port or settings.port
    check_port(port)
    _check_broker(options)
    url = sqlite_url(folder.resolve() / _STORE)
    secret = own_secret(folder / _SECRET)
    with closing(open_store(url)) as store:
        link = first_link(Audit(store, [secret]), options, settings.url or f"http://localhost:{port}")
    _write(folder / _OPTIONS, json.dumps(asdict(options), indent=2))
    zone = options.timezone or settings.timezone
    environ = {
        "WATTFALL_STORE": url,
        "WATTFALL_SECRET": secret,
        "WATTFALL_TIMEZONE": zone,
        "WATTFALL_LOG": WARNINGS if settings.log == "text" else settings.log,  # the link stays the last line
        "WATTFALL_BACKUP_DIR": settings.backup_dir or str(folder.resolve() / _BACKUPS),
        "PORT": str(port),
    }
    commands = [["worker", *options.listener], ["web", "--host", options.host or "127.0.0.1"]]
    again = f"wattfall up --data {shlex.quote(str(data))}" if data else "wattfall up"
    ready = _ready(
        port, link, options, f"Its data are in {folder.resolve()}; Ctrl-C ends it, `{again}` continues", zone
    )
    run_together(commands, environ, port, chain([ready], _heard(url, int(time.time()))), stopped)


def _check_broker(options: Up) -> None:
    """Refuse a broker that the worker would refuse, before the options are kept for the next start."""
    if options.mqtt:
        from aggregator.intake.mqtt import broker_of, check_filters  # paho takes a while to load

        broker_of(options.mqtt), check_filters(options.topics)
    elif options.topics or options.format_name or options.ca_file:
        raise ConfigurationError("--topic, --format and --ca-file need the address of a broker; name it with --mqtt")


def first_link(audit: Audit, options: Up, address: str) -> str:
    """Return the first account's link to choose a password; empty where somebody has one already.

    The store becomes that of one home: a device that registers itself belongs to it. Raises ConfigurationError.
    """
    store = audit.store
    accounts = Accounts(store, Passwords(), lambda: int(time.time()))
    people = list(accounts.everybody())
    if any(one.password_hash or one.identity for one in people):
        return ""
    if not people and not options.email:
        raise ConfigurationError("the first account has no address; name it with --email you@example.org")
    store.put_record(MARKS.of(), HOME, json.dumps({"household": HOME}))
    user = people[0] if people else _first_account(audit, accounts, options.email or "")
    return f"{address}/invitation/{accounts.invite(user)}?next=/account/second-factor"


def _first_account(audit: Audit, accounts: Accounts, email: str) -> User:
    account, now = Who("", email, HOUSEHOLD), int(time.time())
    record_account(audit, operator(), "wattfall up", account, now, role=HOUSEHOLD, household=HOME)
    return accounts.add(email, household=HOME)


def own_secret(path: Path) -> str:
    """Return the installation's secret; make it on the first start. Raises ConfigurationError."""
    try:
        _write(path, secrets.token_urlsafe(SHORTEST_SECRET), os.O_EXCL)
    except FileExistsError:
        found = path.read_text().strip()
        if len(found) < SHORTEST_SECRET:
            raise ConfigurationError(f"{path} holds no secret; delete it, and everybody signs in again") from None
        return found
    return path.read_text()


def _write(path: Path, text: str, flags: int = os.O_TRUNC) -> None:
    """Write a file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600), "w") as file:
        file.write(text)


def _last_options(folder: Path) -> Up:
    path = folder / _OPTIONS
    if not path.exists():
        return Up()
    try:
        found: Mapping[str, object] = json.loads(path.read_text())
        known = Up(**found)  # type: ignore[arg-type]
        return replace(known, topics=tuple(known.topics))
    except (ValueError, TypeError, UnicodeDecodeError):
        raise ConfigurationError(f"{path} is not what `wattfall up` wrote; delete it and give the options") from None


def _ready(port: int, link: str, options: Up, place: str, zone: str) -> str:
    """Return what a start says; the link is its last line."""
    source = f"{options.mqtt} is asked for {', '.join(options.topics)}"
    lines = [
        f"Wattfall is at http://localhost:{port}/",
        place,
        f"The days of a new meter are those of {zone}; --timezone names another",
        source if options.mqtt else "No broker is named, so meters must send by themselves: see `wattfall up --help`",
    ]
    return "\n".join([*lines, *([f"\nChoose your password at\n{link}\n"] if link else [])])


def _heard(url: str, since: int) -> Iterator[str]:
    """Yield nothing new until a meter speaks, and then who it was."""
    with closing(open_store(url, may_create=False)) as store:
        while not (known := [one for one in store.lives() if one.received_at >= since]):
            yield ""
    live = known[0]
    yield f"{live.device_id} is heard" + (f": {live.power_w} W" if live.power_w is not None else "")


# Commands that run beside each other and end together


def run_together(
    commands: Sequence[Sequence[str]], environ: Mapping[str, str], port: int, news: Iterator[str], stopped: Stopped
) -> None:
    """Run commands, the web among them, until `stopped()`; print `news` from when the web answers on `port`.

    An empty piece of news is none yet. Raises ConfigurationError if one of the commands ends.
    """
    if stopped():
        return
    parts = [_start(arguments, os.environ | dict(environ)) for arguments in commands]
    try:
        _wait_for_web(port, parts, stopped)
        while not stopped():
            if line := next(news, ""):
                click.echo(line)
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
