"""The documents that the tables hold, and their wire form.

A document is one chart of one device: a day (its hours `h00..` and half hours `s00..`), a month (days `d01..`) or
a year (months `m01..`). It holds nothing that changes without the energy changing, so writing it again is no change.

What a day costs as a day, its standing charge, is the cost of a part of its own, `d00`, which has no energy.

On the wire a document is JSON, `{"z": time zone, "c": currency, "p": {part name: [fields of Part, fields of Cost]}}`,
without currency and costs where the device has no tariff.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import orjson

from aggregator.core import periods
from aggregator.core.errors import ConfigurationError, shown
from aggregator.core.money import NOTHING, Cost, add_costs, cost_json, to_wire
from aggregator.core.periods import Slot


class Part(NamedTuple):
    """The energy of one part of a chart. None is no data, never zero."""

    import_wh: int | None  # Wh taken from the grid
    export_wh: int | None  # Wh given to the grid
    estimated_import_wh: int = 0  # of import_wh, what was spread over an outage
    estimated_export_wh: int = 0  # of export_wh, what was spread over an outage
    covered_s: int = 0  # seconds measured
    estimated_s: int = 0  # seconds estimated; the rest of the part is missing
    cost: Cost = NOTHING

    @property
    def estimated_wh(self) -> int:
        """Estimated energy of both directions, Wh."""
        return self.estimated_import_wh + self.estimated_export_wh

    @property
    def is_empty(self) -> bool:
        """Nothing is known."""
        return self.import_wh is None and self.export_wh is None and self.cost == NOTHING


EMPTY = Part(None, None)
WHOLE_DAY = "d00"  # the part of a day document for what belongs to none of its hours
_FIELDS = len(Part._fields) - 1  # of energy and time
_new_part: Callable[[Iterable[object]], Part] = partial(tuple.__new__, Part)  # _make without its Python frame


@dataclass(frozen=True, slots=True)
class Document:
    """One chart of one device. `parts` holds only the parts with data, by name."""

    level: str  # a name in periods.LEVELS
    device_id: str
    period: str  # 2026-11-23, 2026-11, 2026, as the level writes it
    timezone: str
    parts: Mapping[str, Part]
    currency: str = ""  # ISO 4217; empty where nothing is priced
    # UTC seconds, when one of its parts last became another; None where that is not known. No part of the document:
    # two that say the same are the same, whenever they came to say it.
    changed_at: int | None = field(default=None, compare=False, repr=False)

    def part(self, name: str) -> Part:
        """A part by name; EMPTY where there is no data."""
        return self.parts.get(name, EMPTY)

    @property
    def total(self) -> Part:
        """The whole period: the sum of its chart's parts."""
        letter = periods.LEVELS[self.level].letter
        return add(part for name, part in self.parts.items() if name[0] == letter or name == WHOLE_DAY)


class Arrival(NamedTuple):
    """A reading that was the newest of its device when it came in."""

    at: int  # UTC seconds, by the meter's clock
    received_at: int  # UTC seconds, by ours


REMEMBERED = 8  # arrivals before the newest one


class Live(NamedTuple):
    """The newest reading of a device, when it came in, and the arrivals before it, from which its rhythm is known.

    A store adds to `arrivals` in the write itself. A reading that is older than the newest one, or as old, is no
    arrival; the readings of one message, or of one batch, are one arrival.
    """

    device_id: str
    at: int  # UTC seconds, by the meter's clock
    received_at: int  # UTC seconds, by ours
    power_w: int | None  # W, negative when exporting; None when unknown or implausible
    import_wh: int | None
    export_wh: int | None
    meter_id: str | None
    arrivals: tuple[Arrival, ...] = ()  # before this one, oldest first, REMEMBERED at most


@dataclass(frozen=True, slots=True)
class Device:
    """What the registry knows of a device."""

    device_id: str
    timezone: str = "Europe/London"
    max_power_w: int = 100_000  # W; a reading beyond it, or a register that rises faster, is quarantined
    registers: tuple[str, ...] = ()  # which of import_wh and export_wh it has ever reported
    tariff: str = ""  # as JSON text, see `tariffs`; empty without one
    household: str = ""  # the id of the household that it belongs to; empty while it belongs to none
    name: str = ""  # what its people call the home: 12 Acacia Road
    serial: str = ""  # of the device that sends
    meter_point: str = ""  # number of the meter point, 13 digits in Great Britain
    postcode: str = ""
    exchange_overrides: str = ""  # what people know of exchanges of its meter, see `registers.parse_overrides`

    @property
    def labels(self) -> dict[str, str]:
        """What people know it by, without what is empty."""
        return {field: text for field in LABELS if (text := getattr(self, field))}


