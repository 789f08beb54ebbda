from collections.abc import Iterator

import pytest

from aggregator.store.port import Store
from tests.copies import Copy, Originals, nothing
from tests.dashboard import homes


@pytest.fixture
def store(copy: Copy) -> Store:
    """An empty store."""
    return copy(nothing)


@pytest.fixture
def furnished(copy: Copy) -> Store:
    """A store with homes of all kinds."""
    return copy(homes.furnish)


@pytest.fixture(scope="module")
def homes_to_read(originals: Originals, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with homes of all kinds, for all tests of a module that only read it."""
    with originals.opened(homes.furnish, tmp_path_factory.mktemp("homes") / "homes.db") as opened:
        yield opened
