"""Fills a store on DynamoDB with the fleet of `search`; run by hand: `python -m tests.bench.fleet URL [DEVICES]`.

By batches, in processes side by side: one by one, 100,000 devices take an hour. What is there afterwards is what
`put_device` leaves, which is checked with some.
"""

from argparse import ArgumentParser
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from itertools import repeat

from aggregator.core.documents import Device
from aggregator.store import search
from aggregator.store.dynamodb import device_index, dynamo_client, items, live_and_records
from aggregator.store.dynamodb.device_index import device_update
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.dynamodb.items import Item
from aggregator.store.dynamodb.tables import create_tables, read_url
from tests.bench.search import DEVICES, home, live_state

PROCESSES, CHUNK, CHECKED = 2, 500, 20


def device_item(device: Device) -> Item:
    """The item of a device that is wholly in the index."""
    values = device_update(device)["ExpressionAttributeValues"]
    return {"d": items.text(device.device_id), "f": items.number(1)} | {name[1:]: values[name] for name in values}


def term_items(device: Device) -> list[Item]:
    """Return the search terms of a device."""
    return [device_index._key(term, device.device_id) for term in search.terms(device)]


def fill(url: str, numbers: range) -> int:
    """Put devices of the fleet, and their live states. Returns how many items that are."""
    address = read_url(url)
    homes = [home(number) for number in numbers]
    tables = {
        "devices": [device_item(device) for device in homes],
        "live": [live_and_records.pack_live(live_state(number)) for number in numbers],
        "records": [item for device in homes for item in term_items(device)],
    }
    with closing(AwsDynamoClient(address.region)) as client:
        for table, rows in tables.items():
            dynamo_client.write_items(
                client, f"{address.prefix}-{table}", ({"PutRequest": {"Item": row}} for row in rows)
            )
    return sum(map(len, tables.values()))


def check(url: str, numbers: Iterable[int]) -> None:
    """Raises AssertionError where `put_device` would leave something else."""
    address = read_url(url)
    client = AwsDynamoClient(address.region)
    name = f"{address.prefix}-devices"
    with closing(DynamoStore(client, address.prefix)) as store:
        for number in numbers:
            device = home(number)
            key = {"d": items.text(device.device_id)}
            before = client.call("get_item", TableName=name, Key=key, ConsistentRead=True)["Item"]
            store.put_device(device)
            assert before == client.call("get_item", TableName=name, Key=key, ConsistentRead=True)["Item"], device
            found = dynamo_client.read_items(
                client, f"{address.prefix}-records", term_items(device), is_consistent=True
            )
            assert len(found) == len(search.terms(device)), device


def main() -> None:
    """Make the tables where they are missing, and fill them."""
    parser = ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("count", nargs="?", type=int, default=DEVICES)
    asked = parser.parse_args()
    address = read_url(asked.url)
    list(create_tables(AwsDynamoClient(address.region), address.prefix))
    parts = [range(first, min(first + CHUNK, asked.count)) for first in range(0, asked.count, CHUNK)]
    with ProcessPoolExecutor(PROCESSES) as pool:
        count = sum(pool.map(fill, repeat(asked.url), parts))
    check(asked.url, range(0, asked.count, -(-asked.count // CHECKED)))
    print(f"{asked.count:,} devices put as {count:,} items")


if __name__ == "__main__":
    main()
