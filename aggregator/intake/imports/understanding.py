"""What is said of a file: the options beside it, and what it was understood to be. Plain values, and their words. Pure.

`Known` is what a person or the registry says before; `Understanding` is what the content says: choices with their
evidence, what is in doubt, the first rows as they were read, totals, and the brakes that hold. A provider's file is
mostly read by its words (`vocabulary`); its profile says what they do not: `PROFILES` has a row per provider.
"""

import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aggregator.core.errors import ConfigurationError, Phrase, Refused, shown
from aggregator.core.periods import iso_local
from aggregator.intake.imports.vocabulary import ENERGY, EXPORT, IMPORT, NET, POWER, REGISTER, VOLUME_M3, plain

TIMES = ("time", "date", "clock", "end", "end_clock")
FIGURE_FIELDS: dict[str, tuple[str, str, str]] = {  # field of --columns -> channel, kind, unit
    **{
        f"{channel}{suffix}_{unit.lower()}": (channel, kind, unit)
        for channel in (IMPORT, EXPORT, NET)
        for suffix, kind in (("", ENERGY), ("_register", REGISTER))
        for unit in ("kWh", "Wh", "MWh")
        if (channel, kind) != (NET, REGISTER)
    },
    **{
        f"{name}power_{unit.lower()}": (channel, POWER, unit)
        for name, channel in (("", NET), ("import_", IMPORT), ("export_", EXPORT))
        for unit in ("kW", "W")
    },
    "gas_m3": (IMPORT, ENERGY, VOLUME_M3),
    "gas_register_m3": (IMPORT, REGISTER, VOLUME_M3),
}
_FIELD = re.compile(rf"\s*({'|'.join((*TIMES, *FIGURE_FIELDS))})\s*=", re.IGNORECASE)
BRAKES = ("refused", "implausible", "register", "contradiction", "clock")  # the values of --allow
NAMED = 20  # named refused rows per reason; the others are only counted
KEPT = 20  # refused rows kept as messages


class Known(NamedTuple):
    """What is known beside the file: the home, the time, and the options that were named; empty where none was."""

    zone: str
    now: int  # UTC seconds
    max_power_w: int = 100_000
    meter: str = "electricity"  # the kind of the device
    order: str = ""  # a key of ORDERS
    edge: str = ""  # start or end
    direction: str = ""
    unit: str = ""
    figure_kind: str = ""
    decimal: str = ""  # a key of SIGNS
    step_s: int | None = None
    where: tuple[str, ...] = ()
    columns: Mapping[str, str] = {}
    is_zone_named: bool = False
    usage: Callable[[int, int], Mapping[int, int]] | None = None  # stored import Wh by hour, of a span (UTC seconds)


class Choice(NamedTuple):
    """What was understood of a file, and why."""

    what: str
    value: str
    why: Phrase | None = None


class Doubt(NamedTuple):
    """A question about a file: what is not certain, the option that decides it, and its possible values."""

    option: str
    text: Phrase
    values: tuple[str, ...] = ()


class Brake(NamedTuple):
    """A reason why nothing of the file is taken, and the option that says otherwise."""

    name: str  # one of BRAKES
    text: Phrase
    option: str


class Energy(NamedTuple):
    """What a period has in the file: Wh, or litres of gas. None is absent."""

    import_wh: int | None = None
    export_wh: int | None = None
    volume_l: int | None = None

    @property
    def text(self) -> str:
        """Return it for people: `12.400 kWh import, 0.300 kWh export`."""
        named = (("kWh import", self.import_wh), ("kWh export", self.export_wh), ("m³", self.volume_l))
        return ", ".join(f"{value / 1000:,.3f} {name}" for name, value in named if value is not None)


@dataclass(frozen=True, slots=True)
class Understanding:
    """What a file was understood to be; a plain value."""

    format: str
    choices: tuple[Choice, ...]
    doubts: tuple[Doubt, ...] = ()
    brakes: tuple[Brake, ...] = ()
    first_rows: tuple[Phrase, ...] = ()
    rows: int = 0
    reasons: tuple[tuple[str, int], ...] = ()  # refused rows by reason
    start: int | None = None  # UTC seconds
    end: int | None = None
    months: tuple[tuple[str, Energy], ...] = ()
    days: tuple[tuple[str, Energy], ...] = ()  # of a short file
    largest: tuple[str, Energy] | None = None  # a day
    smallest: tuple[str, Energy] | None = None

    def lines(self, zone: str) -> Iterator[str]:
        """Yield it as lines for people, with times of a zone."""
        for what, value, why in self.choices:
            yield f"{what}: {value}" + (f" ({why})" if why else "")
        yield from (f"  {row}" for row in self.first_rows)
        for month, energy in self.months:
            yield f"  {month}: {energy.text}"
        for name, day in (("largest", self.largest), ("smallest", self.smallest)):
            if day:
                yield f"  {name} day {day[0]}: {day[1].text}"
        if self.brakes and self.start is not None and self.end is not None:
            yield f"{self.rows} rows, from {iso_local(self.start, zone)} to {iso_local(self.end, zone)}"


