"""Every error Wattfall raises on purpose, named by what the caller can do about it; and how one quotes a value.

WattfallError
├── Refused             skip: this reading (or message) cannot be used, `reason` says why
├── ConfigurationError  fix: a setting, an option or a name is wrong
├── StoreUnusable       fix: the store is corrupt, read-only, full, missing or from a newer version
│   └── Damaged         skip: one row cannot be read; the others can
└── StoreAway           retry: the store is busy or out of reach for the moment
"""

from decimal import Decimal


class WattfallError(Exception):
    """One line for people: the fault, and where it helps, the mend."""


class Refused(WattfallError):
    """A reading that cannot be used; `reason` is one of the short names of `readings.REASONS`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ConfigurationError(WattfallError):
    """A setting, an option or a name that somebody has to mend."""


class StoreUnusable(WattfallError):
    """The store cannot be used until somebody mends it."""


class Damaged(StoreUnusable):
    """One row of the store cannot be read."""


class StoreAway(WattfallError):
    """The store is busy or out of reach; the same call may go through later."""


def shown(value: object) -> str:
    """A value as a message may quote it: short, on one line, numbers as they were written."""
    try:
        text = "missing" if value is None else str(value) if isinstance(value, Decimal) else repr(value)
    except (ValueError, RecursionError):  # integers of thousands of digits, lists a thousand deep
        return f"an unprintable {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
