import pytest

from aggregator.store.port import Store
from tests.copies import Copy, nothing
from tests.dashboard import homes


@pytest.fixture
def store(copy: Copy) -> Store:
    """An empty store."""
    return copy(nothing)


@pytest.fixture
def furnished(copy: Copy) -> Store:
    """A store with homes of all kinds."""
    return copy(homes.furnish)
