"""The errors that Wattfall raises on purpose, named by the caller's remedy; `Phrase`, their sentences; `shown`.

WattfallError
├── Refused             skip: this reading (or message) is unusable; `reason` names the rule that it breaks
├── ConfigurationError  fix: a setting, an option or a name is wrong
├── StoreUnusable       fix: the store is corrupt, read-only, full, missing or from a newer version
│   ├── Damaged         skip: one row cannot be read; the others can
│   └── StoreReplaced   stop: a file of the store is not the one that was opened, or was cut
└── StoreAway           retry: the store is busy or out of reach for the moment
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import reduce


class Phrase(str):
    """A sentence for people with its template and values, so that a page can say it in another language."""

    template: str
    values: Mapping[str, object]  # a value may be a Phrase itself

    def __new__(cls, template: str, /, **values: object) -> "Phrase":
        """Return `template` with its values filled in."""
        made = super().__new__(cls, template.format(**values))
        made.template, made.values = template, values
        return made


def chained(template: str, parts: Iterable[str]) -> str:
    """Return parts as one Phrase; `template` joins `one` and `other`."""
    return reduce(lambda one, other: Phrase(template, one=one, other=other), parts)


class WattfallError(Exception):
    """An error whose text is one line for people: the fault and, where it helps, the remedy."""


class Refused(WattfallError):
    """A reading cannot be used; `reason` is a key of `readings.REASONS`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ConfigurationError(WattfallError):
    """A setting, an option or a name is wrong; a person must correct it."""


class StoreUnusable(WattfallError):
    """The store cannot be used until a person repairs it."""


class Damaged(StoreUnusable):
    """One row of the store cannot be read."""


class StoreReplaced(StoreUnusable):
    """A file of the store was deleted, replaced or cut while it was open; nothing more may be acknowledged."""


class StoreAway(WattfallError):
    """The store is busy or unreachable; the same call may succeed later."""


def shown(value: object) -> str:
    """Return a value, quoted for a message: one line, at most 60 characters, numbers as written."""
    try:
        text = "missing" if value is None else str(value) if isinstance(value, Decimal) else repr(value)
    except (ValueError, RecursionError):  # integers of thousands of digits, lists a thousand deep
        return f"an unprintable {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
