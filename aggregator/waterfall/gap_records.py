"""Records of the gaps of a register: what later evidence fills, and what must add up. Pure but for reads and writes.

A gap that is spread over several half hours is recorded as long as it is estimated: its two instants, its two register
values, and what lies inside. A record has a *base*, the gap as it was first seen, and what *remains* of it after the
evidence that came into it. While all of that evidence is kept, the base is filled again from all of it, so that the
order does not matter. Then what remains becomes the base.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import orjson

from aggregator.core import periods
from aggregator.core.energy import Share
from aggregator.core.errors import Damaged
from aggregator.core.faults import judge
from aggregator.core.periods import HALF_HOUR, Window
from aggregator.core.registers import CHANNELS, ROUNDING_WH, Register, gap_positions, register_at
from aggregator.store.collections import ESTIMATED_GAPS
from aggregator.store.port import Store

PAGE = 100  # records in one read
NEAR_S = 35 * periods.DAY_S  # from a gap to the readings beside it
_parts = msgspec.json.Decoder(list[msgspec.Raw]).decode
FIELDS = 6  # of a stored record; an earlier version wrote a check value behind them
FORGET_S = 400 * periods.DAY_S  # a record without a remaining estimate is of no use any longer

Outside = Mapping[int, Share]  # start of a half hour -> its energy and time outside of the gaps in it
NOTHING: Outside = MappingProxyType({})
Seen = Mapping[int, int]  # start of a UTC half hour -> checksum of its evidence; it expires by half hours
NOTHING_SEEN: Seen = MappingProxyType({})


Points = tuple[tuple[int, int], ...]  # readings: UTC seconds and Wh


class RetainedGap(NamedTuple):
    """A gap of a register."""

    start: int  # UTC seconds of the last reading before it
    end: int  # UTC seconds of the first reading after it
    start_wh: int
    end_wh: int
    before: Points = ()  # the readings before its start, which tell the rhythm and what was measured there
    after: Points = ()  # and after its end
    inside: tuple[tuple[int, int, int], ...] = ()  # intervals within it: start, end, Wh

    @property
    def window(self) -> Window:
        """Return the time of the gap."""
        return Window(self.start, self.end)

    def measured(self, start: int, end: int) -> int | None:
        """Return the rise of the register in a span beside the gap, if readings tell it without another gap."""
        points = (*self.before, (self.start, self.start_wh), (self.end, self.end_wh), *self.after)
        beside = register_of_points([one for one in points if (one[0] >= self.end) is (start >= self.end)])
        if start >= end:
            return 0
        gaps = [beside.ats[place : place + 2] for place in gap_positions(beside.ats)]
        is_known = beside.ats[0] <= start and end <= beside.ats[-1]
        if not is_known or any(first < end and start < last for first, last in gaps):
            return None
        return register_at(beside, end) - register_at(beside, start)

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
    return [_record_of(device_id, channel, body) for channel, _, body in _stored(store, device_id, span)]


def whole_gaps(store: Store, device_id: str, span: Window) -> Window:
    """Return a span extended to the whole of the recorded gaps that it overlaps."""
    bases = [base for _, base, _ in _stored(store, device_id, span)]
    return Window(min([span.start, *(one.start for one in bases)]), max([span.end, *(one.end for one in bases)]))


def _stored(store: Store, device_id: str, span: Window) -> Iterator[tuple[str, Window, str]]:
    """Yield the records whose bases overlap a span: channel, time of the base, body."""
    for channel in CHANNELS:
        after, last = _key(channel, span.start + 1), _key(channel, periods.FOR_EVER)
        while records := store.records(ESTIMATED_GAPS.of(device_id), after, last, PAGE, with_damaged=True):
            page = [(channel, _time_of(device_id, record.body), record.body) for record in records]
            yield from (one for one in page if one[1].start < span.end and span.start < one[1].end)
            if page[-1][1].start >= span.end or len(records) < PAGE:
                break
            after = records[-1].key + "\0"


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


def erase_gaps(store: Store, device_id: str, span: Window) -> None:
    """Delete the records of gaps that overlap a span, and from others the readings of its time."""
    for channel in CHANNELS:
        first, last = _key(channel, span.start + 1), _key(channel, span.end)  # a damaged one that ends there goes too
        while page := store.records(ESTIMATED_GAPS.of(device_id), first, last, PAGE, with_damaged=True):
            for record in page:
                store.drop_record(ESTIMATED_GAPS.of(device_id), record.key)
            first = page[-1].key + "\0"
    near = Window(max(span.start - NEAR_S, 0), min(span.end + NEAR_S, periods.FOR_EVER))
    for gap in gap_records(store, device_id, near):
        put_records(store, device_id, [gap], [] if gap.base.overlaps(*span) else [_without(gap, span)])


def _without(record: GapRecord, span: Window) -> GapRecord:
    base, *remaining = (
        gap._replace(
            before=tuple(one for one in gap.before if not span.start <= one[0] < span.end),
            after=tuple(one for one in gap.after if not span.start <= one[0] < span.end),
        )
        for gap in (record.base, *record.remaining)
    )
    return record._replace(base=base, remaining=tuple(remaining))


def _key(channel: str, end: int) -> str:
    return f"{channel} {end:012d}"


def _encoded(record: GapRecord) -> list[Any]:
    remaining = [] if record.remaining == (record.base,) else list(map(_encoded_gap, record.remaining))
    outside = [[[at, *share] for at, share in sorted(some.items())] for some in record[6:]]
    seen = [_seen_runs(one) for one in (record.seen, *record.seen_remaining)]
    return [_encoded_gap(record.base), record.since, seen, *outside, remaining]


def _time_of(device_id: str, body: str) -> Window:
    """Return the time of a stored record's base; nothing else is decoded. Raises Damaged."""
    try:
        start, end = (int(bytes(one)) for one in _parts(_parts(body)[0])[:2])
        return Window(start, end)
    except (ValueError, TypeError, LookupError) as error:
        raise _damaged(device_id, error) from error


