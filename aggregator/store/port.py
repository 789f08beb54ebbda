"""The port: all that the waterfall and the dashboard ask of a store.

Every write compares with what is stored; writing the same again leaves no change record. A change record says only
*this key is dirty*; it is consumed at least once. Methods raise StoreAway (try again later) or StoreUnusable (mend it).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum, auto
from typing import Final, NamedTuple, Protocol, TypeVar

from aggregator.core.documents import Device, Document, Live, Part
from aggregator.core.errors import ConfigurationError, shown
from aggregator.core.periods import LEVELS, carried_levels
from aggregator.core.readings import Reading
from aggregator.tariffs.rates import Series

Answer = TypeVar("Answer")

Blocks = Mapping[tuple[str, int], Mapping[int, Reading]]  # (device, start of the UTC half hour) -> instant -> reading
READINGS = "readings"  # the feed of the evidence; the other feeds are those of the levels


class Change(NamedTuple):
    """A dirty key: `table` is readings, prices or a level; `key` is a block's start (as text) or a period."""

    sequence: int
    table: str
    device_id: str
    key: str


class Written(NamedTuple):
    """What became of readings: new or different ones, and ones that were stored already."""

    accepted: int
    unchanged: int


class Backlog(NamedTuple):
    """Dirty keys not yet carried on, and since when the oldest waits (UTC seconds, None when there is none)."""

    waiting: int
    since: int | None


class Record(NamedTuple):
    """A small text on a collection, by its key."""

    key: str
    body: str  # JSON text


class Anything(Enum):
    """What `put_record` replaces when it does not compare."""

    ANYTHING = auto()


ANYTHING: Final = Anything.ANYTHING
LAST_KEY: Final = "\U0010ffff" * 256  # no key of a record comes after it


