"""The settings: one table; the environment is read once, here, at start."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from platformdirs import user_data_path

from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import RETENTION_DAYS, check_timezone


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one installation."""

    store: str
    retention_days: int
    timezone: str
    cache: str
    port: int
    web_workers: int
    secret: str = field(default="", repr=False)
    url: str = ""
    proxies: int = 0
    audit_secrets: tuple[str, ...] = field(default=("",), repr=False)  # the present one first; empty in the demo
    smtp: str = ""
    smtp_password: str = field(default="", repr=False)
    mail_from: str = ""
    oidc_issuer: str = ""
    oidc_client: str = ""
    oidc_secret: str = field(default="", repr=False)
    oidc_role_claim: str = "role"
    oidc_acrs: tuple[str, ...] = ()
    mqtt_password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    log: str = "text"
    metrics: str = ""
    metrics_token: str = field(default="", repr=False)
    backup_dir: str = ""
    backups_kept: int = 14


SHORTEST_SECRET = 32  # characters
WARNINGS = "warnings"  # a form of the log
SMTP_PORTS = {"smtps": 465, "smtp": 587}
HERE = ("localhost", "127.0.0.1", "::1")
_LISTENING = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})")
MAKE_ONE = "make one with `python3 -c 'import secrets; print(secrets.token_urlsafe(32))'`"


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


def _secret(text: str) -> str:
    if text and len(text) < SHORTEST_SECRET:
        raise ConfigurationError(f"it is shorter than {SHORTEST_SECRET} characters; {MAKE_ONE}")
    return text


def _secrets(text: str) -> tuple[str, ...]:
    return tuple(_secret(one.strip()) for one in text.split(",") if one.strip())


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, text.split(","))))


def _site(text: str) -> str:
    """A URL without its last slash: https, or http on this machine."""
    parts = urlsplit(text)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in HERE)
    if text and not (is_safe and parts.hostname and not parts.query and not parts.fragment and text.isprintable()):
        raise ConfigurationError(f"{text!r} is not like https://energy.example.org (http only on localhost)")
    return text


def _address(text: str) -> str:
    if urlsplit(_site(text)).path.strip("/"):
        raise ConfigurationError(f"{text!r} has a path; Wattfall is at the top of its address")
    return text.rstrip("/")


def _one_of(*names: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise ConfigurationError(f"{text!r} is none of {', '.join(names)}")
        return text

    return read


def _mail_server(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in SMTP_PORTS or not parts.hostname or parts.password is not None):
        raise ConfigurationError(
            f"{parts.scheme or text!r} is not like smtps://user@mail.example.org (smtp:// begins with STARTTLS);"
            " the password is in WATTFALL_SMTP_PASSWORD"
        )
    return text


def _mailbox(text: str) -> str:
    if text and not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", text):
        raise ConfigurationError(f"{text!r} is not like wattfall@example.org")
    return text


def _listening(text: str) -> str:
    found = _LISTENING.fullmatch(text)
    if text and not (found and 0 < int(found[1]) < 65536):
        raise ConfigurationError(f"{text!r} is not like 127.0.0.1:9464")
    return text


def _redis(text: str) -> str:
    """The address of a Redis. It may hold a password, so errors do not show it."""
    if not text:
        return text
    if not text.startswith(("redis://", "rediss://")):
        raise ConfigurationError("it is not a redis:// URL; try one like redis://localhost:6379")
    if find_spec("redis") is None:
        raise ConfigurationError("it needs a package that is not installed: pip install 'wattfall[redis]'")
    from redis.connection import parse_url

    try:
        parse_url(text)  # type: ignore[no-untyped-call]
    except ValueError:
        raise ConfigurationError("it cannot be read; try one like redis://localhost:6379") from None
    return text


SETTINGS = (
    Setting(
        "WATTFALL_STORE", "store", "", str, "where documents live; empty is a SQLite file in the user's data folder"
    ),
    Setting(
        "WATTFALL_RETENTION_DAYS", "retention_days", str(RETENTION_DAYS), _from(2, 3650), "how long readings are kept"
    ),
    Setting("WATTFALL_TIMEZONE", "timezone", "Europe/London", check_timezone, "of a device that registers itself"),
    Setting(
        "WATTFALL_CACHE",
        "cache",
        "",
        _redis,
        "a redis:// URL that web processes share and erasures empty; empty is one cache each",
    ),
    Setting("PORT", "port", "8050", _from(1, 65535), "where the web process listens"),
    Setting("WEB_CONCURRENCY", "web_workers", "2", _from(1, 64), "how many web worker processes"),
    Setting("WATTFALL_SECRET", "secret", "", _secret, "signs the cookies and the audit; only the demo does without"),
    Setting("WATTFALL_OLD_SECRETS", "audit_secrets", "", _secrets, "former secrets, to check the audit; comma between"),
    Setting("WATTFALL_URL", "url", "", _address, "the public address, as in https://energy.example.org"),
    Setting("WATTFALL_PROXIES", "proxies", "0", _from(0, 9), "how many reverse proxies stand in front"),
    Setting("WATTFALL_MQTT_PASSWORD", "mqtt_password", "", str, "of the user that --mqtt or --source names"),
    Setting("WATTFALL_TOKEN", "token", "", str, "the device's token, with which `wattfall edge` sends"),
    Setting(
        "WATTFALL_LOG",
        "log",
        "text",
        _one_of("text", "json", WARNINGS),
        "how processes log: text, json with one object a line, or `warnings` alone, as text",
    ),
    Setting(
        "WATTFALL_METRICS", "metrics", "", _listening, "where the worker answers /metrics and /ready: 127.0.0.1:9464"
    ),
    Setting(
        "WATTFALL_METRICS_TOKEN",
        "metrics_token",
        "",
        _secret,
        "with which Prometheus reads /metrics of the web process",
    ),
    Setting("WATTFALL_BACKUP_DIR", "backup_dir", "", str, "where the worker puts a backup each day; empty makes none"),
    Setting("WATTFALL_BACKUP_DAYS", "backups_kept", "14", _from(1, 3650), "how many of these backups are kept"),
    Setting(
        "WATTFALL_SMTP",
        "smtp",
        "",
        _mail_server,
        "a mail server for links to a password: smtps://user@mail.example.org",
    ),
    Setting("WATTFALL_SMTP_PASSWORD", "smtp_password", "", str, "of the user at the mail server"),
    Setting("WATTFALL_MAIL_FROM", "mail_from", "", _mailbox, "the sender of these mails"),
    Setting("WATTFALL_OIDC_ISSUER", "oidc_issuer", "", _site, "an OpenID Connect provider to sign in with"),
    Setting("WATTFALL_OIDC_CLIENT", "oidc_client", "", str, "what the provider calls Wattfall"),
    Setting("WATTFALL_OIDC_SECRET", "oidc_secret", "", str, "what Wattfall proves that with"),
    Setting("WATTFALL_OIDC_ROLE_CLAIM", "oidc_role_claim", "role", str, "the claim that holds the role"),
    Setting("WATTFALL_OIDC_ACR", "oidc_acrs", "", _words, "values of `acr` that mean a second factor; comma between"),
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
    values["audit_secrets"] = (values["secret"], *values["audit_secrets"])
    return Settings(**values)


def default_store() -> str:
    """The store of somebody who named none."""
    return sqlite_url(data_folder() / "wattfall.db")


def data_folder() -> Path:
    """Return Wattfall's folder among the user's data."""
    return user_data_path("wattfall", appauthor=False)


def sqlite_url(path: Path) -> str:
    """The store URL of a SQLite file."""
    return f"sqlite:///{path}"
