"""For all tests: budgets, a quick disk, apps that are quick to make, stores that are filled once, and their workers."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from werkzeug.routing import Rule

from aggregator.core import periods
from aggregator.store import Store
from tests.budgets import load_profile
from tests.copies import Copy, Fill, Originals, quick_disk

TESTS = Path(__file__).parent
ROOMS_OF_ONE_WORKER = ("browser", "contract")  # what they start is costly: Chromium and its server, the emulator

load_profile()

if disk := quick_disk():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(disk))  # where pytest makes `tmp_path`


def compiled_once(compile_builder: Callable[..., Any]) -> Callable[..., Any]:
    """Werkzeug compiles two functions a route, which takes most of making an app: the same for the same route."""
    compiled: dict[tuple[object, ...], Any] = {}

    def builder(rule: Rule, append_unknown: bool = True) -> Any:  # noqa: ANN401 - werkzeug's
        if rule.defaults:
            return compile_builder(rule, append_unknown)
        key = (rule.rule, tuple(rule._trace), append_unknown)
        if key not in compiled:
            compiled[key] = compile_builder(rule, append_unknown)
        return compiled[key]

    return builder


@pytest.fixture(scope="session", autouse=True)
def quick_apps() -> Iterator[None]:
    """Each test makes an app of its own; what is the same for all of them is computed once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", compiled_once(Rule._compile_builder))
        patch.setattr(periods, "available_timezones", cache(periods.__dict__["available_timezones"]))
        yield


@pytest.hookimpl(tryfirst=True)  # xdist then reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests on one worker, for its fixtures; of a costly room all files."""
    for item in items:
        room = item.path.relative_to(TESTS).parts[0]
        item.add_marker(pytest.mark.xdist_group(room if room in ROOMS_OF_ONE_WORKER else item.path.stem))


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
