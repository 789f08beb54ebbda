"""One channel of some half hours: its timeline with the recorded gaps filled, and the records of its gaps. Pure.

A record is *frozen* when evidence of its gap may be gone. Then the gap is computed by itself, from its two register
values and the evidence inside it. Evidence that contradicts the two values does not count.
"""

from binascii import crc_hqx
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from operator import attrgetter

from aggregator.core import energy
from aggregator.core.energy import Evidence, Share
from aggregator.core.periods import DAY_S, HALF_HOUR, Window, block_start
from aggregator.core.readings import Interval
from aggregator.core.registers import ROUNDING_WH, Register, register_of
from aggregator.core.timeline import FlowOrigin, RegisterGap, Timeline, timeline_of
from aggregator.waterfall.gap_records import GapRecord, RetainedGap, believed, register_of_points
from aggregator.waterfall.stored_half_hours import StoredHalfHours

NEAR_READINGS = 128  # kept on each side of a gap, so that the rest of an interval across its end is exact
NEW_IN_OLD = -HALF_HOUR  # seen in a record whose half hours are yet to be stored


class ChannelGaps:
    """The gaps of one channel in some half hours."""

    def __init__(
        self, halves: StoredHalfHours, channel: str, line: Timeline, found: Sequence[GapRecord], evidence: Evidence
    ) -> None:
        """`line` is the timeline of all evidence; `found` are the records of the channel, and those across an end."""
        self._halves, self.channel, self.line = halves, channel, line
        self._raw = register_of(evidence.readings, channel)
        self._values = dict(zip(self._raw.ats, self._raw.whs, strict=True))
        self._intervals = energy.stated(evidence.intervals, channel, halves.max_power_w)
        first, last = halves.edges[0], halves.edges[-1]
        stored = [one for one in found if first <= one.base.start and one.base.end <= last]
        self._across = [one for one in found if one not in stored]
        frozen = [one for one in stored if halves.is_frozen(one.base.window)]
        kept = [one for one in stored if one not in frozen]
        if any(one.since and halves.is_expired(one.since) for one in frozen):
            frozen = [new for one in frozen for new in one.rebased()]
        self._in_frozen = {place for one in frozen for place in halves.places(one.base.window)}
        self._cut_hollow([one.base for one in frozen])
        self._kept = [one for one in kept if self._is_consistent(one.base)]
        known = [one.base for one in (*self._kept, *frozen)]
        pure = [gap for gap in self.line.gaps if not any(_is_within(gap, base) for base in known)]
        self._new = [GapRecord.of(channel, self._retained(gap, self.line.pieces)) for gap in pure]
        self._filled: dict[str, Register] = {}  # the believed readings of a frozen record
        for one in frozen:
            self._fill(one)
        self._changed = [one for one in frozen if self._is_changed(one)]
        self._unchanged = [one for one in frozen if one not in self._changed]
        self._new_in_old = [one for one in self._new if halves.is_frozen(one.base.window)]
        replaced = [one.base.window for one in (*self._changed, *self._new_in_old)]
        self._replaced = {place for window in replaced for place in halves.places(window)}
        self._outside = {at: share for one in frozen for at, share in one.outside.items()}
        self._shares = energy.shares(self.line, halves.edges)
        self._in_bases = self._shares_within([*known, *(one.base for one in self._new)])

    def is_replaced(self, place: int) -> bool:
        """Whether evidence has come into a gap of a half hour, or made one."""
        return place in self._replaced

    def old_share(self, place: int) -> Share | None:
        """Return the channel's share of an old half hour with data."""
        stored = self._halves.stored_share(place, self.channel)
        if place not in self._replaced:
            return stored or self._shares[place]
        outside = self._outside.get(self._halves.edges[place]) if place in self._in_frozen else stored
        return energy.share_sum([outside, self._in_bases[place]])

    # Timeline

    def _cut_hollow(self, frozen: Sequence[RetainedGap]) -> None:
        """Make the timeline without gaps over old half hours with data: their readings have been deleted."""
        if not self.line.gaps or not self._halves.may_be_hollow:
            return
        whole = energy.shares(self.line, self._halves.edges)
        inside = energy.shares(self.line.within([Window(*gap[:2]) for gap in self.line.gaps]), self._halves.edges)
        beside = [energy.share_sum([one], less) for one, less in zip(whole, inside, strict=True)]
        starts = {gap.start for gap in self.line.gaps if self._is_hollow(gap, frozen, beside)}
        if starts:
            pieces = [part for piece in self.line.pieces for part in _cut(piece, starts)]
            self.line = timeline_of(pieces, self._intervals, self._halves.edges)
            self._cut_hollow(frozen)

    def _is_hollow(self, gap: RegisterGap, frozen: Sequence[RetainedGap], beside: Sequence[Share | None]) -> bool:
        """Whether a gap leads over old half hours of which the evidence beside the gap is not what is stored."""
        if self._halves.crosses_erased(gap.start, gap.end):
            return True
        if any(one.overlaps(gap.start, gap.end) for one in frozen):
            return not any(_is_within(gap, one) for one in frozen)
        for place in self._halves.places(Window(gap.start, gap.end)):
            stored = self._halves.stored_share(place, self.channel) if self._halves.has_old(place) else None
            known = beside[place]
            if stored and (not known or [*map(sum, stored)] != [*map(sum, known)]):
                return True
        return False

    def _fill(self, record: GapRecord) -> None:
        """Replace the time of a gap by what its two register values and the evidence inside it tell."""
        base = record.base
        inside = believed(base, self._raw, self._halves.max_power_w)
        piece = register_of_points([*base.before, *zip(*inside[:2], strict=True), *base.after])
        line = timeline_of([piece], self._inside(record), self._halves.edges)
        self.line.clear(base.start, base.end)
        for flow in line.within([base.window]).flows:
            self.line.add(flow)
        gaps = [gap for gap in self.line.gaps if not _is_within(gap, base)]
        self.line.gaps = sorted([*gaps, *(gap for gap in line.gaps if _is_within(gap, base))])
        self._filled[record.key] = piece

    def _inside(self, record: GapRecord) -> list[tuple[Interval, int]]:
        """Return the intervals in a gap; of one across its end, the rest of its energy."""
        base = record.base
        spans = (Window(one.start, one.end) for one, _ in self._intervals)
        known = _union(span for span in spans if base.start <= span.start and span.end <= base.end)
        found = {(start, end): wh for start, end, wh in base.inside if not _is_covered(start, end, known)}
        for one, wh in self._intervals:
            if base.start <= one.start and one.end <= base.end:
                found[one.start, one.end] = wh
            elif base.overlaps(one.start, one.end):
                rest = (
                    wh
                    - self._beyond(record, one.start, base.start, one, wh)
                    - self._beyond(record, base.end, one.end, one, wh)
                )
                found.setdefault((max(one.start, base.start), min(one.end, base.end)), max(rest, 0))
        return [(Interval("", start, end, None, None), wh) for (start, end), wh in sorted(found.items())]

    def _beyond(self, record: GapRecord, start: int, end: int, interval: Interval, wh: int) -> int:
        """Return an interval's energy from `start` to `end`, outside of a gap: as measured, as stored, or its share."""
        measured = record.base.measured(start, end)
        if measured is not None:
            return measured
        total = rest_s = 0
        for place in self._halves.places(Window(start, end)) if start < end else ():
            at, until = self._halves.edges[place : place + 2]
            seconds = min(end, until) - max(start, at)
            beside = self._halves.stored_share(place, self.channel) if place not in self._in_frozen else None
            share = record.outside.get(at, beside)
            known_s = sum(share.seconds) if share else 0
            total += sum(share.wh) * seconds // known_s if share and known_s else 0
            rest_s += 0 if known_s else seconds
        return total + wh * rest_s // (interval.end - interval.start)

    def _is_consistent(self, base: RetainedGap) -> bool:
        """Whether the evidence still has the two ends of a gap, and their difference."""
        for piece in self.line.pieces:
            start, end = (_place(piece, at) for at in base.window)
            if start is not None and end is not None:
                return piece.whs[end] - piece.whs[start] == base.end_wh - base.start_wh
        return False

    def _shares_within(self, gaps: Iterable[RetainedGap]) -> list[Share | None]:
        return energy.shares(self.line.within(_union(gap.window for gap in gaps)), self._halves.edges)

    # Records

    def records(self, whole: Collection[int]) -> tuple[list[GapRecord], list[GapRecord]]:
        """Return the records to store before and after the half hours; `whole` are places known in full now.

        A record of a new gap among old half hours is stored first: it tells what was there before.
        """
        now = self._halves.now
        changed = [one._replace(remaining=self._remaining(one), since=one.since or now) for one in self._changed]
        kept = [one for record in self._kept for one in self._updated(record)]
        records = [*changed, *kept, *self._new]
        every = (*records, *self._unchanged, *self._across)
        in_bases = self._shares_within([one.base for one in every])
        in_remaining = self._shares_within([gap for one in every for gap in one.remaining])
        last = [
            one._replace(
                seen=self._seen(one.base),
                seen_remaining=tuple(map(self._seen, one.remaining)),
                outside=self._beside([one.base], in_bases, whole),
            )
            for one in records
        ]
        beside = [
            one._replace(outside_remaining=self._beside(one.remaining, in_remaining, whole))
            if one not in self._unchanged or self._replaced.intersection(self._halves.places(one.base.window))
            else one
            for one in (*self._unchanged, *last)
        ]
        first = [
            one._replace(
                seen={NEW_IN_OLD: 0},
                seen_remaining=({NEW_IN_OLD: 0},),
                outside=self._beside([one.base], in_bases, whole),
            )
            for one in self._new_in_old
        ]
        return first, beside

    def _updated(self, record: GapRecord) -> Iterable[GapRecord]:
        """Yield the record of a gap of which all evidence is kept; none if it was short, and is filled by now."""
        remaining = self._remaining(record)
        if not record.since and len(remaining) == 1 and remaining[0][:4] == record.base[:4]:
            yield GapRecord.of(self.channel, remaining[0])
        elif remaining or record.base.end < self._halves.now - DAY_S:
            yield record._replace(remaining=remaining, since=record.since or self._halves.now)

    def _remaining(self, record: GapRecord) -> tuple[RetainedGap, ...]:
        filled = self._filled.get(record.key)
        pieces = [filled] if filled else self.line.pieces
        return tuple(self._retained(gap, pieces) for gap in self.line.gaps if _is_within(gap, record.base))

    def _retained(self, gap: RegisterGap, pieces: Sequence[Register]) -> RetainedGap:
        piece, place = next(
            (one, place)
            for one in pieces
            if (place := _place(one, gap.start)) is not None and _place(one, gap.end) is not None
        )
        raised = gap.start_wh - self._values.get(gap.start, gap.start_wh)
        raised = raised if abs(raised) > ROUNDING_WH else 0  # by rollovers before it
        ends = (gap.start, gap.end, gap.start_wh - raised, gap.end_wh - raised)
        beside = (slice(max(place - NEAR_READINGS, 0), place), slice(place + 2, place + 2 + NEAR_READINGS))
        before, after = (
            tuple((at, wh - raised) for at, wh in zip(piece.ats[side], piece.whs[side], strict=True)) for side in beside
        )
        return RetainedGap(*ends, before, after, self._intervals_in(gap))

    def _intervals_in(self, gap: RegisterGap) -> tuple[tuple[int, int, int], ...]:
        """Return the energy from intervals in a gap, cut at the half hours."""
        edges, found = self._halves.edges, list[tuple[int, int, int]]()
        for flow in self.line.overlapping(gap.start, gap.end):
            if flow.origin is not FlowOrigin.INTERVAL:
                continue
            for place in self._halves.places(Window(flow.start, flow.end)):
                start, end = max(flow.start, gap.start, edges[place]), min(flow.end, gap.end, edges[place + 1])
                wh = flow.level(end) - flow.level(start)
                if found and found[-1][1] == start > edges[place]:
                    start, _, before = found.pop()
                    wh += before
                found.append((start, end, wh))
        return tuple(found)

    def _beside(
        self, gaps: Iterable[RetainedGap], inside: Sequence[Share | None], whole: Collection[int]
    ) -> dict[int, Share]:
        """Return what lies outside of gaps in the half hours at their ends, by the start of the half hour."""
        found = {}
        for place in {self._halves.places(gap.window)[end] for gap in gaps for end in (0, -1)}:
            is_old = self._halves.has_old(place) and place not in whole
            share = self.old_share(place) if is_old else self._shares[place]
            rest = energy.share_sum([share], inside[place])
            if rest and (any(rest.wh) or any(rest.seconds)):
                found[self._halves.edges[place]] = rest
        return found

    def _is_changed(self, record: GapRecord) -> bool:
        """Whether other evidence lies in a gap than when it was computed; less evidence is no change."""
        found = self._seen(record.base).items()
        is_new = NEW_IN_OLD in record.seen or any(record.seen.get(start) != checksum for start, checksum in found)
        return is_new and self._halves.can_change(record.base.window)

    def _seen(self, base: RetainedGap) -> dict[int, int]:
        """Return a checksum of the evidence inside a gap by UTC half hour."""
        ats = self._raw.ats
        found: dict[int, int] = defaultdict(int)
        for at in ats[bisect_right(ats, base.start) : bisect_left(ats, base.end)]:
            found[block_start(at)] = crc_hqx(b"%d %d" % (at, self._values[at]), found[block_start(at)])
        for one, wh in self._intervals:
            if base.overlaps(one.start, one.end):
                block = block_start(one.start)
                found[block] = crc_hqx(b"%d %d %d" % (one.start, one.end, wh), found[block])
        return dict(found)


