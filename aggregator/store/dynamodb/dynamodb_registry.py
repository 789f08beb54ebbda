"""The DynamoDB store's registry: devices, search terms, live states and records (see `live_and_records`)."""

import logging
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any

from aggregator.core.documents import Device
from aggregator.core.errors import Damaged, StoreAway
from aggregator.core.live import Live, merged_live
from aggregator.core.readings import sender_of
from aggregator.store import search
from aggregator.store.dynamodb import document_items, items
from aggregator.store.dynamodb.concurrent_steps import TRIES, ConcurrentSteps, Get
from aggregator.store.dynamodb.device_index import Index, unpack_device
from aggregator.store.dynamodb.dynamo_client import CONNECTIONS, TELL, ConditionFailed, DynamoClient
from aggregator.store.dynamodb.items import Item
from aggregator.store.dynamodb.live_and_records import (
    Records,
    is_search_term,
    live_replacement,
    live_update,
    record_fault,
    unpack_live,
)
from aggregator.store.dynamodb.read_view import Reader, ReadView, erase_names, intact, unpacked
from aggregator.store.occupancies import at_home
from aggregator.store.port import Answer, LeaveOut, name_once
from aggregator.store.stored_records import ANYTHING, LAST_KEY, Record, Was
from aggregator.tariffs.rates import Series

log = logging.getLogger("wattfall.store")


def _id(device: Device) -> str:
    return device.device_id


