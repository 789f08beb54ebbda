"""Documents, live states and devices, and the encoding of documents.

A document is one chart of one device: a day (its hours `h00..` and half hours `s00..`), a month (days `d01..`) or
a year (months `m01..`; of one that households share, a share each: `o20261112..`, see `occupancies.parts_above`). Its
content depends only on energy and prices, so a repeated write changes nothing.

A stored document has no standing charges: supply goes on where there is none. `rates.with_charges` adds them.

The wire form is JSON, `{"z": time zone, "c": currency, "p": {part name: [fields of Part, fields of Cost, volume, check
value]}}`. A device without a tariff has no currency and no costs. Only a gas meter has a volume v; where the energy is
made from it, it is stored as -1 - v. The check value, a CRC-16 of zone, currency, number of parts, name and fields,
tells a part in which a bit was flipped.
"""

from binascii import crc_hqx
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import orjson

from aggregator.core import periods
from aggregator.core.money import NOTHING, Cost, add_costs, cost_json, to_wire
from aggregator.core.periods import Slot
from aggregator.core.readings import GAS as GAS_SUFFIX
from aggregator.core.readings import SOLAR


class Part(NamedTuple):
    """The energy of one part of a chart. None means no data, never zero."""

    import_wh: int | None  # Wh taken from the grid
    export_wh: int | None  # Wh given to the grid
    estimated_import_wh: int = 0  # the share of import_wh spread over an outage
    estimated_export_wh: int = 0  # the share of export_wh spread over an outage
    covered_s: int = 0  # seconds measured
    estimated_s: int = 0  # seconds estimated
    interval_import_wh: int = 0  # the share of import_wh from intervals
    interval_export_wh: int = 0  # the share of export_wh from intervals
    interval_s: int = 0  # seconds known from intervals; the rest of the part is missing
    cost: Cost = NOTHING
    volume_l: int | None = None  # litres of gas, as they were read
    is_converted: bool = False  # a half hour's import_wh is made from its volume

    @property
    def estimated_wh(self) -> int:
        """Return the estimated energy of both directions, Wh."""
        return self.estimated_import_wh + self.estimated_export_wh

    @property
    def interval_wh(self) -> int:
        """Return the energy from intervals of both directions, Wh."""
        return self.interval_import_wh + self.interval_export_wh

    @property
    def known_s(self) -> int:
        """Return the seconds with data: measured, from intervals, or estimated."""
        return self.covered_s + self.interval_s + self.estimated_s

    @property
    def is_empty(self) -> bool:
        """Whether the part has neither energy nor a volume; a standing charge is none."""
        return self.import_wh is self.export_wh is self.volume_l is None


EMPTY = Part(None, None)
Names = Collection[str] | None  # of parts; None: all
_FIELDS = len(Part._fields) - 3  # of energy and time
_WITHOUT_INTERVALS = _FIELDS - 3
_CHARGE = Cost._fields.index("standing_charge")  # not stored
_WITH_VOLUME = {fields + cost for fields in (_FIELDS, _WITHOUT_INTERVALS) for cost in (1, len(Cost._fields))}
_new_part: Callable[[Iterable[object]], Part] = partial(tuple.__new__, Part)  # _make without its Python frame


@dataclass(frozen=True, slots=True)
class Document:
    """One chart of one device. `parts` holds only the parts with data, by name."""

    level: str  # a name in periods.LEVELS
    device_id: str
    period: str  # 2026-11-23, 2026-11, 2026, as the level writes it
    timezone: str
    parts: Mapping[str, Part]
    currency: str = ""  # ISO 4217; empty without prices
    # UTC seconds of the last change of a part; None if unknown. Documents with equal content are equal, so this field
    # is not compared.
    changed_at: int | None = field(default=None, compare=False, repr=False)
    created_at: int | None = field(default=None, compare=False, repr=False)  # UTC seconds; never moves
    standing_charge: int | None = None  # of a day that is shown, units; other levels have it in their parts

    def part(self, name: str) -> Part:
        """Return a part by name; EMPTY without data."""
        return self.parts.get(name, EMPTY)

    @property
    def total(self) -> Part:
        """Return the whole period: the sum of its chart's parts, and a day's standing charge."""
        letter = periods.LEVELS[self.level].letter
        total = add(part for name, part in self.parts.items() if name[0] == letter)
        return total if self.standing_charge is None else charged(total, self.standing_charge)


