"""The environment is read once, at start, and a wrong value fails there with its name."""

import pytest

from aggregator.core.errors import ConfigurationError
from aggregator.settings import SETTINGS, Settings, load
from aggregator.store import open_store


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = load({})
    assert settings == Settings(settings.store, 35, "Europe/London", "", 8050, 2)
    assert settings.store.startswith("sqlite:////")
    assert settings.store.endswith("/wattfall.db")


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert load({setting.variable: "" for setting in SETTINGS}) == load({})


def test_every_setting_can_be_set() -> None:
    environ = {
        "WATTFALL_STORE": "dynamodb://wattfall",
        "WATTFALL_RETENTION_DAYS": "400",
        "WATTFALL_TIMEZONE": "Asia/Kathmandu",
        "WATTFALL_CACHE": "redis://cache",
        "PORT": "80",
        "WEB_CONCURRENCY": "8",
        "HOME_WITHOUT_MEANING": "x",
    }
    assert load(environ) == Settings("dynamodb://wattfall", 400, "Asia/Kathmandu", "redis://cache", 80, 8)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WATTFALL_RETENTION_DAYS", "soon"),
        ("WATTFALL_RETENTION_DAYS", "1"),
        ("WATTFALL_RETENTION_DAYS", "3651"),
        ("WATTFALL_RETENTION_DAYS", "-5"),
        ("WATTFALL_RETENTION_DAYS", "35.0"),
        ("WATTFALL_RETENTION_DAYS", "³⁵"),
        ("WATTFALL_RETENTION_DAYS", "9" * 5000),  # more digits than Python reads
        ("WATTFALL_TIMEZONE", "Mars/Olympus"),
        ("WATTFALL_TIMEZONE", "europe/london"),
        ("WATTFALL_TIMEZONE", "../etc/passwd"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("WATTFALL_LOG", "xml"),
        ("WATTFALL_METRICS", "9464"),
        ("WATTFALL_METRICS", "127.0.0.1:port"),
        ("WATTFALL_METRICS", "user@127.0.0.1:9464"),
        ("WEB_CONCURRENCY", "0"),
        ("WEB_CONCURRENCY", "1e3"),
    ],
)
def test_a_wrong_value_names_the_variable_and_the_value(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        load({variable: value})
    assert str(wrong.value).startswith(f"{variable}: ")
    assert value in str(wrong.value)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nonsense", "it is not a redis:// URL"),
        ("memcached://localhost", "it is not a redis:// URL"),
        ("redis://:word@localhost:many", "it cannot be read; "),
        ("redis://:word/more@localhost:6379", "it cannot be read; "),
        ("redis://localhost/?socket_timeout=soon", "it cannot be read; "),
    ],
)
def test_a_wrong_cache_names_the_variable_and_shows_no_password(url: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=f"WATTFALL_CACHE: {why}") as wrong:
        load({"WATTFALL_CACHE": url})
    assert "word" not in str(wrong.value)


@pytest.mark.parametrize("url", ["redis://localhost:6379", "redis://localhost/2", "rediss://:secret@cache:1"])
def test_a_cache_need_not_answer_at_start(url: str) -> None:
    assert load({"WATTFALL_CACHE": url}).cache == url


@pytest.mark.parametrize("url", ["", "wattfall.db", "sqlite://wattfall.db", "sqlite:///", "redis://x", "/tmp/x.db"])
def test_a_store_that_is_none_is_a_matter_of_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not a store; write it like sqlite:///wattfall\.db"):
        open_store(url)
