"""A household uploads a file on its page: asked, shown, imported, undone; and what stops it."""

import io
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.core.documents import Device
from aggregator.intake.imports.import_records import TAKEN, UNDONE, imports_of
from aggregator.intake.imports.import_report import ImportReport
from aggregator.intake.imports.importing import take
from aggregator.intake.imports.understanding import BRAKES as BRAKE_NAMES
from aggregator.store.collections import IMPORT_JOBS
from aggregator.store.port import Store
from aggregator.support import actions
from aggregator.support.audit import Audit, Who
from aggregator.waterfall.levels import move
from aggregator.waterfall.worker import drain
from dashboard.accounts.users import SUPPORT, User
from dashboard.pages.history import import_jobs
from dashboard.pages.history.history_view import MEANINGS
from dashboard.pages.history.import_job import BRAKES, FAILED, READY
from dashboard.pages.history.import_jobs import MOST_JOBS, ImportJobs
from tests.aggregator.intake.imports.test_providers import workbook
from tests.aggregator.intake.tables.test_structured import FAR
from tests.dashboard import homes
from tests.dashboard.forms import Page
from tests.dashboard.people import Clock, browser, dashboard, member, somebody, token_in

URL = "/d/cad-1/history"
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
HALF_HOURS = 48 * 3
PATIENCE_S = 60


class Home:
    """A home's page in a browser; `german` reads it in German."""

    def __init__(self, client: FlaskClient, language: str = "en") -> None:
        self.client, self.headers = client, {"Accept-Language": language}

    def page(self, url: str = URL) -> TestResponse:
        return self.client.get(url, headers=self.headers)

    @property
    def words(self) -> str:
        return Page(self.page().text).words

    def bring(self, content: str | bytes, name: str = "meter.csv", *, url: str = "") -> TestResponse:
        body = content.encode() if isinstance(content, str) else content
        address = url or re.findall(r'action="([^"]*/file\?csrf=\w+)"', self.page().text)[0]
        head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        form = "multipart/form-data; boundary=x"
        sent = head + body + b"\r\n--x--\r\n"
        return self.client.post(address, data=sent, content_type=form, headers=self.headers)

    def settled(self) -> str:
        """The words of the page once nothing is at work."""
        until = time.monotonic() + PATIENCE_S
        while "Refresh" in (answer := self.page()).headers:
            assert time.monotonic() < until
            time.sleep(0.02)
        return Page(answer.text).words

    def press(self, action: str, **fields: str) -> TestResponse:
        self.settled()
        sent = Page(self.page().text).sent
        sent.pop("replace", "")  # it is not checked
        sent |= {**fields, "action": action}
        return self.client.post(URL, data=sent, headers=self.headers)

    def undo(self, number: int = 1, **fields: str) -> TestResponse:
        sent = Page(self.page(f"{URL}?undo={number}").text).sent
        return self.client.post(URL, data={**sent, "action": "undo", **fields}, headers=self.headers)


def csv_of(kwh: str = "0.25", first: datetime = FIRST, count: int = HALF_HOURS, form: str = "%Y-%m-%dT%H:%MZ") -> str:
    rows = (f"{(first + timedelta(minutes=30 * place)).strftime(form)},{kwh}\n" for place in range(count))
    return "start,import_kwh\n" + "".join(rows)


def asked_of() -> str:
    """A file from midnight to midnight, which does not say whether its times are starts or ends."""
    return csv_of(count=HALF_HOURS + 1).replace("start,import_kwh", "Date,Consumption (kWh)").replace("Z,", ",")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_jobs, "POLL_S", 0.02)


@pytest.fixture
def home(store: Store) -> Iterator[Home]:
    """A home, whose jobs have ended before its store is closed."""
    store.put_device(Device("cad-1", household=homes.HOUSEHOLD, timezone="Europe/London"))
    yield Home(browser(dashboard(store).server, store, member(store)))
    store.drop_record(IMPORT_JOBS.of(), "cad-1")
    ended()


def ended() -> None:
    for thread in threading.enumerate():
        if thread.name == "import":
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def import_wh(store: Store) -> int:
    years = store.documents("year", "cad-1", "1970", "2199")
    return sum(year.total.import_wh or 0 for year in years)


