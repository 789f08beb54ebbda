"""A level that the product does not have: quarters of a year. One row, and its words; nothing else says `quarter`."""

from collections.abc import Iterator
from contextlib import contextmanager

from aggregator.core.periods import LEVELS, Level
from dashboard.text.words import LEVEL_WORDS, Comparison, LevelWords


def _shift(quarter: str, by: int) -> str:
    count = int(quarter[:4]) * 4 + int(quarter[6:]) - 1 + by
    return f"{count // 4:04d}-Q{count % 4 + 1}"


ROW = Level(
    "quarter",
    "quarters",
    "month",
    "m",
    of_day=lambda day: f"{day[:4]}-Q{(int(day[5:7]) + 2) // 3}",
    first_day=lambda quarter: f"{quarter[:4]}-{int(quarter[6:]) * 3 - 2:02d}-01",
    shift=_shift,
    part_of=lambda month: str((int(month[5:7]) - 1) % 3 + 1),
)
WORDS = LevelWords(
    tab="Quarter",
    current="This quarter",
    choose="Choose a quarter",
    to_come="This quarter is still to come",
    begin="The readings of this device begin in {period}.",
    name="QQQ y",
    name_in_year="QQQ",
    above="QQQ",
    share="{share} of the quarter",
    rest="y",
    comparisons={"previous": Comparison(1, "the quarter before"), "year": Comparison(4, "a year ago")},
)


def add() -> None:
    """Put the row between the month's and the year's, and the words among the others."""
    rows = [*LEVELS.values()]
    rows.insert(2, ROW)
    LEVELS.clear()
    LEVELS.update({row.name: row for row in rows})
    LEVEL_WORDS[ROW.name] = WORDS


@contextmanager
def added() -> Iterator[None]:
    """A product with quarters, for a while."""
    add()
    try:
        yield
    finally:
        del LEVELS[ROW.name], LEVEL_WORDS[ROW.name]


@contextmanager
def gone() -> Iterator[None]:
    """Within `added`, the product as it was before."""
    del LEVELS[ROW.name]
    try:
        yield
    finally:
        add()
