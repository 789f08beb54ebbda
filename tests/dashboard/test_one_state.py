"""One answer to whether a device sends: on its page, on its card, at the desk, in the fleet and at the command line."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st

from aggregator.core.documents import Device
from aggregator.core.errors import Refused
from aggregator.core.live import Live
from aggregator.core.periods import HOUR
from aggregator.core.status import Status
from aggregator.intake import refusals
from aggregator.intake.device_status import put_statuses
from aggregator.store import Store, open_store
from aggregator.support.diagnostics import diagnose
from aggregator.support.fleet import summary, take_census
from dashboard.commands.main import main
from dashboard.pages.household import page_callbacks, start_page
from dashboard.pages.support import health_view
from dashboard.text.language import ENGLISH
from dashboard.web.cache import open_cache
from dashboard.web.cached_reads import CachedReads
from tests.budgets import examples
from tests.copies import empty_file, quick_disk
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
PLAIN = Device("cad-1", "UTC", household=homes.HOUSEHOLD)


class Case(NamedTuple):
    """A device, the ages of its arrivals in seconds, oldest first, and what else comes from it."""

    device: Device
    ages: Sequence[int] = ()
    power_w: int | None = 612
    behind_s: int = 3  # of the meter's clock
    status_age: int | None = None
    is_refused: bool = False

    @property
    def state(self) -> str:
        """The state by the sum of the README: three and six times the median of the last eight steps."""
        if not self.ages:
            return "supplied" if self.device.longest_interval_s else "never"
        steps = sorted(min(before - after, 2 * HOUR) for before, after in pairwise(self.ages[-9:]))
        rhythm = max(steps[(len(steps) - 1) // 2], 1) if steps else 10
        age = self.ages[-1]
        return "sending" if age <= max(3 * rhythm, 60) else "late" if age <= max(6 * rhythm, 600) else "silent"


def regular(rhythm: int, age: int) -> Case:
    """A device that has sent in a rhythm, and has been silent for `age` seconds."""
    return Case(PLAIN, [age + back * rhythm for back in range(9, -1, -1)])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A device of any kind: with arrivals in one or two rhythms, with intervals of a supplier, with both, or new."""
    kind, longest = draw(st.sampled_from(["electricity", "gas", "generation"])), draw(st.sampled_from([0, 1800, 3600]))
    rhythm, age = draw(st.tuples(RHYTHMS, AGES) | NEAR)
    steps = draw(st.lists(st.sampled_from([rhythm, rhythm, 10, 2 * HOUR, 9 * HOUR]), max_size=12))
    ages = list(accumulate([age, *steps]))[::-1]
    return Case(
        replace(PLAIN, kind=kind, longest_interval_s=longest),
        draw(st.sampled_from([ages, ages, ()])),
        draw(st.sampled_from([612, -900, None])),
        draw(st.sampled_from([0, 3, 4000])),
        draw(st.sampled_from([None, 5, 50_000])),
        draw(st.booleans()),
    )


def happen(store: Store, case: Case) -> None:
    """Let all that a case tells of come in."""
    store.put_device(case.device)
    for age in case.ages:
        at = NOW - age
        store.put_live([Live("cad-1", at - case.behind_s, at, case.power_w, None, None, None)])
    if case.status_age is not None:
        at = NOW - case.status_age
        put_statuses(store, [Status("cad-1", at, -70, None, "v1", None, None)], at)
    if case.is_refused:
        batch = refusals.Batch()
        batch.add(b"?", Refused("malformed_json", "?"), NOW - 1, "cad-1")
        refusals.put_refusals(store, batch, NOW - 1)


def printed(*arguments: str) -> dict[str, object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: NOW)
        answer: dict[str, object] = json.loads(CliRunner().invoke(main, arguments, catch_exceptions=False).stdout)
    return answer


def everywhere(store: Store, url: str, device: Device) -> dict[str, object]:
    """The state of a device by where it is told."""
    data = CachedReads(store, open_cache(Flask(__name__), ""), lambda: NOW)
    card = repr(start_page.home_content(data, MEMBER, ENGLISH))
    found = diagnose(store, device, NOW)
    take_census(store, NOW, None)
    census = summary(store)
    assert census
    (counted,) = (state for state, count in census.states.items() if count)
    inspected = printed("inspect", "cad-1", "--store", url)["judgement"]
    assert isinstance(inspected, dict)
    fleet = printed("fleet", "--json", "--store", url)["states"]
    assert isinstance(fleet, dict)
    words = {"supplied": "1 from the supplier", "never": "1 waiting for"}
    live = {"show": printed("show", "live", "cad-1", "--json", "--store", url)["state"]} if found.live else {}
    return {
        "page": page_callbacks.live_slots(data, device, None, ENGLISH)["hero.data-state"],
        "card": next(state for state in health_view.STATES if f"data-state='{state}'" in card),
        "roll call": next(state for state in health_view.STATES if f"'{words.get(state, f'1 {state}')}" in card),
        "desk": found.judgement.state,
        "desk's words": health_view.sending(found, ENGLISH).answer.short.split()[0].lower(),
        "fleet": counted.partition("_")[0],
        "inspect": inspected["state"],
        "fleet command": next(state for state, count in fleet.items() if count).partition("_")[0],
        **live,
    }


@examples(40)
@given(cases())
@example(regular(10, 61))
@example(regular(300, 200))  # was: page late, desk sending, fleet late
@example(regular(1800, 1200))  # was: page silent, desk sending, fleet silent_10_minutes
@example(regular(1800, 3 * 1800 + 1))
@example(regular(1800, 6 * 1800 + 1))
@example(Case(replace(PLAIN, longest_interval_s=1800)))  # was: page from the supplier, desk never heard
@example(Case(PLAIN, is_refused=True, status_age=5))
def test_a_device_has_one_state_wherever_it_is_told(case: Case) -> None:
    with TemporaryDirectory(dir=quick_disk()) as folder:
        path = Path(folder) / "wattfall.db"
        path.write_bytes(empty_file())
        url = f"sqlite:///{path}"
        store = open_store(url)
        happen(store, case)
        told = everywhere(store, url, case.device)
        store.close()
    assert told == dict.fromkeys(told, case.state)
