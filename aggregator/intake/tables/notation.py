"""How a file writes its times and figures: the order of day and month, the clock, the offset, the decimal sign. Pure.

A time with an offset (`Z`, `+01:00`, `CET`), or counted from 1970 in seconds, milli-, micro- or nanoseconds, is an
instant (UTC seconds). Any other time is local, a datetime without an offset; `row_times` resolves it.

`ORDERS` are the candidates for day, month and year. `decimal_sign` and `order_of` decide by evidence, and say why.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import pairwise

from aggregator.core.errors import ConfigurationError, Phrase, Refused, shown
from aggregator.core.periods import DAY_S, HOUR
from aggregator.core.readings import MAX_TIME

Time = int | datetime  # an instant (UTC seconds), or a local time without an offset
ORDERS = {"day-first": "dmy", "month-first": "mdy", "year-first": "ymd"}  # the values of --dates
_EPOCH = re.compile(r"([0-9]{9,10})(?:\.[0-9]*)?|([0-9]{10})(?:[0-9]{3}){1,3}(?:\.0*)?")  # 1973 to 2286
_DATE = (
    r"(?:(?P<y>[0-9]{4})(?P<s>[-/.])(?P<m>[0-9]{1,2})(?P=s)(?P<d>[0-9]{1,2})"
    r"|(?P<compact>[0-9]{8})"
    r"|(?P<one>[0-9]{1,2})(?P<t>[-/.])(?P<two>[0-9]{1,2})(?P=t)(?P<three>[0-9]{4}|[0-9]{2})"
    r"|(?:[^\W\d]{2,9}\.?,? )?(?P<nd>[0-9]{1,2})[-/. ]+(?P<name>[^\W\d]{3,9})\.?[-/, ]+(?P<ny>[0-9]{4}|[0-9]{2})"
    r"|(?:[^\W\d]{2,9}\.?,? )?(?P<name2>[^\W\d]{3,9})\.? (?P<nd2>[0-9]{1,2}),? (?P<ny2>[0-9]{4}))"
)
_CLOCK = (
    r"(?P<h>[0-9]{1,2})(?:[:.hH](?P<min>[0-9]{2})(?:[:.m](?P<sec>[0-9]{2})(?:[.,][0-9]*)?s?)?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?"
)
_COMPACT_CLOCK = r"(?P<h2>[0-9]{2})(?P<min2>[0-9]{2})(?P<sec2>[0-9]{2})?"
_OFFSET = r"(?:[A-Z]{3,4}(?=[+-]))?(?P<zone>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?|[A-Z]{3,4})"
_TIME = re.compile(rf"{_DATE}(?:,?(?:[ T_]+|(?<=[0-9]{{8}})T?)(?:{_CLOCK}|{_COMPACT_CLOCK})(?: ?\(?{_OFFSET}\)?)?)?")
_CLOCK_ALONE = re.compile(rf"{_CLOCK}|{_COMPACT_CLOCK}")
_NAMED_OFFSETS = {  # hours; a name that more than one zone has (IST) is none
    name: hours
    for hours, names in {
        -10: "HST", -9: "AKST", -8: "PST AKDT", -7: "MST PDT", -6: "CST MDT", -5: "EST CDT", -4: "EDT AST", -3: "ADT",
        0: "UTC GMT WET", 1: "BST WEST CET MEZ", 2: "CEST MESZ EET SAST", 3: "EEST MSK", 8: "AWST SGT HKT",
        9: "JST KST", 9.5: "ACST", 10: "AEST", 10.5: "ACDT", 11: "AEDT", 12: "NZST", 13: "NZDT",
    }.items()
    for name in names.split()
}  # fmt: skip
_MONTHS = (
    ("jan", "ene", "janv", "gen", "tammi", "sty", "led"),
    ("feb", "fev", "fév", "helmi", "lut", "úno"),
    ("mar", "mär", "mrz", "maa", "mrt", "bře"),
    ("apr", "avr", "abr", "huhti", "kwi", "dub"),
    ("may", "mai", "mei", "maj", "mag", "touko", "kvě"),
    ("jun", "juin", "giu", "kesä", "cze", "čer"),
    ("jul", "juil", "lug", "heinä", "lip"),
    ("aug", "aoû", "aou", "ago", "elo", "sie", "srp"),
    ("sep", "set", "syys", "wrz", "zář"),
    ("oct", "okt", "ott", "out", "loka", "paź", "říj"),
    ("nov", "lis"),
    ("dec", "dez", "dic", "déc", "des", "joulu", "gru", "pro"),
)
_LENGTH = re.compile(r"([0-9]{1,6}) ?(s|m|min|h|d)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": HOUR, "d": DAY_S}
_LAST_TWO_DIGIT_YEAR = 69  # 70 to 99 are of the last century


def read_time(text: str, order: str = "dmy") -> Time:
    """Parse a date and time; `order` is a value of ORDERS. Raises Refused."""
    trimmed = text.strip()
    try:
        if trimmed[4:5] == "-" and trimmed[13:14] != "." and len(trimmed) <= MAX_TIME:
            return _iso(trimmed)
    except (ValueError, OverflowError):
        pass
    try:
        if len(trimmed) <= MAX_TIME:
            return _epoch(trimmed) or _written(trimmed, order)
    except (ValueError, OverflowError, TypeError):
        pass
    raise Refused("bad_time", f"the time is {shown(trimmed)}")


def _iso(text: str) -> Time:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        return int(moment.timestamp() // 1)
    return moment.replace(microsecond=0) if moment.microsecond else moment


def _epoch(text: str) -> int | None:
    found = _EPOCH.fullmatch(text)
    return int(found[1] or found[2]) if found else None


def _written(text: str, order: str) -> Time:
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError(text)
    seconds = _clock_seconds(found, "h2", "min2", "sec2") if found["h2"] else _clock_seconds(found)
    moment = _date_of(found, order) + timedelta(seconds=seconds)
    if found["zone"] is None:
        return moment
    return int((moment - datetime(1970, 1, 1)) / timedelta(seconds=1)) - _offset_s(found["zone"])  # noqa: DTZ001 - local


def _date_of(found: re.Match[str], order: str) -> datetime:
    if found["y"]:
        year, month, day = found["y"], found["m"], found["d"]
    elif found["compact"]:
        year, month, day = found["compact"][:4], found["compact"][4:6], found["compact"][6:]
    elif found["one"]:
        by_letter = dict(zip(order, (found["one"], found["two"], found["three"]), strict=True))
        year, month, day = by_letter["y"], by_letter["m"], by_letter["d"]
    else:
        name, day, year = found["name"] or found["name2"], found["nd"] or found["nd2"], found["ny"] or found["ny2"]
        month = str(_month_named(name.lower()))
    return datetime(_full_year(year), int(month), int(day))  # noqa: DTZ001 - local


def _full_year(text: str) -> int:
    if len(text) == 4:
        return int(text)
    return int(text) + (2000 if int(text) <= _LAST_TWO_DIGIT_YEAR else 1900)


@lru_cache(maxsize=256)
def _month_named(name: str) -> int:
    """Return the number of a month by its name in a European language. Raises ValueError."""
    for number, stems in enumerate(_MONTHS, 1):
        if name.startswith(stems):
            return number
    raise ValueError(name)


def _clock_seconds(found: re.Match[str], hour: str = "h", minute: str = "min", second: str = "sec") -> int:
    """Return the seconds since midnight; 24:00 is the end of the day. Raises ValueError."""
    hours, minutes, seconds = int(found[hour] or 0), int(found[minute] or 0), int(found[second] or 0)
    if half := found["half"]:
        if not 1 <= hours <= 12:
            raise ValueError("an hour of a 12-hour clock is not 1 to 12")
        hours = hours % 12 + (12 if half in "Pp" else 0)
    at = hours * HOUR + minutes * 60 + seconds
    if minutes > 59 or seconds > 59 or at > DAY_S:
        raise ValueError("no time of a day")
    return at


def _offset_s(text: str) -> int:
    if text[0] in "+-":
        hours, minutes = int(text[1:3]), int(text[-2:]) if len(text) > 3 else 0
        return (hours * HOUR + minutes * 60) * (-1 if text[0] == "-" else 1)
    if text in "Zz":
        return 0
    if text not in _NAMED_OFFSETS:
        raise ValueError(text)
    return int(_NAMED_OFFSETS[text] * HOUR)


_SUMMARIES = (
    "total",
    "sum",
    "gesamt",
    "totaal",
    "somme",
    "suma",
    "summa",
    "i alt",
    "yhteensä",
    "razem",
    "average",
    "mean",
)


def is_summary(text: str) -> bool:
    """Whether a row begins like one that sums others up."""
    return text.strip().lower().startswith(_SUMMARIES)


def is_time(text: str) -> bool:
    """Whether a cell looks like a date or a date and time, in any order."""
    if not any(map(str.isdigit, text)):
        return False
    for order in ORDERS.values():
        try:
            read_time(text, order)
        except Refused:
            continue
        return True
    return False


@lru_cache(maxsize=4096)
def read_clock(text: str) -> int:
    """Parse a time of day to seconds since midnight: `00:30`, `00.30`, `0030`, `1:30 pm`, `24:00`. Raises Refused."""
    found = _CLOCK_ALONE.fullmatch(text.strip()) if len(text) <= MAX_TIME else None
    try:
        if found:
            return _clock_seconds(found, "h2", "min2", "sec2") if found["h2"] else _clock_seconds(found)
    except ValueError:
        pass
    raise Refused("bad_time", f"the time of day is {shown(text.strip())}")


def interval_of(text: str) -> int:
    """Parse an option's interval to seconds: `30m`, `1h`, `1d`. Raises ConfigurationError."""
    found = _LENGTH.fullmatch(text.strip())
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= DAY_S:
        raise ConfigurationError(f"{text!r} is not an interval; write it like 30m, 1h or 1d: up to a day")
    return seconds


