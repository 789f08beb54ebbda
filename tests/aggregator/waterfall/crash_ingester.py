"""Ingest numbered batches of one device for ever, and pack; print each number when the batch is acknowledged."""

import itertools
import sys
import time

from aggregator.core.periods import FOR_EVER
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store import open_store

START = 1_790_000_000 - 1_790_000_000 % 1800
SIZE = 40  # readings of one batch


def batch(number: int) -> list[Reading]:
    """Return ten-second readings with a register that rises by 3 Wh each."""
    steps = range(number * SIZE, (number + 1) * SIZE)
    return [Reading("crash", START + step * 10, 1080, step * 3, 0) for step in steps]


if __name__ == "__main__":
    store = open_store(sys.argv[1])
    for number in itertools.count(int(sys.argv[2])):
        ingest(store, batch(number), int(time.time()), "Europe/London")
        print(number, flush=True)
        store.pack(FOR_EVER, 5)
