"""One user takes a bounded share of the server, and malformed callbacks are refused in one line."""

import logging
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
from flask.testing import FlaskClient

from aggregator.core.documents import Device
from aggregator.store.port import Store
from dashboard.pages.household.slots import LIVE, LIVE_STATE
from dashboard.web.user_limits import ALLOWANCE_S, AT_ONCE, DOWNLOADS, MOST_KEYS, RATE, Budgets, paced
from tests.dashboard.answers import named
from tests.dashboard.people import browser, dashboard, somebody


class Pace:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def pace() -> Pace:
    return Pace()


def test_who_has_used_up_the_allowance_waits_until_it_has_grown(pace: Pace) -> None:
    budgets = Budgets(pace)
    for _ in range(2):
        assert budgets.begin("ann", is_slow=True) == 0
        budgets.end("ann", ALLOWANCE_S / 2 + RATE, is_slow=True)
    assert budgets.begin("ann", is_slow=False) == 2  # 2 x RATE too much
    assert budgets.begin("ben", is_slow=False) == 0
    pace.at += 2.1
    assert budgets.begin("ann", is_slow=False) == 0


def test_slow_requests_of_a_user_run_one_after_the_other(pace: Pace) -> None:
    budgets = Budgets(pace, patience_s=0.01)
    assert [budgets.begin("ann", is_slow=True) for _ in range(AT_ONCE + 1)] == [0] * AT_ONCE + [1]
    assert budgets.begin("ann", is_slow=False) == 0
    budgets.end("ann", 0.01, is_slow=True)
    assert budgets.begin("ann", is_slow=True) == 0


def test_a_slow_request_waits_for_the_one_before(pace: Pace) -> None:
    budgets = Budgets(pace, patience_s=20)
    assert budgets.begin("ann", is_slow=True) == 0
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(budgets.begin, "ann", is_slow=True)
        assert budgets.begin("ben", is_slow=True) == 0
        budgets.end("ann", 0.01, is_slow=True)
        assert second.result() == 0


def test_the_allowances_of_many_addresses_need_bounded_memory(pace: Pace) -> None:
    budgets = Budgets(pace)
    for number in range(MOST_KEYS + 50):
        budgets.begin(str(number), is_slow=True)
        budgets.end(str(number), 0.001, is_slow=True)
    assert len(budgets._left) == MOST_KEYS
    assert not budgets._running


@pytest.fixture
def ann(store: Store) -> FlaskClient:
    store.put_device(Device("cad-1", household="hh-1"))
    return browser(dashboard(store).server, store, somebody(store, household="hh-1"))


def test_a_dear_address_is_answered_429_with_the_time_to_come_again(
    ann: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = iter(range(10_000))
    monkeypatch.setattr("dashboard.web.user_limits.time.thread_time", lambda: next(spent))  # a second a request
    codes = [ann.get("/api/v1/devices/cad-1/year/2026").status_code for _ in range(8)]
    assert codes[: int(ALLOWANCE_S)] == [codes[0]] * int(ALLOWANCE_S)
    assert codes[0] != 429
    assert codes[-1] == 429
    answer = ann.get("/")
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 20
    assert "Try again in a minute" in answer.text
    assert ann.get("/assets/page.css").status_code == 200
    ben = browser(ann.application, store, somebody(store, "ben@example.org", household="hh-1"))
    assert ben.get("/").status_code == 200


def test_the_requests_of_one_page_do_not_wait_for_each_other(ann: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = list[bool]()

    def begin(*_: object, is_slow: bool) -> int:
        slow.append(is_slow)
        return 0

    monkeypatch.setattr(Budgets, "begin", begin)
    monkeypatch.setattr(Budgets, "end", lambda *_, **__: None)
    assert [ann.get(f"/_dash-{part}").status_code for part in ("layout", "dependencies")] == [200, 200]
    ann.get("/account")
    assert slow == [False, False, True]


YEAR = "/api/v1/devices/cad-1/year/2026.csv?by=half-hour"


def test_an_answer_in_pieces_runs_until_its_reader_has_all_of_it(
    ann: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.web.user_limits.threading.Condition.wait_for", lambda _, is_so, __: is_so())
    begun = [ann.get(YEAR, buffered=False) for _ in range(DOWNLOADS)]
    assert all(next(one.iter_encoded()) for one in begun)
    refused = ann.get(YEAR)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert ann.get("/").status_code == 200, "pages go on"
    begun[0].close()
    assert ann.get(YEAR).status_code == 200


def test_each_piece_of_an_answer_is_charged(ann: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    charged, spent = list[float](), iter(range(10_000))
    monkeypatch.setattr(Budgets, "end", lambda _self, _key, cpu_s, **_: charged.append(cpu_s))
    monkeypatch.setattr("dashboard.web.user_limits.time.thread_time", lambda: next(spent))
    answer = ann.get(YEAR, buffered=False)
    pieces = sum(1 for _ in answer.iter_encoded())
    answer.close()
    assert pieces > 10
    assert charged == [1, pieces + 1]  # the request; the pieces, and to see that there is none after them


GOOD: dict[str, object] = {
    "output": f"..{'...'.join(LIVE)}..",
    "outputs": list(map(named, LIVE)),
    "inputs": [named("tick.data")],
    "changedPropIds": ["tick.data"],
    "state": list(map(named, LIVE_STATE)),
}
MALFORMED = {
    "an unknown output": orjson.dumps(GOOD | {"output": "nobody.children"}),
    "an output that is a list": orjson.dumps(GOOD | {"output": ["live.data"]}),
    "other outputs": orjson.dumps(GOOD | {"outputs": {"id": "main", "property": "children"}}),
    "other inputs": orjson.dumps(GOOD | {"inputs": [{"id": "url", "property": "href", "value": 1}]}),
    "inputs without a property": orjson.dumps(GOOD | {"inputs": [{"id": "hour"}]}),
    "inputs that are a number": orjson.dumps(GOOD | {"inputs": 7}),
    "an input with an id of a list": orjson.dumps(GOOD | {"inputs": [{"id": [["x"]], "property": "data"}]}),
    "changed parts that are numbers": orjson.dumps(GOOD | {"changedPropIds": [1]}),
    "a list": b"[]",
    "a deep list": b"[" * 60_000,
    "no JSON": b"{",
    "nothing": b"",
}


def test_a_well_formed_callback_is_answered(ann: FlaskClient) -> None:
    assert ann.post("/_dash-update-component", json=GOOD).status_code == 200


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_callback_is_400_and_one_line_in_the_log(
    ann: FlaskClient, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    with caplog.at_level(logging.WARNING):
        answer = ann.post("/_dash-update-component", data=MALFORMED[name], content_type="application/json")
    assert answer.status_code == 400
    assert [(one.exc_info, "\n" in one.getMessage()) for one in caplog.records] == [(None, False)]


def test_a_file_rests_as_long_as_it_worked() -> None:
    worked, rests = [10.0], list[float]()
    pace = paced(lambda: worked[0], rests.append)
    for spent in (2.0, 0.0, 0.5):
        worked[0] += spent
        pace()
    assert rests == [2.0, 0.0, 0.5]
