"""One answer to whether a device sends: on its page, on its card, at the desk, in the fleet and at the command line."""

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner
from flask import Flask
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aggregator.core.documents import Device
from aggregator.core.live import Live
from aggregator.core.periods import HOUR
from aggregator.store import Store, open_store
from aggregator.support.diagnostics import diagnose
from aggregator.support.fleet import summary, take_census
from dashboard.commands.main import main
from dashboard.pages.household import page_callbacks
from dashboard.pages.support import health_view
from dashboard.text.language import ENGLISH
from dashboard.web.cache import open_cache
from dashboard.web.cached_reads import CachedReads
from tests.dashboard import homes
from tests.dashboard.people import MEMBER

NOW = int(time.time())  # records expire by the store's own clock
RHYTHMS = st.sampled_from([1, 10, 19, 60, 300, 900, 1800, HOUR, 2 * HOUR]) | st.integers(1, 2 * HOUR)
AGES = st.sampled_from([0, 60, 61, 120, 121, 600, 601, HOUR, 86_400]) | st.integers(0, 100_000)
NEAR = st.builds(
    lambda rhythm, factor, after: (rhythm, factor * rhythm + after),
    RHYTHMS,
    st.sampled_from([1, 3, 6]),
    st.integers(0, 1),
)


def arrive(store: Store, rhythm: int, age: int) -> Device:
    """A device that has sent in a rhythm, and has been silent for `age` seconds."""
    device = Device("cad-1", "UTC", household=homes.HOUSEHOLD)
    store.put_device(device)
    for back in range(9, -1, -1):
        at = NOW - age - back * rhythm
        store.put_live([Live("cad-1", at - 3, at, 612, None, None, None)])
    return device


def printed(*arguments: str) -> dict[str, object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: NOW)
        answer: dict[str, object] = json.loads(CliRunner().invoke(main, arguments, catch_exceptions=False).stdout)
    return answer


def everywhere(store: Store, url: str, device: Device) -> dict[str, object]:
    """The state of a device by where it is told."""
    data = CachedReads(store, open_cache(Flask(__name__), ""), lambda: NOW)
    card = repr(page_callbacks.home_content(data, MEMBER, ENGLISH))
    found = diagnose(store, device, NOW)
    take_census(store, NOW, None)
    census = summary(store)
    assert census
    (counted,) = (state for state, count in census.states.items() if count)
    inspected = printed("inspect", "cad-1", "--store", url)["judgement"]
    assert isinstance(inspected, dict)
    fleet = printed("fleet", "--json", "--store", url)["states"]
    assert isinstance(fleet, dict)
    return {
        "page": page_callbacks.live_slots(data, device, None, ENGLISH)["hero.data-state"],
        "card": next(state for state in health_view.STATES if f"data-state='{state}'" in card),
        "roll call": next(state for state in health_view.STATES if f"'1 {state}'" in card),
        "desk": found.judgement.state,
        "desk's words": health_view.sending(found, ENGLISH).answer.short.split()[0].lower(),
        "fleet": counted.partition("_")[0],
        "show": printed("show", "live", "cad-1", "--json", "--store", url)["state"],
        "inspect": inspected["state"],
        "fleet command": next(state for state, count in fleet.items() if count).partition("_")[0],
    }


@settings(max_examples=12, deadline=None)
@given(st.tuples(RHYTHMS, AGES) | NEAR)
@example((10, 61))
@example((300, 200))  # was: page late, desk sending, fleet late
@example((1800, 1200))  # was: page silent, desk sending, fleet silent_10_minutes
@example((1800, 3 * 1800 + 1))
@example((1800, 6 * 1800 + 1))
def test_a_device_has_one_state_wherever_it_is_told(rhythm_and_age: tuple[int, int]) -> None:
    rhythm, age = rhythm_and_age
    state = "sending" if age <= max(3 * rhythm, 60) else "late" if age <= max(6 * rhythm, 600) else "silent"
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'wattfall.db'}"
        store = open_store(url)
        device = arrive(store, rhythm, age)
        told = everywhere(store, url, device)
        store.close()
    assert told == dict.fromkeys(told, state)
