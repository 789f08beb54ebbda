"""Which devices somebody is looking at, so that those that send half hours show their power only while it is seen.

| shelf | key | body |
|---|---|---|
| `edges` | device | that it sends half hours; `{}` |
| `watched` | device | that somebody is looking; `{}` |
"""

from aggregator.core.periods import DAY_S
from aggregator.store.port import Store

LOOK_S = 60  # a look is known for so long; a page that stays open looks again
EDGE_S = 7 * DAY_S


def note_edge(store: Store, device_id: str, now: int) -> None:
    """Note that a device sends half hours; written once, while it is known still."""
    if store.record("edges", device_id) is None:
        store.put_record("edges", device_id, "{}", expires=now + EDGE_S)


def note_look(store: Store, device_id: str, now: int) -> bool:
    """Note that somebody is looking at a device; False, and nothing is kept, for one that sends its power anyway."""
    if store.record("edges", device_id) is None:
        return False
    store.put_record("watched", device_id, "{}", expires=now + LOOK_S)
    return True


def is_watched(store: Store, device_id: str) -> bool:
    """Whether somebody is looking at a device."""
    return store.record("watched", device_id) is not None
