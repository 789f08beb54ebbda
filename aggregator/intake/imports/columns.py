"""Which column of a file is what: as `--columns` says, or by the names that such columns commonly have. Pure.

A row is of an instant, with registers or power, or of an interval, with its energy. A file has rows of one kind.
"""

import re
from collections.abc import Mapping, Sequence

from aggregator.core.errors import ConfigurationError, shown

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
    """The columns that `--columns` names, by field: `time=Date,import_kwh=Elec`. Raises ConfigurationError."""
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
    """The place of each field in a header, or None where it is not the header of such rows.

    Without names, the commonest are looked for; energies of intervals go before registers and power.
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
    """The same in a finer unit is there, too."""
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
        raise ConfigurationError("--columns names energies of intervals beside registers or power; choose the better")


def _plain(name: str) -> str:
    """A name as it is compared: lower case, words of letters and digits."""
    return " ".join(re.findall(r"\w+", name.lower().replace("_", " ")))


def _list(fields: Sequence[str]) -> str:
    return ", ".join(fields)
