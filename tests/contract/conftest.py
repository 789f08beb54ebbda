"""Stores on a DynamoDB endpoint: the emulator's, or any other that WATTFALL_TEST_DYNAMODB_ENDPOINT names."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from aggregator.aws.deployment import emulator
from aggregator.store import Store
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient, DynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.dynamodb.tables import create_tables, delete_tables, table_request
from aggregator.store.dynamodb.tables import tables as all_tables
from aggregator.store.sqlite.sqlite_store import SqliteStore
from tests.contract.memory_client import MemoryClient

ENDPOINT = "WATTFALL_TEST_DYNAMODB_ENDPOINT"
MEMORY = "memory"  # the prefix of tables in this process
KEEP = 36_500  # days; the readings of tests are of any year

Tables = Callable[[], AbstractContextManager[str]]


@contextmanager
def endpoint() -> Iterator[dict[str, str]]:
    """The variables that lead to the endpoint."""
    if named := os.environ.get(ENDPOINT):
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-west-2"}
        yield {name: value for name, value in keys.items() if name not in os.environ} | {"AWS_ENDPOINT_URL": named}
        return
    with emulator() as own:
        yield dict(own.environ)


@pytest.fixture(scope="session")
def environ() -> Iterator[dict[str, str]]:
    """The variables that lead to the endpoint, for a process of its own."""
    with endpoint() as variables:
        yield variables


@pytest.fixture(scope="session")
def client(environ: dict[str, str]) -> Iterator[AwsDynamoClient]:
    """The way to the endpoint."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        made = AwsDynamoClient(None)
        made.call("list_tables", Limit=1)
        yield made
    made.close()


@pytest.fixture(scope="session")
def tables(client: AwsDynamoClient) -> Tables:
    """Fresh tables, by their prefix; gone afterwards."""

    @contextmanager
    def fresh() -> Iterator[str]:
        prefix = f"test-{uuid4().hex[:12]}"
        if ENDPOINT in os.environ:
            list(create_tables(client, prefix))
            yield prefix
            list(delete_tables(client, prefix))
            return
        for table in all_tables():  # the emulator has them at once, and is thrown away as a whole
            client.call("create_table", **table_request(prefix, table))
        yield prefix

    return fresh


def in_memory(prefix: str = MEMORY) -> MemoryClient:
    """A client of tables of its own, in this process, for tests of many stores."""
    client = MemoryClient()
    for table in all_tables():
        client.call("create_table", **table_request(prefix, table))
    return client


@pytest.fixture
def prefix(tables: Tables) -> Iterator[str]:
    with tables() as fresh:
        yield fresh


def store_on(client: DynamoClient, prefix: str) -> DynamoStore:
    """A store that carries on whatever is there, at once."""
    return DynamoStore(client, prefix, KEEP, pace_s=0)


@pytest.fixture
def store(client: AwsDynamoClient, prefix: str) -> Iterator[DynamoStore]:
    made = store_on(client, prefix)
    yield made
    made.close()


@dataclass
class Clock:
    """A clock that goes when it is told to."""

    now: float = 1_795_000_200.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


Another = Callable[[], Store]


@pytest.fixture(params=["sqlite", "dynamodb", "memory"])
def another(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Another]:
    """Opens the same store once more, as another process does."""
    opened: list[Store] = []
    memory = in_memory()

    def on_sqlite() -> Store:
        return SqliteStore(str(tmp_path / "wattfall.db"), clock)

    def on_dynamodb() -> Store:
        return DynamoStore(request.getfixturevalue("client"), request.getfixturevalue("prefix"), KEEP, 0, clock)

    def on_memory() -> Store:
        return DynamoStore(memory, MEMORY, KEEP, 0, clock)

    kinds = {"sqlite": on_sqlite, "dynamodb": on_dynamodb, "memory": on_memory}

    def another() -> Store:
        opened.append(kinds[request.param]())
        return opened[-1]

    yield another
    for one in opened:
        one.close()


@pytest.fixture
def either(another: Another) -> Store:
    """A store of each kind."""
    return another()
