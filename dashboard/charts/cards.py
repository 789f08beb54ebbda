"""The columns over a chart, as tall as its plot, each with its card. Pure.

A column links to the chart below it. They are one stop of the Tab key; the arrow keys move along them
(assets/explore.js).
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from aggregator.core import periods
from aggregator.core.documents import Part
from dashboard.charts import sentences
from dashboard.charts.chart_model import NOW, PAST, Chart, Column, Measure
from dashboard.charts.figures import MARGIN
from dashboard.text import words
from dashboard.text.language import Language, text
from dashboard.text.words import HIDDEN, Tree, attributes, element


def column_lines(place: int, chart: Chart, lang: Language) -> list[str]:
    """Return the lines of a column's card, without its name."""
    column, measure = chart.columns[place], chart.measure
    share_and_price = [*_share(chart, place, lang), *_price(chart, place, lang)]
    return [
        *_flows(chart, column.part, lang),
        *([" · ".join(share_and_price)] if share_and_price else []),
        *_against(column, chart, lang),
        *sentences.unpriced(measure, column.part, lang),
        *sentences.notes(column.part, column.missing_s, lang),
        *_halves(column, measure, lang),
    ]


# The unit of a view first: energy (no currency) or money. Without export no direction is named.
_ALONE = ("{amount}", "{amount}")
_IMPORTED = {False: (text("{amount} imported"), "{amount}"), True: (text("{amount} for import"), "{amount}")}
_EXPORTED = {
    False: (text("{amount} exported"), text("{amount} earned")),
    True: (text("{amount} earned"), text("{amount} exported")),
}


def _flows(chart: Chart, part: Part, lang: Language) -> list[str]:
    """Return the import and the export, each as energy and money, and the standing charge of money."""
    measure, other = chart.measure, replace(chart.measure, currency="" if chart.measure.currency else chart.currency)
    both = [measure, other] if chart.currency else [measure]
    is_money, has_export = bool(measure.currency), bool(part.export_wh)
    rows = [(_IMPORTED[is_money] if has_export else _ALONE, [one.up(part) for one in both])]
    rows += [(_EXPORTED[is_money], [one.down(part) for one in both])] if has_export else []
    lines = [_amounts(both, said, amounts, lang) for said, amounts in rows]
    if charge := measure.charge(part):
        lines.append(lang.say("{amount} standing charge", amount=measure.format(charge, lang)))
    return [line for line in lines if line]


def _amounts(measures: Sequence[Measure], said: Sequence[str], amounts: Sequence[int | None], lang: Language) -> str:
    known = zip(measures, said, amounts, strict=False)
    return " · ".join(
        lang.say(sentence, amount=measure.format(amount, lang))
        for measure, sentence, amount in known
        if amount is not None
    )


def _share(chart: Chart, place: int, lang: Language) -> list[str]:
    """Return the share of a column in the import of its period; none of an open period, or of all of it."""
    mine, all_of_it = chart.columns[place].part.import_wh, chart.total.import_wh
    if not mine or not all_of_it or mine == all_of_it or chart.when != PAST:
        return []
    return [lang.say(words.LEVEL_WORDS[chart.view.level].share, share=words.percent(mine, all_of_it, lang))]


def _halves(column: Column, measure: Measure, lang: Language) -> list[str]:
    """Return the half hours of an hour, each with its import and its export; empty if only one is known."""
    sentence = text("earned {amount}") if measure.currency else text("{amount} exported")
    lines = []
    for name, half in column.halves:
        up, down = measure.up(half), measure.down(half)
        parts = [] if up is None else [_small(measure, up, lang)]
        parts += [lang.say(sentence, amount=_small(measure, down, lang))] if down else []
        lines += [f"{name}  {', '.join(parts)}"] if parts else []
    return lines if len(lines) > 1 else []


