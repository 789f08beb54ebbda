"""The documentation stays true: the README, and one for each package."""

import re
from pathlib import Path

from aggregator.settings import SETTINGS
from dashboard.commands.main import main

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "aggregator/README.md", "dashboard/README.md", ".github/CONTRIBUTING.md")
TEXTS = {name: (ROOT / name).read_text() for name in PAGES}
ALL = "\n".join(TEXTS.values())


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings make."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_setting_is_documented_with_its_default_and_meaning() -> None:
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in ALL.splitlines() if line.startswith("|")]

    assert [[one.variable, one.default, one.meaning] for one in SETTINGS] == [
        row for row in rows if row[0] in {one.variable for one in SETTINGS}
    ]


def test_every_command_is_documented() -> None:
    assert [name for name in main.commands if f"`wattfall {name}" not in ALL] == []


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    links = [(name, link) for name, text in TEXTS.items() for link in re.findall(r"\]\(([^)]+)\)", text)]
    broken = []
    for name, link in links:
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        is_there = link.startswith("https://") or (
            target.exists() and (not anchor or anchor in anchors(target.read_text()))
        )
        broken += [] if is_there else [(name, link)]
    assert broken == []
