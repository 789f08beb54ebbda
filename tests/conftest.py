"""For all tests: budgets, a quick disk, apps that are quick to make, stores that are filled once, and their workers."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from werkzeug.routing import Rule
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from aggregator.core import periods
from aggregator.store import Store
from tests.budgets import load_profile
from tests.copies import Copy, Fill, Originals, quick_disk

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


class ByRoom(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Keeps a file's tests on one worker, for its fixtures; of a costly room all files. The largest come first."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        room = path.split("/")[1]
        return room if room in ROOMS_OF_ONE_WORKER else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByRoom:
    """Xdist's own groups (`--dist=loadgroup`) are not heard by pytest 9.2."""
    return ByRoom(config, log)


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
