"""CSV rows: the columns and layout of a file, and the energy, registers or power in each row. Pure.

The beginning of the file decides the delimiter (comma, semicolon or tab), the order of day and month, and, unless
options name them, the columns and the interval. With a semicolon or tab, a comma is decimal. An empty figure, or `NA`
and the like, is absent, never zero.

Columns are named by `--columns`, or found by their common names. A row describes an instant with registers (Wh) or
power (W), or an interval with its energy (millionths of a Wh). All rows of a file are of one kind. Layout errors raise
ConfigurationError; a bad row raises Refused.
"""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from aggregator.core.errors import ConfigurationError, Refused, shown
from aggregator.core.readings import MAX_LINE, MAX_POWER, MAX_REGISTER, NO_POWER, NO_REGISTER
from aggregator.intake.formats.message import number
from aggregator.intake.imports.row_times import Time, is_month_first, read_time, usual_step

TIMES = ("time", "date", "clock", "end")
ENERGIES = ("import_kwh", "import_wh", "export_kwh", "export_wh")
INSTANT = (
    *("import_register_kwh", "import_register_wh", "export_register_kwh", "export_register_wh"),
    *("power_kw", "power_w"),
)
FIELDS = (*TIMES, *ENERGIES, *INSTANT)

_COMMON = {
    "time": (
        *("time", "timestamp", "datetime", "date time", "date and time", "local time", "utc time", "reading time"),
        *("start", "start time", "start date", "interval start", "period start", "from"),
        *("zeit", "zeitpunkt", "zeitstempel", "datum zeit", "von"),
    ),
    "date": ("date", "reading date", "datum"),
    "clock": ("clock", "time", "uhrzeit", "zeit"),
    "end": ("end", "end time", "end date", "interval end", "period end", "to", "bis"),
    "import_kwh": (
        *("import kwh", "elec import kwh", "electricity import kwh", "consumption kwh", "electricity consumption kwh"),
        *("consumption", "usage kwh", "usage", "energy kwh", "kwh", "verbrauch kwh", "verbrauch in kwh", "verbrauch"),
    ),
    "import_wh": ("import wh", "consumption wh", "usage wh", "energy wh", "wh"),
    "export_kwh": ("export kwh", "elec export kwh", "electricity export kwh", "export", "einspeisung kwh"),
    "export_wh": ("export wh",),
    "import_register_kwh": ("import register kwh", "register kwh", "meter reading kwh", "reading kwh"),
    "import_register_wh": ("import register wh", "register wh", "meter reading wh", "reading wh"),
    "export_register_kwh": ("export register kwh", "export reading kwh"),
    "export_register_wh": ("export register wh", "export reading wh"),
    "power_kw": ("power kw", "global active power"),
    "power_w": ("power w", "watts"),
}
_FIELD = re.compile(rf"\s*({'|'.join(FIELDS)})\s*=", re.IGNORECASE)
_UNITS = (("_kwh", "_wh"), ("_kw", "_w"))
_TIMES_OF_A_ROW: tuple[tuple[str, ...], ...] = (("date", "clock"), ("time",), ("date",), ("end",))


def named_columns(text: str) -> dict[str, str]:
    """Parse `--columns` to column names by field: `time=Date,import_kwh=Elec`. Raises ConfigurationError."""
    pieces = re.split(rf",(?={_FIELD.pattern})", text, flags=re.IGNORECASE)[::2]
    names: dict[str, str] = {}
    for piece in pieces:
        found = _FIELD.match(piece)
        field, name = (found[1].lower(), piece[found.end() :].strip()) if found else ("", "")
        if not name or field in names:
            raise ConfigurationError(
                f"--columns has {shown(piece)}; write it like time=Date,import_kwh=Elec. The fields are {_list(FIELDS)}"
            )
        names[field] = name
    _check(names)
    return names


def places_of(header: Sequence[str], named: Mapping[str, str]) -> dict[str, int] | None:
    """Return the position of each field in a header; None where the line is not a header.

    Without `named` columns, common names are searched; interval energy takes precedence over registers and power.
    """
    names = [_plain(name) for name in header]
    if named:
        wanted = {field: _plain(name) for field, name in named.items()}
        return (
            {field: names.index(name) for field, name in wanted.items()} if set(wanted.values()) <= {*names} else None
        )
    found = {field: names.index(name) for field in FIELDS for name in _COMMON[field][::-1] if name in names}
    return _of_one_kind(found)


