"""The support pages in the browsers of different people."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.core import periods, status
from aggregator.core.documents import Device
from aggregator.core.errors import Refused
from aggregator.core.live import Live
from aggregator.core.periods import iso_utc, period_of
from aggregator.core.readings import Reading
from aggregator.intake import device_status, refusals
from aggregator.intake.ingest import ingest
from aggregator.store.port import Backlog, Store
from aggregator.support.audit import Audit
from aggregator.support.diagnostics import diagnose
from aggregator.support.fleet import take_census
from aggregator.waterfall.worker import drain
from dashboard.accounts.users import ADMIN, HOUSEHOLD
from dashboard.charts import insights
from dashboard.charts.view import View
from dashboard.text.language import ENGLISH
from tests.dashboard.forms import Page
from tests.dashboard.people import Clock, browser, somebody, token_in
from tests.dashboard.support_desks import DEVICE, FORMS, PAGE, audited_actions, look_up, post, sent, server_on, staff_on

HOSTILE = b'{"device_id":"cad-1","at":"<script>alert(1)</script>\x00\x1b[31m'


# Access


ADDRESSES = [
    "/desk",
    "/desk/search.json?q=cad",
    "/desk/attention",
    "/desk/attention.csv",
    "/desk/fleet/late",
    "/desk/audit",
    PAGE,
    *(f"{PAGE}/{n}" for n in FORMS),
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("role", [HOUSEHOLD, ADMIN])
def test_only_staff_see_the_support_pages(server: Flask, store: Store, role: str, address: str) -> None:
    client = browser(server, store, somebody(store, "ann@example.org", role, "hh-1" if role == HOUSEHOLD else ""))
    answer = client.get(address)
    assert answer.status_code == 404
    assert DEVICE.name not in answer.text


@pytest.mark.parametrize("name", ["", "/leave", *(f"/{form}" for form in FORMS)])
def test_only_staff_can_act_on_devices(home: FlaskClient, store: Store, name: str) -> None:
    token = token_in(home.get("/account").text)
    answer = home.post(PAGE + name, data={"csrf": token, "reason": "because", "suggested": ""})
    assert answer.status_code == 404
    assert audited_actions(store) == []


def test_only_staff_start_at_the_support_page(staff: FlaskClient, home: FlaskClient) -> None:
    assert staff.get("/").headers["Location"] == "/desk"
    assert home.get("/").status_code == 200


def test_a_device_needs_a_reason_first(staff: FlaskClient, store: Store, clock: Clock) -> None:
    sent(store, clock())
    asked = staff.get(PAGE)
    assert "Why do you look?" in asked.text
    assert "Is it sending?" not in asked.text
    assert DEVICE.meter_point not in asked.text
    answer = look_up(staff)
    assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
    seen = staff.get(PAGE).text
    assert "Is it sending?" in seen
    assert DEVICE.meter_point in seen
    (entry,) = Audit(store, []).entries(device_id="cad-1")
    assert (entry.action, entry.reason, entry.who.email) == ("look-up", "ticket 4711", "pat@desk.example")


def test_a_look_up_opens_one_device_only(staff: FlaskClient) -> None:
    look_up(staff)
    assert "Why do you look?" in staff.get("/desk/device/cad-2").text


def test_a_look_up_opens_a_device_for_one_person_only(staff: FlaskClient, server: Flask, store: Store) -> None:
    look_up(staff)
    other = staff_on(server, store, "kim@desk.example")
    assert "Why do you look?" in other.get(PAGE).text


@pytest.mark.parametrize("reason", ["", "  ", "x", "y" * 501])
def test_a_missing_reason_shows_nothing_and_audits_nothing(staff: FlaskClient, store: Store, reason: str) -> None:
    answer = look_up(staff, reason)
    assert answer.status_code == 422
    assert Page(answer.text).having(id="reason")[0]["aria-invalid"] == "true"
    assert audited_actions(store) == []


def test_a_suggested_reason_suffices_and_takes_more_words(staff: FlaskClient, store: Store) -> None:
    post(staff, PAGE, suggested="The customer reports missing data", reason="")
    leave(staff)
    post(staff, PAGE, suggested="The customer reports missing data", reason="Tuesday")
    reasons = [entry.reason for entry in Audit(store, []).entries(device_id="cad-1")]
    assert reasons == ["The customer reports missing data: Tuesday", "The customer reports missing data"]


def test_a_suggested_reason_is_in_the_readers_language(staff: FlaskClient, store: Store) -> None:
    form = {"suggested": "The customer reports missing data", "reason": "Dienstag"}
    staff.post(PAGE, data={"csrf": token_in(staff.get(PAGE).text), **form}, headers={"Accept-Language": "de"})
    (entry,) = Audit(store, []).entries(device_id="cad-1")
    assert entry.reason == "The customer reports missing data: Dienstag"
    read = [staff.get(PAGE, headers={"Accept-Language": code}).text for code in ("de", "en")]
    assert "Der Kunde meldet fehlende Daten: Dienstag" in read[0]
    assert "The customer reports missing data: Dienstag" in read[1]


def leave(client: FlaskClient) -> TestResponse:
    return client.post(f"{PAGE}/leave", data={"csrf": token_in(client.get(PAGE).text)})


def test_leaving_a_device_ends_access(staff: FlaskClient) -> None:
    look_up(staff)
    assert leave(staff).headers["Location"] == "/desk"
    assert "Why do you look?" in staff.get(PAGE).text


@pytest.mark.parametrize("name", FORMS)
def test_actions_need_a_look_up_first(staff: FlaskClient, store: Store, name: str) -> None:
    assert staff.get(f"{PAGE}/{name}").headers["Location"] == PAGE
    answer = staff.post(f"{PAGE}/{name}", data={"csrf": token_in(staff.get(PAGE).text), "reason": "because"})
    assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
    assert audited_actions(store) == []


@pytest.mark.parametrize("name", ["", "/leave", *(f"/{form}" for form in FORMS)])
def test_a_form_without_its_token_does_nothing(staff: FlaskClient, store: Store, name: str) -> None:
    look_up(staff)
    assert staff.post(PAGE + name, data={"reason": "because", "suggested": ""}).status_code == 403
    assert audited_actions(store) == ["look-up"]


@pytest.mark.parametrize("device_id", ["nobody", "a" * 65, "cad-1%00", "%F0%9F%92%A1", ".."])
def test_a_missing_device_is_404(staff: FlaskClient, device_id: str) -> None:
    assert staff.get(f"/desk/device/{device_id}").status_code == 404


# Search and fleet


def search_hits(client: FlaskClient, typed: str) -> list[dict[str, object]]:
    return list(client.get("/desk/search.json", query_string={"q": typed}).get_json()["found"])


LABELS = ["cad-1", "WF123", "5678", "2200 0123 45678", "acacia", "12 Acacia Road", "hh-1", "sw1a 1aa"]


@pytest.mark.parametrize("typed", LABELS)
def test_search_finds_a_device_by_each_label(staff: FlaskClient, typed: str) -> None:
    assert "cad-1" in [one["device_id"] for one in search_hits(staff, typed)]


def test_search_works_without_scripts_and_masks_meter_points(staff: FlaskClient) -> None:
    page = staff.get("/desk", query_string={"q": "SW1A 1AA"})
    assert Page(page.text).having(href=PAGE)
    assert "•••• •••• 5678" in page.text
    assert DEVICE.meter_point not in page.text + staff.get("/desk/search.json?q=5678").text


def test_a_sole_hit_opens_without_a_click(staff: FlaskClient) -> None:
    answer = staff.get("/desk", query_string={"q": "5678"})
    assert (answer.status_code, answer.location) == (303, PAGE)


@pytest.mark.parametrize("typed", ["", " ", "x", "<b>", "'; DROP", "\x00\x00", "%", "ß" * 300])
def test_an_empty_search_finds_nothing(staff: FlaskClient, typed: str) -> None:
    assert search_hits(staff, typed) == []
    page = staff.get("/desk", query_string={"q": typed})
    assert page.status_code == 200
    assert "<b>" not in page.text


def test_the_first_page_and_the_list_name_a_silent_device(staff: FlaskClient, store: Store, clock: Clock) -> None:
    silent_since = clock() - 7200
    store.put_live([Live("cad-1", silent_since, silent_since, 1, None, None, None)])
    take_census(store, clock(), Backlog(0, None))
    for address in ("/desk", "/desk/attention", "/desk/attention?problem=silent&area=sw1"):
        page = staff.get(address).text
        assert "Nothing at all comes from it" in page
        assert "(2 h)" in page
    nothing = staff.get("/desk/attention?area=10").text
    assert "Nothing needs anybody." in nothing
    assert re.search(r"counted at [0-9:]+ UTC. The list is as of now\.", nothing)
    (row,) = staff.get("/desk/attention.csv?area=SW").text.splitlines()[1:]
    assert row.startswith(f"cad-1,WF123,SW1A 1AA,,silent,{iso_utc(silent_since)},Nothing at all comes")


def test_the_page_explains_a_missing_census(staff: FlaskClient) -> None:
    assert "The devices have not been counted yet" in staff.get("/desk").text


def test_each_fleet_number_links_to_its_devices(staff: FlaskClient, store: Store, clock: Clock) -> None:
    sent(store, clock())
    take_census(store, clock(), store.backlog())
    text = staff.get("/desk").text
    assert "behind its own rhythm" in text, "no fixed time says that a device is late"
    links = [one["href"] for one in Page(text).having() if one.get("href", "").startswith("/desk/fleet/")]
    assert {"/desk/fleet/sending", "/desk/fleet/late", "/desk/fleet/never", "/desk/fleet/refused"} <= set(links)
    assert Page(staff.get("/desk/fleet/sending").text).having(href=PAGE)
    assert Page(staff.get("/desk/fleet/never").text).having(href="/desk/device/cad-2")


def test_the_waterfalls_lag_links_to_its_devices(staff: FlaskClient, store: Store, clock: Clock) -> None:
    take_census(store, clock(), store.backlog())
    assert not Page(staff.get("/desk").text).having(href="/desk/fleet/waiting")
    for device_id in ("cad-2", "cad-1"):
        store.mark("day", device_id, ["2026-11-23"])
    take_census(store, clock(), store.backlog())
    assert Page(staff.get("/desk").text).having(href="/desk/fleet/waiting")
    listed = staff.get("/desk/fleet/waiting").text
    assert 0 < listed.index("/desk/device/cad-2") < listed.index("/desk/device/cad-1")


@pytest.mark.parametrize("group", ["nonsense", "state", ".."])
def test_an_unknown_group_is_404(staff: FlaskClient, group: str) -> None:
    assert staff.get(f"/desk/fleet/{group}").status_code == 404


@pytest.mark.parametrize("name", ["", "v1", "x" * 5000, "\x00", "ﷺ" * 64])
def test_an_unused_firmware_has_no_devices(staff: FlaskClient, name: str) -> None:
    answer = staff.get("/desk/fleet/firmware", query_string={"name": name})
    assert answer.status_code == 200
    assert "No device, when they were last counted." in answer.text


def test_a_long_list_has_pages(staff: FlaskClient, store: Store, clock: Clock) -> None:
    for number in range(60):
        store.put_device(Device(f"new-{number:02d}"))
    take_census(store, clock(), None)
    first, second = (staff.get(f"/desk/fleet/never?page={page}").text for page in (1, 2))
    assert Page(first).having(rel="next")[0]["href"] == "?page=2"
    assert "51 to 62 of 62" in second
    assert not Page(second).having(rel="next")
    assert staff.get("/desk/fleet/never?page=99").status_code == 200


# The device page


@pytest.fixture
def seen(staff: FlaskClient) -> Callable[[], str]:
    """Return the page of a looked-up device."""
    look_up(staff)
    return lambda: staff.get(PAGE).text


def test_the_page_answers_in_the_order_of_the_questions(seen: Callable[[], str], store: Store, clock: Clock) -> None:
    sent(store, clock())
    text = seen()
    questions = (
        "Is it sending?",
        "Is the signal good?",
        "Is the data right?",
        "Did it reach the charts?",
        "What does the customer see?",
        "History",
    )
    places = [text.index(question) for question in questions]
    assert places == sorted(places)


def test_the_page_shows_meter_counters_beside_the_charts(seen: Callable[[], str], store: Store, clock: Clock) -> None:
    sent(store, clock())
    assert "This device sends none." in Page(seen()).words
    charts = store.document("day", "cad-1", period_of("day", clock() - 10, "Europe/London"))
    assert charts
    message = {"device_id": "cad-1", "at": iso_utc(clock() - 10), "meter_day_wh": charts.total.import_wh}
    device_status.put_statuses(store, [status.parse_status(message, clock())], clock())
    assert "Import as the meter counted it itself" in Page(seen()).words
    assert "the same" in Page(seen()).words


def test_the_page_says_when_each_chart_last_changed(seen: Callable[[], str], store: Store, clock: Clock) -> None:
    sent(store, clock())
    assert Page(seen()).words.count("changed ") == 3


def test_a_device_that_never_sent_has_a_page(seen: Callable[[], str]) -> None:
    words = Page(seen()).words
    assert "Never heard" in words
    assert "No reading has ever come from this device." in words
    assert "This device has said nothing about itself." in words


def test_a_hostile_payload_is_escaped(seen: Callable[[], str], store: Store, clock: Clock) -> None:
    batch = refusals.Batch()
    batch.add(HOSTILE, Refused("malformed_json", "<img src=x onerror=alert(1)>"), clock())
    refusals.put_refusals(store, batch, clock())
    text = seen()
    assert "<script>alert" not in text
    assert "<img" not in text.replace('<img src="/assets/logo', "")
    assert "\x00" not in text
    assert "\x1b" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "\\x1b[31m" in Page(text).words


def test_the_page_links_to_the_customers_page(seen: Callable[[], str]) -> None:
    assert Page(seen()).having(href="/d/cad-1")


@pytest.mark.parametrize("done", ["rebuild", "note", "nonsense", "<b>"])
def test_only_completed_actions_are_confirmed(staff: FlaskClient, seen: Callable[[], str], done: str) -> None:
    seen()
    page = staff.get(PAGE, query_string={"done": done})
    assert bool(Page(page.text).having(class_="remark")) == (done in ("rebuild", "note"))
    assert "<b>" not in page.text


@pytest.mark.parametrize("address", ["/desk", PAGE, "/desk/audit", "/desk/search.json?q=cad"])
def test_support_pages_are_not_stored(staff: FlaskClient, address: str) -> None:
    assert "no-store" in staff.get(address).headers["Cache-Control"]


def test_the_desk_and_the_household_name_the_same_gaps(store: Store, clock: Clock) -> None:
    """Readings each minute but for 08:10 to 08:50 and for two hours: one answer on both pages."""
    yesterday = periods.shift("day", periods.day_of(clock(), "UTC"), -1)
    midnight = periods.day_start(yesterday, "UTC")
    holes = [(midnight + 29_400, midnight + 31_800), (midnight + 50_400, midnight + 57_600)]
    ats = [at for at in range(midnight, clock(), 60) if not any(first < at < last for first, last in holes)]
    readings = [Reading("cad-1", at, 360, (at - midnight) // 10, None, None) for at in ats]
    device = replace(DEVICE, timezone="UTC")  # every day has 24 hours
    store.put_device(device)
    ingest(store, readings, clock(), "UTC")
    drain(store)
    gaps = [(gap.start, gap.end) for gap in diagnose(store, device, clock()).gaps if gap.kind != "open"]
    assert sorted(gaps) == holes
    document = store.document("day", "cad-1", yesterday)
    assert document
    view = View("household", "cad-1", "day", yesterday)
    told = insights.outages([document], "2000-01-01", clock(), view, ENGLISH)
    assert [one.name.rpartition(" ")[2] for one in told] == ["08:10–08:50", "14:00–16:00"]


def test_the_start_page_lists_dropped_messages_with_a_command_that_takes_them(store: Store, clock: Clock) -> None:
    client = staff_on(server_on(store, clock), store)
    assert "Messages that nobody sees" not in Page(client.get("/desk").text).words
    batch = refusals.Batch()
    why = Refused("unknown_topic", "'home/meter1/pow'er' belongs to no known format; glow has glow/ID/SENSOR/...")
    batch.add(b"home/meter1/pow'er {}", why, clock.at)
    refusals.put_refusals(store, batch, clock.at)
    words = Page(client.get("/desk").text).words
    assert "home/+/pow'er 1 message · first" in words
    assert "glow has glow/ID/SENSOR/..." in words
    assert """--topic 'home/+/pow'"'"'er' --format""" in words
