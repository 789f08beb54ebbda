"""How far a change of readings reaches, and the readings that are needed to compute what it reaches.

A change reaches back to the last *anchor* of each register that changed (a reading believed whatever comes before or
after, see `energy`) and on to the next one, in whole local hours. To compute those hours, every register that has
something to say about them must be known from an anchor at or before their start to one at or after their end.

Neighbours are fetched a few blocks at first, which does for a device that sends steadily, then ever more.
"""

from collections.abc import Iterator, Sequence

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.energy import has_register
from aggregator.core.periods import HALF_HOUR, Window
from aggregator.core.readings import Reading
from aggregator.core.registers import MAX_GAP_S, Register, anchor_after, anchor_before, parse_overrides, register_of
from aggregator.store.port import Store

NEAR = 3  # blocks; an hour, and what leads up to it
LOOKS = (4, 16, 64, 256, 1024, 4096)  # blocks; how many more to fetch when the last did not do
GIVE_UP = 2000  # readings of one register without an anchor: what it sends makes no sense

BEFORE, AFTER = -1, +1


class RecomputeWindow:
    """The hours that a change of the blocks from `first` to `last` reaches, and the readings to compute them from."""

    def __init__(self, store: Store, device: Device, first: int, last: int) -> None:
        """`first` and `last` are starts of UTC half hours."""
        self._store, self._device = store, device
        low, high = first - NEAR * HALF_HOUR, last + NEAR * HALF_HOUR
        readings = store.readings(device.device_id, low, high)
        self.changed = [reading for reading in readings if first <= reading.at < last + HALF_HOUR]
        self._beside = {
            BEFORE: [reading for reading in readings if reading.at < first],
            AFTER: [reading for reading in readings if reading.at >= last + HALF_HOUR],
        }
        self._edge = {BEFORE: low, AFTER: high}  # the outermost blocks that have been looked at
        self._looks: dict[int, Iterator[int]] = {BEFORE: iter(LOOKS), AFTER: iter(LOOKS)}
        self._is_all = {BEFORE: False, AFTER: False}

    @property
    def readings(self) -> list[Reading]:
        """All that have been fetched, by time, without a gap."""
        return [*self._beside[BEFORE], *self.changed, *self._beside[AFTER]]

    def hours(self, least: Window) -> Window:
        """The local hours to compute again, at least those that `least` touches; their readings are then here."""
        changed = [channel for channel in self._device.registers if register_of(self.changed, channel).ats]
        start = self._hour(min([least.start, *self._reached_before(changed)])).start
        end = self._hour(max([least.end, *self._reached_after(changed, least.end)])).end
        while not self._is_all[BEFORE] and self._edge[BEFORE] > start - MAX_GAP_S:
            self._fetch(BEFORE)
        while not self._is_all[AFTER] and not any(reading.at >= end for reading in self._beside[AFTER][-1:]):
            self._fetch(AFTER)  # until something ends the time for which the last power is held
        for channel in self._device.registers:
            if self._speaks(channel, AFTER, start) and self._speaks(channel, BEFORE, end):
                self._anchor(channel, BEFORE, start)
                self._anchor(channel, AFTER, end)
        return self._known(start, end)

    def _reached_before(self, changed: Sequence[str]) -> Iterator[int]:
        """Instants before the change from which on it counts."""
        while not self._beside[BEFORE] and self._fetch(BEFORE):
            pass
        newest = self._beside[BEFORE][-1:]
        yield from (reading.at for reading in newest if not has_register(reading))  # its power is held until here
        for channel in changed:
            yield from self._anchor(channel, BEFORE, None)

    def _reached_after(self, changed: Sequence[str], last: int) -> Iterator[int]:
        """Instants after the change until which it counts."""
        while not self._beside[AFTER] and self._fetch(AFTER):
            pass
        yield from (min(reading.at, last + MAX_GAP_S) for reading in self._beside[AFTER][:1])
        for channel in changed:
            yield from self._anchor(channel, AFTER, None)

    def _anchor(self, channel: str, side: int, at: int | None) -> list[int]:
        """The nearest anchor of a register on one side, at or beyond `at`, fetching as far as it takes.

        Where there is none, the outermost reading of the register; nothing where it has no reading there.
        """
        while True:
            points = register_of(self._beside[side], channel, parse_overrides(self._device.exchange_overrides))
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

    def _speaks(self, channel: str, side: int, at: int) -> bool:
        """Whether a register has a reading at `at` or beyond it on one side; without one it says nothing there."""
        while True:
            ats = register_of(self.readings, channel).ats
            if ats and (ats[-1] >= at if side == AFTER else ats[0] <= at):
                return True
            if not self._fetch(side):
                return False

    def _fetch(self, side: int) -> bool:
        """Fetch more neighbours on one side; False when there are no more."""
        look = None if self._is_all[side] else next(self._looks[side], None)
        if look is None:
            return False
        starts = self._store.block_starts(self._device.device_id, self._edge[side], side * look)
        self._is_all[side] = len(starts) < look
        if not starts:
            return False
        first, last = min(starts), max(starts)
        self._edge[side] = first if side == BEFORE else last
        more = self._store.readings(self._device.device_id, first, last)
        self._beside[side] = [*more, *self._beside[side]] if side == BEFORE else [*self._beside[side], *more]
        return True

    def _known(self, start: int, end: int) -> Window:
        """The hours from `start` to `end`, less those beyond which the search for readings was given up."""
        if not self._is_all[BEFORE]:
            start = max(start, self._hour(self._edge[BEFORE]).end)
        if not self._is_all[AFTER]:
            end = min(end, self._hour(self._edge[AFTER] + HALF_HOUR).start)
        return Window(start, end)

    def _hour(self, at: int) -> Window:
        return periods.hour_window(at, self._device.timezone)
