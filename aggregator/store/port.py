"""The port: every method of a store that the waterfall and the dashboard call.

Each write compares its values with the stored ones; an unchanged value leaves no change record. A record says only
*this key is dirty*; it is consumed at least once. Methods raise StoreAway (retry later) or StoreUnusable (repair it).
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import NamedTuple, Protocol, TypeVar

from aggregator.core.documents import Device, Document, Names, Part
from aggregator.core.live import Live
from aggregator.core.periods import FOR_EVER, feed_levels
from aggregator.core.readings import Interval, Reading
from aggregator.store.layers import Layered
from aggregator.store.stored_records import ANYTHING, LAST_KEY, Record, Was
from aggregator.tariffs.rates import Series

Answer = TypeVar("Answer")

Blocks = Mapping[tuple[str, int], Mapping[int, Reading]]  # (device, start of the UTC half hour) -> instant -> reading
READINGS = "readings"  # the feed of readings; the other feeds are levels
LeaveOut = Callable[[str], object]  # is told, in a line, of a damaged row that a list leaves out


@cache  # once in a process
def name_once(damage: str) -> None:
    """Log a damaged row, unless it was logged before."""
    logging.getLogger("wattfall.store").error("%s", damage)


class Change(NamedTuple):
    """A dirty key. `table` is readings, prices or a level; `key` is the start of a block (as text) or a period."""

    sequence: int
    table: str
    device_id: str
    key: str
    first: int = 0  # of readings: no earlier instant of the block has changed, UTC seconds; 0: unknown


class Written(NamedTuple):
    """Counts of written readings: of new or different ones, and of those already stored."""

    accepted: int
    unchanged: int


class Backlog(NamedTuple):
    """The number of dirty keys that are due, and since when the oldest is (UTC seconds; None without one)."""

    waiting: int
    since: int | None


class Store(Layered, Protocol):
    """Documents by key. A chart needs one read of one document."""

    def close(self) -> None:
        """Close files and connections."""

    def now(self) -> int:
        """Return the store's clock, UTC seconds."""

    def transaction(self) -> AbstractContextManager[None]:
        """Run the reads and writes inside as one transaction: all writes last, or none."""

    @property
    def has_one_writer(self) -> bool:
        """Whether writers wait for each other, so that what they write costs less in one transaction."""

    def step(self, work: Callable[[], object]) -> None:
        """Run `work`, which reads inputs and writes results; repeat it when an input has changed meanwhile.

        Steps inside a transaction may run side by side. They have ended when `settle` returns or the transaction ends.
        """

    def begin(self, read: Callable[[], Answer]) -> Callable[[], Answer]:
        """Start a read outside of transactions and steps, on a remote store beside others; return who waits for it."""

    # registry

    def device(self, device_id: str) -> Device | None:
        """Return a device, or None; a second meter as `occupancies.at_home` gives it its home."""

    def reading_ahead(self, device_ids: Collection[str]) -> AbstractContextManager[None]:
        """Read devices and their live states at once; within, they are not read again. One thread at a time."""

    def devices(self, after: str = "", limit: int = 1000, leave_out: LeaveOut | None = None) -> Sequence[Device]:
        """Return the devices after the id `after`, by id; empty at the end.

        A damaged entry is left out and told to `leave_out`, maybe twice; without it one raises Damaged.
        """

    def stored_devices(self, after: str = "", limit: int = 1000, leave_out: LeaveOut | None = None) -> Sequence[Device]:
        """Return the devices after the device `after`, in the store's own order, as `devices` does."""

    def put_device(self, device: Device) -> None:
        """Add or replace a device (`Device.own`) and its terms. Raises as `search.check_labels` does."""

    def find_devices(self, text: str, limit: int) -> list[str]:
        """Return the ids of at most `limit` devices whose search terms match each word of `text`.

        A word matches the beginning of an id, serial number, meter point, household, name or postcode, or of a later
        word in one of these, or the end of the first three (see `search`). Matches of the whole phrase come first.
        A text shorter than `search.LEAST` characters matches nothing.
        """

    def household_devices(self, household: str) -> list[str]:
        """Return the ids of a household's devices, their second meters among them, in order."""

    # live state

    def live(self, device_id: str) -> Live | None:
        """Return the newest reading of a device, or None."""

    def put_live(self, states: Iterable[Live]) -> None:
        """Merge live states (`live.merged_live`), one a device, into the stored ones. It keeps its own `arrivals`."""

    def drop_live(self, device_id: str) -> None:
        """Delete the live state of a device; the next reading makes a new one."""

    @property
    def derives_live(self) -> bool:
        """Whether a device's newer readings show in `live` once they are stored, if it had a live state before."""

    def newest_at(self, device_id: str) -> int:
        """Return the instant of a device's live state, UTC seconds; 0 without one."""

    def lives(self, after: str = "", limit: int = 1000) -> Sequence[Live]:
        """Return the live states after the device `after`, in the store's own order; empty at the end."""

    # readings, in blocks of one UTC half hour

    def write_readings(self, blocks: Blocks, now: int) -> Written:
        """Merge readings into their blocks field by field (`readings.merged`). Durable on return."""

    def readings(self, device_id: str, first: int, last: int) -> list[Reading]:
        """Return the readings of the blocks that start from `first` to `last`, both included, by time."""

    def readings_after(self, device_id: str, at: int) -> list[Reading]:
        """Return the readings later than an instant (UTC seconds), by time."""

    def block_starts(self, device_id: str, at: int, count: int, *, of_readings: bool = False) -> list[int]:
        """Return the starts of `count` blocks with evidence after `at` (`-count` before it), nearest first.

        `of_readings` lets a store leave out the blocks that have intervals only.
        """

    def erase_evidence(self, device_id: str, start: int, end: int) -> None:
        """Delete the readings from `start` to before `end` (UTC seconds) and the intervals that overlap this time.

        Nothing becomes dirty.
        """

    def write_intervals(self, intervals: Iterable[Interval], now: int) -> Written:
        """Merge intervals by span, field by field; a change makes the block dirty in which one starts. Durable."""

    def intervals(self, device_id: str, first: int, last: int) -> list[Interval]:
        """Return the intervals that start in the blocks from `first` to `last`, both included, by start and end."""

    def pack(self, before: int, limit: int) -> int:
        """Pack at most `limit` half hours that ended and were last written before `before`, to save space and reads.

        Readings stay the same. Return the number packed; 0 from a store that packs nothing.
        """

    @property
    def expires_by_itself(self) -> bool:
        """Whether the store deletes expired readings without a sweep."""

    def expire_readings(self, device_id: str, before: int, untouched_since: int) -> int:
        """Delete settled blocks before `before` of evidence that came in before `untouched_since`; return how many."""

    def retention_cutoff(self, device_id: str) -> int:
        """Return the retention cutoff: half hours before it have lost readings (UTC seconds; 0 with all readings)."""

    def put_retention_cutoff(self, device_id: str, at: int) -> None:
        """Advance the retention cutoff to `at`; it never moves back."""

    # documents

    def document(self, level: str, device_id: str, period: str, names: Names = None) -> Document | None:
        """Return a document, or None; with `names` only these of its parts."""

    def documents(self, level: str, device_id: str, first: str, last: str) -> list[Document]:
        """Return the existing documents from the period `first` to `last`, both included, in order.

        Do not call it in a step: a step does not repeat when one of these documents changes.
        """

    def extent(self, level: str, device_id: str) -> tuple[str, str] | None:
        """Return the first and the last period with a document, or None."""

    def periods(self, level: str, device_id: str) -> list[str]:
        """Return all periods with a document, in order."""

    def merge_parts(
        self,
        level: str,
        device_id: str,
        period: str,
        timezone: str,
        parts: Mapping[str, Part | None],
        currency: str = "",
    ) -> bool:
        """Replace the named parts of a document (None removes a part). Return whether the document changed."""

    def drop_documents(self, level: str, device_id: str, first: str, last: str) -> None:
        """Delete the documents of the periods from `first` to `last`, both included, also damaged ones."""

    # half-hourly prices

    def prices(self, device_id: str, first: int, last: int) -> Series:
        """Return the prices of the UTC half hours that start from `first` to `last`, both included."""

    def put_prices(self, device_id: str, series: Series) -> None:
        """Add prices, or replace the prices of the same half hours."""

    def drop_prices(self, device_id: str, start: int, end: int) -> None:
        """Delete the prices of the half hours that start from `start` to before `end` (UTC seconds)."""

    # records: small texts on named collections

    def record(self, collection: str, key: str) -> str | None:
        """Return the current body of a record; None for a missing or expired one.

        DAMAGED for one that differs from its check value: it is there, is logged once, and tells nothing.
        """

    def records(
        self,
        collection: str,
        first: str = "",
        last: str = LAST_KEY,
        limit: int = 1000,
        *,
        newest_first: bool = False,
        with_damaged: bool = False,
    ) -> list[Record]:
        """Return the records from one key to another, both included, in order of key (code points) or backwards.

        Damaged ones are logged once and left out; `with_damaged` includes their keys, with the body DAMAGED.
        """

    def damaged_records(self) -> Iterator[str]:
        """Yield one line for each record that differs from its check value, and an empty line now and then."""

    def put_record(
        self, collection: str, key: str, body: str, was: Was = ANYTHING, expires: int = 0, *, is_patient: bool = True
    ) -> bool:
        """Write a record if the stored body equals `was` (None: no record, or an expired one); else return False.

        Of several concurrent writers with the same `was`, one wins. Without `is_patient` it raises StoreAway at once
        where another writes. The record expires at `expires` (UTC seconds; 0: never).

        Durable on return. Inside a transaction, SQLite writes the record with the transaction. DynamoDB writes it at
        once: the record lasts when the transaction fails, and a repeated step loses against its own first write.
        Therefore compare and set outside of transactions only; inside, write only records that may be written twice.

        Raises ConfigurationError for a collection, key or body that is too long, see `check_record`.
        """

    def drop_record(self, collection: str, key: str) -> None:
        """Delete a record, if it exists."""

    def expire_records(self, now: int) -> int:
        """Delete the records that have expired at `now`, unless the store expires them itself. Return their number."""

    def scrub(self) -> Iterator[None]:
        """Overwrite what deleted rows have left in a file, with pauses while others are in the way.

        Raises StoreAway where they are for long, StoreUnusable without room on the disk. DynamoDB leaves nothing.
        """

    # change feed

    def check(self) -> None:
        """Raise StoreReplaced where this is not the store any more that was opened."""

    def follow(self) -> None:
        """Read the changes of all processes from now on. Without it, `changes` has at least those of this process."""

    def mark(self, table: str, device_id: str, keys: Iterable[str]) -> None:
        """Mark keys as dirty without a write."""

    def changes(self, table: str, limit: int, until: int = FOR_EVER, devices: Collection[str] = ()) -> list[Change]:
        """Return the oldest change records of a table that are due at `until` (UTC seconds), and those of `devices`.

        A change of evidence is due at once, on SQLite that of a document when its period ends (`pricing.current`).
        """

    def settle(self, changes: Iterable[Change]) -> None:
        """Delete propagated change records, in the transaction that reads their keys; later writes mark a key again."""

    def quarantine(self, table: str, device_id: str, keys: Iterable[str], reason: str) -> None:
        """Record dirty keys that cannot be propagated, with the reason, so that other keys go on."""

    def quarantined(self, device_id: str) -> list[str]:
        """Return the quarantined keys of a device, one line per key."""

    def clear_quarantine(self, device_id: str, keys: Collection[tuple[str, str]] | None = None) -> None:
        """Delete the quarantined keys of a device; with `keys` only these, each a table and a key."""

    def backlog(self, table: str = "") -> Backlog:
        """Return the dirty keys that are due, of a table or of all."""


def feeds() -> tuple[str, ...]:
    """Return the feeds: readings and each level below another."""
    return (READINGS, *feed_levels())


def is_feed(level: str) -> bool:
    """Whether another level is made from this one."""
    return level in feed_levels()
