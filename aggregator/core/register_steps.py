"""What a register did that no meter does: steps that were dropped as glitches, and exchanges of the meter. Pure.

What is believed is decided by `energy.segments`; here it is only compared with what the device sent.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from aggregator.core.documents import Device
from aggregator.core.energy import CHANNELS, Register, register, register_at, segments
from aggregator.core.exchange_overrides import read_marks
from aggregator.core.periods import Window
from aggregator.core.readings import Reading
from aggregator.intake.imports.interval_registers import is_made


class Step(NamedTuple):
    """A register that stepped where no meter's does. `undecided` until more readings tell what it was."""

    at: int  # UTC seconds, of the first reading at the new level
    channel: str  # import_wh or export_wh
    kind: Literal["glitch", "exchange", "undecided"]
    before_wh: int  # of the last believed reading
    after_wh: int  # of that first reading
    readings: int = 1  # that were dropped


class Judged(NamedTuple):
    """What a register showed, and the segments of it that are believed."""

    channel: str
    points: Register
    pieces: Sequence[Register]


def judged(readings: Sequence[Reading], device: Device) -> list[Judged]:
    """The registers of readings in order of time, those that have a value."""
    registers = [(channel, register(readings, channel, read_marks(device.marks))) for channel in CHANNELS]
    return [
        Judged(channel, points, segments(points, device.max_power_w)) for channel, points in registers if points.ats
    ]


def steps_of(registers: Sequence[Judged]) -> list[Step]:
    """Every strange step, oldest first; the first reading of each register is believed."""
    found: list[Step] = []
    for channel, points, pieces in registers:
        if sum(len(piece.ats) for piece in pieces) < len(points.ats):
            found += _dropped(channel, points, pieces)
        found += [
            Step(new.ats[0], channel, "exchange", old.whs[-1], new.whs[0], 0)
            for old, new in pairwise(pieces)
            if not is_made(old.meters[-1]) and not is_made(new.meters[0])  # where imported history begins or ends
        ]
    return sorted(found)


def _dropped(channel: str, points: Register, pieces: Sequence[Register]) -> list[Step]:
    """The readings of a register that are in none of its segments, those in a row as one step."""
    believed = {at: wh for piece in pieces for at, wh in zip(piece.ats, piece.whs, strict=True)}
    last_believed, found, before, is_run = max(believed), list[Step](), 0, False
    for at, wh in zip(points.ats, points.whs, strict=True):
        if at in believed:
            before, is_run = wh, False
        elif is_run:
            found[-1] = found[-1]._replace(readings=found[-1].readings + 1)
        else:
            found.append(Step(at, channel, "undecided" if at > last_believed else "glitch", before, wh))
            is_run = True
    return found


def energy_between(pieces: Sequence[Register], span: Window) -> int:
    """What a register rose by from one instant to another, Wh, without what lies across exchanges."""
    rise = 0
    for piece in pieces:
        start, end = max(span.start, piece.ats[0]), min(span.end, piece.ats[-1])
        rise += register_at(piece, end) - register_at(piece, start) if start < end else 0
    return rise
