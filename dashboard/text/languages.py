"""The languages there are, and which of them a reader's browser asks for. Each has a catalogue in catalogues/."""

from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from flask import has_request_context, request
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from dashboard.text.language import Language

CATALOGUES = ("de",)
ENGLISH = Language("en-GB", NullTranslations())


@lru_cache(maxsize=1)
def languages() -> dict[str, Language]:
    """Every language by the first part of its code."""
    return {"en": ENGLISH, **{code: Language(code, catalogue(code)) for code in CATALOGUES}}


def catalogue(code: str) -> NullTranslations:
    """The sentences of one language, from its PO file."""
    compiled = BytesIO()
    with (files("dashboard.text") / "catalogues" / f"{code}.po").open("rb") as source:
        write_mo(compiled, read_po(source, locale=code))
    compiled.seek(0)
    return GNUTranslations(compiled)


@lru_cache(maxsize=1024)
def chosen(accept_language: str) -> Language:
    """The best language for an Accept-Language header; English where it asks for none that there is."""
    wanted = parse_accept_header(accept_language[:200], LanguageAccept)
    known = languages()
    return known[wanted.best_match(known, default="en") or "en"]


def requested() -> Language:
    """The language of whoever asks, in the request at hand."""
    return chosen(request.headers.get("Accept-Language", "")) if has_request_context() else ENGLISH
