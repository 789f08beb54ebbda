"""The command `edge`: between the meter's reader and Wattfall, at a home or a gateway, until SIGTERM or Ctrl-C.

It takes readings from a broker or standard input (`Lines`), and sends them to a server or a broker.
"""

import io
import logging
import os
import queue
import select
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import click

from aggregator.commands.console import log_to_stderr, own_folder, until_stopped
from aggregator.commands.process_commands import announced, subscribed, with_broker
from aggregator.core.documents import NETTINGS
from aggregator.core.errors import StoreAway, StoreReplaced, StoreUnusable
from aggregator.core.periods import DAY_S
from aggregator.core.readings import MAX_LINE
from aggregator.intake.edge.edge import Edge, TrafficReport
from aggregator.intake.edge.ingest_client import HttpIngestClient
from aggregator.intake.formats import FORMATS, read_whole
from aggregator.intake.formats.dsmr import telegrams
from aggregator.intake.formats.message import DeviceRules, Origin
from aggregator.intake.ingest import Received
from aggregator.settings import Settings, data_folder, sqlite_url
from aggregator.store import open_store

if TYPE_CHECKING:
    from aggregator.intake.edge.publisher import MqttIngestClient

LOOK_S = 0.5  # between checks of the send queue
LONGEST_PAUSE_S = 60.0  # between retries while the file is unusable
LAG_S = 3650 * DAY_S  # a gateway's clock may be far behind after a power cut; the server checks the times
_CHUNKS = 4  # chunks of lines in memory
TakeIn = Callable[[float], int | None]  # seconds to wait -> number taken in; None at the end
log = logging.getLogger("wattfall.edge")
CHUNK = 8 << 20  # bytes; about 55,000 readings
IDLE_S = 0.2  # a pipe idle for this time yields its lines
_BOM = b"\xef\xbb\xbf"


class ServerOptions(NamedTuple):
    """Where an edge sends: an HTTP server, or a broker with the device's certificate."""

    to: str | None
    publish: str | None
    publish_under: str
    cert: Path | None
    key: Path | None
    ca: Path | None


def _with_server(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ServerOptions."""
    path = click.Path(exists=True, dir_okay=False, path_type=Path)
    for option in (
        click.option("--ca", type=path, help="Its authority, for --publish to a broker with a private one."),
        click.option("--key", type=path, help="The key of --cert."),
        click.option("--cert", type=path, help="The device's certificate, for --publish."),
        click.option(
            "--publish-under",
            default="wattfall",
            show_default=True,
            help="First levels of the topic: the template's Prefix, or $aws/rules/RULE/PREFIX, which costs less.",
        ),
        click.option("--publish", metavar="URL", help="A broker and this device, like mqtts://broker.example/cad-1"),
        click.option("--to", metavar="URL", help="Wattfall, like https://energy.example.org [WATTFALL_TOKEN]."),
    ):
        command = option(command)
    return command


def _client(server: ServerOptions, settings: Settings) -> "HttpIngestClient | MqttIngestClient":
    """Return the client of a server or a broker. Raises ConfigurationError."""
    if bool(server.to) == bool(server.publish):
        raise click.UsageError("name where to send: either --to https://... or --publish mqtts://...")
    if server.to:
        if server.cert or server.key or server.ca:
            raise click.UsageError("--cert, --key and --ca belong to --publish; a server takes WATTFALL_TOKEN")
        return HttpIngestClient(server.to, settings.token)
    from aggregator.intake.edge.publisher import MqttIngestClient, TlsFiles  # paho takes a while to load

    return MqttIngestClient(str(server.publish), server.publish_under, TlsFiles(server.cert, server.key, server.ca))


@click.command("edge")
@with_broker("--source", "Source of the readings: a broker, like mqtt://localhost/ , or - for lines on standard input.")
@_with_server
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for unsent readings [edge/ in the user's data folder].",
)
@click.option(
    "--live-every",
    "live_s",
    type=click.IntRange(10, 3600),
    help="Seconds between live readings without a live viewer [none].",
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
    data: Path | None,
    live_s: int | None,
    netting: str,
    stamp_on_arrival: bool,
    is_total_import: bool,
    **options: Any,  # noqa: ANN401 - of the broker and the server
) -> None:
    """Store readings here and send each half hour as one block; runs at the home or a gateway.

    To a server with WATTFALL_TOKEN, or to a broker such as AWS IoT Core with the device's certificate.
    """
    log_to_stderr(settings.log)
    folder = data or data_folder() / "edge"
    server, broker = ServerOptions(*(options.pop(name) for name in ServerOptions._fields)), options
    client = _client(server, settings)
    rules = DeviceRules(settings.timezone, netting, stamp_on_arrival, is_total_import)
    own_folder(folder)
    with closing(client), closing(open_store(sqlite_url(folder.resolve() / "edge.db"))) as store:
        edge = Edge(store, client, live_s or 0)
        report, stop = TrafficReport(edge, client.sent), until_stopped()
        if broker["broker_url"] == "-":
            if broker["announce"]:
                raise click.UsageError("--announce needs a broker as --source, like mqtt://localhost/")
            run_edge(edge, report, Lines(edge, broker["format_name"] or "json", rules).take_in, stop)
            return
        with subscribed(settings, **broker) as subscriber:
            if subscriber is None:
                raise click.UsageError("name a --source, like mqtt://localhost/")
            from aggregator.intake.mqtt_feed import MqttFeed

            sink = announced(edge.accept, subscriber) if broker["announce"] else edge.accept
            feed = MqttFeed(subscriber, sink, lambda _: rules, broker["format_name"], broker["topics"], lag_s=LAG_S)
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


# Lines of a file or a pipe, in chunks of bounded memory


def chunks(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Yield the lines of a binary stream in chunks, without line ends; a line is cut after MAX_LINE."""
    rest, is_first = b"", True
    for data in _pieces(stream):
        lines = (rest + data.removeprefix(_BOM) if is_first else rest + data).split(b"\n")
        is_first = False
        rest = lines.pop()[: MAX_LINE + 1]
        yield lines
    if rest:
        yield [rest]


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    descriptor = _pipe(stream)
    while data := stream.read(CHUNK) if descriptor is None else _available(descriptor):
        yield data


def _pipe(stream: BinaryIO) -> int | None:
    """Return the descriptor of a stream that may block; None for a file."""
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:
        return None
    return None if stat.S_ISREG(os.fstat(descriptor).st_mode) else descriptor


def _available(descriptor: int) -> bytes:
    """Return the bytes in a pipe, up to CHUNK; wait for the first byte, and IDLE_S for more."""
    data = os.read(descriptor, CHUNK)
    pieces, size = [data], len(data)
    while data and size < CHUNK and select.select([descriptor], [], [], IDLE_S)[0]:
        data = os.read(descriptor, CHUNK)
        pieces.append(data)
        size += len(data)
    return b"".join(pieces)
