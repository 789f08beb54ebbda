"""A file's table, and tables of other shapes made into one with a row for each time and a column for the time. Pure.

`unpivoted` makes a row for each time of a table that has a column for each. `joined` makes a date and a time of day of
the columns year, month, day, hour and minute.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from aggregator.core.errors import ConfigurationError, Phrase, Refused
from aggregator.core.periods import DAY_S
from aggregator.intake.tables.notation import is_summary, read_clock, read_time

WIDE = 12  # columns named by times; fewer are a table of another kind
_COUNTED = re.compile(r"[^\W\d]*[ _]?([0-9]{1,3})")
_SPREAD = (  # the words for the parts of a time, in lower case
    "year jahr année annee año ano anno jaar år ar vuosi rok",
    "month monat mois mes mese maand måned maned månad manad kuukausi miesiąc miesiac",
    "day tag jour día dia giorno dag päivä paiva dzień dzien",
    "hour stunde heure hora ora uur time timme tunti godzina",
    "minute minuten minuto minuut minut minuutti minuta min",
)
_PARTS = [frozenset(words.split()) for words in _SPREAD]

Cells = tuple[int, str, list[str]]  # the number of a row, its text, its cells


SHEET_ROWS = 1 << 20  # the most rows of a sheet of Excel


class FileTable(NamedTuple):
    """A file as rows of cells under names."""

    format: str  # as `wattfall import --formats` lists it
    names: tuple[str, ...]
    rows: Callable[[], Iterator[Cells]]  # opens the rows anew
    about: Mapping[str, str]  # what is said before the header, by name
    unit: str = "line"  # what row numbers count
    delimiter: str = ""
    encoding: str = ""
    header: int = 0  # line number; 0 without one
    sheets: Sequence[str] = ()  # of a workbook that has several; each has SHEET_ROWS of the row numbers

    def place(self, number: int) -> Phrase:
        """Return a row as its file shows it: `line 12`, `row 12 of the sheet May`."""
        if not self.sheets:
            return Phrase("{unit} {line}", unit=self.unit, line=number)
        sheet, above = divmod(number - 1, SHEET_ROWS)
        return Phrase("row {line} of the sheet {sheet}", line=above + 1, sheet=self.sheets[sheet])


def slot_columns(names: Sequence[str]) -> list[int]:
    """Return the places of the columns that are named by the times of a day, or by times; empty for other tables.

    The names ascend: `00:00`, `00:30`, ...; `H1` to `H24`; `2026-01-01T00:00:00Z`, ...
    """
    for value in (_clock_value, _time_value, _count_value):
        found = [(place, at) for place, name in enumerate(names) if (at := value(name)) is not None]
        ascending = all(one[1] < other[1] for one, other in pairwise(found[:-1]))
        if len(found) >= WIDE and ascending and found[-1][0] - found[0][0] == len(found) - 1:
            return [place for place, _ in found]
    return []


_UNIT = re.compile(r"\s*[(\[]?\b([kM]?Wh?|m3)\b[)\]]?\s*$")


def _bare(name: str) -> str:
    """Return the name of a column without its unit."""
    return _UNIT.sub("", name).strip()


def _clock_value(name: str) -> float | None:
    first = _bare(name).split("-")[0].strip()
    try:
        return read_clock(first) if ":" in first else None
    except Refused:
        return None


def _time_value(name: str) -> float | None:
    try:
        found = read_time(name) if len(name.strip()) > 9 else None
    except Refused:
        return None
    return found if isinstance(found, int) else found.toordinal() * 86_400 + found.hour * 3600 if found else None


def _count_value(name: str) -> float | None:
    found = _COUNTED.fullmatch(name.strip())
    return int(found[1]) if found and int(found[1]) <= 100 else None


def shaped(table: FileTable) -> FileTable:
    """Return a table with a row for each time, and its time in one column or two."""
    return unpivoted(joined(table))


# Wide tables


def unpivoted(table: FileTable) -> FileTable:
    """Return a table with a row for each of the columns that are named by times; other tables as they are."""
    places = slot_columns(table.names)
    if not places:
        return table
    others = [place for place in range(len(table.names)) if place not in places]
    slots = [_slot_name(_bare(table.names[place])) for place in places]
    units = {found[1] for place in places if (found := _UNIT.search(table.names[place]))}
    name = "hour" if slots[0].isdigit() else "clock" if len(slots[0]) < 9 else "time"
    if name == "clock" and read_clock(slots[0]) > 0 and read_clock(slots[-1]) == 0:
        slots[-1] = "24:00"
    if name == "clock" and read_clock(slots[-1]) == DAY_S and read_clock(slots[0]) == 0:
        raise ConfigurationError(Phrase("the columns of times begin and end at midnight: which interval is each of?"))
    names = (*(table.names[place] for place in others), name, f"energy {units.pop()}" if len(units) == 1 else "energy")
    return table._replace(
        names=names, rows=partial(_unpivoted_rows, table, others, list(zip(places, slots, strict=True)))
    )


def _slot_name(text: str) -> str:
    digits = "".join(filter(str.isdigit, text))
    return (
        text.strip().split("-")[0].strip()
        if ":" in text and len(text.strip()) < 14
        else digits
        if len(digits) < 4
        else text.strip()
    )


def _unpivoted_rows(table: FileTable, others: Sequence[int], slots: Sequence[tuple[int, str]]) -> Iterator[Cells]:
    for number, text, row in table.rows():
        fixed = [row[place] if place < len(row) else "" for place in others]
        for place, slot in slots[:1] if is_summary(row[0]) else slots:
            if place < len(row):
                yield number, text[:200], [*fixed, slot, row[place]]


# A time in several columns


def spread_columns(names: Sequence[str], row: Sequence[str]) -> list[int]:
    """Return the places of year, month, day, and of hour and minute where they are there; empty for other tables."""
    found = _places_of_parts(names)
    values = [row[place].strip() if 0 <= place < len(row) else "" for place in found]
    is_date = all(one.isdecimal() for one in values[:3]) and values[:3] != [""] * 3
    if -1 in found[:3] or not is_date or not 1970 <= int(values[0]) < 2200:
        return []
    return [place for place, value in zip(found, values, strict=True) if value.isdecimal()]


def _places_of_parts(names: Sequence[str]) -> list[int]:
    lower = [name.strip().lower() for name in names]
    return [next((place for place, name in enumerate(lower) if name in words), -1) for words in _PARTS]


def joined(table: FileTable) -> FileTable:
    """Return a table with the date and the time of day in one column each; other tables as they are."""
    if -1 in _places_of_parts(table.names)[:3]:
        return table
    first = next((cells for _, _, cells in table.rows()), [])
    places = spread_columns(table.names, first)
    if not places:
        return table
    used = places if len(places) != 4 else places[:3]  # an hour alone may be numbered from 1
    others = [place for place in range(len(table.names)) if place not in used]
    names = ("date", *(["clock"] if len(used) > 3 else []), *(table.names[place] for place in others))
    return table._replace(names=names, rows=partial(_joined_rows, table, used, others))


def _joined_rows(table: FileTable, used: Sequence[int], others: Sequence[int]) -> Iterator[Cells]:
    for number, text, row in table.rows():
        parts = [row[place].strip() if place < len(row) else "" for place in used]
        day = "-".join(one.zfill(2) for one in parts[:3])
        clock = [":".join(one.zfill(2) for one in parts[3:])] if parts[3:] else []
        yield number, text, [day, *clock, *(row[place] if place < len(row) else "" for place in others)]
