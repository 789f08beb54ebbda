"""Heat map and tables as trees of HTML components; React keeps what stays the same (assets/region.js). Pure.

- Heat map: a table of cells with classes and words, and the sentence about the busiest hours.
- Tables: the numbers of a chart.

The heat map is one stop of the Tab key; the arrow keys move in it (assets/explore.js).
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from dash import html
from dash.development.base_component import Component

from dashboard.charts import heat, sentences
from dashboard.charts.chart_model import AFTER, BEFORE, FUTURE, NOW, PAST, PRIOR, Chart, Column, Measure
from dashboard.charts.cumulative import MONTH, Cumulative
from dashboard.charts.heat import HOURS, NEVER, STEPS, Cell, HeatMap
from dashboard.text import words
from dashboard.text.language import Language, text
from dashboard.text.words import Tree, attributes, element

SPAN = 4  # hours in the busiest time of a day
NIGHT = range(6)
EVEN = 1.2  # times their share of the clock, from which the busiest hours are worth a sentence
_EVERY = 3  # every third hour is named beside the grid


def heat_grid(chart: HeatMap, lang: Language) -> Tree:
    """Return the table of a heat map. A header links to its day; the first cell with content is the Tab key's stop."""
    caption = lang.say("Hours by days, {period}", period=words.period_name(chart.view.level, chart.view.period, lang))
    days = [lang.date(words.moment("day", day), words.WEEKDAY_AND_DATE) for day in chart.days]
    corner = element("Th", element("Span", lang.say("Hour"), className="unseen"), role="columnheader")
    heads = [corner, *(_day(chart, place, days[place], lang) for place in range(len(days)))]
    rows = [[_heat_cell(chart, place, hour, days, lang) for place in range(len(days))] for hour in range(HOURS)]
    stop = next((cell for row in rows for cell in row if cell["props"]["className"]), rows[0][0])
    stop["props"]["tabIndex"] = 0
    head = element("Thead", element("Tr", heads, role="row"), role="rowgroup")
    lines = [element("Tr", [_hour_head(hour), *row], role="row") for hour, row in enumerate(rows)]
    return element(
        "Table",
        [head, element("Tbody", lines, role="rowgroup")],
        role="grid",
        style={"--days": len(days)},
        **attributes(aria_label=caption, aria_readonly="true"),
    )


def _hour_head(hour: int) -> Tree:
    tick = f"{hour:02d}" if hour % _EVERY == 0 else ""
    name = [element("Span", _hour(hour), className="unseen"), element("Span", tick, **attributes(aria_hidden="true"))]
    return element("Th", name, role="rowheader")


def _heat_cell(chart: HeatMap, place: int, hour: int, days: Sequence[str], lang: Language) -> Tree:
    """Return a cell; its card is `data-at` and its name (assets/heat.css)."""
    cell = chart.columns[place][hour]
    said = attributes(aria_label=_cell_words(chart, cell, lang), data_at=f"{days[place]}, {_hour(hour)}")
    return {"type": "Td", "props": {"className": _look(chart, cell), "role": "gridcell", "tabIndex": -1, **said}}


def busiest_hours_words(chart: HeatMap, lang: Language) -> str:
    """Return the busiest hours: `Mostly between 17:00 and 21:00 (34 %) · nights, 00:00–06:00, take 22 %`."""
    is_money = bool(chart.measure.currency)
    parts = []
    if busiest := heat.busiest(chart, span=SPAN):
        most = (
            text("Dearest between {start} and {end} ({share})")
            if is_money
            else text("Mostly between {start} and {end} ({share})")
        )
        nights = text("nights, {hours}, cost {share}") if is_money else text("nights, {hours}, take {share}")
        is_even = busiest[1] < EVEN * SPAN / HOURS
        parts.append(_span(text("Spread evenly over the day") if is_even else most, busiest, lang))
        hours = f"{_clock(NIGHT.start)}–{_clock(NIGHT.stop)}"
        parts.append(lang.say(nights, hours=hours, share=_percent(heat.share_of(chart, NIGHT), lang)))
    if given := heat.busiest(chart, gives=True, span=SPAN) if chart.has_export else None:
        earns = (
            text("earns most between {start} and {end}") if is_money else text("exports most between {start} and {end}")
        )
        parts.append(_span(earns, given, lang))
    return " · ".join(parts)


