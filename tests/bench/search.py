"""Search times of support staff; run by hand: `python -m tests.bench.search [DEVICES [ON DYNAMODB]]`.

On SQLite first, with 100,000 devices unless said otherwise; then, where a number is given, on DynamoDB with so many
(on the emulator, or the endpoint of WATTFALL_TEST_DYNAMODB_ENDPOINT). With `--store URL` only on that store, which
`tests.bench.fleet` has filled with so many. On DynamoDB with the calls, the read units that the items cost by AWS's
rules (the emulator reckons any query as half a unit), and those that the endpoint reports.
"""

import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from aggregator.core.documents import Device
from aggregator.core.live import Live
from aggregator.store import Store, open_store
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.dynamodb.items import Item, item_size, read_units
from aggregator.store.dynamodb.tables import create_tables, delete_tables, read_url
from aggregator.store.sqlite.sqlite_store import SqliteStore
from tests.contract.conftest import endpoint
from tests.contract.dynamo_clients import Answer, Passing

DEVICES, QUERIES, SHOWN, BATCH = 100_000, 1000, 20, 1000
AIM_S = 0.100
STREETS = ("Road", "Street", "Lane", "Avenue", "Close", "Gardens", "Hill", "Park", "Court", "Terrace")
TREES = ("Acacia", "Oak", "Elm", "Ash", "Yew", "Beech", "Cedar", "Birch", "Willow", "Maple", "Hazel", "Holly", "Lime")
TOWNS = ("SW", "NW", "SE", "LS", "M", "B", "BS", "CF", "EH", "G", "L", "NE", "OX", "CB", "YO")
LETTERS = "ABDEFGHJLNPQRSTUWXYZ"
READS = {"query", "scan", "get_item", "batch_get_item"}


def home(number: int) -> Device:
    """A device of a fleet, always the same; three of four homes have one device, the fourth shares its household."""
    chance = Random(number)
    return Device(
        f"cad-{chance.getrandbits(40):010x}",
        household=f"hh-{number - (number % 4 == 3):06d}",
        name=f"{chance.randrange(1, 200)} {chance.choice(TREES)} {chance.choice(STREETS)}",
        serial=f"GEO{chance.randrange(10**9):09d}",
        meter_point=str(chance.randrange(10**12, 10**13)),
        postcode=f"{chance.choice(TOWNS)}{chance.randrange(1, 30)} {chance.randrange(1, 10)}"
        + "".join(chance.sample(LETTERS, 2)),
    )


def _beginning(text: str, chance: Random) -> str:
    return text[: chance.randrange(2, 14)]


def _end(text: str, chance: Random) -> str:
    return text[-chance.randrange(2, 14) :]


def _two_words(device: Device, chance: Random) -> str:
    return " ".join(chance.sample([*device.name.split(), device.postcode.split()[0]], 2))


KINDS: dict[str, Callable[[Device, Random], str]] = {
    "device id": lambda device, chance: _beginning(device.device_id, chance),
    "device id, its end": lambda device, chance: _end(device.device_id, chance),
    "serial number": lambda device, chance: _beginning(device.serial, chance),
    "serial number, its end": lambda device, chance: _end(device.serial, chance),
    "meter point": lambda device, chance: _beginning(device.meter_point, chance),
    "meter point, its end": lambda device, chance: _end(device.meter_point, chance),
    "household": lambda device, chance: _beginning(device.household, chance),
    "name": lambda device, chance: _beginning(device.name, chance),
    "a word of the name": lambda device, chance: _beginning(chance.choice(device.name.split()), chance),
    "two words": _two_words,
    "postcode": lambda device, chance: _beginning(device.postcode, chance),
    "nobody's": lambda device, chance: _beginning(device.meter_point[::-1] + "00", chance),
}


def live_state(number: int) -> Live:
    """The live state of a device."""
    return Live(home(number).device_id, 1_795_000_200, 1_795_000_202, 431, number, 0, None)


def live_states(count: int) -> list[Live]:
    """A live state of each device."""
    return [live_state(number) for number in range(count)]


class Reckoning(Passing):
    """Reckons what is read; `units` by AWS's rules, the others as the endpoint says."""

    FIGURES = ("calls", "units", "reported")

    def __init__(self, client: AwsDynamoClient) -> None:
        super().__init__(client)
        self.calls = 0
        self.units = self.reported = 0.0

    @property
    def figures(self) -> tuple[float, ...]:
        """Return the counts so far, in the order of FIGURES."""
        return self.calls, self.units, self.reported

    def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        if operation not in READS:
            return super().call(operation, **request)
        answer = super().call(operation, **request, ReturnConsumedCapacity="TOTAL")
        consumed = answer.get("ConsumedCapacity", [])  # the emulator says nothing of batches
        self.calls += 1
        self.reported += sum(one["CapacityUnits"] for one in (consumed if isinstance(consumed, list) else [consumed]))
        if operation == "batch_get_item":
            ((table, asked),) = request["RequestItems"].items()
            is_consistent = asked["ConsistentRead"]
            self.units += sum(_units([item], is_consistent=is_consistent) for item in answer["Responses"][table])
        else:
            found = [answer.get("Item", {})] if operation == "get_item" else answer["Items"]
            self.units += _units(found, is_consistent=bool(request.get("ConsistentRead")))
        return answer


