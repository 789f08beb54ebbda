"""The store on DynamoDB: the port with conditional writes and optimistic steps in place of transactions.

`items` documents the tables, `concurrent_steps` the steps, `streams` the worker's change feed, `dynamodb_registry`
devices and records, `dynamo_client` the calls. A store that has written nothing reads with eventual consistency, at
half a read unit; after its first write it reads consistently and so sees its own writes.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import partial
from itertools import islice

from aggregator.core.documents import Document, Names, Part
from aggregator.core.errors import StoreAway
from aggregator.core.periods import DAY_S, FOR_EVER, RETENTION_DAYS, block_start, window
from aggregator.core.readings import LONGEST_INTERVAL_S, Interval, Reading, merged
from aggregator.store.dynamodb import document_items, items
from aggregator.store.dynamodb.checkpoints import Feed, OwnFeed, Quarantine
from aggregator.store.dynamodb.concurrent_steps import TRIES, Get, Stale
from aggregator.store.dynamodb.device_index import unpack_cutoff
from aggregator.store.dynamodb.document_items import merge_request
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient, ConditionFailed, DynamoClient, write_items
from aggregator.store.dynamodb.dynamodb_registry import DynamoRegistry
from aggregator.store.dynamodb.read_view import erase_blocks, erase_names, intact, write_block
from aggregator.store.dynamodb.streams import Follower
from aggregator.store.dynamodb.tables import read_url
from aggregator.store.layers import OWN, Evidence
from aggregator.store.port import Backlog, Blocks, Change, Written, is_feed


def open_dynamodb(url: str) -> "DynamoStore":
    """Open the store of a URL, see `tables.Address`. Raises ConfigurationError."""
    address = read_url(url)
    return DynamoStore(AwsDynamoClient(address.region), address.prefix, address.retention_days, address.pace_s)


class DynamoStore(DynamoRegistry):
    """The port on DynamoDB tables named `PREFIX-...`."""

    def __init__(
        self,
        client: DynamoClient,
        prefix: str,
        retention_days: int = RETENTION_DAYS,
        pace_s: int = 300,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`pace_s` is the worker's step for months and years in seconds; a long one saves most of their writes."""
        super().__init__(client, prefix, clock)
        self._retention_days, self._pace_s = retention_days, pace_s
        self._feed: Feed = OwnFeed(clock)
        self._quarantine = Quarantine(client, f"{prefix}-checkpoints")

    def close(self) -> None:
        """Release leases and close connections."""
        self._feed.close()
        self._steps.close()

    def now(self) -> int:
        """Return the store's clock, UTC seconds."""
        return int(self._clock())

    def check(self) -> None:
        """Do nothing: a missing table is an error of its own."""

    def follow(self) -> None:
        """Use the tables' streams as change feed from now on; they hold the changes of all writers."""
        if not isinstance(self._feed, Follower):
            self._feed = Follower(self._client, self._prefix, self._pace_s, self._clock)

    @property
    def has_one_writer(self) -> bool:
        """False: writers work side by side."""
        return False

    def transaction(self) -> AbstractContextManager[None]:
        """Run the steps inside side by side and wait for all of them."""
        return self._steps.transaction()

    def step(self, work: Callable[[], object]) -> None:
        """Run `work`; repeat it when its inputs changed. Within a transaction it runs beside other steps."""
        self._steps.run(work)

    # Evidence

    def write_readings(self, blocks: Blocks, now: int) -> Written:
        """Merge readings into their blocks, many blocks at once; durable on return."""
        evidence = {
            (device_id, start): {items.reading_name(at - start): readings[at] for at in sorted(readings)}
            for (device_id, start), readings in sorted(blocks.items())
        }
        return self._write_evidence(evidence, now)

    def write_intervals(self, intervals: Iterable[Interval], now: int) -> Written:
        """Merge intervals into the blocks in which they start, many blocks at once; durable on return."""
        return self.write_layer(OWN, intervals, now)

    def write_layer(self, layer: int, evidence: Iterable[Evidence], now: int) -> Written:
        """Merge evidence into a layer of its device, many blocks at once; durable on return."""
        blocks: dict[tuple[str, int], dict[str, Reading]] = defaultdict(dict)
        repeated, prefix = 0, items.layer_prefix(layer)
        for one in evidence:
            start = block_start(one[1])
            if isinstance(one, Interval):
                name, new = prefix + items.interval_name(one), items.as_reading(one)
            else:
                name, new = prefix + items.reading_name(one.at - start), one
            block = blocks[one.device_id, start]
            repeated += name in block
            block[name] = merged(block[name], new) if name in block else new
        written = self._write_evidence(blocks, now)
        return Written(written.accepted, written.unchanged + repeated)

    def layer_starts(self, device_id: str, layer: int, first: int, last: int, limit: int) -> list[int]:
        """Return the first `limit` starts, from `first` to `last`, of the blocks that have evidence of a layer."""
        prefix, blocks = items.layer_prefix(layer), self._view.blocks(device_id, first, last)
        found = (int(item["b"]["N"]) for item in blocks if any(name.startswith(prefix) for name in item))
        return list(islice(found, limit))

    def drop_layer(self, device_id: str, layer: int, starts: Sequence[int]) -> None:
        """Delete the evidence of a layer in blocks, many at once; what else they have stays until it expires."""
        self._view.is_consistent = True
        jobs = [(device_id, start, items.layer_prefix(layer)) for start in starts]
        self._steps.side_by_side(self._drop_from_block, jobs)

    def _drop_from_block(self, device_id: str, start: int, prefix: str) -> None:
        key = items.block_key(device_id, start)
        for item in self._reader.span(device_id, start, start, is_consistent=True):
            names = [name for name in item if name.startswith(prefix)]
            erase_names(self._client, f"{self._prefix}-readings", key, names)
            self._feed.add("readings", device_id, str(start))

    def _write_evidence(self, evidence: Mapping[tuple[str, int], Mapping[str, Reading]], now: int) -> Written:
        self._view.is_consistent = True
        expires = items.expiry(now, self._retention_days)
        jobs = [(*block, readings, expires) for block, readings in evidence.items()]
        accepted = sum(self._steps.side_by_side(self._write_block, jobs))
        return Written(accepted, sum(map(len, evidence.values())) - accepted)

    def _write_block(self, device_id: str, start: int, readings: Mapping[str, Reading], expires: int) -> int:
        key = items.block_key(device_id, start)
        accepted = write_block(self._client, f"{self._prefix}-readings", key, readings, expires)
        if accepted:
            self._feed.add("readings", device_id, str(start))
        return accepted

    def erase_evidence(self, device_id: str, start: int, end: int) -> None:
        """Delete the readings from `start` to before `end`, and the intervals that overlap this time."""
        self._view.is_consistent = True
        blocks = self._reader.span(device_id, block_start(start - LONGEST_INTERVAL_S), end - 1, is_consistent=True)
        erase_blocks(self._client, f"{self._prefix}-readings", list(blocks), start, end)

    def readings(self, device_id: str, first: int, last: int) -> list[Reading]:
        """Return the readings of the blocks that start from `first` to `last`, by time."""
        blocks = self._view.blocks(device_id, first, last)
        return [reading for item in blocks for reading in intact(items.unpack_block, item)]

    def layer_readings(self, device_id: str, first: int, last: int, layer: int = OWN) -> list[Reading]:
        """Return the readings of a layer in these blocks, by time."""
        unpack, blocks = partial(items.unpack_layer, layer), self._view.blocks(device_id, first, last)
        return [one for item in blocks for one in intact(unpack, item)]

    def readings_after(self, device_id: str, at: int) -> list[Reading]:
        """Return the readings later than an instant, by time."""
        return [one for one in self.readings(device_id, block_start(at), FOR_EVER) if one.at > at]

    def intervals(self, device_id: str, first: int, last: int) -> list[Interval]:
        """Return the intervals that start in the blocks from `first` to `last`, by start and end."""
        blocks = self._view.blocks(device_id, first, last)
        return [interval for item in blocks for interval in intact(items.unpack_intervals, item)]

    def block_starts(self, device_id: str, at: int, count: int, *, of_readings: bool = False) -> list[int]:  # noqa: ARG002 - the port's
        """Return the starts of `count` blocks with evidence after `at` (`-count` before it), nearest first."""
        return self._view.starts(device_id, at, count)

    def pack(self, before: int, limit: int) -> int:  # noqa: ARG002 - the port's
        """Do nothing: a half hour is one item from the beginning."""
        return 0

    @property
    def expires_by_itself(self) -> bool:
        """DynamoDB deletes expired readings itself, see `items.expiry`."""
        return True

    def expire_readings(self, device_id: str, before: int, untouched_since: int) -> int:  # noqa: ARG002 - the port's
        """Do nothing: DynamoDB deletes them itself."""
        return 0

    def retention_cutoff(self, device_id: str) -> int:
        """Return the instant before which half hours cannot be computed any more."""
        item = self._view.item(Get("devices", device_id))
        return max(intact(unpack_cutoff, item) if item else 0, int(self._clock()) - self._retention_days * DAY_S)

    def put_retention_cutoff(self, device_id: str, at: int) -> None:
        """Advance the retention cutoff to `at`; it never moves back."""
        self._view.is_consistent = True
        with suppress(ConditionFailed):  # it is later already
            self._client.call(
                "update_item",
                TableName=f"{self._prefix}-devices",
                Key={"d": items.text(device_id)},
                UpdateExpression="SET h = :h, kh = :c",
                ConditionExpression="attribute_not_exists(h) OR h < :h",
                ExpressionAttributeValues={":h": items.number(at), ":c": items.check_value(device_id, at)},
            )

    # Documents

    def document(self, level: str, device_id: str, period: str, names: Names = None) -> Document | None:
        """Return one document, or None; with `names` only these of its parts."""
        item = self._view.item(Get(items.table_of(level), device_id, period))
        found = intact(partial(document_items.unpack_document, level), item) if item else None
        if found and names is not None:
            found = replace(found, parts={name: found.parts[name] for name in names if name in found.parts})
        return found

    def documents(self, level: str, device_id: str, first: str, last: str) -> list[Document]:
        """Return the existing documents of the periods from `first` to `last`, both included, in order."""
        if first > last:  # DynamoDB refuses such a condition
            return []
        is_consistent = self._view.is_consistent
        found = self._reader.between(items.table_of(level), device_id, first, last, is_consistent=is_consistent)
        documents = (intact(partial(document_items.unpack_document, level), item) for item in found)
        return [document for document in documents if document]

    def extent(self, level: str, device_id: str) -> tuple[str, str] | None:
        """Return the first and the last period with a document, or None."""
        ends = [
            period
            for is_onwards in (True, False)
            for period in self._reader.periods(
                items.table_of(level), device_id, is_consistent=self._view.is_consistent, is_onwards=is_onwards, limit=1
            )
        ]
        return (ends[0], ends[1]) if ends else None

    def periods(self, level: str, device_id: str) -> list[str]:
        """Return all periods with a document, in order."""
        return list(self._reader.periods(items.table_of(level), device_id, is_consistent=self._view.is_consistent))

    def merge_parts(
        self,
        level: str,
        device_id: str,
        period: str,
        timezone: str,
        parts: Mapping[str, Part | None],
        currency: str = "",
    ) -> bool:
        """Replace the named parts of a document (None removes one). Return whether anything changed."""
        self._view.is_consistent = True
        read, now = Get(items.table_of(level), device_id, period), int(self._clock())
        is_open = now < window(level, period, timezone).end if is_feed(level) else None
        for _ in range(TRIES):
            request = merge_request(self._view.item(read), timezone, currency, parts, now, is_open=is_open)
            if request is None:
                return False
            operation, arguments = request
            try:
                self._client.call(
                    operation,
                    TableName=f"{self._prefix}-{read.table}",
                    Key=items.document_key(device_id, period),
                    **arguments,
                )
            except ConditionFailed as error:
                if self._steps.step:
                    raise Stale from error
                continue
            if self._steps.step:
                self._steps.step.forget(read)
            if is_feed(level):
                self._feed.add(level, device_id, period)
            return True
        raise StoreAway(f"other writers changed {device_id} {period} {TRIES} times in a row")

    def drop_documents(self, level: str, device_id: str, first: str, last: str) -> None:
        """Delete the documents of the periods from `first` to `last`, both included."""
        self._view.is_consistent = True
        table = items.table_of(level)
        gone = list(self._reader.periods(table, device_id, is_consistent=True))
        keys = {period: items.document_key(device_id, period) for period in gone if first <= period <= last}
        write_items(self._client, f"{self._prefix}-{table}", [{"DeleteRequest": {"Key": key}} for key in keys.values()])
        for period in keys if is_feed(level) else ():
            self._feed.add(level, device_id, period)

    # Change feed

    def mark(self, table: str, device_id: str, keys: Iterable[str]) -> None:
        """Mark keys dirty; they stay in memory until they are settled."""
        for key in keys:
            self._feed.mark(table, device_id, key)

    def changes(self, table: str, limit: int, until: int = FOR_EVER, devices: Collection[str] = ()) -> list[Change]:
        """Return the oldest change records of a table, from the streams or from this process."""
        return self._feed.changes(table, limit, until, devices)

    def settle(self, changes: Iterable[Change]) -> None:
        """Drop propagated change records, after the steps of the transaction have ended."""
        self._steps.join()
        self._feed.settle(changes)

    def quarantine(self, table: str, device_id: str, keys: Iterable[str], reason: str) -> None:
        """Quarantine dirty keys that cannot be propagated, with the reason."""
        self._quarantine.put(table, device_id, keys, reason)

    def quarantined(self, device_id: str) -> list[str]:
        """Return a device's quarantined keys, a line each."""
        return self._quarantine.lines(device_id)

    def clear_quarantine(self, device_id: str, keys: Collection[tuple[str, str]] | None = None) -> None:
        """Clear a device's quarantine, or these of its keys."""
        self._quarantine.clear(device_id, keys)

    def backlog(self, table: str = "") -> Backlog:
        """Return the number and age of dirty keys, of a table or of all."""
        return self._feed.backlog(table)
