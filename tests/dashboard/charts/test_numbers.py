from typing import Any

from aggregator.core.documents import Document, Part
from aggregator.core.money import Cost
from dashboard.charts import chart_model, grids
from dashboard.charts.chart_model import Other
from dashboard.charts.view import View
from dashboard.text.language import ENGLISH
from tests.dashboard.answers import text_of
from tests.dashboard.homes import LONDON, NOW

POUND = 10**13
DAY = Part(9000, None, covered_s=86_400, cost=Cost(2 * POUND, None, POUND // 2))


def table(parts: dict[str, Part], currency: str = "", other: Other | None = None) -> dict[str, Any]:
    """Return the table of July 2026."""
    view = View("household", "cad-1", "month", "2026-07")
    document = Document("month", "cad-1", "2026-07", LONDON, parts)
    chart = chart_model.chart_of(view, document, LONDON, NOW, "2020-01", ENGLISH, currency, other)
    caption, head, body = grids.of_chart(chart, ENGLISH)["props"]["children"]
    (top,) = head["props"]["children"] if isinstance(head["props"]["children"], list) else [head["props"]["children"]]
    rows = [row["props"]["children"] for row in body["props"]["children"]]
    return {
        "caption": text_of(caption),
        "heads": [text_of(one) for one in top["props"]["children"][1:]],
        "rows": [[text_of(name), link_of(name), [text_of(cell) for cell in cells]] for name, *cells in rows],
    }


def link_of(name: dict[str, Any]) -> object:
    inside = name["props"]["children"]
    return inside["props"]["href"] if isinstance(inside, dict) else None


def test_a_charts_numbers_are_exact_and_link_like_its_columns() -> None:
    content = table({f"d{day:02d}": DAY for day in range(1, 32)})
    assert content["caption"] == "Numbers of July 2026"
    assert content["heads"] == ["Imported, kWh"]
    assert content["rows"][4] == ["Sunday 5 July", "/d/cad-1/day/2026-07-05", ["9.000"]]
    assert len(content["rows"]) == 31


def test_export_and_money_get_columns_only_with_data() -> None:
    sunny = DAY._replace(export_wh=100, cost=Cost(2 * POUND, POUND // 10, POUND // 2))
    content = table({f"d{day:02d}": sunny for day in range(1, 32)}, "GBP")
    assert content["heads"] == ["Imported, kWh", "Exported, kWh", "Cost", "Earned"]
    assert content["rows"][0][2] == ["9.000", "0.100", "£2.50", "£0.10"]


def test_an_unknown_number_is_a_dash_with_a_remark() -> None:
    content = table({f"d{day:02d}": DAY for day in range(2, 32)})
    assert content["heads"] == ["Imported, kWh", "Remarks"]
    assert content["rows"][0][2] == ["–", "no data"]
    assert content["rows"][1][2] == ["9.000", ""]


def test_the_table_has_a_column_for_the_compared_period() -> None:
    document = Document("month", "cad-1", "2026-06", LONDON, {"d01": DAY._replace(import_wh=1234)})
    content = table({f"d{day:02d}": DAY for day in range(1, 32)}, other=Other("2026-06", "June", document, DAY))
    assert content["heads"] == ["Imported, kWh", "June, kWh"]
    assert [row[2][1] for row in content["rows"][:2]] == ["1.234", "–"]
