"""Every catalogue translates every sentence in the code, with the same placeholders."""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_keywords
from babel.messages.pofile import read_po

from aggregator.core.periods import RECORD_DAYS
from dashboard.text.language import CATALOGUES

ROOT = Path(__file__).parents[3]
PHRASES: dict[str, Any] = {"Phrase": None, "chained": None}  # of what the aggregator says of a file
KEYWORDS = {"dashboard": {"say": None, "text": None, "count": (1, 2), **PHRASES}, "aggregator": PHRASES}
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2.ext:babel_extract")]
Sentence = str | tuple[str, ...]


def sentences(keywords_of: Mapping[str, Any] = KEYWORDS) -> dict[Sentence, str]:
    """Return each sentence in the code with its place; the pages have words of their own for one with an option."""
    options = {"**/templates/**.html": {"silent": "false"}}
    found = [
        one
        for package, keywords in keywords_of.items()
        for one in extract_from_dir(str(ROOT / package), METHODS, options, keywords=keywords)
    ]
    return {sentence: f"{name}:{line}" for name, line, sentence, *_ in found if sentence and "--" not in sentence}


def catalogue(code: str) -> Catalog:
    with (files("dashboard.text") / "catalogues" / f"{code}.po").open("rb") as source:
        return read_po(source, locale=code, abort_invalid=True)


def values(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def forms(sentence: str | Sequence[str] | None) -> tuple[str, ...]:
    return (sentence,) if isinstance(sentence, str) else tuple(sentence or ())


def pairs(code: str) -> Iterator[tuple[str, str]]:
    """Return each English sentence with its translation."""
    for message in catalogue(code):
        if message.id:
            yield from zip(forms(message.id), forms(message.string), strict=True)


def test_the_code_has_translatable_sentences() -> None:
    assert len(sentences()) > 100
    assert ("{number} day", "{number} days") in sentences()


def test_the_command_in_the_readme_extracts_every_sentence() -> None:
    found = re.search(r"pybabel extract (.+?)\n\S", (ROOT / "dashboard" / "README.md").read_text(), re.DOTALL)
    assert found
    keywords = parse_keywords(re.findall(r"-k (\S+)", found[1]))
    packages = [word for word in found[1].split() if (ROOT / word / "__init__.py").exists()]
    assert sentences().keys() <= sentences(dict.fromkeys(packages, keywords)).keys()


@pytest.mark.parametrize("code", CATALOGUES)
def test_every_sentence_is_translated(code: str) -> None:
    known = {forms(message.id) for message in catalogue(code) if all(forms(message.string))}
    assert [(sentence, place) for sentence, place in sentences().items() if forms(sentence) not in known] == []


@pytest.mark.parametrize("code", CATALOGUES)
def test_no_translation_outlives_its_sentence(code: str) -> None:
    present = set(map(forms, sentences()))
    assert [message.id for message in catalogue(code) if message.id and forms(message.id) not in present] == []


@pytest.mark.parametrize("code", CATALOGUES)
def test_a_translation_fills_in_the_same_values(code: str) -> None:
    assert [pair for pair in pairs(code) if values(pair[0]) != values(pair[1])] == []


@pytest.mark.parametrize("code", CATALOGUES)
def test_a_translation_keeps_the_spaces_and_signs_at_its_ends(code: str) -> None:
    def ends(sentence: str) -> tuple[bool, bool, bool]:
        return sentence.startswith(" "), sentence.endswith(" "), bool(re.search(r"[.!?]$", sentence))

    assert [pair for pair in pairs(code) if ends(pair[0]) != ends(pair[1])] == []


def test_no_sentence_repeats_the_retention_in_days() -> None:
    assert [sentence for sentence in sentences() if re.search(rf"\b{RECORD_DAYS}\b", str(sentence))] == []
