"""Imports as records with an id: what came in, from which file, how it was read; and taking one back whole.

A record is `imports/DEVICE` / number, and its id `DEVICE/NUMBER`. The evidence of an import is a layer of its own
(`store.layers`), so taking it back is deleting the layer and computing the hours again that it told of. That is
possible as long as its evidence is kept. A day of which only the chart is left when an import fills it in keeps that;
the record names it. The same file, read in the same way, resumes its import.

States: `taking` (now, or stopped), `taken`, `undoing` (now, or stopped), `undone`.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import orjson

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, StoreAway, shown
from aggregator.core.periods import HALF_HOUR, Window, block_start, iso_local, iso_utc
from aggregator.store.collections import IMPORTS, update_record
from aggregator.store.layers import layer_of
from aggregator.store.occupancies import seen_instants
from aggregator.store.port import Store
from aggregator.store.stored_records import LAST_KEY
from aggregator.waterfall.levels import recompute, rewrite

if TYPE_CHECKING:
    from aggregator.intake.imports.recognise import Recognised  # its libraries are not in the package for AWS

TAKING, TAKEN, UNDOING, UNDONE = "taking", "taken", "undoing", "undone"
STATES = (TAKING, TAKEN, UNDOING, UNDONE)
STANDING = (TAKING, TAKEN)
BLANKED = ("import_wh", "export_wh", "volume_l")  # fields of an erased record, as `erasure_rules` blanks them
TRIES = 50  # of a number against other imports of the device
A_WEEK = 336  # half hours taken back at once


class Source(NamedTuple):
    """The file of an import, and who brings it."""

    name: str
    digest: str  # SHA-256 of the file, hexadecimal
    by: str
    is_correction: bool = False  # its values replace those that it contradicts


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """An import. Times are UTC seconds, energies Wh, volumes litres; None is absent."""

    device_id: str
    number: int
    at: int
    by: str
    file: str
    digest: str
    how: tuple[str, ...]  # what was understood of the file, a line each
    layout: str  # a hash of all that was decided about it
    first: int  # the span of its rows
    last: int
    is_correction: bool = False
    state: str = TAKING
    rows: int = 0  # taken in
    known: int = 0
    differs: int = 0
    rejected: int = 0
    import_wh: int | None = None
    export_wh: int | None = None
    volume_l: int | None = None
    blocks: int = 0  # half hours that it changed
    undone_at: int = 0
    undone_by: str = ""
    pending: tuple[int, int] | None = None  # hours that a stopped undo has not computed again
    old_days: tuple[str, ...] = ()  # days of which only charts were kept, and in which it filled something in

    @property
    def id(self) -> str:
        """Return the id by which a person names it."""
        return f"{self.device_id}/{self.number}"

    @property
    def layer(self) -> int:
        """Return the layer of its evidence."""
        return layer_of(self.number, is_correction=self.is_correction)

    def as_json(self) -> dict[str, object]:
        """Return the record for people and scripts."""
        values = asdict(self)
        del values["layout"], values["pending"], values["number"], values["undone_at"], values["undone_by"]
        times = {name: iso_utc(values[name]) for name in ("at", "first", "last")}
        undone = {"undone_at": iso_utc(self.undone_at), "undone_by": self.undone_by} if self.undone_at else {}
        return {"id": self.id, **values, **times, **undone}

    def line(self, zone: str) -> str:
        """Return the record as a line for people."""
        energies = (("import", self.import_wh), ("export", self.export_wh))
        said = [f"{wh / 1000:,.3f} kWh {name}" for name, wh in energies if wh is not None]
        said += [f"{self.volume_l / 1000:,.3f} m³"] if self.volume_l is not None else []
        span = f"{iso_local(self.first, zone)} to {iso_local(self.last, zone)}"
        state = f"{self.state} {iso_utc(self.undone_at)} by {self.undone_by}" if self.undone_at else self.state
        kind = " (replaces)" if self.is_correction else ""
        facts = (self.id, iso_utc(self.at), self.by, f"{self.file}{kind}", f"{self.rows} rows", span, *said, state)
        return "\t".join(facts)


def digest_of(stream: BinaryIO) -> str:
    """Return the SHA-256 of a file; it is at its beginning afterwards."""
    found = sha256()
    while piece := stream.read(1 << 20):
        found.update(piece)
    stream.seek(0)
    return found.hexdigest()


# Records


def imports_of(store: Store, device_id: str) -> list[ImportRecord]:
    """Return the imports of a device, newest first."""
    found, last = list[ImportRecord](), LAST_KEY
    while page := store.records(IMPORTS.of(device_id), last=last, newest_first=True):
        found += [_decoded(one.body) for one in page]
        last = _key(found[-1].number - 1)
    return found


def find_import(store: Store, name: str) -> ImportRecord:
    """Return an import by its id. Raises ConfigurationError where there is none."""
    device_id, _, number = name.rpartition("/")
    is_number = number.isascii() and number.isdigit() and len(number) < 10
    body = store.record(IMPORTS.of(device_id), _key(int(number))) if device_id and is_number else None
    if not body:
        raise ConfigurationError(f"there is no import {shown(name)}; `wattfall import --list --device ID` lists them")
    return _decoded(body)


def begin_import(store: Store, device: Device, found: "Recognised", source: Source, now: int) -> ImportRecord:
    """Return the record of an import that begins now, or that resumes; stored."""
    said = found.understanding
    assert said.start is not None
    assert said.end is not None
    own = seen_instants(device)  # rows of other days are refused
    first, last = max(said.start, own.start), min(said.end, own.end)
    layout = sha256(repr(found.layout).encode()).hexdigest()[:16]
    for _ in range(TRIES):
        present = imports_of(store, device.device_id)
        same = (source.digest, source.is_correction, layout)
        for one in present:
            if (one.digest, one.is_correction, one.layout) == same and one.state in STANDING:
                span = {"first": min(one.first, first), "last": max(one.last, last)}
                resumed = update_import(store, one, STANDING, state=TAKING, **span)
                if resumed.state == TAKING:
                    return resumed
        newest = store.records(IMPORTS.of(device.device_id), limit=1, newest_first=True, with_damaged=True)
        number = int(newest[0].key) + 1 if newest else 1
        how = tuple(f"{one.what}: {one.value}" for one in said.choices)
        record = ImportRecord(
            device.device_id, number, now, source.by, source.name, source.digest, how, layout, first, last,
            source.is_correction,
        )  # fmt: skip
        if store.put_record(IMPORTS.of(device.device_id), _key(number), _body(record), was=None):
            return record
    raise StoreAway(f"other imports of {device.device_id} began at the same time; try again")


def update_import(
    store: Store, record: ImportRecord, states: Collection[str] = STATES, /, **fields: object
) -> ImportRecord:
    """Set fields of a stored record that is in one of these states; return the record as it is stored.

    What others have set meanwhile stays, and what an erasure has blanked. It may be called in a transaction, since
    setting the same fields again changes nothing.
    """

    def changed(body: str | None) -> str | None:
        known = _decoded(body) if body else find_import(store, record.id)
        if known.state not in states:
            return None
        kept = BLANKED if not known.digest else ()
        return _body(replace(known, **{name: value for name, value in fields.items() if name not in kept}))  # type: ignore[arg-type] # by name

    _, stored = update_record(store, IMPORTS.of(record.device_id), _key(record.number), changed)
    assert stored is not None
    return _decoded(stored)


def _key(number: int) -> str:
    return f"{number:09d}"


def _body(record: ImportRecord) -> str:
    return orjson.dumps(asdict(record)).decode()


def _decoded(body: str) -> ImportRecord:
    values = orjson.loads(body)
    pending = tuple(values["pending"]) if values["pending"] else None
    lists = {name: tuple(values[name]) for name in ("how", "old_days")}
    return ImportRecord(**values | lists | {"pending": pending})


# Taking back


def can_undo(record: ImportRecord, cutoff: int) -> bool:
    """Whether an import can be undone: its rows are kept, since it came after the retention cutoff (UTC seconds)."""
    return record.state != UNDONE and record.at >= cutoff


def check_undo(store: Store, record: ImportRecord) -> Device:
    """Return the device of an import that can be taken back. Raises ConfigurationError for another one."""
    device = store.device(record.device_id)
    if record.state == UNDONE or device is None:
        raise ConfigurationError(
            f"{record.id} was taken back already, on {iso_utc(record.undone_at)}; import the file again to have it back"
        )
    if not can_undo(record, store.retention_cutoff(record.device_id)):
        raise ConfigurationError(
            f"{record.id} cannot be taken back any more: of what came in on {iso_utc(record.at)} only the charts are"
            " kept, and no longer the rows"
        )
    return device


def undo(
    store: Store, record: ImportRecord, by: str, now: int, progress: Callable[[int], object] = lambda _: None
) -> ImportRecord:
    """Take an import back whole; days are settled on return, their months and years when the store is.

    The evidence is then what it would be without the import. What it filled in on `old_days` stays there: no evidence
    tells what else they would show. `progress` gets numbers of half hours. Can be stopped at
    any time, and goes on when it is called again. Raises ConfigurationError as `check_undo` does.
    """
    device = check_undo(store, record)
    record = update_import(store, record, state=UNDOING, undone_at=now, undone_by=by)
    if record.pending:
        store.step(partial(recompute, store, device, Window(*record.pending)))
    for starts in _weeks(store, record):
        with store.transaction():
            drop = partial(store.drop_layer, record.device_id, record.layer, starts)

            def note(hours: Window) -> None:
                update_import(store, record, pending=(hours.start, hours.end))

            rewrite(store, device, Window(starts[0], starts[-1] + HALF_HOUR), drop, note)
        progress(len(starts))
    return update_import(store, record, state=UNDONE, pending=None)


def _weeks(store: Store, record: ImportRecord) -> Iterator[list[int]]:
    """Yield the half hours that still have evidence of an import, those of a week at a time."""
    last = block_start(record.last)
    first = block_start(record.first)
    while first <= last and (starts := store.layer_starts(record.device_id, record.layer, first, last, A_WEEK)):
        near = [start for start in starts if start < starts[0] + A_WEEK * HALF_HOUR]
        yield near
        first = near[-1] + HALF_HOUR