@dataclass(frozen=True, slots=True)
class Device:
    """The registry entry of a device."""

    device_id: str
    timezone: str = "Europe/London"
    max_power_w: int = 100_000  # W; a higher power, or a register that rises faster, is not believed
    registers: tuple[str, ...] = ()  # the reported ones of import_wh and export_wh
    tariff: str = ""  # JSON text, see `tariffs`; empty without one
    household: str = ""  # id of its household; empty without one
    name: str = ""  # the household's name for the home: 12 Acacia Road
    serial: str = ""  # of the sending device
    meter_point: str = ""  # number of the meter point, 13 digits in Great Britain
    postcode: str = ""
    exchange_overrides: str = ""  # people's statements about meter exchanges, see `registers.parse_overrides`
    kind: str = "electricity"  # one of KINDS
    netting: str = "phase"  # one of NETTINGS: how a three-phase meter's phases make import and export
    longest_interval_s: int = 0  # of its intervals; 0 without one
    conversion: str = ""  # JSON text of a gas meter, see `gas.Conversion`; empty for the usual one
    stamp_on_arrival: bool = False  # the clock of the device was never set: its telegrams are of their arrival
    is_total_import: bool = False  # Tasmota's `Total` counts import alone beside `ExportActive`, and is not net
    occupied_from: str = ""  # the household's first local day; empty: from ever
    former: str = ""  # JSON text of the occupancies before, see `occupancies`
    erased: str = ""  # JSON text of the times whose evidence was erased, see `occupancies.ErasedSpan`
    seen: tuple[str, str] | None = None  # the first and last day that its viewer may see; None: all. Not stored

    @property
    def labels(self) -> dict[str, str]:
        """Return its non-empty labels by field name."""
        return {field: text for field in LABELS if (text := getattr(self, field))}

    @property
    def is_second_meter(self) -> bool:
        """Whether another device sends its readings."""
        return "~" in self.device_id

    @property
    def own(self) -> "Device":
        """Return what the registry stores: a second meter without what `occupancies.at_home` gives it."""
        return replace(self, household="", postcode="", occupied_from="", erased="") if self.is_second_meter else self


ELECTRICITY, GAS, GENERATION = KINDS = ("electricity", "gas", "generation")
NETTINGS = ("phase", "sum")  # each phase for itself, or the sum of the phases, as German, Dutch and Belgian meters do
LABELS = {"household": 64, "name": 80, "serial": 64, "meter_point": 32, "postcode": 16}  # field -> most characters
GAS_POWER_W = 10_000_000  # limit for gas: its register rises once per half hour, by the whole half hour's energy


def new_device(device_id: str, timezone: str) -> Device:
    """Return a device that is not registered yet; an id tells a second meter that counts gas or generation."""
    if device_id.endswith(GAS_SUFFIX):
        return Device(device_id, timezone, GAS_POWER_W, kind=GAS)
    return Device(device_id, timezone, kind=GENERATION if device_id.endswith(SOLAR) else ELECTRICITY)


def add(parts: Iterable[Part]) -> Part:
    """Return the sum of parts; a sum is None only if all values are None."""
    rows = list(parts)
    imports = [row.import_wh for row in rows if row.import_wh is not None]
    exports = [row.export_wh for row in rows if row.export_wh is not None]
    volumes = [row.volume_l for row in rows if row.volume_l is not None]
    return Part(
        sum(imports) if imports else None,
        sum(exports) if exports else None,
        sum(row.estimated_import_wh for row in rows),
        sum(row.estimated_export_wh for row in rows),
        sum(row.covered_s for row in rows),
        sum(row.estimated_s for row in rows),
        sum(row.interval_import_wh for row in rows),
        sum(row.interval_export_wh for row in rows),
        sum(row.interval_s for row in rows),
        add_costs([row.cost for row in rows]) if any(row.cost is not NOTHING for row in rows) else NOTHING,
        sum(volumes) if volumes else None,
    )


def charged(part: Part, standing_charge: int) -> Part:
    """Return a part with a standing charge, in units."""
    return part._replace(cost=part.cost._replace(standing_charge=standing_charge))


def encode(timezone: str, currency: str, parts: Mapping[str, Part]) -> bytes:
    """Encode a document's body; equal content gives equal bytes."""
    seed, content = _seed(timezone, currency, len(parts)), _header(timezone, currency)
    return orjson.dumps(content | {"p": {name: _checked(seed, name, _row(parts[name])) for name in sorted(parts)}})


def decode(
    level: str, device_id: str, period: str, created_at: int | None, changed_at: int | None, body: bytes, names: Names
) -> Document:
    """Decode a document, or its named parts alone, with the times of its first and last change (UTC seconds).

    Raises ValueError for a part that does not fit its check value.
    """
    content = orjson.loads(body)
    timezone, currency = content["z"], content.get("c", "")
    rows = content["p"]
    seed = _seed(timezone, currency, len(rows))
    parts = {name: _part(_unchecked(seed, name, rows[name])) for name in rows if names is None or name in names}
    return Document(level, device_id, period, timezone, parts, currency, changed_at, created_at)


