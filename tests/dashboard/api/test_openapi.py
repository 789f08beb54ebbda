"""The OpenAPI document says what the API does: asked whatever it allows, the API answers as it says.

`schemathesis` makes the requests; its seed is fixed, so that each run asks the same.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi import checks
from werkzeug.wsgi import ClosingIterator

from aggregator.core.documents import GAS, Device, Part
from aggregator.core.periods import HALF_HOUR
from aggregator.intake import tokens
from aggregator.store.port import Store
from aggregator.support.audit import Audit
from dashboard.accounts.api_keys import SCOPES, ApiKeys
from dashboard.api import api_routes, openapi
from dashboard.api.api_routes import ADDRESSES
from dashboard.text.language import languages
from dashboard.web import user_limits
from tests.copies import Originals
from tests.dashboard import homes
from tests.dashboard.forms import Page
from tests.dashboard.people import Clock, accounts_on, at_home, dashboard, member

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

EXAMPLES = 30  # of each address and way
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
KNOWN = {
    "device_id": ("cad-1", "cad-1~gas", "cad-bare"),
    "period": ("2026-11-22", "2026-10-25", "2026-11", "2025-12", "2026", "2031"),
}
RANGES = (("2026-11-20", "2026-11-25"), ("2026-10-01", "2026-12-31"), ("2027-01-01", "2027-01-03"))
QUIET = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
PLACES = {address.path: address for address in ADDRESSES}


class Api(NamedTuple):
    schema: Any  # of schemathesis
    key: dict[str, str]  # the headers that carry one
    client: FlaskClient


def homes_of_all_kinds(store: Store) -> None:
    """A home with a tariff and a gas meter, and a device without a reading."""
    device = Device("cad-1", household=homes.HOUSEHOLD, name="12 Acacia Road", tariff=homes.SOLAR)
    homes.furnish_one(store, device, "2026-10-20", homes.sunny)
    gas = Device("cad-1~gas", kind=GAS)
    store.put_device(gas)
    homes.fill_day(store, replace(gas, household=homes.HOUSEHOLD), "2026-11-22", homes.NOW, volume)
    store.put_device(Device("cad-bare", household=homes.HOUSEHOLD))


def volume(at: int) -> Part:
    return Part(500 + at // HALF_HOUR % 7, None, covered_s=HALF_HOUR, volume_l=45, is_converted=True)


@pytest.fixture(scope="module")
def api(originals: Originals, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("api")
    with originals.opened(homes_of_all_kinds, folder / "homes.db") as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr(user_limits, "ALLOWANCE_S", 1e6)  # all these requests are of one person, and of one key
        patch.setattr(user_limits, "AT_ONCE", 1_000_000)  # and schemathesis closes no answer
        patch.setattr(tokens, "FULL", 1e6)
        app = dashboard(store)
        keys = ApiKeys(store, accounts_on(store).user, Audit(store, []), Clock())
        key = {
            "Accept-Encoding": "identity",
            "Authorization": f"Bearer {keys.make(member(store), 'schemathesis', SCOPES)}",
        }
        yield Api(
            schemathesis.openapi.from_wsgi("/api/v1/openapi.json", read_whole(app.server)), key, at_home(store, app)
        )


def read_whole(server: Flask) -> "WSGIApplication":
    """Return a server whose answers are taken to their end; schemathesis leaves them open."""

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        with closing(ClosingIterator(server(environ, start))) as pieces:
            return [b"".join(pieces)]

    return answer


@pytest.mark.parametrize("path", PLACES)
def test_any_request_is_answered_as_the_document_says(api: Api, path: str) -> None:
    @QUIET
    @given(case=api.schema[path]["GET"].as_strategy())
    def ask(case: schemathesis.Case[Any]) -> None:
        case.validate_response(case.call(headers=api.key), checks=CHECKS)

    ask()


@pytest.mark.parametrize("path", PLACES)
def test_what_is_there_is_answered_as_the_document_says(api: Api, path: str) -> None:
    statuses = set()

    @QUIET
    @given(case=api.schema[path]["GET"].as_strategy(), draw=st.data())
    def ask(case: schemathesis.Case[Any], draw: st.DataObject) -> None:
        case.path_parameters = {
            name: draw.draw(st.sampled_from(KNOWN[name])) if name in KNOWN else value
            for name, value in (case.path_parameters or {}).items()
        }
        if "from" in (case.query or {}):
            case.query["from"], case.query["to"] = draw.draw(st.sampled_from(RANGES))
        answer = case.call(headers=api.key)
        statuses.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    ask()
    assert 200 in statuses


def test_every_answer_has_exactly_the_fields_of_its_shape(api: Api) -> None:
    """A field that the document does not know would be promised to nobody."""
    for address, path in (
        ("devices", "/devices"),
        ("devices/cad-1/live", "/devices/{device_id}/live"),
        ("devices/cad-1/days?from=2026-11-20&to=2026-11-22", "/devices/{device_id}/days"),
        ("devices/cad-1/day/2026-11-22", "/devices/{device_id}/{level}/{period}"),
        ("devices/cad-1~gas/day/2026-11-22", "/devices/{device_id}/{level}/{period}"),
    ):
        shape = PLACES[path].shape
        assert shape
        assert_fits(api.client.get(f"/api/v1/{address}").get_json(), shape)


def assert_fits(content: dict[str, Any], shape: type) -> None:
    hints = get_type_hints(shape)
    assert content.keys() - hints.keys() == set()
    assert shape.__required_keys__ - content.keys() == set()  # type: ignore[attr-defined]
    for name, listed in content.items():
        if isinstance(listed, list):
            (item,) = hints[name].__args__
            for one in listed:
                assert_fits(one, item)


def test_the_document_has_every_route_of_the_api(api: Api) -> None:
    described = api.client.get("/api/v1/openapi.json").get_json()
    assert described["openapi"] == "3.1.0"
    rules = {rule.rule for rule in api.client.application.url_map.iter_rules() if rule.endpoint.startswith("api.")}
    named = {f"{openapi.BASE}{path}".replace("{", "<").replace("}", ">") for path in described["paths"]}
    assert rules == {*named, "/api/v1/openapi.json"}
    assert described == openapi.description(api_routes.ADDRESSES)


@pytest.mark.parametrize("language", languages())
def test_the_page_names_every_address_field_and_fault(api: Api, language: str) -> None:
    page = api.client.get("/api", headers={"Accept-Language": language})
    words = Page(page.text).words
    for path in PLACES:
        assert f"GET {openapi.BASE}{path}" in words
    schemas = openapi.description(ADDRESSES)["components"]["schemas"]
    assert [name for schema in schemas.values() for name in schema["properties"] if name not in words] == []
    assert ("is unknown" in words) is (language == "en")
    assert page.headers["Content-Security-Policy"]


def test_the_page_and_the_document_need_no_account(api: Api) -> None:
    stranger = api.client.application.test_client()
    assert [stranger.get(path).status_code for path in ("/api", "/api/v1/openapi.json")] == [200, 200]
