"""Shared by the commands: options, the store, device lookup, stopping, and text tables.

The tables are pure: they format documents, devices and support data for a terminal. Wrong options raise
ConfigurationError.
"""

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from aggregator.core import periods
from aggregator.core.documents import ELECTRICITY, Device, Document, Part, coverage
from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.live import Live
from aggregator.core.money import Cost, screen_text
from aggregator.core.periods import Slot, check_period, iso_utc
from aggregator.core.readings import check_device_id
from aggregator.intake.refusals import Refusals
from aggregator.settings import WARNINGS, Settings, data_folder, default_store
from aggregator.store import Store, open_store
from aggregator.store.search import masked
from aggregator.support.audit_entry import Entry
from aggregator.support.device_state import arrival_state, rhythm_s
from aggregator.support.fleet import Summary
from aggregator.tariffs.gas import conversion_of

LATE_S = 6.0  # from SIGTERM to the end of a process that something holds up
LATE = "stopped; something held the process up, and what it has acknowledged is stored"


def overriding(*names: str, **attributes: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # noqa: ANN401 - click's
    """Return an option whose value replaces the setting of its name in the settings that the command gets."""

    def override(context: click.Context, option: click.Parameter, value: object) -> None:
        if value:
            context.obj = replace(context.obj, **{option.name or "": value})

    return click.option(*names, expose_value=False, callback=override, **attributes)


with_store = overriding("--store", metavar="URL", help="Where documents live [WATTFALL_STORE].")


def with_days(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options `--from` and `--to`, local days, both included."""
    last = click.option("--to", "last_day", metavar="DAY", callback=_day, help="The last day.")
    first = click.option("--from", "first_day", metavar="DAY", callback=_day, help="The first day, like 2026-11-01.")
    return first(last(command))


def _day(context: click.Context, option: click.Parameter, text: str | None) -> str | None:
    day = text and check_period("day", text)
    days = context.params | {option.name or "": day}  # the options that were read before, and this one
    first, last = days.get("first_day"), days.get("last_day")
    if first and last and first > last:
        raise ConfigurationError(f"--from {first} is after --to {last}; exchange the two")
    return day


def opened(settings: Settings, *, may_create: bool = False) -> Store:
    """Open the store of the settings; only a command that adds something may create it."""
    if may_create and settings.store == default_store():
        own_folder(data_folder())
    return open_store(settings.store, may_create=may_create)


def own_folder(path: Path) -> None:
    """Make a folder that only its owner can open, unless it exists. Raises ConfigurationError."""
    try:
        for missing in reversed([one for one in (path, *path.parents) if not one.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be made: {error.strerror}") from error


def check_id(device_id: str) -> str:
    """Return a device id from the command line. Raises ConfigurationError where it is invalid."""
    try:
        return check_device_id(device_id)
    except Refused as refused:
        rule = "use up to 64 letters and digits, like cad-1"
        raise ConfigurationError(f"{refused.detail}; {rule}") from refused


def find_device(store: Store, device_id: str) -> Device:
    """Return a device of the registry. Raises ConfigurationError where it is unknown."""
    device = store.device(device_id)
    if device is None:
        raise ConfigurationError(f"there is no device {device_id!r}; `wattfall device list` lists the devices")
    return device


def until_stopped(late_s: float = LATE_S, late_code: int = 0, said: str = LATE) -> threading.Event:
    """Return an event that SIGTERM and Ctrl-C set.

    A process that a lock or a connection holds up says so and ends with `late_code`, `late_s` after SIGTERM: what it
    has acknowledged is durable.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    heard, told = socket.socketpair()
    told.setblocking(False)
    _tell(told.detach())  # from C: while SQLite waits for a lock, Python runs no handler
    threading.Thread(target=_end_late, args=(heard, late_s, late_code, said), daemon=True).start()
    return stop


def forget_signals() -> None:
    """Undo `until_stopped`, but for the handlers."""
    _tell(-1)


def _tell(descriptor: int) -> None:
    before = signal.set_wakeup_fd(descriptor)
    if before != -1:
        os.close(before)  # its thread ends


def _end_late(heard: socket.socket, late_s: float, late_code: int, said: str) -> None:
    """Wait for SIGTERM, and then for `late_s`; say why, and end the process."""
    with heard:
        while (told := heard.recv(1)) and told[0] != signal.SIGTERM:
            pass
    if told:
        time.sleep(late_s)
        click.echo(said, err=True)
        os._exit(late_code)


class JsonLines(logging.Formatter):
    """Log records as JSON, one object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as JSON."""
        content = {"at": iso_utc(int(record.created)), "level": record.levelname.lower(), "logger": record.name}
        content["message"] = record.getMessage()
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
        return json.dumps(content)


def log_to_stderr(form: str) -> None:
    """Log to stderr with the time, for long-running commands; `form` is that of WATTFALL_LOG."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING if form == WARNINGS else logging.INFO, handlers=[handler])
    logging.getLogger("botocore").setLevel(logging.WARNING)  # it logs every call


# Text tables

_NAMES = {"": "HH:mm", "day": "ddd D", "month": "MMM"}  # by the level of a part; "" is an hour


def document_table(document: Document) -> str:
    """Format a document: one line per part, and the total."""
    slots = periods.slots(document.level, document.period, document.timezone)
    seconds = sum(slot.end - slot.start for slot in slots)
    rows = [_row(_name(document, slot), document.part(slot.name), slot.end - slot.start) for slot in slots]
    rows.append(_row("total", document.total, seconds))
    header: tuple[str, ...] = ("", "import kWh", "export kWh", "estimated kWh", "interval kWh", "coverage")
    parts = [*(document.part(slot.name) for slot in slots), document.total]
    if document.total.volume_l is not None:
        rows = [(*row, _kwh(part.volume_l)) for row, part in zip(rows, parts, strict=True)]
        header = (*header, "m³")
    if document.currency:
        rows = [(*row, _money(part.cost.to_pay, document.currency)) for row, part in zip(rows, parts, strict=True)]
        header = (*header, "to pay")
    title = f"{document.device_id} · {document.period} · {document.timezone}"
    return "\n".join([title, *aligned([header, *rows])])


def comparison_table(days: int, costs: Mapping[str, Cost], currencies: Mapping[str, str]) -> str:
    """Format the cost on several tariffs, cheapest first; tariffs that leave energy unpriced come last."""
    header = ("", "import", "export", "standing charge", "to pay", "unpriced kWh")
    cheapest = sorted(costs, key=lambda name: (costs[name].whole is None, costs[name].whole or 0))
    rows = [_comparison_row(name, costs[name], currencies[name]) for name in cheapest]
    return "\n".join([f"{days} days", *aligned([header, *rows])])


def _comparison_row(name: str, cost: Cost, currency: str) -> tuple[str, ...]:
    amounts = (cost.import_cost, cost.export_earnings, cost.standing_charge, cost.whole)
    return (name, *(_money(amount, currency) for amount in amounts), _kwh(cost.unpriced_wh))


def live_table(live: Live, timezone: str, now: int) -> str:
    """Format a live state at `now` (UTC seconds), one figure per line, with the device's state."""
    rows = [
        ("state", f"{arrival_state(live, now)}, expected every {rhythm_s(live)} s"),
        ("reading", periods.local(live.at, timezone).to_datetime_string() + f" {timezone}"),
        ("received", f"{live.received_at - live.at} s later"),
        ("power", _with_age(live, live.power_w, "W", live.power_at)),
        ("import register", _with_age(live, live.import_wh, "Wh", live.import_at)),
        ("export register", _with_age(live, live.export_wh, "Wh", live.export_at)),
        ("meter", live.meter_id or "unknown"),
    ]
    return "\n".join([live.device_id, *(f"{name:<16} {value}" for name, value in rows)])


def device_line(device: Device) -> str:
    """Format a device on one line."""
    labels = device.labels | ({"meter_point": masked(device.meter_point)} if device.meter_point else {})
    named = [f"{field.replace('_', ' ')} {text}" for field, text in labels.items()]
    named += [f"netting {device.netting}"] if device.netting != "phase" else []
    named += ["total is import"] if device.is_total_import else []
    named += ["stamped on arrival"] if device.stamp_on_arrival else []
    kinds = [] if device.kind == ELECTRICITY else [device.kind]
    kinds += [str(conversion_of(device))] if device.conversion else []
    return "\t".join([device.device_id, device.timezone, f"{device.max_power_w} W", *kinds, *named])


def _row(name: str, part: Part, seconds: int) -> tuple[str, ...]:
    shares = (None, None) if part.import_wh is part.export_wh is None else (part.estimated_wh, part.interval_wh)
    return (name, *map(_kwh, (part.import_wh, part.export_wh, *shares)), f"{coverage(part, seconds):.0%}")


def _name(document: Document, slot: Slot) -> str:
    start = periods.local(slot.start, document.timezone)
    row = periods.LEVELS[document.level]
    name = start.format(_NAMES.get(row.child, "YYYY-MM-DD"))
    is_odd_day = row.has_hours and len(periods.slots(row.name, document.period, document.timezone)) != 24
    return f"{name} {start.format('Z')}" if is_odd_day else name


def _kwh(wh: int | None) -> str:
    return "-" if wh is None else f"{wh / 1000:.3f}"


def _money(units: int | None, currency: str) -> str:
    return "-" if units is None else f"{screen_text(units)} {currency}"


def _with_age(live: Live, value: int | None, unit: str, at: int | None) -> str:
    """Format a value; `at` is its instant where it is older than the newest reading."""
    if value is None:
        return "unknown"
    return f"{value:,} {unit}" + ("" if at is None else f", {live.at - at} s before the reading")


def aligned(rows: Sequence[Sequence[str]], texts: int = 1) -> list[str]:
    """Align rows in columns: the first `texts` left, figures right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [str.ljust] * texts + [str.rjust] * (len(widths) - texts)
    return ["  ".join(side(cell, width) for side, cell, width in zip(sides, row, widths, strict=True)) for row in rows]


# Support tables


def audit_line(entry: Entry) -> str:
    """Format an audit entry on one line."""
    who = entry.who.email or entry.who.name or entry.who.user_id
    details = " ".join(f"{name}={value}" for name, value in entry.details.items())
    texts = (iso_utc(entry.at), f"{entry.who.role} {who}", entry.action, entry.device_id or "-", entry.reason, details)
    return "\t".join(filter(None, texts))


def refused_table(found: Refusals) -> str:
    """Format counts by day and reason, then the last messages."""
    rows = [(day, reason, str(count)) for day, counts in found.days.items() for reason, count in sorted(counts.items())]
    lines = aligned(rows, texts=2) if rows else ["nothing was refused"]
    for message in found.messages:
        detail, payload = (text if text.isprintable() else repr(text) for text in (message.detail, message.payload))
        lines += ["", f"{iso_utc(message.at)} {message.reason}: {detail}", f"  {payload}"]
    return "\n".join(lines)


def fleet_table(found: Summary) -> str:
    """Format the counts of a census."""
    rows = [(name.replace("_", " "), str(count)) for name, count in found.states.items()]
    rows += [(f"firmware {name}", str(count)) for name, count in found.firmwares.items()]
    rows += [(f"refused today: {name}", str(count)) for name, count in sorted(found.refused.items())]
    rows += [("documents waiting", str(found.waiting))] if found.waiting is not None else []
    return "\n".join([f"{found.devices} devices at {iso_utc(found.at)}", *aligned(rows)])
