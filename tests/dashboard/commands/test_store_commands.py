"""The files that commands make: which command makes a store, and who may open them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from aggregator.store import open_store
from aggregator.store.port import Store
from dashboard import server
from dashboard.commands.main import main
from tests.dashboard.people import SECRET

TOKEN = "wattfall.home.anything"
REASON = ("--reason", "no data")
MAKE = {
    "ingest": (),
    "import": ("FILE", "--device", "d"),
    "device set": ("d",),
    "device token": ("d",),
    "device code": ("d",),
    "user add": ("ann@example.org",),
    "provision": ("FILE",),
    "worker": (),
    "simulate": (),
    "web": (),
    "ingest-server": (),
}
READ_OR_MEND = {
    "show": ("day", "d"),
    "device move": ("d", "--to", "h", "--from", "2026-11-01"),
    "device list": (),
    "tariff set": ("d", "FILE"),
    "tariff unset": ("d",),
    "tariff show": ("d",),
    "tariff import": ("d", "FILE"),
    "tariff compare": ("d", "FILE"),
    "reprice": ("d",),
    "verify": (),
    "backup": ("FILE",),
    "household export": ("h", "FILE"),
    "household erase": ("h",),
    "household keep": ("h",),
    "household due": (),
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
    "user reset": ("ann@example.org",),
    "user reset-second-factor": ("ann@example.org",),
}


def with_a_store(group: click.Group, before: str = "") -> Iterator[str]:
    """Yield the names of the commands that have the option `--store`."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from with_a_store(command, f"{name} ")
        elif any("--store" in option.opts for option in command.params):
            yield before + name


def run(name: str, arguments: tuple[str, ...], path: Path, file: Path) -> tuple[int, str]:
    file.write_text("{}")
    given = [str(file) if one == "FILE" else one for one in arguments]
    result = CliRunner().invoke(main, [*name.split(), *given, "--store", f"sqlite:///{path}"])
    return result.exit_code, result.stderr


def test_every_command_with_a_store_is_tried() -> None:
    assert set(with_a_store(main)) == {
        *MAKE,
        *READ_OR_MEND,
        "restore",  # a new machine has no store yet
        "doctor",  # says so beside other things
        *("tables create", "tables describe", "tables delete", "replay"),  # of AWS alone
    }


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


# Who may open them


def modes(folder: Path) -> dict[str, str]:
    """Return the permissions of everything in a folder."""
    return {str(one.relative_to(folder)): oct(one.stat().st_mode & 0o777) for one in folder.rglob("*")}


def alone(umask: int, *arguments: str, **environ: str) -> str:
    """Run a command in a process of its own; return what it says on stderr."""
    command = [sys.executable, "-m", "dashboard.commands.main", *arguments]
    done = subprocess.run(
        command, env=os.environ | environ, umask=umask, input="", capture_output=True, text=True, check=True
    )
    return done.stderr


@pytest.mark.parametrize("umask", [0, 0o022])
def test_files_and_folders_are_their_owners_alone(tmp_path: Path, umask: int) -> None:
    data = {"XDG_DATA_HOME": str(tmp_path / "data"), "WATTFALL_STORE": ""}
    assert alone(umask, "device", "set", "home", **data) == ""
    alone(umask, "bundle", "home", str(tmp_path / "bundle.zip"), *REASON, **data)
    alone(umask, "edge", "--source", "-", "--to", "http://localhost:9", WATTFALL_TOKEN=TOKEN, **data)
    assert modes(tmp_path) == {
        "data": "0o700",
        "data/wattfall": "0o700",
        "data/wattfall/wattfall.db": "0o600",
        "data/wattfall/edge": "0o700",
        "data/wattfall/edge/edge.db": "0o600",
        "bundle.zip": "0o600",
    }


def test_the_files_of_an_open_store_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(open_store(f"sqlite:///{tmp_path}/wattfall.db")) as store:
            store.mark("day", "d", ["2026-01-01"])
            assert modes(tmp_path) == {f"wattfall.db{end}": "0o600" for end in ("", "-wal", "-shm")}
    finally:
        os.umask(before)


def test_a_store_that_others_can_open_is_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "wattfall.db"
    open_store(f"sqlite:///{path}").close()
    assert caplog.messages == []
    other = tmp_path / "open.db"
    path.rename(other)
    other.chmod(0o604)
    for _ in range(2):
        open_store(f"sqlite:///{other}").close()
    assert caplog.messages == [f"{other} can be opened by other users; `chmod go= {other}*` makes it its owner's alone"]


def test_a_bundle_closes_a_file_that_others_could_open(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.zip"
    bundle.touch(mode=0o644)
    url = f"sqlite:///{tmp_path}/wattfall.db"
    for command in (["device", "set", "home"], ["bundle", "home", str(bundle), *REASON]):
        assert CliRunner().invoke(main, [*command, "--store", url]).exit_code == 0
    assert modes(tmp_path)["bundle.zip"] == "0o600"


def test_an_import_into_a_file_loads_neither_boto3_nor_dash(tmp_path: Path) -> None:
    """Both take longer to load than a small file takes to import."""
    file = tmp_path / "usage.csv"
    file.write_text("start,import_kwh\n2026-03-01T00:00Z,0.25\n2026-03-01T00:30Z,0.25\n")
    script = (
        "import sys; from dashboard.commands.main import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print({'boto3', 'dash'} & set(sys.modules), file=sys.stderr)"
    )
    arguments = ["import", str(file), "--device", "d", "--store", f"sqlite:///{tmp_path}/w.db", "--interval", "30m"]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "set()\n"), done.stdout
