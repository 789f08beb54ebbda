"""The long-running commands: `edge`, `worker` and `simulate`, and the options for a broker.

`edge` runs at a home or a gateway, between the meter's reader and Wattfall. Each command runs until SIGTERM or Ctrl-C.
"""

import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aggregator.commands.console import log_to_stderr, opened, own_folder, until_stopped, with_store
from aggregator.core.documents import NETTINGS
from aggregator.core.errors import ConfigurationError, StoreAway, StoreReplaced, StoreUnusable
from aggregator.core.periods import DAY_S
from aggregator.demo.feed import check_is_demo, fill, run_simulator
from aggregator.demo.simulator import households
from aggregator.intake.clocks import refuse_old
from aggregator.intake.edge.edge import Edge, TrafficReport
from aggregator.intake.edge.ingest_client import HttpIngestClient
from aggregator.intake.formats import FORMATS, read_whole
from aggregator.intake.formats.dsmr import telegrams
from aggregator.intake.formats.message import Content, DeviceRules, Origin
from aggregator.intake.ingest import Outcome, Received, chunks, rules_in, take_in
from aggregator.operations.backup import backing_up
from aggregator.operations.metrics import Metrics, told
from aggregator.settings import Settings, data_folder, sqlite_url
from aggregator.store import open_store
from aggregator.store.port import Store
from aggregator.support import fleet
from aggregator.support.audit import Audit
from aggregator.waterfall.worker import Census, run_worker

if TYPE_CHECKING:
    from aggregator.intake.mqtt import Subscriber
    from aggregator.intake.mqtt_feed import MqttFeed


