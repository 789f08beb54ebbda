"""The roles of a table's columns: as they are named, by a provider's profile, or by content and name. Pure.

What a column holds is decided by its cells (`typed`): a time, a date, a time of day, an hour's number, a figure, a
category. Its name (`vocabulary`) tells a start from an end, import from export, and the unit. Several figures of one
direction are summed where they are tariffs or phases of one whole. A category may tell direction, unit or meter of each
row. Where a role could be two columns', it is a `Doubt` that `--columns` decides.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from aggregator.core.errors import ConfigurationError, Phrase, Refused
from aggregator.intake.imports.understanding import FIGURE_FIELDS, TIMES, Doubt, only_made, quoted
from aggregator.intake.imports.vocabulary import (
    EXPORT,
    IMPORT,
    POWER,
    REGISTER,
    VOLUME_M3,
    WATT_HOURS,
    Figure,
    Roles,
    Said,
    plain,
    said_by,
)
from aggregator.intake.tables.notation import ABSENT, is_time, read_clock
from aggregator.intake.tables.text_tables import is_number

_CATEGORIES = 60  # different values of a column; more are no category
_NAMES = 12  # columns listed in an error
_NEED = "name them with --columns, like time=Date,import_kwh=Elec"
_HOUR = re.compile(r"[HhEP]{0,2}([0-9]{1,2})(?:[:.]00(?::00)?)?")
_BARE_CLOCK = re.compile(r"(?:[01]?[0-9]|2[0-4])\.[0-5][0-9]|(?:[01][0-9]|2[0-4])[0-5][0-9]")
_OF_UNIT = re.compile("unit|einheit|eenheid|enh|yksik|jednost|unidad|uom")
_PART = re.compile(r"\b(t[1-4]|p[1-6]|f[1-9]|f10|l[1-3]|[abc]|[1-9]|tari[ef]f? ?[1-4]|electricity[12]|rate ?[1-4])\b")


class TypedColumn(NamedTuple):
    """A column with the type of its cells."""

    place: int
    name: str
    said: Said
    type: str  # time, date, clock, hour, number, text, empty
    values: tuple[str, ...]  # different ones, up to _CATEGORIES + 1


def typed(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[TypedColumn]:
    """Return the columns of a table; each row has a cell for each name."""
    found = []
    some_of = max(20, min(300, 30_000 // len(names)))  # cells of a column that tell its type
    for place, name in enumerate(names):
        filled = [text for row in rows if (text := row[place].strip()).lower() not in ABSENT]
        values = tuple(dict.fromkeys(filled))[: _CATEGORIES + 1]
        found.append(TypedColumn(place, name, said_by(name), _type(filled, said_by(name), some_of), values))
    return found


def _type(filled: Sequence[str], said: Said, some_of: int) -> str:
    some = filled[:some_of]
    is_hour = bool({"clock", "start", "end"} & said.meanings) and not said.unit and len(set(some)) > 1
    if not some:
        return "empty"

    def mostly(test: Callable[[str], object]) -> bool:
        return sum(bool(test(one)) for one in some) * 5 >= len(some) * 3

    if mostly(is_time) and not said.unit:
        if some[0].isdigit() and len(some[0]) > 8 and 1 < len(some) <= some.count(some[0]) + len(some) // 10:
            return "number"  # of a meter
        return "time" if mostly(_has_clock) else "date"
    if is_hour and mostly(hour_number) and not all(map(_BARE_CLOCK.fullmatch, some)):
        return "hour"
    if mostly(_is_clock) or (is_hour and all(map(_BARE_CLOCK.fullmatch, some))):
        return "clock"
    return "number" if mostly(is_number) else "text"


def _has_clock(text: str) -> bool:
    return ":" in text or len(text) > 12 or (text.isdigit() and len(text) != 8) or "." in text[10:]


def _is_clock(text: str) -> bool:
    try:
        return len(text) > 3 and not text.replace(".", "").isdigit() and read_clock(text) >= 0
    except Refused:
        return False


def hour_number(text: str) -> str:
    """Return the digits of the number of an hour: `04:00`, `4`, `H04`; empty for any other text."""
    found = _HOUR.fullmatch(text.strip())
    return found[1] if found else ""


# Roles by content and name


def roles_of(columns: Sequence[TypedColumn]) -> tuple[Roles, list[Doubt]]:
    """Return the roles of columns, and what two columns could be. Raises ConfigurationError."""
    doubts: list[Doubt] = []
    times, edge = _times(columns, doubts)
    told_by = telling(columns)
    figures = _figures([one for one in columns if one.place not in times], bool(told_by), doubts)
    if not figures:
        raise ConfigurationError(unknown_columns(columns, Phrase("no figure of energy")))
    used = {place for one in figures for place in one.places} | {*times} | {one.place for one in told_by}
    groups = [one.place for one in columns if one.place not in used and _may_group(one)]
    main, clock, end, end_clock = times
    is_utc = "utc" in columns[main].said.meanings
    hours = 0 if end_clock is not None else _hours_of_day(columns, clock)
    told = tuple(one.place for one in told_by)
    return Roles(main, clock, end, end_clock, edge, hours, tuple(figures), told, tuple(groups), is_utc), doubts


def telling(columns: Sequence[TypedColumn]) -> list[TypedColumn]:
    """Return the categories that tell direction, unit or meter of a row."""
    categories = [one for one in columns if one.type == "text" and len(one.values) <= _CATEGORIES]
    return [one for one in categories if any(map(_tells, map(said_by, one.values))) and not _is_letter(one)]


def _tells(said: Said) -> bool:
    return bool(said.channel or said.unit or said.is_generation)


def _is_letter(one: TypedColumn) -> bool:
    """Whether a column that might say a unit is one of letters, like W for a true value."""
    return all(len(text) == 1 for text in one.values) and not _OF_UNIT.search(plain(one.name))


def _may_group(one: TypedColumn) -> bool:
    return 1 < len(one.values) <= _CATEGORIES and one.type in ("text", "number")


_Times = tuple[int, int | None, int | None, int | None]  # time, clock, end, the end's clock


def _times(columns: Sequence[TypedColumn], doubts: list[Doubt]) -> tuple[_Times, str]:
    """Return the places of the times, and which end of an interval the first one is."""
    dated = [one for one in columns if one.type in ("time", "date") and not one.said.is_ignored]
    dated = [one for one in dated if len(one.values) > 1] or dated
    if not dated:
        raise ConfigurationError(unknown_columns(columns, Phrase("no time")))
    clocks = [one for one in columns if one.type in ("clock", "hour") and not one.said.unit]
    starts = [one for one in dated if "start" in one.said.meanings]
    ends = [one for one in dated if "end" in one.said.meanings and one not in starts]
    others = [one for one in dated if one not in starts and one not in ends]
    candidates = starts or others or ends
    first = _main_time(candidates, bool(clocks), doubts)
    end = next((one for one in ends if one is not first), None)
    edge = "start" if first in starts else "end" if first in ends else ""
    if first.type == "time":
        return (first.place, None, end.place if end else None, None), edge
    return _with_clocks(first, end, clocks, edge)


def _main_time(candidates: Sequence[TypedColumn], has_clocks: bool, doubts: list[Doubt]) -> TypedColumn:
    rivals = [one for one in candidates if one.values != candidates[0].values]
    utc = [one for one in candidates if "utc" in one.said.meanings]
    if not rivals or has_clocks:
        return candidates[0]
    if len(utc) == 1:
        return utc[0]
    names = [candidates[0].name, *(one.name for one in rivals)]
    text = Phrase("the time of a row may be {names}", names=quoted(names))
    doubts.append(Doubt("--columns", text, tuple(f"time={one}" for one in names)))
    return candidates[0]


def _with_clocks(
    first: TypedColumn, end: TypedColumn | None, clocks: Sequence[TypedColumn], edge: str
) -> tuple[_Times, str]:
    begins = [one for one in clocks if "start" in one.said.meanings]
    stops = [one for one in clocks if "end" in one.said.meanings and one not in begins]
    plain_ones = [one for one in clocks if one not in begins and one not in stops]
    clock = next(iter(begins or plain_ones or stops), None)
    end_clock = next((one for one in stops if one is not clock), None)
    if clock:
        edge = "start" if clock in begins else "end" if clock in stops else edge
    ends = end.place if end else first.place if end_clock else None
    return (first.place, clock.place if clock else None, ends, end_clock.place if end_clock else None), edge


def _hours_of_day(columns: Sequence[TypedColumn], clock: int | None) -> int:
    if clock is None or columns[clock].type != "hour":
        return 0
    most = max(int(hour_number(text) or 0) for text in columns[clock].values)
    return 24 if most <= 25 else 48 if most <= 50 else 96


# Figures


def _figures(columns: Sequence[TypedColumn], has_categories: bool, doubts: list[Doubt]) -> list[Figure]:
    candidates = [one for one in columns if one.type == "number" and not one.said.is_ignored]
    of_home = [one for one in candidates if not one.said.is_generation]
    grid = [one for one in of_home if one.said.channel and not one.said.is_weak]
    weak = [one for one in of_home if one.said.is_weak]
    has_import = any(one.said.channel == IMPORT for one in grid)
    chosen = grid + ([] if has_import else weak) or [one for one in of_home if one.said.unit or one.said.kind]
    if not chosen:
        varying = [one for one in of_home if len(one.values) > 1 and not _is_id(one)]
        chosen = varying or [one for one in of_home if not _is_id(one)]
    if not chosen and candidates:
        doubts.append(Doubt("--direction", only_made(one.name for one in candidates), (IMPORT, EXPORT)))
        chosen = candidates
    if all(one.said.kind == POWER and one not in grid for one in chosen):
        chosen = [one for one in of_home if one.said.unit in WATT_HOURS] or chosen
    energies = [one for one in chosen if not one.said.kind]
    chosen = energies or chosen
    if chosen and all(one.said.kind == REGISTER for one in chosen):
        chosen += [one for one in of_home if one.said.kind == POWER]
    return _grouped(chosen, has_categories, doubts)


def _is_id(one: TypedColumn) -> bool:
    return any(text.isdigit() and len(text) >= 7 for text in one.values) and len(one.values) <= 3


def _grouped(columns: Sequence[TypedColumn], has_categories: bool, doubts: list[Doubt]) -> list[Figure]:
    by_role: dict[tuple[str, str], list[TypedColumn]] = {}
    for one in columns:
        by_role.setdefault((one.said.channel, one.said.kind), []).append(one)
    figures = []
    for (channel, kind), some in by_role.items():
        parts = _in_one_unit(some)
        whole = [one for one in parts if "total" in one.said.meanings]
        parts = whole if len(whole) == 1 else parts
        if len(parts) > 1 and not _are_parts(parts):
            register = "_register" if kind == REGISTER else ""
            field = f"{channel or IMPORT}{register}_{(parts[0].said.unit or 'kWh').lower()}"
            text = Phrase(
                "the {what} may be {names}", what=channel or "energy", names=quoted(one.name for one in parts)
            )
            doubts.append(Doubt("--columns", text, tuple(f"{field}={one.name}" for one in parts)))
            parts = parts[:1]
        name = " + ".join(one.name for one in parts)
        figures.append(Figure(tuple(one.place for one in parts), channel, kind, parts[0].said.unit, name))
    named = [one for one in figures if one.channel or one.kind == POWER]
    return named if any(one.channel for one in figures) and not has_categories else figures


def _in_one_unit(columns: Sequence[TypedColumn]) -> list[TypedColumn]:
    """Return the columns of the finest unit where a figure is there in two, like kWh and Wh."""
    units = {one.said.unit for one in columns}
    finest = next(unit for unit in ("Wh", "kWh", "MWh", "W", "kW", "MW", VOLUME_M3, "") if unit in units)
    return [one for one in columns if one.said.unit == finest]


def _are_parts(columns: Sequence[TypedColumn]) -> bool:
    """Whether columns are tariffs or phases of one whole: their names are equal but for such a word."""
    stems = set()
    for one in columns:
        words = [word for word in plain(one.name).split() if "tariff" not in said_by(word).meanings]
        stems.add(" ".join(_PART.sub("", " ".join(words)).split()))
    return len(stems) == 1


def unknown_columns(columns: Sequence[TypedColumn], missing: Phrase) -> Phrase:
    """Return the error for a table without a needed column."""
    text = "the file has the columns {names}, and {missing} among them; " + _NEED
    return Phrase(text, names=_first(columns), missing=missing)


def _first(columns: Sequence[TypedColumn]) -> str:
    return quoted(one.name for one in columns[:_NAMES]) + (", ..." if len(columns) > _NAMES else "")


# Roles as they are named


def with_named(columns: Sequence[TypedColumn], named: Mapping[str, str]) -> tuple[Roles, list[Doubt]]:
    """Return the roles with the named columns in place of the guessed ones. Raises ConfigurationError."""
    places = {field: _places(columns, name) for field, name in named.items()}
    times = {field: found[0] for field, found in places.items() if field in TIMES}
    figures = tuple(
        Figure(found, *FIGURE_FIELDS[field], named[field]) for field, found in places.items() if field not in TIMES
    )
    main = next((times[field] for field in ("time", "date", "end") if field in times), None)
    if main is None or not figures:
        roles, doubts = roles_of(columns)
        doubts = [one for one in doubts if one.option != "--columns"]
        if figures:
            roles = roles._replace(figures=figures, categories=())
        return (roles if main is None else _with_times(columns, roles, times, main)), doubts
    empty = Roles(main, None, None, None, "", 0, figures, (), ())
    used = {main, *times.values(), *(place for one in figures for place in one.places)}
    groups = tuple(one.place for one in columns if one.place not in used and _may_group(one))
    return _with_times(columns, empty._replace(groups=groups), times, main), []


def _with_times(columns: Sequence[TypedColumn], roles: Roles, times: Mapping[str, int], main: int) -> Roles:
    is_end = not {"time", "date"} & times.keys()
    clock = times.get("end_clock") if is_end else times.get("clock")
    end = None if is_end else times.get("end", main if "end_clock" in times else None)
    return roles._replace(
        time=main,
        clock=clock,
        end=end,
        end_clock=None if is_end else times.get("end_clock"),
        edge="end" if is_end else "",
        hours=_hours_of_day(columns, clock),
        is_utc="utc" in columns[main].said.meanings,
    )


def _places(columns: Sequence[TypedColumn], name: str) -> tuple[int, ...]:
    by_name = {plain(one.name): one.place for one in reversed(columns)}
    wanted = [name] if plain(name) in by_name else name.split("+")
    missing = [one.strip() for one in wanted if plain(one) not in by_name]
    if missing:
        raise ConfigurationError(f"the file has the columns {_first(columns)}, not {quoted(missing)}; {_NEED}")
    return tuple(by_name[plain(one)] for one in wanted)