READ_COLUMNS = "".join(f"{name:>10}" for name in Reckoning.FIGURES)


def _units(found: list[Item], *, is_consistent: bool) -> float:
    return read_units(sum(map(item_size, found)), is_consistent=is_consistent)


def row(name: str, work: Callable[[Any], object], asked: Sequence[Any], reckoning: Reckoning | None) -> None:
    """One line: milliseconds, p95 against the aim, this process's own time (others may be at work), and reads."""
    before, cpu, found = reckoning.figures if reckoning else (), time.process_time(), []
    for one in asked:
        start = time.perf_counter()
        work(one)
        found.append(time.perf_counter() - start)
    own = (time.process_time() - cpu) / len(asked)
    p50, p95, worst = (sorted(found)[min(int(len(found) * share), len(found) - 1)] for share in (0.5, 0.95, 1))
    figures = "".join(f"{1000 * figure:10.2f}" for figure in (p50, p95, worst, own))
    print(f"{name:28}{figures}{p95 / AIM_S:10.2f}{reads(reckoning, before, len(asked))}", flush=True)


def reads(reckoning: Reckoning | None, before: Sequence[float], count: int) -> str:
    """The end of a line: what each of `count` has read, since the figures were those `before`."""
    now = reckoning.figures if reckoning else ()
    return "".join(f"{(after - figure) / count:10.2f}" for figure, after in zip(before, now, strict=True))


def fill(store: Store, count: int, batch: int) -> None:
    """Put the fleet, so many devices in one transaction."""
    start = time.perf_counter()
    for first in range(0, count, batch):
        with store.transaction():
            for number in range(first, min(first + batch, count)):
                store.put_device(home(number))
    took = time.perf_counter() - start
    print(f"\n{count:,} devices put in {took:.1f} s, {1000 * took / count:.2f} ms each, {batch} at once")


def look(store: Store, count: int, queries: int, reckoning: Reckoning | None = None) -> None:
    """Measure every kind of query, then the other ways in."""
    columns = "".join(f"{name:>10}" for name in ("p50 ms", "p95 ms", "max ms", "mean CPU", "p95/aim"))
    print(f"{'':28}{columns}{READ_COLUMNS if reckoning else ''}")
    chance = Random(7)
    devices = [home(chance.randrange(count)) for _ in range(queries)]
    for name, typed in KINDS.items():
        row(name, lambda text: store.find_devices(text, SHOWN), [typed(one, chance) for one in devices], reckoning)
    common = ["road 1", "1 oak", "cad hh"]
    row("two of the commonest words", lambda text: store.find_devices(text, SHOWN), common, reckoning)
    row("devices of a household", store.household_devices, [one.household for one in devices], reckoning)
    row("a device put that is there", store.put_device, devices[:100], None)


@contextmanager
def on_sqlite() -> Iterator[tuple[SqliteStore, Path]]:
    """An empty store, and its file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wattfall.db"
        with closing(SqliteStore(str(path))) as store:
            yield store, path


@contextmanager
def on(url: str) -> Iterator[tuple[Store, Reckoning | None]]:
    """The store of a URL, and what reckons its reads, if they cost anything."""
    if not url.startswith("dynamodb:"):
        with closing(open_store(url)) as store:
            yield store, None
        return
    address = read_url(url)
    reckoning = Reckoning(AwsDynamoClient(address.region))
    with closing(DynamoStore(reckoning, address.prefix, address.retention_days, address.pace_s)) as store:
        yield store, reckoning


def size(path: Path) -> float:
    """MB of a store's file and its log."""
    return sum(part.stat().st_size for part in path.parent.iterdir()) / 1e6


def sqlite(count: int) -> None:
    """The embedded store."""
    with on_sqlite() as (store, path):
        fill(store, count, BATCH)
        terms, letters = store._one("SELECT count(*), sum(length(term)) FROM device_terms")
        print(f"{size(path):.1f} MB, {terms / count:.1f} terms a device of {letters / terms:.1f} characters")
        start = time.perf_counter()
        store.put_live(live_states(count))
        print(f"live states put in {time.perf_counter() - start:.1f} s; then {size(path):.1f} MB")
        look(store, count, QUERIES)


def dynamodb(count: int) -> None:
    """The store on DynamoDB."""
    with endpoint() as environ, pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        client, prefix = AwsDynamoClient(None), f"bench{uuid4().hex[:8]}"
        list(create_tables(client, prefix))
        reckoning = Reckoning(client)
        with closing(DynamoStore(client, prefix)) as writer, closing(DynamoStore(reckoning, prefix)) as reader:
            fill(writer, count, 1)
            writer.put_live(live_states(count))
            look(reader, count, QUERIES // 10, reckoning)
        list(delete_tables(client, prefix))


def main() -> None:
    """Print the tables."""
    parser = ArgumentParser()
    parser.add_argument("counts", nargs="*", type=int, default=[DEVICES])
    parser.add_argument("--store", metavar="URL")
    asked = parser.parse_args()
    if asked.store:
        with on(asked.store) as (store, reckoning):
            look(store, asked.counts[0], QUERIES // 10, reckoning)
        return
    sqlite(asked.counts[0])
    if asked.counts[1:]:
        dynamodb(asked.counts[1])


if __name__ == "__main__":
    main()