LABELS = {"household": 64, "name": 80, "serial": 64, "meter_point": 32, "postcode": 16}  # and their most characters


def check_labels(device: Device) -> Device:
    """`device`, if what people know it by can be kept. Raises ConfigurationError."""
    for label, text in device.labels.items():
        if len(text) > LABELS[label] or not text.isprintable() or text != text.strip():
            raise ConfigurationError(
                f"{label} is {shown(text)}; it has up to {LABELS[label]} printable characters,"
                " and no space at its beginning or end"
            )
    return device


def add(parts: Iterable[Part]) -> Part:
    """The sum of parts: None only where every part is None."""
    rows = list(parts)
    imports = [row.import_wh for row in rows if row.import_wh is not None]
    exports = [row.export_wh for row in rows if row.export_wh is not None]
    return Part(
        sum(imports) if imports else None,
        sum(exports) if exports else None,
        sum(row.estimated_import_wh for row in rows),
        sum(row.estimated_export_wh for row in rows),
        sum(row.covered_s for row in rows),
        sum(row.estimated_s for row in rows),
        add_costs([row.cost for row in rows]) if any(row.cost is not NOTHING for row in rows) else NOTHING,
    )


def encode(timezone: str, currency: str, parts: Mapping[str, Part]) -> bytes:
    """The wire form of a document's body: the same bytes for the same content."""
    content: dict[str, object] = {"z": timezone, "c": currency} if currency else {"z": timezone}
    return orjson.dumps(content | {"p": {name: _row(parts[name]) for name in sorted(parts)}})


def decode(level: str, device_id: str, period: str, changed_at: int | None, body: bytes) -> Document:
    """A document from its wire form, and when it was last changed."""
    content = orjson.loads(body)
    parts = {name: _part(row) for name, row in content["p"].items()}
    return Document(level, device_id, period, content["z"], parts, content.get("c", ""), changed_at)


def _row(part: Part) -> list[Any]:
    energy = [*part[:_FIELDS]]
    return energy if part.cost == NOTHING else [*energy, *map(to_wire, part.cost)]


def _part(row: list[Any]) -> Part:
    if len(row) == _FIELDS:
        return _new_part([*row, NOTHING])
    cost = Cost._make(value if value is None else int(value) for value in row[_FIELDS:])
    return Part._make([*row[:_FIELDS], cost])


def as_json(document: Document) -> dict[str, object]:
    """A document as others read it: every part of the period in order, ISO times with the local offset.

    Parts without data have null energies and coverage 0; coverage is the share of the time that was measured.
    """
    zone = document.timezone
    slots = periods.slots(document.level, document.period, zone)
    content: dict[str, object] = {
        "device_id": document.device_id,
        "level": document.level,
        "period": document.period,
        "timezone": zone,
        "currency": document.currency or None,
        **_energies(document.total, sum(slot.end - slot.start for slot in slots)),
        "parts": [_slot_json(document, slot) for slot in slots],
    }
    if periods.LEVELS[document.level].has_hours:
        content["half_hours"] = [_slot_json(document, slot) for slot in periods.half_hours(document.period, zone)]
    return content


def live_json(live: Live) -> dict[str, object]:
    """A live state as others read it, its instants as ISO times in UTC; without the arrivals before it."""
    told = {name: value for name, value in live._asdict().items() if name != "arrivals"}
    return told | {"at": periods.iso_utc(live.at), "received_at": periods.iso_utc(live.received_at)}


def coverage(part: Part, seconds: int) -> float:
    """The share of `seconds` that was measured, 0 to 1, rounded down: 1 means every second."""
    return part.covered_s * 10_000 // seconds / 10_000 if seconds else 0.0


def _slot_json(document: Document, slot: Slot) -> dict[str, object]:
    start, end = (periods.iso_local(at, document.timezone) for at in (slot.start, slot.end))
    return {"start": start, "end": end, **_energies(document.part(slot.name), slot.end - slot.start)}


def _energies(part: Part, seconds: int) -> dict[str, object]:
    return {
        "import_wh": part.import_wh,
        "export_wh": part.export_wh,
        "estimated_wh": None if part.import_wh is part.export_wh is None else part.estimated_wh,
        "coverage": coverage(part, seconds),
        **cost_json(part.cost),
    }