class Store(Protocol):
    """Documents by key. One read of a chart is one document."""

    def close(self) -> None:
        """Let go of files and connections."""

    def transaction(self) -> AbstractContextManager[None]:
        """What is read and written inside is one step: all of it lasts, or none."""

    def step(self, work: Callable[[], object]) -> None:
        """Run `work`, which reads, and writes what it made of it; again when what it read changed meanwhile.

        Inside a round, steps may run side by side; they have ended when `settle` returns, or the round does.
        """

    def begin(self, read: Callable[[], Answer]) -> Callable[[], Answer]:
        """Begin a read that waits for no other, and return what waits for its answer. Outside of rounds and steps.

        Where each read is a journey, those that have begun travel side by side.
        """

    # registry

    def device(self, device_id: str) -> Device | None:
        """A device, or None."""

    def devices(self, after: str = "", limit: int = 1000) -> Sequence[Device]:
        """Devices in the order of their ids, those after `after`."""

    def put_device(self, device: Device) -> None:
        """Add or replace a device, and what it is found by. Raises ConfigurationError, see `check_labels`."""

    def find_devices(self, text: str, limit: int) -> list[str]:
        """The ids of devices that have each word of `text` at the beginning of something people know them by.

        See `search`: their id, serial number, meter point, household, name or postcode, a word of one of these, or the
        end of the first three. At most `limit`, the whole phrase first; none for fewer than `search.LEAST` characters.
        """

    def household_devices(self, household: str) -> list[str]:
        """The ids of a household's devices, in order."""

    # live state

    def live(self, device_id: str) -> Live | None:
        """The newest reading of a device, or None."""

    def put_live(self, states: Iterable[Live]) -> None:
        """Overwrite live states, each only by a newer instant. One state a device.

        The store keeps `arrivals` itself: the overwritten state becomes the last of them. `arrivals` of `states` are
        ignored.
        """

    def lives(self, after: str = "", limit: int = 1000) -> Sequence[Live]:
        """Live states in an order of the store's own, those after the device `after`; empty at the end."""

    # readings, in blocks of one UTC half hour

    def write_readings(self, blocks: Blocks, now: int) -> Written:
        """Merge readings into their blocks; a different reading of the same instant is replaced. Durable on return."""

    def readings(self, device_id: str, first: int, last: int) -> list[Reading]:
        """The readings of the blocks that start from `first` to `last`, both included, by time."""

    def block_starts(self, device_id: str, at: int, count: int) -> list[int]:
        """The starts of `count` blocks with data after `at` (of `-count` before it), nearest first."""

    @property
    def expires_by_itself(self) -> bool:
        """Whether readings past their retention go without a sweep."""

    def expire_readings(self, device_id: str, before: int, untouched_since: int) -> int:
        """Remove settled blocks that start before `before` and were last written before `untouched_since`.

        Returns how many were removed.
        """

    def retention_cutoff(self, device_id: str) -> int:
        """Before this instant a half hour cannot be computed any more (UTC seconds; 0 when all readings are there)."""

    def put_retention_cutoff(self, device_id: str, at: int) -> None:
        """Move the retention_cutoff on to `at`; it never moves back."""

    # documents

    def document(self, level: str, device_id: str, period: str) -> Document | None:
        """One chart, or None."""

    def documents(self, level: str, device_id: str, first: str, last: str) -> list[Document]:
        """The charts of the periods from `first` to `last`, both included, in order; those that exist.

        For reading only: a step is not run again when one of them changes meanwhile.
        """

    def extent(self, level: str, device_id: str) -> tuple[str, str] | None:
        """The first and the last period with a document, or None."""

    def periods(self, level: str, device_id: str) -> list[str]:
        """All periods with a document, in order."""

    def merge_parts(
        self,
        level: str,
        device_id: str,
        period: str,
        timezone: str,
        parts: Mapping[str, Part | None],
        currency: str = "",
    ) -> bool:
        """Replace the named parts of a document (None removes one). True when that changed anything."""

    # half-hourly prices

    def prices(self, device_id: str, first: int, last: int) -> Series:
        """The prices of the UTC half hours that start from `first` to `last`, both included."""

    def put_prices(self, device_id: str, series: Series) -> None:
        """Add prices, or replace those of the same half hours."""

    # records: small texts on named collections

    def record(self, collection: str, key: str) -> str | None:
        """The body of a record as it is now, or None where there is none, or it has expired."""

    def records(
        self, collection: str, first: str = "", last: str = LAST_KEY, limit: int = 1000, newest_first: bool = False
    ) -> list[Record]:
        """The records from one key to another, both included, in order of key (of code points), or backwards."""

    def put_record(
        self, collection: str, key: str, body: str, was: str | Anything | None = ANYTHING, expires: int = 0
    ) -> bool:
        """Write a record if what is stored is `was` (None: nothing, or what has expired); False when it is not.

        Of several that compare with the same, one wins. It is gone from `expires` on (UTC seconds; 0 is never).

        Durable on return; inside a round, on SQLite with the round, whole or not at all. On DynamoDB a round holds no
        record back: it lasts and others see it at once, also where the round fails after it, and a step that is run
        again writes again, so that a comparison it has already won is lost to itself. So compare and set outside of
        rounds; inside, only write what may be written twice.

        Raises ConfigurationError for a collection, key or body that is too long, see `check_record`.
        """

    def drop_record(self, collection: str, key: str) -> None:
        """Remove a record, if it is there."""

    def expire_records(self, now: int) -> int:
        """Remove the records that have expired at `now`, where they do not go by themselves. Returns how many."""

    # change feed

    def follow(self) -> None:
        """From now on the change feed brings what any process changed; without it, at least what this one did."""

    def mark(self, table: str, device_id: str, keys: Iterable[str]) -> None:
        """Make keys dirty by hand."""

    def changes(self, table: str, limit: int) -> list[Change]:
        """The oldest change records of a table."""

    def settle(self, changes: Iterable[Change]) -> None:
        """Drop change records that have been carried on; a key that became dirty again meanwhile stays."""

    def quarantine(self, table: str, device_id: str, keys: Iterable[str], reason: str) -> None:
        """Keep dirty keys that cannot be carried on, with the reason, out of the way of the others."""

    def aside(self, device_id: str) -> list[str]:
        """What was put aside of a device, a line each."""

    def clear_aside(self, device_id: str) -> None:
        """Forget what was put aside of a device: it has been computed again."""

    def backlog(self) -> Backlog:
        """How much is waiting."""


def carried() -> tuple[str, ...]:
    """The feeds from which documents are made, so that each write leaves a change record; see `Change.table`."""
    return (READINGS, *carried_levels())


def is_carried(level: str) -> bool:
    """Whether another level is made from this one."""
    return any(row.child == level for row in LEVELS.values())


def all_devices(store: Store) -> Iterator[Device]:
    """Every device of a store, in the order of their ids, a page at a time."""
    after = ""
    while page := store.devices(after):
        yield from page
        after = page[-1].device_id


MAX_SHELF, MAX_KEY, MAX_BODY = 256, 1024, 300_000  # bytes in UTF-8; as much as DynamoDB takes, and less
INDEX = "find "  # collections that begin so are the search's own


def check_record(collection: str, key: str, body: str = "") -> None:
    """Raise ConfigurationError for what cannot be kept on a collection."""
    for what, text, most in (("collection", collection, MAX_SHELF), ("key", key, MAX_KEY), ("body", body, MAX_BODY)):
        if not _fits(text, most):
            raise ConfigurationError(f"the {what} of a record is {shown(text)}, not text of up to {most} bytes")
    if not collection or not key or collection.startswith(INDEX):
        raise ConfigurationError(f"{shown(key)} on the collection {shown(collection)} is no place for a record")


def check_range(collection: str, first: str, last: str) -> None:
    """Raise ConfigurationError for a range of keys that cannot be asked for; its ends may be empty."""
    for key in (first, last):
        check_record(collection, key or LAST_KEY)


def _fits(text: str, most: int) -> bool:
    try:
        return len(text) <= most and len(text.encode()) <= most
    except UnicodeEncodeError:  # a lone surrogate
        return False
