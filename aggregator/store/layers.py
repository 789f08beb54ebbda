"""Layers: the evidence of imports, each apart from what the device has sent, so that one can be taken back whole. Pure.

A device's own evidence is layer 0. That of its import number `n` is layer `-n`, or `+n` where the import is a
correction. A read merges the layers field by field, and the value of the highest layer counts:

- An import only adds. What the device sends counts before it, whenever it comes; of two imports the earlier counts.
- A correction counts before the device's own evidence and all earlier corrections. A message of the device that is
  sent again does not undo it.

So taking an import back is deleting its layer: what it hid shows again, what came in since stays, and the order of
imports, messages and deletions does not matter.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import itemgetter
from typing import Final, Protocol, TypeVar

import msgspec
import orjson

from aggregator.core.readings import Interval, Reading

OWN: Final = 0
Evidence = Reading | Interval
Kind = TypeVar("Kind", Reading, Interval)
_interval: Callable[[Iterable[object]], Interval] = partial(tuple.__new__, Interval)  # _make without its Python frame


class Layered(Protocol):
    """The part of the port that keeps layers. Each change makes its blocks dirty, and is durable on return."""

    def write_layer(self, layer: int, evidence: Iterable[Evidence], now: int) -> object:
        """Merge evidence into a layer of its device, field by field."""

    def layer_readings(self, device_id: str, first: int, last: int, layer: int = OWN) -> list[Reading]:
        """Return the readings of a layer in the blocks that start from `first` to `last`, both included, by time."""

    def layer_starts(self, device_id: str, layer: int, first: int, last: int, limit: int) -> list[int]:
        """Return the first `limit` starts, from `first` to `last`, of the blocks that have evidence of a layer."""

    def drop_layer(self, device_id: str, layer: int, starts: Sequence[int]) -> None:
        """Delete the evidence of a layer in blocks."""


_Row = tuple[int, int, int | None, int | None, str | None, int | None]  # an interval without its device
_decode_rows = msgspec.json.Decoder(list[_Row]).decode


def layer_of(number: int, *, is_correction: bool) -> int:
    """Return the layer of an import, by its number from 1."""
    return number if is_correction else -number


def overlaid(layers: Iterable[tuple[int, Iterable[Kind]]]) -> list[Kind]:
    """Return the evidence of layers as one, by time; the value of the highest layer counts."""
    known: dict[tuple[int, ...], Kind] = {}
    for _, evidence in sorted(layers, key=itemgetter(0)):
        for new in evidence:
            time = _time(new)
            known[time] = _over(known[time], new) if time in known else new
    return [known[time] for time in sorted(known)]


def _time(one: Evidence) -> tuple[int, ...]:
    return one[1:3] if isinstance(one, Interval) else one[1:2]


def _over(low: Kind, high: Kind) -> Kind:
    return type(low)(*(old if value is None else value for old, value in zip(low, high, strict=True)))  # type: ignore[arg-type] # field by field


def pack_intervals(intervals: Iterable[Interval]) -> bytes:
    """Encode intervals of one device."""
    return orjson.dumps([one[1:] for one in intervals])


def unpack_intervals(device_id: str, packed: bytes) -> list[Interval]:
    """Decode intervals. Raises ValueError for damaged ones."""
    return [_interval((device_id, *values)) for values in _decode_rows(packed)]
