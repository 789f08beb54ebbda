import base64
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.core.errors import ConfigurationError, StoreAway
from aggregator.settings import load
from aggregator.store.collections import EMAILS, IDENTITIES, USERS, Collection
from aggregator.store.port import Store
from dashboard.accounts.accounts import Accounts
from dashboard.accounts.oidc import RETURN, role_of
from dashboard.accounts.users import SUPPORT, Passwords
from dashboard.pages.account import account_page
from tests.copies import damage_record
from tests.dashboard import identity_provider
from tests.dashboard.identity_provider import CLIENT, OTHER_KEY, IdentityProvider
from tests.dashboard.people import QUICK, SECRET, accounts_on, browser, somebody

HERE = "http://localhost"


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with identity_provider.running() as running:
        yield running


@pytest.fixture
def server(store: Store, provider: IdentityProvider) -> Flask:
    made = Flask("dashboard")
    environ = {
        "WATTFALL_SECRET": SECRET,
        "WATTFALL_URL": HERE,
        "WATTFALL_OIDC_ISSUER": provider.issuer,
        "WATTFALL_OIDC_CLIENT": CLIENT,
        "WATTFALL_OIDC_SECRET": identity_provider.SECRET,
    }
    account_page.install(made, load(environ), store, Passwords(QUICK))
    return made


@pytest.fixture
def client(server: Flask, store: Store) -> FlaskClient:
    return browser(server, store)


def walk(client: FlaskClient, wanted: str = "/account") -> TestResponse:
    """Go to the provider and back like a browser; return the last answer."""
    leave = client.get("/sign-in/provider", query_string={"next": wanted})
    if leave.status_code != 302:
        return leave
    back = requests.get(leave.location, allow_redirects=False, timeout=60).headers["Location"]
    return client.get(back.removeprefix(HERE))


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/account").status_code == 200


def test_a_person_of_the_provider_gets_an_account(client: FlaskClient, store: Store) -> None:
    answer = walk(client, "/account?x=1")
    assert (answer.status_code, answer.location) == (303, "/account?x=1")
    assert is_signed_in(client)
    (user,) = accounts_on(store).everybody()
    assert (user.name, user.role, user.email, user.household) == ("Ann", "household", "", "")


def test_the_same_subject_keeps_its_account_across_addresses(
    client: FlaskClient, store: Store, provider: IdentityProvider
) -> None:
    walk(client)
    provider.claims |= {"email": "another@example.org", "email_verified": True, "role": SUPPORT, "name": "Ann Smith"}
    walk(client)
    (user,) = accounts_on(store).everybody()
    assert (user.name, user.role) == ("Ann Smith", SUPPORT)
    provider.claims["sub"] = "bob-2"
    walk(client)
    assert len(list(accounts_on(store).everybody())) == 2


@pytest.mark.parametrize("role", ["support", "admin"])
def test_a_role_from_the_provider_ends_older_sessions_and_the_household(
    server: Flask, client: FlaskClient, store: Store, provider: IdentityProvider, role: str
) -> None:
    walk(client)
    accounts = accounts_on(store)
    accounts.change(next(accounts.everybody()), lambda one: replace(one, household="acacia"))
    assert is_signed_in(client)
    provider.claims["role"] = role
    other = browser(server, store)
    assert walk(other).location == "/sign-in/second-factor"
    assert [is_signed_in(one) for one in (client, other)] == [False, False]
    (user,) = accounts.everybody()
    assert (user.role, user.household) == (role, "")


def test_the_same_role_at_the_provider_ends_no_session(server: Flask, client: FlaskClient, store: Store) -> None:
    walk(client)
    accounts = accounts_on(store)
    accounts.change(next(accounts.everybody()), lambda one: replace(one, household="acacia"))
    walk(browser(server, store))
    assert is_signed_in(client)
    assert next(accounts.everybody()).household == "acacia"


