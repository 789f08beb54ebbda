"""The settings: one table; the environment is read once, here, at start."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from platformdirs import user_data_path

from aggregator.errors import ConfigurationError
from aggregator.periods import check_timezone


@dataclass(frozen=True, slots=True)
class Settings:
    """What one installation decides for itself."""

    store: str
    retention_days: int
    timezone: str
    cache: str
    port: int
    web_workers: int


class Setting(NamedTuple):
    """A variable of the environment: its field in Settings, default, reader and meaning."""

    variable: str
    field: str
    default: str
    read: Callable[[str], Any]
    meaning: str


def _from(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 9 or not least <= int(text) <= most:
            raise ConfigurationError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return read


SETTINGS = (
    Setting(
        "WATTFALL_STORE", "store", "", str, "where documents live; empty is a SQLite file in the user's data folder"
    ),
    Setting("WATTFALL_RETENTION_DAYS", "retention_days", "35", _from(2, 3650), "how long readings are kept"),
    Setting("WATTFALL_TIMEZONE", "timezone", "Europe/London", check_timezone, "of a device that registers itself"),
    Setting("WATTFALL_CACHE", "cache", "", str, "a redis:// URL shared by several web processes; empty is one each"),
    Setting("PORT", "port", "8050", _from(1, 65535), "where the web process listens"),
    Setting("WEB_CONCURRENCY", "web_workers", "2", _from(1, 64), "how many web worker processes"),
)


def load(environ: Mapping[str, str]) -> Settings:
    """The settings of an environment. Raises ConfigurationError with the name of a variable that is wrong."""
    values = {}
    for setting in SETTINGS:
        try:
            values[setting.field] = setting.read(environ.get(setting.variable) or setting.default)
        except ConfigurationError as error:
            raise ConfigurationError(f"{setting.variable}: {error}") from error
    values["store"] = values["store"] or default_store()
    return Settings(**values)


def default_store() -> str:
    """The store of somebody who named none."""
    return sqlite_url(user_data_path("wattfall", appauthor=False) / "wattfall.db")


def sqlite_url(path: Path) -> str:
    """The store URL of a SQLite file."""
    return f"sqlite:///{path}"
