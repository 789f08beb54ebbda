"""Providers' files, made up by us after their form: each day around both changes of the clocks, and the direction.

A sample writes the same energies in a provider's own way: four days around each change of 2026, in hours or less. The
sums are made here, from the energies and the local days, without the code under test.
"""

import io
import json
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from aggregator.core import periods
from aggregator.store import Store, open_store
from tests.aggregator.intake.imports.files import Option, bring, understood

CHANGES = {
    "Europe/London": (date(2026, 3, 29), date(2026, 10, 25)),
    "America/Los_Angeles": (date(2026, 3, 8), date(2026, 11, 1)),
    "America/Chicago": (date(2026, 3, 8), date(2026, 11, 1)),
    "Australia/Sydney": (date(2026, 4, 5), date(2026, 10, 4)),
}


class Span(NamedTuple):
    """What a home uses and gives in a span, Wh."""

    start: datetime  # with the home's offset
    end: datetime
    used: int
    given: int


def spans(zone: str, minutes: int) -> list[Span]:
    """Return the energies of four local days around each change of the clocks."""
    clock, found = ZoneInfo(zone), list[Span]()
    for change in CHANGES.get(zone, CHANGES["Europe/London"]):
        first = datetime(change.year, change.month, change.day, tzinfo=clock) - timedelta(days=2)
        at, last = first.astimezone(UTC), (first + timedelta(days=4)).astimezone(UTC)
        while at < last:
            place = len(found)
            used = 100 + place * 37 % 90 + (40 if place % 5 == 0 else 0)
            end = at + timedelta(minutes=minutes)
            found.append(Span(at.astimezone(clock), end.astimezone(clock), used, place * 13 % 50))
            at = end
    return found


def expected(some: Sequence[Span], zone: str) -> dict[str, tuple[int, int]]:
    """Return import and export of each local day."""
    days: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in some:
        day = days[one.start.astimezone(ZoneInfo(zone)).date().isoformat()]
        day[0] += one.used
        day[1] += one.given
    return {day: (used, given) for day, (used, given) in days.items()}


def csv(header: str, rows: Iterator[str] | list[str]) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def comma(wh: int) -> str:
    return f"{wh / 1000:.3f}".replace(".", ",")


def kwh(wh: int) -> str:
    return f"{wh / 1000:.3f}"


class Sample(NamedTuple):
    """A provider's file."""

    name: str
    zone: str
    minutes: int
    write: Callable[[list[Span]], bytes]
    has_export: bool = True
    options: dict[str, Option] = {}  # noqa: RUF012 - never changed


def octopus_csv(some: list[Span]) -> bytes:
    rows = [f"{kwh(one.used)}, 1.2, {one.start.isoformat()}, {one.end.isoformat()}" for one in some]
    return csv("Consumption (kWh), Estimated Cost Inc. Tax (p), Start, End", rows[::-1])


def octopus_api(some: list[Span]) -> bytes:
    results = [
        {"consumption": one.used / 1000, "interval_start": one.start.isoformat(), "interval_end": one.end.isoformat()}
        for one in some
    ]
    return json.dumps({"count": len(some), "next": None, "previous": None, "results": results[::-1]}).encode()


def enedis_curve(some: list[Span]) -> bytes:
    rows = [f"{one.end.isoformat()};{one.used * 2}" for one in some]
    before = "Identifiant PRM;Type de donnees;Date de debut;Date de fin;Grandeur physique;Grandeur metier;Etape metier;Unite;Pas en minutes"  # noqa: E501 - as it is written
    values = "12345678901234;Courbe de charge;27/03/2026;28/10/2026;Energie active;Consommation;Comptage Brut;W;30"
    return csv(f"{before}\n{values}\nHorodate;Valeur", rows)


def datadis(some: list[Span]) -> bytes:
    rows, hours = [], defaultdict[date, int](int)
    for one in some:
        hours[one.start.date()] += 1
        hour = hours[one.start.date()]
        rows.append(f"ES0031;{one.start:%Y/%m/%d};{hour:02}:00;{comma(one.used)};Real;{comma(one.given)}")
    return csv("cups;fecha;hora;consumo_kWh;metodoObtencion;energiaVertida_kWh", rows)