def seconds_of(time: Time) -> int:
    """Return the seconds since 1970 of a time; those of a local time count its clock."""
    return time if isinstance(time, int) else int((time - datetime(1970, 1, 1)) / timedelta(seconds=1))  # noqa: DTZ001 - local


def order_of(told: Mapping[str, Sequence[Time]]) -> tuple[str, Phrase | None]:
    """Return the order of day, month and year, and why, from the times of the rows in each possible order.

    The reason is None where nothing decides.
    """
    if len(told) < 2 or len({tuple(times) for times in told.values()}) == 1:
        return next(iter(told), "dmy"), Phrase("only so do all dates exist")
    scores = {order: _contiguity([seconds_of(time) for time in times]) for order, times in told.items()}
    best = max(scores, key=scores.__getitem__)
    is_clear = all(score * 2 < scores[best] for order, score in scores.items() if order != best)
    is_clear &= scores[best] >= _CONTIGUOUS
    return best, Phrase("only so are the rows contiguous") if is_clear else None


def _contiguity(ats: Sequence[int]) -> float:
    """Return the share of their span that rows cover with their usual step, of a day at most."""
    once = sorted(set(ats))
    steps = Counter(other - one for one, other in pairwise(once))
    usual = steps.most_common(1)[0][0] if steps else 0
    return len(once) * usual / (once[-1] - once[0] + usual) if 0 < usual <= DAY_S else 0.0


