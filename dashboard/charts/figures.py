"""A chart as a plotly figure, with bars by position. Not by time: plotly.js drops the offsets of time zones.

The figure is a drawing only. Hover, click and the names under the axis belong to the columns over it (`grids.py`). Its
colours are those of the light scheme; assets/style.css maps each to the reader's scheme.

Figures are plain dicts in plotly.js's form (https://plotly.com/javascript/reference/). Graph objects check every value
at each build, which took a third of a page; the tests let them check instead.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from aggregator.core.documents import Part
from aggregator.core.money import UNIT_PLACES
from dashboard.charts.chart_model import Chart, Column, Measure
from dashboard.text.language import Language

IMPORT, EXPORT, CHARGE, PRICE = "#0e7490", "#c27c0e", "#7c9aa5", "#7c4dbd"
OTHER, FAINT, TEXT, LINE = "#6b7d86", "#a3b1b8", "#55666f", "#e1e7ea"
CLEAR, BAND = "rgba(0,0,0,0)", "rgba(124,77,189,0.09)"
MARGIN = {"l": 46, "r": 6, "t": 14, "b": 40}  # px
HEADROOM = 1.14  # space above the tallest bar for its label
FOOTROOM = 0.07  # of the whole range, below the deepest bar
MOST_TICKS = 5
MOST_BANDED = 4  # different prices in a day; of these the lowest is a band
NARROW = 20  # columns of a day or a month, which are narrow
EDGE_SHIFT = 8  # px
ROUNDING = 1e-9  # 0.6 / 0.2 is slightly below 3

Figure = dict[str, Any]  # `data`, a list of traces, and `layout`
Trace = dict[str, Any]

TEMPLATE = {
    "layout": {
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": "inherit", "size": 12, "color": TEXT},
        "margin": MARGIN,
        "barmode": "relative",
        "bargap": 0.28,
        "barcornerradius": 3,
        "showlegend": False,
        "xaxis": {"showgrid": False, "zeroline": False, "fixedrange": True, "showticklabels": False},
        "yaxis": {"gridcolor": LINE, "zerolinecolor": FAINT, "zerolinewidth": 1, "fixedrange": True},
    }
}


def figure(chart: Chart, lang: Language) -> Figure:
    """Return a chart's figure: import above the axis, export below; estimated hatched, gaps as faint dotted bands.

    The compared period is an outline behind the bars; the price of a day is a thin stepped line over cheap bands.
    """
    scale = scale_of(chart)
    unit = "" if chart.is_empty else chart.measure.unit(lang, max(scale.high, -scale.low))
    steps = axis_steps(scale.low, scale.high)
    ticks = [_tick(step, chart, unit, lang) for step in steps]
    overlay = {"overlaying": "y", "visible": False, "fixedrange": True}
    layout = {
        "template": TEMPLATE,
        "xaxis": {"range": [-0.5, len(chart.columns) - 0.5]},
        "yaxis": {"range": scale.range(), "tickvals": steps, "ticktext": ticks},
        "yaxis2": {**overlay, "range": [0, 1]},
        "yaxis3": {**overlay, "range": scale.range()},
        "yaxis4": {**overlay, "range": scale.range(scale.price)},
        "annotations": [
            axis_unit(unit),  # beside prices each step has its unit
            *_peak(chart, unit, lang),
            *_price_labels(chart, scale, lang),
            *_shift(chart, lang),
        ],
        "shapes": [*_cheap_bands(chart), *_shift_line(chart)],
    }
    traces = [*_others(chart), *_bars(chart, lang), *_missing(chart, scale), *_prices(chart)]
    return {"data": traces, "layout": layout}


@dataclass(frozen=True, slots=True)
class Scale:
    """The range of the vertical axis, in kWh or the currency, with one zero line for bars and prices."""

    low: float
    high: float
    price: float = 1.0  # currency per kWh at the height of one unit of the bars

    def range(self, factor: float = 1.0) -> list[float]:
        """Return the ends of an axis on which one unit is `factor`."""
        room = max(-self.low * (HEADROOM - 1), FOOTROOM * (self.high - self.low)) if self.low < 0 else 0.0
        return [(self.low - room) * factor, self.high * HEADROOM * factor]


def scale_of(chart: Chart) -> Scale:
    """Return the scale for all that a chart draws; an empty chart has one too."""
    parts = [column.part for column in chart.columns]
    parts += [column.other for column in chart.columns if chart.is_compared]
    stacks = [_stack(chart.measure, part) for part in parts]
    high = max((up for up, _ in stacks), default=0.0)
    low = min((down for _, down in stacks), default=0.0)
    tallest = max(high, -low) or 1.0
    prices = [price for price in map(price_per_kwh, chart.prices) if price is not None]
    if chart.is_empty and prices:
        return Scale(min(0.0, *prices), max(0.0, *prices))
    if not prices:
        return Scale(low, high or (0.0 if low else 1.0))
    dearest = max(map(abs, prices)) or 1.0
    above, below = max(0.0, *prices) / dearest * tallest, min(0.0, *prices) / dearest * tallest
    return Scale(min(low, below), max(high, above), dearest / tallest)


def axis_steps(low: float, high: float) -> list[float]:
    """Return a few round values from `low` to `high`, with zero among them."""
    span = (high - low) or 1.0
    size = 10 ** math.floor(math.log10(span / MOST_TICKS))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10, 20) if span / (size * factor) <= MOST_TICKS)
    first, last = math.ceil(low / step - ROUNDING), math.floor(high / step + ROUNDING)
    return [round(number * step, 9) for number in range(first, last + 1)]


def price_per_kwh(rate: int | None) -> float | None:
    """Return a rate in units per Wh as currency per kWh."""
    return None if rate is None else float(Decimal(rate).scaleb(3 - UNIT_PLACES))


def _stack(measure: Measure, part: Part) -> tuple[float, float]:
    """Return the upper and lower end of a part's bars."""
    values = [measure.up(part), measure.charge(part), -(measure.down(part) or 0)]
    drawn = [measure.drawn(value) or 0.0 for value in values]
    return sum(value for value in drawn if value > 0), sum(value for value in drawn if value < 0)


