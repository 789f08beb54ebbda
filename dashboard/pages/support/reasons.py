"""Why somebody looks: the reasons the desk suggests, kept in English and said in the reader's language. Pure."""

from dashboard.text.language import Language, text

SUGGESTIONS = (
    text("The customer reports missing data"),
    text("The customer asks about a figure"),
    text("The device is silent or late"),
    text("Messages of the device are refused"),
    text("The meter was exchanged"),
)
_AND = ": "


def whole(suggested: str, typed: str) -> str:
    """A suggestion with more words, or either, as it is written down."""
    return _AND.join(filter(None, (suggested, typed.strip())))


def said(reason: str, lang: Language) -> str:
    """A reason as it was written down; what the desk had suggested in the language of who reads it."""
    suggested, _, typed = reason.partition(_AND)
    return whole(lang.say(suggested), typed) if suggested in SUGGESTIONS else reason