# Figures

ABSENT = {"", "-", "--", "---", "?", "na", "n/a", "nan", "null", "none", "unavailable", "unknown", "missing", "."}
SIGNS = {"comma": ",", "point": "."}  # the values of --decimal
_CONTIGUOUS = 0.5  # the share of their span that contiguous rows cover at least
_LONGEST = 40  # characters of a figure
_GROUPED = {
    ".": re.compile(r"[+-]?[1-9][0-9]{0,2}(?:[,' \u00a0][0-9]{3})+(?:\.[0-9]*)?"),
    ",": re.compile(r"[+-]?[1-9][0-9]{0,2}(?:[.' \u00a0][0-9]{3})+(?:,[0-9]*)?"),
}
_COMMA = str.maketrans(",.", ".,")  # a point is no decimal sign beside a comma
_FIGURE = re.compile(r"[+-]?[0-9][0-9.,' \u00a0eE+-]*|[+-]?[.,][0-9]+")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:[.,][0-9]{3})+")


def read_figure(text: str, decimal: str) -> Decimal | None:
    """Parse a figure with a decimal sign; None where it is absent. Raises Refused."""
    trimmed = text.strip()
    try:
        if len(trimmed) <= _LONGEST:
            found = Decimal(trimmed.translate(_COMMA) if decimal == "," else trimmed)
            if found.is_finite() and found.adjusted() < 20:
                return found
    except InvalidOperation:
        if _GROUPED[decimal].fullmatch(trimmed):
            bare = re.sub(r"[' \u00a0]", "", trimmed).replace("." if decimal == "," else ",", "")
            return Decimal(bare.replace(",", "."))
    if trimmed.lower() in ABSENT:
        return None
    raise Refused("not_a_number", f"a figure is {shown(trimmed)}")


def decimal_sign(texts: Sequence[str], delimiter: str) -> tuple[str, str]:
    """Return the decimal sign of figures, and one of them as evidence; "" as sign where two are possible."""
    texts = [text for text in texts if _FIGURE.fullmatch(text)]
    commas, points = [text for text in texts if "," in text], [text for text in texts if "." in text]
    both = next((text for text in commas if "." in text), None)
    if both:
        return "," if both.rindex(",") > both.rindex(".") else ".", both
    twice = next((text for text in texts if text.count(",") > 1 or text.count(".") > 1), None)
    if twice and not (commas and points):
        return "." if "," in twice else ",", twice
    some = commas or points
    is_grouped = bool(some) and all(map(_THOUSANDS.fullmatch, some))
    if is_grouped and not (commas and points) and not (points and delimiter == ","):
        return "", some[0]
    return "," if commas and not (points and is_grouped) else ".", commas[0] if commas else ""