def _bars(chart: Chart, lang: Language) -> list[Trace]:
    measure, parts = chart.measure, [column.part for column in chart.columns]
    sure_up = [_less(measure.up(part), measure.estimated_up(part)) for part in parts]
    sure_down = [_less(measure.down(part), measure.estimated_down(part)) for part in parts]
    traces: list[tuple[str, list[int | None], dict[str, Any]]] = [
        (lang.say("Imported"), sure_up, {"color": IMPORT}),
        (lang.say("Imported, estimated"), [measure.estimated_up(part) for part in parts], _hatched(IMPORT)),
        (lang.say("Standing charge"), [measure.charge(part) or None for part in parts], {"color": CHARGE}),
        (lang.say("Exported"), [_negative(value) for value in sure_down], {"color": EXPORT}),
        (lang.say("Exported, estimated"), [-measure.estimated_down(part) for part in parts], _hatched(EXPORT)),
    ]
    positions = list(range(len(parts)))
    return [
        {
            "type": "bar",
            "name": name,
            "x": positions,
            "y": [measure.drawn(value) for value in values],
            "marker": marker,
        }
        for number, (name, values, marker) in enumerate(traces)
        if not number or any(values)
    ]


def _others(chart: Chart) -> list[Trace]:
    """Return the compared period: an outline on its own axis, so that bars do not stack on it."""
    if chart.other is None or not chart.is_compared:
        return []
    measure, others = chart.measure, [column.other for column in chart.columns]
    marker = {"color": CLEAR, "line": {"color": OTHER, "width": 1}, "cornerradius": 2}
    sides = [[measure.gross(part) for part in others], [_negative(measure.down(part)) for part in others]]
    return [
        {
            "type": "bar",
            "name": chart.other.name,
            "x": list(range(len(others))),
            "y": [measure.drawn(value) for value in values],
            "marker": marker,
            "width": 0.9,
            "yaxis": "y3",
        }
        for values in sides
        if any(values)
    ]


def _prices(chart: Chart) -> list[Trace]:
    """Return the price of a kWh at each half hour."""
    if not chart.prices:
        return []
    values = [price_per_kwh(rate) for rate in chart.prices]
    places = [number / 2 - 0.5 for number in range(len(values) + 1)]
    line = {"color": PRICE, "width": 1.5, "shape": "hv"}
    steps = {"x": places, "y": [*values, values[-1]], "line": line}
    return [{"type": "scatter", "mode": "lines", "yaxis": "y4", "connectgaps": False, **steps}]


def _cheap_bands(chart: Chart) -> list[dict[str, Any]]:
    """Return a faint band over each run of half hours at the lowest of a few prices; half-hourly prices have none."""
    known = {rate for rate in chart.prices if rate is not None}
    runs = _runs(chart.prices) if 1 < len(known) <= MOST_BANDED else []
    height = {"y0": 0, "y1": 1, "yref": "paper", "layer": "below"}
    look = {"type": "rect", "fillcolor": BAND, "line": {"width": 0}, **height}
    return [{**look, "x0": first / 2 - 0.5, "x1": end / 2 - 0.5} for first, end, rate in runs if rate == min(known)]


def _runs(prices: Sequence[int | None]) -> list[tuple[int, int, int | None]]:
    """Return the runs of equal prices: first half hour, the one after the last, and the price."""
    ends = [place for place in range(1, len(prices)) if prices[place] != prices[place - 1]]
    return [(first, end, prices[first]) for first, end in pairwise([0, *ends, len(prices)])]


def _missing(chart: Chart, scale: Scale) -> list[Trace]:
    """Return dotted bands over missing time; above a bar the band starts at its end."""
    columns = chart.columns
    places = [place for place, column in enumerate(columns) if column.is_gap or column.is_partial]
    if not places:
        return []
    bases = [_base(columns[place], chart.measure, scale) for place in places]
    marker = {"color": CLEAR, "cornerradius": 0, "pattern": _pattern(".", FAINT, 6, 0.12)}
    heights = [1 - base for base in bases]
    band = {"x": places, "y": heights, "base": bases, "marker": marker}
    return [{"type": "bar", "name": "Data missing", "yaxis": "y2", "width": 1, **band}]


