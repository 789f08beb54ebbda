"""A job of the history page: who may move it, when it has ended, what stops it, what is written down of it."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, Phrase
from aggregator.demo.feed import mark_as_demo
from aggregator.erasure.erasure_plan import ErasedStay
from aggregator.erasure.erasure_rules import erase_device_records
from aggregator.intake.imports.import_records import TAKING, UNDOING, UNDONE, imports_of
from aggregator.intake.imports.understanding import Brake, Understanding
from aggregator.store.collections import IMPORT_FINDINGS, IMPORT_JOBS
from aggregator.store.port import Store
from aggregator.support import actions
from aggregator.support.audit import Audit, Who
from aggregator.support.audit_entry import Entry
from aggregator.waterfall.levels import move
from dashboard.accounts.users import SUPPORT
from dashboard.pages.account.sign_in_page import demo_user
from dashboard.pages.history import history_page, import_job, import_jobs
from dashboard.pages.history.import_job import CANCELLED, CONFIRMED, READY, ImportJob
from dashboard.pages.history.import_jobs import ImportJobs
from dashboard.web.request_guard import too_much_answer
from tests.dashboard import homes
from tests.dashboard.forms import Page
from tests.dashboard.pages.history.test_history_page import (
    PATIENCE_S,
    URL,
    Home,
    asked_of,
    csv_of,
    desk,
    ended,
    import_wh,
)
from tests.dashboard.people import Clock, browser, dashboard, member, somebody

HOME = Device("cad-1", household=homes.HOUSEHOLD, timezone="Europe/London")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_jobs, "POLL_S", 0.02)


@pytest.fixture
def home(store: Store) -> Iterator[Home]:
    store.put_device(HOME)
    yield Home(browser(dashboard(store).server, store, member(store)))
    store.drop_record(IMPORT_JOBS.of(), "cad-1")
    ended()


def stored(store: Store) -> dict[str, Any]:
    body = store.record(IMPORT_JOBS.of(), "cad-1")
    return dict(orjson.loads(body)) if body else {}


def put(store: Store, job: ImportJob) -> None:
    store.put_record(IMPORT_JOBS.of(), job.device_id, import_job.encoded(job))


def entries(store: Store) -> list[Entry]:
    return [one for one in Audit(store, []).entries(device_id="cad-1") if one.action == "import"]


def until(is_so: Any) -> None:  # noqa: ANN401 - a function without arguments
    last = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < last
        time.sleep(0.01)


# Who may move a job


@pytest.mark.parametrize("state", [CONFIRMED, CANCELLED, TAKING])
def test_a_lost_job_lets_the_home_go_whatever_was_wished(home: Home, store: Store, state: str) -> None:
    put(store, ImportJob("a", "cad-1", homes.HOUSEHOLD, "household Ann", "meter.csv", state, beat=1))
    assert "Wattfall was restarted" in home.words
    assert home.press("cancel").location == URL
    assert stored(store)["beat"] == 1
    home.press("forget")
    assert "A file of your meter" in home.words


def test_of_two_processes_that_confirm_one_does(store: Store) -> None:
    seen = ImportJob("a", "cad-1", homes.HOUSEHOLD, "household Ann", "meter.csv", READY, beat=int(time.time()))
    put(store, seen)
    assert ImportJobs(store, Clock()).tell(seen, CONFIRMED)
    assert not ImportJobs(store, Clock()).tell(seen, CONFIRMED)
    put(store, replace(seen, state=import_job.DONE))
    assert not ImportJobs(store, Clock()).tell(seen, CONFIRMED)
    assert stored(store)["state"] == import_job.DONE


def test_what_moves_by_itself_can_still_be_cancelled() -> None:
    seen = ImportJob("a", "cad-1", "", "", "", import_job.LOOKING)
    assert replace(seen, state=READY).moved(seen, CANCELLED) == replace(seen, state=CANCELLED, turn=1)
    assert replace(seen, state=import_job.DONE).moved(seen, CANCELLED) is None
    assert replace(seen, state=TAKING, turn=1).moved(seen, CANCELLED) is None


def test_the_number_of_answers_to_a_file_is_bounded(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_job, "MOST_TURNS", 1)
    home.bring(asked_of())
    home.press("answer", choice="1")
    answer = home.press("again")
    assert answer.status_code == 422
    assert "These were many answers to one file." in Page(answer.text).words


def test_visitors_of_the_demo_are_refused_in_words(store: Store) -> None:
    mark_as_demo(store)
    store.put_device(Device("demo-1", household="family-1"))
    visitor = Home(browser(dashboard(store).server, store, demo_user(store, "family-1")))
    answer = visitor.page("/d/demo-1/history")
    assert answer.status_code == 403
    assert "Visitors share this home" in Page(answer.text).words


# Signs of life, and what stops a job


def test_an_undo_that_waits_for_its_turn_gives_signs_of_life(home: Home, store: Store) -> None:
    home.bring(csv_of())
    home.press("take")
    home.settled()
    home.press("forget")
    jobs = ImportJobs(store, Clock())
    with jobs._turn:
        assert jobs.begin_undo(HOME, "household Ann", imports_of(store, "cad-1")[0], lambda: None)
        put(store, import_job.decoded(orjson.dumps(stored(store) | {"beat": 1}).decode()))
        until(lambda: stored(store)["beat"] > 1)
        found = jobs.find(HOME)
        assert found
        assert found.state == UNDOING
    ended()
    assert [one.state for one in imports_of(store, "cad-1")] == [UNDONE]
    assert import_wh(store) == 0


def test_a_cancel_is_heard_while_a_file_is_compared(home: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def compared(_store: Store, _device: Device, _found: object, _now: int, bar: Any, _source: object) -> None:  # noqa: ANN401 - as `take` has it
        with bar("Checking", 1) as progress:
            jobs = ImportJobs(store, Clock())
            seen = import_job.decoded(store.record(IMPORT_JOBS.of(), "cad-1") or "")
            assert jobs.tell(seen, CANCELLED)
            until(lambda: progress(0))

    monkeypatch.setattr(import_jobs, "take", compared)
    home.bring(csv_of())
    ended()
    assert stored(store) == {}
    assert store.record(IMPORT_FINDINGS.of(), "cad-1") is None


def test_a_former_households_file_ends_and_blocks_nobody(home: Home, store: Store) -> None:
    home.bring(csv_of())
    home.settled()
    device = store.device("cad-1")
    assert device
    move(store, device, "willow", "2026-03-03")
    willow = Home(browser(dashboard(store).server, store, somebody(store, "will@example.org", household="willow")))
    assert willow.bring(csv_of("0.5")).location == URL
    assert "48 rows would be imported" in willow.settled()
    assert stored(store)["household"] == "willow"
    willow.press("cancel")
    ended()


def test_a_record_of_another_household_blocks_nobody(home: Home, store: Store) -> None:
    put(store, ImportJob("a", "cad-1", "former", "household Fay", "meter.csv", READY, beat=int(time.time())))
    assert home.bring(csv_of()).location == URL
    home.press("cancel")


@pytest.mark.parametrize(("start", "is_kept"), [(0, True), (50, False)])
def test_an_erasure_takes_the_job_of_its_own_household(store: Store, start: int, *, is_kept: bool) -> None:
    job = ImportJob("a", "cad-1", "willow", "household Will", "meter.csv", READY, beat=60)
    put(store, job)
    store.put_record(IMPORT_FINDINGS.of(), "cad-1", import_job.findings_of(job, {"report": 1}))
    for _ in erase_device_records(store, ErasedStay("cad-1", start, start + 50), 100):
        pass
    found = [store.record(one.of(), "cad-1") is not None for one in (IMPORT_JOBS, IMPORT_FINDINGS)]
    assert found == [is_kept, is_kept]


def test_a_beat_is_small_and_what_is_said_is_bounded(home: Home, store: Store) -> None:
    home.bring(csv_of())
    home.settled()
    assert len(store.record(IMPORT_JOBS.of(), "cad-1") or "") < 500
    assert "months" in (store.record(IMPORT_FINDINGS.of(), "cad-1") or "")
    job = ImportJob("a", "cad-1", "", "", "")
    with pytest.raises(ConfigurationError):
        import_job.findings_of(job, {"understanding": "x" * 200_000, "changes": "x" * 150_000})


# Questions, and files without news


def test_only_answers_that_can_help_are_offered_and_each_once() -> None:
    brake = Brake("clock", Phrase("twice in autumn"), "--timezone, like --timezone Europe/London or UTC")
    found = Understanding("CSV", (), brakes=(brake,))
    offered = import_job.question_of(found)["options"]
    assert offered == [("--timezone", "UTC"), ("--allow", "clock")]
    assert import_job.question_of(found, offered)["options"] == []


def test_a_file_without_news_offers_no_import(home: Home, store: Store) -> None:
    home.bring(csv_of())
    home.press("take")
    home.press("forget")
    home.bring(csv_of())
    assert "This file has nothing new, so there is nothing to import." in home.settled()
    assert 'value="take"' not in home.page().text
    assert home.press("take").status_code == 422
    assert (len(imports_of(store, "cad-1")), len(entries(store))) == (1, 1)


# What is written down


def test_an_undo_without_a_place_is_not_written_down(home: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    home.bring(csv_of())
    home.press("take")
    home.press("forget")
    monkeypatch.setattr(ImportJobs, "begin_undo", lambda *_: False)
    assert home.undo().status_code == 503
    assert len(entries(store)) == 1


def test_staff_who_stop_an_import_say_why_and_it_is_written_down(store: Store) -> None:
    store.put_device(HOME)
    des, user = desk(store)
    who = Who(user.user_id, user.email, SUPPORT, user.name)
    actions.look_up(Audit(store, []), who, "cad-1", "the customer called", Clock().at)
    put(store, ImportJob("a", "cad-1", homes.HOUSEHOLD, "household Ann", "meter.csv", TAKING, beat=int(time.time())))
    assert 'href="/d/cad-1/history?stop=1"' in des.page().text
    asked = des.page(f"{URL}?stop=1")
    assert "Refresh" not in asked.headers
    sent = {**Page(asked.text).sent, "action": "cancel"}
    assert des.client.post(f"{URL}?stop=1", data={**sent, "reason": ""}).status_code == 422
    assert stored(store)["state"] == TAKING
    assert des.client.post(f"{URL}?stop=1", data={**sent, "reason": "the wrong home"}).location == URL
    assert stored(store)["state"] == CANCELLED
    assert [one.reason for one in entries(store)] == ["the wrong home"]


def test_an_import_is_undone_once_and_as_long_as_its_rows_are_kept(home: Home, store: Store) -> None:
    home.bring(csv_of())
    home.press("take")
    home.press("forget")
    second = {**Page(home.page(f"{URL}?undo=1").text).sent, "action": "undo"}
    home.undo()
    home.settled()
    answer = home.client.post(URL, data=second)
    assert "This import was undone already." in Page(answer.text).words
    home.press("forget")
    home.bring(csv_of("0.5"))
    home.press("take")
    home.press("forget")
    store.put_retention_cutoff("cad-1", homes.NOW + 1)
    assert "?undo=" not in home.page().text
    late = home.client.post(URL, data={**second, "number": "2"})
    assert "This import cannot be undone any more" in Page(late.text).words


# The page


def test_a_page_looks_ever_more_seldom_and_goes_on_after_a_refusal(home: Home) -> None:
    job = ImportJob("a", "cad-1", homes.HOUSEHOLD, "household Ann", "meter.csv", import_job.LOOKING, since=100)
    assert [job.pause_s(at) for at in (100, 106, 120, 200)] == [2, 3, 5, 10]
    with home.client.application.test_request_context(URL):
        assert too_much_answer(7).headers["Refresh"] == "7"


def test_imports_are_listed_a_page_at_a_time(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_page, "PAGE_ROWS", 1)
    for kwh in ("0.25", "0.5"):
        home.bring(csv_of(kwh), f"{kwh}.csv")
        home.press("take", **({"replace": "yes"} if kwh == "0.5" else {}))
        home.press("forget")
    assert re.findall(r"<strong>([^<]*)</strong>", home.page().text) == ["0.5.csv"]
    assert f"{URL}?page=2" in home.page().text
    assert re.findall(r"<strong>([^<]*)</strong>", home.page(f"{URL}?page=2").text) == ["0.25.csv"]
