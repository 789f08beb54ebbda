"""What each command does with a store that does not exist: those that add something make it, and no other."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from aggregator.store.port import Store
from dashboard import server
from dashboard.commands.main import main
from tests.dashboard.people import SECRET

REASON = ("--reason", "no data")
MAKE = {
    "ingest": (),
    "import": ("FILE", "--format", "csv", "--device", "d"),
    "device set": ("d",),
    "user add": ("ann@example.org",),
    "worker": (),
    "simulate": (),
    "web": (),
    "ingest-server": (),
}
READ_OR_MEND = {
    "show": ("day", "d"),
    "device token": ("d",),
    "device list": (),
    "tariff set": ("d", "FILE"),
    "tariff unset": ("d",),
    "tariff show": ("d",),
    "tariff import": ("d", "FILE"),
    "tariff compare": ("d", "FILE"),
    "reprice": ("d",),
    "verify": (),
    "audit": (),
    "refused": ("d",),
    "inspect": ("d",),
    "fleet": (),
    "rebuild": ("d",),
    "exchange": ("d", "2026-11-01T00:00:00Z", *REASON),
    "bundle": ("d", *REASON),
    "user list": (),
    "user set": ("ann@example.org",),
    "user disable": ("ann@example.org",),
    "user enable": ("ann@example.org",),
    "user sign-out": ("ann@example.org",),
    "user invite": ("ann@example.org",),
}


def with_a_store(group: click.Group, before: str = "") -> Iterator[str]:
    """Yield the names of the commands that have the option `--store`."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from with_a_store(command, f"{name} ")
        elif any(option.name == "store_url" for option in command.params):
            yield before + name


def run(name: str, arguments: tuple[str, ...], path: Path, file: Path) -> tuple[int, str]:
    file.write_text("{}")
    given = [str(file) if one == "FILE" else one for one in arguments]
    result = CliRunner().invoke(main, [*name.split(), *given, "--store", f"sqlite:///{path}"])
    return result.exit_code, result.stderr


def test_every_command_with_a_store_is_tried() -> None:
    assert set(with_a_store(main)) == {*MAKE, *READ_OR_MEND}


@pytest.mark.parametrize("name", READ_OR_MEND)
def test_a_command_that_reads_or_mends_never_creates_a_store(tmp_path: Path, name: str) -> None:
    for path in (tmp_path / "mistyped.db", tmp_path / "mistyped" / "wattfall.db"):
        assert run(name, READ_OR_MEND[name], path, tmp_path / "file") == (
            2,
            f"wattfall: {path} does not exist; correct WATTFALL_STORE or --store\n",
        )
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", READ_OR_MEND)
def test_a_command_that_reads_or_mends_makes_no_store_of_an_empty_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    assert run(name, READ_OR_MEND[name], path, tmp_path / "file")[0] == 2
    assert path.stat().st_size == 0


@pytest.mark.parametrize("name", MAKE)
def test_a_command_that_adds_creates_no_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / "mistyped" / "wattfall.db"
    assert run(name, MAKE[name], path, tmp_path / "file") == (
        2,
        f"wattfall: {path} cannot be created: its folder does not exist\n",
    )
    assert not path.parent.exists()


@pytest.mark.parametrize("name", MAKE)
def test_a_command_that_adds_creates_the_store(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> Store:
        raise SystemExit(0)

    monkeypatch.setenv("WATTFALL_SECRET", SECRET)
    for module, work in (("process_commands", "run_worker"), ("process_commands", "fill")):
        monkeypatch.setattr(f"aggregator.commands.{module}.{work}", stop)
    for serve in ("serve_web", "serve_ingest"):
        monkeypatch.setattr(server, serve, stop)
    run(name, MAKE[name], tmp_path / "wattfall.db", tmp_path / "file")
    assert (tmp_path / "wattfall.db").stat().st_size > 0
