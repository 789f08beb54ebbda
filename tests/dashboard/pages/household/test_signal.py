import pytest

from aggregator.core import status
from aggregator.core.periods import DAY_S
from aggregator.core.status import Status
from aggregator.intake.device_status import KnownStatus
from dashboard.pages.household import live_tile
from dashboard.text.language import ENGLISH, languages
from tests.dashboard.homes import NOW

STATUS = Status("cad-1", NOW - 60, -71, 96, None, None, True)


def known(rssi: int | None = -71, lqi: int | None = 96, received_at: int = NOW - 60) -> KnownStatus:
    return KnownStatus(STATUS._replace(rssi_dbm=rssi, lqi=lqi), received_at, {})


@pytest.mark.parametrize(
    ("rssi", "lqi", "expected"),
    [
        (-71, 96, "good"),
        (-75, 60, "good"),
        (-76, 96, "fair"),
        (-71, 59, "fair"),
        (-85, 30, "fair"),
        (-86, 255, "weak"),
        (-40, 29, "weak"),
        (None, 255, "good"),
        (None, 0, "weak"),
        (-90, None, "weak"),
        (None, None, None),
    ],
)
def test_a_signal_is_as_strong_as_its_weaker_figure(rssi: int | None, lqi: int | None, expected: str | None) -> None:
    assert status.signal_strength(known(rssi, lqi).status) == expected


def test_link_quality_is_no_percentage() -> None:
    assert status.signal_strength(known(None, 80).status) == status.signal_strength(known(None, 250).status) == "good"


def test_the_household_reads_the_signal_in_its_language() -> None:
    assert live_tile.signal_label(known(), NOW, ENGLISH) == " · good signal to the meter"
    assert live_tile.signal_label(known(-90), NOW, ENGLISH) == " · weak signal to the meter"
    assert live_tile.signal_label(known(-80), NOW, languages()["de"]) == " · mäßiger Empfang zum Zähler"


def test_an_unknown_or_old_signal_is_not_shown() -> None:
    assert live_tile.signal_label(None, NOW, ENGLISH) == ""
    assert live_tile.signal_label(known(None, None), NOW, ENGLISH) == ""
    assert live_tile.signal_label(known(received_at=NOW - DAY_S), NOW, ENGLISH) == " · good signal to the meter"
    assert live_tile.signal_label(known(received_at=NOW - DAY_S - 1), NOW, ENGLISH) == ""