def test_a_file_is_shown_confirmed_taken_in_and_taken_back(home: Home, store: Store) -> None:
    assert home.bring(csv_of()).location == URL
    shown = home.settled()
    assert "144 rows would be imported: 36.0 kWh import" in shown
    assert "March 2026 36.0 kWh import" in shown
    assert "import_kwh = import energy in kWh" in shown
    assert import_wh(store) == 0
    home.press("take")
    assert "The file is imported meter.csv 144 rows were imported: 36.0 kWh import" in home.settled()
    assert import_wh(store) == 36_000
    home.press("forget")
    assert "144 rows · 1 March 2026 – 3 March 2026 · 36.0 kWh import Household, Ann" in home.words
    home.undo()
    assert "The import is undone" in home.settled()
    assert import_wh(store) == 0
    assert [(one.state, one.undone_by) for one in imports_of(store, "cad-1")] == [(UNDONE, "household Ann")]


def test_a_question_is_asked_in_words_and_answered(home: Home, store: Store) -> None:
    home.bring(asked_of())
    asked = home.settled()
    assert "The figure of a row may be of the interval that starts or that ends at its time" in asked
    assert "It is the end: the row of 10:00 tells of the time before 10:00" in asked
    assert "--" not in home.page().text.replace("<!--", "")
    home.press("answer", choice="1")
    assert "145 rows would be imported" in home.settled()
    home.press("again")
    assert "A question about the file" in home.settled()
    home.press("answer", choice="0")
    home.press("take")
    home.settled()
    assert import_wh(store) == 145 * 250


def test_a_file_of_another_meter_is_told_in_words_and_another_can_be_brought(home: Home) -> None:
    german = Home(home.client, "de")
    german.bring(csv_of().replace("import_kwh", "Usage,Unit").replace("0.25", "0.25,m3"))
    told = german.settled()
    assert "Diese Datei lässt sich hier nicht importieren meter.csv Diese Datei ist von einem Gaszähler" in told
    assert "Weiter" not in told
    assert "--" not in german.page().text.replace("<!--", "")
    german.press("cancel")
    assert "Eine Datei Ihres Zählers" in german.settled()


def test_what_looks_wrong_is_released_in_a_persons_words(home: Home) -> None:
    home.bring(csv_of("8"))
    assert "has 384 kWh import" in home.settled()
    choices = re.findall(r'name="choice" value="(\d)" required>([^<]*)', home.page().text)
    right = next(number for number, meaning in choices if meaning == "It is right: this home is like that")
    home.press("answer", choice=right)
    assert "144 rows would be imported: 1,152 kWh import" in home.settled()


def test_a_correction_shows_what_it_replaces(home: Home, store: Store) -> None:
    home.bring(csv_of())
    home.press("take")
    home.press("forget")
    home.bring(csv_of("0.5"))
    assert "144 rows differ from what is there." in home.settled()
    assert "1 March 2026 12.0 kWh import 24.0 kWh import" in home.words
    home.press("take", replace="yes")
    home.settled()
    assert import_wh(store) == 72_000


def test_the_page_is_german_for_a_german_reader(home: Home) -> None:
    german = Home(home.client, "de")
    german.bring(asked_of())
    asked = german.settled()
    assert "Die Zeit einer Zeile kann der Anfang oder das Ende des Intervalls sein" in asked
    assert "Es ist das Ende: Die Zeile von 10:00 gilt für die Zeit vor 10:00" in asked


def test_a_file_that_is_none_of_a_meter_says_why(home: Home) -> None:
    home.bring("Dear customer,\nthank you for your letter.\n")
    assert "No row of the file looks like a header followed by times and numbers" in home.settled()
    home.press("forget")
    assert "A file of your meter" in home.words


def test_a_zip_of_one_file_is_opened(home: Home) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meter.csv", csv_of())
    home.bring(target.getvalue(), "meter.zip")
    assert "144 rows would be imported" in home.settled()


def test_a_zip_bomb_is_refused_in_words(home: Home) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.csv", bytes(60 << 20))
    home.bring(target.getvalue(), "bomb.zip")
    assert "The file holds more than 50 MB; import it in parts" in home.settled()


def test_a_workbook_that_would_end_the_process_is_refused_in_words(home: Home) -> None:
    home.bring(workbook([[FAR]]), "far.xlsx")
    assert "Reading the file takes too much memory or time; import it in parts, or as CSV" in home.settled()


def test_a_file_of_51_mb_is_refused_in_words(home: Home, store: Store) -> None:
    answer = home.bring(bytes(51 << 20))
    assert answer.status_code == 413
    assert "This file is larger than 50 MB." in Page(answer.text).words
    assert store.record(IMPORT_JOBS.of(), "cad-1") is None