def _of_one_kind(found: Mapping[str, int]) -> dict[str, int] | None:
    times = next((some for some in _TIMES_OF_A_ROW if {*some} <= {*found}), None)
    figures = [field for field in ENERGIES if field in found]
    if figures and times and "end" in found:
        times = tuple(dict.fromkeys((*times, "end")))
    figures = figures or [field for field in INSTANT if field in found]
    figures = [field for field in figures if not _is_repeated(field, figures)]
    return {field: found[field] for field in (*times, *figures)} if times and figures else None


def _is_repeated(field: str, fields: Sequence[str]) -> bool:
    """Whether the same figure is present in a finer unit."""
    return any(field.endswith(large) and field.removesuffix(large) + small in fields for large, small in _UNITS)


def _check(names: Mapping[str, str]) -> None:
    times, figures = {*names} & {*TIMES}, [field for field in names if field not in TIMES]
    if times not in [{*some, *more} for some in _TIMES_OF_A_ROW for more in ((), ("end",))]:
        raise ConfigurationError("--columns needs time=, or date= (and clock=), or end= alone")
    if not figures:
        raise ConfigurationError(f"--columns names no figure; it needs one of {_list((*ENERGIES, *INSTANT))}")
    if any(_is_repeated(field, figures) for field in figures):
        raise ConfigurationError("--columns names one figure in two units; one is enough")
    if len({field in ENERGIES for field in figures}) > 1:
        raise ConfigurationError("--columns names both interval energies and registers or power; name only one kind")


def _plain(name: str) -> str:
    """Return a name in the form for comparison: lower case words of letters and digits."""
    return " ".join(re.findall(r"\w+", name.lower().replace("_", " ")))


def _list(fields: Sequence[str]) -> str:
    return ", ".join(fields)


# Layout and rows
MICRO = 1_000_000  # interval energy is exact in millionths of a Wh, so sums are exact
PREAMBLE = 20  # lines allowed before the header
_DELIMITERS = ";\t,"
_ABSENT = {"", "-", "?", "na", "n/a", "nan", "null", "none"}
_NAMES = 12  # columns listed in an error
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class FileRow(NamedTuple):
    """The values of a row. None is absent, never zero."""

    line: int
    text: bytes  # the original line
    time: Time  # of an interval the start, or the end where the layout says so
    end: Time | None = None
    import_uwh: int | None = None  # energy of the interval, millionths of a Wh
    export_uwh: int | None = None
    import_wh: int | None = None  # register, Wh
    export_wh: int | None = None
    power_w: int | None = None


class Layout(NamedTuple):
    """The notation of a file."""

    delimiter: str
    places: Mapping[str, int]  # column positions by field
    header: int  # line number of the header
    is_month_first: bool
    step_s: int | None  # the most common step between rows; None where unknown

    @property
    def is_intervals(self) -> bool:
        """Whether rows are intervals, not instants."""
        return not self.places.keys().isdisjoint(ENERGIES)

    @property
    def is_by_end(self) -> bool:
        """Whether a row gives only the end of its interval."""
        return self.places.keys().isdisjoint(("time", "date"))


def layout_of(lines: Sequence[bytes], named: Mapping[str, str]) -> Layout:
    """Return the layout of a file from its first lines and the named columns. Raises ConfigurationError."""
    if lines and lines[0].startswith(_UTF_16):
        raise ConfigurationError("the file is in UTF-16; save it as UTF-8")
    headers = [(place, text_of(line)) for place, line in enumerate(lines[:PREAMBLE]) if line.strip()]
    if not headers:
        raise ConfigurationError("the file is empty")
    for place, text in headers:
        for delimiter in sorted(_DELIMITERS, key=text.count, reverse=True):
            places = places_of([name.strip() for name in _cells(text, delimiter)], named)
            if places:
                return _with_times(Layout(delimiter, places, place + 1, False, None), lines[place + 1 :])
    raise ConfigurationError(_unknown_columns(headers[0][1], named))


def _with_times(layout: Layout, lines: Sequence[bytes]) -> Layout:
    """Return the layout, completed from the times of the first rows."""
    written = [text for line in lines if (text := _time_text(layout, line))]
    layout = layout._replace(is_month_first=is_month_first(written))
    times = []
    for text in written:
        try:
            times.append(read_time(text, is_month_first=layout.is_month_first))
        except Refused:
            continue
    return layout._replace(step_s=usual_step(times))


def _time_text(layout: Layout, line: bytes) -> str:
    try:
        return _time_of(_cells(text_of(line), layout.delimiter), layout.places)
    except IndexError:
        return ""


