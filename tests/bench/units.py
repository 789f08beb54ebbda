"""Write and read units a reading on DynamoDB, as the endpoint reports them (ReturnConsumedCapacity).

Run by hand: `python -m tests.bench.units`. One home at a reading every 10 s, in the middle of its day, with a
worker that carries days at once and months and years every 5 minutes.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from aggregator.emulator import emulator
from aggregator.ingest import ingest
from aggregator.readings import Reading
from aggregator.store.aws import AwsDoor, Door
from aggregator.store.dynamodb import DynamoStore
from aggregator.store.provision import create_tables
from aggregator.worker import drain

HOME = "0CA2F400008A1234"  # as Glow names a device
TICK_S, PACE_S = 10, 300
READINGS = 180  # a half hour of them
CASES = {"one call a reading": 1, "60 s batches": 6, "5 min batches": 30, "half-hour blocks": READINGS}
AIMS = {"60 s batches": 0.60, "5 min batches": 0.20, "half-hour blocks": 0.05}  # write units a reading, but for live
WRITES = {"update_item", "put_item", "delete_item"}


class Metered:
    """A door that adds up consumed units, by table; writes and reads apart."""

    def __init__(self, door: Door) -> None:
        self.door, self.region = door, door.region
        self.writes: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()

    def call(self, operation: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - as boto3 takes it
        is_write = operation in WRITES
        if not is_write and operation not in {"get_item", "query", "scan"}:
            return self.door.call(operation, **request)
        answer = self.door.call(operation, **request, ReturnConsumedCapacity="TOTAL")
        table = request["TableName"].rsplit("-", 1)[1]
        (self.writes if is_write else self.reads)[table] += answer["ConsumedCapacity"]["CapacityUnits"]
        return answer


class Clock:
    """Time as the readings let it pass."""

    def __init__(self) -> None:
        self.now = time.time() // 1800 * 1800

    def __call__(self) -> float:
        return self.now


def series(first: int, last: int, *, is_solar: bool) -> Iterator[Reading]:
    """A home of some 800 W with 23 MWh behind it, that gives as much where it is solar."""
    for at in range(first, last, TICK_S):
        wh = (at % 10_000_000) // 9
        power = 350 + (at * 7919) % 900
        yield Reading(HOME, at, power, 23_456_789 + wh, 4_345_678 + wh if is_solar else 0)


def measure(door: Door, prefix: str, batch: int, *, is_solar: bool) -> Metered:
    """What one half hour costs, by table, after ten hours of the same."""
    list(create_tables(door, prefix))
    clock, metered = Clock(), Metered(door)
    start = int(clock.now)
    store = DynamoStore(metered, prefix, pace_s=PACE_S, clock=clock)
    ingest(store, series(start - 36_000, start, is_solar=is_solar), start, "Europe/London")
    drain(store)
    store.follow()
    drain(store)
    metered.writes.clear()
    metered.reads.clear()
    readings = list(series(start, start + 1800, is_solar=is_solar))
    for first in range(0, READINGS, batch):
        clock.now += batch * TICK_S
        ingest(store, readings[first : first + batch], int(clock.now), "Europe/London")
        drain(store)
    clock.now += PACE_S
    drain(store)
    store.close()
    return metered


def below_live(metered: Metered) -> float:
    """Write units a reading of what each home costs, live state aside."""
    return sum(metered.writes[table] for table in ("readings", "days", "months", "years", "devices")) / READINGS


def main() -> None:
    """Print the table."""
    tables = ("live", "readings", "days", "months", "years", "devices", "checkpoints")
    with emulator() as endpoint:
        os.environ.update(endpoint.environ)
        door = AwsDoor(None)
        for is_solar in (False, True):
            print(f"\nunits a reading, {'import and export' if is_solar else 'import alone'}")
            print(f"{'':20}{'but live':>10}", *(f"{table:>12}" for table in tables), f"{'reads':>12}", sep="")
            for number, (name, batch) in enumerate(CASES.items()):
                metered = measure(door, f"bench{number}-{is_solar}", batch, is_solar=is_solar)
                units = [*(metered.writes[table] for table in tables), metered.reads.total()]
                print(f"{name:20}{below_live(metered):10.3f}", *(f"{unit / READINGS:12.3f}" for unit in units), sep="")


if __name__ == "__main__":
    main()
