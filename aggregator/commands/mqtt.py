"""The options of the commands that listen to a broker."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aggregator.core.errors import ConfigurationError
from aggregator.intake.formats.catalogue import FORMATS
from aggregator.settings import Settings

if TYPE_CHECKING:
    from aggregator.intake.mqtt import Subscriber


def with_broker(name: str, help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option `name` for the broker's address, and those for what is listened to."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        path = click.Path(exists=True, dir_okay=False, path_type=Path)
        for option in (
            click.option(
                "--ca-file", type=path, help="The certificate of a broker that no public authority vouches for."
            ),
            click.option(
                "--format",
                "format_name",
                type=click.Choice(list(FORMATS)),
                callback=lambda _context, _option, name: name or "",
                help="Of all messages, where topics do not tell; the last word of a topic is the device.",
            ),
            click.option(
                "--topic", "topics", multiple=True, help="What to listen to, like 'glow/+/SENSOR/#'; may be repeated."
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
    """A connection to the broker that the options name; None where they name none."""
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