def _record_of(device_id: str, channel: str, body: str) -> GapRecord:
    """Decode a stored record that `_time_of` has checked. Raises Damaged."""
    try:
        base, since, runs, *beside, gaps = orjson.loads(body)[:FIELDS]
        seen, *seen_remaining = map(_decoded_seen, runs)
        outside = [{at: Share(wh, seconds) for at, wh, seconds in some} for some in beside]
        gap = _decoded_gap(base)
        remaining = tuple(map(_decoded_gap, gaps)) or (gap,) * len(seen_remaining)
        return GapRecord(channel, gap, remaining, since, seen, tuple(seen_remaining), *outside)
    except (ValueError, TypeError) as error:
        raise _damaged(device_id, error) from error


def _damaged(device_id: str, error: Exception) -> Damaged:
    return Damaged(f"a gap of {device_id} cannot be read ({error}); restore a backup")


def _encoded_gap(gap: RetainedGap) -> list[Any]:
    before = [[at - gap.start, wh - gap.start_wh] for at, wh in gap.before]
    after = [[at - gap.end, wh - gap.end_wh] for at, wh in gap.after]
    return [*gap[:4], before, after, _runs(gap.inside)]


def _decoded_gap(row: list[Any]) -> RetainedGap:
    start, end, start_wh, end_wh, before, after, runs = row
    inside = [
        (at + place * length, at + (place + 1) * length, wh) for at, length, whs in runs for place, wh in enumerate(whs)
    ]
    near = _near(before, start, start_wh), _near(after, end, end_wh)
    return RetainedGap(start, end, start_wh, end_wh, *near, tuple(inside))


def _near(rows: Sequence[Any], at: int, wh: int) -> Points:
    """Return the readings beside a gap; records of an earlier form have their instants alone."""
    if rows and isinstance(rows[0], int):
        return tuple([(one, wh) for one in rows])
    return tuple([(at + seconds, wh + rise) for seconds, rise in rows])


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


# Readings of a gap


def register_of_points(points: Sequence[tuple[int, int]]) -> Register:
    """Return the register of some readings of one meter."""
    ats, whs = zip(*points, strict=True)
    return Register(ats, whs, [None] * len(ats))


def believed(base: RetainedGap, raw: Register, max_power_w: int) -> Register:
    """Return the readings of a gap with both of its ends: those that lie between these two, as far as they rise."""
    first, after = bisect_left(raw.ats, base.start + 1), bisect_left(raw.ats, base.end)
    inside = [
        (at, min(max(wh, base.start_wh), base.end_wh))
        for at, wh in zip(raw.ats[first:after], raw.whs[first:after], strict=True)
        if base.start_wh - ROUNDING_WH <= wh <= base.end_wh + ROUNDING_WH
    ]
    points = [(base.start, base.start_wh), *inside, (base.end, base.end_wh)]
    pieces = judge(register_of_points(points), max_power_w).pieces
    if (
        len(pieces) == 1
        and (pieces[0].ats[0], pieces[0].ats[-1]) == (base.start, base.end)
        and pieces[0].whs[-1] == base.end_wh
    ):
        return pieces[0]
    whs = [wh for _, wh in points]
    highest = list(accumulate(whs, max))
    lowest = list(accumulate(reversed(whs), min))[::-1]
    return register_of_points(
        [one for one, low, high in zip(points, lowest, highest, strict=True) if low == one[1] == high]
    )
