"""Commands about the registry: `device set`, `device token`, `device list`."""

import csv
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import IO, Any

import click

from aggregator.commands import console
from aggregator.commands.console import check_id, find_device, opened, with_store
from aggregator.commands.support_commands import operator, with_reason
from aggregator.core import periods
from aggregator.core.documents import GAS, KINDS, NETTINGS, Device
from aggregator.core.errors import ConfigurationError, StoreUnusable
from aggregator.core.money import number
from aggregator.core.readings import sender_of
from aggregator.intake.claims import VALID_S
from aggregator.intake.tokens import end_tokens, new_token
from aggregator.settings import Settings
from aggregator.store import all_devices, new_entry, search
from aggregator.store.occupancies import has_past, moved, returned
from aggregator.support.actions import make_code, record_device, record_token
from aggregator.support.audit import Audit
from aggregator.tariffs.gas import Conversion, conversion_of
from aggregator.waterfall.levels import move, take_back
from aggregator.waterfall.pricing import change_conversion
from aggregator.waterfall.verify import change_device
from aggregator.waterfall.worker import drain

LEAST_FACTOR = Decimal("0.1")  # no meter reads its volume at ten times the pressure or the cold


@click.group()
def device() -> None:
    """Manage the registry of devices."""


@device.command("set")
@click.argument("device_id", metavar="DEVICE")
@click.option("--timezone", help="An IANA time zone, like Europe/London.")
@click.option(
    "--max-power-w", type=click.IntRange(1, 10_000_000), help="The home's maximum power in either direction, W."
)
@click.option("--household", metavar="ID", help="The first household of the device, from ever; see `device move`.")
@click.option("--name", help="The household's name for the home, like '12 Acacia Road'.")
@click.option("--serial", help="The serial number of the device.")
@click.option("--meter-point", metavar="NUMBER", help="The number of the meter point.")
@click.option("--postcode")
@click.option("--kind", type=click.Choice(KINDS), help="What its meter counts.")
@click.option(
    "--calorific-value", metavar="MJ", help="Gas in m³: the energy of a m³ in MJ, as the bill states it [39.5]."
)
@click.option("--from", "first_day", metavar="DAY", help="The first day of the calorific value [the first of all].")
@click.option("--volume-factor", metavar="FACTOR", help="Gas in m³: the factor of the volume [1.02264].")
@click.option(
    "--netting",
    type=click.Choice(NETTINGS),
    help=(
        "How the phases of a Shelly or a Tasmota with three phases make import and export. `phase`: each phase counts"
        " for itself, as the device's own registers do. `sum`: as a meter that nets the phases, which meters in"
        " Germany, the Netherlands and Belgium do; the registers of the phases cannot be netted afterwards, so the"
        " power of all phases tells the energy, and what is used while nothing arrives is not known. A smart meter"
        " (P1, SML, Glow) nets by itself, and a JSON reading is taken as it is; neither needs this. It holds for"
        " messages from now on. For a device behind `wattfall edge`, set it there."
    ),
)
@click.option(
    "--stamp-on-arrival",
    type=bool,
    metavar="on|off",
    help=(
        "Take the time of arrival for P1 telegrams of a clock that was never set, which are refused otherwise. Only"
        " for a meter that sends them at once; an imported log is never stamped."
    ),
)
@click.option(
    "--total-is-import",
    "is_total_import",
    type=bool,
    metavar="on|off",
    help="Whether Tasmota's Total counts import alone. Beside ExportActive it is net otherwise, as Tasmota counts it.",
)
@with_reason("device set from the command line")
@with_store
@click.pass_obj
def device_set(
    settings: Settings,
    /,
    device_id: str,
    timezone: str | None,
    max_power_w: int | None,
    calorific_value: str | None,
    first_day: str | None,
    volume_factor: str | None,
    reason: str,
    **fields: Any,  # noqa: ANN401 - options
) -> None:
    """Add or change a device; recompute its charts where the change affects them."""
    store = opened(settings, may_create=True)
    stored = store.device(check_id(device_id))
    changed = stored or new_entry(store, device_id, settings.timezone)
    _check_home(changed, fields)
    _check_household(changed, fields.get("household"))
    changed = search.check_labels(
        replace(changed, **{name: value for name, value in fields.items() if value is not None})
    )
    conversion = _conversion(changed, calorific_value, first_day, volume_factor)
    if max_power_w:
        changed = replace(changed, max_power_w=max_power_w)
    zone = periods.check_timezone(timezone) if timezone else changed.timezone
    audit, now = Audit(store, settings.audit_secrets), int(time.time())
    after = replace(changed, timezone=zone, conversion=str(conversion) if conversion else changed.conversion)
    record_device(audit, operator(), stored, after, reason, now)
    change_device(store, stored, replace(changed, timezone=zone))
    if conversion:
        change_conversion(store, find_device(store, device_id), conversion)
    drain(store)
    click.echo(console.device_line(find_device(store, device_id)))


def _check_home(device: Device, named: Mapping[str, object]) -> None:
    """Raise ConfigurationError where a second meter would get a home of its own."""
    for field in ("household", "postcode"):
        if named.get(field) is not None and device.is_second_meter:
            sender = sender_of(device.device_id)
            raise ConfigurationError(
                f"{device.device_id} has the {field} of {sender}, which reads it; use `wattfall device set {sender}`"
            )


def _check_household(device: Device, household: str | None) -> None:
    """Raise ConfigurationError where a household would get the past of another one."""
    if (household and has_past(device)) or (household is not None and device.household not in ("", household)):
        raise ConfigurationError(
            f"{device.device_id} belongs to {device.household or 'nobody'}; `wattfall device move {device.device_id}"
            " --to ID --from DAY` gives it to another household, which sees its own days only"
        )


