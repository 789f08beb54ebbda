"""A half hour from the edge is one write of the readings table, and comes to what its readings come to one by one."""

from collections.abc import Sequence
from itertools import permutations

from aggregator.core.periods import HALF_HOUR
from aggregator.core.readings import Reading
from aggregator.intake.formats import canonical
from aggregator.intake.formats.message import Origin
from aggregator.intake.ingest import Received, ingest, take_in
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient
from aggregator.store.port import Store
from aggregator.waterfall.worker import drain
from tests.contract.conftest import MEMORY, Another, in_memory, store_on
from tests.contract.dynamo_clients import Counting

START = 1_795_000_200 - 1_795_000_200 % HALF_HOUR
NOW = START + 2 * HALF_HOUR
READINGS = [
    Reading("cad-1", at, at % 3000, 4_120_317 + (at - START) // 9, 12_004, "23W1234567")
    for at in range(START, START + HALF_HOUR, 10)
]


def send(store: Store, readings: Sequence[Reading]) -> None:
    content = canonical.parse_block(canonical.encode_block(readings), Origin("cad-1", NOW))
    take_in(store, [Received("cad-1", content)], NOW, "Europe/London")


def test_a_half_hour_of_180_readings_is_one_write(client: AwsDynamoClient, prefix: str) -> None:
    counting = Counting(client)
    store = store_on(counting, prefix)
    send(store, READINGS)
    assert counting.writes["readings"] == 1
    assert store.readings("cad-1", START, START) == READINGS
    send(store, READINGS)
    assert counting.writes["readings"] == 2
    store.close()


def test_its_documents_are_those_of_180_single_readings(another: Another) -> None:
    batched = another()
    send(batched, READINGS)
    drain(batched)
    single = store_on(in_memory(), MEMORY)
    for reading in READINGS[::-1]:
        ingest(single, [reading], NOW, "Europe/London")
    drain(single)
    for level, period in (("day", "2026-11-18"), ("month", "2026-11"), ("year", "2026")):
        document = single.document(level, "cad-1", period)
        assert document is not None
        assert document.total.import_wh
        assert document == batched.document(level, "cad-1", period)
    single.close()


def test_a_block_and_single_readings_in_any_order_come_to_the_same(another: Another) -> None:
    """A bridge sends parts of some readings live, and the half hour later; or the half hour first."""
    powers = [Reading("cad-1", one.at, one.power_w, None, None) for one in READINGS[::20]]
    blocks = [one._replace(power_w=None) for one in READINGS[::20]]
    store = another()
    for number, order in enumerate(permutations([powers, blocks, READINGS[5::7]])):
        device_id = f"cad-{number + 1}"
        own = [[one._replace(device_id=device_id) for one in some] for some in order]
        for some in own:
            content = canonical.parse_block(canonical.encode_block(some), Origin(device_id, NOW))
            take_in(store, [Received(device_id, content)], NOW, "Europe/London")
        sent = {one.at for some in own for one in some}
        expected = [one._replace(device_id=device_id) for one in READINGS if one.at in sent]
        assert store.readings(device_id, START, START) == expected
