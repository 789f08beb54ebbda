"""`wattfall edge`: at a home or a gateway, between what reads the meter and Wattfall."""

import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
from platformdirs import user_data_path

from aggregator.commands.console import log_to_stderr, until_stopped
from aggregator.commands.lines import chunks
from aggregator.commands.mqtt import subscribed, with_broker
from aggregator.core.errors import StoreAway, StoreUnusable
from aggregator.core.periods import DAY_S
from aggregator.intake.edge.edge import Edge
from aggregator.intake.edge.edge_report import Report
from aggregator.intake.edge.ingest_client import HttpUplink
from aggregator.intake.formats.catalogue import FORMATS, read_whole
from aggregator.intake.formats.dsmr import telegrams
from aggregator.intake.formats.message import Origin
from aggregator.intake.mqtt_feed import MqttFeed
from aggregator.intake.received import Received
from aggregator.settings import Settings, sqlite_url
from aggregator.store import open_store

LOOK_S = 0.5  # between looks at what is to be sent
LONGEST_PAUSE_S = 60.0  # while the file cannot be used
LAG_S = 3650 * DAY_S  # a gateway that was without current may not know the time yet; the server judges
_CHUNKS = 4  # of lines that wait in memory
TakeIn = Callable[[float], int | None]  # seconds to wait -> how many have come; None once no more can
log = logging.getLogger("wattfall.edge")


@click.command("edge")
@with_broker(
    "--source", "Where readings come from: a broker, like mqtt://localhost/ , or - for lines on standard input."
)
@click.option(
    "--to", "server", metavar="URL", required=True, help="Wattfall, like https://energy.example.org [WATTFALL_TOKEN]."
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where readings are kept until they are sent [edge/ in the user's data folder].",
)
@click.option(
    "--live-every",
    "live_s",
    type=click.IntRange(10, 3600),
    default=60,
    show_default=True,
    help="Seconds between readings that are sent by themselves, while nobody is looking.",
)
@click.pass_obj
def edge_command(settings: Settings, /, server: str, data: Path | None, live_s: int, **broker: Any) -> None:  # noqa: ANN401 - options
    """Keep readings here, and send each half hour at once; runs at the home or a gateway, with WATTFALL_TOKEN."""
    log_to_stderr()
    folder = data or user_data_path("wattfall", appauthor=False) / "edge"
    uplink = HttpUplink(server, settings.token)
    with closing(open_store(sqlite_url(folder.resolve() / "edge.db"))) as store:
        edge = Edge(store, uplink, live_s)
        report, stop = Report(edge, uplink.sent), until_stopped()
        if broker["broker_url"] == "-":
            run_edge(edge, report, Lines(edge, broker["format_name"] or "json", settings.timezone).take_in, stop)
            return
        with subscribed(settings, **broker) as subscriber:
            if subscriber is None:
                raise click.UsageError("name a --source, like mqtt://localhost/")
            feed = MqttFeed(subscriber, edge.keep, lambda _: settings.timezone, broker["format_name"], lag_s=LAG_S)
            run_edge(edge, report, feed.take_in, stop)


def run_edge(edge: Edge, report: Report, take_in: TakeIn, stop: threading.Event) -> None:
    """Take in and send until stopped, or until no more can come and all that is due has gone."""
    is_over, pause = False, LOOK_S
    while not stop.is_set():
        try:
            if is_over:
                stop.wait(LOOK_S)
            else:
                is_over = take_in(LOOK_S) is None
            edge.send()
            report.go_on(time.time())
            pause = LOOK_S
        except (StoreAway, StoreUnusable) as error:
            pause = min(2 * pause, LONGEST_PAUSE_S)
            log.warning("%s; trying again in %g s", error, pause)
            stop.wait(pause)
            continue
        if is_over and edge.is_idle:
            break
    click.echo(report.said(time.time()))


class Lines:
    """Standard input as messages of the token's device, read beside the sending; what is not kept yet is held."""

    def __init__(self, edge: Edge, format_name: str, zone: str) -> None:
        """Begin to read."""
        self._edge, self._format, self._zone = edge, FORMATS[format_name], zone
        self._waiting: queue.Queue[list[bytes] | None] = queue.Queue(_CHUNKS)
        self._held: list[bytes] = []
        threading.Thread(target=self._read, daemon=True).start()

    def take_in(self, wait_s: float) -> int | None:
        """Keep what has come; how many messages, None after the last. Raises StoreAway, and holds them."""
        if not self._held:
            try:
                messages = self._waiting.get(timeout=wait_s)
            except queue.Empty:
                return 0
            if messages is None:
                return None
            self._held = messages
        device_id = self._edge.uplink.device_id
        origin = Origin(device_id, int(time.time()), self._zone, lag_s=LAG_S)
        self._edge.keep([Received(device_id, read_whole(self._format, message, origin)) for message in self._held])
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
