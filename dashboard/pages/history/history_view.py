"""The words of the history page: what a file was understood to be, its questions, what would change. Pure.

What the aggregator says of a file is a template with values (`Phrase`), as JSON; its sentences are in the catalogues,
and the words that stand as values in WORDS. The options of the command line never reach the page: each answer to a
question is named by what it means.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from aggregator.core.documents import Document
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import day_of
from aggregator.intake.imports.columns import NO_ROLE
from aggregator.intake.imports.import_records import TAKING, ImportRecord, can_undo
from aggregator.intake.imports.understanding import FIGURE_FIELDS, named_columns
from dashboard.pages.history.import_job import ALLOW
from dashboard.text.language import Language, text
from dashboard.text.words import energy, format_period, since, volume

Say = Callable[[Any], str]  # a part of what the aggregator says -> words
DAY = text("d MMMM y")
FIELDS = ("import_wh", "export_wh", "volume_l")  # of a document's part, and of an energy as it is stored
OWN_SENTENCES = {  # in place of one for the command line
    NO_ROLE: text("the file has the columns {names}, and {missing} among them"),
    "m³ are of a gas meter, and the device is one of electricity": text(
        "This file is of a gas meter: it counts in m³. The meter of this page is one of electricity. Upload the file "
        "on the page of the gas meter."
    ),
}
NUMBERS = ("kwh", "value", "wh")  # the values that are numbers for people
DETAILS = ("detail", "fault")  # the values that are of a library, in English, and last
WORDS = {
    "the interval": text("the interval"),
    "the day": text("the day"),
    "import": text("import"),
    "export": text("export"),
    "net": text("net"),
    "volume": text("volume"),
    "energy": text("energy"),
    "register": text("register"),
    "power": text("power"),
    "line": text("line"),
    "row": text("row"),
    "reading": text("reading"),
    "result": text("result"),
    "interval": text("interval"),
    "summer": text("summer"),
    "winter": text("winter"),
    "early": text("early"),
    "late": text("late"),
    "comma": text("comma"),
    "point": text("point"),
    "day-first": text("day first"),
    "month-first": text("month first"),
    "year-first": text("year first"),
}
WHAT = {
    "file": text("File"),
    "time": text("Time"),
    "figures": text("Figures"),
    "zone": text("Time zone"),
    "format": text("Format"),
    "decimal sign": text("Decimal sign"),
    "dates": text("Dates"),
    "hours": text("Hours"),
    "times": text("Times"),
}
MEANINGS = {
    "--dates": {
        "day-first": text("The day comes first: 3/4 is 3 April"),
        "month-first": text("The month comes first: 3/4 is 4 March"),
        "year-first": text("The year comes first: 26/3/4 is 4 March 2026"),
    },
    "--time": {
        "start": text("It is the start: the row of 10:00 tells of the time after 10:00"),
        "end": text("It is the end: the row of 10:00 tells of the time before 10:00"),
    },
    "--direction": {
        "import": text("Energy that the home took from the grid"),
        "export": text("Energy that the home gave to the grid"),
        "net": text("Both: above zero taken from the grid, below zero given to it"),
    },
    "--unit": {
        "kWh": text("Kilowatt hours, kWh"),
        "Wh": text("Watt hours, Wh"),
        "MWh": text("Megawatt hours, MWh"),
        "kW": text("Kilowatts, kW: the mean power of each interval"),
        "W": text("Watts, W: the mean power of each interval"),
        "MW": text("Megawatts, MW: the mean power of each interval"),
        "m3": text("Cubic metres of gas, m³"),
    },
    "--kind": {
        "energy": text("Each row tells how much was used in its interval"),
        "register": text("Each row tells what the meter’s counter showed"),
        "power": text("Each row tells the mean power of its interval"),
    },
    "--decimal": {"comma": text("A comma is the decimal sign"), "point": text("A point is the decimal sign")},
    "--timezone": {"UTC": text("The times of the file are in UTC, without summer time")},
    ALLOW: {
        "refused": text("Import the other rows, and leave these out"),
        "implausible": text("It is right: this home is like that"),
        "register": text("It is right: each row tells how much was used"),
        "contradiction": text("Leave the rows out that contradict others"),
        "clock": text("The times are right"),
    },
}
MOVED = text("Its history can be filled in by the household that lives there now.")
SHARED = text("Visitors share this home, so they cannot upload files to it.")
CHANGED = text("Something has changed meanwhile. This is how it stands now.")
NO_FILE = text("Choose a file.")
TOO_LARGE = text("This file is larger than {most} MB. Upload it in parts, for instance a year at a time.")
FULL = text("Other imports are running, or this home has one that is not finished. Try again soon.")
TOO_OFTEN = text("These were many files in a short time. Try again in some minutes.")
TOO_MANY_ANSWERS = text("These were many answers to one file. Cancel, and upload it again.")
NO_REASON = text("Say in a few words why; 3 to 500 characters.")
NOTHING_NEW = text("This file has nothing new, so there is nothing to import.")
UNDONE_ALREADY = text("This import was undone already.")
NOT_ANY_MORE = text("This import cannot be undone any more: of its time only the charts are kept.")

ROLES = {"household": text("Household"), "support": text("Support desk"), "operator": text("Operator")}


class FileBar(NamedTuple):
    """A period of the chart: heights in percent, and what it says when pointed at."""

    stored: float
    filed: float
    title: str


class ImportRow(NamedTuple):
    """An import in the list; `number` names it."""

    number: int
    file: str
    size: str
    story: str
    can_undo: bool


def speaker(lang: Language, reason_words: Callable[[str, Language], str]) -> Say:
    """Return a function that says a part of what the aggregator says, in a language."""
    tellers: dict[str, Say] = {
        **dict.fromkeys(NUMBERS, lambda number: lang.notation(str(number))),
        **dict.fromkeys(DETAILS, lambda _: ""),
        "day": lambda day: period_label("day", day, lang),
        "time": lambda time: f"{period_label('day', time[:10], lang)}, {time[11:19]}".removesuffix(":00"),
    }

    def say(part: Any) -> str:  # noqa: ANN401 - JSON
        if isinstance(part, dict):
            template = OWN_SENTENCES.get(part["template"], part["template"])
            values = {name: tellers.get(name, say)(value) for name, value in part["values"].items()}
            return lang.say(str(template), **values).removesuffix(": ")
        return lang.say(WORDS[part]) if part in WORDS else reason_words(str(part), lang)

    return say


# Questions


def capital(sentence: str) -> str:
    """Return a sentence with a capital."""
    return sentence[:1].upper() + sentence[1:]


def meaning(option: str, value: str, say: Say, lang: Language) -> str:
    """Return what an answer means."""
    if option == "--where":
        column, _, found = value.partition("=")
        return lang.say("Only the rows whose “{column}” is “{value}”", column=column, value=found)
    if option == "--columns":
        return "; ".join(_column_words(*one, say, lang) for one in _columns(value).items())
    return lang.say(MEANINGS[option][value])


def _columns(value: str) -> dict[str, str]:
    try:
        return named_columns(value)
    except ConfigurationError:  # the name of a column looks like an option
        return {"": value.partition("=")[2]}


def _column_words(field: str, column: str, say: Say, lang: Language) -> str:
    if field not in FIGURE_FIELDS:
        return lang.say("The time is in the column “{column}”", column=column)
    channel, kind, unit = map(say, FIGURE_FIELDS[field])
    return lang.say(
        "{channel} ({kind}, {unit}) is in the column “{column}”", channel=channel, kind=kind, unit=unit, column=column
    )


# What a file holds


def understood(
    understanding: Mapping[str, Any], say: Say, lang: Language, stored: Iterable[Document]
) -> dict[str, object]:
    """Return what a file was understood to be, and what it holds beside the charts that are there."""
    level, filed = level_of(understanding)
    return {
        "evidence": [
            (lang.say(WHAT[what]), say(value), say(why) if why else "") for what, value, why in understanding["choices"]
        ],
        "first_rows": [say(row) for row in understanding["first_rows"]],
        "bars": bars(level, filed, stored, lang),
        "ticks": [period_label(level, one[0], lang) for one in (*filed[:1], *filed[1:][-1:])],
        "months": [(period_label("month", one[0], lang), amounts(one[1], lang)) for one in understanding["months"]],
        "extremes": extremes(understanding, lang),
    }


def amounts(values: Sequence[int | None], lang: Language) -> str:
    """Return import, export and volume in words."""
    imported, exported, litres = values
    found = [f"{energy(imported, lang)} {lang.say('import')}"] if imported is not None else []
    found += [f"{energy(exported, lang)} {lang.say('export')}"] if exported is not None else []
    found += [str(volume(litres, lang))] if litres is not None else []
    return ", ".join(found)


def level_of(understanding: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return the level of the chart and its periods with their energies."""
    return ("day", understanding["days"]) if understanding["days"] else ("month", understanding["months"])


