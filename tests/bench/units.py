"""Write and read units a reading on DynamoDB, as the endpoint reports them (ReturnConsumedCapacity).

Run by hand: `python -m tests.bench.units`. One home at a reading every 10 s, in the last half hour of its day, when
the day's item is largest, with a worker that carries days at once and months and years every 5 minutes. The largest of
all, of a home with export and half-hourly prices, then takes 1 KB and a little: a second unit, for the last hour or so.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import uuid4

from aggregator.aws.deployment import emulator
from aggregator.core.documents import Device
from aggregator.core.periods import DAY_S
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient, DynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.dynamodb.tables import create_tables
from aggregator.tariffs.rates import Series
from aggregator.tariffs.tariff import tariff_from_json
from aggregator.waterfall.pricing import tariff_to_text
from aggregator.waterfall.worker import drain

HOME = "0CA2F400008A1234"  # as Glow names a device
TICK_S, PACE_S = 10, 300
READINGS = 180  # a half hour of them
CASES = {"one call a reading": 1, "60 s batches": 6, "5 min batches": 30, "half-hour blocks": READINGS}
AIMS = {"60 s batches": 0.60, "5 min batches": 0.20, "half-hour blocks": 0.05}  # write units a reading, but for live
NIGHT_RATE = [
    {"from": "00:30", "to": "07:30", "rate": "0.0850"},
    {"from": "07:30", "to": "00:30", "rate": "0.3012"},
]
WRITES = {"update_item", "put_item", "delete_item"}


class Home(NamedTuple):
    """The options that make a home's items larger."""

    name: str
    is_solar: bool
    rates: object = None  # of import and export, as a tariff writes them


HOMES = (
    Home("import alone", is_solar=False),
    Home("import alone, with a night rate", is_solar=False, rates=NIGHT_RATE),
    Home("import alone, with half-hourly prices", is_solar=False, rates="half-hourly"),
    Home("import and export", is_solar=True),
    Home("import and export, with a night rate", is_solar=True, rates=NIGHT_RATE),
    Home("import and export, with half-hourly prices", is_solar=True, rates="half-hourly"),
)


class Metered:
    """A client that adds up consumed units, by table; writes and reads apart."""

    def __init__(self, client: DynamoClient) -> None:
        self.client, self.region = client, client.region
        self.writes: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()

    def call(self, operation: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - as boto3 takes it
        is_write = operation in WRITES
        if not is_write and operation not in {"get_item", "query", "scan"}:
            return self.client.call(operation, **request)
        answer = self.client.call(operation, **request, ReturnConsumedCapacity="TOTAL")
        table = request["TableName"].rsplit("-", 1)[1]
        (self.writes if is_write else self.reads)[table] += answer["ConsumedCapacity"]["CapacityUnits"]
        return answer


class Clock:
    """Time as the readings let it pass, up to so long before the end of a day."""

    def __init__(self, left_s: int) -> None:
        self.now = time.time() // DAY_S * DAY_S - 1800 - left_s

    def __call__(self) -> float:
        return self.now


def series(first: int, last: int, *, is_solar: bool) -> Iterator[Reading]:
    """A home of some 800 W with 23 MWh behind it, that gives as much where it is solar."""
    for at in range(first, last, TICK_S):
        wh = (at % 10_000_000) // 9
        power = 350 + (at * 7919) % 900
        yield Reading(HOME, at, power, 23_456_789 + wh, 4_345_678 + wh if is_solar else 0)


def tariff(rates: object) -> str:
    """A tariff as the registry keeps it; empty for no rates."""
    if not rates:
        return ""
    version = {"from": "2020-01-01", "import": rates, "export": rates, "standing_charge": "0.5310"}
    return tariff_to_text(tariff_from_json({"currency": "GBP", "versions": [version]}))


def prices(first: int, last: int) -> Series:
    """Half-hourly prices of four decimal places, as they are published."""
    found = {at: Decimal(at * 7919 % 3571 + 100) / 10_000 for at in range(first, last, 1800)}
    return Series(found, found)


def measure(client: DynamoClient, prefix: str, batch: int, home: Home, left_s: int = 0) -> Metered:
    """Measure the last half hour of a day, by table, or one `left_s` before the day's end."""
    list(create_tables(client, prefix))
    clock, metered = Clock(left_s), Metered(client)
    start = int(clock.now)
    store = DynamoStore(metered, prefix, pace_s=PACE_S, clock=clock)
    store.put_device(Device(HOME, "UTC", tariff=tariff(home.rates)))
    store.put_prices(HOME, prices(start - DAY_S, start + DAY_S))
    ingest(store, series(start - DAY_S + 1800, start, is_solar=home.is_solar), start, "UTC")
    drain(store)
    store.follow()
    drain(store)
    metered.writes.clear()
    metered.reads.clear()
    readings = list(series(start, start + 1800, is_solar=home.is_solar))
    for first in range(0, READINGS, batch):
        clock.now += batch * TICK_S
        ingest(store, readings[first : first + batch], int(clock.now), "UTC")
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
        client = AwsDynamoClient(None)
        for home in HOMES:
            print(f"\nunits a reading, {home.name}")
            print(f"{'':20}{'but live':>10}", *(f"{table:>12}" for table in tables), f"{'reads':>12}", sep="")
            for name, batch in CASES.items():
                metered = measure(client, f"bench{uuid4().hex[:8]}", batch, home)
                units = [*(metered.writes[table] for table in tables), metered.reads.total()]
                print(f"{name:20}{below_live(metered):10.3f}", *(f"{unit / READINGS:12.3f}" for unit in units), sep="")


if __name__ == "__main__":
    main()