def _span(wording: str, busiest: tuple[int, float], lang: Language) -> str:
    start, share = busiest
    return lang.say(wording, start=_clock(start), end=_clock(start + SPAN), share=_percent(share, lang))


def legend(chart: HeatMap, lang: Language) -> list[Component]:
    """Return the ends of the scale, and the marks in use."""
    taken, given = (text("cost"), text("earned")) if chart.measure.currency else (text("imported"), text("exported"))
    scales = [_scale(chart, lang.say(taken), "ramp", lang)]
    if chart.has_export:
        scales.append(_scale(chart, lang.say(given), "ramp gives", lang))
    cells = list(chart.cells())
    marks = {
        "estimated": (lang.say("estimated"), any(cell.is_estimated for cell in cells)),
        "data-missing": (lang.say("data missing"), any(cell.is_gap or cell.is_partial for cell in cells)),
        "never": (lang.say("no such hour"), any(cell.when == NEVER for cell in cells)),
    }
    return [*scales, *(html.Li(word, className=name) for name, (word, is_shown) in marks.items() if is_shown)]


def _scale(chart: HeatMap, word: str, ramp: str, lang: Language) -> Component:
    """Return a ramp with the amounts at its ends and at its middle, which is no half: `HeatMap.step` takes a root."""
    middle, end = (str(chart.measure.format(amount, lang)) for amount in (chart.largest // 4, chart.largest))
    lower, upper = html.Span(className=f"{ramp} lower"), html.Span(className=f"{ramp} upper")
    ends = [html.Small(lang.number(0)), lower, html.Small(middle), upper, html.Small(end)]
    return html.Li([f"{word} ", *ends], className="scale")


def _day(chart: HeatMap, place: int, name: str, lang: Language) -> Tree:
    """Return the header of a day; it is a link unless the day lies outside the data or the stay."""
    day = chart.days[place]
    moment = words.moment("day", day)
    is_open = any(cell.when in (NOW, PAST) for cell in chart.columns[place])
    address = {"href": chart.view.to("day", day).to_url(), "tabIndex": -1} if is_open else {}
    label = attributes(aria_label=name)
    tick = element("A" if is_open else "Span", str(moment.day), **address, **(label if is_open else {}))
    look = "major" if moment.weekday() == lang.first_weekday else ""
    return element("Th", tick, className=look, role="columnheader", **label)


def _look(chart: HeatMap, cell: Cell) -> str:
    """Return a cell's classes: `i0`-`i12` import, `e1`-`e12` export, `q` estimated, `p` partial, `g` gap, `n` never."""
    if cell.when not in (NOW, PAST):
        return "n" if cell.when == NEVER else ""
    if cell.part.is_empty:
        return "g" if cell.missing_s else ""
    gives, step = chart.step(cell)
    marks = (" q" if cell.is_estimated else "") + (" p" if cell.is_partial else "")
    return f"{'e' if gives else 'i'}{min(step, STEPS)}{marks}"


def _cell_words(chart: HeatMap, cell: Cell, lang: Language) -> str:
    """Return a cell in words, without its hour and day."""
    if cell.when == NEVER:
        return lang.say("no such hour: the clocks went forward")
    if cell.when == FUTURE:
        return lang.say("still to come")
    if cell.when == BEFORE:
        return lang.say("before the first reading")
    if cell.when in (PRIOR, AFTER):
        return lang.say("before you moved in") if cell.when == PRIOR else lang.say("after you moved out")
    notes = sentences.notes(cell.part, cell.missing_s, lang)
    amounts = _runs(chart, cell, lang) or sentences.amounts(chart.measure, cell.part, lang)
    return " · ".join([*amounts, *notes])


def _runs(chart: HeatMap, cell: Cell, lang: Language) -> list[str]:
    """Return each run of a repeated hour: `0.42 kWh BST · 0.40 kWh GMT`."""
    lines = []
    for zone, seconds, part in cell.runs:
        amounts = sentences.amounts(chart.measure, part, lang)
        length = "" if seconds == 3600 else f" ({words.duration(seconds, lang)})"
        if amounts:
            lines.append(f"{lang.say(' and ').join(amounts)} {zone}{length}")
    return lines


def _hour(hour: int) -> str:
    return f"{_clock(hour)}–{_clock(hour + 1)}"


def _clock(hour: int) -> str:
    return f"{hour % HOURS:02d}:00"


def _percent(share: float, lang: Language) -> str:
    return f"{lang.number(round(share * 100))} %"


# Tables

Row = tuple[str, str | None, Sequence[str]]  # its name, its link, and its numbers


def number_table(caption: str, heads: Sequence[str], rows: Iterable[Row]) -> Tree:
    """Return a table with a row for each name."""
    top = [element("Td"), *(element("Th", head, scope="col") for head in heads)]
    body = [element("Tr", [_row_head(name, href), *(element("Td", one) for one in row)]) for name, href, row in rows]
    title = element("Caption", caption, className="unseen")
    return element("Table", [title, element("Thead", element("Tr", top)), element("Tbody", body)])


def _row_head(name: str, href: str | None) -> Tree:
    return element("Th", element("A", name, href=href) if href else name, scope="row")


def of_chart(chart: Chart, lang: Language) -> Tree:
    """Return the table of a chart with exact numbers: energy, and cost where known."""
    fields = _fields(chart, lang)
    rows = (
        (column.label.name, column.below.to_url() if column.below else None, [show(column) for show in fields.values()])
        for column in chart.columns
        if column.has_content
    )
    return number_table(lang.say("Numbers of {period}", period=chart.name), list(fields), rows)


def _fields(chart: Chart, lang: Language) -> dict[str, Callable[[Column], str]]:
    """Return the columns of a table: each heading, and the function that formats a part."""
    fields: dict[str, Callable[[Column], str]] = {
        lang.say("Imported, kWh"): lambda column: _exact(column.part.import_wh, lang)
    }
    if chart.total.volume_l is not None:
        fields[lang.say("Volume, m³")] = lambda column: _exact(column.part.volume_l, lang)
    if chart.total.export_wh:
        fields[lang.say("Exported, kWh")] = lambda column: _exact(column.part.export_wh, lang)
    if chart.currency:
        money = Measure(chart.currency, chart.view.has_charge)
        fields[lang.say("Cost")] = lambda column: _money(money.gross(column.part), chart.currency, lang)
        if chart.total.cost.export_earnings:
            fields[lang.say("Earned")] = lambda column: _money(money.down(column.part), chart.currency, lang)
    if chart.other and chart.is_compared:
        name = f"{chart.other.name}, {chart.measure.unit(lang)}"
        fields[name] = lambda column: _amount(chart, column, lang)
    if any(sentences.notes(column.part, column.missing_s, lang) for column in chart.columns if column.has_content):
        fields[lang.say("Remarks")] = lambda column: " · ".join(sentences.notes(column.part, column.missing_s, lang))
    return fields


def _exact(thousandths: int | None, lang: Language) -> str:
    return "–" if thousandths is None else lang.number(Decimal(thousandths) / 1000, 3)


def _money(units: int | None, currency: str, lang: Language) -> str:
    return "–" if units is None else lang.money(units, currency)


def _amount(chart: Chart, column: Column, lang: Language) -> str:
    amount = chart.measure.gross(column.other)
    return _money(amount, chart.currency, lang) if chart.measure.currency else _exact(amount, lang)


def cumulative_table(chart: Cumulative, lang: Language) -> Tree:
    """Return the table by month: this year, the year before, and the difference of closed months."""
    unit = chart.measure.unit(lang)
    return number_table(
        lang.say("{year} and the year before, by month", year=chart.view.period),
        [f"{chart.view.period}, {unit}", f"{chart.previous}, {unit}", lang.say("Difference")],
        [_month_row(chart, month, mine, other, lang) for month, mine, other in chart.months],
    )


def _month_row(chart: Cumulative, month: str, mine: int | None, other: int | None, lang: Language) -> Row:
    period = f"{chart.view.period}-{month}"
    goes_on = not chart.is_over and chart.until.startswith(period)
    gap = None if mine is None or other is None or goes_on else mine - other
    sign = "+" if gap and gap > 0 else ""
    cells = [_total(chart, mine, lang), _total(chart, other, lang), sign * bool(gap) + _total(chart, gap, lang)]
    return words.format_period("month", period, MONTH, lang), chart.view.to("month", period).to_url(), cells


def _total(chart: Cumulative, amount: int | None, lang: Language) -> str:
    if amount is None:
        return "–"
    money = chart.measure.currency
    return lang.money(amount, money) if money else lang.number(Decimal(amount) / 1000, 1)
