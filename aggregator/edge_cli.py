"""`wattfall edge`: at a home or a gateway, between what reads the meter and Wattfall."""

import logging
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click
from platformdirs import user_data_path

from aggregator.console import log_to_stderr, until_stopped
from aggregator.edge import Edge
from aggregator.edge_report import Report
from aggregator.errors import StoreAway
from aggregator.intake import Received
from aggregator.lines import chunks
from aggregator.mqtt_cli import subscribed, with_broker
from aggregator.mqtt_feed import MqttFeed
from aggregator.settings import Settings, sqlite_url
from aggregator.sources.base import Origin
from aggregator.sources.formats import FORMATS, read_whole
from aggregator.store import open_store
from aggregator.uplink import HttpUplink

LOOK_S = 0.5  # between looks at what is to be sent
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
        edge = Edge(store, uplink, live_s, time.time)
        report, stop = Report(edge, uplink.sent), until_stopped()
        if broker["broker_url"] == "-":
            run_edge(edge, report, _lines(edge, broker["format_name"] or "json", settings.timezone), stop)
            return
        with subscribed(settings, **broker) as subscriber:
            if subscriber is None:
                raise click.UsageError("name a --source, like mqtt://localhost/")
            feed = MqttFeed(subscriber, edge.keep, lambda _: settings.timezone, broker["format_name"])
            run_edge(edge, report, feed.take_in, stop)


def run_edge(edge: Edge, report: Report, take_in: TakeIn, stop: threading.Event) -> None:
    """Take in and send until stopped, or until no more can come and all that is due has gone."""
    is_over = False
    while not stop.is_set():
        try:
            if is_over:
                stop.wait(LOOK_S)
            else:
                is_over = take_in(LOOK_S) is None
            edge.send()
            report.go_on(time.time())
        except StoreAway as error:
            log.warning("%s; trying again", error)
            stop.wait(LOOK_S)
        if is_over and edge.is_idle:
            break
    click.echo(report.said(time.time()))


def _lines(edge: Edge, format_name: str, zone: str) -> TakeIn:
    """Lines of standard input as messages of the token's device, read beside the sending."""
    waiting: queue.Queue[list[bytes] | None] = queue.Queue(_CHUNKS)
    device_id = edge.uplink.device_id

    def read() -> None:
        for lines in chunks(sys.stdin.buffer):
            waiting.put(lines)
        waiting.put(None)

    def take_in(wait_s: float) -> int | None:
        try:
            lines = waiting.get(timeout=wait_s)
        except queue.Empty:
            return 0
        if lines is None:
            return None
        origin = Origin(device_id, int(time.time()), zone)
        whole = [line for line in lines if line.strip()]
        edge.keep([Received(device_id, read_whole(FORMATS[format_name], line, origin)) for line in whole])
        return len(whole)

    threading.Thread(target=read, daemon=True).start()
    return take_in


COMMANDS = (edge_command,)
