import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from werkzeug.test import TestResponse

from aggregator.core.documents import Device
from aggregator.core.errors import StoreAway
from aggregator.store.port import Store
from aggregator.tariffs.rates import Series
from aggregator.tariffs.tariff import tariff_from_json
from aggregator.waterfall.levels import move
from aggregator.waterfall.pricing import add_prices, tariff_of
from aggregator.waterfall.worker import drain
from dashboard.web.request_guard import MOST_BYTES
from tests.copies import Copy
from tests.dashboard import homes
from tests.dashboard.forms import Page
from tests.dashboard.homes import NOW
from tests.dashboard.people import at_home

OURS = {"Sec-Fetch-Site": "same-origin"}
PATH = "/d/cad-1/tariff"
NIGHT = [
    {"name": "Night", "from": "00:30", "to": "05:30", "rate": "0.0850"},
    {"name": "Day", "from": "05:30", "to": "00:30", "rate": "0.2890"},
]


class Household:
    """A resident at the tariff page; the store can become unreachable."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.is_away = False
        self._client = at_home(self)
        del self._client.environ_base["HTTP_ORIGIN"]  # each test sets its own origin

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the store as it is
        if self.is_away:
            raise StoreAway("the store is busy")
        return getattr(self.store, name)

    def get(self, path: str = PATH, language: str = "en") -> TestResponse:
        answer: TestResponse = self._client.get(path, headers={"Accept-Language": language})
        return answer

    def post(self, sent: dict[str, str], action: str, headers: dict[str, str] = OURS, path: str = PATH) -> TestResponse:
        answer: TestResponse = self._client.post(path, data={**sent, "action": action}, headers=headers)
        return answer

    def form(self, path: str = PATH) -> dict[str, str]:
        return Page(self.get(path).text).sent

    def tariff_is(self, *versions: Mapping[str, object], currency: str = "GBP") -> None:
        content = {"currency": currency, "versions": list(versions)}
        device = self.store.device("cad-1")
        assert device
        self.store.put_device(replace(device, tariff=json.dumps(content)))
        self.store.mark("prices", "cad-1", self.store.periods("day", "cad-1"))
        drain(self.store)

    def tariff(self) -> object:
        device = self.store.device("cad-1")
        assert device
        return tariff_of(device)


def since_october(store: Store) -> None:
    homes.fill(store, Device("cad-1"), "2026-10-01", NOW)


@pytest.fixture
def household(copy: Copy) -> Household:
    return Household(copy(since_october))


def test_a_household_without_a_tariff_gets_an_empty_form(household: Household) -> None:
    page = Page(household.get().text)
    assert "What does your electricity cost?" in page.words
    assert "Every day since 1 October 2026 will be priced" in page.words
    assert page.sent["v0-from"] == "2026-10-01"
    assert (page.sent["currency"], page.sent["v0-import-rate"]) == ("GBP", "")


def test_a_new_form_has_the_currency_of_the_home(household: Household) -> None:
    household.store.put_device(Device("berlin", "Europe/Berlin", household=homes.HOUSEHOLD))
    household.store.put_device(Device("nowhere", "UTC", household=homes.HOUSEHOLD))
    found = [household.form(f"/d/{name}/tariff")["currency"] for name in ("cad-1", "berlin", "nowhere")]
    assert found == ["GBP", "EUR", "EUR"]


def test_a_new_device_without_a_reading_may_have_a_tariff(household: Household) -> None:
    household.store.put_device(Device("cad-new", household=homes.HOUSEHOLD))
    form = household.form("/d/cad-new/tariff")
    assert form["v0-from"] == "2026-11-23"
    preview = household.post(form | {"v0-import-rate": "24.5"}, "check", path="/d/cad-new/tariff")
    assert "Nothing in the past changes." in Page(preview.text).words


def test_the_preview_shows_costs_before_the_change(household: Household) -> None:
    household.tariff_is({"from": "2026-10-01", "import": "0.2", "standing_charge": "0.5"})
    before = household.tariff()
    preview = household.post(household.form() | {"v0-from": "2026-11-01"}, "check")
    words = Page(preview.text).words
    assert "1 October 2026 to 31 October 2026, 31 days" in words
    assert household.tariff() == before
    dearer = household.post(household.form() | {"v0-standing": "150"}, "check")
    words = Page(dearer.text).words
    assert "1 October 2026 to 23 November 2026, 54 days" in words
    assert "£54.00 more" in words
    assert "October 2026" in words
    assert "£31.00 more" in words
    assert "£23.00 more" in words


def test_unpriced_energy_is_shown_before_and_after(household: Household) -> None:
    words = Page(household.post(household.form() | {"v0-import-rate": "24.5"}, "check").text).words
    assert "no price" in words
    assert "kWh that have no price now will have one." in words
    late = household.form() | {"v0-import-rate": "24.5", "v0-from": "2026-11-20"}
    assert "1 October 2026 to 23 November 2026" in Page(household.post(late, "check").text).words


def test_the_household_confirms_and_its_costs_change(household: Household) -> None:
    household.tariff_is({"from": "2026-10-01", "import": "0.2"})
    preview = Page(household.post(household.form() | {"v0-import-rate": "24.5"}, "check").text)
    answer = household.post(preview.sent, "confirm")
    assert (answer.status_code, answer.location) == (303, "/d/cad-1/month?unit=money#tariff-changed")
    assert household.tariff() == tariff_from_json(
        {"currency": "GBP", "versions": [{"from": "2026-10-01", "import": "0.245"}]}
    )
    drain(household.store)
    day = household.store.document("day", "cad-1", "2026-11-01")
    assert day
    total = day.total
    assert total.import_wh
    assert total.cost.import_cost == total.import_wh * 2_450_000_000


def undo_of(household: Household) -> dict[str, str]:
    """Return the fields of the form that takes the last change back; empty without it."""
    text = household.get().text
    form = text[text.index('class="panel tariff undo"') :].partition("</form>")[0] if "Undo the change" in text else ""
    return Page(form).sent


def test_a_change_is_taken_back_by_one_button(household: Household) -> None:
    household.tariff_is({"from": "2026-10-01", "import": "0.2"})
    before = household.tariff()
    assert undo_of(household) == {}
    preview = Page(household.post(household.form() | {"v0-import-rate": "24.5"}, "check").text)
    household.post(preview.sent, "confirm")
    household.post(preview.sent, "confirm")  # a double click
    assert household.tariff() != before
    answer = household.post(undo_of(household), "confirm")
    assert answer.status_code == 303
    assert household.tariff() == before


def test_a_later_change_by_others_is_not_taken_back(household: Household) -> None:
    household.tariff_is({"from": "2026-10-01", "import": "0.2"})
    preview = Page(household.post(household.form() | {"v0-import-rate": "24.5"}, "check").text)
    household.post(preview.sent, "confirm")
    household.tariff_is({"from": "2026-10-01", "import": "0.3"})
    assert undo_of(household) == {}


def test_another_tariff_is_tried_on_the_last_year_and_never_kept(household: Household) -> None:
    household.tariff_is({"from": "2020-01-01", "import": "0.3"})
    kept, trial = household.tariff(), f"{PATH}?try=1"
    assert Page(household.get().text).having(href=trial)
    form = household.form(trial)
    assert (form["v0-from"], form["v0-import-rate"], form["v1-from"]) == ("2025-11-24", "30", "2020-01-01")
    preview = Page(household.post(form | {"v0-import-rate": "33"}, "check", path=trial).text)
    assert "What another tariff would have cost" in preview.words
    assert "1 October 2026 to 23 November 2026, 54 days" in preview.words
    assert re.search(r"Difference £[0-9.]+ more", preview.words)
    assert "Change the tariff" not in preview.words
    assert preview.having(action=trial)
    again = Page(household.post(preview.sent, "edit", path=trial).text)
    assert "What would another tariff have cost?" in again.words
    assert again.sent["v0-import-rate"] == "33"
    household.post(preview.sent, "confirm", path=trial)
    assert household.tariff() == kept


def test_a_change_of_the_future_leaves_the_past_alone(household: Household) -> None:
    household.tariff_is({"from": "2026-10-01", "import": "0.2"})
    added = Page(household.post(household.form(), "add").text)
    words = Page(household.post(added.sent | {"v0-from": "2027-01-01", "v0-import-rate": "23"}, "check").text).words
    assert "Nothing in the past changes." in words
    assert "From 1 January 2027 23 p per kWh From 1 October 2026 20 p per kWh" in words


def test_the_same_tariff_again_has_nothing_to_confirm(household: Household) -> None:
    household.tariff_is({"from": "2026-10-01", "import": NIGHT})
    preview = Page(household.post(household.form(), "check").text)
    assert "these are the prices that you have already" in preview.words
    assert preview.having(value="confirm") == []


def test_a_home_that_changes_hands_meanwhile_keeps_the_tariff_of_the_next_household(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    household.tariff_is({"from": "2026-10-01", "import": "0.2"})
    preview = Page(household.post(household.form() | {"v0-import-rate": "33"}, "check").text)
    begin = household.store.transaction

    def after_the_move(**options: bool) -> AbstractContextManager[None]:
        device = household.store.device("cad-1")
        assert device
        move(household.store, device, "willow", "2026-11-20")
        household.tariff_is({"from": "2026-11-20", "import": "0.7"})
        return begin(**options)

    monkeypatch.setattr(household, "transaction", after_the_move, raising=False)
    answer = household.post(preview.sent, "confirm")
    assert (answer.status_code, "You cannot change this tariff" in answer.text) == (403, True)
    assert "70 p" not in answer.text
    assert household.tariff() == tariff_from_json(
        {"currency": "GBP", "versions": [{"from": "2026-11-20", "import": "0.7"}]}
    )


def test_many_spans_are_summarized_in_one_sentence(household: Household) -> None:
    household.tariff_is({"from": "2026-10-01", "import": "0.2"})
    weekend = {"days": "weekends", "rate": "0.1"}
    household_form = household.form()
    household.tariff_is({"from": "2026-10-01", "import": [{"days": "weekdays", "rate": "0.2"}, weekend]})
    sent = household.form() | {"v0-import": "flat", "v0-import-rate": "20"}
    assert household_form["made-against"] != sent["made-against"]
    assert "16 days between 3 October 2026 and 22 November 2026" in Page(household.post(sent, "check").text).words


def test_faults_appear_at_their_controls_and_at_the_top(household: Household) -> None:
    form = household.form() | {"v0-import-rate": "eight", "v0-from": ""}
    page = Page(household.post(form, "check").text)
    assert "2 things to mend before going on" in page.words
    summary = page.having(class_="summary", tabindex="-1")
    assert len(summary) == 1
    assert "autofocus" in summary[0]
    for control in ("v0-import-rate", "v0-from"):
        (field,) = page.having(id=control, aria_invalid="true")
        assert f"{control}-fault" in field["aria-describedby"].split()
        assert page.having(id=f"{control}-fault")
        assert page.having(href=f"#{control}")
    assert page.sent["v0-import-rate"] == "eight"
    assert household.tariff() is None


def test_a_fault_in_an_older_version_unfolds_it(household: Household) -> None:
    household.tariff_is({"from": "2026-10-01", "import": "0.2"}, {"from": "2026-11-01", "import": "0.3"})
    closed = Page(household.get().text)
    assert ["open" in found for found in closed.having(class_="version")] == [True, False]
    page = Page(household.post(household.form() | {"v1-import-rate": "x"}, "check").text)
    assert ["open" in found for found in page.having(class_="version")] == [True, True]
    assert "From 1 October 2026, What you pay for electricity: “x” is not a number." in page.words


def test_every_control_has_a_label_and_a_unique_id(household: Household) -> None:
    household.tariff_is({"from": "2026-10-01", "import": NIGHT}, {"from": "2026-11-01", "import": "half-hourly"})
    page = Page(household.get().text)
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert len(ids) == len(set(ids))
    labelled = {found["for"] for tag, found in page.tags if tag == "label" and "for" in found}
    typed = {
        found["id"]
        for tag, found in page.tags
        if tag == "select" or (tag == "input" and found.get("type") not in ("hidden", "radio"))
    }
    assert typed == labelled
    described = {one for _, found in page.tags for one in found.get("aria-describedby", "").split()}
    assert described <= set(ids)


def test_buttons_change_the_form_and_lose_nothing(household: Household) -> None:
    form = household.form() | {"v0-import": "windows", "v0-import-0-rate": "not yet", "v0-standing": "53,1"}
    more = Page(household.post(form, "add-0-import").text)
    assert (more.sent["v0-import-0-rate"], more.sent["v0-standing"]) == ("not yet", "53,1")
    assert "autofocus" in more.having(id="v0-import-2-name")[0]
    less = Page(household.post(more.sent, "remove-0-import-0").text)
    assert less.sent["v0-import-0-from"] == "07:00"
    added = Page(household.post(less.sent, "add").text)
    assert (added.sent["v0-from"], added.sent["v1-from"]) == ("", "2026-10-01")
    removed = Page(household.post(added.sent, "remove-0").text)
    assert removed.sent == less.sent


def test_a_tariff_can_be_removed(household: Household) -> None:
    household.tariff_is({"from": "2026-10-01", "import": "0.2"})
    empty = Page(household.post(household.form(), "remove-0").text)
    preview = Page(household.post(empty.sent, "check").text)
    assert "There will be no tariff" in preview.words
    assert Page(household.post(preview.sent, "edit").text).sent["currency"] == "GBP"
    answer = household.post(preview.sent, "confirm")
    assert (answer.status_code, answer.location) == (303, "/d/cad-1/month#tariff-gone")
    assert household.tariff() is None


def test_the_preview_leads_back_to_the_unchanged_form(household: Household) -> None:
    household.tariff_is({"from": "2026-10-01", "import": "0.2"})
    form = household.form() | {"v0-import-rate": "24.5", "v0-export": "flat", "v0-export-rate": "15"}
    preview = Page(household.post(form, "check").text)
    back = Page(household.post(preview.sent, "edit").text)
    chosen = ("v0-from", "v0-import", "v0-import-rate", "v0-export", "v0-export-rate", "made-against")
    assert {name: back.sent[name] for name in chosen} == {name: form[name] for name in chosen}


def test_a_concurrent_change_is_not_overwritten(household: Household) -> None:
    form = household.form() | {"v0-import-rate": "24.5"}
    preview = Page(household.post(form, "check").text)
    household.tariff_is({"from": "2026-10-01", "import": "0.3"})
    theirs = household.tariff()
    for sent, action in ((preview.sent, "confirm"), (form, "check")):
        answer = household.post(sent, action)
        page = Page(answer.text)
        assert answer.status_code == 409
        assert household.tariff() == theirs
        assert "Somebody else has changed this tariff" in page.words
        assert "30 p per kWh" in page.words
        assert page.sent["v0-import-rate"] == "24.5"
    again = Page(household.post(page.sent, "check").text)
    assert household.post(again.sent, "confirm").status_code == 303


def test_a_double_click_confirms_once(household: Household) -> None:
    preview = Page(household.post(household.form() | {"v0-import-rate": "24.5"}, "check").text)
    assert [household.post(preview.sent, "confirm").status_code for _ in range(2)] == [303, 303]


def test_an_interrupted_confirmation_is_completed_by_a_repeat(household: Household) -> None:
    preview = Page(household.post(household.form() | {"v0-import-rate": "24.5"}, "check").text)
    device = household.store.device("cad-1")
    assert device
    household.store.put_device(replace(device, tariff=preview.sent["tariff"]))  # and no day was marked dirty
    assert household.post(preview.sent, "confirm").status_code == 303
    assert len(household.store.changes("prices", 100)) == 54


def test_too_long_a_tariff_refers_to_the_command(household: Household) -> None:
    household.tariff_is(*({"from": f"{1970 + number}-01-01", "import": "0.2"} for number in range(51)))
    assert "wattfall tariff set" in Page(household.get().text).words
    halves = [f"{half // 2:02d}:{half % 2 * 30:02d}" for half in range(22)]
    rows = [{"from": start, "to": end, "rate": "0.2"} for start, end in pairwise([*halves, "24:00"])]
    household.tariff_is({"from": "2026-01-01", "import": rows})
    assert "wattfall tariff set" in Page(household.get().text).words


def test_half_hourly_prices_are_counted(household: Household) -> None:
    household.tariff_is({"from": "2026-10-01", "import": "half-hourly", "export": "half-hourly"})
    device = household.store.device("cad-1")
    assert device
    start = homes.instant("2026-11-24T00:00:00+00:00")
    add_prices(household.store, device, Series({start: Decimal("0.1"), start + 1800: Decimal("0.2")}))
    words = Page(household.get().text).words
    assert "2 half-hourly prices of the last year are known, until 01:00 on 24 November 2026." in words
    assert "No half-hourly price is known yet" in words
    preview = Page(household.post(household.form() | {"v0-import": "flat", "v0-import-rate": "20"}, "check").text)
    assert "no price" in preview.words


def test_an_unusual_price_is_questioned(household: Household) -> None:
    words = Page(household.post(household.form() | {"v0-import-rate": "0.245"}, "check").text).words
    assert "0.245 p per kWh is an unusual price. Is it really in pence per kWh?" in words


def test_the_german_page_reads_german_numbers(household: Household) -> None:
    household.tariff_is({"from": "2026-10-01", "import": "0.245"}, currency="EUR")
    page = Page(household.get(language="de-DE,de;q=0.9").text)
    assert page.having(lang="de")
    assert "Tarif von cad-1" in page.words
    assert page.sent["v0-import-rate"] == "24,5"
    german = {**OURS, "Accept-Language": "de"}
    preview = household.post(page.sent | {"v0-import-rate": "24,75"}, "check", german)
    assert "Ab 1. Oktober 2026 24,75 ct pro kWh" in Page(preview.text).words


FOREIGN = [
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("action", ["add", "confirm"])
def test_forms_of_other_sites_are_refused(household: Household, headers: dict[str, str], action: str) -> None:
    preview = Page(household.post(household.form() | {"v0-import-rate": "24.5"}, "check").text)
    answer = household.post(preview.sent, action, headers)
    assert answer.status_code == 403
    assert "This was not sent from a page of Wattfall" in Page(answer.text).words
    assert household.tariff() is None


def test_the_origin_decides_without_sec_fetch_site(household: Household) -> None:
    assert household.post(household.form(), "add", {"Origin": "http://localhost"}).status_code == 200


@pytest.mark.parametrize("sent", [{"name": "x" * MOST_BYTES}, {f"v{number}-from": "" for number in range(51)}])
def test_too_large_a_form_is_refused_in_words(household: Household, sent: dict[str, str]) -> None:
    answer = household.post(household.form() | sent, "check")
    assert answer.status_code == 413
    assert "more than Wattfall takes at once" in Page(answer.text).words


@pytest.mark.parametrize("tariff", ["{", "[]", '{"currency": "GBP", "versions": [{"from": "x", "import": 1}]}'])
def test_an_invalid_confirmation_changes_nothing(household: Household, tariff: str) -> None:
    answer = household.post(household.form() | {"tariff": tariff}, "confirm")
    assert answer.status_code == 400
    assert household.tariff() is None


@pytest.mark.parametrize("path", ["/d/unknown/tariff", "/d/%20/tariff", f"/d/{'x' * 600}/tariff"])
def test_an_unknown_device_gets_a_page_in_words(household: Household, path: str) -> None:
    for answer in (household.get(path), household.post(household.form(), "check", path=path)):
        assert answer.status_code == 404
        assert "This device is not known here" in Page(answer.text).words


def test_typed_text_survives_an_unreachable_store(household: Household) -> None:
    form = household.form() | {"v0-import-rate": "24.5"}
    preview = Page(household.post(form, "check").text)
    household.is_away = True
    for sent, action in ((form, "check"), (preview.sent, "confirm"), (form, "add-0-import")):
        answer = household.post(sent, action)
        page = Page(answer.text)
        assert answer.status_code == 503
        assert "Nothing you typed is lost" in page.words
        assert page.sent["v0-import-rate"] == "24.5"
        assert page.sent["made-against"] == form["made-against"]
        assert "What does your electricity cost?" in page.words
    shown = household.get()
    assert shown.status_code == 503
    assert shown.headers["Retry-After"]
    assert "The data is out of reach for the moment" in Page(shown.text).words
    household.is_away = False
    assert household.post(page.sent, "check").status_code == 200


def test_typed_markup_is_escaped(household: Household) -> None:
    evil = '"><script>alert(1)</script>'
    answer = household.post(household.form() | {"v0-import-rate": evil, "v0-from": evil, "currency": evil}, "check")
    assert "<script>alert" not in answer.text
    assert Page(answer.text).sent["v0-import-rate"] == evil


@pytest.mark.parametrize("sent", [{}, {"v0-import-rate": "24.5"}, {"v0-import-rate": "x"}])
def test_the_page_is_not_stored_and_obeys_the_policy(household: Household, sent: dict[str, str]) -> None:
    for answer in (household.get(), household.post(household.form() | sent, "check")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert " style=" not in answer.text
        assert answer.text.count("<script>") == 1  # the theme's, known to the policy
