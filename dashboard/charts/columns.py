"""The columns that lie over a figure: each a target as tall as the chart, a link where there is a chart below it.

They go out as small JSON, of which assets/columns.js builds them: as components of Dash they would take the browser
longer than the drawing. They are one stop of the Tab key; the arrow keys walk along them (assets/wattfall.js).
"""

from itertools import groupby
from typing import Any

import orjson

from dashboard.charts import sentences
from dashboard.charts.chart_model import NOW, Chart
from dashboard.charts.figures import MARGIN
from dashboard.text.language import Language

EDGES = {side: f"{MARGIN[side[0]]}px" for side in ("left", "right", "top", "bottom")}


def cells(chart: Chart, lang: Language) -> str:
    """JSON of the words `open` and `missing`, the `period`, and `cells`: one a column, over the plot within EDGES.

    A cell has its `name`, the `tick` and the `note` under the axis, its classes (`look`, and `side` of its card), the
    lines that are `said` of it, where it leads (`href`), and over how many columns a gap begins with it (`gap`).
    """
    runs = _gap_runs(chart)
    content = {
        "open": lang.say("Open ›"),
        "missing": lang.say("no data"),
        "period": chart.view.path,
        "cells": [_cell(chart, place, runs.get(place, 0), lang) for place in range(len(chart.columns))],
    }
    return orjson.dumps(content).decode()


def _cell(chart: Chart, place: int, gap: int, lang: Language) -> dict[str, Any]:
    column = chart.columns[place]
    is_told = column.is_told or bool(chart.prices)
    content = {
        "name": column.label.name,
        "tick": column.label.tick,
        "note": column.label.note,
        "look": " ".join([*(["now"] if column.when == NOW else []), *(["major"] if column.label.is_major else [])]),
        "side": _side(place, len(chart.columns)),
        "said": sentences.column_lines(place, chart, lang) if is_told else [],
        "href": column.below.to_url() if column.below else "",
        "gap": gap,
    }
    return {name: value for name, value in content.items() if value}


def _gap_runs(chart: Chart) -> dict[int, int]:
    """How many gaps in a row begin at a position."""
    runs: dict[int, int] = {}
    for is_gap, run in groupby(range(len(chart.columns)), key=lambda position: chart.columns[position].is_gap):
        if is_gap:
            places = list(run)
            runs[places[0]] = len(places)
    return runs


def _side(position: int, count: int) -> str:
    """The card opens towards the middle, so that no screen cuts it off; in the middle a phone has it above."""
    middle = " middle" if count <= position * 3 < 2 * count else ""
    return ("opens-right" if position * 2 < count else "opens-left") + middle