def _small(measure: Measure, amount: int, lang: Language) -> str:
    """Return the amount of a half hour; money in hundredths with a decimal."""
    return lang.price(amount, measure.currency) if measure.currency else str(measure.format(amount, lang))


def _against(column: Column, chart: Chart, lang: Language) -> list[str]:
    """Return the compared column's amount, and the difference if this column is over."""
    other = chart.measure.gross(column.other)
    if chart.other is None or other is None:
        return []
    line = f"{chart.other.name}: {chart.measure.format(other, lang)}"
    mine = chart.measure.gross(column.part)
    if mine is None or column.when == NOW or mine == other:
        return [line]
    sign = "+" if mine > other else "−"
    return [f"{line} ({sign}{chart.measure.format(abs(mine - other), lang)})"]


def _price(chart: Chart, place: int, lang: Language) -> list[str]:
    price = sentences.hour_price(chart, place)
    return [] if price is None else [lang.say("{price} a kWh", price=lang.price(price, chart.currency))]


# The columns

EDGES = {side: f"{MARGIN[side[0]]}px" for side in ("left", "right", "top", "bottom")}


def column_cells(chart: Chart, lang: Language) -> list[Tree]:
    """Return the columns over a plot, each with its card, its gap and the names under the axis."""
    runs = _gap_runs(chart)
    cells = [_cell(chart, place, runs.get(place, 0), lang) for place in range(len(chart.columns))]
    stop = next((cell for cell in cells if "tabIndex" in cell["props"]), None)
    if stop:
        stop["props"]["tabIndex"] = 0
    return cells


def _cell(chart: Chart, place: int, gap: int, lang: Language) -> Tree:
    column = chart.columns[place]
    said = column_lines(place, chart, lang) if column.has_content or chart.prices else []
    href = column.below.to_url() if said and column.below else ""
    inside = [_card(chart, place, said, lang, is_open=bool(href))] if said else []
    if gap:
        word = element("Span", lang.say("no data"))
        inside.append(element("Span", word, className="gap", style={"width": f"{gap:.0%}"}, **HIDDEN))
    inside.append(_tick(column, has_hours=not periods.LEVELS[chart.view.level].child))
    reach: dict[str, Any] = {"tabIndex": -1} if said else {}
    if said and not href:
        reach |= {"role": "img", **attributes(aria_label=" · ".join([column.label.name, *said]))}
    look = "column now" if column.when == NOW else "column"
    return element("A" if href else "Div", inside, className=look, **({"href": href} if href else {}), **reach)


def _card(chart: Chart, place: int, said: Sequence[str], lang: Language, *, is_open: bool) -> Tree:
    name = element("Strong", chart.columns[place].label.name)
    lines = [name, *(element("Span", line) for line in said)]
    if is_open:
        lines.append(element("Span", lang.say("Open ›"), className="open", **HIDDEN))
    return element("Span", lines, className=f"card {_side(place, len(chart.columns))}")


def _tick(column: Column, *, has_hours: bool) -> Tree:
    """Return the name under the axis; that of an hour stands where the hour begins."""
    looks = {"tick": True, "major": column.label.is_major, "edge": has_hours}
    look = " ".join(name for name, is_so in looks.items() if is_so)
    return element("Span", [column.label.tick, element("Small", column.label.note)], className=look, **HIDDEN)


def _gap_runs(chart: Chart) -> dict[int, int]:
    """Return the length of the gap that begins at each position."""
    runs: dict[int, int] = {}
    for is_gap, run in groupby(range(len(chart.columns)), key=lambda position: chart.columns[position].is_gap):
        if is_gap:
            places = list(run)
            runs[places[0]] = len(places)
    return runs


def _side(position: int, count: int) -> str:
    """Return the side on which the card opens: towards the middle of the screen, or above in the middle of a phone."""
    middle = " middle" if count <= position * 3 < 2 * count else ""
    return ("opens-right" if position * 2 < count else "opens-left") + middle
