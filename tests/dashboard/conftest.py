from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregator.store import open_store
from aggregator.store.base import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/homes.db")
    yield opened
    opened.close()
