"""A chart as a plotly figure: bars by position, never by time (plotly.js drops the offsets of time zones).

The figure is only drawn: hovering, clicking and the names under the axis belong to the links that lie over it (see
`columns.py`). Its colours are those of the light scheme; assets/style.css turns each into the one of the reader's.
"""

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard import words
from dashboard.charts import Chart, Column

IMPORT, EXPORT, FAINT, TEXT, LINE = "#0e7490", "#c27c0e", "#a3b1b8", "#55666f", "#e1e7ea"
CLEAR = "rgba(0,0,0,0)"
MARGIN = {"l": 46, "r": 6, "t": 14, "b": 40}  # px
HEADROOM = 1.14  # above the tallest bar, for its label
MOST_TICKS = 5
ROUNDING = 1e-9  # 0.6 / 0.2 is a little less than 3

TEMPLATE = go.layout.Template(
    layout={
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
)


def figure(chart: Chart) -> go.Figure:
    """Import above the axis, export below; estimated hatched, gaps as faint dotted bands."""
    columns = chart.columns
    drawn = go.Figure(_traces(columns))
    low, high = _extremes(columns)
    steps = axis_steps(low, high)
    drawn.update_layout(
        template=TEMPLATE,
        xaxis={"range": [-0.5, len(columns) - 0.5]},
        yaxis={
            "range": [low * HEADROOM, high * HEADROOM],
            "tickvals": steps,
            "ticktext": [f"{abs(step):,g}" for step in steps],
        },
        yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
        annotations=[_unit(), *_peak(chart), *_shift_label(chart)],
        shapes=_shift_line(chart),
    )
    return drawn


def axis_steps(low: float, high: float) -> list[float]:
    """Round values from `low` to `high`, few enough to read, zero among them."""
    span = (high - low) or 1.0
    size = 10 ** math.floor(math.log10(span / MOST_TICKS))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10, 20) if span / (size * factor) <= MOST_TICKS)
    first, last = math.ceil(low / step - ROUNDING), math.floor(high / step + ROUNDING)
    return [round(number * step, 9) for number in range(first, last + 1)]


def _traces(columns: tuple[Column, ...]) -> list[go.Bar]:
    parts = [column.part for column in columns]
    imported = [_less(part.import_wh, part.estimated_import_wh) for part in parts]
    exported = [_less(part.export_wh, part.estimated_export_wh) for part in parts]
    traces: list[tuple[str, Sequence[float | None], dict[str, Any]]] = [
        ("Imported", imported, {"color": IMPORT}),
        ("Imported, estimated", [_kwh(part.estimated_import_wh) for part in parts], _hatched(IMPORT)),
        ("Exported", [_negative(value) for value in exported], {"color": EXPORT}),
        ("Exported, estimated", [_negative(_kwh(part.estimated_export_wh)) for part in parts], _hatched(EXPORT)),
    ]
    positions = list(range(len(columns)))
    return [
        *_missing(columns),
        *(
            go.Bar(name=name, x=positions, y=values, marker=marker)
            for name, values, marker in traces
            if name == "Imported" or any(values)
        ),
    ]


def _missing(columns: tuple[Column, ...]) -> list[go.Bar]:
    """A dotted band over what is missing; where only a part is, above the bar of what is known."""
    places = [place for place, column in enumerate(columns) if column.is_gap or column.is_partial]
    if not places:
        return []
    bases = [0 if columns[place].is_gap else _height(columns[place], columns) for place in places]
    marker = {"color": CLEAR, "cornerradius": 0, "pattern": _pattern(".", FAINT, 6, 0.12)}
    heights = [1 - base for base in bases]
    return [go.Bar(name="Data missing", x=places, y=heights, base=bases, marker=marker, yaxis="y2", width=1)]


def _height(column: Column, columns: tuple[Column, ...]) -> float:
    """Where the bar of a column ends, as a share of the height of the plot."""
    low, high = _extremes(columns)
    return ((column.part.import_wh or 0) / 1000 / HEADROOM - low) / (high - low)


def _pattern(shape: str, colour: str, size: int, solidity: float) -> dict[str, Any]:
    return {"shape": shape, "fgcolor": colour, "bgcolor": CLEAR, "size": size, "solidity": solidity}


def _hatched(colour: str) -> dict[str, Any]:
    return {"color": colour, "pattern": _pattern("/", colour, 5, 0.42)}


def _kwh(wh: int | None) -> float | None:
    return None if wh is None else wh / 1000


def _less(wh: int | None, estimated_wh: int) -> float | None:
    return None if wh is None else (wh - estimated_wh) / 1000


def _negative(value: float | None) -> float | None:
    return -value if value else None


def _extremes(columns: tuple[Column, ...]) -> tuple[float, float]:
    """The range of the axis in kWh; a chart of zeros still has one."""
    high = max((column.part.import_wh or 0 for column in columns), default=0) / 1000
    low = -max((column.part.export_wh or 0 for column in columns), default=0) / 1000
    return (low, high) if high or low else (0.0, 1.0)


def _unit() -> dict[str, Any]:
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": 1, "xanchor": "right", "yanchor": "middle"}
    return {"text": "kWh", "showarrow": False, "xshift": -5, **place}


def _peak(chart: Chart) -> list[dict[str, Any]]:
    if chart.peak is None:
        return []
    wh = chart.columns[chart.peak].part.import_wh or 0
    return [{"x": chart.peak, "y": wh / 1000, "text": words.energy(wh).number, "showarrow": False, "yshift": 10}]


def _shift_line(chart: Chart) -> list[dict[str, Any]]:
    """Where the clocks changed: the same hour twice, or one that never was."""
    if chart.shift_at is None:
        return []
    edge = chart.shift_at - 0.5
    line = {"color": FAINT, "width": 1, "dash": "dot"}
    return [{"type": "line", "x0": edge, "x1": edge, "y0": 0, "y1": 1, "yref": "paper", "line": line, "layer": "below"}]


def _shift_label(chart: Chart) -> list[dict[str, Any]]:
    if chart.shift_at is None:
        return []
    text = "clocks back" if chart.shift_s > 0 else "clocks forward"
    place = {"x": chart.shift_at - 0.5, "y": 1, "yref": "paper", "xanchor": "left", "yanchor": "middle", "xshift": 2}
    return [{"text": text, "showarrow": False, "font": {"color": TEXT}, **place}]
