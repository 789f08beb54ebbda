import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.pages.support.support_words import LONGEST_PRETTY, pretty, visible


@pytest.mark.parametrize(
    ("payload", "seen"),
    [
        ('{"at": 4}', '{"at": 4}'),
        ("a\x00b\x1b[31mc\x7f", "a\\x00b\\x1b[31mc\\x7f"),
        ("one\ntwo\r\tthree", "one\ntwo\\x0d\\x09three"),
        ("pay\u202efdp.exe", "pay\\u202efdp.exe"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("\U000e0041", "\\U000e0041"),
        ("Zähler £", "Zähler £"),
    ],
)
def test_invisible_characters_are_shown_as_escapes(payload: str, seen: str) -> None:
    assert visible(payload) == seen


@given(st.text())
def test_every_payload_is_shown_in_visible_characters(payload: str) -> None:
    assert all(letter.isprintable() or letter == "\n" for letter in visible(payload) + pretty(payload))


def test_json_is_indented() -> None:
    assert pretty('{"device_id":"cad-1","power_w":[1,2]}').splitlines() == [
        "{",
        '  "device_id": "cad-1",',
        '  "power_w": [',
        "    1,",
        "    2",
        "  ]",
        "}",
    ]


@pytest.mark.parametrize("payload", ["", '{"device_id":"cad-1","at":"2026-11-2', "nonsense", '{"a": NaN}', '"\ud800"'])
def test_other_text_is_not_indented(payload: str) -> None:
    assert pretty(payload) == ""


@pytest.mark.parametrize("payload", ["[" * 1024 + "]" * 1024, "[" * 250 + "]" * 250, '{"a":' * 400 + "1" + "}" * 400])
def test_long_brackets_are_not_indented(payload: str) -> None:
    assert len(pretty(payload)) <= LONGEST_PRETTY


def test_a_character_hidden_by_json_stays_visible() -> None:
    assert "\u202e" not in pretty('{"name": "pay\\u202efdp"}')
