"""The README stays true."""

from pathlib import Path

from aggregator.settings import SETTINGS
from dashboard.commands.main import main

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_every_setting_is_in_the_readme_with_its_default_and_meaning() -> None:
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:-1]] for line in README.splitlines() if line.startswith("|")
    ]

    assert [[one.variable, one.default, one.meaning] for one in SETTINGS] == [
        row for row in rows if row[0] in {one.variable for one in SETTINGS}
    ]


def test_every_command_is_in_the_readme() -> None:
    assert [name for name in main.commands if f"`wattfall {name}" not in README] == []