def datadis_labels(some: list[Span]) -> bytes:
    """In spring the hour that there is not has no row: 1, 2, 4, ..., 24; in autumn hour 3 is there twice."""
    rows = [f"ES0031;{one.start:%Y/%m/%d};{one.start.hour + 1:02}:00;{comma(one.used)};Real" for one in some]
    return csv("cups;fecha;hora;consumo_kWh;metodoObtencion", rows)


def cnmc(some: list[Span]) -> bytes:
    rows, hours = [], defaultdict[date, int](int)
    for one in some:
        hours[one.start.date()] += 1
        rows.append(
            f"ES0021;{one.start:%d/%m/%Y};{hours[one.start.date()]};{comma(one.used)};{comma(one.given)};0,000;R"
        )
    return csv("CUPS;Fecha;Hora;AE_kWh;AS_KWh;AE_AUTOCONS_kWh;REAL/ESTIMADO", rows)


def fluvius(some: list[Span]) -> bytes:
    header = "Van (datum);Van (tijdstip);Tot (datum);Tot (tijdstip);EAN-code;Meter;Metertype;Register;Volume;Eenheid;Validatiestatus;Omschrijving"  # noqa: E501 - as it is written
    rows = []
    for one in some:
        tariff = "Dag" if 7 <= one.start.hour < 22 and one.start.weekday() < 5 else "Nacht"
        times = f"{one.start:%d-%m-%Y};{one.start:%H:%M:%S};{one.end:%d-%m-%Y};{one.end:%H:%M:%S}"
        for register, wh in (("Afname", one.used), ("Injectie", one.given)):
            rows.append(
                f'{times};="541448820050357909";1SAG;Digitale meter;{register} {tariff};{comma(wh)};kWh;Uitgelezen;'
            )
    return csv(header, rows)


def esb(some: list[Span]) -> bytes:
    rows = []
    for one in reversed(some):
        for kind, wh in (("Import", one.used), ("Export", one.given)):
            rows.append(f"10012345678,34567,{wh * 2 / 1000:.3f},Active {kind} Interval (kW),{one.end:%d-%m-%Y %H:%M}")
    return csv("MPRN,Meter Serial Number,Read Value,Read Type,Read Date and End Time", rows)


def texas(some: list[Span]) -> bytes:
    header = "ESIID,USAGE_DATE,REVISION_DATE,USAGE_START_TIME,USAGE_END_TIME,USAGE_KWH,ESTIMATED_ACTUAL,CONSUMPTION_SURPLUSGENERATION"  # noqa: E501 - as it is written
    rows = [
        f"'1044372000001,{one.start:%m/%d/%Y},{one.start:%m/%d/%Y} 06:00:00, {one.start:%H:%M}, {one.end:%H:%M},{kwh(wh)},A,{kind}"  # noqa: E501
        for kind in ("Consumption", "Surplus Generation")
        for one in some
        for wh in [one.used if kind == "Consumption" else one.given]
    ]
    return csv(header, rows)


def eloverblik(some: list[Span]) -> bytes:
    rows = [
        f"571313174000000000;{one.start:%d-%m-%Y %H:%M:%S};{one.end:%d-%m-%Y %H:%M:%S};{comma(one.used)};kWh;Målt;Tidsserie"  # noqa: E501
        for one in some
    ]
    return ("MålepunktsID;Fra_dato;Til_dato;Mængde;Måleenhed;Kvalitet;Type\n" + "\n".join(rows)).encode("cp1252")


def fingrid(some: list[Span]) -> bytes:
    header = "Mittauspisteen tunnus;Tuotteen tyyppi;Resoluutio;Yksikkötyyppi;Lukeman tyyppi;Alkuaika;Määrä;Laatu"
    rows = [
        f"643006966000000000;8716867000030;PT1H;kWh;BN01;{one.start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ};{comma(one.used)}000;OK"
        for one in some
    ]
    return csv(header, rows)


