"""What a real browser asks for until it shows a chart."""

from tests.browser.conftest import Open

LIMIT = 850_000  # bytes
ASKED = """() => performance.getEntriesByType("resource").map((entry) => [entry.name, entry.encodedBodySize])"""


def test_the_first_chart_needs_the_small_bundle_of_plotly_alone_and_weighs_at_most_850_kb(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-10")
    page.wait_for_selector(".barlayer path")
    asked: list[tuple[str, int]] = page.evaluate(ASKED)
    assert [name for name, _ in asked if "package_data/plotly" in name] == []
    assert len([name for name, _ in asked if "plotly-basic" in name]) == 1
    assert 300_000 < sum(size for _, size in asked) < LIMIT
