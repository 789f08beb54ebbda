"""A chunk: readings in order of arrival, coalesced, and the neighbours of those that come late.

Readings of one instant are merged field by field, and each half hour is written once per chunk.

A reading that is dated before its device's newest one is compared with those around it, where the register runs on
plainly. It is put aside by name (Refused) where it contradicts both its neighbours: the register falls, or rises faster
than the home can use. A reading that would replace another one of its instant is put aside if it contradicts either,
and so is one in a gap across which the register runs on without a leap.
True readings are taken in any order: with too few neighbours, or at a meter exchange, `core.faults` decides.
Nothing tells a clock that was ahead at first from one that is put back later: the later readings are put aside.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby, islice, pairwise
from typing import Any

from aggregator.core.blocks import MANY
from aggregator.core.documents import Device
from aggregator.core.errors import Damaged, Refused
from aggregator.core.faults import HOME_W, UNUSUAL
from aggregator.core.live import Live
from aggregator.core.periods import HALF_HOUR, block_start, iso_utc
from aggregator.core.readings import GAS, MAX_POWER, Reading, merged
from aggregator.core.registers import DECIDE_S, POSITIONS, RegisterPoint, can_follow, parse_overrides, runs_on_plainly
from aggregator.store.occupancies import Item, check_kept, is_kept
from aggregator.store.port import Store, Written

NEAREST = 3  # neighbours on each side that must agree
LEAST = 2  # with fewer on a side a reading is taken
LOOK = 2 * HALF_HOUR  # neighbours further away say nothing
DAY_WH = 24_000  # a home may have used this since the newest register while its clock was wrong
A_WEEK = 336  # blocks, among which the device's own are looked for
LATE_S = 60  # a reading of the last minute is not looked up
_LIVE_REGISTERS = {"import_wh": "import_at", "export_wh": "export_at"}  # field of a live state -> that of its instant
Grouped = dict[tuple[str, int], dict[int, Reading]]  # (device, start of the half hour) -> instant -> reading


def _point(reading: Reading, position: int) -> RegisterPoint:
    wh: Any = reading[position]
    return RegisterPoint(reading.at, wh, reading.meter_id)


class Neighbours:
    """The readings around the late readings of one chunk; blocks are read from the store once."""

    def __init__(self, store: Store, chunk: Grouped, newest: Mapping[str, int], now: int) -> None:
        """`chunk` holds the readings that have come in before, `newest` the last instants; the caller adds to both."""
        self._store, self._chunk, self._newest, self._now = store, chunk, newest, now
        self._stored: dict[tuple[str, int], dict[int, Reading]] = {}
        self._instants: dict[tuple[str, int], list[int]] = {}  # sorted, stored and in the chunk
        self._counted: dict[tuple[str, int], int] = {}  # readings of the chunk in `_instants`
        self._devices: dict[str, Device] = {}
        self._lives: dict[str, Live | None] = {}

    def newest(self, reading: Reading) -> int:
        """Return the instant of a device's newest reading, before the first one of the chunk came in."""
        if reading.at >= self._now - LATE_S:
            return reading.at
        return self._store.newest_at(reading.device_id) or reading.at

    def check(self, reading: Reading, *, is_sent: bool) -> None:
        """Raise Refused for a late reading that contradicts its neighbours; `is_sent` by the device itself, now."""
        channels = [one for one in POSITIONS if reading[one[1]] is not None]
        known = self._at(reading.device_id, reading.at) if channels else None
        if not channels or (known and merged(known, reading) == known):  # a repeated reading changes nothing
            return
        device = self.device(reading.device_id)
        verdicts = [self._verdict(reading, position, device) for _, position in channels]
        is_aside = _COLLIDES in verdicts or (_CONTRADICTS in verdicts and _FITS not in verdicts)
        if is_aside or (is_sent and any(self._runs_on(reading, channel, device) for channel in channels)):
            names = " and ".join(f"{channel} {reading[position]}" for channel, position in channels)
            raise Refused("contradicts_neighbours", f"{names} at {iso_utc(reading.at)} does not fit the readings there")

    def _verdict(self, reading: Reading, position: int, device: Device) -> int:
        point = _point(reading, position)
        one, other = (next(self._side(reading, position, side), None) for side in (-1, +1))
        if one is None and self._continues_newest(reading, position, device):
            return _CONTRADICTS
        if one is None or other is None:
            return _FITS
        fits = can_follow(one, point, device.max_power_w), can_follow(point, other, device.max_power_w)
        known = self._at(reading.device_id, reading.at)
        is_collision = known is not None and known[position] not in (None, point.wh)
        is_near = other.at - one.at <= DECIDE_S  # no meter can have come and gone between
        if all(fits) or (any(fits) and is_near and not is_collision):
            return _STANDS_STILL if is_near and one.wh == point.wh == other.wh else _FITS
        before, after = (list(islice(self._side(reading, position, side), NEAREST)) for side in (-1, +1))
        there = [_point(known, position)] if known and is_collision else []
        points = [*before[::-1], *there, *after]
        is_run = len(before) >= LEAST <= len(after) and runs_on_plainly(points, device.max_power_w)
        if not is_run or _overridden(before[-1].at, after[-1].at, device):
            return _FITS
        if there:
            return _COLLIDES
        pace_w = 3600 * (before[0].wh - before[-1].wh) // (before[0].at - before[-1].at)
        is_leap = not can_follow(before[0], after[0], UNUSUAL * max(HOME_W, pace_w))  # one side may show a fault
        is_outage = any(fits) and not is_leap and not _is_ahead(before, after)
        is_outage &= all(side[-1].at - side[0].at <= DECIDE_S for side in (before[::-1], after))
        return _CONTRADICTS if (is_near or is_outage) and self._is_anchored(reading, position, device) else _FITS

    def _continues_newest(self, reading: Reading, position: int, device: Device) -> bool:
        """Whether a reading before all others near it goes on from the newest register: its clock was put back."""
        channel, point = (Reading._fields[position], position), _point(reading, position)
        newest = self._newest_register(reading.device_id, channel)
        if newest is None or newest.at <= point.at or newest.wh > point.wh:
            return False
        after = list(islice(self._side(reading, position, +1, is_far=True), NEAREST))
        is_other = len(after) < NEAREST or can_follow(point, after[0], device.max_power_w) or after[0].wh >= newest.wh
        if is_other or _is_ahead(list(islice(self._side(reading, position, -1, is_far=True), NEAREST)), after):
            return False
        is_near = point.wh - newest.wh <= max(newest.wh - after[0].wh, DAY_WH)
        is_run = runs_on_plainly(after, device.max_power_w)
        return is_near and is_run and not _overridden(point.at, newest.at, device)

    def _is_anchored(self, reading: Reading, position: int, device: Device) -> bool:
        """Whether the register ran on plainly for DECIDE_S before a reading, so that those readings are believed."""
        last = None
        for count, (one, other) in enumerate(pairwise(self._side(reading, position, -1)), 1):
            last = last or one.at
            if not runs_on_plainly([other, one], device.max_power_w):
                return False
            if count >= LEAST and last - other.at >= DECIDE_S:
                return True
        return False

    def _runs_on(self, reading: Reading, channel: tuple[str, int], device: Device) -> bool:
        """Whether a reading continues the newest register and only its time is earlier: its clock was put back."""
        _, position = channel
        live, point = self._live(reading.device_id), _point(reading, position)
        newest = self._newest_register(reading.device_id, channel)
        if live is None or newest is None or reading.at >= newest.at:
            return False
        elapsed = self._now - live.received_at
        arrived = point._replace(at=newest.at + elapsed)
        could_be_now = elapsed > 0 and point.wh > newest.wh and can_follow(newest, arrived, device.max_power_w)
        if not could_be_now or abs(reading.at - self._now) <= abs(live.at - live.received_at):
            return False
        after = list(islice(self._side(reading, position, +1, is_far=True), NEAREST))
        is_other = any(can_follow(point, one, device.max_power_w) for one in after)
        is_other = is_other or _is_ahead(list(islice(self._side(reading, position, -1), NEAREST)), after)
        return not is_other and not _overridden(reading.at, newest.at, device)

    def _newest_register(self, device_id: str, channel: tuple[str, int]) -> RegisterPoint | None:
        """Return the newest register of a device with its own instant; one before its newest reading from its state."""
        name, position = channel
        last = self._at(device_id, self._newest[device_id])
        if last and last[position] is not None:
            return _point(last, position)
        live = self._live(device_id)
        if live is None or name not in _LIVE_REGISTERS:
            return None
        wh, at = (getattr(live, field) for field in (name, _LIVE_REGISTERS[name]))
        return None if wh is None else RegisterPoint(live.at if at is None else at, wh, live.meter_id)

    def _side(self, reading: Reading, position: int, side: int, *, is_far: bool = False) -> Iterator[RegisterPoint]:
        """Yield the known registers before (-1) or after (+1) a reading, nearest first."""
        first = block_start(reading.at)
        starts = [first + side * step for step in range(0, LOOK + 1, HALF_HOUR)]
        for start in chain(starts, self._far(reading.device_id, starts[-1], side) if is_far else ()):
            key = reading.device_id, start
            instants = self._sorted(key)
            place = bisect_left(instants, reading.at)
            places = range(place - 1, -1, -1) if side < 0 else range(place, len(instants))
            for at in map(instants.__getitem__, places):
                one = self._at(reading.device_id, at) if at != reading.at else None
                if one is not None and one[position] is not None:
                    yield _point(one, position)

    def _far(self, device_id: str, at: int, side: int) -> Iterator[int]:
        """Yield the nearest block beyond `at` with readings of the device, past a week of imports."""
        week = range(at + side * HALF_HOUR, at + side * A_WEEK * HALF_HOUR, side * HALF_HOUR)
        new = (start for start in week if (device_id, start) in self._chunk)
        found = (start for count in (1, A_WEEK) for start in self._store.block_starts(device_id, at, side * count))
        stored = (start for start in found if self._load((device_id, start)))
        yield from sorted([*islice(stored, 1), *islice(new, 1)], reverse=side < 0)[:1]

    def _at(self, device_id: str, at: int) -> Reading | None:
        """Return what is known of an instant: the stored reading and that of the chunk as one."""
        key = device_id, block_start(at)
        stored, new = self._load(key).get(at), self._chunk.get(key, {}).get(at)
        return merged(stored, new) if stored and new else stored or new

    def _sorted(self, key: tuple[str, int]) -> list[int]:
        if key not in self._instants:
            self._instants[key], self._counted[key] = sorted(self._load(key)), 0
        instants, chunk = self._instants[key], self._chunk.get(key, {})
        if len(chunk) > self._counted[key]:
            for at in islice(chunk, self._counted[key], None):
                if at not in self._stored[key]:
                    insort(instants, at)
            self._counted[key] = len(chunk)
        return instants

    def _load(self, key: tuple[str, int]) -> Mapping[int, Reading]:
        """Return what the device has sent of a half hour; what it sent around it is read too. An import is no judge."""
        device_id, start = key
        if key not in self._stored:
            around = range(start - LOOK, start + LOOK + 1, HALF_HOUR)
            missing = [(device_id, one) for one in around if (device_id, one) not in self._stored]
            self._stored.update({one: {} for one in missing})
            try:
                found = self._store.layer_readings(device_id, missing[0][1], missing[-1][1])
            except Damaged:  # writing the reading quarantines the block
                found = []
            for reading in found:
                block = device_id, block_start(reading.at)
                if block in missing:
                    self._stored[block][reading.at] = reading
        return self._stored[key]

    def device(self, device_id: str) -> Device:
        """Return a device, or one by default."""
        if device_id not in self._devices:
            new = Device(device_id, max_power_w=MAX_POWER) if device_id.endswith(GAS) else Device(device_id)
            self._devices[device_id] = self._store.device(device_id) or new
        return self._devices[device_id]

    def _live(self, device_id: str) -> Live | None:
        if device_id not in self._lives:
            self._lives[device_id] = self._store.live(device_id)
        return self._lives[device_id]


