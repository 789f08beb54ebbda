import re
from pathlib import Path

import pytest

from dashboard.pages.support import support_words
from dashboard.text.language import ENGLISH, languages

MISSING = "The customer reports missing data"


@pytest.mark.parametrize(
    ("suggested", "typed", "kept"),
    [(MISSING, "", MISSING), (MISSING, " Tuesday ", f"{MISSING}: Tuesday"), ("", "ticket 4711", "ticket 4711")],
)
def test_a_reason_is_a_suggestion_more_words_or_both(suggested: str, typed: str, kept: str) -> None:
    assert support_words.whole(suggested, typed) == kept


def test_suggestions_are_translated_and_own_words_unchanged() -> None:
    german = languages()["de"]
    assert (
        support_words.reason_label(f"{MISSING}: Dienstag: ab 8 Uhr", german)
        == f"{german.say(MISSING)}: Dienstag: ab 8 Uhr"
    )
    assert support_words.reason_label(MISSING, german) == german.say(MISSING) != MISSING
    assert support_words.reason_label(f"{MISSING}: Tuesday", ENGLISH) == f"{MISSING}: Tuesday"
    assert support_words.reason_label("device moved: 2026-11-10", german) == "Gerät übergeben: 2026-11-10"
    imported = support_words.reason_label("on the page of the household: meter.csv", german)
    assert imported == "auf der Seite des Haushalts: meter.csv"
    for own in ("ticket 4711", "ticket: 4711", "", f"{MISSING} on Tuesday"):
        assert support_words.reason_label(own, german) == own


def test_each_reason_that_the_code_writes_is_translated() -> None:
    own = Path(support_words.__file__)
    house = [path for package in ("aggregator", "dashboard") for path in (own.parents[3] / package).rglob("*.py")]
    source = "".join(path.read_text() for path in house if path != own)
    assert [one for one in support_words.WRITTEN if one not in source] == []
    fixed = re.findall(r'REASON = "(?!wattfall )([^"]+)"|"([a-z ]+ from the command line)"', source)
    assert {one or other for one, other in fixed} - set(support_words.WRITTEN) == set()
