"""Live states: the newest known value of each field of a device, and the rhythm of its arrivals. Pure."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.energy import is_plausible
from aggregator.core.periods import FOR_EVER
from aggregator.core.readings import Reading
from aggregator.core.registers import POSITIONS


class Arrival(NamedTuple):
    """A reading that was its device's newest at its arrival."""

    at: int  # UTC seconds by the meter's clock
    received_at: int  # UTC seconds by our clock


REMEMBERED = 8  # arrivals before the newest one
LOOK_BACK_S = 60  # parts of an instant, and fields that are sent in turn, come in within
_METER = Reading._fields.index("meter_id")


class Live(NamedTuple):
    """The newest known value of each field of a device, the time of its last arrival, and earlier arrivals.

    A device sends parts of an instant, and fields in turn; an absent field never erases a known one. The store merges
    the fields (`merged_live`) and appends to `arrivals` in the same write. Only a newer reading is an arrival. The
    readings of one message or batch are one arrival.
    """

    device_id: str
    at: int  # UTC seconds by the meter's clock, of the newest reading
    received_at: int  # UTC seconds by our clock, of its arrival
    power_w: int | None  # W, negative when exporting; None when unknown or implausible
    import_wh: int | None
    export_wh: int | None
    meter_id: str | None
    arrivals: tuple[Arrival, ...] = ()  # before this one, oldest first, REMEMBERED at most
    # UTC seconds of a value that is older than the newest reading; None where it belongs to that reading.
    power_at: int | None = None
    import_at: int | None = None
    export_at: int | None = None

    @property
    def power_instant(self) -> int:
        """The UTC seconds of the newest known power; of the newest reading, where the power is unknown."""
        return self.at if self.power_at is None else self.power_at


FIELD_INSTANTS = {"power_w": "power_at", "import_wh": "import_at", "export_wh": "export_at"}


def merged_live(stored: Live, new: Live) -> Live:
    """Return a stored live state with the newer fields of another one; at one instant the new value counts.

    The result keeps the arrivals of `stored`; a newer reading adds the arrival of the stored one.
    """
    is_newer = new.at > stored.at
    last = new if is_newer else stored
    power, imported, exported = (_newest(new, stored, name, last.at) for name in FIELD_INSTANTS)
    first, second = (new, stored) if new.at >= stored.at else (stored, new)
    arrivals = (*stored.arrivals, Arrival(stored.at, stored.received_at))[-REMEMBERED:] if is_newer else stored.arrivals
    return Live(
        *(last.device_id, last.at, last.received_at, power.value, imported.value, exported.value),
        *(first.meter_id or second.meter_id, arrivals, power.at, imported.at, exported.at),
    )


class _Known(NamedTuple):
    value: int | None
    at: int | None  # None where the value belongs to the newest reading, or is unknown


def _newest(new: Live, stored: Live, name: str, last: int) -> _Known:
    """Return the newest known value of a field."""
    best, best_at = None, -1
    for state in (stored, new):
        value, at = getattr(state, name), getattr(state, FIELD_INSTANTS[name])
        at = state.at if at is None else at
        if value is not None and at >= best_at:
            best, best_at = value, at
    return _Known(best, None if best is None or best_at == last else best_at)


def without_instants(live: Live, is_gone: Callable[[int], bool]) -> Live | None:
    """Return what a live state tells of other instants (UTC seconds) than some; None where its newest reading goes."""
    if is_gone(live.at):
        return None
    gone: dict[str, Any] = {"arrivals": tuple(one for one in live.arrivals if not is_gone(one.at))}
    for name, instant in FIELD_INSTANTS.items():
        if (at := getattr(live, instant)) is not None and is_gone(at):
            gone |= {name: None, instant: None}
    return live._replace(**gone)


