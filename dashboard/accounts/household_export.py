"""Everything that is kept of a household, as one ZIP file of CSV and JSON: what it sent, its charts, who looked.

The file is made piece by piece, so its size needs no memory. Article 20 of the GDPR asks for such a file.
"""

import csv
import io
import json
import time
import zipfile
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from aggregator.core import periods
from aggregator.core.documents import Device, Document, as_json
from aggregator.core.errors import StoreAway
from aggregator.core.periods import FIRST_DAY, HALF_HOUR, LAST_DAY, iso_utc
from aggregator.store.collections import EXPORTS
from aggregator.store.occupancies import occupancies, own_days, seen_instants, stays
from aggregator.store.port import Store
from aggregator.support.audit import Audit
from aggregator.tariffs.prices import YEARS as PRICE_YEARS
from aggregator.waterfall.pricing import current, supplied, with_every_charge
from dashboard.accounts.users import User
from dashboard.text.language import Language
from dashboard.text.words import cell

BLOCKS = 336  # half hours of a week, read at once
NOTE_S = 1.0  # between two notes of how far a download is
_README = "README.txt"
Told = Callable[[int, int], object]  # the part that is written, and the whole, in days of charts, readings, intervals
Days = Sequence[str]
Dated = tuple[str, str]  # a piece of text, and the local day that it reaches
Piece = tuple[str, int]  # a piece of text, and the number of days that it completes


class File(NamedTuple):
    """A file of the archive, in pieces."""

    name: str
    pieces: Iterable[Piece]
    days: int = 0  # that its pieces complete


def export(
    store: Store,
    audit: Audit,
    household: str,
    people: Iterable[User],
    now: int,
    language: Language,
    tell: Told = lambda *_: None,
) -> Iterator[bytes]:
    """Yield the ZIP file of a household as of `now` (UTC seconds), in pieces; its README is in one language."""
    devices = [device for one in store.household_devices(household) if (device := store.device(one))]
    files = [
        _whole(_README, _readme(household, now, language)),
        _whole("account.json", _json([_account(one) for one in people if one.household == household])),
        *(
            file
            for device in devices
            for number, stay in enumerate(stays(device, household))
            for file in _files(store, audit, stay, f"-before-{number}" if number else "", now)
        ),
    ]
    return _zipped(files, datetime.fromtimestamp(now, UTC).timetuple()[:6], tell)