def test_no_file_or_an_empty_one_begins_nothing(home: Home, store: Store) -> None:
    answer = home.bring("")
    assert answer.status_code == 422
    assert "Choose a file." in Page(answer.text).words
    assert store.record(IMPORT_JOBS.of(), "cad-1") is None


class Unread(io.BytesIO):
    """A body that nobody may read."""

    def readinto(self, _: object) -> int:
        raise AssertionError("it was read")

    read = readline = readinto  # type: ignore[assignment]


@pytest.mark.parametrize("token", ["", "?csrf=another", "?csrf=%C3%BC"])
def test_a_file_without_the_token_of_its_address_is_not_read(home: Home, store: Store, token: str) -> None:
    home.page()
    sent = {"input_stream": Unread(bytes(1000)), "content_type": "multipart/form-data; boundary=x"}
    answer = home.client.post(f"{URL}/file{token}", headers=home.headers, **sent)
    assert answer.status_code == 403
    assert store.record(IMPORT_JOBS.of(), "cad-1") is None


def test_a_home_has_one_file_at_a_time(home: Home) -> None:
    address = re.findall(r'action="([^"]*/file\?csrf=\w+)"', home.page().text)[0]
    home.bring(csv_of())
    home.settled()
    assert home.bring(csv_of(), url=address).status_code == 503
    home.press("cancel")
    home.settled()
    assert home.bring(csv_of(), url=address).location == URL


def test_the_second_of_two_tabs_changes_nothing(home: Home, store: Store) -> None:
    home.bring(csv_of())
    home.settled()
    old = {**Page(home.page().text).sent, "action": "take"}
    home.press("cancel")
    home.settled()
    home.bring(csv_of("0.5"))
    home.settled()
    answer = home.client.post(URL, data=old)
    assert answer.status_code == 409
    assert "Something has changed meanwhile." in Page(answer.text).words
    assert "72.0 kWh import" in home.settled()
    assert imports_of(store, "cad-1") == []


