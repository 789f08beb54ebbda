"""Documents as text tables for people at a terminal. Pure."""

from collections.abc import Mapping, Sequence

from aggregator.core import periods
from aggregator.core.documents import Device, Document, Live, Part, coverage
from aggregator.core.money import Cost, screen_text
from aggregator.core.periods import Slot
from aggregator.store.search import masked

_NAMES = {"day": "HH:mm", "month": "ddd D", "year": "MMM"}


def document_table(document: Document) -> str:
    """A chart's parts, one a line, and their total."""
    slots = periods.slots(document.level, document.period, document.timezone)
    seconds = sum(slot.end - slot.start for slot in slots)
    rows = [_row(_name(document, slot), document.part(slot.name), slot.end - slot.start) for slot in slots]
    rows.append(_row("total", document.total, seconds))
    header: tuple[str, ...] = ("", "import kWh", "export kWh", "estimated kWh", "coverage")
    if document.currency:
        costs = [*(document.part(slot.name).cost for slot in slots), document.total.cost]
        rows = [(*row, _money(cost.to_pay, document.currency)) for row, cost in zip(rows, costs, strict=True)]
        header = (*header, "to pay")
    title = f"{document.device_id} · {document.period} · {document.timezone}"
    return "\n".join([title, *aligned([header, *rows])])


def comparison_table(days: int, costs: Mapping[str, Cost], currencies: Mapping[str, str]) -> str:
    """What the same energy costs on several tariffs, cheapest first; last those that do not price all of it."""
    header = ("", "import", "export", "standing charge", "to pay", "unpriced kWh")
    cheapest = sorted(costs, key=lambda name: (costs[name].whole is None, costs[name].whole or 0))
    rows = [_comparison_row(name, costs[name], currencies[name]) for name in cheapest]
    return "\n".join([f"{days} days", *aligned([header, *rows])])


def _comparison_row(name: str, cost: Cost, currency: str) -> tuple[str, ...]:
    amounts = (cost.import_cost, cost.export_earnings, cost.standing_charge, cost.whole)
    return (name, *(_money(amount, currency) for amount in amounts), _kwh(cost.unpriced_wh))


def live_table(live: Live, timezone: str) -> str:
    """A live state, one figure a line."""
    rows = [
        ("reading", periods.local(live.at, timezone).to_datetime_string() + f" {timezone}"),
        ("received", f"{live.received_at - live.at} s later"),
        ("power", _or_unknown(live.power_w, "W")),
        ("import register", _or_unknown(live.import_wh, "Wh")),
        ("export register", _or_unknown(live.export_wh, "Wh")),
        ("meter", live.meter_id or "unknown"),
    ]
    return "\n".join([live.device_id, *(f"{name:<16} {value}" for name, value in rows)])


def device_line(device: Device) -> str:
    """A device of the registry on one line."""
    labels = device.labels | ({"meter_point": masked(device.meter_point)} if device.meter_point else {})
    named = [f"{field.replace('_', ' ')} {text}" for field, text in labels.items()]
    return "\t".join([device.device_id, device.timezone, f"{device.max_power_w} W", *named])


def _row(name: str, part: Part, seconds: int) -> tuple[str, ...]:
    is_unknown = part.import_wh is part.export_wh is None
    figures = (part.import_wh, part.export_wh, None if is_unknown else part.estimated_wh)
    return (name, *map(_kwh, figures), f"{coverage(part, seconds):.0%}")


def _name(document: Document, slot: Slot) -> str:
    start = periods.local(slot.start, document.timezone)
    name = start.format(_NAMES[document.level])
    is_odd_day = document.level == "day" and len(_hours(document)) != 24
    return f"{name} {start.format('Z')}" if is_odd_day else name


def _hours(document: Document) -> tuple[Slot, ...]:
    return periods.slots("day", document.period, document.timezone)


def _kwh(wh: int | None) -> str:
    return "-" if wh is None else f"{wh / 1000:.3f}"


def _money(units: int | None, currency: str) -> str:
    return "-" if units is None else f"{screen_text(units)} {currency}"


def _or_unknown(value: int | None, unit: str) -> str:
    return "unknown" if value is None else f"{value:,} {unit}"


def aligned(rows: Sequence[Sequence[str]], texts: int = 1) -> list[str]:
    """Rows as lines of columns: the first `texts` to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [str.ljust] * texts + [str.rjust] * (len(widths) - texts)
    return ["  ".join(side(cell, width) for side, cell, width in zip(sides, row, widths, strict=True)) for row in rows]