def bars(level: str, filed: Sequence[Any], stored: Iterable[Document], lang: Language) -> list[FileBar]:
    """Return the chart of a file over what is there, of the first direction that the file has."""
    place = next((place for place in range(3) if any(values[place] for _, values in filed)), 0)
    there = {one.period: getattr(one.total, FIELDS[place]) or 0 for one in stored}
    most = max([values[place] or 0 for _, values in filed] + list(there.values()), default=0) or 1
    unit = volume if place == 2 else energy
    return [
        FileBar(
            100 * there.get(period, 0) / most,
            100 * (values[place] or 0) / most,
            lang.say(
                "{period}: {filed} in the file, {there} there now",
                period=period_label(level, period, lang),
                filed=unit(values[place] or 0, lang),
                there=unit(there.get(period, 0), lang),
            ),
        )
        for period, values in filed
    ]


def period_label(level: str, period: str, lang: Language) -> str:
    """Return `3 April 2026` or `April 2026`."""
    return format_period(level, period, DAY if level == "day" else text("MMMM y"), lang)


def extremes(understanding: Mapping[str, Any], lang: Language) -> list[tuple[str, str, str]]:
    """Return the largest and the smallest day."""
    names = (("largest", text("Largest day")), ("smallest", text("Smallest day")))
    return [
        (lang.say(name), period_label("day", found[0], lang), amounts(found[1], lang))
        for key, name in names
        if (found := understanding[key])
    ]


