"""Records of the gaps of a register: what later evidence fills, and what must add up. Pure but for reads and writes.

A gap that is spread over several half hours is recorded as long as it is estimated: its two instants, its two register
values, and what lies inside. A record has a *base*, the gap as it was first seen, and what *remains* of it after the
evidence that came into it. While all of that evidence is kept, the base is filled again from all of it, so that the
order does not matter. Then what remains becomes the base.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from aggregator.core import periods
from aggregator.core.energy import Share
from aggregator.core.periods import HALF_HOUR, Window
from aggregator.core.registers import CHANNELS
from aggregator.store.collections import ESTIMATED_GAPS
from aggregator.store.port import Store

PAGE = 100  # records in one read
FORGET_S = 400 * periods.DAY_S  # a record without a remaining estimate is of no use any longer

Outside = Mapping[int, Share]  # start of a half hour -> its energy and time outside of the gaps in it
NOTHING: Outside = MappingProxyType({})
Seen = Mapping[int, int]  # start of a UTC half hour -> checksum of its evidence; it expires by half hours
NOTHING_SEEN: Seen = MappingProxyType({})


class RetainedGap(NamedTuple):
    """A gap of a register."""

    start: int  # UTC seconds of the last reading before it
    end: int  # UTC seconds of the first reading after it
    start_wh: int
    end_wh: int
    before: tuple[int, ...] = ()  # instants of the readings before its start, which tell the rhythm
    after: tuple[int, ...] = ()  # and after its end
    inside: tuple[tuple[int, int, int], ...] = ()  # intervals within it: start, end, Wh

    @property
    def window(self) -> Window:
        """Return the time of the gap."""
        return Window(self.start, self.end)

    def overlaps(self, start: int, end: int) -> bool:
        """Whether the gap has time in a span."""
        return self.start < end and start < self.end


class GapRecord(NamedTuple):
    """A recorded gap of one channel."""

    channel: str
    base: RetainedGap
    remaining: tuple[RetainedGap, ...]
    since: int = 0  # UTC seconds when evidence first came into the base; 0: not yet
    seen: Seen = NOTHING_SEEN  # the evidence inside the base
    seen_remaining: tuple[Seen, ...] = ()  # and inside each gap that remains
    outside: Outside = NOTHING  # without the base, at both of its ends
    outside_remaining: Outside = NOTHING  # without what remains, at each end

    @classmethod
    def of(cls, channel: str, gap: RetainedGap) -> "GapRecord":
        """Return the record of a gap into which nothing has come."""
        return cls(channel, gap, (gap,))

    @property
    def key(self) -> str:
        """Return the key of the record: channel and end."""
        return _key(self.channel, self.base.end)

    def rebased(self) -> "list[GapRecord]":
        """Return a record for each gap that remains: evidence that came into the base is not all kept any longer."""
        return [
            GapRecord(self.channel, gap, (gap,), 0, seen, (seen,), beside, beside)
            for gap, seen in zip(self.remaining, self.seen_remaining, strict=True)
            for beside in [_at_ends(gap, self.outside_remaining)]
        ]


def _at_ends(gap: RetainedGap, outside: Outside) -> Outside:
    """Return what lies outside in the half hours at the ends of a gap."""
    return {
        at: share for at, share in outside.items() if at <= gap.start < at + HALF_HOUR or at < gap.end <= at + HALF_HOUR
    }


def gap_records(store: Store, device_id: str, span: Window) -> list[GapRecord]:
    """Return the records whose bases overlap a span, by channel and time."""
    found: list[GapRecord] = []
    for channel in CHANNELS:
        after, last = _key(channel, span.start + 1), _key(channel, periods.FOR_EVER)
        while records := store.records(ESTIMATED_GAPS.of(device_id), after, last, PAGE):
            page = [_decoded(channel, orjson.loads(record.body)) for record in records]
            found += [one for one in page if one.base.overlaps(*span)]
            if page[-1].base.start >= span.end or len(records) < PAGE:
                break
            after = records[-1].key + "\0"
    return found


def whole_gaps(store: Store, device_id: str, span: Window) -> Window:
    """Return a span extended to the whole of the recorded gaps that it overlaps."""
    bases = [one.base for one in gap_records(store, device_id, span)]
    return Window(min([span.start, *(one.start for one in bases)]), max([span.end, *(one.end for one in bases)]))


def put_records(store: Store, device_id: str, before: Iterable[GapRecord], records: Iterable[GapRecord]) -> None:
    """Replace records."""
    collection = ESTIMATED_GAPS.of(device_id)
    old, new = ({one.key: one for one in some} for some in (before, records))
    for key in old.keys() - new.keys():
        store.drop_record(collection, key)
    for key, record in sorted(new.items()):
        if record != old.get(key):
            expires = 0 if record.remaining else record.since + FORGET_S
            store.put_record(collection, key, orjson.dumps(_encoded(record)).decode(), expires=expires)


def _key(channel: str, end: int) -> str:
    return f"{channel} {end:012d}"


def _encoded(record: GapRecord) -> list[Any]:
    remaining = [] if record.remaining == (record.base,) else list(map(_encoded_gap, record.remaining))
    outside = [[[at, *share] for at, share in sorted(some.items())] for some in record[6:]]
    seen = [_seen_runs(one) for one in (record.seen, *record.seen_remaining)]
    return [_encoded_gap(record.base), record.since, seen, *outside, remaining]


def _decoded(channel: str, row: list[Any]) -> GapRecord:
    base, since, runs, *beside, gaps = row
    seen, *seen_remaining = map(_decoded_seen, runs)
    outside = [{at: Share(wh, seconds) for at, wh, seconds in some} for some in beside]
    gap = _decoded_gap(base)
    remaining = tuple(map(_decoded_gap, gaps)) or (gap,) * len(seen_remaining)
    return GapRecord(channel, gap, remaining, since, seen, tuple(seen_remaining), *outside)


def _encoded_gap(gap: RetainedGap) -> list[Any]:
    return [*gap[:6], _runs(gap.inside)]


def _decoded_gap(row: list[Any]) -> RetainedGap:
    start, end, start_wh, end_wh, before, after, runs = row
    inside = [
        (at + place * length, at + (place + 1) * length, wh) for at, length, whs in runs for place, wh in enumerate(whs)
    ]
    return RetainedGap(start, end, start_wh, end_wh, tuple(before), tuple(after), tuple(inside))


def _runs(inside: Sequence[tuple[int, int, int]]) -> list[list[Any]]:
    """Return intervals of one length in a row as one: start, length, energies."""
    rows: list[list[Any]] = []
    for start, end, wh in inside:
        if rows and end - start == rows[-1][1] and start == rows[-1][0] + rows[-1][1] * len(rows[-1][2]):
            rows[-1][2].append(wh)
        else:
            rows.append([start, end - start, [wh]])
    return rows


def _seen_runs(seen: Seen) -> list[Any]:
    """Return checksums of half hours in a row as one: start, checksums."""
    rows: list[Any] = []
    for start, checksum in sorted(seen.items()):
        if rows and start == rows[-1][0] + HALF_HOUR * len(rows[-1][1]):
            rows[-1][1].append(checksum)
        else:
            rows.append([start, [checksum]])
    return rows


def _decoded_seen(rows: list[Any]) -> Seen:
    return {start + place * HALF_HOUR: one for start, checksums in rows for place, one in enumerate(checksums)}
