"""The `wattfall` command: the commands of `aggregator`, and those with a screen."""

import gc
import os
import secrets
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from aggregator.commands import data_commands
from aggregator.commands.console import opened, overriding, until_stopped, with_store
from aggregator.core.errors import WattfallError
from aggregator.demo.feed import is_demo
from aggregator.intake.formats import FORMATS
from aggregator.settings import Settings, data_folder, load
from dashboard.commands.household import household_group
from dashboard.commands.provision import provision_command
from dashboard.commands.user import user_group
from dashboard.commands.web_package import package_web_command

COLLECTIONS = (50_000, 20, 20)  # of the garbage collector; many objects come and go here, and few are cycles


class _Commands(click.Group):
    """A group that prints an error on one line, with its fix, and exits with code 2."""

    def main(self, args: Sequence[str] | None = None, **_: object) -> None:  # type: ignore[override]
        try:
            code = super().main(args=args, prog_name="wattfall", standalone_mode=False)
            sys.exit(code if isinstance(code, int) else 0)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(2)
        except click.UsageError as error:
            help_for = f"; see `{error.ctx.command_path} --help`" if error.ctx else ""
            _fail(error.format_message().rstrip(".") + help_for)
        except (click.ClickException, WattfallError) as error:
            _fail(error.format_message() if isinstance(error, click.ClickException) else str(error))
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(0)
        except (click.Abort, KeyboardInterrupt):
            sys.exit(130)


def _fail(message: str) -> None:
    click.echo(f"wattfall: {' '.join(message.split())}", err=True)
    sys.exit(2)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wattfall")
@click.pass_context
def main(context: click.Context) -> None:
    """Wattfall: from a meter's readings to an energy dashboard."""
    gc.set_threshold(*COLLECTIONS)
    context.obj = load(os.environ)


with_port = overriding("--port", type=click.IntRange(1, 65535), help="Port to listen on [PORT, 8050].")
with_host = click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 admits other machines."
)


for command in (*data_commands.COMMANDS, user_group, household_group, provision_command, package_web_command):
    main.add_command(command)


@main.command()
@with_port
@with_host
@with_store
@click.pass_obj
def web(settings: Settings, host: str) -> None:
    """Serve the dashboard."""
    from dashboard.pages.account.account_page import check
    from dashboard.server import serve_web

    with closing(opened(settings, may_create=True)) as store:  # report an unusable store once, not by every worker
        if not settings.secret and is_demo(store):
            settings = replace(settings, secret=secrets.token_urlsafe(32))  # one for all workers, until they end
    check(settings)
    serve_web(settings, host, store.check)


@main.command("ingest-server")
@with_port
@with_host
@with_store
@click.pass_obj
def ingest_server(settings: Settings, host: str) -> None:
    """Serve POST /ingest alone, in processes of its own; `web` serves it too."""
    from dashboard.server import serve_ingest

    with closing(opened(settings, may_create=True)) as store:  # report an unusable store once
        check = store.check
    serve_ingest(settings, host, check)


@main.command()
@with_port
@click.option(
    "--households", "count", type=click.IntRange(1, 1000), default=4, show_default=True, help="Number of homes."
)
@click.option("--days", type=click.IntRange(1, 1000), help="Days of history [400; 40 on DynamoDB].")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the demo's data [demo/ in the user's data folder].",
)
@click.option("--seed", default=1, show_default=True, help="Number that selects the homes.")
@click.option("--dynamodb", "is_dynamodb", is_flag=True, help="Run on an emulator of AWS with the deployed template.")
@click.pass_obj
def demo(
    settings: Settings,
    count: int,
    days: int | None,
    data: Path | None,
    seed: int,
    is_dynamodb: bool,
) -> None:
    """Run everything with simulated households; a restart on the same data continues."""
    from dashboard.commands.demo import Demo, run_demo, run_dynamodb_demo

    chosen, stopped = (
        Demo(settings.port, count, days or (40 if is_dynamodb else 400), seed),
        until_stopped(late_s=60),  # its processes end first
    )
    if is_dynamodb and data:
        raise click.UsageError("--data cannot be used with --dynamodb: the emulator keeps no data")
    if is_dynamodb:
        run_dynamodb_demo(chosen, stopped.is_set)
    else:
        run_demo(chosen, data or data_folder() / "demo", stopped.is_set)


@main.command()
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), help="Folder [home/ in the user's data folder]."
)
@click.option("--email", help="Address of the first account; its link to choose a password is printed.")
@click.option("--mqtt", metavar="URL", help="Receive messages from this broker, like mqtt://user@localhost/ .")
@click.option("--topic", "topics", multiple=True, help="A topic filter, like 'glow/+/SENSOR/#'; may be repeated.")
@click.option("--format", "format_name", type=click.Choice(list(FORMATS)), help="Format, where topics do not name it.")
@click.option("--ca-file", type=click.Path(exists=True, dir_okay=False), help="Certificate file of a private broker.")
@click.option("--timezone", help="Time zone of the home [WATTFALL_TIMEZONE].")
@click.option("--host", help="Address to listen on; 0.0.0.0 admits the other machines of the home [127.0.0.1].")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on [PORT, 8050].")
@click.pass_obj
def up(settings: Settings, /, data: Path | None, **options: Any) -> None:  # noqa: ANN401 - options
    """Install Wattfall for one home in a folder and run it; `wattfall up` again continues with the same options."""
    from dashboard.commands.up import Up, run_up

    run_up(Up(**options), data, settings, until_stopped().is_set)


if __name__ == "__main__":
    main()
