"""A heat map in words, and as the small JSON of which the browser builds its table (assets/heat.js). Pure.

744 cells are too many to be components of Dash, each of which the browser mounts, watches and keeps on its own.
"""

import orjson
from dash import html
from dash.development.base_component import Component

from dashboard.charts import heat, sentences
from dashboard.charts.chart_model import BEFORE, FUTURE
from dashboard.charts.heat import HOURS, NEVER, STEPS, Cell, HeatMap
from dashboard.text import words
from dashboard.text.language import Language, text

SPAN = 4  # hours that stand for the busiest time of a day
NIGHT = range(6)
EVEN = 1.2  # times their share by the clock: from here on the busiest hours are worth a word
_EVERY = 3  # hours between those that are named beside the grid


def grid(chart: HeatMap, lang: Language) -> str:
    """JSON of `hours` (name, tick), `days` (name, tick, whether a week begins, address) and `rows` of cells, and words.

    A cell is its classes and its words; a day without an address has nothing to open.
    """
    content = {
        "caption": lang.say("Hours by days, {period}", period=words.period_name("month", chart.view.period, lang)),
        "corner": lang.say("Hour"),
        "open": lang.say("Open ›"),
        "hours": [[_hour(hour), f"{hour:02d}" if hour % _EVERY == 0 else ""] for hour in range(HOURS)],
        "days": [_day(chart, place, lang) for place in range(len(chart.days))],
        "rows": [
            [[_look(chart, column[hour]), _said(chart, column[hour], lang)] for column in chart.columns]
            for hour in range(HOURS)
        ],
    }
    return orjson.dumps(content).decode()


def habits(chart: HeatMap, lang: Language) -> str:
    """When this home uses most: `Mostly between 17:00 and 21:00 (34 %) · nights, 00:00–06:00, take 22 %`."""
    is_money = bool(chart.measure.currency)
    said = []
    if found := heat.busiest(chart, span=SPAN):
        most = (
            text("Dearest between {start} and {end} ({share})")
            if is_money
            else text("Mostly between {start} and {end} ({share})")
        )
        nights = text("nights, {hours}, cost {share}") if is_money else text("nights, {hours}, take {share}")
        is_even = found[1] < EVEN * SPAN / HOURS
        said.append(_span(text("Spread evenly over the day") if is_even else most, found, lang))
        hours = f"{_clock(NIGHT.start)}–{_clock(NIGHT.stop)}"
        said.append(lang.say(nights, hours=hours, share=_percent(heat.share_of(chart, NIGHT), lang)))
    if given := heat.busiest(chart, gives=True, span=SPAN) if chart.has_export else None:
        earns = (
            text("earns most between {start} and {end}") if is_money else text("exports most between {start} and {end}")
        )
        said.append(_span(earns, given, lang))
    return " · ".join(said)


def _span(wording: str, found: tuple[int, float], lang: Language) -> str:
    start, share = found
    return lang.say(wording, start=_clock(start), end=_clock(start + SPAN), share=_percent(share, lang))


def legend(chart: HeatMap, lang: Language) -> list[Component]:
    """The ends of the scale, and the marks that occur."""
    taken, given = (text("cost"), text("earned")) if chart.measure.currency else (text("imported"), text("exported"))
    end = str(chart.measure.said(chart.largest, lang))
    scales = [_scale(lang.say(taken), "ramp", end, lang)]
    if chart.has_export:
        scales.append(_scale(lang.say(given), "ramp gives", end, lang))
    cells = list(chart.cells())
    marks = {
        "estimated": (lang.say("estimated"), any(cell.is_estimated for cell in cells)),
        "data-missing": (lang.say("data missing"), any(cell.is_gap or cell.is_partial for cell in cells)),
        "never": (lang.say("no such hour"), any(cell.when == NEVER for cell in cells)),
    }
    return [*scales, *(html.Li(word, className=name) for name, (word, is_shown) in marks.items() if is_shown)]


def _scale(word: str, ramp: str, end: str, lang: Language) -> Component:
    return html.Li(
        [f"{word} ", html.Small(lang.number(0)), html.Span(className=ramp), html.Small(end)], className="scale"
    )


def _day(chart: HeatMap, place: int, lang: Language) -> list[object]:
    day = chart.days[place]
    moment = words.moment("day", day)
    is_open = any(cell.when not in (FUTURE, BEFORE, NEVER) for cell in chart.columns[place])
    address = chart.view.to("day", day).to_url() if is_open else ""
    begins_week = moment.weekday() == lang.first_weekday
    return [lang.date(moment, words.WEEKDAY_AND_DATE), str(moment.day), int(begins_week), address]


def _look(chart: HeatMap, cell: Cell) -> str:
    """The classes of a cell: `i0`..`i12` taken, `e1`..`e12` given; `q` estimated, `p` partial, `g` gap, `n` never."""
    if cell.when in (FUTURE, BEFORE):
        return ""
    if cell.when == NEVER:
        return "n"
    if cell.part.is_empty:
        return "g" if cell.missing_s else ""
    gives, step = chart.step(cell)
    marks = (" q" if cell.is_estimated else "") + (" p" if cell.is_partial else "")
    return f"{'e' if gives else 'i'}{min(step, STEPS)}{marks}"


def _said(chart: HeatMap, cell: Cell, lang: Language) -> str:
    """A cell in words; the names of its hour and day stand beside and above it."""
    if cell.when == NEVER:
        return lang.say("no such hour: the clocks went forward")
    if cell.when == FUTURE:
        return lang.say("still to come")
    if cell.when == BEFORE:
        return lang.say("before the first reading")
    notes = sentences.notes(cell.part, cell.missing_s, lang)
    amounts = _runs(chart, cell, lang) or sentences.amounts(chart.measure, cell.part, lang)
    return " · ".join([*amounts, *notes])


def _runs(chart: HeatMap, cell: Cell, lang: Language) -> list[str]:
    """An hour that came twice, each time by itself: `0.42 kWh BST · 0.40 kWh GMT`."""
    said = []
    for zone, seconds, part in cell.runs:
        amounts = sentences.amounts(chart.measure, part, lang)
        length = "" if seconds == 3600 else f" ({words.duration(seconds, lang)})"
        if amounts:
            said.append(f"{lang.say(' and ').join(amounts)} {zone}{length}")
    return said


def _hour(hour: int) -> str:
    return f"{_clock(hour)}–{_clock(hour + 1)}"


def _clock(hour: int) -> str:
    return f"{hour % HOURS:02d}:00"


def _percent(share: float, lang: Language) -> str:
    return f"{lang.number(round(share * 100))} %"