_FITS, _STANDS_STILL, _CONTRADICTS, _COLLIDES = range(4)


def _is_ahead(before: Sequence[RegisterPoint], after: Sequence[RegisterPoint]) -> bool:
    """Whether the readings after a gap were dated ahead: the register hardly rose. All are nearest first."""
    if len(before) < LEAST or not after:
        return False
    rise, seconds = before[0].wh - before[-1].wh, before[0].at - before[-1].at
    risen, silent_s = after[0].wh - before[0].wh, after[0].at - before[0].at
    return risen * seconds * UNUSUAL < rise * silent_s


def _overridden(start: int, end: int, device: Device) -> bool:
    """Whether a person has said anything of the meter between two instants."""
    return any(start < override.at <= end for override in parse_overrides(device.exchange_overrides))


class Chunk:
    """Readings in order of arrival, coalesced: those of one instant are merged field by field."""

    def __init__(self, store: Store, now: int) -> None:
        self.blocks: Grouped = defaultdict(dict)
        self.repeated = 0  # readings that changed nothing after those before them
        self.parts: dict[tuple[str, int], list[Reading]] = {}  # device, instant -> readings that are one now
        self._late = set[str]()  # devices with a reading that was not the newest one
        self._newest: dict[str, int] = {}  # device -> instant
        self._neighbours = Neighbours(store, self.blocks, self._newest, now)

    def add(self, reading: Reading, *, is_sent: bool = False) -> None:
        """Add a reading; raise Refused for a late one that contradicts its neighbours."""
        device_id, at = reading.device_id, reading.at
        newest = self._newest.get(device_id)
        if newest is None:
            newest = self._newest[device_id] = self._neighbours.newest(reading)
        if at > newest:
            self._newest[device_id] = at
        elif at < newest:
            self._late.add(device_id)
            self.check_kept(reading)
            self._neighbours.check(reading, is_sent=is_sent)
        self.merge(reading)

    def check_kept(self, one: Item) -> None:
        """Raise Refused for evidence or a status that tells of an erased time."""
        check_kept(self._neighbours.device(one.device_id), one)

    def drop_erased(self, device: Device) -> list[Reading]:
        """Drop the readings of a device that tell of an erased time, and return them."""
        if not device.erased:
            return []
        own = [block for (device_id, _), block in self.blocks.items() if device_id == device.device_id]
        gone = [one for block in own for one in block.values() if not is_kept(device, one)]
        for one in gone:
            del self.blocks[one.device_id, block_start(one.at)][one.at]
        return gone

    def merge(self, reading: Reading) -> None:
        """Add a reading, whatever its neighbours say."""
        device_id, at = reading.device_id, reading.at
        block = self.blocks[device_id, at - at % HALF_HOUR]
        known = block.get(at)
        if known is None:
            block[at] = reading
            return
        both = merged(known, reading)
        if both == known:
            self.repeated += 1
            return
        block[at] = both
        self.parts.setdefault((device_id, at), [known]).append(reading)

    def counted(self, store: Store) -> Written:
        """Return what to add to the counts of the coalesced readings, so that each part counts by itself."""
        accepted, unchanged = 0, self.repeated
        for (device_id, start), group in groupby(sorted(self.parts), key=lambda one: (one[0], block_start(one[1]))):
            stored = {reading.at: reading for reading in store.layer_readings(device_id, start, start)}
            for _, at in group:
                first = known = stored.get(at)
                for part in self.parts[device_id, at]:
                    both = merged(known, part) if known else part
                    accepted, unchanged = accepted + (both != known), unchanged + (both == known)
                    known = both
                accepted, unchanged = accepted - (known != first), unchanged - (known == first)
        return Written(accepted, unchanged)

    def is_derived(self, store: Store, readings: Sequence[Reading]) -> bool:
        """Whether the store derives a device's live state from these readings of the chunk: few, the newest."""
        device_id = readings[0].device_id
        is_plain = store.derives_live and len(readings) < MANY and device_id not in self._late
        return is_plain and store.newest_at(device_id) > 0


def in_order(blocks: Iterable[Mapping[int, Reading]]) -> list[Reading]:
    """Return the readings of half hours that are in order of time."""
    return [block[at] for block in blocks for at in (sorted(block) if len(block) > 1 else block)]
