"""`wattfall up`: one command from nothing to a home that sees its own meter, and on from there."""

import json
import os
import re
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import pytest

from aggregator.core.errors import ConfigurationError
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.settings import load, sqlite_url
from aggregator.store import Store, open_store
from aggregator.support.audit import Audit
from dashboard.commands.up import Up, first_link, own_secret, run_up
from tests.aggregator.intake.brokers import PATIENCE_S, Publisher, broker_in
from tests.dashboard.people import PASSWORD, SECRET, accounts_on
from tests.servers import free_port

ANN, SITE = Up("ann@example.org"), "http://localhost:8050"
DISPLAY = "70B3D5000001"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(sqlite_url(tmp_path / "wattfall.db"))) as opened:
        yield opened


@contextmanager
def running(folder: Path, *options: str) -> Iterator[tuple[list[str], IO[str]]]:
    """Run `wattfall up` in a folder; yield what it prints up to the link, and what it prints from then on."""
    command = [sys.executable, "-m", "dashboard.commands.main", "up", "--data", str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield [process.stdout.readline().strip() for _ in range(7)], process.stdout
        finally:
            process.terminate()
            assert process.wait(PATIENCE_S) == 0


def eventually(found: Callable[[], object]) -> object:
    deadline = time.monotonic() + PATIENCE_S
    while not (value := found()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return value


def test_one_command_brings_a_meter_on_a_broker_to_the_page_of_its_home(tmp_path: Path) -> None:
    port = free_port()
    with broker_in(tmp_path) as broker, closing(Publisher(broker.port)) as publisher:
        options = ["--port", str(port), "--email", "ann@example.org", "--mqtt", broker.url, "--topic", "glow/+/#"]
        with running(tmp_path / "home", *options) as (lines, more):
            assert lines[:-1] == [
                f"Wattfall is at http://localhost:{port}/",
                f"Its data are in {tmp_path}/home; Ctrl-C ends it, `wattfall up --data {tmp_path}/home` continues",
                "The days of a new meter are those of Europe/London; --timezone names another",
                f"{broker.url} is asked for glow/+/#",
                "",
                "Choose your password at",
            ]
            assert re.fullmatch(r"http://localhost:\d+/invitation/[\w-]+\?next=/account/second-factor", lines[-1])
            with urllib.request.urlopen(lines[-1], timeout=PATIENCE_S) as page:
                assert page.status == 200
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            message = {"electricitymeter": {"timestamp": at, "power": {"value": 0.431, "units": "kW"}}}
            publisher.publish(f"glow/{DISPLAY}/SENSOR/electricitymeter", json.dumps(message).encode())
            with closing(open_store(sqlite_url(tmp_path / "home" / "wattfall.db"))) as seen:
                device = eventually(lambda: seen.device(DISPLAY))
                assert getattr(device, "household", None) == "home"
            assert [more.readline() for _ in range(2)] == ["\n", f"{DISPLAY} is heard: 431 W\n"]


def test_a_device_that_registers_itself_belongs_to_the_home(store: Store) -> None:
    ingest(store, [Reading("before", 1_780_000_000, 1, None, None)], 1_780_000_000, "Europe/Berlin")
    first_link(Audit(store, [SECRET]), ANN, SITE)
    for device_id in ("cad-1", "cad-1~gas"):
        ingest(store, [Reading(device_id, 1_780_000_000, None, 1, None)], 1_780_000_000, "Europe/Berlin")
    found = {device.device_id: (device.household, device.timezone) for device in store.devices(limit=9)}
    assert found == {
        "before": ("", "Europe/Berlin"),
        "cad-1": ("home", "Europe/Berlin"),
        "cad-1~gas": ("home", "Europe/Berlin"),
    }


def test_the_link_is_fresh_at_every_start_until_a_password_is_chosen(store: Store) -> None:
    accounts = accounts_on(store)
    links = [first_link(Audit(store, [SECRET]), one, SITE) for one in (ANN, Up())]
    first, second = (link.partition("/invitation/")[2].partition("?")[0] for link in links)
    assert accounts.invited(first) is None
    assert accounts.accept(second, PASSWORD)
    assert first_link(Audit(store, [SECRET]), Up(), SITE) == ""
    assert [(user.email, user.household) for user in accounts.everybody()] == [("ann@example.org", "home")]


def test_the_first_start_asks_for_an_address(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="name it with --email"):
        first_link(Audit(store, [SECRET]), Up(), SITE)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Up("ann@example.org", mqtt="localhost", topics=("glow/+/#",)), "'localhost' is not like mqtts://user@host/"),
        (Up("ann@example.org", mqtt="mqtt://localhost/"), "name a topic with --topic"),
        (Up("ann@example.org", topics=("glow/+/#",)), "name it with --mqtt"),
    ],
)
def test_a_broker_that_cannot_be_one_is_refused_and_not_kept(given: Up, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        run_up(given, tmp_path, load({"PORT": str(free_port())}), lambda: True)
    assert list(tmp_path.iterdir()) == []


def test_a_start_without_options_continues_with_the_last_ones() -> None:
    last = Up("ann@example.org", 8051, None, "Europe/Berlin", "mqtt://localhost/", ("glow/+/#",))
    assert Up().after(last) == last
    assert Up(port=9000, topics=("x/+",)).after(last) == Up(
        "ann@example.org", 9000, None, "Europe/Berlin", "mqtt://localhost/", ("x/+",)
    )
    assert last.listener == ["--mqtt", "mqtt://localhost/", "--topic", "glow/+/#"]


def test_the_secret_is_made_once_and_is_the_owners(tmp_path: Path) -> None:
    path, old = tmp_path / "secret", os.umask(0)
    try:
        made = own_secret(path)
    finally:
        os.umask(old)
    assert own_secret(path) == made
    assert len(made) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("short")
    with pytest.raises(ConfigurationError, match="holds no secret"):
        own_secret(path)


@pytest.mark.parametrize("text", ["{", "[]", '{"unknown": 1}', "\udcff"])
def test_a_damaged_file_of_options_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "up.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigurationError, match=r"up\.json is not what `wattfall up` wrote"):
        run_up(ANN, tmp_path, load({}), lambda: True)
