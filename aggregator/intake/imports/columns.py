"""The roles of a table's columns: as they are named, by a provider's profile, or by content and name. Pure.

What a column holds is decided by its cells: a time, a date, a time of day, an hour's number, a figure, a category. Its
name tells a start from an end, import from export, and the unit (`vocabulary`). Several figures of one direction are
summed where they are tariffs or phases of one whole. A category may tell direction, unit or meter of each row. Where a
role could be two columns', it is a `Doubt` that `--columns` decides.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from aggregator.core.errors import ConfigurationError, Phrase, Refused, shown
from aggregator.intake.imports.understanding import FIGURE_FIELDS, TIMES, Doubt
from aggregator.intake.imports.vocabulary import (
    CATEGORIES,
    EXPORT,
    IMPORT,
    NET,
    POWER,
    REGISTER,
    VOLUME_M3,
    WATT_HOURS,
    Figure,
    Roles,
    TypedColumn,
    hour_number,
    plain,
    said_by,
)
from aggregator.intake.tables.notation import ORDERS, read_time, seconds_of

_QUARTER_S, _FARTHEST_S = 900, 14 * 3600  # steps of the offsets of zones, and the largest
_NAMES = 12  # columns listed in an error
_OF_UNIT = re.compile("unit|einheit|eenheid|enh|yksik|jednost|unidad|uom")
_PART = re.compile(
    r"\b(t[1-4]|p[1-6]|f[1-9]|f10|l[1-3]|[abc]|[1-9]|tari[ef]f? ?[1-4]|electricity[12]|rate ?[1-4]|[12]8[12])\b"
)
_NEED = "name them with --columns, like time=Date,import_kwh=Elec"
NO_ROLE = "the file has the columns {names}, and {missing} among them; " + _NEED


# Roles by content and name


def roles_of(columns: Sequence[TypedColumn]) -> tuple[Roles, list[Doubt]]:
    """Return the roles of columns, and what two columns could be. Raises ConfigurationError."""
    doubts: list[Doubt] = []
    times, edge = _times(columns, doubts)
    told_by = telling(columns)
    figures = _figures([one for one in columns if one.place not in times], bool(told_by), doubts)
    if not figures:
        raise ConfigurationError(unknown_columns(columns, Phrase("no figure of energy")))
    main, clock, _, end_clock = times
    used = {place for one in figures for place in one.places} | {*times} | {one.place for one in told_by}
    groups = [one.place for one in columns if one.place not in used and _may_group(one)]
    hours = 0 if end_clock is not None else _hours_of_day(columns, clock)
    told = tuple(one.place for one in told_by)
    constant = tuple((one.place, one.values) for one in _texts(columns) if one.place not in used)
    is_utc = "utc" in columns[main].said.meanings
    return Roles(*times, edge, hours, tuple(figures), told, tuple(groups), is_utc, constant), doubts


def telling(columns: Sequence[TypedColumn]) -> list[TypedColumn]:
    """Return the categories that tell direction, unit or meter of a row."""
    return [
        one for one in _texts(columns) if any(said_by(text).is_telling for text in one.values) and not _is_letter(one)
    ]


def _texts(columns: Sequence[TypedColumn]) -> list[TypedColumn]:
    return [one for one in columns if one.type == "text" and len(one.values) <= CATEGORIES]


def _is_letter(one: TypedColumn) -> bool:
    """Whether a column that might say a unit is one of letters, like W for a true value."""
    return all(len(text) == 1 for text in one.values) and not _OF_UNIT.search(plain(one.name))


def _may_group(one: TypedColumn) -> bool:
    return 1 < len(one.values) <= CATEGORIES and one.type in ("text", "number")


_Times = tuple[int, int | None, int | None, int | None]  # time, clock, end, the end's clock


def _times(columns: Sequence[TypedColumn], doubts: list[Doubt]) -> tuple[_Times, str]:
    """Return the places of the times, and which end of an interval the first one is."""
    every = [one for one in columns if one.type in ("time", "date")]
    dated = [one for one in every if not one.said.is_ignored] or every
    dated = [one for one in dated if len(one.values) > 1] or dated
    clocks = [one for one in columns if one.type in ("clock", "hour") and not one.said.unit]
    if not dated:
        raise ConfigurationError(unknown_columns(columns, Phrase("no time")))
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
    utc = utc or [one for one in candidates if any(_is_instant_of(one, other) for other in candidates)]
    if not rivals or has_clocks:
        return candidates[0]
    if len(utc) == 1:
        return utc[0]
    names = [candidates[0].name, *(one.name for one in rivals)]
    text = Phrase("the time of a row may be {names}", names=quoted(names))
    doubts.append(Doubt("--columns", text, tuple(f"time={one}" for one in names)))
    return candidates[0]


def _is_instant_of(one: TypedColumn, local: TypedColumn) -> bool:
    """Whether its times count seconds, and are those of a local time beside it: some quarter hours of a zone apart."""
    if not all(text.isdecimal() and len(text) > 9 for text in one.values) or local.values[0].isdecimal():
        return False
    for order in ORDERS.values():
        with suppress(Refused):
            times = [[seconds_of(read_time(text, order)) for text in some] for some in (one.values, local.values)]
            gaps = {other - at for at, other in zip(*times, strict=False)}
            if len(gaps) < 3 and all(gap % _QUARTER_S == 0 and abs(gap) <= _FARTHEST_S for gap in gaps):
                return True
    return False


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
    chosen = grid + ([] if has_import else weak)
    if {one.said.channel for one in chosen} == {EXPORT}:
        chosen += [one for one in of_home if one not in chosen and _may_be_import(one)]
    chosen = chosen or [one for one in of_home if one.said.unit or one.said.kind]
    _left_out(chosen, of_home, doubts)
    if not chosen:
        varying = [one for one in of_home if len(one.values) > 1 and not _is_id(one)]
        chosen = varying or [one for one in of_home if not _is_id(one)]
    if not chosen and candidates:
        doubts.append(Doubt("--direction", only_made(one.name for one in candidates), (IMPORT, EXPORT)))
        chosen = candidates
    if all(one.said.kind == POWER and one not in grid for one in chosen):
        chosen = [one for one in of_home if one.said.unit in WATT_HOURS] or chosen
    energies = [one for one in chosen if not one.said.kind]
    if {one.said.channel or IMPORT for one in chosen} <= {one.said.channel or IMPORT for one in energies}:
        chosen = energies
    if chosen and all(one.said.kind == REGISTER for one in chosen):
        chosen += [one for one in of_home if one.said.kind == POWER]
    return _grouped(chosen, has_categories, doubts)


def _may_be_import(one: TypedColumn) -> bool:
    """Whether a figure that names no direction is one of energy, beside figures of export alone."""
    is_energy = one.said.unit in WATT_HOURS or one.said.kind == REGISTER or "tariff" in one.said.meanings
    return not one.said.channel and (is_energy or not one.said.is_foreign) and not _is_id(one)


def _left_out(chosen: Sequence[TypedColumn], every: Sequence[TypedColumn], doubts: list[Doubt]) -> None:
    """Ask whether an energy whose name is not known is the export, where none is."""
    kind, part = (POWER, "power_") if all(one.said.kind == POWER for one in chosen) else ("", "")
    rest = [one for one in every if one not in chosen and one.said.unit and not one.said.channel]
    others = [one for one in rest if one.said.kind == kind and one.said.unit != VOLUME_M3 and one.said.is_foreign]
    if {one.said.channel for one in chosen} == {IMPORT} and others:
        names = quoted(one.name for one in others)
        text = Phrase("the direction of {names} is not known: export, or part of the import?", names=names)
        named = f"import_{part}{(chosen[0].said.unit or 'kWh').lower()}=" + "+".join(one.name for one in chosen)
        more = [f"{named},export_{part}{one.said.unit.lower()}={one.name}" for one in others]
        doubts.append(Doubt("--columns", text, (named, *more)))


def _is_id(one: TypedColumn) -> bool:
    if plain(one.name) in ("interval", "interval number"):  # of the day
        return True
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
            names = quoted(one.name for one in parts)
            text = Phrase("the {what} may be {names}", what=channel or "energy", names=names)
            doubts.append(Doubt("--columns", text, tuple(f"{field}={one.name}" for one in parts)))
            parts = parts[:1]
        name = " + ".join(one.name for one in parts)
        figures.append(Figure(tuple(one.place for one in parts), channel, kind, parts[0].said.unit, name))
    sides = {one.channel for one in figures} & {IMPORT, EXPORT}
    net = [one for one in figures if one.channel == NET] if sides else []
    if net and len(sides) < 2:
        values = tuple(f"{one.channel}_{(one.unit or 'kWh').lower()}={one.name}" for one in figures if one.channel)
        text = Phrase("{name} tells of the same as the others", name=shown(net[0].name))
        doubts.append(Doubt("--columns", text, values))
    figures = [one for one in figures if one not in net]  # the difference of the others
    named = [one for one in figures if one.channel or one.kind == POWER]
    has_import = any(one.channel in (IMPORT, NET) for one in figures)
    return named if has_import and not has_categories else figures


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


def quoted(names: Iterable[str]) -> str:
    return ", ".join(map(shown, names))


def only_made(names: Iterable[str]) -> Phrase:
    """Return the question about figures of generation alone."""
    return Phrase("{names} is what panels made: neither import nor export", names=quoted(names))


def unknown_columns(columns: Sequence[TypedColumn], missing: Phrase) -> Phrase:
    """Return the error for a table without a needed column."""
    return Phrase(NO_ROLE, names=_first(columns), missing=missing)


def _first(columns: Sequence[TypedColumn]) -> str:
    names = quoted(one.name for one in columns[:_NAMES])
    more = len(columns) - _NAMES
    return Phrase("{names} and {more} more", names=names, more=more) if more > 0 else names


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
