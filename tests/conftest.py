"""For all tests: the examples of hypothesis, a quick disk, and stores that are filled once."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from aggregator.store import Store
from tests.budgets import load_profile
from tests.copies import Copy, Fill, Originals, quick_disk

load_profile()

if disk := quick_disk():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(disk))  # where pytest makes `tmp_path`


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Originals:
    return Originals(tmp_path_factory.mktemp("originals"))


@pytest.fixture
def copy(originals: Originals, tmp_path: Path) -> Iterator[Copy]:
    """A store as a function fills it, in a file of the test's own."""
    with ExitStack() as opened:

        def copied(fill: Fill) -> Store:
            return opened.enter_context(originals.opened(fill, tmp_path / "homes.db"))

        yield copied