@pytest.mark.parametrize("verified", [None, False, "false", "True", 0, 1, [True]])
def test_an_unverified_address_links_no_account(
    client: FlaskClient, store: Store, provider: IdentityProvider, verified: object
) -> None:
    waiting = accounts_on(store).add("ann@example.org", household="acacia")
    provider.claims["email_verified"] = verified
    walk(client)
    assert accounts_on(store).user(waiting.user_id) == waiting
    assert len(list(accounts_on(store).everybody())) == 2


@pytest.mark.parametrize("verified", [True, "true"])
def test_a_verified_address_links_the_unused_account(
    client: FlaskClient, store: Store, provider: IdentityProvider, verified: object
) -> None:
    accounts = accounts_on(store)
    waiting = accounts.add("ann@example.org", household="acacia")
    invitation = accounts.invite(waiting)
    provider.claims["email_verified"] = verified
    walk(client)
    (user,) = accounts.everybody()
    assert (user.user_id, user.household) == (waiting.user_id, "acacia")
    assert accounts.invited(invitation) is None


def test_a_link_that_was_cut_off_voids_the_invitation_and_is_completed(
    client: FlaskClient, store: Store, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = accounts_on(store)
    waiting = accounts.add("ann@example.org", household="acacia")
    invitation = accounts.invite(waiting)
    provider.claims["email_verified"] = True
    put_record = store.put_record

    def cut_off(collection: str, *rest: object, **more: object) -> bool:
        if collection == IDENTITIES.of():
            raise StoreAway("the disk")
        return put_record(collection, *rest, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as away:
        away.setattr(store, "put_record", cut_off)
        walk(client)
    assert accounts.invited(invitation) is None
    walk(client)
    assert [(user.user_id, user.household) for user in accounts.everybody()] == [(waiting.user_id, "acacia")]
    assert is_signed_in(client)


def test_an_address_cannot_take_over_a_used_account(
    client: FlaskClient, store: Store, provider: IdentityProvider
) -> None:
    owner = somebody(store, "ann@example.org", household="acacia")
    provider.claims["email_verified"] = True
    walk(client)
    assert accounts_on(store).user(owner.user_id) == owner
    assert [user.household for user in accounts_on(store).everybody() if user != owner] == [""]


def test_a_disabled_account_cannot_sign_in(client: FlaskClient, store: Store) -> None:
    walk(client)
    accounts = accounts_on(store)
    Accounts.disable(accounts, next(accounts.everybody()))
    assert walk(client).status_code == 403
    assert not is_signed_in(client)


@pytest.mark.parametrize("role", ["household", "support", "admin"])
@pytest.mark.parametrize("is_used", [True, False])
def test_a_disabled_account_keeps_its_person_out_at_the_provider(
    client: FlaskClient, store: Store, provider: IdentityProvider, role: str, *, is_used: bool
) -> None:
    accounts = accounts_on(store)
    account = (
        somebody(store, "ann@example.org", household="acacia")
        if is_used
        else accounts.add("ann@example.org", household="acacia")
    )
    accounts.disable(account)
    before = list(accounts.everybody())
    provider.claims |= {"email": "Ann@Example.org", "email_verified": True, "role": role}
    assert walk(client).status_code == 403
    assert not is_signed_in(client)
    assert list(accounts.everybody()) == before


def test_a_disabled_address_stops_a_subject_that_has_an_account(
    client: FlaskClient, store: Store, provider: IdentityProvider
) -> None:
    walk(client)
    accounts = accounts_on(store)
    accounts.disable(somebody(store, "ann@example.org", household="acacia"))
    provider.claims["email_verified"] = True
    assert walk(client).status_code == 403


def test_a_new_subject_of_a_disabled_persons_address_is_refused(
    client: FlaskClient, store: Store, provider: IdentityProvider
) -> None:
    provider.claims["email_verified"] = True
    walk(client)
    accounts = accounts_on(store)
    (ann,) = accounts.everybody()
    accounts.disable(ann)
    provider.claims["sub"] = "ann-2"
    assert walk(client).status_code == 403
    assert [user.user_id for user in accounts.everybody()] == [ann.user_id]


@pytest.mark.parametrize("damaged", [USERS, EMAILS, IDENTITIES], ids=lambda row: row.name)
def test_a_person_whose_account_is_damaged_gets_no_other_one(
    client: FlaskClient, store: Store, provider: IdentityProvider, damaged: Collection
) -> None:
    """It may be a disabled one."""
    provider.claims["email_verified"] = True
    walk(client)
    (record,) = store.records(damaged.of())
    damage_record(store, damaged.of(), record.key)
    if damaged is not IDENTITIES:
        provider.claims["sub"] = "ann-2"
    assert walk(client).status_code == 403
    assert len(store.records(USERS.of(), with_damaged=True)) == 1


@pytest.mark.parametrize("role", [None, "", "root", ["users"], {"support": True}, 1])
def test_a_person_without_a_role_gets_no_account(
    client: FlaskClient, store: Store, provider: IdentityProvider, role: object
) -> None:
    provider.claims["role"] = role
    assert walk(client).status_code == 403
    assert list(accounts_on(store).everybody()) == []


@pytest.mark.parametrize(
    ("claims", "path", "role"),
    [
        ({"role": "household"}, "role", "household"),
        ({"cognito:groups": ["household", "support"]}, "cognito:groups", "support"),
        ({"realm_access": {"roles": ["offline_access", "admin"]}}, "realm_access.roles", "admin"),
        ({"https://energy.example/role": "support"}, "https://energy.example/role", "support"),
        ({"role": "Support"}, "role", None),
        ({"a": "b"}, "a.b.c", None),
    ],
)
def test_a_role_is_found_in_each_providers_claim(claims: dict[str, object], path: str, role: str | None) -> None:
    assert role_of(claims, path) == role


NOW = int(time.time())
LIES: dict[str, dict[str, object]] = {
    "another issuer": {"iss": "https://evil.example"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "another-client"},
    "another audience, for us": {"aud": "another-client", "azp": CLIENT},
    "several audiences, for another": {"aud": [CLIENT, "another-client"], "azp": "another-client"},
    "another nonce": {"nonce": "from-another-sign-in"},
    "no nonce": {"nonce": None},
    "expired": {"iat": NOW - 7200, "exp": NOW - 3600},
    "no end": {"exp": None},
    "no subject": {"sub": None},
    "empty subject": {"sub": ""},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_token_with_false_claims_is_refused(
    client: FlaskClient, store: Store, provider: IdentityProvider, lie: str
) -> None:
    def tell(claims: dict[str, object]) -> None:
        claims.update(LIES[lie])
        for name in [name for name, value in claims.items() if value is None]:
            del claims[name]

    provider.lie = tell
    assert walk(client).status_code == 403
    assert not is_signed_in(client)
    assert list(accounts_on(store).everybody()) == []


def forged(claims: dict[str, object]) -> str:
    """Return another person's claims under the signature of an honest token."""
    head, body, signature = identity_provider.signed(claims).split(".")
    changed = json.loads(base64.urlsafe_b64decode(body + "==")) | {"role": "admin"}
    return f"{head}.{base64.urlsafe_b64encode(json.dumps(changed).encode()).decode().rstrip('=')}.{signature}"


@pytest.mark.parametrize(
    "sign",
    [
        identity_provider.unsigned,
        identity_provider.signed_with_the_secret,
        lambda claims: identity_provider.signed(claims, OTHER_KEY),
        forged,
        lambda _: "no.token.at-all",
        lambda _: "",
    ],
    ids=["unsigned", "signed with the secret", "another key", "changed", "nonsense", "empty"],
)
@pytest.mark.parametrize("algorithms", [["RS256"], ["none", "HS256", "RS256"], ["none"]])
def test_a_token_without_the_providers_signature_is_refused(
    client: FlaskClient, store: Store, provider: IdentityProvider, sign: object, algorithms: list[str]
) -> None:
    provider.algorithms = algorithms
    provider.sign = sign  # type: ignore[assignment]
    assert walk(client).status_code in (403, 503)
    assert not is_signed_in(client)
    assert list(accounts_on(store).everybody()) == []


def test_an_answer_without_a_pending_request_is_refused(server: Flask, store: Store) -> None:
    leave = browser(server, store).get("/sign-in/provider")
    back = requests.get(leave.location, allow_redirects=False, timeout=60).headers["Location"]
    victim = browser(server, store)
    assert victim.get(back.removeprefix(HERE)).status_code == 403
    assert not is_signed_in(victim)


def returned(client: FlaskClient) -> dict[str, str]:
    """Return the parameters with which the provider sends a browser back."""
    leave = client.get("/sign-in/provider")
    back = requests.get(leave.location, allow_redirects=False, timeout=60).headers["Location"]
    return dict(parse_qsl(urlsplit(back).query))


@pytest.mark.parametrize("state", ["", "from-another-sign-in"])
def test_an_answer_with_another_state_is_refused(client: FlaskClient, provider: IdentityProvider, state: str) -> None:
    answer = returned(client) | {"state": state}
    assert client.get(RETURN, query_string=answer).status_code == 403
    assert not is_signed_in(client)
    assert provider.refused == []  # nobody asked it for a token


def test_the_code_of_another_sign_in_is_refused(
    server: Flask, client: FlaskClient, store: Store, provider: IdentityProvider
) -> None:
    """PKCE: a code works with the verifier of the browser that left for it."""
    stolen, own = returned(browser(server, store)), returned(client)
    assert client.get(RETURN, query_string=own | {"code": stolen["code"]}).status_code == 403
    assert not is_signed_in(client)
    assert provider.refused == ["verifier"]


def test_a_code_that_was_used_is_refused(
    server: Flask, client: FlaskClient, store: Store, provider: IdentityProvider
) -> None:
    used, own = returned(browser(server, store)), returned(client)
    provider.used(used["code"])
    assert client.get(RETURN, query_string=own | {"code": used["code"]}).status_code == 403
    assert provider.refused == ["code"]


def test_an_answer_works_once(client: FlaskClient) -> None:
    leave = client.get("/sign-in/provider")
    back = requests.get(leave.location, allow_redirects=False, timeout=60).headers["Location"].removeprefix(HERE)
    assert client.get(back).status_code == 303
    assert client.get(back).status_code == 403


def test_a_refusal_at_the_provider_gets_our_own_page(client: FlaskClient) -> None:
    answer = client.get("/sign-in/provider/return?error=access_denied&error_description=<script>alert(1)</script>")
    assert answer.status_code == 403
    assert "You have not been signed in" in answer.text
    assert "alert(1)" not in answer.text


def test_provider_text_cannot_forge_log_lines(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    forged = {"error": "access_denied", "error_description": "\n2026-11-23 10:00 signed in: admin\x1b[2J" + "x" * 5000}
    client.get("/sign-in/provider/return", query_string=forged)
    (message,) = [record.message for record in caplog.records if "sign-in at the provider" in record.message]
    assert "access_denied" in message
    assert message.isprintable()
    assert len(message) < 400


def test_an_unreachable_provider_reveals_nothing_internal(client: FlaskClient, provider: IdentityProvider) -> None:
    provider.is_broken = True
    answer = walk(client)
    assert answer.status_code == 503
    assert "out of reach" in answer.text
    assert provider.issuer not in answer.text
    provider.is_broken = False
    assert walk(client).status_code == 303


def test_a_provider_with_another_issuer_is_refused(client: FlaskClient, provider: IdentityProvider) -> None:
    provider.said_issuer = "https://evil.example"
    assert walk(client).status_code == 503
    provider.said_issuer = None
    assert walk(client).status_code == 303


@pytest.mark.parametrize("missing", ["WATTFALL_OIDC_CLIENT", "WATTFALL_URL"])
def test_an_incomplete_configuration_names_the_variable(store: Store, missing: str) -> None:
    environ = {
        "WATTFALL_SECRET": SECRET,
        "WATTFALL_URL": HERE,
        "WATTFALL_OIDC_ISSUER": "https://idp.example",
        "WATTFALL_OIDC_CLIENT": "x",
    }
    with pytest.raises(ConfigurationError, match=missing):
        account_page.install(Flask("dashboard"), load(environ | {missing: ""}), store, Passwords(QUICK))
