"""The recompute window: the local hours that a change of readings can touch, and the readings to compute them.

A change reaches back to the last *anchor* of each changed register (a reading that is believed whatever comes before
or after it, see `core.registers`) and forward to the next anchor, in whole local hours. Computing those hours needs
every register that covers them, from an anchor at or before their start to an anchor at or after their end.

The window fetches a few neighbouring blocks first, enough for a device that sends steadily, and then more at a time.
"""

from collections.abc import Iterator, Sequence

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.energy import has_register
from aggregator.core.periods import HALF_HOUR, Window
from aggregator.core.readings import Reading
from aggregator.core.registers import MAX_GAP_S, Register, anchor_after, anchor_before, parse_overrides, register_of
from aggregator.store.port import Store

NEAR = 3  # blocks: an hour and the half hour before it
FETCH_SIZES = (4, 16, 64, 256, 1024, 4096)  # blocks to fetch next, while those before were too few
GIVE_UP = 2000  # readings of one register without an anchor: its values are inconsistent

BEFORE, AFTER = -1, +1


class RecomputeWindow:
    """The hours that a change of the blocks from `first` to `last` touches, and the readings to compute them."""

    def __init__(self, store: Store, device: Device, first: int, last: int) -> None:
        """`first` and `last` are starts of UTC half hours."""
        self._store, self._device = store, device
        low, high = first - NEAR * HALF_HOUR, last + NEAR * HALF_HOUR
        readings = store.readings(device.device_id, low, high)
        self.changed = [reading for reading in readings if first <= reading.at < last + HALF_HOUR]
        self._neighbours = {
            BEFORE: [reading for reading in readings if reading.at < first],
            AFTER: [reading for reading in readings if reading.at >= last + HALF_HOUR],
        }
        self._edge = {BEFORE: low, AFTER: high}  # the outermost blocks fetched
        self._sizes: dict[int, Iterator[int]] = {BEFORE: iter(FETCH_SIZES), AFTER: iter(FETCH_SIZES)}
        self._is_all = {BEFORE: False, AFTER: False}

    @property
    def readings(self) -> list[Reading]:
        """All fetched readings, by time, without a gap."""
        return [*self._neighbours[BEFORE], *self.changed, *self._neighbours[AFTER]]

    def hours(self, least: Window) -> Window:
        """Return the local hours to recompute, at least those that `least` touches, and fetch their readings."""
        changed = [channel for channel in self._device.registers if register_of(self.changed, channel).ats]
        start = self._hour(min([least.start, *self._start_candidates(changed)])).start
        end = self._hour(max([least.end, *self._end_candidates(changed, least.end)])).end
        while not self._is_all[BEFORE] and self._edge[BEFORE] > start - MAX_GAP_S:
            self._fetch(BEFORE)
        while not self._is_all[AFTER] and not any(reading.at >= end for reading in self._neighbours[AFTER][-1:]):
            self._fetch(AFTER)  # until a reading ends the hold of the last power
        for channel in self._device.registers:
            if self._covers(channel, AFTER, start) and self._covers(channel, BEFORE, end):
                self._anchor(channel, BEFORE, start)
                self._anchor(channel, AFTER, end)
        return self._bounded(start, end)

    def _start_candidates(self, changed: Sequence[str]) -> Iterator[int]:
        """Yield the instants before the change from which it has an effect."""
        while not self._neighbours[BEFORE] and self._fetch(BEFORE):
            pass
        newest = self._neighbours[BEFORE][-1:]
        yield from (reading.at for reading in newest if not has_register(reading))  # its power is held up to the change
        for channel in changed:
            yield from self._anchor(channel, BEFORE, None)

    def _end_candidates(self, changed: Sequence[str], last: int) -> Iterator[int]:
        """Yield the instants after the change up to which it has an effect."""
        while not self._neighbours[AFTER] and self._fetch(AFTER):
            pass
        yield from (min(reading.at, last + MAX_GAP_S) for reading in self._neighbours[AFTER][:1])
        for channel in changed:
            yield from self._anchor(channel, AFTER, None)

    def _anchor(self, channel: str, side: int, at: int | None) -> list[int]:
        """Return the nearest anchor of a register on one side, at or beyond `at`; fetch blocks until it is found.

        Without an anchor, return the outermost reading of the register; nothing where it has no reading on that side.
        """
        while True:
            points = register_of(self._neighbours[side], channel, parse_overrides(self._device.exchange_overrides))
            found = self._nearest(points, side, at)
            if found is not None:
                return [found]
            if len(points.ats) > GIVE_UP or not self._fetch(side):
                return [points.ats[0 if side == BEFORE else -1]] if points.ats else []

    def _nearest(self, points: Register, side: int, at: int | None) -> int | None:
        if not points.ats:
            return None
        if side == BEFORE:
            return anchor_before(points, points.ats[-1] if at is None else at, self._device.max_power_w)
        return anchor_after(points, points.ats[0] if at is None else at, self._device.max_power_w)

    def _covers(self, channel: str, side: int, at: int) -> bool:
        """Whether a register has a reading at or beyond `at` on one side; without one it covers nothing there."""
        while True:
            ats = register_of(self.readings, channel).ats
            if ats and (ats[-1] >= at if side == AFTER else ats[0] <= at):
                return True
            if not self._fetch(side):
                return False

    def _fetch(self, side: int) -> bool:
        """Fetch more blocks on one side; False when none are left."""
        size = None if self._is_all[side] else next(self._sizes[side], None)
        if size is None:
            return False
        starts = self._store.block_starts(self._device.device_id, self._edge[side], side * size)
        self._is_all[side] = len(starts) < size
        if not starts:
            return False
        first, last = min(starts), max(starts)
        self._edge[side] = first if side == BEFORE else last
        more = self._store.readings(self._device.device_id, first, last)
        self._neighbours[side] = (
            [*more, *self._neighbours[side]] if side == BEFORE else [*self._neighbours[side], *more]
        )
        return True

    def _bounded(self, start: int, end: int) -> Window:
        """Return the hours from `start` to `end`, without those beyond the point where the search gave up."""
        if not self._is_all[BEFORE]:
            start = max(start, self._hour(self._edge[BEFORE]).end)
        if not self._is_all[AFTER]:
            end = min(end, self._hour(self._edge[AFTER] + HALF_HOUR).start)
        return Window(start, end)

    def _hour(self, at: int) -> Window:
        return periods.hour_window(at, self._device.timezone)
