"""The words of meter files: what a name says of direction, unit, kind and time; and the types of columns. Pure.

A name is split into words without accents: `energiaVertida_kWh` is `energia vertida kwh`. A word stands in one row of
these tables; a new language is more words. `said_by` returns what a text says. `typed` tells by its cells what a column
holds.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from aggregator.core.errors import Refused
from aggregator.intake.tables.notation import ABSENT, is_time, read_clock
from aggregator.intake.tables.text_tables import is_number

IMPORT, EXPORT, NET = "import", "export", "net"
ENERGY, REGISTER, POWER = "energy", "register", "power"
VOLUME_M3 = "m3"
WATTS = {"W": 1, "kW": 1000, "MW": 1_000_000}
WATT_HOURS = {"Wh": 1, "kWh": 1000, "MWh": 1_000_000}
UNITS = (*WATT_HOURS, *WATTS, VOLUME_M3)  # the values of --unit

_UNITS = {
    **{unit.lower(): unit for unit in (*WATT_HOURS, *WATTS)},
    "kwhs": "kWh",
    "kilowatt": "kW",
    "watt": "W",
    "watts": "W",
    "m3": VOLUME_M3,
}
_TABLES: dict[str, str] = {
    "import": "import imported bezug netzbezug afname offtake soutirage purchased purchase entrante delivered geleverd"
    " levering prelievo prelevata pobor odber bn01 eas ae otto uttag bought e1 entnahme kjop kjopt kop kopt kob kobt"
    " electricity1 electricity2",
    "consumption": "consumption consumed consumo consommation consommee usage used use verbrauch verbruik forbrug"
    " forbruk forbrukning kulutus konsum consume load demand anvendelse maengde",
    "export": "export exported exportado feedin einspeisung eingespeist teruglevering teruggeleverd retour injectie"
    " injection injected returned return ret excedente excedentes vertida vertido saliente surplus as eai bn02"
    " sold salg solgt sald inmatning anto retur rueckspeisung ruckspeisung immissione immessa oddana dodavka",
    "generation": "production produced produktion produktie produccion generation generated generacion solar pv"
    " erzeugung opwek opbrengst tuotanto genereret inverter",
    "net": "net netto balance saldo minus",
    "register": "register reading index stand zahlerstand zaehlerstand meterstand standen cumulative cumulated lecture"
    " lectura counter zaehlwerk zahlwerk lukema matarstallning malerstand releve odczyt cumulatief",
    "power": "power leistung vermogen puissance potencia effekt teho effekten moc potenza",
    "ignored": "cost costs price prices tariff rate eur gbp usd dkk sek nok pence ct cent cents kosten preis prijs"
    " coste precio prix pris hinta voltage volt spannung current ampere amps temp temperature temperatur humidity co2"
    " carbon kvarh varh kvar var kvah reactive blindarbeit reactief inductief capacitief reactiva reactive factor"
    " autocons autoconsumo self stored battery charged discharged estimated_cost standing soc water heat ev car min max"
    " fund frequency freq lqi rssi quality lag lead apparent aprt revision created updated modified latitude longitude"
    " autoconsumption eigenverbrauch holiday weekend quarter week rank id nmi interpolated q1 q2 q3 q4 k1 r1 r4"
    " j mj gj therm therms ccf cf hcf ft3 btu kbtu mmbtu dth kvah kva mcal kcal",
    "start": "start from begin beginning van von fra desde debut inicio alku alkuaika startzeit starttid starttijd"
    " beginn anfang fran od started",
    "end": "end to til tot bis fin until slut loppu einde ende hasta stop ending till endzeit eindtijd endtime ended",
    "clock": "time clock hour hora heure uhrzeit zeit tijd tijdstip klokkeslett klokke tid uur stunde ora godzina he"
    " aika period periodo timme kl",
    "date": "date datum fecha dato day dag tag jour dia giorno paiva data",
    "utc": "utc gmt zulu",
    "tariff": "t1 t2 t3 t4 dag nacht day night hp hc hph hch hpb hcb peak offpeak off high low normal normaal hoog laag"
    " ht nt tarief tarif rate1 rate2 1 2 3 4 jour nuit punta llano valle f1 f2 f3 hochtarif niedertarif tariff1 tariff2"
    " electricity1 electricity2 p1 p2 p3 piek dal heures pleines creuses e1 e2 e3 e4 e5 e6 e7 e8 e9 b1 b2 b3",
    "phase": "l1 l2 l3 b c phase",
    "gas": "gas gaz aardgas erdgas gasverbrauch naturgas plyn metan",
    "total": "total totaal gesamt summe sum totale",
}
_NEUTRAL = (  # words of figures that leave the direction open
    "value values wert werte valeur valor waarde vaerdi varde arvo wartosc energy energie energia energi"
    " electricity elec electric electrical electricite electricidad elektrizitat strom stroom el sahko amount"
    " quantity qty volume menge mangd maara cantidad quantite hoeveelheid measured measurement gemessen data state"
    " mean avg average aktiv actif active activa act aktive aktif wirkenergie wirkarbeit interval intervall"
    " halfhourly hourly daily halfhour half hh meter mesure messwert zahler zaehler compteur contador column sum"
    " smart grid reseau netz actual of per in the de la le du der die das and und et y home house household haus"
    " maison casa main mains units delta sensor step last new site whole all electricmeter stromzahler smartmeter"
    " volumen reads diff energiemenge strommenge lastgang lastgange lastprofil wirk"
)
_STEMS = (  # of words in forms that no table lists
    (
        "export",
        re.compile("e[xk]sport|einspeis|eingespeis|inje[ck]|in[yj]ec|vertid|excedent|teruglev|teruggelev|inmat|invoed"),
    ),
    ("export", re.compile("immiss|immess|r(?:u|ue)ck(?:speis|liefer)|wprowadz|oddan|dodav|surplus|feedin|reinject")),
    ("start", re.compile("^(?:start|beg[iy]nn?|anfangs?)(?:dat|uhr|tid|tijd|zeit)")),
    ("end", re.compile("^(?:ende?|slut)(?:dat|uhr|tid|tijd|zeit)")),
    ("consumption", re.compile("verbrauch|verbruik|forbrug|forbruk|kulutus")),
    ("ignored", re.compile("wasser|water")),
    (
        "import",
        re.compile("import|entn[ao]|soutir|afname|afgenomen|preliev|prelev|bezug|bezog|pobran|odebran|uttag|aftag"),
    ),
)
_OPEN = frozenset(_NEUTRAL.split())
_WORDS: dict[str, set[str]] = {}
for _meaning, _list in _TABLES.items():
    for _word in _list.split():
        _WORDS.setdefault(_word, set()).add(_meaning)
_PHRASES = (
    (re.compile(r"\b(feed|fed)[ -]?in(to)?\b"), "export"),
    (re.compile(r"\bterug ?gelever"), "export"),
    # by the grid, beside what is delivered; a supplier delivers a Lieferung, and a home with panels does
    (re.compile(r"\breceived\b(?! from)|\blieferung\b"), "received"),
    (re.compile(r"\b(surplus|excess) ?(generation|production|solar|pv|energy|power)\b"), "export"),
    (re.compile(r"\b1[ .-]?0?[: ]?1[. ]8[. ][0-9]\b|\b1[. ]8[. ][0-9]\b"), "import"),
    (re.compile(r"\b2[. ]8[. ][0-9]\b"), "export"),
    (re.compile(r"\bkwh 18[0-9]\b"), "import"),
    (re.compile(r"\bkwh 28[0-9]\b"), "export"),
    (re.compile(r"\b(act|active) energy\b"), "import"),
    (re.compile(r"\beas t\b"), "total"),
    (re.compile(r"\boff peak\b"), "tariff"),
    (re.compile(r"\bself consum"), "ignored"),
    (re.compile(r"\bmean power|average power|per half hour\b"), "mean"),
    (re.compile(r"\bactive import register\b|\bactive export register\b"), "register"),
)
_OF_NET = r" (?:the |het |de |la )?(?:grid|net|netz|nett|nettet|nat|natet|sieci|rete|red|rede|reseau)\b"
_WAYS = (  # a grid is no balance here, and "til" no end
    (re.compile(r"\b(?:to|naar|into|til|till|ins|ans|vers|do|alla|a|ao|na|in)" + _OF_NET), "export"),
    (re.compile(r"\b(?:from|van|fra|fran|uit|aus|vom|dalla|da|de|du|depuis|z)" + _OF_NET), "import"),
)
_SIGNED = (
    (re.compile(r"(?<!\w)A-(?!\w)|(?<![\w-])-A(?!\w)"), " export"),
    (re.compile(r"(?<!\w)(?:A\+|\+A)(?!\w)"), " import"),
)
_UNIT_WORDS = re.compile(r"([kKM]?V?A?[Ww][hH]?|k?VArh|kVAr)(?![a-z])")
_WATT_HOURS = re.compile(r"(kilo|mega)?watt[- ]?(?:hour|heure|stunde|uur|ora)\w*", re.IGNORECASE)
_TARIFF = re.compile("_tariff_(?=[1-4])")  # of an entity's id: a part of the energy and not its price
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z])")
_CAMEL_UNIT = re.compile(r"(?<=[a-z])(?=[kKM]W[hH]?\b)|(?<=[a-jl-z])(?=W[hH]?\b)")


_OF_GRID = frozenset({"import", "export", "received"})
_CHANNELS = (
    ("net", NET), ("export", EXPORT), ("received", EXPORT), ("import", IMPORT), ("consumption", IMPORT),
)  # fmt: skip


class Said(NamedTuple):
    """What a name says; empty where it says nothing."""

    meanings: frozenset[str]  # keys of the tables above
    unit: str  # one of UNITS
    is_foreign: bool = False  # it has a word that stands in no table

    @property
    def channel(self) -> str:
        """Return IMPORT, EXPORT, NET or empty; a strong word for the grid goes before one for consumption."""
        return next((channel for meaning, channel in _CHANNELS if meaning in self.meanings), "")

    @property
    def is_weak(self) -> bool:
        """Whether it speaks of consumption, which may be the home's and not the grid's."""
        return "consumption" in self.meanings and not self.meanings & _OF_GRID

    @property
    def kind(self) -> str:
        """Return ENERGY, REGISTER, POWER or empty; an energy unit does not tell a register from energy."""
        if self.unit in WATTS:
            return POWER
        if "register" in self.meanings:
            return REGISTER
        if self.unit in WATT_HOURS or self.unit == VOLUME_M3:
            return ""
        return POWER if "power" in self.meanings else ""

    @property
    def is_telling(self) -> bool:
        """Whether it says something of the figures beside it."""
        return bool(self.channel or self.unit or self.is_generation or "gas" in self.meanings)

    @property
    def is_ignored(self) -> bool:
        """Whether it is of something else than energy: money, voltage, a quality, a battery."""
        return "ignored" in self.meanings

    @property
    def is_generation(self) -> bool:
        """Whether it is of what panels make, which is neither import nor export."""
        return "generation" in self.meanings and not self.meanings & _OF_GRID


def plain(name: str) -> str:
    """Return a name in the form for comparison: lower-case words of letters and digits, without accents."""
    spelled = _WATT_HOURS.sub(lambda unit: f"{(unit[1] or '')[:1]}Wh", name.replace("³", "3").replace("_", " "))
    spaced = _CAMEL_UNIT.sub(" ", spelled)
    lower = _UNIT_WORDS.sub(lambda unit: unit[0].lower(), spaced)
    split = _CAMEL.sub(" ", lower)
    bare = "".join(one for one in unicodedata.normalize("NFKD", split) if not unicodedata.combining(one))
    bare = (
        bare.replace("ø", "o")
        .replace("Ø", "o")
        .replace("æ", "ae")
        .replace("Æ", "ae")
        .replace("ß", "ss")
        .replace("ł", "l")
    )
    return " ".join(re.findall(r"[\w.]*\w|€|£", bare.lower()))


@lru_cache(maxsize=4096)
def said_by(name: str) -> Said:
    """Return what a name says."""
    for sign, channel in _SIGNED:
        name = sign.sub(channel, name)
    text = plain(_TARIFF.sub("_tariff", name))
    for way, channel in _WAYS:
        text = way.sub(channel, text)
    words = re.findall(r"\w+|€|£", text)
    meanings = {meaning for word in words for meaning in _WORDS.get(word, ())}
    meanings |= {meaning for pattern, meaning in _PHRASES if pattern.search(text)}
    if "€" in words or "£" in words or words[-1:] == ["p"]:
        meanings.add("ignored")
    unit = next((_UNITS[word] for word in reversed(words) if word in _UNITS), "")
    foreign = [word for word in words if word not in _WORDS and word not in _UNITS and word not in _OPEN]
    meanings |= {meaning for meaning, stem in _STEMS for word in foreign if stem.search(word)}
    is_foreign = any(len(word) > 2 and not word.isdigit() for word in foreign)
    return Said(frozenset(meanings), unit, is_foreign)


# Roles of columns


class Figure(NamedTuple):
    """A figure of a row: the sum of some columns."""

    places: tuple[int, ...]
    channel: str  # IMPORT, EXPORT, NET; empty where a category or nothing tells it
    kind: str  # ENERGY, REGISTER, POWER; empty where only the values tell it
    unit: str  # one of UNITS; empty where only the values tell it
    name: str  # of its columns
    is_one_of: bool = False  # a row has a value in one of the columns only


class Roles(NamedTuple):
    """The columns of a table by their roles."""

    time: int
    clock: int | None
    end: int | None
    end_clock: int | None
    edge: str  # "start" or "end": which end of an interval `time` is; empty where its name does not say
    hours: int  # the number of times in a day where `clock` is a number: 24, 48, 96; 0 where it is a time
    figures: tuple[Figure, ...]
    categories: tuple[int, ...]  # columns that tell direction, unit or kind of a row
    groups: tuple[int, ...]  # columns that may tell one meter from another
    is_utc: bool = False
    constant: tuple[tuple[int, tuple[str, ...]], ...] = ()  # columns of text that tell nothing, and their texts


def may_be_power(figures: Sequence[Figure]) -> bool:
    """Whether figures without a unit may be power: no name speaks of energy or consumption."""
    words = " ".join(one.name.lower() for one in figures)
    return "energ" not in words and not any("consumption" in said_by(one.name).meanings for one in figures)


# Types of columns

CATEGORIES = 60  # different values of a column; more are no category
_HOUR = re.compile(r"[HhEP]{0,2}([0-9]{1,2})(?:[:.]00(?::00)?)?")
_BARE_CLOCK = re.compile(r"(?:[01]?[0-9]|2[0-4])\.[0-5][0-9]|(?:[01][0-9]|2[0-4])[0-5][0-9]")


class TypedColumn(NamedTuple):
    """A column with the type of its cells."""

    place: int
    name: str
    said: Said
    type: str  # time, date, clock, hour, number, text, empty
    values: tuple[str, ...]  # different ones, up to CATEGORIES + 1


def typed(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[TypedColumn]:
    """Return the columns of a table; each row has a cell for each name."""
    found = []
    some_of = max(20, min(300, 30_000 // len(names)))  # cells of a column that tell its type
    for place, name in enumerate(names):
        filled = [text for row in rows if (text := row[place].strip()).lower() not in ABSENT]
        values = tuple(dict.fromkeys(filled))[: CATEGORIES + 1]
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