def nem12(some: list[Span]) -> bytes:
    """Days of the market: UTC+10 all the year. The sample's first and last hours fill whole days of it."""
    market, lines = ZoneInfo("Etc/GMT-10"), ["100,NEM12,202605011200,MDP1,Retail"]
    for suffix in ("E1", "B1"):
        days: dict[date, dict[int, int]] = defaultdict(dict)
        for one in some:
            at = one.start.astimezone(market)
            days[at.date()][(at.hour * 60 + at.minute) // 30] = one.used if suffix == "E1" else one.given
        lines.append(f"200,6407000000,B1E1,1,{suffix},N1,SN1,KWH,30,")
        for day, values in sorted(days.items()):
            cells = [kwh(values[place]) if place in values else "" for place in range(48)]
            lines.append(f"300,{day:%Y%m%d},{','.join(cells)},A,,,20260501120000,20260501120000")
    return "\n".join([*lines, "900"]).encode()


def green_button(some: list[Span]) -> bytes:
    def entry(href: str, content: str, related: str = "") -> str:
        link = f'<link rel="related" href="{related}"/>' if related else ""
        return f'<entry><link rel="self" href="{href}"/>{link}<content>{content}</content></entry>'

    parts = []
    for number, (flow, field) in enumerate(((1, "used"), (19, "given")), 1):
        meter = f"/espi/UsagePoint/1/MeterReading/{number}"
        parts.append(entry(meter, "<MeterReading/>", f"/espi/ReadingType/{number}"))
        readings = "".join(
            f"<IntervalReading><cost>1</cost><timePeriod><duration>3600</duration><start>{int(one.start.timestamp())}"
            f"</start></timePeriod><value>{getattr(one, field)}</value></IntervalReading>"
            for one in some
        )
        parts.append(entry(f"{meter}/IntervalBlock/9", f"<IntervalBlock>{readings}</IntervalBlock>"))
        about = f"<flowDirection>{flow}</flowDirection><powerOfTenMultiplier>0</powerOfTenMultiplier><uom>72</uom>"
        parts.append(entry(f"/espi/ReadingType/{number}", f"<ReadingType>{about}</ReadingType>"))
    body = "".join(parts).replace("<content>", '<content xmlns="http://naesb.org/espi">')
    return f'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom">{body}</feed>'.encode()


def homewizard(some: list[Span]) -> bytes:
    """Registers of two tariffs, local time with a row at the start of each quarter, and one at the end."""
    rows, used, given, last = [], 4_000_000, 90_000, None
    for one in some:
        if last is not None and last != one.start:
            rows.append(f"{last:%Y-%m-%d %H:%M},{kwh(used)},1.000,{kwh(given)},0.000,500,,")
        rows.append(f"{one.start:%Y-%m-%d %H:%M},{kwh(used)},1.000,{kwh(given)},0.000,500,,")
        used, given, last = used + one.used, given + one.given, one.end
    assert last is not None
    rows.append(f"{last:%Y-%m-%d %H:%M},{kwh(used)},1.000,{kwh(given)},0.000,500,,")
    return csv("time,Import T1 kWh,Import T2 kWh,Export T1 kWh,Export T2 kWh,L1 max W,L2 max W,L3 max W", rows)


def home_assistant_energy(some: list[Span]) -> bytes:
    """A column for each hour, a row for each sensor."""
    times = [f"{one.start.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z" for one in some]
    rows = [
        ",".join(["sensor.import", "grid_consumption", "kWh", *(kwh(one.used) for one in some)]),
        ",".join(["sensor.import_cost", "grid_consumption_cost", "EUR", *("0.1" for _ in some)]),
        ",".join(["sensor.export", "grid_return", "kWh", *(kwh(one.given) for one in some)]),
        ",".join(["sensor.pv", "solar_production", "kWh", *("0.7" for _ in some)]),
    ]
    return csv(",".join(["entity_id", "type", "unit", *times]), rows)


def home_assistant_history(some: list[Span]) -> bytes:
    rows, used, last = [], 4_000_000, None
    for one in some:
        rows.append(f"sensor.import_total,{kwh(used)},{one.start.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z")
        used, last = used + one.used, one.end
        if one.end not in {other.start for other in some}:
            rows.append(f"sensor.import_total,{kwh(used)},{one.end.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z")
    assert last is not None
    return csv(
        "entity_id,state,last_changed", [*rows[:9], f"sensor.import_total,unavailable,{last.isoformat()}", *rows[9:]]
    )


def dsmr_reader(some: list[Span]) -> bytes:
    results = [
        {
            "id": number,
            "hour_start": one.start.isoformat(),
            "electricity1": kwh(one.used // 3),
            "electricity2": kwh(one.used - one.used // 3),
            "electricity1_returned": kwh(one.given),
            "electricity2_returned": "0.000",
            "gas": "0.100",
        }
        for number, one in enumerate(some, 1)
    ]
    return json.dumps({"count": len(results), "results": results}).encode()


def shelly_csv(some: list[Span]) -> bytes:
    rows = [f"{one.start.astimezone(UTC):%Y-%m-%d %H:%M},{one.used}.0,{one.given}.0,230.1,231.9" for one in some]
    return csv("Date/time UTC,Active energy Wh,Returned energy Wh,Min V,Max V", rows)


def shelly_emdata(some: list[Span]) -> bytes:
    keys = [
        "a_total_act_energy",
        "a_fund_act_energy",
        "a_total_act_ret_energy",
        "b_total_act_energy",
        "b_total_act_ret_energy",
    ]
    blocks: list[dict[str, object]] = []
    for start in {one.start for one in some} - {one.end for one in some}:
        own = [one for one in some if start <= one.start < start + timedelta(days=5)]
        values = [[one.used - 10, 1, one.given, 10, 0] for one in own]
        blocks.append({"ts": int(start.timestamp()), "period": 900, "values": values})
    return json.dumps({"keys": keys, "data": blocks}).encode()


def enphase(some: list[Span]) -> bytes:
    header = "Date/Time,Energy Produced (Wh),Energy Consumed (Wh),Exported to Grid (Wh),Imported from Grid (Wh)"
    rows = [f"{one.start:%Y-%m-%d %H:%M:%S %z},900,{one.used + 800},{one.given},{one.used}" for one in some]
    return csv(header, rows)


def solaredge(some: list[Span]) -> bytes:
    def values(field: str) -> list[dict[str, object]]:
        return [{"date": f"{one.start:%Y-%m-%d %H:%M:%S}", "value": float(getattr(one, field))} for one in some]

    meters = [
        {"type": "Purchased", "values": values("used")},
        {"type": "FeedIn", "values": values("given")},
        {"type": "SelfConsumption", "values": values("used")},
        {"type": "Production", "values": values("given")},
    ]
    return json.dumps({"energyDetails": {"timeUnit": "HOUR", "unit": "Wh", "meters": meters}}).encode()


def tibber(some: list[Span]) -> bytes:
    def nodes(name: str, field: str) -> dict[str, object]:
        rows = [
            {
                "from": one.start.isoformat(),
                "to": one.end.isoformat(),
                "unitPrice": 0.3,
                name: getattr(one, field) / 1000,
            }
            for one in some
        ]
        return {"nodes": [row | {f"{name}Unit": "kWh"} for row in rows]}

    home = {"consumption": nodes("consumption", "used"), "production": nodes("production", "given")}
    return json.dumps({"data": {"viewer": {"homes": [home]}}}).encode()


def glowmarkt(some: list[Span]) -> bytes:
    about = {"status": "OK", "name": "electricity consumption", "classifier": "electricity.consumption", "units": "kWh"}
    query = {"from": "2026-03-27T00:00:00", "to": "2026-10-29T00:00:00", "period": "PT30M", "function": "sum"}
    return json.dumps(
        {**about, "query": query, "data": [[int(one.start.timestamp()), one.used / 1000] for one in some]}
    ).encode()


def pge(some: list[Span]) -> bytes:
    """An end a minute early, and a preamble."""
    rows = [
        f"Electric usage,{one.start:%Y-%m-%d},{one.start:%H:%M},{one.end - timedelta(minutes=1):%H:%M},{kwh(one.used)},$0.10,"  # noqa: E501
        for one in some
    ]
    return csv("Name,A HOME\nAddress,1 STREET\n\nTYPE,DATE,START TIME,END TIME,USAGE (kWh),COST,NOTES", rows)


def london(some: list[Span]) -> bytes:
    rows = [f"MAC000002,Std,{one.start:%Y-%m-%d %H:%M:%S}.0000000, {kwh(one.used)} " for one in some]
    return csv("LCLid,stdorToU,DateTime,KWH/hh (per half hour) ", rows)


def opsd(some: list[Span]) -> bytes:
    rows, used = [], 4_000_000
    starts = {one.start for one in some}
    for one in some:
        rows.append(f"{one.start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ},{one.start.isoformat()},{kwh(used)},")
        used += one.used
        if one.end not in starts:
            rows.append(f"{one.end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ},{one.end.isoformat()},{kwh(used)},")
    return csv("utc_timestamp,cet_cest_timestamp,DE_KN_residential1_grid_import,interpolated", rows)


def headerless(some: list[Span]) -> bytes:
    return "\n".join(f"{int(one.start.timestamp())},{one.used * 4}" for one in some).encode()


def wide_day(some: list[Span]) -> bytes:
    """A row a day, a column for each half hour of UTC."""
    days: dict[date, dict[int, int]] = defaultdict(dict)
    for one in some:
        at = one.start.astimezone(UTC)
        days[at.date()][at.hour * 2 + at.minute // 30] = one.used
    names = [f"{place // 2:02}:{place % 2 * 30:02}" for place in range(48)]
    rows = [
        ",".join([f"{day:%d/%m/%Y}", *(kwh(values[place]) if place in values else "" for place in range(48))])
        for day, values in days.items()
    ]
    return csv(",".join(["Consumption date (UTC)", *names]), rows)


def zipped(some: list[Span]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("export/data.csv", octopus_csv(some))
    return target.getvalue()


def registers(some: list[Span], first: int = 4_000_000) -> list[tuple[datetime, int]]:
    """Return a register at the start of each span, and at the end of each run of spans."""
    found, starts = [], {one.start.timestamp() for one in some}
    for one in some:
        found.append((one.start, first))
        first += one.used
        if one.end.timestamp() not in starts:
            found.append((one.end, first))
    return found


def in_days(some: list[Span]) -> list[Span]:
    """Return the spans of local days."""
    days: dict[date, list[Span]] = defaultdict(list)
    for one in some:
        days[one.start.date()].append(one)
    return [Span(own[0].start, own[-1].end, sum(one.used for one in own), 0) for own in days.values()]


ENEDIS = (
    "Identifiant PRM;Type de donnees;Date de debut;Date de fin;Grandeur physique;Grandeur metier;Etape metier;Unite"
)


def enedis_days(some: list[Span]) -> bytes:
    about = "14000000000000;Energie quotidienne;27/03/2026;29/10/2026;Energie active;Consommation;Comptage Brut;Wh"
    rows = [f"{one.start.isoformat()};{one.used}" for one in in_days(some)]
    return csv(f"{ENEDIS}\n{about}\nHorodate;Valeur", rows)


def enedis_days_in_kwh(some: list[Span]) -> bytes:
    """Every figure looks as if it had a sign of thousands; no home uses so much."""
    rows = [f"{one.start:%d/%m/%Y};{comma(one.used)}" for one in in_days(some)]
    return csv("Identifiant PRM;14000000000000\n\nDate;Valeur (en kWh)", rows)


def enedis_index(some: list[Span]) -> bytes:
    """Two suppliers' registers, two of the grid, and their total."""
    zeros = ";".join("0" * 8)
    rows = [
        f"{at.isoformat()};Arrêté quotidien;{wh // 3};{wh - wh // 3};{zeros};{wh // 3};{wh - wh // 3};0;0;{wh}"
        for at, wh in registers(in_days(some))
    ]
    names = [*(f"EAS F{number}" for number in range(1, 11)), *(f"EAS D{number}" for number in range(1, 5)), "EAS T"]
    about = "14000000000000;Index;27/03/2026;29/10/2026;Energie active;Consommation;Comptage Brut;Wh"
    return csv(f"{ENEDIS}\n{about}\nHorodate;Type de releve;{';'.join(names)}", rows)


def enedis_api(some: list[Span]) -> bytes:
    rows = [
        {"value": str(one.used * 2), "date": f"{one.end:%Y-%m-%d %H:%M:%S}", "interval_length": "PT30M"} for one in some
    ]
    kind = {"measurement_kind": "power", "unit": "W", "aggregate": "average"}
    reading = {"usage_point_id": "0", "start": "2026-03-27", "quality": "BRUT", "reading_type": kind}
    return json.dumps({"meter_reading": {**reading, "interval_reading": rows}}).encode()


def utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def fingrid_api(some: list[Span]) -> bytes:
    rows = [
        {"datasetId": 363, "startTime": utc(one.start), "endTime": utc(one.end), "value": one.used / 1000}
        for one in some
    ]
    return json.dumps({"data": rows, "pagination": {"total": len(rows), "lastPage": 1, "perPage": 20_000}}).encode()


def emoncms(some: list[Span]) -> bytes:
    return json.dumps([[int(at.timestamp() * 1000), wh / 1000] for at, wh in registers(some)]).encode()


def statistics_api(some: list[Span]) -> bytes:
    rows, total = [], 0
    for one in some:
        total += one.used
        times = {"start": int(one.start.timestamp() * 1000), "end": int(one.end.timestamp() * 1000)}
        rows.append(times | {"change": one.used / 1000, "state": 4000 + total / 1000, "sum": total / 1000})
    return json.dumps({"id": 2, "type": "result", "success": True, "result": {"sensor.grid_import": rows}}).encode()


def statistics_table(some: list[Span]) -> bytes:
    """The sum at the end of the hour that begins at `start`."""
    rows = []
    for at, wh in registers(some, 0):
        begun = at.timestamp() - 3600
        rows.append(f"sensor.grid_import\tkWh\t{begun}\t{kwh(4_000_000 + wh)}\t{kwh(wh)}")
    return csv("statistic_id\tunit\tstart\tstate\tsum", rows)


def eloverblik_api(some: list[Span]) -> bytes:
    days: dict[date, list[Span]] = defaultdict(list)
    for one in some:
        days[one.start.date()].append(one)
    periods_of_days = [
        {
            "resolution": "PT1H",
            "timeInterval": {"start": utc(own[0].start), "end": utc(own[-1].end)},
            "Point": [
                {"position": str(place), "out_Quantity.quantity": kwh(one.used), "out_Quantity.quality": "A04"}
                for place, one in enumerate(own, 1)
            ],
        }
        for own in days.values()
    ]
    series = {"mRID": "5713", "businessType": "A04", "measurement_Unit.name": "KWH", "Period": periods_of_days}
    return json.dumps({"result": [{"MyEnergyData_MarketDocument": {"mRID": "x", "TimeSeries": [series]}}]}).encode()


def load_profile(some: list[Span]) -> bytes:
    """A German grid operator: W is a true value, no unit."""
    rows = [f"{one.start:%d.%m.%Y};{one.start:%H:%M};{one.end:%H:%M};{comma(one.used)};W" for one in some]
    return csv("Profilnummer;1-1:1.29.0\nZählpunkt;DE000\n\nDatum;Uhrzeit von;Uhrzeit bis;Wert (kWh);Status", rows)


def load_profile_in_kw(some: list[Span]) -> bytes:
    rows = [f"{one.start:%d.%m.%y;%H:%M};{one.end:%d.%m.%y;%H:%M};{comma(one.used * 4)};kW;W" for one in some]
    return csv("Ab-Datum;Ab-Zeit;Bis-Datum;Bis-Zeit;Wert;Einheit;Status", rows)


def hdf_in_kw(some: list[Span]) -> bytes:
    rows = []
    for one in some:
        for value, name in ((one.used, "Import"), (one.given, "Export")):
            rows.append(f"10000000000,20,{kwh(value * 2)},Active {name} Interval (kW),{one.end:%d-%m-%Y %H:%M}")
    return csv("MPRN,Meter Serial Number,Read Value,Read Type,Read Date and End Time", rows[::-1])


_PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default '
    'Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship '
    'Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://'
    'schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>{}</sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="styles" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" '
    'Target="styles.xml"/>{}</Relationships>',
    "xl/styles.xml": '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs count="2">'
    '<xf numFmtId="0"/><xf numFmtId="22" applyNumberFormat="1"/></cellXfs></styleSheet>',
}
_SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
)


_TITLE = '<sheet name="S{0}" sheetId="{0}" r:id="r{0}"/>'
_TARGET = (
    '<Relationship Id="r{0}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" '
    'Target="worksheets/sheet{0}.xml"/>'
)


def workbook(*sheets: Sequence[Sequence[datetime | float | str]]) -> bytes:
    """Write an xlsx file with the sheets S1, S2, ...; a local time is a number of days since 1899."""

    def cell(value: datetime | float | str) -> str:
        if isinstance(value, datetime):
            days = (value.replace(tzinfo=None) - datetime(1899, 12, 30)) / timedelta(days=1)  # noqa: DTZ001 - local
            return f'<c s="1"><v>{days!r}</v></c>'
        is_text = isinstance(value, str)
        return f'<c t="inlineStr"><is><t>{value}</t></is></c>' if is_text else f"<c><v>{value}</v></c>"

    parts = dict(_PARTS)
    for name, each in (("xl/workbook.xml", _TITLE), ("xl/_rels/workbook.xml.rels", _TARGET)):
        parts[name] = parts[name].format("".join(each.format(place) for place in range(1, len(sheets) + 1)))
    for place, rows in enumerate(sheets, 1):
        lines = [f'<row r="{number}">{"".join(map(cell, row))}</row>' for number, row in enumerate(rows, 1) if row]
        parts[f"xl/worksheets/sheet{place}.xml"] = _SHEET.format("".join(lines))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target.getvalue()


def excel(some: list[Span]) -> bytes:
    rows: list[Sequence[datetime | float | str]] = [["Relevés"], ["Date", "Prélèvement (kWh)", "Injection (kWh)"]]
    rows.extend((one.start, one.used / 1000, one.given / 1000) for one in some)
    return workbook(rows)


SAMPLES = (
    Sample("Octopus CSV", "Europe/London", 30, octopus_csv, has_export=False),
    Sample("Octopus API", "Europe/London", 30, octopus_api, has_export=False),
    Sample("Octopus CSV in a zip", "Europe/London", 30, zipped, has_export=False),
    Sample("Enedis load curve", "Europe/Paris", 30, enedis_curve, has_export=False),
    Sample("Datadis", "Europe/Madrid", 60, datadis),
    Sample("Datadis with clock times", "Europe/Madrid", 60, datadis_labels, has_export=False),
    Sample("CNMC", "Europe/Madrid", 60, cnmc),
    Sample("Fluvius", "Europe/Brussels", 15, fluvius),
    Sample("ESB Networks", "Europe/Dublin", 30, esb),
    Sample("Smart Meter Texas", "America/Chicago", 15, texas),
    Sample("eloverblik", "Europe/Copenhagen", 60, eloverblik, has_export=False),
    Sample("Fingrid Datahub", "Europe/Helsinki", 60, fingrid, has_export=False),
    Sample("NEM12", "Australia/Sydney", 30, nem12),
    Sample("Green Button", "America/Los_Angeles", 60, green_button),
    Sample("HomeWizard", "Europe/Amsterdam", 15, homewizard),
    Sample("Home Assistant energy", "Europe/Berlin", 60, home_assistant_energy),
    Sample("Home Assistant history", "Europe/Berlin", 60, home_assistant_history, False, {"unit": "kWh"}),
    Sample("DSMR-reader", "Europe/Amsterdam", 60, dsmr_reader),
    Sample("Shelly em_data", "Europe/Rome", 15, shelly_csv),
    Sample("Shelly EMData.GetData", "Europe/Rome", 15, shelly_emdata),
    Sample("Enphase", "America/Los_Angeles", 15, enphase),
    Sample("SolarEdge", "Europe/Berlin", 60, solaredge, options={"edge": "start"}),
    Sample("Tibber", "Europe/Oslo", 60, tibber),
    Sample("Glowmarkt", "Europe/London", 30, glowmarkt, has_export=False),
    Sample("PG&E", "America/Los_Angeles", 60, pge, has_export=False),
    Sample("Low Carbon London", "Europe/London", 30, london, has_export=False),
    Sample("Open Power System Data", "Europe/Berlin", 15, opsd, has_export=False),
    Sample("epoch and power without a header", "Europe/London", 15, headerless, False, {"unit": "W", "edge": "start"}),
    Sample("Enedis days", "Europe/Paris", 30, enedis_days, has_export=False),
    Sample("Enedis days in kWh", "Europe/Paris", 30, enedis_days_in_kwh, has_export=False),
    Sample("Enedis index", "Europe/Paris", 30, enedis_index, has_export=False),
    Sample("Enedis API", "Europe/Paris", 30, enedis_api, has_export=False),
    Sample("Fingrid API", "Europe/Helsinki", 60, fingrid_api, has_export=False),
    Sample("emoncms", "Europe/London", 30, emoncms, False, {"unit": "kWh"}),
    Sample("Home Assistant statistics API", "Europe/Berlin", 60, statistics_api, has_export=False),
    Sample("Home Assistant statistics", "Europe/Berlin", 60, statistics_table, has_export=False),
    Sample("eloverblik API", "Europe/Copenhagen", 60, eloverblik_api, has_export=False),
    Sample("German load profile", "Europe/Berlin", 15, load_profile, has_export=False),
    Sample("German load profile in kW", "Europe/Berlin", 15, load_profile_in_kw, has_export=False),
    Sample("ESB Networks in kW", "Europe/Dublin", 30, hdf_in_kw),
    Sample("Excel", "Europe/Brussels", 60, excel),
    Sample("a row a day", "Europe/London", 30, wide_day, has_export=False),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{tmp_path}/providers.db")) as opened:
        yield opened


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: one.name)
def test_a_providers_file_gives_each_day_and_direction(sample: Sample, store: Store) -> None:
    some = spans(sample.zone, sample.minutes)
    options = {"zone": sample.zone, **sample.options}
    report = bring(store, sample.write(some), allowed=(), **options)
    found = {
        one.period: (one.total.import_wh, one.total.export_wh if sample.has_export else None)
        for one in store.documents("day", "d", periods.FIRST_DAY, periods.LAST_DAY)
        if one.period in expected(some, sample.zone)
    }

    assert report.refusals.reasons.keys() <= {"no_values"}
    assert found == {
        day: (used, given if sample.has_export else None) for day, (used, given) in expected(some, sample.zone).items()
    }


def test_every_sample_is_recognised_by_name_or_structure() -> None:
    names = set()
    for sample in SAMPLES:
        content = sample.write(spans(sample.zone, sample.minutes))
        found = understood(content, **{"zone": sample.zone, **sample.options})
        names.add(next((one.value for one in found.choices if one.what == "format"), found.format))
    assert len(names) >= 25
