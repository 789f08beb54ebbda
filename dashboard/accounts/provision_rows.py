"""The rows of a provisioning file: CSV of devices, households and people. Pure.

| column | content |
|---|---|
| `device` | id of a device |
| `kind`, `timezone`, `serial`, `meter_point` | of the device |
| `household` | who lives at its home, and to whom the person belongs; `-` for an empty home |
| `from` | the first whole local day of the household there; empty: from ever |
| `name`, `postcode` | of the home |
| `email`, `person`, `role` | address, display name and role of a person |

The header names the columns, in any order; a row has a device, a person or both. An empty cell leaves what is stored.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from aggregator.core.documents import KINDS
from aggregator.core.errors import ConfigurationError, Phrase, Refused, shown
from aggregator.core.periods import check_period, check_timezone
from aggregator.core.readings import check_device_id, sender_of
from dashboard.accounts.users import HOUSEHOLD, ROLES, check_email, check_household, check_name

COLUMNS = (
    *("device", "kind", "timezone", "serial", "meter_point", "household", "from", "name", "postcode"),
    *("email", "person", "role"),
)
NOBODY = "-"  # the household of an empty home
LONGEST = 10_000  # characters of a line


@dataclass(frozen=True, slots=True)
class Row:
    """A valid row; an empty field is not given."""

    line: int
    device: str = ""
    kind: str = ""
    timezone: str = ""
    serial: str = ""
    meter_point: str = ""
    household: str = ""
    first_day: str = ""
    name: str = ""
    postcode: str = ""
    email: str = ""
    person: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was not carried out, and why."""

    line: int
    reason: str


def read_rows(readline: Callable[[int], str]) -> Iterator[Row | Refusal]:
    """Yield the rows of a file, one at a time; `readline` reads a line of at most so many characters.

    Raises ConfigurationError where the file is no such CSV.
    """
    lines = _lines(readline)
    try:
        header = next(lines, "")
        separator = ";" if ";" in header and "," not in header else ","
        columns = _columns(next(csv.reader([header], delimiter=separator), []))
        cells = csv.reader(lines, delimiter=separator, strict=True)
        while True:
            try:
                found = next(cells)
            except StopIteration:
                return
            except csv.Error as error:
                yield Refusal(cells.line_num + 1, Phrase("this is not CSV: {fault}", fault=error))
                continue
            if any(map(str.strip, found)):
                yield _row(cells.line_num + 1, columns, found)
    except UnicodeDecodeError as error:
        raise ConfigurationError(Phrase("the file is not UTF-8; save it as CSV in UTF-8")) from error


def _lines(readline: Callable[[int], str]) -> Iterator[str]:
    number = 0
    while line := readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST:
            raise ConfigurationError(
                Phrase(
                    "line {number} is longer than {most} characters; the file is no list of rows",
                    number=number,
                    most=LONGEST,
                )
            )
        yield line


def _columns(header: list[str]) -> list[str]:
    columns = [cell.strip().lower() for cell in header]
    unknown = [cell for cell in columns if cell not in COLUMNS]
    if unknown or not columns:
        name = shown(unknown[0] if unknown else "")
        text = Phrase("line 1 names the column {name}; the columns are {names}", name=name, names=", ".join(COLUMNS))
        raise ConfigurationError(text)
    if len(set(columns)) < len(columns) or not {"device", "email"} & set(columns):
        raise ConfigurationError(Phrase("line 1 must name each column once, and `device`, `email` or both"))
    return columns


def _row(line: int, columns: list[str], cells: list[str]) -> Row | Refusal:
    if len(cells) > len(columns):
        text = Phrase("it has {number} cells, and the first line {most}", number=len(cells), most=len(columns))
        return Refusal(line, text)
    return row_of(line, {name: cell.strip() for name, cell in zip(columns, cells, strict=False)})


def row_of(line: int, given: Mapping[str, str]) -> Row | Refusal:
    """Return the row of texts by column, or why it is none."""
    fields = {"first_day" if name == "from" else name: text for name, text in given.items()}
    try:
        return checked(Row(line, **fields))
    except Refused as refused:
        return Refusal(line, refused.detail)
    except ConfigurationError as error:
        return Refusal(line, error.args[0])


def checked(row: Row) -> Row:
    """Return a row with its address in the stored form. Raises ConfigurationError or Refused for an invalid one."""
    if not row.device and not row.email:
        raise ConfigurationError(Phrase("it names neither a device nor a person; fill in `device` or `email`"))
    if row.device:
        _check_device(row)
    elif row.first_day or row.household == NOBODY:
        raise ConfigurationError(Phrase("`from` and the household - are about a device; fill in `device`"))
    if not row.email:
        if row.person or row.role:
            raise ConfigurationError(Phrase("`person` and `role` are about an account; fill in `email`"))
        check_household(row.household, HOUSEHOLD)
        return row
    return _with_person(row)


def _check_device(row: Row) -> None:
    sender = sender_of(check_device_id(row.device))
    if sender != row.device and (row.household or row.postcode or row.first_day):
        text = Phrase(
            "{name} belongs to the home of {sender}; give {sender} the household", name=row.device, sender=sender
        )
        raise ConfigurationError(text)
    if row.kind and row.kind not in KINDS:
        text = Phrase("{name} is no kind of meter; take {names}", name=shown(row.kind), names=", ".join(KINDS))
        raise ConfigurationError(text)
    if row.timezone:
        check_timezone(row.timezone)
    if row.first_day:
        check_period("day", row.first_day)
        if not row.household:
            raise ConfigurationError(Phrase("`from` is the first day of a household; fill in `household`"))


def _with_person(row: Row) -> Row:
    if row.role and row.role not in ROLES:
        text = Phrase("{name} is no role; take {names}", name=shown(row.role), names=", ".join(ROLES))
        raise ConfigurationError(text)
    if row.household == NOBODY:
        raise ConfigurationError(Phrase("nobody lives in an empty home; name the person in a row of their own"))
    check_household(row.household, row.role or HOUSEHOLD)
    fields = {name: getattr(row, name) for name in row.__slots__}
    return Row(**{**fields, "email": check_email(row.email), "person": check_name(row.person)})
