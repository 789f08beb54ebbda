from typing import Any

import pytest

from aggregator.documents import Document, Part
from dashboard import charts, columns
from dashboard.charts import Chart
from dashboard.figures import EXPORT, HEADROOM, IMPORT, axis_steps, figure
from dashboard.view import View
from tests.dashboard.homes import LONDON, NOW, measured


def chart(period: str, parts: dict[str, Part], level: str = "day") -> Chart:
    document = Document(level, "cad-1", period, LONDON, parts)
    return charts.read(View("household", "cad-1", level, period), document, LONDON, NOW, "2000-01-01"[: len(period)])


def traces(drawn: Chart) -> dict[str, Any]:
    return {trace.name: trace for trace in figure(drawn).data}


def hours(import_wh: int, export_wh: int | None = None) -> dict[str, Part]:
    part = measured(import_wh, export_wh)._replace(covered_s=3600)
    return {f"h{hour:02d}": part for hour in range(25)}


def texts(drawn: Chart) -> list[str]:
    return [annotation.text for annotation in figure(drawn).layout.annotations]


def test_bars_are_placed_by_position_never_by_time() -> None:
    drawn = figure(chart("2026-10-25", hours(500)))
    assert drawn.data[0].x == tuple(range(25))


def test_import_stands_above_the_axis_and_export_below_in_kwh() -> None:
    found = traces(chart("2026-11-22", hours(500, 1250)))
    assert found["Imported"].y[0] == 0.5
    assert found["Exported"].y[0] == -1.25
    assert (found["Imported"].marker.color, found["Exported"].marker.color) == (IMPORT, EXPORT)


def test_estimated_energy_is_hatched_on_top_of_what_was_measured() -> None:
    part = Part(700, 0, estimated_import_wh=300, covered_s=1800, estimated_s=1800)
    found = traces(chart("2026-11-22", {**hours(500), "h03": part}))
    assert found["Imported"].y[3] == 0.4
    assert found["Imported, estimated"].y[3] == 0.3
    assert found["Imported, estimated"].marker.pattern.shape == "/"
    assert found["Imported, estimated"].marker.pattern.fgcolor == IMPORT


def test_a_gap_is_a_dotted_band_with_words_and_never_a_zero() -> None:
    parts = {name: part for name, part in hours(500).items() if name not in ("h03", "h04")}
    drawn = chart("2026-11-22", parts)
    found = traces(drawn)
    assert found["Imported"].y[3] is None
    assert (found["Data missing"].x, found["Data missing"].y) == ((3, 4), (1, 1))
    assert found["Data missing"].marker.pattern.shape == "."
    assert str(columns.cells(drawn)).count("'no data'") == 3  # on the two cards, and once over both


def test_what_is_missing_of_a_column_is_dotted_above_its_bar() -> None:
    found = traces(chart("2026-11-22", {**hours(500), "h03": Part(250, 0, covered_s=1800)}))
    assert found["Imported"].y[3] == 0.25
    band = found["Data missing"]
    assert (band.x, band.base[0] + band.y[0]) == ((3,), 1)
    assert band.base[0] == pytest.approx(0.5 / HEADROOM)


def test_zero_is_drawn_as_zero_and_not_as_a_gap() -> None:
    drawn = chart("2026-11-22", hours(0))
    assert list(traces(drawn)) == ["Imported"]
    assert set(traces(drawn)["Imported"].y) == {0}
    assert "'no data'" not in str(columns.cells(drawn))


def test_the_future_is_blank() -> None:
    drawn = chart("2026-11-23", {f"h{hour:02d}": measured(400)._replace(covered_s=3600) for hour in range(15)})
    assert list(traces(drawn)) == ["Imported"]
    assert traces(drawn)["Imported"].y[15:] == (None,) * 9


@pytest.mark.parametrize(("period", "words"), [("2026-10-25", "clocks back"), ("2026-03-29", "clocks forward")])
def test_a_change_of_the_clocks_is_marked(period: str, words: str) -> None:
    drawn = chart(period, hours(500))
    assert words in texts(drawn)
    assert len(figure(drawn).layout.shapes) == 1


@pytest.mark.parametrize(
    ("low", "high", "steps"),
    [
        (0, 1.32, [0, 0.5, 1]),
        (0, 0.6, [0, 0.2, 0.4, 0.6]),
        (-7.8, 12, [-5, 0, 5, 10]),
        (0, 407, [0, 100, 200, 300, 400]),
        (0, 0.004, [0, 0.001, 0.002, 0.003, 0.004]),
    ],
)
def test_the_axis_has_few_round_steps(low: float, high: float, steps: list[float]) -> None:
    assert axis_steps(low, high) == steps


def test_the_axis_of_a_quiet_day_still_has_a_range() -> None:
    assert figure(chart("2026-11-22", hours(0))).layout.yaxis.range == (0, 1.14)


def test_export_is_labelled_without_a_minus() -> None:
    assert tuple(figure(chart("2026-11-22", hours(1000, 1000))).layout.yaxis.ticktext) == ("1", "0.5", "0", "0.5", "1")
