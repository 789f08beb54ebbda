"""Walks over all devices of a store in bounded memory, and the entry of a device that is new.

A store lists devices and live states a page at a time; `pages` yields each page, and `all_devices` each device.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TypeVar

from aggregator.core.documents import Device, new_device
from aggregator.core.live import Live
from aggregator.core.readings import sender_of
from aggregator.store.collections import HOME, MARKS
from aggregator.store.port import Store

Listed = TypeVar("Listed", Device, Live)


def new_entry(store: Store, device_id: str, default_zone: str) -> Device:
    """Return a new device, not stored yet.

    A second meter is in its sender's zone. Another device of a store of one home belongs to that home, see
    `wattfall up`.
    """
    sender = store.device(sender_of(device_id))
    device = new_device(device_id, sender.timezone if sender else default_zone)
    is_owned = not device.is_second_meter and store.record(MARKS.of(), HOME) is not None
    return replace(device, household=HOME) if is_owned else device


def all_devices(store: Store) -> Iterator[Device]:
    """Yield every device of a store by id, reading a page at a time."""
    return chain.from_iterable(pages(store.devices))


def pages(read: Callable[[str], Sequence[Listed]]) -> Iterator[Sequence[Listed]]:
    """Yield every page of what a store lists by device; `read` takes the device after which a page begins."""
    after = ""
    while page := read(after):
        yield page
        after = page[-1].device_id
