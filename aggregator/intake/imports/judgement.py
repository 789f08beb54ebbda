"""What a file's rows can mean: candidates for signs, dates, meters, kinds, units and ends, judged by evidence. Pure.

Evidence removes what cannot be. What is left is taken (`Choice`); where several are left, a `Doubt` names the option.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from aggregator.core.errors import Phrase, Refused, chained, shown
from aggregator.core.periods import DAY_S, HOUR, day_of, day_start
from aggregator.intake.imports import looks
from aggregator.intake.imports.rows import Layout, RowReader
from aggregator.intake.imports.understanding import Choice, Doubt, Known, row_filter
from aggregator.intake.imports.vocabulary import (
    ENERGY,
    EXPORT,
    IMPORT,
    NET,
    POWER,
    REGISTER,
    UNITS,
    VOLUME_M3,
    WATTS,
    Roles,
    hour_number,
    said_by,
)
from aggregator.intake.tables.notation import (
    ORDERS,
    SIGNS,
    Time,
    decimal_sign,
    is_summary,
    order_of,
    seconds_of,
)
from aggregator.intake.tables.row_times import share_of_usual, smallest_step, usual_step, way_of
from aggregator.intake.tables.text_tables import is_number

SAMPLE_ROWS = 2000  # that are judged
BY_MIDNIGHT = Phrase("the first row is at midnight")
_START, _END = Phrase("the start of the interval"), Phrase("the end of the interval")
_NUMERIC_DATE = re.compile(r"\s*[0-9]{1,2}([-/.])[0-9]{1,2}\1")


class Judged(NamedTuple):
    """A layout with what speaks for it, and what is not certain."""

    layout: Layout
    choices: tuple[Choice, ...]
    doubts: tuple[Doubt, ...]
    step_s: int = 0  # the usual step between rows


def judged(
    names: tuple[str, ...],
    rows: Sequence[Sequence[str]],
    roles: Roles,
    known: Known,
    delimiter: str = "",
    *,
    is_profiled: bool = False,
    later: int = 0,
) -> Judged:
    """Decide all about a file from its first rows, which have a cell for each name. Raises ConfigurationError.

    The last rows may be `later` ones of the file, with texts that the first ones do not have.
    """
    judge = _Judge(names, rows, roles, known, is_profiled=is_profiled, later=later)
    judge.sign(delimiter)
    for decide in (judge.dates, judge.meters, judge.kind_and_unit, judge.time_edge, judge.direction):
        decide()
    return Judged(judge.layout, tuple(judge.choices), tuple(judge.doubts), judge.step_s)


def edge_doubt(what: str) -> Doubt:
    """Return the question which end of an interval a time is."""
    text = Phrase("the figure of a row may be of {what} that starts or that ends at its time", what=what)
    return Doubt("--time", text, ("start", "end"))


def _either(words: Sequence[str]) -> str:
    return chained("{one} or {other}", words)


def _in_unit(kind: str, unit: str) -> Phrase:
    return Phrase("{kind} in {unit}", kind=kind, unit=unit)


class _Judge:
    """One file's candidates, one question after the other."""

    def __init__(
        self,
        names: tuple[str, ...],
        rows: Sequence[Sequence[str]],
        roles: Roles,
        known: Known,
        *,
        is_profiled: bool,
        later: int,
    ) -> None:
        roles = roles._replace(figures=tuple(looks.one_of(one, rows) for one in roles.figures))
        self.names, self.roles, self.known, self.is_profiled, self.later = names, roles, known, is_profiled, later
        self.choices: list[Choice] = []
        self.doubts, self.ats = list[Doubt](), list[int]()  # the times of the rows, each once, ascending
        self.has_offsets = False  # whether times are instants
        self.step_s = self.way = 0  # the usual step; whether rows ascend (1) or descend (-1) in time
        zone = "UTC" if roles.is_utc and not known.is_zone_named else known.zone
        where = tuple(row_filter(text, names) for text in known.where)
        self.rows = [row for row in rows if all(row[place].strip() == text for place, text in where)]
        self.layout = Layout(roles, zone=zone, step_s=known.step_s, where=where, is_told=bool(known.direction))
        self.numbers = {int(hour_number(text) or 0) for text in self._texts(roles.clock)} if roles.hours else set()
        if 0 in self.numbers:
            self.layout = self.layout._replace(is_ordinal=False, first_hour=0)

    def _choose(self, what: str, value: str, why: Phrase) -> None:
        self.choices.append(Choice(what, value, why))

    def _ask(self, option: str, text: Phrase, values: Sequence[str]) -> None:
        self.doubts.append(Doubt(option, text, tuple(values)))

    def _texts(self, place: int | None) -> list[str]:
        return [] if place is None else [text for row in self.rows if (text := row[place].strip())]

    # Notation

    def sign(self, delimiter: str) -> None:
        """Decide the decimal sign."""
        texts = [text for one in self.roles.figures for place in one.places for text in self._texts(place)]
        named = SIGNS.get(self.known.decimal, "")
        sign, example = (named, "") if named else decimal_sign(texts, delimiter)
        why = Phrase("as in {example}", example=example)
        if not sign and self._is_small(texts):
            sign, why = "," if "," in example else ".", Phrase("{example} is no home's with thousands", example=example)
        if not sign:
            text = Phrase("{example} may have a decimal sign or one of thousands", example=example)
            self._ask("--decimal", text, [*SIGNS])
        elif example:
            self._choose("decimal sign", "comma" if sign == "," else "point", why)
        self.layout = self.layout._replace(decimal=sign or ".")

    def _is_small(self, texts: Sequence[str]) -> bool:
        """Whether figures that may have signs of thousands are too large for a home with them, and no register."""
        units = {one.unit or self.known.unit for one in self.roles.figures}
        values = [int(re.sub("[^0-9]", "", text)) for text in texts if is_number(text)]
        return units <= {"kWh", "MWh"} and min(values) >= 1000 and any(one > other for one, other in pairwise(values))

    def dates(self) -> None:
        """Decide the order of day, month and year; and note the times of the rows."""
        orders = [ORDERS[self.known.order]] if self.known.order else list(ORDERS.values())
        read = {order: self._times(order) for order in orders}
        dated = sum(not is_summary(row[self.roles.time]) for row in self.rows)
        enough = max(1, min(max(map(len, read.values())), dated - dated // 50))  # a row in fifty may be bad
        told = {order: times for order, times in read.items() if len(times) >= enough}
        order, why = order_of(told)
        example = next(iter(self._texts(self.roles.time)), "")
        numeric = _NUMERIC_DATE.match(example)
        if len(told) > 1 and len(self.rows) >= SAMPLE_ROWS and len({*map(tuple, told.values())}) == 1:
            why = None if numeric else why  # a later day may tell them apart
        if not why and "dmy" in told and numeric and (numeric[1], self.layout.decimal) == (".", ","):
            order, why = "dmy", Phrase("who writes decimal commas and points in dates writes the day first")
        if not told:
            text = Phrase("{example} is no time of the past that is known", example=shown(example))
            self._ask("--columns", text, ())
        elif not why:
            options = [name for name, one in ORDERS.items() if one in told]
            text = Phrase("{example} may be {orders}", example=example, orders=_either(options))
            self._ask("--dates", text, options)
        elif numeric:
            self._choose("dates", next(name for name, one in ORDERS.items() if one == order), why)
        self.layout = self.layout._replace(order=order)
        self.has_offsets = self.roles.is_utc or any(isinstance(time, int) for time in told.get(order, []))
        ats = [seconds_of(time) for time in told.get(order, [])]
        self.ats, self.way = sorted({*ats}), way_of(ats)
        self.step_s = self.known.step_s or (usual_step(self.ats) if self.way else smallest_step(self.ats))

    def _times(self, order: str) -> list[Time]:
        """Return the times of the rows in one order, without those of the future."""
        reader, times = RowReader(self.layout._replace(order=order)), list[Time]()
        for row in self.rows:
            try:
                time = reader.times(row)[0]
            except Refused:
                continue
            if seconds_of(time) <= self.known.now + DAY_S:
                times.append(time)
        return times

    def meters(self) -> None:
        """Ask which meter or category is meant, where rows of one time tell of several."""
        found = looks.told_of(self.names, self.rows, self.roles, self.known, self.later)
        self.layout = self.layout._replace(judged=found.judged, is_gas=found.is_gas)
        self.doubts += found.doubts

    # Kind and unit

    def kind_and_unit(self) -> None:
        """Decide whether figures are energy, a register or power, and their unit."""
        figures = [one for one in self.roles.figures if one.kind != POWER] or list(self.roles.figures)
        said = said_by(" ".join(self.rows[0][place] for place in self.roles.categories) if self.rows else "")
        kinds = {one.kind for one in figures} - {""}
        unit = self.known.unit or next((one.unit for one in figures if one.unit), said.unit)
        kind = self.known.figure_kind or (POWER if unit in WATTS else next(iter(kinds), said.kind))
        if not unit and not self.is_profiled and (foreign := looks.unknown_unit(figures)):
            self._ask("--unit", Phrase("the unit {name} is not known", name=shown(foreign)), UNITS)
        if unit == VOLUME_M3 and self.known.meter == "electricity":
            self._ask("--device", Phrase("m³ are of a gas meter, and the device is one of electricity"), ())
        self.doubts += [] if self.known.figure_kind else looks.mixed_kinds(figures, self.rows, self.layout)
        look = looks.seen(figures, self.rows, self.layout, self.step_s)
        found = looks.candidates(figures, kind, unit, look, self.known)
        self._note(found, kind, unit, look)
        chosen, unit = found[0] if found else (kind or ENERGY, unit or "kWh")
        has_register = any(one.kind == REGISTER for one in self.roles.figures)
        is_irregular = self.way != 0 and share_of_usual(self.ats) < 0.6
        is_held = self.roles.end is None and (self.step_s <= 60 or is_irregular or has_register)
        is_instant = chosen == REGISTER or (chosen == POWER and is_held)
        self.layout = self.layout._replace(kind=chosen, unit=unit, is_instant=is_instant)

    def _note(self, found: Sequence[tuple[str, str]], kind: str, unit: str, look: looks.Look) -> None:
        kinds, units = list(dict.fromkeys(one for one, _ in found)), list(dict.fromkeys(one for _, one in found))
        if len(kinds) > 1:
            text = Phrase("the figures may be {kinds}: {seen}", kinds=_either(kinds), seen=look.said)
            self._ask("--kind", text, kinds)
        elif len(units) > 1:
            self._ask("--unit", Phrase("the figures may be in {units}", units=_either(units)), units)
        elif not found and not unit:
            self._ask("--unit", Phrase("no unit makes the figures the power of a home"), UNITS)
        elif not found:
            text = Phrase("as {what} the figures are not those of a home", what=_in_unit(kind or ENERGY, unit))
            self._ask("--kind", text, (ENERGY, REGISTER))
        elif not kind and kinds == [REGISTER]:
            self._choose("figures", _in_unit(REGISTER, units[0]), look.said)
        elif not unit:
            self._choose("figures", _in_unit(kinds[0], units[0]), Phrase("only so is the power that of a home"))

    # Start or end

    def time_edge(self) -> None:
        """Decide which end of its interval a row's time is."""
        edge = self.known.edge or self.roles.edge
        if self.layout.is_instant:
            if self.roles.hours:
                self.layout = self.layout._replace(is_ordinal=False, first_hour=0)
        elif self.roles.end is not None:
            short_s = looks.short_of_ends(RowReader(self.layout), self.rows)
            self.layout = self.layout._replace(edge="start", short_s=short_s)
        elif self.roles.hours:
            self._numbered_hours(edge)
        else:
            self.layout = self.layout._replace(edge=edge or self._edge_by_midnight() or "start")

    def _numbered_hours(self, edge: str) -> None:
        """Decide hours that are numbers: from 1 on they are hours of the day, else clock times."""
        is_from_one = 0 not in self.numbers and self.roles.hours in self.numbers and edge != "start"
        if is_from_one:
            value = Phrase("numbered from 1 to {last}", last=max(self.numbers))
            self._choose("hours", value, Phrase("hour 1 begins at midnight"))
        elif not edge:
            edge = self._edge_by_midnight()
        edge = "end" if edge == "end" and not is_from_one else "start"
        self.layout = self.layout._replace(edge=edge, is_ordinal=is_from_one, first_hour=int(is_from_one))

    def _edge_by_midnight(self) -> str:
        """Return which end of its interval a time is, by the row with which the first day begins."""
        texts = [text for place in (self.roles.time, self.roles.clock) for text in self._texts(place)]
        if self.step_s >= DAY_S - HOUR or len(self.ats) < 2:
            if not any(re.search(r"[0-9]:[0-9]", text) for text in texts):
                return "start"
            self.doubts.append(edge_doubt("the interval" if self.step_s < DAY_S - HOUR else "the day"))
        elif any("24:00" in text for text in texts):
            self._choose("times", _END, Phrase("24:00 is the end of a day"))
            return "end"
        elif (first := self._after_midnight()) == {0} and not self._ends_at_midnight():
            self._choose("times", _START, BY_MIDNIGHT)
            return "start"
        elif first == {self.step_s} and len(self.ats) >= DAY_S // self.step_s:
            self._choose("times", _END, Phrase("the first row is one interval after midnight"))
            return "end"
        else:
            self.doubts.append(edge_doubt("the interval"))
        return ""

    def _after_midnight(self) -> set[int]:
        """Return how long after midnight the file begins, 0 or one step, by the clocks that it may have."""
        if self.way == 0 or (self.way < 0 and len(self.rows) >= SAMPLE_ROWS):
            return set()  # the sample may begin anywhere
        first, zones = self.ats[0], ("UTC", self.known.zone) if self.has_offsets else ("UTC",)
        return {first - day_start(day_of(first, zone), zone) for zone in zones} & {0, self.step_s}

    def _ends_at_midnight(self) -> bool:
        """Whether the last row is at midnight too: the last of the rows by their end, or the first of a day."""
        zones = ("UTC", self.known.zone) if self.has_offsets else ("UTC",)
        is_whole = len(self.rows) < SAMPLE_ROWS and self.ats[-1] - self.ats[0] >= DAY_S - HOUR
        return is_whole and any(self.ats[-1] == day_start(day_of(self.ats[-1], zone), zone) for zone in zones)

    # Direction

    def direction(self) -> None:
        """Decide the direction of figures that name none, and of net figures."""
        unnamed = [one for one in self.roles.figures if not one.channel]
        if self.known.direction:
            if len(self.roles.figures) == 1:
                named = self.roles.figures[0]._replace(channel=self.known.direction)
                self.layout = self.layout._replace(roles=self.roles._replace(figures=(named,)))
            self.layout = self.layout._replace(direction=self.known.direction)
        elif self.layout.is_instant and self.layout.kind == POWER and unnamed:
            self.layout = self.layout._replace(direction=NET)
        elif unnamed and not self.roles.categories:
            if not self.is_profiled and any(said_by(one.name).is_foreign for one in unnamed):
                text = Phrase("the direction of {names} is not known", names=shown(unnamed[0].name))
                self._ask("--direction", text, (IMPORT, EXPORT))
            texts = [text for one in unnamed for place in one.places for text in self._texts(place)]
            signed = [text[0] == "-" for text in texts if re.search("[1-9]", text)]
            if any(signed):
                options = (EXPORT,) if all(signed) else (NET, IMPORT)
                text = Phrase("figures are below zero: net energy, negative for export?")
                self._ask("--direction", text, options)