def followed(
    store: Store, user_id: str, name: str, pieces: Callable[[Told], Iterable[bytes]]
) -> Generator[bytes, None, None]:
    """Yield the pieces of a person's download, and note for `progress` how far it is, under a name of the page's."""
    noted_at, percent = -NOTE_S, None

    def note(percent: int | None) -> None:
        with suppress(StoreAway):  # the download matters more
            expires = int(time.time()) + EXPORTS.lifetime_s
            store.put_record(EXPORTS.of(), user_id, json.dumps([name, percent]), expires=expires)

    def tell(done: int, whole: int) -> None:
        nonlocal noted_at
        if time.monotonic() - noted_at >= NOTE_S:
            noted_at = time.monotonic()
            note(min(100 * done // max(whole, 1), 99))

    try:
        yield from pieces(tell)
        percent = 100
    finally:
        note(percent)


def progress(store: Store, user_id: str, name: str) -> dict[str, int | None]:
    """Return the percentage of a download that is written: None where it was broken off; empty for another name."""
    known = json.loads(store.record(EXPORTS.of(), user_id) or "[null, null]")
    return {"percent": known[1]} if known[0] == name else {}


def _files(store: Store, audit: Audit, stay: Device, suffix: str, now: int) -> Iterator[File]:
    """Yield the files of a stay; nothing of them is read before they are written, but for the days with charts."""
    folder, (first, last) = stay.device_id + suffix, occupancies(stay)[-1].days
    days = [day for day in store.periods("day", stay.device_id) if first <= day <= last]
    yield _whole(f"{folder}/home.json", _json(_home(stay)))
    for name, texts in (("readings", _readings(store, stay)), ("intervals", _intervals(store, stay))):
        yield File(f"{folder}/{name}.csv", _counted(texts, days), len(days))
    for level, row in periods.LEVELS.items():
        counted = days if row.has_hours else ()
        texts = _documents(store, stay, level, days, now)
        yield File(f"{folder}/{level}s.jsonl", _counted(texts, counted), len(counted))
    for name, rows in (("prices", _prices(store, stay, now)), ("who-looked", _who_looked(audit, stay))):
        yield File(f"{folder}/{name}.csv", ((row, 0) for row in rows))


def _whole(name: str, text: str) -> File:
    return File(name, [(text, 0)])


def _counted(texts: Iterable[Dated], days: Days) -> Iterator[Piece]:
    """Yield texts, each with the number of days that it completes; the last one completes what is left."""
    done = 0
    for text, day in texts:
        reached = bisect_right(days, day)
        yield text, reached - done
        done = reached
    yield "", len(days) - done


def _readme(household: str, now: int, language: Language) -> str:
    say = language.say
    return "\n".join(
        [
            say(
                "Everything that Wattfall keeps of the household {household}, as of {instant}.",
                household=household,
                instant=iso_utc(now),
            ),
            "",
            say("account.json: the people who may sign in. A folder for each meter has:"),
            say("home.json: the meter, its home, since when and until when it was yours, and the tariff"),
            say("readings.csv: what the meter sent and is still kept; registers in Wh, power in W"),
            say("intervals.csv: energy of a span of time, as a supplier or a file states it"),
            say("prices.csv: half-hourly prices per kWh as they were published, where the tariff has them"),
            say("days.jsonl, months.jsonl, years.jsonl: the charts, one JSON object a line"),
            say("who-looked.csv: who of the staff looked or did something, when and why"),
            "",
        ]
    )


def _account(user: User) -> dict[str, object]:
    return {
        "email": user.email or None,
        "name": user.name or None,
        "role": user.role,
        "signs_in_by_provider": bool(user.identity),
    }


def _home(stay: Device) -> dict[str, object]:
    first, last = occupancies(stay)[-1].days
    return {
        "device_id": stay.device_id,
        "kind": stay.kind,
        "timezone": stay.timezone,
        "household": stay.household,
        "name": stay.name or None,
        "postcode": stay.postcode or None,
        "serial": stay.serial or None,
        "meter_point": stay.meter_point or None,
        "from": None if first == FIRST_DAY else first,
        "to": None if last == LAST_DAY else last,
        "tariff": json.loads(stay.tariff) if stay.tariff else None,
    }


def _readings(store: Store, stay: Device) -> Iterator[Dated]:
    span = seen_instants(stay)
    yield _row("at", "power_w", "import_wh", "export_wh", "meter_id", "volume_l"), ""
    for first, last in _weeks(store, stay):
        known = (one for one in store.readings(stay.device_id, first, last) if span.start <= one.at < span.end)
        yield "".join(_row(iso_utc(one.at), *one[2:]) for one in known), periods.day_of(last, stay.timezone)


def _intervals(store: Store, stay: Device) -> Iterator[Dated]:
    """Yield the intervals that lie in a stay: the energy of one across its edge is also another household's."""
    span = seen_instants(stay)
    yield _row("start", "end", "import_wh", "export_wh", "source", "volume_l"), ""
    for first, last in _weeks(store, stay):
        known = store.intervals(stay.device_id, first, last)
        own = (one for one in known if span.start <= one.start and one.end <= span.end)
        rows = "".join(_row(iso_utc(one.start), iso_utc(one.end), *one[3:]) for one in own)
        yield rows, periods.day_of(last, stay.timezone)


def _weeks(store: Store, stay: Device) -> Iterator[tuple[int, int]]:
    """Yield the first and last start of every BLOCKS half hours with evidence in a stay."""
    span = seen_instants(stay)
    at = span.start - HALF_HOUR
    while (starts := store.block_starts(stay.device_id, at, BLOCKS)) and starts[0] < span.end:
        yield starts[0], starts[-1]
        at = starts[-1]


def _documents(store: Store, stay: Device, level: str, days: Days, now: int) -> Iterator[Dated]:
    """Yield the charts of a stay as JSON, one a line, each as the page shows it, with its first day."""

    def read(level: str, period: str) -> Document | None:
        return store.document(level, stay.device_id, period)

    own, known = own_days(stay, read), supplied(store, stay, now)
    # An open month has no document of its own yet.
    for period in dict.fromkeys(periods.containing(level, "day", day) for day in days):
        document = current(own, stay, level, period, now)
        if document:
            yield json.dumps(as_json(with_every_charge(document, stay, known))) + "\n", period


def _prices(store: Store, stay: Device, now: int) -> Iterator[str]:
    """Yield the prices of the half hours of a stay, a year at once; none is published a year ahead."""
    span = seen_instants(stay)
    yield _row("start", "import_price", "export_price")
    for year in range(PRICE_YEARS.start, int(periods.period_of("year", now, "UTC")) + 2):
        first, after = (periods.day_start(f"{one}-01-01", "UTC") for one in (year, year + 1))
        first, after = max(first, span.start), min(after, span.end)
        if first < after:
            known = store.prices(stay.device_id, first, after - 1)
            both = known.import_prices, known.export_prices
            yield "".join(_row(iso_utc(at), *(one.get(at) for one in both)) for at in sorted({*both[0], *both[1]}))


def _who_looked(audit: Audit, stay: Device) -> Iterator[str]:
    yield _row("at", "who", "action", "reason")
    for one in audit.seen_by_staff(stay):
        yield _row(iso_utc(one.at), one.by, one.action, one.reason)


def _row(*values: object) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(map(cell, values))
    return text.getvalue()


def _json(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


class _Pieces(io.RawIOBase):
    """A file that only grows; `take` returns what was written since the last time."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._waiting += piece
        return len(piece)

    def take(self) -> bytes:
        piece = bytes(self._waiting)
        self._waiting.clear()
        return piece


def _zipped(files: Sequence[File], made_at: Sequence[int], tell: Told) -> Iterator[bytes]:
    pieces, done, whole = _Pieces(), 0, sum(one.days for one in files)
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in files:
            info = zipfile.ZipInfo(one.name, tuple(made_at))  # type: ignore[arg-type]
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w") as file:
                for text, days in one.pieces:
                    file.write(text.encode())
                    done += days
                    tell(done, whole)
                    yield pieces.take()
    yield pieces.take()
