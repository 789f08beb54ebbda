from typing import Any

import pytest

from dashboard.charts.view import View
from dashboard.pages.household import navigation
from dashboard.text import words
from dashboard.text.language import ENGLISH, Language, languages


def heading(level: str, period: str, lang: Language = ENGLISH) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the links of the breadcrumb with their addresses, and the parts of the heading."""
    view = View("household", "cad-1", level, period, "money")
    slots: dict[str, Any] = dict(navigation.crumb_slots(view, words.period_name(level, period, lang), lang))
    ways = [(item.children.children, item.children.href) for item in slots["crumbs.children"].children]
    return ways, [part if isinstance(part, str) else part.children for part in slots["heading.children"]]


def test_a_day_links_to_its_month_and_year() -> None:
    ways, parts = heading("day", "2026-11-23")
    assert ways == [("2026", "/d/cad-1/year/2026?unit=money"), ("November", "/d/cad-1/month/2026-11?unit=money")]
    assert parts == ["Monday 23", " November 2026"]


def test_a_month_links_to_its_year_and_a_year_to_nothing() -> None:
    assert heading("month", "2026-11") == ([("2026", "/d/cad-1/year/2026?unit=money")], ["November", " 2026"])
    assert heading("year", "2026") == ([], ["2026"])


@pytest.mark.parametrize("lang", languages().values(), ids=str)
def test_screen_readers_get_the_full_heading_in_every_language(lang: Language) -> None:
    for level, period in {"day": "2026-03-04", "month": "2026-03", "year": "2026"}.items():
        assert "".join(heading(level, period, lang)[1]) == words.period_name(level, period, lang)