@dataclass(slots=True)
class RefusedRows:
    """Refused rows and figures: counts, and the first by name."""

    place: Callable[[int], object] = "line {}".format  # a row as its file shows it
    reasons: Counter[str] = field(default_factory=Counter)
    named: list[str] = field(default_factory=list)
    samples: deque[tuple[bytes, Refused]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def refuse(self, number: int, text: str, why: Refused) -> None:
        """Count a refused row or figure; name it if it is among the first of its reason."""
        self.reasons[why.reason] += 1
        if self.reasons[why.reason] <= NAMED:
            self.named.append(f"{self.place(number)}: {why}")
        self.samples.append((text.encode(errors="replace"), why))

    def lines(self) -> Iterator[str]:
        """Yield each named refusal, and the number of others per reason."""
        yield from self.named
        for reason, count in sorted(self.reasons.items()):
            if count > NAMED:
                yield f"{reason}: {count - NAMED} more"


# Options


def named_columns(text: str) -> dict[str, str]:
    """Parse `--columns` to column names by field: `time=Date,import_kwh=T1+T2`. Raises ConfigurationError."""
    names: dict[str, str] = {}
    for piece in re.split(rf",(?={_FIELD.pattern})", text, flags=re.IGNORECASE)[::2]:
        found = _FIELD.match(piece)
        name, value = (found[1].lower(), piece[found.end() :].strip()) if found else ("", "")
        if not value or name in names:
            fields = ", ".join((*TIMES, *FIGURE_FIELDS))
            raise ConfigurationError(
                f"--columns has {shown(piece)}; write it like time=Date,import_kwh=Elec. The fields are {fields}"
            )
        names[name] = value
    figures = [FIGURE_FIELDS[name] for name in names if name not in TIMES]
    if len({(channel, kind) for channel, kind, _ in figures}) < len(figures):
        raise ConfigurationError("--columns names one figure in two units; one is enough")
    if len({kind for _, kind, _ in figures} - {POWER} or {POWER}) > 1 or {ENERGY, POWER} <= {one[1] for one in figures}:
        raise ConfigurationError("--columns names both interval energies and registers or power; name only one kind")
    return names


_ANSWERS = {  # option -> the field of Known
    "--dates": "order",
    "--time": "edge",
    "--direction": "direction",
    "--unit": "unit",
    "--kind": "figure_kind",
    "--decimal": "decimal",
    "--timezone": "zone",
}


def answered(known: Known, option: str, answer: str) -> Known:
    """Return what is known with the answer to a question. Raises ConfigurationError."""
    if option == "--columns":
        return known._replace(columns={**known.columns, **named_columns(answer)})
    if option == "--where":
        return known._replace(where=(*known.where, answer))
    fields: dict[str, Any] = {_ANSWERS[option]: answer}
    return known._replace(is_zone_named=known.is_zone_named or option == "--timezone", **fields)


def row_filter(text: str, names: tuple[str, ...]) -> tuple[int, str]:
    """Parse `--where` to the place of a column and the text that its rows must have. Raises ConfigurationError."""
    name, sign, value = text.partition("=")
    place = next((place for place, one in enumerate(names) if plain(one) == plain(name)), None)
    if not sign or place is None:
        columns = ", ".join(names[:12])
        raise ConfigurationError(
            f"--where has {shown(text)}; write it like 'Register=Offtake'. It has the columns {columns}"
        )
    return place, value.strip()


# Profiles


class Profile(NamedTuple):
    """What the names of a provider's columns leave unsaid; empty fields are recognised."""

    name: str
    needs: tuple[str, ...]  # columns, as `plain` writes them, by which its file is known
    columns: str = ""  # as in --columns
    edge: str = ""  # which end of its interval a row's time is
    unit: str = ""
    late_s: int = 0  # a register is of so long after its time
    told_by: str = ""  # the column of the names by which directions are known, as `plain` writes it
    kind: str = ""


_RATES = ("Low", "Normal")
_CHANGE = "time=start,end=end,import_kwh=change"
_SUM = "time=start,import_register_kwh=sum"
_DSMR = ",".join(
    f"{field}={'+'.join(f'Electricity {one}{way} (Dutch Users: {name} Tariff)' for one, name in enumerate(_RATES, 1))}"
    for field, way in (("import_kwh", ""), ("export_kwh", " Returned"))
)
PROFILES = (
    Profile("Octopus Energy CSV", ("consumption kwh", "start", "end")),
    Profile("Octopus Energy API", ("consumption", "interval start", "interval end"), unit="kWh"),
    Profile("Enedis", ("horodate", "valeur"), "time=Horodate,import_power_w=Valeur", "end"),
    Profile("Enedis registers", ("horodate", "type de releve"), unit="Wh"),
    Profile("Datadis", ("cups", "fecha", "hora", "consumo kwh")),
    Profile("CNMC (Spanish distributors)", ("fecha", "hora", "ae kwh")),
    Profile("Spanish distributors", ("cups", "fecha", "hora", "consumo"), unit="kWh"),
    Profile("Fluvius", ("van datum", "tot datum", "register", "volume")),
    Profile("ESB Networks", ("mprn", "read value", "read type", "read date and end time"), edge="end"),
    Profile("Smart Meter Texas", ("usage date", "usage start time", "usage end time", "usage kwh")),
    Profile("eloverblik", ("fra dato", "til dato", "maengde")),
    Profile("Fingrid Datahub", ("alkuaika", "maara", "resoluutio")),
    Profile("Home Assistant energy", ("entity id", "type", "unit", "time")),
    Profile("Home Assistant statistics", ("statistic id", "start", "state", "sum"), _SUM, "", "", 3600, "statistic id"),
    Profile(
        "Home Assistant statistics", ("metadata id", "start ts", "state", "sum"), "", "", "kWh", 3600, "metadata id"
    ),
    Profile("Home Assistant statistics", ("start", "end", "change", "state", "sum"), _CHANGE, told_by="statistic id"),
    Profile(
        "Home Assistant statistics", ("series", "start", "end", "change", "state", "sum"), _CHANGE, told_by="series"
    ),
    Profile("n3rgy", ("resource", "granularity", "timestamp", "value")),
    Profile("Home Assistant history", ("entity id", "state", "last changed"), told_by="entity id"),
    Profile("HomeWizard", ("time", "import t1 kwh", "import t2 kwh"), kind=REGISTER),
    Profile("HomeWizard (one tariff)", ("time", "import kwh", "export kwh")),
    Profile("Slimmemeterportal", ("datum tijd", "levering normaal", "levering laag"), edge="end", unit="kWh"),
    Profile("DSMR-reader hours", ("hour start", "electricity 1 dutch users low tariff"), f"time=Hour Start,{_DSMR}"),
    Profile("DSMR-reader days", ("day", "electricity 1 dutch users low tariff"), f"time=Day,{_DSMR}"),
    Profile("DSMR-reader hours", ("hour start", "electricity1", "electricity2"), edge="start", unit="kWh"),
    Profile("DSMR-reader days", ("day", "electricity1", "electricity2"), unit="kWh"),
    Profile("Shelly em_data", ("date time utc", "active energy wh"), edge="start"),
    Profile("Shelly emdata", ("timestamp", "a total act energy"), edge="start", unit="Wh"),
    Profile("Shelly em1data", ("timestamp", "total act energy"), edge="start", unit="Wh"),
    Profile("Enphase", ("date time", "imported from grid wh", "exported to grid wh")),
    Profile("SolarEdge", ("date", "value", "type", "unit")),
    Profile("SolarEdge (of a site)", ("date", "value", "time unit", "unit"), told_by="unit"),
    Profile("Low Carbon London", ("lclid", "kwh hh per half hour")),
    Profile("Open Power System Data", ("utc timestamp", "cet cest timestamp")),
    Profile("Tibber", ("from", "to", "consumption", "consumption unit")),
    Profile(
        "Tibber",
        ("from", "to", "consumption", "consumption unit", "production"),
        "time=from,end=to,import_kwh=consumption,export_kwh=production",
    ),
    Profile("Glowmarkt", ("classifier", "units", "column 1", "column 2"), edge="start"),
    Profile("Green Button (ESPI)", ("start", "end", "flow", "usage"), told_by="flow"),
    Profile("NEM12", ("start", "end", "nmi suffix", "quantity", "unit")),
    Profile("PG&E", ("type", "date", "start time", "end time", "usage kwh")),
)


def profile_of(names: Sequence[str]) -> Profile | None:
    """Return the profile of a file by its columns; the one that needs most of them."""
    own = {plain(name) for name in names}
    found = [one for one in PROFILES if own.issuperset(one.needs)]
    return max(found, key=lambda one: len(one.needs), default=None)
