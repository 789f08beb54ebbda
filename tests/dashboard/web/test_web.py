"""The requirements of `wattfall web` before it serves anybody."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.demo.feed import is_demo, mark_as_demo
from aggregator.settings import load
from aggregator.store import open_store
from aggregator.store.port import Store
from dashboard import server
from dashboard.commands.main import main

SECRET = "0123456789abcdef" * 2


Said = Callable[..., str]


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Said:
    """Return the one line of a web process that fails to start."""
    for name in [name for name in os.environ if name.startswith("WATTFALL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(server, "_serve", lambda *_: pytest.fail("it has started"))

    def said(**environ: str) -> str:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(["web", "--store", f"sqlite:///{tmp_path}/homes.db"])
        said, line = capfd.readouterr()
        assert (ended.value.code, said, line.count("\n")) == (2, "", 1)
        return line

    return said


def test_a_real_store_needs_a_secret(said: Said) -> None:
    line = said()
    assert line.startswith("wattfall: WATTFALL_SECRET is not set, and signs the cookies; make one with `python3 -c ")


def test_a_short_secret_is_refused_and_not_echoed(said: Said) -> None:
    line = said(WATTFALL_SECRET="hunter2-hunter2")
    assert "WATTFALL_SECRET: it is shorter than 32 characters" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WATTFALL_URL", "http://energy.example.org"),
        ("WATTFALL_URL", "energy.example.org"),
        ("WATTFALL_URL", "https://energy.example.org/wattfall"),
        ("WATTFALL_URL", "https://energy.example.org?x"),
        ("WATTFALL_OIDC_ISSUER", "http://idp.example.org"),
        ("WATTFALL_OIDC_ISSUER", "ftp://idp.example.org"),
        ("WATTFALL_PROXIES", "many"),
    ],
)
def test_an_unsafe_address_is_refused_by_its_setting(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{variable}: "):
        load({variable: value})


@pytest.mark.parametrize("url", ["https://energy.example.org", "http://localhost:8050", "http://127.0.0.1:8050"])
def test_a_safe_address_is_accepted(url: str) -> None:
    assert load({"WATTFALL_URL": f"{url}/"}).url == url


def test_secrets_are_in_no_repr() -> None:
    settings = load({"WATTFALL_SECRET": SECRET, "WATTFALL_OIDC_SECRET": "the secret of the client"})
    assert (settings.secret, settings.oidc_secret) == (SECRET, "the secret of the client")
    assert SECRET not in repr(settings)
    assert "the secret of the client" not in repr(settings)


@pytest.mark.parametrize("real", ["cad-1", "demo", "demo:1", "zulu", "0", "Demo-1"])
def test_a_demo_store_is_marked_and_holds_only_simulated_homes(store: Store, real: str) -> None:
    store.put_device(Device("demo-1"))
    assert not is_demo(store)
    mark_as_demo(store)
    assert is_demo(store)
    store.put_device(Device(real))
    assert not is_demo(store)


def test_a_demo_without_a_secret_gets_one_at_each_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/demo.db"
    demo = open_store(url)
    mark_as_demo(demo)
    demo.close()
    monkeypatch.delenv("WATTFALL_SECRET", raising=False)
    secrets: list[str] = []
    monkeypatch.setattr(server, "serve_web", lambda settings, *_: secrets.append(settings.secret))
    for _ in range(2):
        with pytest.raises(SystemExit):
            main(["web", "--store", url])
    assert len(set(secrets)) == 2
    assert min(map(len, secrets)) >= 32
