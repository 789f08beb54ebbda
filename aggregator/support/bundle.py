"""The diagnostic bundle of one device: a ZIP file for finding its fault.

It has no personal data: no household, name, postcode, e-mail address or account, no audit entry or note. Of a refused
message it has the structure, and the numbers and instants of the fields that a format knows; other texts are replaced
by their length. What looks like a meter point number is masked everywhere. It has no data of another device.
"""

import io
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
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

FORMAT = 3  # raised when a file or a field changes its meaning
READINGS_S = 2 * DAY_S  # period of the readings in it
# 10 digits or more, also in groups, or after a country as in DE000...; a part of a longer word is an id or a clock.
_METER_POINT = re.compile(r"(?<![0-9A-Za-z])(?:[A-Z]{2})?[0-9](?: ?[0-9]){9,}(?![0-9A-Za-z])")
# What the formats of `intake.formats` read, in lower case.
KNOWN_FIELDS = frozenset(
    re.findall(
        r"\w+",
        """
        at device_id power_w import_wh export_wh volume_l start end source readings meter_day_wh meter_week_wh
        meter_month_wh rssi_dbm lqi joined electricitymeter gasmeter timestamp energy export import cumulative day week
        month units power value elecmtr gasmtr gmtime ets pan han status rssi cumulativevol cumulativevolunits time
        total exportactive importactive importpower exportreactive importreactive phaseangle sml smartmeter sum params
        method ts emeters emdata em1data em em1 is_valid total_returned act_power total_act total_act_ret
        total_act_power total_act_energy total_act_ret_energy sys unixtime a_act_power b_act_power c_act_power
        counterpos counterneg totalin totalout totalkwh exporttotalkwh kwhin kwhout ein eout energyin energyout enrgimp
        enrgexp energyimport energyexport energyimported energyexported powercur powercurr currw id src dst result
        voltage current today yesterday apparentpower reactivepower factor
        """,
    )
)
_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_PIECE = re.compile(rf'"(?:[^"\\]|\\.)*"?|{_NUMBER}|true|false|null|[][{{}}:,\s]|.', re.DOTALL)
_FIGURE = re.compile(r"[-+]?[0-9]{1,9}(?:\.[0-9]{1,6})?(?:\*(?:k?Wh?|kvarh?|VA?|A|m3|GJ|s))?|[0-9]{12}[SW]")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{5,15}(?:Z|[-+][0-9]{2}:?[0-9]{2})?")
_OBIS = re.compile(r"([0-9]-[0-9]+:[0-9.]+)((?:\([^()]*\))+)")
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?""")
_IN_OTHER_FILES = {"device", "refusals", "known"}

Bundle = Mapping[str, object]  # file name -> its content as JSON; a list becomes one line for each item


def bundle(store: Store, device: Device, now: int) -> Bundle:
    """Return the files of a bundle as of `now` (UTC seconds)."""
    diagnostics = diagnose(store, device, now)
    days = [one.day for one in diagnostics.strip]
    known = supplied(store, device, now)
    stored = store.documents("day", device.device_id, days[0], days[-1])
    readings = store.readings(device.device_id, block_start(now - READINGS_S), FOR_EVER)
    content: Bundle = {
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
    return {name: _without_meter_points(value, device.device_id) for name, value in content.items()}


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
    return {"days": plain(refusals.days), "messages": plain(without_texts(refusals.messages, device.device_id))}


# What tells of people


def without_texts(messages: Sequence[Message], device_id: str) -> list[Message]:
    """Return refused messages of a device with their structure and known figures only."""
    return [
        one._replace(payload=structure(one.payload, device_id), detail=_without_quotes(one.detail, device_id))
        for one in messages
    ]


def structure(payload: str, device_id: str) -> str:
    """Return a payload with the figures of known fields; every other text gives way to its length.

    JSON may be cut off. Of a P1 telegram the OBIS codes stay, with their figures.
    """
    if payload.lstrip()[:1] in ("{", "["):
        return "".join(_json_pieces(payload, device_id))
    return "\n".join(map(_telegram_line, payload.splitlines()))


def _json_pieces(payload: str, device_id: str) -> Iterator[str]:
    pieces = _PIECE.findall(payload)
    is_known = False  # the field of the value that comes next
    for number, piece in enumerate(pieces):
        if piece[0] == '"' and "".join(pieces[number + 1 : number + 4]).lstrip().startswith(":"):
            is_known = piece.strip('"').lower() in KNOWN_FIELDS
            yield piece if is_known else '"field"'
        elif piece[0] == '"':
            text = piece.strip('"')
            is_kept = text == device_id or (is_known and _is_figure(text))
            yield piece if is_kept else f'"{_length(text)}"'
        elif piece[0] in "-0123456789":
            yield piece if is_known else "0"
        else:
            yield piece if piece in ("true", "false", "null") or piece in "[]{}:," or piece.isspace() else "?"


def _telegram_line(line: str) -> str:
    found = _OBIS.fullmatch(line.strip())
    if not found:
        return _length(line)
    return found[1] + "".join(f"({one if _is_figure(one) else _length(one)})" for one in found[2][1:-1].split(")("))


def _without_quotes(detail: str, device_id: str) -> str:
    def kept(match: re.Match[str]) -> str:
        text = match[0].strip("'\"")
        return match[0] if text == device_id or _is_figure(text) else _length(text)

    return _QUOTED.sub(kept, detail)


def _is_figure(text: str) -> bool:
    return bool(_FIGURE.fullmatch(text) or _INSTANT.fullmatch(text))


def _length(text: str) -> str:
    return f"({len(text)} characters)" if text else ""


def _without_meter_points(value: Any, device_id: str) -> Any:  # noqa: ANN401 - JSON
    """Mask what looks like a meter point in every text of a JSON value."""
    if isinstance(value, str):
        return value if value == device_id else _METER_POINT.sub(lambda match: masked(match[0]), value)
    if isinstance(value, Mapping):
        return {name: _without_meter_points(one, device_id) for name, one in value.items()}
    return [_without_meter_points(one, device_id) for one in value] if isinstance(value, list | tuple) else value


def file_name(device: Device, now: int) -> str:
    """Return the name of the ZIP file."""
    return f"wattfall-{device.device_id.replace(':', '-')}-{periods.day_of(now, 'UTC')}.zip"
