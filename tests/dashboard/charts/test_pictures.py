from dataclasses import replace

import plotly.graph_objects as go
import pytest

from aggregator.core.documents import Document, Part
from dashboard.charts import chart_model, figures
from dashboard.charts.chart_model import Chart, Other
from dashboard.charts.pictures import picture
from dashboard.charts.view import View
from dashboard.text.language import ENGLISH
from tests.dashboard.homes import LONDON, NOW, measured

HOUR = measured(500)._replace(covered_s=3600)
DAY = {f"h{hour:02d}": HOUR for hour in range(24)}


def chart(
    parts: dict[str, Part], period: str = "2026-11-22", level: str = "day", prices: tuple[int, ...] = ()
) -> Chart:
    document = Document(level, "cad-1", period, LONDON, parts)
    view = View("household", "cad-1", level, period)
    drawn = chart_model.chart_of(view, document, LONDON, NOW, "2000-01-01"[: len(period)], ENGLISH, prices=prices)
    return replace(drawn, home="12 Acacia Road")


def texts(drawn: go.Figure) -> list[str]:
    return [annotation.text for annotation in drawn.layout.annotations]


def legend(drawn: go.Figure) -> list[str]:
    return [trace.name for trace in drawn.data if trace.showlegend] if drawn.layout.showlegend else []


def test_a_picture_names_home_period_and_total() -> None:
    names = texts(picture(chart(DAY), ENGLISH))
    for words in ("12 Acacia Road", "Sunday 22 November 2026", "12.0 kWh", "kWh", "Wattfall"):
        assert words in names
    assert not any("cad-1" in line for line in names)


def test_every_column_has_its_name_under_it() -> None:
    axis = picture(chart(DAY, "2026-10-25"), ENGLISH).layout.xaxis
    assert axis.showticklabels
    assert axis.tickvals == tuple(place - 0.5 for place in range(25))  # where the hour begins
    assert axis.ticktext[:4] == ("00<br>", "01<br>BST", "01<br>GMT", "02<br>")


def test_a_picture_has_light_colours_on_white() -> None:
    layout = picture(chart(DAY), ENGLISH).layout
    assert (layout.paper_bgcolor, layout.plot_bgcolor) == ("#ffffff", "#ffffff")
    assert "inherit" not in layout.font.family


def test_only_several_kinds_of_bar_have_a_legend() -> None:
    assert legend(picture(chart(DAY), ENGLISH)) == []
    odd = {
        **DAY,
        "h03": Part(700, 0, estimated_import_wh=300, covered_s=1800, estimated_s=1800),
        "h04": Part(None, None),
        "h12": HOUR._replace(export_wh=900),
    }
    names = ["Imported", "Imported, estimated", "Exported", "Data missing"]
    assert legend(picture(chart(odd), ENGLISH)) == names


def test_a_compared_period_with_two_sides_is_named_once() -> None:
    sunny = {name: part._replace(export_wh=900) for name, part in DAY.items()}
    document = Document("day", "cad-1", "2026-11-15", LONDON, sunny)
    columns = tuple(replace(column, other=sunny["h00"]) for column in chart(sunny).columns)
    other = Other("2026-11-15", "Sunday 15 November", document, document.total)
    drawn = picture(replace(chart(sunny), other=other, columns=columns), ENGLISH)
    assert legend(drawn).count("Sunday 15 November") == 1


def test_the_line_of_prices_is_named() -> None:
    drawn = picture(chart(DAY, prices=(245 * 10**6, 100 * 10**6) * 24), ENGLISH)
    assert "Price of a kWh" in legend(drawn)


def test_an_empty_picture_has_words_and_no_scale() -> None:
    drawn = picture(chart({}), ENGLISH, "No data")
    assert not drawn.layout.yaxis.visible
    assert texts(drawn) == ["No data", "12 Acacia Road", "Sunday 22 November 2026", "Wattfall"]


@pytest.mark.parametrize("period", ["2026-11-22", "2026-10-25"])
def test_the_page_and_the_picture_draw_the_same_bars(period: str) -> None:
    content = chart(DAY, period)
    page, taken = go.Figure(figures.figure(content, ENGLISH)), picture(content, ENGLISH)
    assert [trace.y for trace in taken.data] == [trace.y for trace in page.data]
    assert taken.layout.yaxis.range == page.layout.yaxis.range
    assert page.layout.paper_bgcolor is None  # the page's figure stays unchanged


def test_words_are_never_read_as_markup() -> None:
    content = replace(chart(DAY), name='<a href="https://elsewhere">2026</a> & more')
    assert '&lt;a href="https://elsewhere"&gt;2026&lt;/a&gt; &amp; more' in texts(picture(content, ENGLISH))
