"""The change feed of a worker: a follower of the tables' DynamoDB streams.

A stream is a forest of shards. A shard is read from its checkpoint once its parent is finished; a closed shard is read
to its end and marked finished. Records become coalesced dirty keys. After all of them are propagated, and not before,
the position goes into the table `checkpoints`.

A worker reads the shards that it has leased; a second worker waits until the lease expires. Records live for 24 hours:
after a longer absence, or where the position was trimmed, every key of the table becomes dirty, a page at a time,
before the position advances. Order and repetition of records do not matter: a record only names a dirty key. Calls
raise StoreAway and StoreUnusable.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from aggregator.core.periods import FOR_EVER
from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.checkpoints import LEASE_S, Dirty, Leases
from aggregator.store.dynamodb.dynamo_client import DynamoClient, IteratorExpired, RecordsTrimmed
from aggregator.store.dynamodb.items import Item, range_key, table_of
from aggregator.store.port import READINGS, Backlog, Change, feeds

SAVE_S = 30  # between checkpoints of a shard; after a kill, later records are read again
DESCRIBE_S = 30  # between searches for new shards
SEEN_S = 600  # between notes that the stream is followed
TRIMMED_S = 23 * 3600  # after this absence records may be gone (they expire after 24 hours)
POLL_S = 1.0  # between reads of the readings' stream
PAGES = 20  # of up to 1,000 records, read from a shard at once
EMPTY_PAGES = 30  # in a row end the reading of a stream that is seldom read; before that, records may follow
MOST_KEYS = 100_000  # read at once from all shards; the others wait
SCAN_PAGE = 1000  # keys made dirty at once where records are gone
log = logging.getLogger("wattfall.streams")


@dataclass(slots=True)
class Shard:
    """A shard and its read position."""

    shard_id: str
    parent: str | None
    is_ours: bool = False
    lease_until: float = 0.0
    look_again: float = 0.0  # when to request the lease of another worker's shard
    iterator: str | None = None
    position: str | None = None  # the last sequence number read
    saved: str | None = None  # the last sequence number in the checkpoint
    saved_at: float = 0.0
    is_drained: bool = False  # closed and read to its end
    is_finished: bool = False  # and fully propagated


class Stream:
    """One table's stream: its shards and the dirty keys of its records."""

    def __init__(
        self,
        client: DynamoClient,
        prefix: str,
        level: str,
        leases: Leases,
        clock: Callable[[], float],
        empty_pages: int = 1,
    ) -> None:
        self._client, self._prefix, self._clock = client, prefix, clock
        self._leases, self._table, self._empty_pages = leases, table_of(level), empty_pages
        self._arn = ""
        self._shards: dict[str, Shard] = {}
        self._describe_at = self._note_at = 0.0
        self._scan: dict[str, Any] | None = None  # position of the scan over all keys after records were trimmed

    def poll(self) -> Iterator[tuple[str, str, int]]:
        """Yield the dirty keys of new records: device, key, time of change (UTC seconds)."""
        now = self._clock()
        if now >= self._describe_at:
            self._describe()
        count = 0
        for shard in list(self._shards.values()):
            if count < MOST_KEYS and self._is_next(shard) and self._is_ours(shard):
                self._shards[shard.shard_id] = self._shards.pop(shard.shard_id)  # the others come first next time
                for key in self._read(shard):
                    count += 1
                    yield key
        if self._scan is not None:
            yield from self._scanned()

    def renew(self) -> None:
        """Renew this worker's leases."""
        for shard in self._shards.values():
            if shard.is_ours and not shard.is_finished:
                self._is_ours(shard)

    def save(self, *, is_last: bool = False) -> None:
        """Save the positions after everything read is propagated: at once where needed, else every SAVE_S."""
        if self._scan is not None:
            return
        now = self._clock()
        for shard in self._shards.values():
            is_new = shard.position != shard.saved and (is_last or now >= shard.saved_at + SAVE_S)
            if shard.is_ours and (is_new or (shard.is_drained and not shard.is_finished)):
                self._save(shard, now)
        if now >= self._note_at and self._arn and any(shard.is_ours for shard in self._shards.values()):
            self._leases.note(self._table, self._arn)
            self._note_at = now + SEEN_S

    @property
    def is_behind(self) -> bool:
        """Whether more records wait than the last poll returned."""
        return self._scan is not None

    def release(self) -> None:
        """Release the shards to other workers."""
        for shard in self._shards.values():
            if shard.is_ours and not shard.is_finished:
                self._leases.release(self._name(shard.shard_id))
                shard.is_ours = False

    def _save(self, shard: Shard, now: float) -> None:
        shard.is_ours = self._leases.save(self._name(shard.shard_id), shard.position, is_finished=shard.is_drained)
        if not shard.is_ours:
            log.warning("another worker has taken over %s of %s", shard.shard_id, self._table)
            return
        shard.saved, shard.saved_at, shard.lease_until = shard.position, now, now + LEASE_S
        shard.is_finished = shard.is_drained
        if shard.is_finished:
            self._describe_at = 0.0  # read its children next

    def _name(self, shard_id: str) -> str:
        return f"{self._table}/{self._arn.rsplit('/', 1)[-1]}/{shard_id}"

    def _is_next(self, shard: Shard) -> bool:
        """Whether the shard is unread to its end and its parent is finished or gone."""
        parent = self._shards.get(shard.parent or "")
        return not shard.is_drained and (parent is None or parent.is_finished)

    def _is_ours(self, shard: Shard) -> bool:
        now = self._clock()
        if shard.is_ours and now < shard.lease_until - LEASE_S / 2:
            return True
        if not shard.is_ours and now < shard.look_again:
            return False
        checkpoint = self._leases.take(self._name(shard.shard_id))
        shard.look_again = now + LEASE_S / 4
        if checkpoint is None:
            shard.is_ours = False
            return False
        if not shard.is_ours:
            self._start(shard, checkpoint)
        shard.lease_until = now + LEASE_S
        return not shard.is_finished

    def _start(self, shard: Shard, checkpoint: Item) -> None:
        """Start reading at the checkpoint of any worker."""
        shard.is_ours, shard.iterator, shard.saved_at = True, None, self._clock()
        shard.position = shard.saved = checkpoint["q"]["S"] if "q" in checkpoint else None
        shard.is_drained = shard.is_finished = "e" in checkpoint
        if shard.is_finished:
            self._leases.release(self._name(shard.shard_id))

    # Shards

    def _describe(self) -> None:
        """Find new shards and drop expired ones."""
        table = self._client.call("describe_table", TableName=f"{self._prefix}-{self._table}")["Table"]
        arn = table["LatestStreamArn"]
        if arn != self._arn:
            self._check_absence(arn, table["CreationDateTime"].timestamp())
            self._arn, self._shards = arn, {}
        found = {shard["ShardId"]: shard for shard in self._described()}
        for shard_id in [shard_id for shard_id in self._shards if shard_id not in found]:
            gone = self._shards.pop(shard_id)
            if gone.is_ours and not gone.is_finished:
                self._trimmed(gone)
            self._leases.forget(self._name(shard_id))
        for shard_id, shard in found.items():
            self._shards.setdefault(shard_id, Shard(shard_id, shard.get("ParentShardId")))
        self._describe_at = self._clock() + DESCRIBE_S

    def _described(self) -> Iterator[dict[str, Any]]:
        request: dict[str, Any] = {"StreamArn": self._arn}
        while True:
            description = self._client.call("describe_stream", **request)["StreamDescription"]
            yield from description["Shards"]
            if "LastEvaluatedShardId" not in description:
                return
            request["ExclusiveStartShardId"] = description["LastEvaluatedShardId"]

    def _check_absence(self, arn: str, created: float) -> None:
        """Scan all keys if unread records may be gone."""
        note = self._leases.seen(self._table)
        since = int(note["t"]["N"]) if note else created
        if (note and note["a"]["S"] != arn) or self._clock() - since > TRIMMED_S:
            self._trimmed(None)

    def _trimmed(self, shard: Shard | None) -> None:
        log.warning(
            "%s: change records expired before they were read (%s); recomputing everything from this table",
            self._table,
            shard.shard_id if shard else "no worker followed them for a day",
        )
        self._scan = {}

    # Records

    def _read(self, shard: Shard) -> Iterator[tuple[str, str, int]]:
        empty = 0
        for _ in range(PAGES + self._empty_pages):
            answer = self._page(shard)
            for record in answer["Records"]:
                key = items.changed_key(self._table, record)
                if key:
                    yield *key, int(record["dynamodb"]["ApproximateCreationDateTime"].timestamp())
            if answer["Records"]:
                shard.position = answer["Records"][-1]["dynamodb"]["SequenceNumber"]
            shard.iterator = answer.get("NextShardIterator")
            shard.is_drained = shard.iterator is None
            empty = 0 if answer["Records"] else empty + 1
            if shard.is_drained or empty == self._empty_pages:
                return

    def _page(self, shard: Shard) -> dict[str, Any]:
        """Return the next records; request an expired iterator again at the same position."""
        while True:
            try:
                shard.iterator = shard.iterator or self._iterator(shard)
                return self._client.call("get_records", ShardIterator=shard.iterator)
            except IteratorExpired:
                shard.iterator = None
            except RecordsTrimmed:
                self._trimmed(shard)
                shard.iterator = shard.position = None

    def _iterator(self, shard: Shard) -> str:
        place = (
            {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": shard.position}
            if shard.position
            else {"ShardIteratorType": "TRIM_HORIZON"}
        )
        answer = self._client.call("get_shard_iterator", StreamArn=self._arn, ShardId=shard.shard_id, **place)
        iterator: str = answer["ShardIterator"]
        return iterator

    def _scanned(self) -> Iterator[tuple[str, str, int]]:
        """Yield the next page of the scan over all keys of the table."""
        key_name = range_key(self._table)
        answer = self._client.call(
            "scan",
            TableName=f"{self._prefix}-{self._table}",
            ProjectionExpression=f"d, {key_name}",
            Limit=SCAN_PAGE,
            **self._scan or {},
        )
        last = answer.get("LastEvaluatedKey")
        self._scan = {"ExclusiveStartKey": last} if last else None
        for item in answer["Items"]:
            (key,) = item[key_name].values()
            yield item["d"]["S"], key, int(self._clock())


class Follower:
    """The feed of all levels, from the streams of their tables."""

    def __init__(self, client: DynamoClient, prefix: str, pace_s: float, clock: Callable[[], float]) -> None:
        """`pace_s` is the interval of the steps above the days, in seconds. Makes no call yet."""
        self._clock = clock
        leases = Leases(client, f"{prefix}-checkpoints", clock, token_hex(8))
        self._every = dict.fromkeys(feeds(), pace_s) | {READINGS: min(POLL_S, pace_s)}
        self._streams = {
            level: Stream(client, prefix, level, leases, clock, 1 if every <= POLL_S else EMPTY_PAGES)
            for level, every in self._every.items()
        }
        self._due = dict.fromkeys(self._streams, 0.0)
        self._dirty = Dirty(clock)

    def add(self, table: str, device_id: str, key: str) -> None:
        """Do nothing: the stream returns this process's writes."""

    def mark(self, table: str, device_id: str, key: str) -> None:
        """Mark a key dirty."""
        self._dirty.add(table, device_id, key)

    def changes(self, table: str, limit: int, until: int = FOR_EVER, devices: Collection[str] = ()) -> list[Change]:
        """Return dirty keys: the rest of the last poll of the stream, or else those of a new poll, when due."""
        stream = self._streams.get(table)
        if stream:
            stream.renew()
        if stream and self._dirty.is_empty(table) and self._clock() >= self._due[table]:
            for device_id, key, since in stream.poll():
                self._dirty.add(table, device_id, key, since)
            self._save(table)
        return self._dirty.changes(table, limit, until, devices)

    def settle(self, changes: Iterable[Change]) -> None:
        """Settle propagated keys."""
        settled = list(changes)
        self._dirty.settle(settled)
        for table in {change.table for change in settled}:
            self._save(table)

    def _save(self, table: str) -> None:
        """Save a stream's position once its keys are settled, and schedule the next poll."""
        if table in self._streams and self._dirty.is_empty(table):
            stream = self._streams[table]
            stream.save()
            self._due[table] = 0.0 if stream.is_behind else self._clock() + self._every[table]

    def backlog(self, table: str = "") -> Backlog:
        """Return the number and age of dirty keys read so far, of a table or of all."""
        return self._dirty.backlog(table)

    def close(self) -> None:
        """Save positions and release the shards to other workers."""
        for table, stream in self._streams.items():
            if self._dirty.is_empty(table):
                stream.save(is_last=True)
            stream.release()