def _place(piece: Register, at: int) -> int | None:
    """Return the place of a reading in a piece, or None."""
    place = bisect_left(piece.ats, at)
    return place if place < len(piece.ats) and piece.ats[place] == at else None


def _union(spans: Iterable[Window]) -> list[Window]:
    """Return the time of spans, in order; some may overlap."""
    union: list[Window] = []
    for start, end in sorted(spans):
        if union and start <= union[-1].end:
            union[-1] = Window(union[-1].start, max(end, union[-1].end))
        else:
            union.append(Window(start, end))
    return union


def _is_covered(start: int, end: int, union: Sequence[Window]) -> bool:
    place = bisect_right(union, start, key=attrgetter("start")) - 1
    return place >= 0 and end <= union[place].end


def _is_within(gap: RegisterGap, base: RetainedGap) -> bool:
    return base.start <= gap.start and gap.end <= base.end


def _cut(piece: Register, starts: Collection[int]) -> list[Register]:
    """Cut a piece after some of its readings."""
    cuts = [0, *(place + 1 for place, at in enumerate(piece.ats) if at in starts), len(piece.ats)]
    return [
        Register(piece.ats[first:after], piece.whs[first:after], piece.meters[first:after])
        for first, after in pairwise(cuts)
        if first < after
    ]
