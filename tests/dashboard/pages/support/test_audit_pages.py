"""The audit pages of staff, and the household's page of looks at its devices."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from aggregator.core.periods import iso_utc, local
from aggregator.store.port import Store
from aggregator.support import actions, audit
from aggregator.support.audit import Audit
from dashboard.accounts.users import SUPPORT
from dashboard.commands.main import main
from tests.dashboard.forms import Page
from tests.dashboard.people import SECRET, Clock, browser, somebody
from tests.dashboard.support_desks import PAGE, look_up, post, sent


def test_the_audit_is_filtered_by_device_person_and_day(staff: FlaskClient) -> None:
    look_up(staff, "first reason")
    post(staff, "/desk/device/cad-2", suggested="", reason="second reason")
    everything = staff.get("/desk/audit").text
    assert "first reason" in everything
    assert "second reason" in everything
    assert "second reason" not in staff.get("/desk/audit?device=cad-1").text
    assert "first reason" in staff.get("/desk/audit?person=pat@desk.example").text
    assert "No entry." in staff.get("/desk/audit?person=kim@desk.example").text
    assert "No entry." in staff.get("/desk/audit?last=2020-01-01").text


@pytest.mark.parametrize(
    "query", [{"device": "\x00" * 300}, {"person": "ﷺ" * 254}, {"first": "<b>"}, {"page": "-1"}, {"page": "²"}]
)
def test_an_invalid_filter_breaks_nothing(staff: FlaskClient, query: dict[str, str]) -> None:
    answer = staff.get("/desk/audit", query_string=query)
    assert answer.status_code == 200
    assert "<b>" not in answer.text


def test_a_long_audit_has_pages(staff: FlaskClient, store: Store, clock: Clock) -> None:
    pat = audit.Who("u", "pat@desk.example", SUPPORT)
    for number in range(53):
        Audit(store, []).append(pat, "note", "cad-1", f"note {number}", clock())
    first, second = (staff.get(f"/desk/audit?device=cad-1&page={page}").text for page in (1, 2))
    assert Page(first).having(rel="next")[0]["href"] == "?device=cad-1&page=2"
    assert "note 2<" in second
    assert "note 3<" not in second


def test_entries_of_the_command_line_are_translated(
    staff: FlaskClient, store: Store, clock: Clock, tmp_path: Path
) -> None:
    sent(store, clock())
    look_up(staff)
    at = clock() - 3600
    arguments = [
        "exchange",
        "cad-1",
        iso_utc(at),
        "--reason",
        "ticket 4711",
        "--store",
        f"sqlite:///{tmp_path}/homes.db",
    ]
    assert CliRunner().invoke(main, arguments, env={"WATTFALL_SECRET": SECRET}).exit_code == 0
    clock_time = local(at, "Europe/London").format("HH:mm:ss")
    for address in (PAGE, "/desk/audit"):
        page = Page(staff.get(address, headers={"Accept-Language": "de"}).text).words
        assert re.search(rf"{clock_time} \((GMT|BST)\) · Zählertausch", page)
        assert "exchanged" not in page


# The household's page


def test_a_household_sees_looks_at_its_own_devices_only(staff: FlaskClient, home: FlaskClient) -> None:
    assert "Nobody has looked." in home.get("/who-looked").text
    look_up(staff, "ticket 4711")
    post(staff, "/desk/device/cad-2", suggested="", reason="somebody else's business")
    words = Page(home.get("/who-looked").text).words
    assert "Looked at the device · 12 Acacia Road · Support desk, Pat" in words
    assert "ticket 4711" in words
    assert "pat@desk.example" not in words
    assert "somebody else's business" not in words


def test_searches_are_counted_in_the_audit(staff: FlaskClient, store: Store) -> None:
    for number in range(actions.SEARCHES + 1):
        staff.get(f"/desk/search.json?q={number}")
    (entry,) = Audit(store, []).entries()
    assert (entry.action, entry.who.email, entry.details["number"]) == ("search", "pat@desk.example", "20")
    assert "Searched for devices" in staff.get("/desk/audit").text


def test_only_a_household_has_the_page_of_looks(staff: FlaskClient) -> None:
    assert staff.get("/who-looked").status_code == 404


def test_a_household_without_devices_has_an_empty_list_of_looks(server: Flask, store: Store) -> None:
    nobody = browser(server, store, somebody(store, household=""))
    assert "Nobody has looked." in nobody.get("/who-looked").text