def _conversion(device: Device, value: str | None, first_day: str | None, factor: str | None) -> Conversion | None:
    """Return the conversion of a gas meter with the options' values; None without one."""
    if value is factor is None:
        if first_day:
            raise ConfigurationError("--from is the first day of a --calorific-value")
        return None
    if device.kind != GAS:
        raise ConfigurationError(
            f"{device.device_id} is of kind {device.kind}, and only gas in m³ is converted; see --kind"
        )
    found = conversion_of(device)
    if value is not None:
        day = periods.check_period("day", first_day) if first_day else periods.FIRST_DAY
        stated = number(value, "the calorific value", 1, 200)
        found = replace(found, calorific_values={**found.calorific_values, day: stated})
    if factor is not None:
        found = replace(found, volume_factor=number(factor, "the volume factor", LEAST_FACTOR, 2))
    return found


@device.command("move")
@click.argument("device_id", metavar="DEVICE")
@click.option("--to", "household", metavar="ID", help="The household that moves in; - for an empty home.")
@click.option("--from", "first_day", required=True, metavar="DAY", help="Its first whole day there, local.")
@click.option("--undo", is_flag=True, help="Take back the newest move, made for that day by mistake.")
@with_store
@click.pass_obj
def device_move(settings: Settings, device_id: str, household: str | None, first_day: str, *, undo: bool) -> None:
    """Give a device and its second meters to another household, from a day on.

    Each household sees its own days only. The new one names its home and sets its tariff anew; the days before keep
    the tariff of their own household. With --undo the household before has its days, its name and its tariff again, and
    what the other one set for this home is gone.
    """
    if undo == bool(household):
        raise ConfigurationError("name the household that moves in (--to), or take a move back (--undo)")
    store, now = opened(settings), int(time.time())
    device = find_device(store, device_id)
    if device.is_second_meter:
        sender = sender_of(device_id)
        raise ConfigurationError(f"{device_id} belongs to the home of {sender}; use `wattfall device move {sender}`")
    if periods.check_period("day", first_day) > periods.day_of(now, device.timezone):
        raise ConfigurationError(f"{first_day} is still to come; move the device on that day")
    household = "" if household == "-" else household
    after = returned(device, first_day) if household is None else moved(device, household, first_day)
    reason = f"device moved back: {first_day}" if undo else f"device moved: {first_day}"
    record_device(Audit(store, settings.audit_secrets), operator(), device, after, reason, now)
    if household is None:
        if not take_back(store, device, first_day):
            raise ConfigurationError(f"the newest move of {device_id} is not of {first_day}; nothing is changed")
    else:
        move(store, device, household, first_day)
    drain(store)
    click.echo(console.device_line(find_device(store, device_id)))


@device.command("token")
@click.argument("device_id", metavar="DEVICE")
@click.option("--revoke", is_flag=True, help="Revoke all tokens of the device at once, and make none.")
@with_store
@click.pass_obj
def device_token(settings: Settings, device_id: str, *, revoke: bool) -> None:
    """Print a new token for POST /ingest; it is shown only once. Earlier tokens expire in a day.

    A device that is not known yet is added.
    """
    store = opened(settings, may_create=not revoke)
    if revoke or store.device(check_id(device_id)):
        find_device(store, device_id)
    else:
        store.put_device(new_entry(store, device_id, settings.timezone))
        click.echo(f"{device_id} is new, and was added", err=True)
    record_token(Audit(store, settings.audit_secrets), operator(), device_id, int(time.time()), is_end=revoke)
    if revoke:
        end_tokens(store, device_id)
        click.echo(f"{device_id} has no token any more")
    else:
        click.echo(new_token(store, device_id, int(time.time())))


@device.command("code")
@click.argument("device_ids", metavar="[DEVICE]...", nargs=-1)
@click.option(
    "--csv",
    "file",
    type=click.File("r", encoding="utf-8-sig"),
    help="A table whose first column has the devices; a first row `device_id` is a heading.",
)
@with_store
@click.pass_obj
def device_code(settings: Settings, device_ids: tuple[str, ...], file: IO[str] | None) -> None:
    """Print a code for each device, as CSV; with it a household claims the device at /account/claim.

    A code is shown only once, works once, and expires in 30 days; an earlier one is void. A device that is not known
    yet is added. A device that belongs to a household gets none, and the others get theirs.
    """
    store, now = opened(settings, may_create=True), int(time.time())
    listed = [*device_ids, *(row[0].strip() for row in csv.reader(file or ()) if row and row[0].strip())]
    wanted = [one for one in dict.fromkeys(listed) if one != "device_id"]
    if not wanted:
        raise ConfigurationError("name the devices, or give a table of them with --csv")
    audit, rows, refused = Audit(store, settings.audit_secrets), csv.writer(sys.stdout, lineterminator="\n"), 0
    rows.writerow(("device_id", "code", "until"))
    for device_id in wanted:
        try:
            code = make_code(audit, operator(), check_id(device_id), settings.timezone, now)
            rows.writerow((device_id, code, periods.iso_utc(now + VALID_S)))
        except ConfigurationError as why:
            click.echo(f"wattfall: {why}", err=True)
            refused += 1
    if refused:
        raise ConfigurationError(f"{refused} of {len(wanted)} devices got no code")


@device.command("list")
@with_store
@click.pass_obj
def device_list(settings: Settings) -> None:
    """List the devices, one per line."""
    damaged = set[str]()
    for one in all_devices(opened(settings), damaged.add):
        click.echo(console.device_line(one))
    if damaged:
        raise StoreUnusable("; ".join(sorted(damaged)))