def spliced(body: bytes, timezone: str, currency: str, parts: Mapping[str, Part | None]) -> bytes | None:
    """Return an encoded document with other values of some of its parts, quickly; None if others would be present."""
    if not body.startswith(orjson.dumps(_header(timezone, currency))[:-1] + b',"p":'):
        return None
    seed = _seed(timezone, currency, body.count(b":["))
    for name, part in parts.items():
        before, label, rest = body.partition(b'"%s":' % name.encode())
        _, bracket, after = rest.partition(b"]")
        if part is None or not label or not bracket:
            return None
        body = b"".join((before, label, orjson.dumps(_checked(seed, name, _row(part))), after))
    return body


def _header(timezone: str, currency: str) -> dict[str, object]:
    return {"z": timezone, "c": currency} if currency else {"z": timezone}


@lru_cache(maxsize=1024)
def _seed(timezone: str, currency: str, count: int) -> int:
    return crc_hqx(f"{timezone} {currency} {count}".encode(), 0)


def _checked(seed: int, name: str, row: list[Any]) -> list[Any]:
    row.append(crc_hqx(orjson.dumps(row), crc_hqx(name.encode(), seed)))
    return row


def _unchecked(seed: int, name: str, row: list[Any]) -> list[Any]:
    check = row.pop()
    if check != crc_hqx(orjson.dumps(row), crc_hqx(name.encode(), seed)):
        raise ValueError(f"the part {name} does not fit its check value")
    return row


def _row(part: Part) -> list[Any]:
    energy = part[: _FIELDS if any(part[_WITHOUT_INTERVALS:_FIELDS]) else _WITHOUT_INTERVALS]
    cost = () if part.cost == NOTHING else map(to_wire, (*part.cost[:_CHARGE], *part.cost[_CHARGE + 1 :]))
    if part.volume_l is None:
        return [*energy, *cost]
    return [*energy, *cost, ~part.volume_l if part.is_converted else part.volume_l]


def _part(row: list[Any]) -> Part:
    if len(row) == _WITHOUT_INTERVALS:
        return _new_part([*row, 0, 0, 0, NOTHING, None, False])
    if len(row) == _FIELDS:
        return _new_part([*row, NOTHING, None, False])
    if len(row) in _WITH_VOLUME:
        return _part(row[:-1])._replace(volume_l=max(row[-1], ~row[-1]), is_converted=row[-1] < 0)
    money = [value if value is None else int(value) for value in row[1 - len(Cost._fields) :]]
    energy = [*row[: -len(money)], 0, 0, 0][:_FIELDS]
    return Part._make([*energy, Cost._make([*money[:_CHARGE], None, *money[_CHARGE:]]), None, False])


def as_json(document: Document) -> dict[str, object]:
    """Return a document for exports: every part of the period in order, with ISO times and the local offset.

    Parts without data have null energies and coverage 0. Coverage is the measured share of the time; energy from
    intervals and estimated energy are named apart. Only a document of gas in m³ has volumes.
    """
    zone = document.timezone
    slots = periods.slots(document.level, document.period, zone)
    total = document.total
    has_volume = total.volume_l is not None
    content: dict[str, object] = {
        "device_id": document.device_id,
        "level": document.level,
        "period": document.period,
        "timezone": zone,
        "currency": document.currency or None,
        **_energies(total, sum(slot.end - slot.start for slot in slots), has_volume=has_volume),
        "parts": [_slot_json(document, slot, has_volume=has_volume) for slot in slots],
    }
    if periods.LEVELS[document.level].has_hours:
        halves = periods.half_hours(document.period, zone)
        content["half_hours"] = [_slot_json(document, slot, has_volume=has_volume) for slot in halves]
    return content


def coverage(part: Part, seconds: int) -> float:
    """Return the measured share of `seconds`, 0 to 1, rounded to four digits; 1 means every second."""
    if part.covered_s >= seconds:
        return 1.0 if seconds else 0.0
    return min(round(part.covered_s / seconds, 4), 0.9999)


def _slot_json(document: Document, slot: Slot, *, has_volume: bool) -> dict[str, object]:
    start, end = (periods.iso_local(at, document.timezone) for at in (slot.start, slot.end))
    energies = _energies(document.part(slot.name), slot.end - slot.start, has_volume=has_volume)
    return {"start": start, "end": end, **energies}


def _energies(part: Part, seconds: int, *, has_volume: bool) -> dict[str, object]:
    volume = {"volume_m3": None if part.volume_l is None else part.volume_l / 1000} if has_volume else {}
    return volume | {
        "import_wh": part.import_wh,
        "export_wh": part.export_wh,
        "estimated_wh": None if part.import_wh is part.export_wh is None else part.estimated_wh,
        "interval_wh": None if part.import_wh is part.export_wh is None else part.interval_wh,
        "coverage": coverage(part, seconds),
        **cost_json(part.cost),
    }