def _unknown_columns(header: str, named: Mapping[str, str]) -> str:
    names = [shown(name.strip()) for name in _cells(header, max(_DELIMITERS, key=header.count))]
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    missing = f", not {' and '.join(map(shown, named.values()))}" if named else ""
    return (
        f"the file has the columns {', '.join(names[:_NAMES])}{more}{missing};"
        " name them with --columns, like time=Date,import_kwh=Elec"
    )


def row_of(line: bytes, line_number: int, layout: Layout) -> FileRow:
    """Parse one line to a row. Raises Refused."""
    if len(line) > MAX_LINE:
        raise Refused("line_too_long", f"more than {MAX_LINE} bytes")
    try:
        cells, places = _cells(text_of(line), layout.delimiter), layout.places
        time = read_time(_time_of(cells, places), is_month_first=layout.is_month_first)
        end, figures = None, dict[str, int | None]()
        for field, place in places.items():
            if field in _FIGURES:
                name, read, unit = _FIGURES[field]
                figures[name] = read(cells[place], unit, layout.delimiter)
            elif field == "end" and not layout.is_by_end:
                end = read_time(cells[place], is_month_first=layout.is_month_first)
    except IndexError:
        raise Refused("bad_row", f"it has {len(cells)} columns") from None
    if not any(figure is not None for figure in figures.values()):
        raise Refused("no_values", "none of its figures has a value")
    return FileRow(line_number, line, time, end, **figures)


def text_of(line: bytes) -> str:
    """Decode a line as UTF-8, or else as Windows-1252."""
    line = line.rstrip(b"\r\n")
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")


def _cells(text: str, delimiter: str) -> list[str]:
    if '"' not in text:
        return text.split(delimiter)
    try:  # one reader per line: an unclosed quote costs one row, not the rest of the file
        return next(csv.reader([text], delimiter=delimiter, skipinitialspace=True))
    except csv.Error:
        return text.split(delimiter)


def _time_of(cells: Sequence[str], places: Mapping[str, int]) -> str:
    if "date" in places and "clock" in places:
        return f"{cells[places['date']].strip()} {cells[places['clock']].strip()}"
    return cells[next(places[field] for field in ("time", "date", "end") if field in places)]


def figure(text: str, delimiter: str = ",") -> Decimal | None:
    """Parse a figure; None where it is absent. Raises Refused."""
    trimmed = text.strip()
    if delimiter != ",":
        trimmed = trimmed.replace(",", ".")
    found = number(trimmed)
    if found is None and trimmed.lower() not in _ABSENT:
        raise Refused("not_a_number", f"a figure is {shown(text.strip())}")
    return found


def energy_uwh(text: str, unit: int, delimiter: str = ",") -> int | None:
    """Parse the energy of an interval to millionths of a Wh, from a figure in units of `unit` Wh. Raises Refused."""
    found = figure(text, delimiter)
    if found is None:
        return None
    if not 0 <= found * unit <= MAX_REGISTER:
        raise Refused("out_of_range", f"the energy of an interval is {shown(found)}")
    return round(found * unit * MICRO)


def _register_wh(text: str, unit: int, delimiter: str) -> int | None:
    found = figure(text, delimiter)
    if found is None or found == NO_REGISTER:
        return None
    if found < 0:
        raise Refused("negative_register", f"a register is {shown(found)}")
    if found * unit > MAX_REGISTER:
        raise Refused("out_of_range", f"a register is {shown(found)}")
    return round(found * unit)


def _power_w(text: str, unit: int, delimiter: str) -> int | None:
    found = figure(text, delimiter)
    if found is None or found * unit == NO_POWER:
        return None
    if abs(found * unit) > MAX_POWER:
        raise Refused("out_of_range", f"a power is {shown(found)}")
    return round(found * unit)


_FIGURES: dict[str, tuple[str, Callable[[str, int, str], int | None], int]] = {
    "import_kwh": ("import_uwh", energy_uwh, 1000),
    "import_wh": ("import_uwh", energy_uwh, 1),
    "export_kwh": ("export_uwh", energy_uwh, 1000),
    "export_wh": ("export_uwh", energy_uwh, 1),
    "import_register_kwh": ("import_wh", _register_wh, 1000),
    "import_register_wh": ("import_wh", _register_wh, 1),
    "export_register_kwh": ("export_wh", _register_wh, 1000),
    "export_register_wh": ("export_wh", _register_wh, 1),
    "power_kw": ("power_w", _power_w, 1000),
    "power_w": ("power_w", _power_w, 1),
}
