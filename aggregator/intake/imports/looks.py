"""What figures can be by their looks, and of which meter: energy, a register or power, and of which unit. Pure.

A register rises and never falls; no home uses more than some power. What is left are the candidates. Rows of one time
that tell of several meters, or of several wholes, are asked about.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from aggregator.core.errors import Phrase, Refused, chained, shown
from aggregator.core.periods import HOUR
from aggregator.core.readings import LONGEST_INTERVAL_S
from aggregator.intake.imports.rows import FACTORS, Layout, RowReader
from aggregator.intake.imports.understanding import FIGURE_FIELDS, Doubt, Known
from aggregator.intake.imports.vocabulary import (
    ENERGY,
    EXPORT,
    IMPORT,
    POWER,
    REGISTER,
    VOLUME_M3,
    WATT_HOURS,
    WATTS,
    Figure,
    Roles,
    Said,
    may_be_power,
    said_by,
)
from aggregator.intake.tables.notation import ABSENT, read_figure, seconds_of
from aggregator.intake.tables.row_times import usual_step
from aggregator.intake.tables.text_tables import is_number

_LEAST_W, _MOST_W = 20, 5_000  # the mean power of a home; outside of it a candidate needs more than its looks
_PEAK_W = 30_000  # no home's interval of five minutes or more has a higher mean
_IN_BRACKETS = re.compile(r"[(\[]([^)\]]+)[)\]]\s*$")
_MANY_RISES = 100  # from here on it is one
RISES = 8  # rises without a fall from which figures look like a register


class Look(NamedTuple):
    """How figures look in order of time."""

    rises: int
    falls: int
    step_s: int  # the usual step
    mean: float
    largest: float
    risen_per_hour: float  # of the last figure over the first
    is_register: bool
    is_energy: bool
    is_at_rest: bool  # as a register may be; a figure of a time with an end is none

    @property
    def said(self) -> Phrase:
        """Return what is seen, for people."""
        return Phrase("they rise {rises} times and fall {falls} times", rises=self.rises, falls=self.falls)

    def power(self, kind: str) -> float:
        """Return the mean power that they are as one kind, in units of the figures."""
        if kind == REGISTER:
            return self.risen_per_hour
        return self.mean if kind == POWER else self.mean * HOUR / max(self.step_s, 1)


def look_of(values: Sequence[float], ats: Sequence[int], *, has_end: bool) -> Look:
    """Return how figures look that are in order of time (`ats`, seconds)."""
    changes = [other - one for one, other in pairwise(values)]
    rises, falls = sum(one > 0 for one in changes), sum(one < 0 for one in changes)
    largest = max(map(abs, values), default=0.0)
    mean = sum(map(abs, values)) / max(len(values), 1)
    is_steep = max(changes, default=0.0) * 100 > largest
    is_register = falls == 0 and rises > 0 and (rises >= RISES or not is_steep) and not has_end
    risen = (values[-1] - values[0]) * HOUR / (ats[-1] - ats[0]) if len(ats) > 1 else 0.0
    is_energy = falls * 5 > rises + falls
    is_at_rest = not (rises or falls or has_end)
    return Look(rises, falls, usual_step(ats), mean, largest, risen, is_register, is_energy, is_at_rest)


def candidates(figures: Sequence[Figure], kind: str, unit: str, look: Look, known: Known) -> list[tuple[str, str]]:
    """Return the kinds and units that the figures can be of, the likely ones first."""
    if unit == VOLUME_M3 or known.meter == "gas":
        told = kind or (REGISTER if look.is_register and look.rises >= RISES else ENERGY)
        return [(told, unit)] if unit else [(told, "kWh"), (told, VOLUME_M3)]
    kinds = [kind] if kind else [ENERGY, REGISTER, *([POWER] if not unit and may_be_power(figures) else [])]
    every = [(one, written) for one in kinds for written in (WATTS if one == POWER else WATT_HOURS)]
    found = [one for one in every if not unit or one[1] == unit]
    if kind and unit:
        return found
    if unit and not look.is_register:
        is_at_rest = look.is_at_rest and look.step_s > 0
        is_at_rest &= not _is_possible((ENERGY, unit), look, known, is_told=False)
        return found if kind else [(ENERGY, unit), *([(REGISTER, unit)] if is_at_rest else [])]  # of any home
    possible = [one for one in found if _is_possible(one, look, known, is_told=bool(kind))]
    likely = [one for one in possible if _LEAST_W <= look.power(one[0]) * FACTORS[one[1]] <= _MOST_W] or possible
    twin = {HOUR: {"kWh": "kW", "Wh": "W"}}.get(look.step_s, {})  # over an hour the energy is the same
    energies = {written for one, written in likely if one == ENERGY}
    return [one for one in likely if one[0] != POWER or one[1] not in {twin.get(written) for written in energies}]


def _is_possible(candidate: tuple[str, str], look: Look, known: Known, *, is_told: bool) -> bool:
    kind, unit = candidate
    if kind == REGISTER:
        return look.is_register or (is_told and not look.is_energy)
    if look.is_register and look.rises >= _MANY_RISES:
        return False
    seconds = HOUR if kind == POWER else look.step_s
    most = _PEAK_W if look.step_s >= 300 else known.max_power_w
    return seconds > 0 and look.largest * FACTORS[unit] * HOUR / seconds <= most


def unknown_unit(figures: Sequence[Figure]) -> str:
    """Return what the name of a figure has in brackets, where it is no unit that is known."""
    told = (found[1] for one in figures if (found := _IN_BRACKETS.search(one.name)))
    return next((text for text in told if said_by(text).is_foreign), "")


def one_of(figure: Figure, rows: Sequence[Sequence[str]]) -> Figure:
    """Return a figure with whether rows have a value in one of its columns only, like the tariff of the hour."""
    filled = Counter(tuple(row[place].strip().lower() not in ABSENT for place in figure.places) for row in rows)
    alone = {one for one in filled if sum(one) == 1}
    is_one_of = len(alone) > 1 and figure.kind != REGISTER and all(sum(one) < 2 for one in filled)
    return figure._replace(is_one_of=is_one_of)


def seen(figures: Sequence[Figure], rows: Sequence[Sequence[str]], layout: Layout, step_s: int = 0) -> Look:
    """Return how the main figure of rows looks, in order of time; `step_s` is their step, where it is known."""
    main = next((one for one in figures if one.channel != EXPORT), figures[0])
    selected = [tuple(row[place] for place in layout.roles.categories) for row in rows]
    usual = Counter(selected).most_common(1)[0][0] if selected else ()
    reader, points, length = RowReader(layout), dict[int, float](), 0
    for row, told in zip(rows, selected, strict=True):
        try:
            numbers = [read_figure(row[place], layout.decimal) for place in main.places]
            time, end = reader.times(row)
            is_whole = None not in numbers or (main.is_one_of and {*numbers} != {None})
            length = seconds_of(end) - seconds_of(time) if end is not None else 0
            if told == usual and is_whole and length <= LONGEST_INTERVAL_S:
                points[seconds_of(time)] = float(sum(filter(None, numbers), Decimal(0)))
        except Refused:
            continue
    ats = sorted(points)
    look = look_of([points[at] for at in ats], ats, has_end=layout.roles.end is not None)
    return look._replace(step_s=step_s or look.step_s or length)


def mixed_kinds(figures: Sequence[Figure], rows: Sequence[Sequence[str]], layout: Layout) -> list[Doubt]:
    """Ask which figures count where energies stand beside registers: a file is read as one kind."""
    registers = [one for one in figures if one.kind == REGISTER]
    looks = [(one, seen((one,), rows, layout)) for one in figures if registers and not one.kind]
    energies = [one for one, look in looks if not look.is_register and look.rises + look.falls]
    names = ", ".join(shown(one.name) for one in energies)
    text = Phrase("{names} may be energies beside registers: which of the two count?", names=names)
    return [Doubt("--columns", text, (*as_columns(energies), *as_columns(registers)))] if energies else []


def short_of_ends(reader: RowReader, rows: Sequence[Sequence[str]]) -> int:
    """Return by how many seconds the ends in rows are early: a minute or a second, where they are 00:29 of 00:30."""
    lengths = Counter[int]()
    for row in rows:
        try:
            time, end = reader.times(row)
        except Refused:
            continue
        lengths[seconds_of(end) - seconds_of(time) if end is not None else 0] += 1
    usual = lengths.most_common(1)[0][0] if lengths else 0
    return next((short for short in (1, 60) if usual > 0 and (usual + short) % 300 == 0), 0)


# Doubts of names


def as_columns(figures: Sequence[Figure]) -> tuple[str, ...]:
    """Return figures as `--columns` names them; empty where it has no field for one."""
    parts = {REGISTER: "_register", POWER: "_power"}
    fields = [f"{one.channel or IMPORT}{parts.get(one.kind, '')}_{(one.unit or 'kWh').lower()}" for one in figures]
    named = [f"{field}={one.name}" for field, one in zip(fields, figures, strict=True)]
    return (",".join(named),) if FIGURE_FIELDS.keys() >= {*fields} else ()


def of_title(roles: Roles, channel: str) -> list[Doubt]:
    """Ask for the direction of figures where only a title says it (`channel`: one above the table), or "received"."""
    figures = roles.figures
    is_unsure = not any("export" in said_by(one.name.rpartition(": ")[2]).meanings for one in figures)
    if {one.channel for one in figures} != {EXPORT}:
        is_unsure = channel not in ("", IMPORT) and not (roles.categories or any(one.channel for one in figures))
    names = ", ".join(shown(one.name) for one in figures)
    text = Phrase("only a title, or the word received, tells the direction of {names}", names=names)
    return [Doubt("--direction", text, tuple(dict.fromkeys((IMPORT, EXPORT, channel or EXPORT))))] if is_unsure else []


# Meters


Row = Sequence[str]
Category = tuple[str, ...]  # the texts of a row that tell of its figure


class CategoriesTold(NamedTuple):
    """What categories tell, and which of them is asked for."""

    doubts: tuple[Doubt, ...]
    judged: tuple[Category, ...]
    is_gas: bool | None  # whether rows of gas count, or all but those; None where no row names gas


def told_of(names: Sequence[str], rows: Sequence[Row], roles: Roles, known: Known, later: int) -> CategoriesTold:
    """Return what the categories of rows tell; the last rows are `later` ones of the file."""
    category = [tuple([row[place] for place in roles.categories]) for row in rows]
    figures = [place for one in roles.figures for place in one.places]
    every = {
        values: said
        for values, row in zip(category, rows, strict=True)
        if (said := said_by(" ".join(values))).channel or any(is_number(row[place]) for place in figures)
    }
    gas = {values for values, said in every.items() if "gas" in said.meanings}
    is_gas = (known.meter == "gas") if gas else None
    told = {values: said for values, said in every.items() if not said.is_ignored and is_gas in (None, values in gas)}
    times = [tuple(row[place] for place in (roles.time, roles.clock) if place is not None) for row in rows]
    new = {*category[len(rows) - later :]}
    doubts = [*_meters(names, rows, roles, times, category), *_contradictions(every, roles.figures, known)]
    for same in [] if doubts else _wholes(told, known):
        if not all(told[values].channel for values in same) and not new & same:
            each = {one for one in zip(times, category, strict=True) if one[1] in same}
            if len(each) == len({time for time, _ in each}):
                continue  # never of one time
        columns = zip(roles.categories, zip(*same, strict=True), strict=True)
        place, texts = next(((place, {*some}) for place, some in columns if len({*some}) > 1), (0, set()))
        options = tuple(f"{names[place]}={value}" for value in sorted(texts))
        text = Phrase("several rows of one time tell of {names}", names=chained("{one} and {other}", sorted(texts)))
        doubts.append(Doubt("--where", text, options))
    return CategoriesTold(tuple(doubts), tuple(dict.fromkeys(category)), is_gas)


def _meters(
    names: Sequence[str], rows: Sequence[Row], roles: Roles, times: Sequence[Category], category: Sequence[Category]
) -> Iterator[Doubt]:
    """Yield the question which meter is meant, where rows of one time differ in a column that may name a meter."""
    places = [place for one in roles.figures for place in one.places]
    filled = [tuple(bool(row[place].strip()) for place in places) for row in rows]
    keys = list(zip(times, category, filled, strict=True))
    once = len(set(keys))
    for place in roles.groups:
        if len({(key, row[place]) for key, row in zip(keys, rows, strict=True)}) > once + once // 50:
            values = Counter(text for row in rows if (text := row[place].strip()))
            options = tuple(f"{names[place]}={value}" for value, _ in values.most_common(12))
            text = Phrase("the column {name} has {number} different values", name=names[place], number=len(values))
            yield Doubt("--where", text, options)
            return


def _contradictions(told: Mapping[Category, Said], figures: Sequence[Figure], known: Known) -> Iterator[Doubt]:
    """Yield the question what texts of rows say, where they contradict a figure's name or may be notes.

    A note has unknown words, and rows beside it have texts that tell nothing.
    """
    names = [said_by(one.name) for one in figures]
    channels, units = ({one.channel for one in figures} - {""}, {one.unit for one in names} - {""})
    is_named = any(one.channel and not one.is_weak for one in names)
    is_lone = not any(said.meanings & {"import", "export", "consumption"} for said in told.values())  # "received"
    has_unitless = any(not said.unit for said in told.values())
    out = {values for values, said in told.items() if said.is_ignored or (said.is_generation and not known.direction)}
    out |= {values for values, said in told.items() if "gas" in said.meanings and known.meter != "gas"}
    is_silent = any(not said.channel and values not in out for values, said in told.items())
    for values, said in told.items():
        is_note = said.is_foreign and is_silent
        is_other = len(channels) < 2 and said.channel not in ("", *(channels or {IMPORT}))
        is_unit = said.unit not in ("", *units) and (bool(units) or (said.is_foreign and has_unitless))
        if (
            is_unit
            or (is_lone and "received" in said.meanings)
            or ((is_other or values in out) and (is_named or is_note))
        ):
            text = Phrase(
                "the rows with {text} may be of something else than {names}",
                text=shown(" ".join(values)),
                names=", ".join(shown(one.name) for one in figures),
            )
            exports = [] if channels else [one._replace(channel=EXPORT) for one in figures]
            yield Doubt("--columns", text, (*as_columns(figures), *(as_columns(exports) if exports else ())))
            return


def _wholes(told: Mapping[Category, Said], known: Known) -> list[set[Category]]:
    """Return the categories that tell the same direction and are no tariffs of one whole, where several do.

    What is generated may be export, where nothing else is and the rest may be what the home uses.
    """
    by_channel: dict[str, set[Category]] = {}
    for values, said in told.items():
        if "tariff" not in said.meanings and not said.is_generation:
            by_channel.setdefault(f"{said.channel or IMPORT} {said.kind}", set()).add(values)
    found = [same for same in by_channel.values() if len(same) > 1 and any(said.channel for said in told.values())]
    is_made = any(said.is_generation for said in told.values()) and not known.direction
    if is_made and len(told) > 1 and all(said.is_weak or not said.channel for said in told.values()):
        return [{*told}, *found]
    return found