def _base(column: Column, measure: Measure, scale: Scale) -> float:
    """Return the end of a column's bar as a share of the plot's height; 0 without a bar."""
    top, _ = _stack(measure, column.part)
    if column.is_gap and not top:
        return 0.0
    low, high = scale.range()
    return (top - low) / (high - low)


def _pattern(shape: str, colour: str, size: int, solidity: float) -> dict[str, Any]:
    return {"shape": shape, "fgcolor": colour, "bgcolor": CLEAR, "size": size, "solidity": solidity}


def _hatched(colour: str) -> dict[str, Any]:
    return {"color": colour, "pattern": _pattern("/", colour, 5, 0.42)}


def _less(amount: int | None, estimated: int) -> int | None:
    return None if amount is None else amount - estimated


def _negative(amount: int | None) -> int | None:
    return -amount if amount else None


def _tick(step: float, chart: Chart, unit: str, lang: Language) -> str:
    """Return the label of an axis step, without sign; words give the direction of energy."""
    if chart.is_empty:
        return lang.price(round(Decimal(f"{step:.9f}").scaleb(UNIT_PLACES)), chart.currency)
    text = Decimal(f"{abs(step) * (1000 if unit == 'Wh' else 1):.9f}").normalize()
    return lang.number(text, max(0, -int(text.as_tuple().exponent)))


def axis_unit(text: str) -> dict[str, Any]:
    """Return the unit at the upper end of the axis."""
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": 1, "xanchor": "right", "yanchor": "middle"}
    return {"text": text, "showarrow": False, "xshift": -5, **place}


def _peak(chart: Chart, unit: str, lang: Language) -> list[dict[str, Any]]:
    """Return labels of the highest import or cost, and of the most exported or earned."""
    measure, given = chart.measure, [chart.measure.down(column.part) or 0 for column in chart.columns]
    ends = [] if chart.peak is None else [(chart.peak, measure.gross(chart.columns[chart.peak].part) or 0, 1)]
    ends += [(given.index(max(given)), max(given), -1)] if any(given) else []
    return [
        {"text": measure.on_axis(amount, unit, lang), "showarrow": False, "x": place, "yshift": 10 * side}
        | {"y": side * (measure.drawn(amount) or 0), **_inward(place, len(chart.columns))}
        for place, amount, side in ends
    ]


def _inward(place: int, count: int) -> dict[str, Any]:
    """Return the shift that keeps the label of an outermost narrow bar inside the plot on a phone."""
    if count < NARROW or 0 < place < count - 1:
        return {}
    return {"xanchor": "right", "xshift": EDGE_SHIFT} if place else {"xanchor": "left", "xshift": -EDGE_SHIFT}


def _price_labels(chart: Chart, scale: Scale, lang: Language) -> list[dict[str, Any]]:
    """Return labels for the highest price, at its line, and for the lowest: on top of its band, else at its line."""
    known = [(rate, place) for place, rate in enumerate(chart.prices) if rate is not None]
    if not known:
        return []
    highest, lowest = max(known), min(known)
    top = {"y": 1, "yref": "paper", "yanchor": "top", "yshift": -2}  # the bars stand in the way at the line
    return [
        {
            "x": _middle(chart.prices, place),
            "y": (price_per_kwh(rate) or 0) / scale.price,
            "text": lang.price(rate * 1000, chart.currency),
            "yshift": -9 if 0 <= rate < highest[0] else 9,  # above zero there is room below the lowest
            "showarrow": False,
            "font": {"color": PRICE},
            **(top if rate < highest[0] and _cheap_bands(chart) else {}),
        }
        for rate, place in (highest, lowest)
    ]


def _middle(prices: Sequence[int | None], place: int) -> float:
    """Return the middle of the run of equal prices around a half hour, in columns."""
    first, end = next((first, end) for first, end, _ in _runs(prices) if place < end)
    return min(max((first + end) / 4 - 0.5, 0.4), len(prices) / 2 - 1.4)


def _shift_line(chart: Chart) -> list[dict[str, Any]]:
    """Return the line of a clock change: the repeated or the skipped hour."""
    if chart.shift_at is None:
        return []
    edge = chart.shift_at - 0.5
    line = {"color": FAINT, "width": 1, "dash": "dot"}
    return [{"type": "line", "x0": edge, "x1": edge, "y0": 0, "y1": 1, "yref": "paper", "line": line, "layer": "below"}]


def _shift(chart: Chart, lang: Language) -> list[dict[str, Any]]:
    if chart.shift_at is None:
        return []
    text = lang.say("clocks back") if chart.shift_s > 0 else lang.say("clocks forward")
    place = {"x": chart.shift_at - 0.5, "y": 1, "yref": "paper", "xanchor": "left", "yanchor": "middle", "xshift": 2}
    return [{"text": text, "showarrow": False, "font": {"color": TEXT}, **place}]
