"""The rows of a table under a layout: times and figures, exact; a bad figure costs itself, a bad row is refused. Pure.

A layout is everything that was decided about a file. A row tells of an interval, by its energy or its mean power, or of
an instant, by registers or power. Energy is in millionths of a Wh and volume in millionths of a litre, so sums are
exact; registers are Wh or litres, power is W. An empty figure, or `NA` and the like, is absent, never zero.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from aggregator.core.errors import Refused, shown
from aggregator.core.periods import DAY_S, HOUR, window
from aggregator.core.readings import MAX_LINE, MAX_POWER, MAX_REGISTER, NO_POWER, NO_REGISTER, REASONS
from aggregator.intake.imports.vocabulary import (
    CATEGORIES,
    EXPORT,
    IMPORT,
    NET,
    POWER,
    REGISTER,
    UNITS,
    VOLUME_M3,
    WATT_HOURS,
    WATTS,
    Figure,
    Roles,
    hour_number,
    said_by,
)
from aggregator.intake.tables.notation import Time, is_summary, read_clock, read_figure, read_time
from aggregator.intake.tables.table_shapes import Cells

MICRO = 1_000_000
_DAY, _CHANGE = timedelta(days=1), timedelta(hours=2)  # clocks go back by less
FACTORS = {**WATT_HOURS, **WATTS, VOLUME_M3: 1000}  # Wh, W or litres in a unit


class Layout(NamedTuple):
    """How a file is read. Its `repr` is the same in every process, as an import is found again by it: it has no set."""

    roles: Roles
    order: str = "dmy"  # of day, month and year
    decimal: str = "."
    edge: str = "start"  # which end of an interval a row's time is
    kind: str = "energy"
    is_instant: bool = False  # rows are readings: registers, or power of an instant
    zone: str = "UTC"  # of times without an offset
    direction: str = IMPORT  # of figures that name none
    unit: str = ""  # of figures that name none
    where: tuple[tuple[int, str], ...] = ()  # a column and the text that its rows must have
    short_s: int = 0  # written ends are so many seconds early: 00:29 of 00:30
    is_ordinal: bool = True  # numbered hours count from midnight, also where clocks change
    first_hour: int = 1  # the number of the hour that begins at midnight
    open_days: tuple[datetime, ...] = ()  # of which it is not known what their numbered hours are
    late_s: int = 0  # a register is of so long after its time
    step_s: int | None = None  # the length of intervals without an end, where it was named
    is_gas: bool | None = None  # whether rows of gas count, or all but those; None where the file has no gas
    is_told: bool = False  # the direction was named, of what panels made, too
    judged: tuple[tuple[str, ...], ...] = ()  # categories of the rows that decided


class FileRow(NamedTuple):
    """The values of a row. None is absent, never zero."""

    line: int
    text: str
    time: Time
    end: Time | None
    series: int  # rows of different series add up, like those of two tariffs
    imported: int | None  # of intervals millionths of a Wh (of power: of a W); of instants Wh
    exported: int | None
    volume: int | None
    power_w: int | None
    bad: Refused | None = None  # a figure that could not be read

    @property
    def has_values(self) -> bool:
        """Whether a figure is known; a row without still tells of the order of rows."""
        return any(one is not None for one in self[5:9])

    @property
    def is_zero(self) -> bool:
        """Whether all figures that are known are zero."""
        return self.has_values and not any(self[5:9])


class _Target(NamedTuple):
    """What a figure is, by its column and the categories of its row."""

    figure: Figure
    factor: int  # Wh, W or litres in its unit
    channel: str
    kind: str


class _Selected(NamedTuple):
    """What the categories of a row say of it: the number of its series, and its figures."""

    series: int
    targets: tuple[_Target, ...]


class RowReader:
    """Reads the rows of one file."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._read = partial(read_figure, decimal=layout.decimal)
        self.beyond = 0  # rows whose numbered hour is after the end of their day
        self._longest: dict[datetime, list[int]] = {}  # days with a repeated hour -> the numbers of their hours
        self.others = 0  # rows of another quantity, kind or meter, which are not refused
        self.news: dict[int, str] = {}  # numbers of rows with texts that were not there before, of which some tell
        self._selections: dict[tuple[str, ...], _Selected | None] = {}
        self._constant = {place: set(texts) for place, texts in layout.roles.constant}
        self._has_channels = len({one.channel for one in layout.roles.figures if one.channel}) > 1

    def row_of(self, row: Cells) -> FileRow | None:
        """Return a row; None for one of another quantity. Raises Refused."""
        number, text, cells = row
        if len(text) >= MAX_LINE:
            raise Refused("line_too_long", f"more than {MAX_LINE} characters")
        try:
            if self._is_other(cells) or is_summary(cells[self.layout.roles.time]):
                self.others += 1
                return None
            time, end = self.times(cells)
            for place, texts in self._constant.items():
                if place < len(cells) and cells[place] not in texts:
                    self._note(number, cells[place], texts)
            selected = self._selected(number, cells)
            if selected is None:
                self.others += 1
                return None
            return self._with_figures(number, text, time, end, cells, selected)
        except IndexError:
            raise Refused("bad_row", f"it has {len(cells)} columns") from None

    def _note(self, number: int, text: str, texts: set[str]) -> None:
        """Note a text that was not there in the rows that decided."""
        if len(texts) < CATEGORIES:
            texts.add(text)
            if said_by(text).is_telling:
                self.news[number] = text

    def _is_other(self, cells: Sequence[str]) -> bool:
        return any(cells[place].strip() != value for place, value in self.layout.where)

    # Times

    def times(self, cells: Sequence[str]) -> tuple[Time, Time | None]:
        """Return the time of a row, and its end where it has one. Raises Refused and IndexError."""
        roles, order = self.layout.roles, self.layout.order
        if roles.clock is None:
            if cells[roles.time][:1] == "!":  # a message that was refused as a whole
                reason, _, detail = cells[roles.time][1:].partition(": ")
                raise Refused(reason if reason in REASONS else "bad_time", detail)
            time = read_time(cells[roles.time], order)
        else:
            time = self._clocked(cells[roles.time], cells[roles.clock])
        if roles.end is None:
            return time, None
        if roles.end_clock is not None:
            end = self._clocked(cells[roles.end], cells[roles.end_clock])
            if roles.end == roles.time and isinstance(end, datetime) and isinstance(time, datetime):
                end += _DAY * (end <= time and (time - end > _CHANGE or not time.hour + time.minute))
        else:
            end = read_time(cells[roles.end], order)
        short = self.layout.short_s
        return time, end if not short else end + short if isinstance(end, int) else end + timedelta(seconds=short)

    def _clocked(self, date: str, clock: str) -> Time:
        roles = self.layout.roles
        day = read_time(date.split(" ")[0] if ":" in date else date, self.layout.order)
        if isinstance(day, int):
            raise Refused("bad_time", f"the date is {shown(date)}")
        return self._numbered(day, clock) if roles.hours else day + timedelta(seconds=read_clock(clock.strip()))

    def _numbered(self, day: datetime, clock: str) -> Time:
        """Return the instant of the n-th hour of a day, or its local time where hours are clock times."""
        digits = hour_number(clock)
        if not digits:
            raise Refused("bad_time", f"the hour is {shown(clock.strip())}")
        step = DAY_S // self.layout.roles.hours
        number = int(digits) - self.layout.first_hour
        if number < 0 or number * step > DAY_S + HOUR:
            raise Refused("bad_time", f"the hour is {shown(clock.strip())}")
        if day in self.layout.open_days:
            raise Refused("ambiguous_time", f"on {day:%Y-%m-%d} an hour occurs twice, and it has no number of its own")
        if not self.layout.is_ordinal:
            return day + timedelta(seconds=number * step)
        first, last = window("day", day.date().isoformat(), self.layout.zone)
        if first + number * step >= last:
            self.beyond += 1
        if last - first > DAY_S:
            self._longest.setdefault(day, []).append(number)
        return first + number * step

    @property
    def has_clock_hours(self) -> bool:
        """Whether numbered hours are clock times: a day lacks the hour that is skipped, or repeats one."""
        last = DAY_S // max(self.layout.roles.hours, 1)
        return self.beyond > 0 or any((max(some) + 1) * last == DAY_S for some in self._longest.values())

    @property
    def open_days(self) -> tuple[datetime, ...]:
        """Days with a repeated hour of which no numbered hour is there twice or beyond 24."""
        each = {day: Counter(some).values() for day, some in self._longest.items()}
        return tuple(sorted(day for day, counts in each.items() if len(set(counts)) == 1))

    # Figures

    def _with_figures(
        self, line: int, text: str, time: Time, end: Time | None, cells: Sequence[str], selected: _Selected
    ) -> FileRow:
        values: dict[str, int] = {}
        bad: Refused | None = None
        for target in selected.targets:
            try:
                self._add(values, target, cells)
            except Refused as why:
                bad = why
        if not values:
            bad = bad or Refused("no_values", "none of its figures has a value")
        imported, exported, volume, power_w = map(values.get, (IMPORT, EXPORT, VOLUME_M3, POWER))
        return FileRow(line, text, time, end, selected.series, imported, exported, volume, power_w, bad)

    def _add(self, values: dict[str, int], target: _Target, cells: Sequence[str]) -> None:
        figure, factor, channel, kind = target
        places = figure.places
        total = self._read(cells[places[0]]) if len(places) == 1 else self._sum(figure, cells)
        if total is not None:
            self._put(values, channel, total * factor, kind)

    def _sum(self, figure: Figure, cells: Sequence[str]) -> Decimal | None:
        found = [self._read(cells[place]) for place in figure.places]
        known = [one for one in found if one is not None]
        if known and len(known) != (1 if figure.is_one_of else len(found)):
            raise Refused("not_a_number", f"of {figure.name} only {len(known)} have a value")
        return sum(known, Decimal(0)) if known else None

    def _put(self, values: dict[str, int], channel: str, value: Decimal, kind: str) -> None:
        if self.layout.is_instant and kind == POWER:
            if value != NO_POWER:
                values[POWER] = _checked(
                    value if channel != EXPORT else -abs(value), MAX_POWER, "power", least=-MAX_POWER
                )
        elif self.layout.is_instant:
            if value != NO_REGISTER:
                values[channel] = _checked(value, MAX_REGISTER, "register")
        elif channel == NET:
            values[IMPORT], values[EXPORT] = (_micro(max(value, Decimal(0))), _micro(max(-value, Decimal(0))))
        else:
            values[channel] = _micro(abs(value) if channel == EXPORT else value)

    # Categories

    def _selected(self, number: int, cells: Sequence[str]) -> _Selected | None:
        """Return what the categories say; None for a row of another quantity or kind."""
        key = tuple([cells[place] for place in self.layout.roles.categories])
        try:
            return self._selections[key]
        except KeyError:
            if len(self._selections) > MAX_LINE:
                self._selections.clear()
            found = self._selections[key] = self._classified(key)
            if self.layout.judged and key not in self.layout.judged:
                self.news[number] = " ".join(key)
            return found

    def _classified(self, key: tuple[str, ...]) -> _Selected | None:
        layout = self.layout
        if not key:
            return self._told(0, "", "")
        said = said_by(" ".join(key))
        kind = said.kind or layout.kind
        if (
            said.is_ignored
            or (said.is_generation and not layout.is_told)
            or (layout.is_gas is not None and layout.is_gas != ("gas" in said.meanings))
            or (kind != layout.kind and not (layout.kind != REGISTER and said.kind == ""))
        ):
            return None
        return self._told(len(self._selections) + 1, said.channel, said.unit if said.unit in UNITS else "")

    def _told(self, series: int, channel: str, unit: str) -> _Selected:
        """Return the figures of a row whose categories tell a channel and a unit, or neither."""
        return _Selected(series, tuple(self._target(one, channel, unit) for one in self.layout.roles.figures))

    def _target(self, figure: Figure, channel: str, unit: str) -> _Target:
        own = figure.unit or self.layout.unit
        told = figure.channel if self._has_channels else channel or figure.channel
        is_volume = VOLUME_M3 in (own, unit)
        return _Target(
            figure,
            FACTORS[unit or own or "kWh"],
            VOLUME_M3 if is_volume else told or channel or self.layout.direction,
            figure.kind or self.layout.kind,
        )


def _micro(value: Decimal) -> int:
    if not 0 <= value <= MAX_REGISTER:
        raise Refused("out_of_range", f"the energy of an interval is {shown(value)} Wh")
    return round(value * MICRO)


def _checked(value: Decimal, most: int, what: str, least: int = 0) -> int:
    if what == "register" and value < 0:
        raise Refused("negative_register", f"a register is {shown(value)}")
    whole = round(value)
    if not least <= whole <= most:
        raise Refused("out_of_range", f"a {what} is {shown(value)}")
    return whole
