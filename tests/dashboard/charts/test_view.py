import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.periods import shift
from dashboard.charts.view import View
from tests.dashboard.homes import LONDON, NOW


@pytest.mark.parametrize(
    ("path", "view"),
    [
        ("/", View()),
        ("/d/cad-1", View("household", "cad-1")),
        ("/d/cad-1/", View("household", "cad-1")),
        ("/d/cad-1/month", View("household", "cad-1", "month")),
        ("/d/cad-1/day/2026-11-23", View("household", "cad-1", "day", "2026-11-23")),
        ("/d/cad-1/month/2026-11", View("household", "cad-1", "month", "2026-11")),
        ("/d/cad-1/year/2026", View("household", "cad-1", "year", "2026")),
        ("/d/70:b3:d5/year", View("household", "70:b3:d5", "year")),
    ],
)
def test_an_address_names_device_level_and_period(path: str, view: View) -> None:
    assert View.from_url(path) == view
    assert View.from_url(view.to_url()) == view


@pytest.mark.parametrize(
    "path",
    [
        "/d/cad-1/week/2026-11-23",
        "/d/cad-1/day/2026-02-31",
        "/d/cad-1/day/yesterday",
        "/d/cad-1/day/9999-12-31",
        "/d/cad-1/day/0001-01-01",
        "/d/cad-1/day/٢٠٢٦-١١-٢٣",
        "/d/cad-1/day/2026-11",
    ],
)
def test_an_invalid_level_or_period_falls_back_to_today(path: str) -> None:
    assert View.from_url(path) == View("household", "cad-1")


@pytest.mark.parametrize(
    "path", [None, 7, [], {}, "/elsewhere", "/d", "/d/%2e%2e%2fetc", "/d/<script>", "/d/" + "x" * 600]
)
def test_an_unknown_address_is_lost(path: object) -> None:
    assert View.from_url(path).page == "lost"


@given(st.text(max_size=60))
def test_no_address_is_an_error(text: str) -> None:
    for path in (text, f"/d/{text}", f"/d/cad-1/{text}", f"/d/cad-1/day/{text}"):
        view = View.from_url(path)
        assert View.from_url(view.to_url()).page in ("home", "household")


def test_an_open_period_is_the_current_one() -> None:
    assert View("household", "cad-1").at(NOW, LONDON).period == "2026-11-23"
    assert View("household", "cad-1", "year").at(NOW, LONDON).period == "2026"
    assert View("household", "cad-1", "day", "2026-01-01").at(NOW, LONDON).period == "2026-01-01"


@given(st.integers(-3000, 3000))
def test_every_day_survives_its_address(by: int) -> None:
    view = View("household", "cad-1", "day", shift("day", "2026-11-23", by))
    assert View.from_url(view.to_url()) == view
