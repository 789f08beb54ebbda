"""Everything that is kept of a household, as one ZIP file of CSV and JSON: what it sent, its charts, who looked.

The file is made piece by piece, so its size needs no memory. Article 20 of the GDPR asks for such a file.
"""

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from aggregator.core import periods
from aggregator.core.documents import Device, Document, as_json
from aggregator.core.periods import FIRST_DAY, HALF_HOUR, LAST_DAY, iso_utc
from aggregator.store.occupancies import occupancies, own_days, seen_instants, stays
from aggregator.store.port import Store
from aggregator.support.audit import Audit
from aggregator.waterfall.pricing import current, supplied, with_every_charge
from dashboard.accounts.users import User
from dashboard.text.language import Language
from dashboard.text.words import cell

BLOCKS = 336  # half hours of a week, read at once
MOST_LOOKS = 10_000
_README = "README.txt"
File = tuple[str, Iterable[str]]  # name, and its text in pieces


def export(
    store: Store, audit: Audit, household: str, people: Iterable[User], now: int, spoken: Iterable[Language]
) -> Iterator[bytes]:
    """Yield the ZIP file of a household as of `now` (UTC seconds), in pieces; its README in some languages."""
    made_at = datetime.fromtimestamp(now, UTC).timetuple()[:6]
    return _zipped(_files(store, audit, household, people, now, spoken), made_at)


def _files(
    store: Store, audit: Audit, household: str, people: Iterable[User], now: int, spoken: Iterable[Language]
) -> Iterator[File]:
    yield _README, ["\n".join(_readme(household, now, one) for one in spoken)]
    yield "account.json", [_json([_account(one) for one in people if one.household == household])]
    for device_id in store.household_devices(household):
        device = store.device(device_id)
        for number, stay in enumerate(stays(device, household) if device else ()):
            folder = f"{device_id}-before-{number}" if number else device_id
            yield f"{folder}/home.json", [_json(_home(stay))]
            yield f"{folder}/readings.csv", _readings(store, stay)
            yield f"{folder}/intervals.csv", _intervals(store, stay)
            for level in periods.LEVELS:
                yield f"{folder}/{level}s.jsonl", _documents(store, stay, level, now)
            yield f"{folder}/who-looked.csv", _who_looked(audit, stay)


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


def _readings(store: Store, stay: Device) -> Iterator[str]:
    span = seen_instants(stay)
    yield _row("at", "power_w", "import_wh", "export_wh", "meter_id", "volume_l")
    for first, last in _weeks(store, stay):
        known = (one for one in store.readings(stay.device_id, first, last) if span.start <= one.at < span.end)
        yield "".join(_row(iso_utc(one.at), *one[2:]) for one in known)


def _intervals(store: Store, stay: Device) -> Iterator[str]:
    """Yield the intervals that lie in a stay: the energy of one across its edge is also another household's."""
    span = seen_instants(stay)
    yield _row("start", "end", "import_wh", "export_wh", "source", "volume_l")
    for first, last in _weeks(store, stay):
        known = store.intervals(stay.device_id, first, last)
        own = (one for one in known if span.start <= one.start and one.end <= span.end)
        yield "".join(_row(iso_utc(one.start), iso_utc(one.end), *one[3:]) for one in own)


def _weeks(store: Store, stay: Device) -> Iterator[tuple[int, int]]:
    """Yield the first and last start of every BLOCKS half hours with evidence in a stay."""
    span = seen_instants(stay)
    at = span.start - HALF_HOUR
    while (starts := store.block_starts(stay.device_id, at, BLOCKS)) and starts[0] < span.end:
        yield starts[0], starts[-1]
        at = starts[-1]


def _documents(store: Store, stay: Device, level: str, now: int) -> Iterator[str]:
    """Yield the charts of a stay as JSON, one a line, each as the page shows it."""

    def read(level: str, period: str) -> Document | None:
        return store.document(level, stay.device_id, period)

    own, known = own_days(stay, read), supplied(store, stay, now)
    days = store.periods("day", stay.device_id)  # an open month has no document of its own yet
    for period in dict.fromkeys(periods.containing(level, "day", day) for day in days):
        document = current(own, stay, level, period, now)
        if document:
            yield json.dumps(as_json(with_every_charge(document, stay, known))) + "\n"


def _who_looked(audit: Audit, stay: Device) -> Iterator[str]:
    yield _row("at", "who", "action", "reason")
    for one in audit.seen_by_staff(stay, MOST_LOOKS):
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


def _zipped(files: Iterable[File], made_at: Sequence[int]) -> Iterator[bytes]:
    pieces = _Pieces()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, texts in files:
            info = zipfile.ZipInfo(name, tuple(made_at))  # type: ignore[arg-type]
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w") as file:
                for one in texts:
                    file.write(one.encode())
                    yield pieces.take()
    yield pieces.take()
