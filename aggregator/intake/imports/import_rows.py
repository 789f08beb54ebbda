"""Rows in order of time, each once: what is there twice is counted, what contradicts another row is refused. Pure.

A row is a tuple as it is sorted: its instant, what else tells it apart, its line, its figures.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from aggregator.core.errors import Refused
from aggregator.core.periods import iso_utc
from aggregator.core.readings import Reading
from aggregator.intake.imports.interval_registers import Exact

Row = tuple[Any, ...]
Refuse = Callable[[int, bytes, Refused], None]  # the line, what it says, and why not


def unique(rows: Iterable[Row], refuse: Refuse, repeated: Callable[[], None]) -> Iterator[Row]:
    """The first of the rows that say the same of an instant; none, where one of them says something else.

    Which one is right cannot be told, and so it does not depend on the order of the file.
    """
    first: Row | None = None
    is_contradicted = False
    for row in rows:
        if first is None or row[0] != first[0]:
            if first and not is_contradicted:
                yield first
            first, is_contradicted = row, False
        elif _said(row) == _said(first):
            repeated()
        else:
            if not is_contradicted:
                refuse(*_contradiction(first, f"line {row[2]} says something else of the same time"))
            refuse(*_contradiction(row, f"line {first[2]} says something else of the same time"))
            is_contradicted = True
    if first and not is_contradicted:
        yield first


def exact_intervals(rows: Iterable[Row], refuse: Refuse) -> Iterator[Exact]:
    """Rows of intervals, without those that begin before the one before them ends."""
    before: Exact | None = None
    for row in rows:
        interval = Exact(*row)
        if before and interval.start < before.end:
            refuse(*_contradiction(row, f"the interval of line {before.line} goes on until {iso_utc(before.end)}"))
        else:
            yield interval
            before = interval


def readings_of(rows: Iterable[Row]) -> Iterator[Reading]:
    """Rows of instants as readings."""
    for at, device_id, _, *said in rows:
        yield Reading(device_id, at, *said)


def _said(row: Row) -> Row:
    return row[1], *row[3:]


def _contradiction(row: Row, detail: str) -> tuple[int, bytes, Refused]:
    at, _, line, *_ = row
    return line, f"line {line}, {iso_utc(at)}".encode(), Refused("contradiction", detail)