def outcome(report: Mapping[str, Any], say: Say, lang: Language, *, is_done: bool) -> list[str]:
    """Return what a file adds, or has added."""
    total = amounts((report["import_wh"], report["export_wh"], report.get("volume_l")), lang)
    if is_done:
        said = [lang.count("{number} row was imported", "{number} rows were imported", report["accepted"])]
    else:
        said = [lang.count("{number} row would be imported", "{number} rows would be imported", report["accepted"])]
    said[0] += f": {total}" if total else ""
    counts = {
        "known": lang.count("{number} row is known already", "{number} rows are known already", report["known"]),
        "duplicates": lang.count("{number} row is there twice", "{number} rows are there twice", report["duplicates"]),
        "holes": lang.count("{number} hole between the rows", "{number} holes between the rows", report["holes"]),
    }
    said += [words for name, words in counts.items() if report[name]]
    if kept := report.get("kept_days"):
        said.append(lang.count("{number} old day keeps its chart", "{number} old days keep their charts", kept))
    reasons = ", ".join(f"{count} × {say(reason)}" for reason, count in report["reasons"].items())
    if reasons:
        said.append(lang.say("refused: {reasons}", reasons=reasons))
    return said


def changes(found: Sequence[Mapping[str, Any]], lang: Language) -> list[tuple[str, str, str]]:
    """Return what a correction changes of each day: before and after."""
    return [
        (period_label("day", one["day"], lang), amounts(one["before"], lang), amounts(one["after"], lang))
        for one in found
    ]


# Imports


def import_row(one: ImportRecord, now: int, cutoff: int, zone: str, lang: Language) -> ImportRow:
    """Return an import for the list: the file, its rows and days, who uploaded it and when."""
    days = [period_label("day", day_of(at, zone), lang) for at in (one.first, max(one.first, one.last - 1))]
    total = amounts((one.import_wh, one.export_wh, one.volume_l), lang)
    rows = lang.count("{number} row", "{number} rows", one.rows)
    size = " · ".join(filter(None, (rows, " – ".join(dict.fromkeys(days)), total)))
    said = [lang.say("{by}, {time}", by=_person(one.by, lang), time=since(one.at, now, zone, lang))]
    said += [lang.say("a correction")] if one.is_correction else []
    if one.undone_at:
        undone = since(one.undone_at, now, zone, lang)
        by = _person(one.undone_by, lang)
        said.append(lang.say("undone by {by}, {time}", by=by, time=undone))
    elif one.state == TAKING:
        said.append(lang.say("not finished"))
    return ImportRow(one.number, one.file or lang.say("erased"), size, " · ".join(said), can_undo(one, cutoff))


def _person(by: str, lang: Language) -> str:
    role, _, name = by.partition(" ")
    return ", ".join(filter(None, (lang.say(ROLES[role]) if role in ROLES else role, name)))