def with_broker(name: str, help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the option `name` for the broker's address, and the options for its topics."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        path = click.Path(exists=True, dir_okay=False, path_type=Path)
        for option in (
            click.option(
                "--ca-file", type=path, help="Certificate file of a broker without a public certificate authority."
            ),
            click.option(
                "--format",
                "format_name",
                type=click.Choice(list(FORMATS)),
                callback=lambda _context, _option, name: name or "",
                help="Format of all messages, where topics do not name it; the device is at the first + of --topic.",
            ),
            click.option(
                "--topic",
                "topics",
                multiple=True,
                help="A topic filter, like 'glow/+/SENSOR/#'; its first + is the device. May be repeated.",
            ),
            click.option(name, "broker_url", metavar="URL", help=help_text),
        ):
            command = option(command)
        return command

    return add


@contextmanager
def subscribed(
    settings: Settings, broker_url: str | None, topics: Sequence[str], ca_file: Path | None, format_name: str
) -> "Iterator[Subscriber | None]":
    """Connect to the broker of the options; None without one."""
    if not broker_url:
        if topics or ca_file or format_name:
            raise ConfigurationError(
                "--topic, --format and --ca-file need the address of a broker; name it with --mqtt"
            )
        yield None
        return
    from aggregator.intake.mqtt import Subscriber, broker_of, check_filters

    broker, filters = broker_of(broker_url), check_filters(topics)
    with closing(Subscriber(broker, filters, settings.mqtt_password, str(ca_file) if ca_file else None)) as subscriber:
        yield subscriber


# edge

LOOK_S = 0.5  # between checks of the send queue
LONGEST_PAUSE_S = 60.0  # between retries while the file is unusable
LAG_S = 3650 * DAY_S  # a gateway's clock may be far behind after a power cut; the server checks the times
_CHUNKS = 4  # chunks of lines in memory
TakeIn = Callable[[float], int | None]  # seconds to wait -> number taken in; None at the end
log = logging.getLogger("wattfall.edge")


@click.command("edge")
@with_broker("--source", "Source of the readings: a broker, like mqtt://localhost/ , or - for lines on standard input.")
@click.option(
    "--to", "server", metavar="URL", required=True, help="Wattfall, like https://energy.example.org [WATTFALL_TOKEN]."
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for unsent readings [edge/ in the user's data folder].",
)
@click.option(
    "--live-every",
    "live_s",
    type=click.IntRange(10, 3600),
    default=60,
    show_default=True,
    help="Seconds between live readings without a live viewer.",
)
@click.option(
    "--netting",
    type=click.Choice(NETTINGS),
    default="phase",
    show_default=True,
    help="How a three-phase meter's phases make import and export; see `wattfall device set`.",
)
@click.option(
    "--stamp-on-arrival",
    is_flag=True,
    help="Take the time of arrival for P1 telegrams of a clock that was never set; not for a log of telegrams.",
)
@click.option("--total-is-import", "is_total_import", is_flag=True, help="Tasmota's Total counts import alone.")
@click.pass_obj
def edge_command(
    settings: Settings,
    /,
    server: str,
    data: Path | None,
    live_s: int,
    netting: str,
    stamp_on_arrival: bool,
    is_total_import: bool,
    **broker: Any,  # noqa: ANN401 - options
) -> None:
    """Store readings here and send each half hour as one block; runs at the home or a gateway, with WATTFALL_TOKEN."""
    log_to_stderr(settings.log)
    folder = data or data_folder() / "edge"
    client = HttpIngestClient(server, settings.token)
    rules = DeviceRules(settings.timezone, netting, stamp_on_arrival, is_total_import)
    own_folder(folder)
    with closing(open_store(sqlite_url(folder.resolve() / "edge.db"))) as store:
        edge = Edge(store, client, live_s)
        report, stop = TrafficReport(edge, client.sent), until_stopped()
        if broker["broker_url"] == "-":
            run_edge(edge, report, Lines(edge, broker["format_name"] or "json", rules).take_in, stop)
            return
        with subscribed(settings, **broker) as subscriber:
            if subscriber is None:
                raise click.UsageError("name a --source, like mqtt://localhost/")
            from aggregator.intake.mqtt_feed import MqttFeed

            feed = MqttFeed(
                subscriber, edge.accept, lambda _: rules, broker["format_name"], broker["topics"], lag_s=LAG_S
            )
            run_edge(edge, report, feed.take_in, stop)


def run_edge(edge: Edge, report: TrafficReport, take_in: TakeIn, stop: threading.Event) -> None:
    """Take in and send until stopped, or until the input has ended and everything due is sent."""
    is_over, pause = False, LOOK_S
    while not stop.is_set():
        try:
            edge.store.check()
            if is_over:
                stop.wait(LOOK_S)
            else:
                is_over = take_in(LOOK_S) is None
            edge.send()
            report.roll_over(time.time())
            pause = LOOK_S
        except StoreReplaced:
            raise
        except (StoreAway, StoreUnusable) as error:
            pause = min(2 * pause, LONGEST_PAUSE_S)
            log.warning("%s; trying again in %g s", error, pause)
            stop.wait(pause)
            continue
        if is_over and edge.is_idle:
            break
    click.echo(report.finish_report(time.time()))


class Lines:
    """Read standard input in a thread as messages of the token's device; hold messages until they are stored."""

    def __init__(self, edge: Edge, format_name: str, rules: DeviceRules) -> None:
        """Start reading."""
        self._edge, self._format, self._rules = edge, FORMATS[format_name], rules
        self._waiting: queue.Queue[list[bytes] | None] = queue.Queue(_CHUNKS)
        self._held: list[bytes] = []
        threading.Thread(target=self._read, daemon=True).start()

    def take_in(self, wait_s: float) -> int | None:
        """Store the waiting messages; return their number, None after the last. Raises StoreAway and holds them."""
        if not self._held:
            try:
                messages = self._waiting.get(timeout=wait_s)
            except queue.Empty:
                return 0
            if messages is None:
                return None
            self._held = messages
        device_id = self._edge.client.device_id
        origin = Origin(device_id, int(time.time()), self._rules, lag_s=LAG_S)
        self._edge.accept([Received(device_id, read_whole(self._format, message, origin)) for message in self._held])
        count, self._held = len(self._held), []
        return count

    def _read(self) -> None:
        for messages in self._messages():
            self._waiting.put(messages)
        self._waiting.put(None)

    def _messages(self) -> Iterator[list[bytes]]:
        pieces = chunks(sys.stdin.buffer)
        if self._format.name == "dsmr":
            return ([telegram] for telegram in telegrams(line + b"\n" for lines in pieces for line in lines))
        return ([line for line in lines if line.strip()] for lines in pieces)


COMMANDS = (edge_command,)


@click.command()
@with_broker("--mqtt", "Receive messages from this broker, like mqtts://user@host/ [WATTFALL_MQTT_PASSWORD].")
@with_store
@click.pass_obj
def worker(settings: Settings, /, store_url: str | None, **broker: Any) -> None:  # noqa: ANN401 - options
    """Propagate every change of the store to the charts, until stopped; with --mqtt also receive devices' messages."""
    log_to_stderr(settings.log)
    stop = until_stopped()
    with (
        closing(opened(settings, store_url, may_create=True)) as store,
        subscribed(settings, **broker) as subscriber,
        backing_up(settings, store_url or settings.store, stop),
        told(settings, store_url or settings.store, store, metrics := Metrics()),
    ):
        run_worker(
            store,
            settings.retention_days,
            stop,
            census=_census(store, Audit(store, settings.audit_secrets)),
            take_in=_feed(store, settings, subscriber, broker, metrics).take_in if subscriber else None,
        )


def _census(store: Store, audit: Audit) -> Census:
    """Return the census; it writes the head of the audit to the log at the start, and then daily."""
    logged = set[int]()  # day

    def census(now: int) -> Iterator[None]:
        if now // DAY_S not in logged:
            audit.log_head()
            logged.add(now // DAY_S)
        return fleet.census(store, now, store.backlog())

    return census


def _feed(
    store: Store, settings: Settings, subscriber: "Subscriber", broker: Mapping[str, Any], metrics: Metrics
) -> "MqttFeed":
    from aggregator.intake.mqtt_feed import MqttFeed, Spool  # paho takes a while to load

    def store_messages(messages: Sequence[Received]) -> Outcome:
        outcome = take_in(store, messages, int(time.time()), settings.timezone)
        metrics.count(outcome)
        return outcome

    def check_age(content: Content, now: int) -> None:
        refuse_old(store, content, now - settings.retention_days * DAY_S)

    return MqttFeed(
        subscriber,
        store_messages,
        rules_in(store, settings.timezone),
        broker["format_name"],
        broker["topics"],
        check_age=check_age,
        is_registered=lambda device_id: store.device(device_id) is not None,
        spool=Spool(store),
    )


@click.command()
@click.option("--households", "count", type=click.IntRange(1, 1000), default=4, show_default=True)
@click.option("--days", type=click.IntRange(1, 1000), default=400, show_default=True, help="Of history.")
@click.option("--seed", default=1, show_default=True)
@with_store
@click.pass_obj
def simulate(settings: Settings, count: int, days: int, seed: int, store_url: str | None) -> None:
    """Simulate demo households: add missing history, then a reading every 10 s, until stopped."""
    log_to_stderr(settings.log)
    store, homes = opened(settings, store_url, may_create=True), households(count, seed)
    check_is_demo(store, homes)
    now = int(time.time())
    fill(store, homes, days, now, lambda _: None)
    run_simulator(store, homes, now - 1, until_stopped())
