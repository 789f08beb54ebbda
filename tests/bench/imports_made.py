"""Files at random of a known home: how each is written, and what is true of it. No product code is used here.

A file differs in delimiter, decimal sign, thousands, order of dates, clock (zone, offset, UTC, epoch), repeated hour,
24:00, hours 1 to 25, columns of the time, step, direction, units, words, preamble, units below the header, other
columns, totals at the end, absent and bad figures, duplicates, holes, disorder and encoding. It tells of 2 to 40 days
of 2025, in a half of files around a change of the clocks.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

NOW = int(datetime(2027, 1, 15, tzinfo=UTC).timestamp())
CHANGES = {
    "Europe/London": (date(2025, 3, 30), date(2025, 10, 26)),
    "Europe/Paris": (date(2025, 3, 30), date(2025, 10, 26)),
    "Europe/Helsinki": (date(2025, 3, 30), date(2025, 10, 26)),
    "America/New_York": (date(2025, 3, 9), date(2025, 11, 2)),
    "Australia/Adelaide": (date(2025, 4, 6), date(2025, 10, 5)),
}
Wh = tuple[int | None, int | None]  # import and export
WORDS = {  # language: start, end, date, clock, import, export, energy, power, register
    "en": ("Start", "End", "Date", "Time", "Import", "Export", "Consumption", "Power", "Reading"),
    "de": ("Von", "Bis", "Datum", "Uhrzeit", "Bezug", "Einspeisung", "Verbrauch", "Leistung", "Zählerstand"),
    "fr": ("Début", "Fin", "Date", "Heure", "Soutirage", "Injection", "Consommation", "Puissance", "Index"),
    "nl": ("Van", "Tot", "Datum", "Tijd", "Afname", "Teruglevering", "Verbruik", "Vermogen", "Meterstand"),
    "es": ("Inicio", "Fin", "Fecha", "Hora", "Importada", "Vertida", "Consumo", "Potencia", "Lectura"),
    "da": ("Fra", "Til", "Dato", "Tid", "Import", "Eksport", "Forbrug", "Effekt", "Målerstand"),
}
FORMS = {
    "iso": "%Y-%m-%d %H:%M:%S",
    "iso-t": "%Y-%m-%dT%H:%M",
    "slash-ymd": "%Y/%m/%d %H:%M",
    "dmy": "%d/%m/%Y %H:%M",
    "mdy": "%m/%d/%Y %H:%M",
    "dotted": "%d.%m.%Y %H:%M",
    "dmy-short": "%d/%m/%y %H:%M",
    "mdy-12h": "%m/%d/%Y %I:%M %p",
    "named": "%d-%b-%Y %H:%M",
    "dotted-clock": "%Y-%m-%d %H.%M",
    "compact": "%Y%m%d%H%M",
}
UNITS = {"kWh": 1000, "Wh": 1, "MWh": 1_000_000, "kW": 1000, "W": 1}


class Spec(NamedTuple):
    """How a file is made."""

    zone: str
    language: str
    first: date
    days: int
    step: int  # seconds
    clock: str  # local, offset, offset-name, utc-suffix, utc-named, utc-silent, epoch, epoch-ms
    form: str  # a key of FORMS
    table: str  # one, two (date and clock), spread (year, month, day, hour, minute), numbered (hour 1 to 25), wide
    figure: str  # energy, power, register
    unit: str  # empty where the file does not say it
    unit_at: str  # header, row (below the header), column
    sides: str  # import, unnamed, export, both, long (a row each), net, negative
    edge: str  # start, end, both, early (an end of 00:29)
    is_named: bool  # the header says which end of the interval the time is
    midnight: str  # of ends: 0 or 24
    autumn: str  # twice, interleaved, merged
    delimiter: str
    decimal: str
    grouped: str  # the sign of thousands, or empty
    is_quoted: bool
    others: tuple[str, ...]  # further columns: meter, cost, quality, temperature
    encoding: str
    preamble: int
    tail: str  # what follows the rows: total, note, or nothing
    absent: str  # how an absent figure is written; empty where none is
    faults: frozenset[str]  # duplicates, holes, disorder, newest-first, bad


class Made(NamedTuple):
    """A file, and what is true of it."""

    content: bytes
    spec: Spec
    truth: dict[tuple[int, int], Wh]  # start and end (UTC seconds); both are the instant of a register
    answers: dict[str, Any]

    @property
    def zone(self) -> str:
        """The zone of the home."""
        return self.spec.zone

    @property
    def is_register(self) -> bool:
        """Whether its figures are of a register."""
        return self.spec.figure == "register"


class Span(NamedTuple):
    """What a home used and gave in a span."""

    start: int
    end: int
    used: int  # Wh
    given: int


# How a file is made


def spec_of(random: Random) -> Spec:
    pick = random.choice
    zone = pick([*CHANGES])
    figure = pick(["energy"] * 5 + ["power", "register"])
    step = pick([300, 900, 900, 1800, 1800, 3600, 3600, 3600] + ([86_400] if figure == "energy" else []))
    table = pick(
        ["one"] * 5 + ["two"] * 2 + ["spread"] + (["numbered"] * 2 if step == 3600 and figure == "energy" else [])
    )
    if figure == "energy" and step in (900, 1800, 3600) and random.random() < 0.15:
        table = "wide"
    days = random.randint(2, 12) if step <= 900 else random.randint(2, 40)
    around = pick(CHANGES[zone]) if random.random() < 0.5 else date(2025, 1, 2) + timedelta(days=random.randrange(320))
    first = around - timedelta(days=random.randrange(1, days))
    clock = clock_of(random, step, table, is_around=around in CHANGES[zone])
    delimiter = pick([",", ";", ";", "\t", "|"])
    decimal = "." if delimiter == "," else pick([",", "."])
    is_long = table in ("one", "two") and random.random() < 0.12
    sides = "long" if is_long and figure == "energy" else pick(sides_of(figure, table))
    edge = (
        pick(["start", "start", "end", "both", "early"])
        if figure != "register" and table in ("one", "two")
        else "start"
    )
    if step == 86_400:
        edge, days = "start", random.randint(20, 200)
    grouped = pick([" ", "." if decimal == "," else ","]) if random.random() < 0.1 and decimal != delimiter else ""
    if grouped == delimiter:
        grouped = ""
    return Spec(
        zone, pick([*WORDS]), first, days, step, clock, form_of(random, clock), table, figure,
        unit_of(random, figure), pick(["header"] * 6 + ["row"] + ([] if table == "wide" else ["column"])), sides, edge,
        random.random() < 0.6, pick(["0", "0", "24"]), pick(["twice", "twice", "interleaved", "merged"]), delimiter,
        decimal, grouped, random.random() < 0.15,
        tuple(random.sample(["meter", "cost", "quality", "temperature"], pick([0, 0, 0, 1, 2]))),
        pick(["utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252"]), pick([0, 0, 0, 3, 7]),
        pick(["", "", "", "total", "note"]), pick(["", "", "", "NaN", "n/a", "-", "null"]),
        frozenset(random.sample(["duplicates", "holes", "disorder", "newest-first", "bad"], pick([0, 0, 0, 1, 2]))),
    )  # fmt: skip


def clock_of(random: Random, step: int, table: str, *, is_around: bool) -> str:
    if step == 86_400 or table in ("numbered", "spread"):
        return "local"
    if table in ("two", "wide"):
        return random.choice(["local", "local", "utc-named"])
    some = ["local"] * 4 + ["offset", "offset", "offset-name", "utc-suffix", "utc-named", "epoch", "epoch-ms"]
    return random.choice(some + (["utc-silent"] if is_around else []))  # else nothing in the file could say it


def form_of(random: Random, clock: str) -> str:
    some = [
        "iso",
        "iso-t",
        "iso",
        "slash-ymd",
        "dmy",
        "mdy",
        "dotted",
        "dmy-short",
        "mdy-12h",
        "named",
        "dotted-clock",
        "compact",
    ]
    return random.choice(
        some if clock not in ("offset", "utc-suffix", "offset-name") else ["iso", "iso-t", "dmy", "dotted"]
    )


def sides_of(figure: str, table: str) -> list[str]:
    if figure == "power":
        return ["import", "unnamed"]
    if table == "wide":
        return ["import", "unnamed"]
    return ["import"] * 3 + ["unnamed", "export", "both", "both"] + (["net", "negative"] if figure == "energy" else [])


def unit_of(random: Random, figure: str) -> str:
    return random.choice(["W", "kW"] if figure == "power" else ["kWh", "kWh", "kWh", "Wh", "MWh", ""])


# What the home did


def home(spec: Spec, random: Random) -> list[Span]:
    """Return the energies of the days of a file: a base load, evenings, and panels at noon."""
    zone = ZoneInfo("UTC" if spec.clock in ("utc-named", "utc-silent") else spec.zone)
    at = datetime(spec.first.year, spec.first.month, spec.first.day, tzinfo=zone)
    ends = [int((at + timedelta(days=day)).timestamp()) for day in range(spec.days + 1)]
    ats = ends if spec.step == 86_400 else list(range(ends[0], ends[-1] + 1, spec.step))
    base, panels, found = random.randint(60, 400), random.choice([1500, 4000]), list[Span]()
    for start, end in pairwise(ats):
        hour = datetime.fromtimestamp(start, ZoneInfo(spec.zone)).hour if spec.step < 86_400 else 12
        watts = base * math.exp(random.gauss(0, 0.4)) + 900 * math.exp(-((hour - 19) ** 2) / 8) * random.random()
        sun = max(0.0, math.cos((hour - 12.5) / 6)) * panels * random.random() if 6 < hour < 19 else 0.0
        found.append(
            Span(start, end, *(int(one * (end - start) // 3600) for one in (max(watts, 12), max(0, sun - watts))))
        )
    return found


# How it is written


def written(at: int, spec: Spec, *, is_end: bool = False) -> str:
    """Return a time as one column has it."""
    if spec.clock.startswith("epoch"):
        return str(at * 1000 if spec.clock == "epoch-ms" else at)
    moment = datetime.fromtimestamp(at, ZoneInfo("UTC" if spec.clock.startswith("utc") else spec.zone))
    form = FORMS[spec.form]
    if spec.step == 86_400:
        return moment.strftime(form.rpartition("T")[0] if "T" in form else form.split(" ")[0].replace("%H%M", ""))
    if is_end and spec.midnight == "24" and moment.hour + moment.minute == 0 and spec.form not in ("mdy-12h", "iso-t"):
        day = (moment - timedelta(hours=2)).strftime(form)
        text = (
            day.replace(" 22:00", " 24:00").replace(" 22.00", " 24.00") if spec.form != "compact" else day[:8] + "2400"
        )
    else:
        text = moment.strftime(form)
    suffix = {"offset": moment.isoformat()[-6:], "offset-name": f" {moment.tzname()}", "utc-suffix": "Z"}.get(
        spec.clock, ""
    )
    if spec.clock == "offset-name" and not str(moment.tzname()).isalpha():
        suffix = moment.isoformat()[-6:]
    return text + suffix


def times_of(span: Span, spec: Spec) -> list[str]:
    """Return the cells of the time of a row."""
    zone = ZoneInfo("UTC" if spec.clock.startswith("utc") else spec.zone)
    if spec.table == "spread":
        moment = datetime.fromtimestamp(span.start, zone)
        parts = [moment.year, moment.month, moment.day, *([moment.hour, moment.minute] if spec.step < 86_400 else [])]
        return [str(one) for one in parts]
    if spec.table == "numbered":
        day = datetime.fromtimestamp(span.start, zone).replace(hour=0, minute=0)
        return [day.strftime(date_form(spec)), str((span.start - int(day.timestamp())) // 3600 + 1)]
    last = span.end - (60 if spec.edge == "early" else 0)
    ats = {"start": [(span.start, False)], "end": [(span.end, True)]}.get(
        spec.edge, [(span.start, False), (last, spec.edge == "both")]
    )
    if spec.step == 86_400 or spec.table == "one":
        return [written(at, spec, is_end=is_end) for at, is_end in ats]
    cells = []
    for at, is_end in ats:
        text = written(at, spec, is_end=is_end)
        cells += [text[:8], text[8:]] if spec.form == "compact" else text.replace("T", " ").split(" ", 1)
    return cells


def date_form(spec: Spec) -> str:
    return FORMS[spec.form].replace("T", " ").split(" ")[0].replace("%H%M", "")


def figure(wh: int, spec: Spec, *, is_watts: bool = False, seconds: int = 3600) -> str:
    """Return a figure in the unit of the file."""
    scale = UNITS[spec.unit or "kWh"]
    value = wh * 3600 // seconds if is_watts else wh
    text = f"{value / scale:,.{ {1000: 3, 1: 0, 1_000_000: 6}[scale] }f}"
    if not spec.grouped:
        return text.replace(",", "").replace(".", spec.decimal)
    return text.replace(",", "\0").replace(".", spec.decimal).replace("\0", spec.grouped)


def made(random: Random) -> Made:
    spec = spec_of(random)
    some = kept(home(spec, random), spec, random)
    file = Writer(spec, random)
    rows = file.wide(some) if spec.table == "wide" else file.rows(some)
    if spec.autumn == "interleaved" and spec.clock == "local" and spec.table in ("one", "two", "spread"):
        rows = interleaved(rows, file)
    lines = [file.line(cells) for cells in rows]
    if "bad" in spec.faults and len(lines) > 40:
        place = random.randrange(5, len(lines))
        lines[place] = file.line(
            [*rows[place][: file.first_figure], *["n.b.!"] * (len(rows[place]) - file.first_figure)]
        )
        file.forget(rows[place])
    lines = disordered(lines, spec, random)
    before = [f"Meter{spec.delimiter}4711", f"Home{spec.delimiter}Zähler", ""][: spec.preamble]
    after = {"total": [file.line(["Total", *[""] * (len(file.header) - 2), "1234"])], "note": ["", "made by a test"]}
    head = [file.line(file.header), *([file.line(file.units)] if spec.unit_at == "row" and spec.unit else [])]
    text = "\r\n".join([*before, *head, *lines, *after.get(spec.tail, [])]) + "\r\n"
    return Made(text.encode(spec.encoding), spec, file.truth, answers_of(spec, file))


def kept(some: list[Span], spec: Spec, random: Random) -> list[Span]:
    if "holes" not in spec.faults:
        return some
    return [one for place, one in enumerate(some) if random.random() > 0.03 or place in (0, len(some) - 1)]


class Writer:
    """Writes the rows of one file, and notes what is true of each."""

    def __init__(self, spec: Spec, random: Random) -> None:
        self.spec, self.random = spec, random
        self.truth: dict[tuple[int, int], Wh] = {}
        self.own: dict[tuple[str, ...], tuple[int, int]] = {}  # cells -> the key of their truth
        self.words = WORDS[spec.language]
        self.times = self.time_names()
        self.figures = self.figure_names()
        self.first_figure = len(self.times)
        unit = ["Unit"] if spec.unit_at == "column" and spec.unit else []
        self.header = [*self.times, *self.figures, *unit, *(one.title() for one in spec.others)]
        self.units = [*[""] * len(self.times), *[spec.unit] * len(self.figures), *[""] * len(spec.others)]

    def time_names(self) -> list[str]:
        spec, (start, end, day, clock, *_) = self.spec, self.words
        utc = " (UTC)" if spec.clock == "utc-named" else ""
        if spec.table == "spread":
            return ["Year", "Month", "Day", "Hour", "Minute"][: 5 if spec.step < 86_400 else 3]
        if spec.table in ("numbered", "wide"):
            return [day + utc, *([clock] if spec.table == "numbered" else [])]
        if spec.edge in ("both", "early"):
            return (
                [f"{start}{utc}", f"{end}{utc}"]
                if spec.table == "one"
                else [f"{start} {day}{utc}", f"{start} {clock}", f"{end} {day}{utc}", f"{end} {clock}"]
            )
        first = {"start": start, "end": end}[spec.edge] if spec.is_named else ""
        if spec.table == "two" and spec.step < 86_400:
            return [f"{first} {day}{utc}".strip(), f"{first} {clock}".strip()]
        return [(first or "Timestamp") + utc]

    def figure_names(self) -> list[str]:
        spec, (*_, used, given, energy, power, register) = self.spec, self.words
        kind = {"power": f" {power}", "register": f" {register}", "energy": ""}[spec.figure]
        unit = f" ({spec.unit})" if spec.unit and spec.unit_at == "header" else ""
        names = {"import": [used], "export": [given], "both": [used, given], "negative": [used, given], "net": ["Net"]}
        if spec.table == "wide":
            step = spec.step // 60
            return [f"{at // 60:02}:{at % 60:02}" for at in range(0, 1440, step)]
        if spec.sides == "long":
            return ["Register", "Volume" + unit]
        if spec.sides == "unnamed":
            return [{"power": power, "register": register, "energy": energy}[spec.figure] + unit]
        return [f"{one}{kind}{unit}" for one in names[spec.sides]]

    def rows(self, some: Sequence[Span]) -> list[list[str]]:
        spec, found, registers = (
            self.spec,
            list[list[str]](),
            [self.random.randrange(200_000, 30_000_000) for _ in "12"],
        )
        for span in some:
            is_absent = bool(spec.absent) and self.random.random() < 0.01 and len(found) > 20
            if spec.figure == "register":
                values: list[int] = list(registers)
                registers = [registers[0] + span.used, registers[1] + span.given]
            else:
                values = [span.used, span.given]
            found += self.row(span, values, spec.absent if is_absent else "")
        return found

    def row(self, span: Span, values: list[int], absent: str) -> list[list[str]]:
        spec, times = self.spec, times_of(span, self.spec)
        key = (span.start, span.start) if spec.figure == "register" else (span.start, span.end)
        used, given = (
            figure(one, spec, is_watts=spec.figure == "power", seconds=span.end - span.start) for one in values
        )
        more = [*([spec.unit] if spec.unit_at == "column" and spec.unit else []), *map(self.other, spec.others)]
        net = values[0] - values[1]
        cells: dict[str, list[list[str]]] = {
            "import": [[used]], "unnamed": [[used]], "export": [[given]], "both": [[used, given]],
            "negative": [[used, f"-{given}" if re_nonzero(given) else given]],
            "net": [[("-" if net < 0 else "") + figure(abs(net), spec)]], "long": [["Import", used], ["Export", given]],
        }  # fmt: skip
        true: dict[str, Wh] = {
            "import": (values[0], None), "unnamed": (values[0], None), "export": (None, values[1]),
            "net": (max(net, 0), max(-net, 0)),
        }  # fmt: skip
        rows = [
            [*times, *([absent] * len(one) if absent and spec.sides != "long" else one), *more]
            for one in cells[spec.sides]
        ]
        if not absent or spec.sides == "long":
            self.truth[key] = true.get(spec.sides, (values[0], values[1]))
        for one in rows:
            self.own[tuple(one)] = key
        return rows

    def wide(self, some: Sequence[Span]) -> list[list[str]]:
        """Return a row a day; of the hour that occurs twice only the first pass has a column."""
        spec, days = self.spec, dict[str, dict[int, str]]()
        for span in some:
            moment = datetime.fromtimestamp(span.start, ZoneInfo("UTC" if spec.clock.startswith("utc") else spec.zone))
            row = days.setdefault(moment.strftime(date_form(spec)), {})
            slot = (moment.hour * 60 + moment.minute) * 60 // spec.step
            if slot not in row:
                row[slot] = figure(span.used, spec)
                self.truth[span.start, span.end] = span.used, None
        return [
            [day, *(row.get(slot, "") for slot in range(86_400 // spec.step)), *map(self.other, spec.others)]
            for day, row in days.items()
        ]

    def other(self, name: str) -> str:
        made: dict[str, Callable[[], str]] = {
            "meter": lambda: "1100012345678",
            "cost": lambda: f"{self.random.random():.2f}".replace(".", self.spec.decimal),
            "quality": lambda: self.random.choice(["A", "A", "A", "E"]),
            "temperature": lambda: f"{self.random.gauss(10, 5):.1f}".replace(".", self.spec.decimal),
        }
        return made[name]()

    def line(self, cells: Sequence[str]) -> str:
        if self.spec.is_quoted:
            cells = [f'"{one}"' for one in cells]
        return self.spec.delimiter.join(cells)

    def forget(self, cells: Sequence[str]) -> None:
        """Forget what a row told that was made unreadable."""
        key = self.own.get(tuple(cells))
        used, given = self.truth.pop(key, (None, None)) if key else (None, None)
        if key and self.spec.sides == "long":
            self.truth[key] = (None, given) if "Import" in cells else (used, None)


def re_nonzero(text: str) -> bool:
    return any(one in "123456789" for one in text)


def interleaved(rows: list[list[str]], file: Writer) -> list[list[str]]:
    """Put the second pass of the repeated hour beside the first: each time stands there twice in a row."""
    places: dict[tuple[str, ...], int] = {}
    found: list[list[list[str]]] = []
    for cells in rows:
        key = tuple(cells[: len(file.times) + (file.spec.sides == "long")])
        if key in places:
            found[places[key]].append(cells)
        else:
            places[key] = len(found)
            found.append([cells])
    return [cells for same in found for cells in same]


def disordered(lines: list[str], spec: Spec, random: Random) -> list[str]:
    if "duplicates" in spec.faults:
        lines = lines + random.sample(lines, min(20, len(lines)))
    if "disorder" in spec.faults:
        random.shuffle(lines)
    elif "duplicates" not in spec.faults and "newest-first" in spec.faults:
        lines.reverse()
    return lines


def answers_of(spec: Spec, file: Writer) -> dict[str, Any]:
    orders = {
        "dmy": "day-first",
        "dotted": "day-first",
        "dmy-short": "day-first",
        "mdy": "month-first",
        "mdy-12h": "month-first",
    }
    return {
        "order": orders.get(spec.form, "year-first"),
        "edge": "end" if spec.edge == "end" else "start",
        "unit": spec.unit or "kWh",
        "figure_kind": spec.figure,
        "decimal": "comma" if spec.decimal == "," else "point",
        "direction": {"export": "export", "net": "net"}.get(spec.sides, "import"),
        "zone": "UTC" if spec.clock.startswith("utc") else spec.zone,
        "columns": {*file.times[:1], *file.figures},
        "where": set[str](),
    }
