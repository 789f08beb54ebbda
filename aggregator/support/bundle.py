"""The diagnostic bundle of one device: a ZIP file for finding its fault.

It has no personal data: no household, name, postcode, e-mail address or account, no audit entry or note. Meter points
are masked, also in refused messages. It has no data of another device.
"""

import io
import re
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from typing import Any

import orjson

from aggregator.core import periods
from aggregator.core.documents import Device, as_json
from aggregator.core.periods import DAY_S, FOR_EVER, block_start, iso_utc, local
from aggregator.core.registers import parse_overrides
from aggregator.intake import device_status
from aggregator.intake.refusals import Message, Refusals
from aggregator.store.port import Store
from aggregator.store.search import masked
from aggregator.support.diagnostics import STRIP_DAYS, Diagnostics, diagnose
from aggregator.waterfall.pricing import supplied, with_every_charge

FORMAT = 2  # raised when a file or a field changes its meaning
READINGS_S = 2 * DAY_S  # period of the readings in it
_METER_POINT = re.compile(r'("(?:mpan|mprn|mpxn|meter_point)"\s*:\s*)("(?:[^"\\]|\\.)*"?|[0-9]+)', re.IGNORECASE)
_IN_OTHER_FILES = {"device", "refusals", "known"}

Bundle = Mapping[str, object]  # file name -> its content as JSON; a list becomes one line for each item


def bundle(store: Store, device: Device, now: int) -> Bundle:
    """Return the files of a bundle as of `now` (UTC seconds)."""
    diagnostics = diagnose(store, device, now)
    days = [one.day for one in diagnostics.strip]
    known = supplied(store, device, now)
    stored = store.documents("day", device.device_id, days[0], days[-1])
    readings = store.readings(device.device_id, block_start(now - READINGS_S), FOR_EVER)
    return {
        "about.json": {
            "format": FORMAT,
            "units": "instants in UTC seconds, energy in Wh, power in W",
            "device_id": device.device_id,
            "made_at": iso_utc(now),
            "wattfall": version("wattfall"),
            "python": sys.version.split()[0],
        },
        "device.json": _device_json(device),
        "evidence.json": _diagnostics_json(diagnostics),
        "status.json": {
            "known": plain(diagnostics.known),
            "hours": plain(device_status.signal_hours(store, device.device_id, now - STRIP_DAYS * DAY_S, now)),
        },
        "refused.json": _refusals_json(diagnostics.refusals, device),
        "days.jsonl": [as_json(with_every_charge(document, device, known)) for document in stored],
        "readings.jsonl": [reading._asdict() for reading in readings],
    }


def zipped(content: Bundle, now: int) -> bytes:
    """Return a bundle as a ZIP file; equal content gives equal bytes."""
    buffer, made = io.BytesIO(), local(now, "UTC")
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in content.items():
            rows = value if name.endswith(".jsonl") and isinstance(value, list) else [value]
            text = b"".join(orjson.dumps(row, option=_option(name)) + b"\n" for row in rows)
            moment = (made.year, made.month, made.day, made.hour, made.minute, made.second)
            archive.writestr(zipfile.ZipInfo(name, moment), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def plain(value: Any) -> Any:  # noqa: ANN401 - any of our values, for JSON
    """Convert named tuples and dataclasses to dictionaries, recursively."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(one) for name, one in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def _option(name: str) -> int:
    return 0 if name.endswith(".jsonl") else orjson.OPT_INDENT_2


def _device_json(device: Device) -> dict[str, object]:
    return {
        "device_id": device.device_id,
        "serial": device.serial or None,
        "meter_point": masked(device.meter_point) or None,
        "timezone": device.timezone,
        "max_power_w": device.max_power_w,
        "registers": list(device.registers),
        "exchanges": plain(parse_overrides(device.exchange_overrides)),
        "tariff": orjson.loads(device.tariff) if device.tariff else None,
    }


def _diagnostics_json(diagnostics: Diagnostics) -> dict[str, object]:
    names = [one.name for one in fields(diagnostics) if one.name not in _IN_OTHER_FILES]
    return {name: plain(getattr(diagnostics, name)) for name in names}


def _refusals_json(refusals: Refusals, device: Device) -> object:
    return {"days": plain(refusals.days), "messages": plain(without_meter_points(refusals.messages, device))}


def without_meter_points(messages: Sequence[Message], device: Device) -> list[Message]:
    """Return refused messages of a device with masked meter points."""
    return [one._replace(payload=_masked(one.payload, device), detail=_masked(one.detail, device)) for one in messages]


def _masked(text: str, device: Device) -> str:
    """Mask the meter points in a text: every field with such a name, and the device's own anywhere."""
    hidden = _METER_POINT.sub(lambda match: f'{match[1]}"{masked(match[2].strip(chr(34)))}"', text)
    return hidden.replace(device.meter_point, masked(device.meter_point)) if device.meter_point else hidden


def file_name(device: Device, now: int) -> str:
    """Return the name of the ZIP file."""
    return f"wattfall-{device.device_id.replace(':', '-')}-{periods.day_of(now, 'UTC')}.zip"