def live_state(readings: Sequence[Reading], device: Device, now: int) -> Live:
    """Return the live state of one device's readings in order of time, received at `now` (UTC seconds)."""
    last, most, power = readings[-1], device.max_power_w, None
    for one in reversed(readings):
        if is_plausible(one.power_w, most):
            power = one
            break
    imported, exported, _ = [newest_known(readings, position) for _, position in POSITIONS]  # no tile shows the volume
    meter = newest_known(readings, _METER)
    state = Live(
        device.device_id,
        last.at,
        now,
        power and power.power_w,
        imported and imported.import_wh,
        exported and exported.export_wh,
        meter and meter.meter_id,
    )
    if len(readings) == 1:
        return state
    older = [one.at if one and one.at < last.at else None for one in (power, imported, exported)]
    return state._replace(power_at=older[0], import_at=older[1], export_at=older[2])


def newest_known(readings: Sequence[Reading], position: int) -> Reading | None:
    """Return the newest reading with a value in a field."""
    for one in reversed(readings):
        if one[position] is not None:
            return one
    return None


def continued_live(stored: Live, arrived: Sequence[tuple[Reading, int]], device: Device) -> Live:
    """Return a live state with the readings after `look_back` (by time, each with its arrival in UTC seconds).

    Readings that it has already change nothing; those of one second came in together. A reading that was completed
    later counts as come in then.
    """
    both = merged_live(stored, live_state([reading for reading, _ in arrived], device, arrived[-1][1]))
    newer, earliest = list[Arrival](), FOR_EVER
    for reading, received_at in reversed(arrived):
        if reading.at > stored.at and received_at < earliest:  # it was the newest when it came in
            earliest = received_at
            newer.append(Arrival(reading.at, received_at))
    return both._replace(arrivals=(*both.arrivals, *newer[:0:-1])[-REMEMBERED:])


def look_back(stored: Live) -> int:
    """Return the instant (UTC seconds) after which readings may tell what a live state does not have yet."""
    return min(stored.at, stored.received_at) - LOOK_BACK_S


FIELDS = ("power_w", "import_wh", "export_wh", "meter_id")


class Newest:
    """The newest readings that a live state does not have yet, until further ones can tell it nothing.

    Readings are added from the newest to the oldest, each with its arrival in UTC seconds.
    """

    def __init__(self, since: int, max_power_w: int) -> None:
        """Begin behind a live state of the instant `since` (UTC seconds)."""
        self.arrived: list[tuple[Reading, int]] = []
        self._since, self._max_power_w = since, max_power_w
        self._earliest, self._count = FOR_EVER, 0

    def add(self, reading: Reading, received_at: int) -> None:
        """Add the reading before those added."""
        self.arrived.append((reading, received_at))
        if reading.at > self._since and received_at < self._earliest:
            self._earliest = received_at
            self._count += 1

    @property
    def has_arrivals(self) -> bool:
        """Whether these are all arrivals that a live state remembers."""
        return self._count > REMEMBERED

    @property
    def at(self) -> int:
        """The instant of the oldest reading."""
        return self.arrived[-1][0].at

    @property
    def unknown(self) -> tuple[bool, ...]:
        """For each of FIELDS whether no reading tells it: of the power whether none is plausible."""
        readings = [reading for reading, _ in self.arrived]
        power = not any(is_plausible(one.power_w, self._max_power_w) for one in readings)
        return power, *(all(getattr(one, name) is None for one in readings) for name in FIELDS[1:])


def live_json(live: Live) -> dict[str, object]:
    """Return a live state for exports, without its earlier arrivals; instants are ISO times in UTC."""
    fields = {name: value for name, value in live._asdict().items() if name != "arrivals" and name[-3:] != "_at"}
    instants = {
        instant: None if getattr(live, name) is None else periods.iso_utc(live.at if at is None else at)
        for name, instant in FIELD_INSTANTS.items()
        for at in [getattr(live, instant)]
    }
    return fields | {"at": periods.iso_utc(live.at), "received_at": periods.iso_utc(live.received_at)} | instants