def test_a_cancelled_import_leaves_nothing(home: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, told = threading.Event(), threading.Event()

    def settle_slowly(_: Store) -> None:
        begun.set()
        assert told.wait(PATIENCE_S)

    def take_slowly(*arguments: Any) -> ImportReport:  # noqa: ANN401 - those of `take`
        store, device, found, now, bar, source = arguments
        return take(store, device, found, now, bar, source, settle_slowly if source else drain)

    monkeypatch.setattr(import_jobs, "take", take_slowly)
    monkeypatch.setattr("aggregator.intake.imports.importing.BATCH", 40)
    monkeypatch.setattr("aggregator.intake.imports.importing._A_STEP", 10)
    monkeypatch.setattr(import_jobs, "POLL_S", 0.0)
    home.bring(csv_of())
    home.press("take")
    assert begun.wait(PATIENCE_S)
    sent = {**Page(home.page().text).sent, "action": "cancel"}
    home.client.post(URL, data=sent)
    told.set()
    assert "A file of your meter" in home.settled()
    ended()
    assert import_wh(store) == 0
    assert [one.state for one in imports_of(store, "cad-1")] == [UNDONE]


def test_an_unanswered_file_makes_place_for_the_next_of_the_same_person_first(store: Store) -> None:
    jobs = ImportJobs(store, store.now)
    devices = {name: Device(name, "Europe/London", household="acacia" if name in "be" else name) for name in "abcdef"}

    def waiting_after(name: str) -> str:
        """Bring a file for a home; return the homes whose files wait for an answer then."""
        assert jobs.begin(devices[name], "household Ann", "meter.csv", io.BytesIO(csv_of().encode()))
        until = time.monotonic() + PATIENCE_S
        while True:
            found = {name: job.state for name, one in devices.items() if (job := jobs.find(one))}
            ready = "".join(name for name, state in found.items() if state == READY)
            if len(ready) <= MOST_JOBS and set(found.values()) <= {READY, FAILED}:
                return ready
            assert time.monotonic() < until
            time.sleep(0.01)

    for device in devices.values():
        store.put_device(device)
    assert [waiting_after(name) for name in devices] == ["a", "ab", "abc", "abcd", "acde", "cdef"]
    for device in devices.values():
        store.drop_record(IMPORT_JOBS.of(), device.device_id)
    ended()


def test_a_job_ends_with_its_home(home: Home, store: Store) -> None:
    home.bring(csv_of())
    home.settled()
    store.put_device(Device("cad-1", household="willow"))
    body = store.record(IMPORT_JOBS.of(), "cad-1")
    assert body
    store.put_record(IMPORT_JOBS.of(), "cad-1", body.replace('"ready"', '"confirmed"'))
    ended()
    assert home.page().status_code == 404
    assert store.record(IMPORT_JOBS.of(), "cad-1") is None
    assert imports_of(store, "cad-1") == []


def test_an_erased_record_stops_its_job(home: Home, store: Store) -> None:
    home.bring(csv_of())
    home.settled()
    store.drop_record(IMPORT_JOBS.of(), "cad-1")
    ended()
    assert store.record(IMPORT_JOBS.of(), "cad-1") is None


def test_a_process_that_ended_leaves_words(home: Home, store: Store) -> None:
    home.bring(csv_of())
    home.settled()
    body = store.record(IMPORT_JOBS.of(), "cad-1")
    assert body
    store.drop_record(IMPORT_JOBS.of(), "cad-1")
    ended()
    store.put_record(IMPORT_JOBS.of(), "cad-1", re.sub(r'"beat":\d+', '"beat":1', body))
    assert "Wattfall was restarted before the import was finished" in home.words


def test_another_process_shows_and_answers_a_job(home: Home, store: Store) -> None:
    home.bring(csv_of())
    home.settled()
    other = Home(browser(dashboard(store).server, store, member(store)))
    assert "144 rows would be imported" in other.words
    other.press("take")
    assert "The file is imported" in other.settled()
    assert import_wh(store) == 36_000


def test_days_of_another_household_are_refused_and_hidden(home: Home, store: Store) -> None:
    home.bring(csv_of())
    home.press("take")
    home.settled()
    home.press("forget")
    device = store.device("cad-1")
    assert device
    move(store, device, "willow", "2026-03-03")
    willow = Home(browser(dashboard(store).server, store, somebody(store, "will@example.org", household="willow")))
    assert "Imported files" not in willow.words
    sent = {"csrf": token_in(willow.page("/account").text), "action": "undo", "number": "1"}
    assert willow.client.post(URL, data=sent).status_code == 409
    willow.bring(csv_of("0.5"))
    assert "96 × a time when others lived there" in willow.settled()
    willow.press("take", replace="yes")
    willow.settled()
    assert [one.rows for one in imports_of(store, "cad-1")] == [48, 144]
    assert "3 March 2026" in willow.words
    assert "1 March 2026" not in willow.words
    assert import_wh(store) == 24_000 + 24_000
    willow.press("forget")
    willow.undo(2)
    assert "The import is undone" in willow.settled()
    assert import_wh(store) == 36_000
    assert home.page().status_code == 403


def desk(store: Store) -> tuple[Home, User]:
    user = somebody(store, "des@example.org", SUPPORT)
    return Home(browser(dashboard(store).server, store, user)), user


def test_staff_import_for_a_home_with_a_reason_that_it_reads(home: Home, store: Store) -> None:
    des, user = desk(store)
    assert des.page().status_code == 404
    who = Who(user.user_id, user.email, SUPPORT, user.name)
    actions.look_up(Audit(store, []), who, "cad-1", "the customer called", Clock().at)
    des.bring(csv_of())
    assert des.press("take").status_code == 422
    des.press("take", reason="sent by post")
    des.settled()
    assert [(one.by, one.state) for one in imports_of(store, "cad-1")] == [("support Des", TAKEN)]
    seen = Page(home.client.get("/who-looked").text).words
    assert "Imported a file, or took an import back" in seen
    assert "sent by post: meter.csv" in seen
    des.press("forget")
    assert des.undo().status_code == 422
    des.undo(reason="the wrong home")
    assert "The import is undone" in des.settled()
    assert "the wrong home" in home.client.get("/who-looked").text


def test_an_expired_session_neither_shows_nor_takes(home: Home, store: Store) -> None:
    home.bring(csv_of())
    home.settled()
    sent = {**Page(home.page().text).sent, "action": "take"}
    stranger = Home(browser(home.client.application, store))
    assert stranger.page().status_code == 303
    assert stranger.client.post(URL, data=sent).status_code == 403
    assert imports_of(store, "cad-1") == []


def test_every_brake_has_answers_and_every_answer_a_meaning() -> None:
    assert set(BRAKES) == set(BRAKE_NAMES)
    assert [one for answers in BRAKES.values() for one in answers if one[1] not in MEANINGS[one[0]]] == []
