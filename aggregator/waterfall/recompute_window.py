"""The recompute window: the local hours that a change of evidence can touch, and the evidence to compute them.

A change reaches back to the last *anchor* of each changed register (a plain run of readings, see `core.faults`), and by
the steps that decide what is a gap, and forward likewise; in whole local hours. Where the register breaks nearby, the
explanation of every break within FAULT_S may change: then the window is wide. An interval reaches as far as intervals
and gaps overlap it. The hours need every register that covers them, from beyond their start to beyond their end.

The window fetches a few neighbouring blocks first, enough for a device that sends steadily, and then more at a time. It
ignores readings so far away that no energy is spread to them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter

from aggregator.core.documents import Device
from aggregator.core.energy import has_register
from aggregator.core.faults import CLOCK_S, DIP_READINGS, DIP_S, FAULT_S, breaks, is_short, judge
from aggregator.core.periods import HALF_HOUR, HOUR, Window, block_start, hour_window
from aggregator.core.readings import Interval, Reading
from aggregator.core.registers import (
    DECIDE_S,
    LONGEST_S,
    LONGEST_STEP_S,
    NEAR_STEPS,
    RHYTHMS,
    ROUNDING_WH,
    Register,
    anchor_after,
    anchor_before,
    frozen_since,
    gap_positions,
    parse_overrides,
    register_of,
)
from aggregator.store.port import Store

NEAR = DIP_S // HALF_HOUR + 1  # blocks fetched first on each side: a dip is seen from each of its readings
FETCH_SIZES = (4, 16, 64, 256, 1024, 4096)  # blocks to fetch next, while those before were too few
GIVE_UP = 2000  # readings of one register without an anchor: its values are inconsistent
LONGEST_CHAIN_S = 14 * 86_400  # intervals that overlap each other have effects no further than this
LONGEST_HOLD_S = RHYTHMS * LONGEST_STEP_S  # a longer step is a gap, whatever the rhythm
STEPS = NEAR_STEPS + 1  # readings beyond a change that decide whether a step near it is a gap

BEFORE, CHANGED, AFTER, ALL = -1, 0, +1, 2  # parts of the readings


class RecomputeWindow:
    """The hours that a change of the blocks from `first` to `last` touches, and the evidence to compute them."""

    def __init__(self, store: Store, device: Device, first: int, last: int) -> None:
        """`first` and `last` are starts of UTC half hours."""
        self._store, self._device = store, device
        self._blocks = Window(first, last + HALF_HOUR)
        low, high = first - NEAR * HALF_HOUR, last + NEAR * HALF_HOUR
        readings = store.readings(device.device_id, low, high)
        before, after = (bisect_left(readings, at, key=attrgetter("at")) for at in self._blocks)
        self._changed = readings[before:after]
        self._neighbours = {BEFORE: readings[:before], AFTER: readings[after:]}
        self._edge, self._is_all = {BEFORE: low, AFTER: high}, {BEFORE: False, AFTER: False}  # the outermost fetched
        self._sizes: dict[int, Iterator[int]] = {BEFORE: iter(FETCH_SIZES), AFTER: iter(FETCH_SIZES)}
        self._registers: dict[tuple[str, int], Register] = {}  # by channel and part, of what is fetched
        self._pieces: dict[str, list[Register]] = {}  # by channel, what is believed of these
        self._breaking: dict[str, dict[int, int | None]] = {}  # by channel, of what is fetched
        self._new = store.intervals(device.device_id, first, last) if device.longest_interval_s else []
        self.intervals: list[Interval] = []  # that overlap the hours; see `hours`

    @property
    def changed(self) -> Window | None:
        """The span of the changed evidence; None without any."""
        spans = [(one.at, one.at) for one in (*self._changed[:1], *self._changed[-1:])]
        spans += [(one.start, one.end) for one in self._new]
        return Window(min(spans)[0], max(end for _, end in spans)) if spans else None

    @property
    def readings(self) -> list[Reading]:
        """All fetched readings, by time, without a gap."""
        return [*self._neighbours[BEFORE], *self._changed, *self._neighbours[AFTER]]

    def hours(self, least: Window) -> Window:
        """Return the local hours to recompute, at least those that `least` touches, and fetch their evidence."""
        changed = [channel for channel in self._device.registers if self._points(channel, CHANGED).ats]
        if changed or self._new:
            self._fetch_near()
        start = min([least.start, *self._start_candidates(changed)])
        end = max([least.end, *self._end_candidates(changed, least.end)])
        start, end = self._wide(self._device.registers if self._new else changed, start, end)
        start, end = self._with_intervals(start, end)
        start, end = self._hour(start).start, self._hour(end).end
        self._complete(start, end)
        hours = self._bounded(start, end)
        if self._device.longest_interval_s:
            reach = self._chain(self.with_gaps(start, end))
            self._complete(*reach)
            self.intervals = self._overlapping(*reach)
        return hours

    def _start_candidates(self, changed: Sequence[str]) -> Iterator[int]:
        """Yield the instants before the change from which it has an effect."""
        self._look(BEFORE)
        newest = self._neighbours[BEFORE][-STEPS:]
        if not all(map(has_register, newest)):  # powers are held up to the change, or through a step that it decides
            yield newest[0].at
        for channel in changed:
            yield from self._anchor(channel, BEFORE, None)
            yield from self._lowered(channel)

    def _lowered(self, channel: str) -> Iterator[int]:
        """Yield the instant before the earlier readings that a change lowers, where the register falls by rounding."""
        new = self._points(channel, CHANGED).whs
        while True:
            ats, whs, *_ = self._points(channel, BEFORE)
            near = [wh for wh in new if whs and whs[-1] - ROUNDING_WH <= wh < whs[-1]]
            if not near:
                return
            low = min(near)
            found = next((at for at, wh in zip(reversed(ats), reversed(whs), strict=True) if wh <= low), None)
            if found is not None or len(ats) > GIVE_UP or not self._fetch(BEFORE):
                yield ats[0] if found is None else found
                return

    def _end_candidates(self, changed: Sequence[str], last: int) -> Iterator[int]:
        """Yield the instants after the change up to which it has an effect."""
        self._look(AFTER)
        oldest = self._neighbours[AFTER][:STEPS]
        yield from (min(reading.at, last + LONGEST_HOLD_S) for reading in oldest[:1])
        if not all(map(has_register, oldest)):
            yield oldest[-1].at
        for channel in changed:
            yield from self._anchor(channel, AFTER, None)

    def _wide(self, changed: Sequence[str], start: int, end: int) -> tuple[int, int]:
        """Return a window extended by the breaks that a change may explain otherwise, if a register breaks nearby."""
        changed = [channel for channel in changed if self._may_explain(channel, start)]
        if not changed:
            return start, end
        low, high = start - FAULT_S, end + FAULT_S
        for side, limit in ((BEFORE, low - FAULT_S - HOUR), (AFTER, high + FAULT_S + HOUR)):
            while (self._edge[side] - limit) * side < 0 and self._fetch(side):
                pass
        for channel in changed:
            wrong = [since for at, since in self._breaks(channel).items() if since is not None and low <= at <= high]
            start = min([start, *(self._anchor(channel, BEFORE, min(wrong) - 1) if wrong else ())])
            while self._edge[BEFORE] > start - FAULT_S - HOUR and self._fetch(BEFORE):
                pass
            ats, whs, *_ = self._points(channel, ALL)
            found = [at for at in self._breaks(channel) if low <= at <= high]
            if found:
                before = max(bisect_left(ats, found[0]) - 1, 0)
                start = min(start, ats[max(frozen_since(ats, whs, before) - STEPS + 1, 0)])
                last = max(bisect_right(ats, found[-1]) + DIP_READINGS, bisect_right(ats, found[-1] + DIP_S)) + STEPS
                end = max(end, min(ats[min(last, len(ats) - 1)], high))  # a dip ends within a run
        return start, end

    def _fetch_near(self) -> None:
        """Fetch the readings among which a dip can end that begins or ends in the change, or all of a first piece."""
        near, start, end = self._neighbours, *self._blocks
        for side, limit in ((BEFORE, start - FAULT_S), (AFTER, end + FAULT_S)):
            while len(near[side]) < DIP_READINGS and (self._edge[side] - limit) * side < 0 and self._fetch(side):
                pass
        while not near[BEFORE] and self._edge[AFTER] < end + CLOCK_S and self._fetch(AFTER):
            pass

    def _may_explain(self, channel: str, start: int) -> bool:
        """Whether a change may explain a break of a register nearby otherwise, or hours from `start` depend on one.

        It may not where it only continues a run, the newest, that is long enough and passes no earlier reading.
        """
        last = max(self._breaks(channel), default=None)
        points, ats = self._points(channel, ALL), self._points(channel, CHANGED).ats
        if last is None or not ats or last >= min(ats[0], self._hour(start).start) or points.ats[-1] > ats[-1]:
            return last is not None
        first, new = bisect_left(points.ats, last), bisect_left(points.ats, ats[0])
        is_fall = points.whs[new - 1] < points.whs[first - 1] and is_short(points.ats, first, new - 1)
        if is_fall or new - first < STEPS or points.ats[new - 1] - last < DECIDE_S:
            return True
        low, high = points.whs[new - 1] - ROUNDING_WH, points.whs[-1] + ROUNDING_WH
        return any(low <= wh <= high for wh in points.whs[:first])

    def _breaks(self, channel: str) -> dict[int, int | None]:
        if channel not in self._breaking:
            self._breaking[channel] = breaks(self._points(channel, ALL), self._device.max_power_w)
        return self._breaking[channel]

    def _with_intervals(self, start: int, end: int) -> tuple[int, int]:
        """Return a window extended by the intervals that overlap it, and by the gaps in which they lie."""
        if not self._device.longest_interval_s:
            return start, end
        reach = self._chain(Window(start, end))
        self._complete(*reach)
        return self.with_gaps(*reach)

    def _chain(self, reach: Window) -> Window:
        """Return a span extended by the intervals that overlap it, by those that overlap these, and so on."""
        limit = Window(reach.start - LONGEST_CHAIN_S, reach.end + LONGEST_CHAIN_S)
        while limit.start < reach.start and reach.end < limit.end:
            found = self._overlapping(*reach)
            spans = [reach, *(Window(one.start, one.end) for one in found)]
            longer = Window(min(spans).start, max(end for _, end in spans))
            if longer == reach:
                break
            reach = longer
        return reach

    def with_gaps(self, start: int, end: int) -> Window:
        """Return a span extended by the gaps of believed readings that overlap it."""
        reach = Window(start, end)
        for channel in self._device.registers:
            if channel not in self._pieces:
                self._pieces[channel] = judge(self._points(channel, ALL), self._device.max_power_w).pieces
            for piece in self._pieces[channel]:
                gaps = [Window(piece.ats[place], piece.ats[place + 1]) for place in gap_positions(piece.ats)]
                touched = [gap for gap in gaps if gap.start < reach.end and reach.start < gap.end]
                start = min([start, *(gap.start for gap in touched)])
                end = max([end, *(gap.end for gap in touched)])
        return Window(start, end)

    def _overlapping(self, start: int, end: int) -> list[Interval]:
        """Return the intervals that overlap a span."""
        first = block_start(start - self._device.longest_interval_s)
        found = self._store.intervals(self._device.device_id, first, block_start(end))
        return [one for one in found if one.start < end and start < one.end]

    def _complete(self, start: int, end: int) -> None:
        """Fetch every reading that the energy of a span depends on."""
        for side, at in ((BEFORE, start), (AFTER, end)):
            while not self._is_held(side, at) and self._fetch(side):
                pass
        for channel in self._device.registers:
            if self._covers(channel, AFTER, start) and self._covers(channel, BEFORE, end):
                self._anchor(channel, BEFORE, start)
                self._anchor(channel, AFTER, end)

    def _look(self, side: int) -> None:
        """Fetch blocks until the readings on a side tell whether a step near the change is a gap."""
        while len(self._neighbours[side]) < STEPS and self._fetch(side):
            pass

    def _is_held(self, side: int, at: int) -> bool:
        """Whether the readings beyond `at` tell how long a power is held there."""
        neighbours = self._neighbours[side]
        is_known = len(neighbours) >= STEPS
        return is_known and (neighbours[STEPS - 1].at <= at if side == BEFORE else neighbours[-STEPS].at >= at)

    def _anchor(self, channel: str, side: int, at: int | None) -> list[int]:
        """Return how far a register must be known on one side of `at`; fetch blocks until it is.

        That is its nearest anchor, and STEPS readings; without an anchor the outermost reading of the register, if any.
        """
        while True:
            points = self._points(channel, side)
            found = self._nearest(points, side, at)
            if found is not None:
                return [found]
            if len(points.ats) > GIVE_UP or not self._fetch(side):
                return [points.ats[0 if side == BEFORE else -1]] if points.ats else []

    def _nearest(self, points: Register, side: int, at: int | None) -> int | None:
        ats = points.ats
        if len(ats) < STEPS:
            return None
        if side == BEFORE:
            until = ats[-1] if at is None else at
            position = bisect_right(ats, until) - STEPS
            anchor = anchor_before(points, until, self._device.max_power_w)
            return None if anchor is None or position < 0 else min(anchor, ats[position])
        since = ats[0] if at is None else at
        position = bisect_left(ats, since) + STEPS - 1
        anchor = anchor_after(points, since, self._device.max_power_w)
        if anchor is None or position >= len(ats):
            return None
        is_level = points.whs[-1] < points.whs[position] + ROUNDING_WH  # it may fall yet, by rounding
        return None if is_level and len(ats) < DIP_READINGS else max(anchor, ats[position])

    def _points(self, channel: str, part: int) -> Register:
        """Return a register of one part of the fetched readings."""
        known = self._registers
        if (channel, ALL) not in known:
            known[channel, ALL] = register_of(self.readings, channel, parse_overrides(self._device.exchange_overrides))
        if (channel, part) not in known:
            ats, whs, meters, overrides = known[channel, ALL]
            first, last = bisect_left(ats, self._blocks.start), bisect_left(ats, self._blocks.end)
            start, end = {BEFORE: (0, first), CHANGED: (first, last), AFTER: (last, len(ats))}[part]
            known[channel, part] = Register(ats[start:end], whs[start:end], meters[start:end], overrides)
        return known[channel, part]

    def _covers(self, channel: str, side: int, at: int) -> bool:
        """Whether a register has a reading at or beyond `at` on one side; without one it covers nothing there."""
        while not (ats := self._points(channel, ALL).ats) or (ats[-1] < at if side == AFTER else ats[0] > at):
            if not self._fetch(side):
                return False
        return True

    def _fetch(self, side: int) -> bool:
        """Fetch more blocks on one side; False when none are left within LONGEST_S."""
        if self._is_all[side] or (size := next(self._sizes[side], None)) is None:
            return False
        starts = self._store.block_starts(self._device.device_id, self._edge[side], side * size, of_readings=True)
        low, high = self._blocks.start - LONGEST_S - HALF_HOUR, self._blocks.end + LONGEST_S
        near = [start for start in starts if low <= start <= high]
        self._is_all[side] = len(near) < size
        if not near:
            return False
        self._edge[side] = min(near) if side == BEFORE else max(near)
        more = self._store.readings(self._device.device_id, min(near), max(near))
        self._registers, self._pieces, self._breaking = {}, {}, {}
        known = self._neighbours[side]
        self._neighbours[side] = more + known if side == BEFORE else known + more
        return True

    def _bounded(self, start: int, end: int) -> Window:
        """Return the hours from `start` to `end`, without those beyond the point where the search gave up."""
        if not self._is_all[BEFORE]:
            start = max(start, self._hour(self._edge[BEFORE]).end)
        if not self._is_all[AFTER]:
            end = min(end, self._hour(self._edge[AFTER] + HALF_HOUR).start)
        return Window(start, end)

    def _hour(self, at: int) -> Window:
        return hour_window(at, self._device.timezone)
