"""Every error Wattfall raises on purpose, named by what the caller can do about it.

WattfallError
├── Refused             skip: this reading (or message) cannot be used, `reason` says why
├── ConfigurationError  fix: a setting, an option or a name is wrong
├── StoreUnusable       fix: the store is corrupt, read-only, full, missing or from a newer version
│   └── Damaged         skip: one row cannot be read; the others can
└── StoreAway           retry: the store is busy or out of reach for the moment
"""


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
