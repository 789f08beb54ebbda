from html import escape
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import StoreAway
from aggregator.store.port import Store
from dashboard.web.request_guard import safe_redirect, sign_in_url
from tests.dashboard.people import at_home, dashboard

EVIL = [
    *("//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example"),
    *("https:evil.example", "https://evil.example", "HTTPS:/evil.example", "javascript:alert(1)", "data:text/html,x"),
    *("/\t/evil.example", "/\n/evil.example", "/\r//evil.example", " //evil.example", "/d/a\\..\\..//evil"),
    *("/%0d\n//evil", "/d/cad-1\r\nSet-Cookie: a=b", "/d/cad-1\x00", "/ü", "", "evil", "?x", "#x", "/" + "x" * 2000),
    *("/sign-out", "/sign-in", "/sign-out-everywhere", "/_dash-layout"),
    *(None, 17, ["/d/cad-1"]),
]


@pytest.mark.parametrize("address", EVIL)
def test_a_foreign_address_becomes_the_start_page(address: object) -> None:
    assert safe_redirect(address) == "/"


@pytest.mark.parametrize(
    "address", ["/", "/d/cad-1", "/d/cad-1/month/2026-11?unit=money&compare=year", "/%2f%2fevil.example", "/account"]
)
def test_an_address_of_this_site_is_kept(address: str) -> None:
    assert safe_redirect(address) == address


@given(st.text(alphabet="/\\:.%?#@ \t\r\nhtpsevil\x00", max_size=20))
def test_every_redirect_stays_on_this_site(address: str) -> None:
    """A browser treats backslashes as slashes, and drops control characters and outer spaces."""
    found = safe_redirect(address)
    as_browsers_read = "".join(letter for letter in found if letter > " ").replace("\\", "/")
    assert (urlsplit(as_browsers_read).scheme, urlsplit(as_browsers_read).netloc) == ("", "")
    assert as_browsers_read.startswith("/")


def test_the_sign_in_address_carries_the_next_page() -> None:
    address = "/d/cad-1/month?unit=money&x=%0a"
    url = sign_in_url(address)
    assert parse_qs(urlsplit(url).query)["next"] == [address]
    assert sign_in_url("/") == sign_in_url("//evil.example") == "/sign-in"
    assert quote("?", safe="") in url


@pytest.mark.parametrize("address", ["/away", "/away?a=%22b%22&c=d"])
def test_a_page_that_may_work_a_moment_later_leads_to_itself(store: Store, address: str) -> None:
    def away() -> str:
        raise StoreAway("the store is busy")

    app = dashboard(store)
    app.server.add_url_rule("/away", "away", away)
    shown = at_home(store, app).get(address).text
    assert f'<a href="{escape(address)}" class="button">Try again</a>' in shown
