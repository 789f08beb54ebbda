"""`wattfall provision`: what it prints, its exit codes, and the file of links."""

import csv
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aggregator.settings import load
from aggregator.store import open_store
from dashboard.commands.provision import provision_command
from tests.dashboard.people import PASSWORD, accounts_on

TEXT = "device,household,email\ncad-1,acacia,ann@example.org\ncad-2,oak,\n"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/homes.db"


def run(url: str, tmp_path: Path, *options: str, text: str = TEXT) -> Result:
    source = tmp_path / "homes.csv"
    source.write_text(text, encoding="utf-8-sig")
    open_store(url).close()
    return CliRunner().invoke(provision_command, [str(source), "--store", url, *options], obj=load({}))


def test_a_file_is_carried_out_and_a_second_run_says_that_nothing_has_changed(url: str, tmp_path: Path) -> None:
    links = tmp_path / "links.csv"
    first = run(url, tmp_path, "--invitations", str(links))
    assert (first.exit_code, first.output) == (0, "devices: 2 made\npeople: 1 made\n")
    second = run(url, tmp_path, "--invitations", str(links))
    assert (second.exit_code, second.output) == (
        0,
        "devices: 2 unchanged\npeople: 1 unchanged\nnothing has changed\n",
    )
    header, row = csv.reader(links.read_text().splitlines())
    assert (header, row[0], stat.S_IMODE(links.stat().st_mode)) == (["email", "link"], "ann@example.org", 0o600)
    assert accounts_on(open_store(url)).accept(row[1].rpartition("/")[2], PASSWORD)


def test_the_file_of_links_computes_nothing_in_a_spreadsheet(url: str, tmp_path: Path) -> None:
    links = tmp_path / "links.csv"
    run(url, tmp_path, "--invitations", str(links), text="email,household\n=1+1@example.org,acacia\n")
    _, row = csv.reader(links.read_text().splitlines())
    assert row[0] == "'=1+1@example.org"


def test_a_dry_run_says_that_nothing_has_changed(url: str, tmp_path: Path) -> None:
    found = run(url, tmp_path, "--dry-run", "--invitations", str(tmp_path / "links.csv"))
    assert (found.exit_code, found.output) == (
        0,
        "devices: 2 made\npeople: 1 made\nthis was a dry run; nothing has changed\n",
    )
    assert list(open_store(url).devices()) == []


def test_refused_rows_are_named_with_their_line_and_end_with_exit_code_2(url: str, tmp_path: Path) -> None:
    found = run(url, tmp_path, text="device,kind\ncad-1,steam\ncad-2,gas\n")
    assert (found.exit_code, found.stdout) == (2, "devices: 1 made\nrows refused: 1\n")
    assert found.stderr == "line 2: 'steam' is no kind of meter; take electricity, gas, generation\n"


@pytest.mark.parametrize(("options", "said"), [((), ""), (("--dry-run",), "this was a dry run; nothing has changed\n")])
def test_new_people_need_a_file_for_their_links(url: str, tmp_path: Path, options: list[str], said: str) -> None:
    found = run(url, tmp_path, *options)
    assert (found.exit_code, found.stdout) == (2, f"devices: 1 made\nrows refused: 1\n{said}")
    assert "name a file for these with --invitations" in found.stderr


def test_a_file_of_links_that_others_can_read_is_refused(url: str, tmp_path: Path) -> None:
    links = tmp_path / "links.csv"
    links.touch(0o644)
    found = run(url, tmp_path, "--invitations", str(links))
    assert "chmod 600" in str(found.exception)
    assert list(open_store(url).devices()) == []


def test_a_file_in_another_encoding_is_named(url: str, tmp_path: Path) -> None:
    source = tmp_path / "latin.csv"
    source.write_bytes("device,name\ncad-1,Straße\n".encode("latin-1"))
    open_store(url).close()
    found = CliRunner().invoke(provision_command, [str(source), "--store", url], obj=load({}))
    assert "save it as CSV in UTF-8" in str(found.exception)