class DynamoRegistry:
    """The port's registry, live state and records on DynamoDB tables named `PREFIX-...`."""

    def __init__(self, client: DynamoClient, prefix: str, clock: Callable[[], float]) -> None:
        self._client, self._prefix, self._clock = client, prefix, clock
        self._reader = Reader(client, prefix)
        self._steps = ConcurrentSteps(self._reader.fetch, self._reader.fetch_many, CONNECTIONS)
        self._view = ReadView(self._reader, self._steps)
        self._index = Index(client, prefix, self._reader, self._steps.side_by_side)
        self._records = Records(client, f"{prefix}-records", clock)
        self._listed: list[Device] = []

    def begin(self, read: Callable[[], Answer]) -> Callable[[], Answer]:
        """Start a read in the background. Return a function that waits for its answer."""
        return self._steps.begin(read)

    # registry

    def device(self, device_id: str) -> Device | None:
        """Return a device, or None."""
        stored = self._stored(device_id)
        return at_home(stored, self._stored) if stored else None

    def _stored(self, device_id: str) -> Device | None:
        item = self._view.item(Get("devices", device_id))
        return intact(unpack_device, item) if item and "z" in item else None

    def reading_ahead(self, device_ids: Collection[str]) -> AbstractContextManager[None]:
        """Read devices and their live states at once; within, they are not read again."""
        return self._view.reading_ahead(Get(table, one) for table in ("devices", "live") for one in device_ids)

    def devices(self, after: str = "", limit: int = 1000, leave_out: LeaveOut | None = None) -> Sequence[Device]:
        """Return the devices after the id `after`, by id. One scan serves all following pages."""
        if not after or not self._listed:
            scanned = (item for item in self._reader.scan("devices") if "z" in item)
            stored = list(unpacked(unpack_device, scanned, leave_out))
            by_id = {device.device_id: device for device in stored}
            self._listed = sorted((at_home(one, by_id.get) for one in stored), key=_id)
        first = bisect_right(self._listed, after, key=_id)
        return self._listed[first : first + limit]

    def stored_devices(self, after: str = "", limit: int = 1000, leave_out: LeaveOut | None = None) -> list[Device]:
        """Return the devices after the device `after`, in the table's own order, from one page of it.

        The homes of second meters lie elsewhere in the table, and are read many in one call.
        """
        start = {"d": items.text(after)} if after else None

        def unpack(item: Item) -> Device:
            return at_home(unpack_device(item), self._stored)

        scanned = (item for item in self._reader.scan("devices", start, limit) if "z" in item)
        found = list[Device]()
        while not found and (page := list(islice(scanned, limit))):
            homes = {sender_of(one) for item in page if "~" in (one := item["d"]["S"])}
            with self._view.reading_ahead(Get("devices", home) for home in homes):
                found = list(unpacked(unpack, page, leave_out))
        return found

    def put_device(self, device: Device) -> None:
        """Add or replace a device and its search terms. Reported registers accumulate."""
        self._view.is_consistent = True
        self._index.put(device)
        self._view.forget(Get("devices", device.device_id))

    def find_devices(self, text: str, limit: int) -> list[str]:
        """Return the ids of at most `limit` devices that match a text."""
        is_consistent = self._view.is_consistent
        having = partial(self._index.having, is_consistent=is_consistent)

        def look(candidates: search.Candidates, lookup: search.Lookup) -> list[str]:
            return search.find_devices(text, limit, candidates, having, lookup)

        return self._look_up(look, is_consistent=is_consistent)

    def household_devices(self, household: str) -> list[str]:
        """Return the ids of a household's devices, in order, by consistent reads."""
        return self._look_up(partial(search.household_devices, household), is_consistent=True)

    def _look_up(
        self, look: Callable[[search.Candidates, search.Lookup], list[str]], *, is_consistent: bool
    ) -> list[str]:
        return look(
            partial(self._index.candidates, is_consistent=is_consistent),
            partial(self._index.lookup, is_consistent=is_consistent),
        )

    # live state

    def live(self, device_id: str) -> Live | None:
        """Return the live state of a device, or None."""
        item = self._view.item(Get("live", device_id))
        return intact(unpack_live, item) if item else None

    def lives(self, after: str = "", limit: int = 1000) -> list[Live]:
        """Return the live states after the device `after`, in the table's own order. A damaged one is logged."""
        start = {"d": items.text(after)} if after else None
        return list(islice(unpacked(unpack_live, self._reader.scan("live", start, limit), name_once), limit))

    @property
    def derives_live(self) -> bool:
        """False: a block of readings is a large read."""
        return False

    def newest_at(self, device_id: str) -> int:
        """Return the instant of a device's live state; 0 without one."""
        live = self.live(device_id)
        return live.at if live else 0

    def put_live(self, states: Iterable[Live]) -> None:
        """Merge live states into the stored ones. `states` has one state per device."""
        self._view.is_consistent = True
        self._steps.side_by_side(self._put_live, [(state,) for state in states])

    def _put_live(self, state: Live) -> None:
        """Write a newer state without a read; merge another one into the stored one. Raises StoreAway."""
        request = live_update(state)
        self._view.forget(Get("live", state.device_id))
        for _ in range(TRIES):
            try:
                self._client.call("update_item", TableName=f"{self._prefix}-live", **request, **TELL)
                return
            except ConditionFailed as failed:
                request = live_update(state)
                if not failed.item:  # deleted since it was read
                    continue
                try:
                    known = intact(unpack_live, failed.item)
                except Damaged as error:
                    log.error("the live state of %s begins anew: %s", state.device_id, error)
                    self.drop_live(state.device_id)
                    continue
                both = merged_live(known, state)
                if both == known:
                    return
                request = live_replacement(failed.item, both)
        raise StoreAway(f"other writers changed the live state of {state.device_id} {TRIES} times in a row")

    def drop_live(self, device_id: str) -> None:
        """Delete the live state of a device."""
        self._view.is_consistent = True
        self._client.call("delete_item", TableName=f"{self._prefix}-live", Key={"d": items.text(device_id)})
        self._view.forget(Get("live", device_id))

    def scrub(self) -> Iterator[None]:
        """Do nothing: a deleted item leaves nothing that can be read."""
        return iter(())

    # records

    def record(self, collection: str, key: str) -> str | None:
        """Return the current body of a record; None without one, DAMAGED for a damaged one."""
        return self._records.get(collection, key)

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
        """Return the records from one key to another, both included, in order of key or backwards."""
        return self._records.between(
            collection, first, last, limit, newest_first=newest_first, with_damaged=with_damaged
        )

    def damaged_records(self) -> Iterator[str]:
        """Yield one line for each damaged record, and empty lines between."""
        return (record_fault(item) for item in self._reader.scan("records") if not is_search_term(item))

    def put_record(
        self, collection: str, key: str, body: str, was: Was = ANYTHING, expires: int = 0, *, is_patient: bool = True
    ) -> bool:
        """Write a record if the stored body equals `was`; return whether it was written. Not part of a transaction."""
        del is_patient  # writers do not wait for each other
        return self._records.put(collection, key, body, was, expires)

    def drop_record(self, collection: str, key: str) -> None:
        """Delete a record, if it exists."""
        self._records.drop(collection, key)

    def expire_records(self, now: int) -> int:  # noqa: ARG002 - the port's
        """Return 0: DynamoDB deletes expired records itself."""
        return 0

    # Half-hourly prices

    def prices(self, device_id: str, first: int, last: int) -> Series:
        """Return the prices of the UTC half hours that start from `first` to `last`, both included."""
        span = document_items.span(first, last)
        days = self._reader.between("prices", device_id, *span, is_consistent=self._view.is_consistent)
        imported, exported = dict[int, Decimal](), dict[int, Decimal]()
        for item in days:
            own = intact(partial(document_items.unpack_prices, first=first, last=last), item)
            imported.update(own.import_prices)
            exported.update(own.export_prices)
        return Series(imported, exported)

    def put_prices(self, device_id: str, series: Series) -> None:
        """Add prices, or replace the prices of the same half hours."""
        self._view.is_consistent = True
        jobs = [(device_id, day, request) for day, request in document_items.updates(series)]
        self._steps.side_by_side(self._put_prices, jobs)

    def _put_prices(self, device_id: str, day: str, request: dict[str, Any]) -> None:
        key = items.document_key(device_id, day)
        self._client.call("update_item", TableName=f"{self._prefix}-prices", Key=key, **request)

    def drop_prices(self, device_id: str, start: int, end: int) -> None:
        """Delete the prices of the half hours that start from `start` to before `end`."""
        self._view.is_consistent = True
        days = self._reader.between("prices", device_id, *document_items.span(start, end - 1), is_consistent=True)
        for item in list(days):
            names = document_items.price_names(item, start, end)
            key = items.document_key(device_id, item["p"]["S"])
            erase_names(self._client, f"{self._prefix}-prices", key, names)
            if len(names) == len(item) - len(key):
                self._client.call("delete_item", TableName=f"{self._prefix}-prices", Key=key)
