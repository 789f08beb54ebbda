"""Sign-in at an OpenID Connect provider, by the authorization code flow with PKCE, state and nonce.

Issuer and subject identify a person, and a claim gives the role. An e-mail address links a person to an existing
account only if the provider has verified it and nobody has used the account yet. It also keeps a person out whose
account is disabled.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import FlaskIntegration, FlaskOAuth2App
from joserfc.errors import JoseError
from requests import RequestException
from werkzeug.wrappers import Response as Answer

from aggregator.core.errors import ConfigurationError
from aggregator.settings import Settings
from aggregator.store.collections import EMAILS, IDENTITIES, USERS
from aggregator.store.port import Store
from aggregator.store.stored_records import DAMAGED
from dashboard.accounts.accounts import Accounts, token_hash
from dashboard.accounts.users import ADMIN, HOUSEHOLD, LONGEST_NAME, SUPPORT, User, check_email

T = TypeVar("T")

RETURN = "/sign-in/provider/return"
TIMEOUT_S = 10
LEEWAY_S = 60  # clock difference between the provider and us
# Asymmetric signatures only: no "none", and no HMAC, which everybody with our client secret could forge.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")

POSSESSION = {"otp", "hwk", "swk", "sc", "sms"}  # values of `amr` that prove the possession of something


class Unfit(Exception):
    """The provider's answer is unusable: forged, expired, or without a role for this app."""


class ProviderAway(Exception):
    """The provider is unreachable or answers nonsense."""


@dataclass(frozen=True, slots=True)
class Person:
    """The provider's description of a person."""

    identity: str  # issuer and subject
    role: str
    email: str = ""  # only a verified one
    name: str = ""
    has_second_factor: bool = False  # the provider has checked one


@dataclass(frozen=True, slots=True)
class Client:
    """The registration of this app at the provider."""

    issuer: str
    client_id: str
    secret: str = field(repr=False)
    role_claim: str
    url: str  # our public address
    acrs: tuple[str, ...] = ()  # values of the claim `acr` that mean a second factor


def client_of(settings: Settings) -> Client | None:
    """Return the configured client, or None. Raises ConfigurationError for an incomplete configuration."""
    if not settings.oidc_issuer:
        return None
    for variable, value in (("WATTFALL_OIDC_CLIENT", settings.oidc_client), ("WATTFALL_URL", settings.url)):
        if not value:
            raise ConfigurationError(f"{variable} is not set, and WATTFALL_OIDC_ISSUER needs it")
    claim = settings.oidc_role_claim
    return Client(
        settings.oidc_issuer, settings.oidc_client, settings.oidc_secret, claim, settings.url, settings.oidc_acrs
    )


class Provider:
    """One provider."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._app = FlaskOAuth2App(
            FlaskIntegration("provider"),
            "provider",
            client_id=client.client_id,
            client_secret=client.secret or None,
            server_metadata_url=f"{client.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": "openid email profile",
                "code_challenge_method": "S256",
                "default_timeout": TIMEOUT_S,
            },
        )

    def leave(self) -> Answer:
        """Return the redirect to the provider. Raises ProviderAway."""
        answer: Answer = self._call(lambda: self._app.authorize_redirect(self._client.url + RETURN))
        return answer

    def returned(self) -> Person:
        """Return the person of the current request, which the provider redirected here. Raises Unfit, ProviderAway."""
        options = {
            "iss": {"essential": True, "value": self._client.issuer},
            "aud": {"essential": True, "value": self._client.client_id},
        }
        answer = self._call(lambda: self._app.authorize_access_token(claims_options=options, leeway=LEEWAY_S))
        claims = answer.get("userinfo")
        if not claims:
            raise Unfit("no identity in the answer")
        return person_of(claims, self._client)

    def _call(self, request_provider: Callable[[], T]) -> T:
        try:
            self._check_metadata(self._app.load_server_metadata())
            return request_provider()
        except (AuthlibBaseError, JoseError) as error:
            raise Unfit(str(error)) from error
        except (RequestException, ValueError, KeyError, RuntimeError) as error:
            raise ProviderAway(str(error)) from error

    def _check_metadata(self, metadata: dict[str, Any]) -> None:
        """Compare the provider's metadata with the settings. Raises ProviderAway."""
        if metadata.get("issuer") != self._client.issuer:
            self._app.server_metadata.pop("_loaded_at", None)
            raise ProviderAway(f"it calls itself {str(metadata.get('issuer'))[:200]!r}")
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [one for one in offered if one in ALGORITHMS]


def person_of(claims: Mapping[str, Any], client: Client) -> Person:
    """Return the person of verified claims. Raises Unfit without a role."""
    subject = claims["sub"]
    role = role_of(claims, client.role_claim)
    if role is None or not isinstance(subject, str) or not subject:
        raise Unfit(f"no role in the claim {client.role_claim!r}")
    email = ""
    verified = claims.get("email_verified")
    if verified is True or verified == "true":  # Cognito sends text; 1 equals True
        try:
            email = check_email(str(claims.get("email", "")))
        except ConfigurationError:
            email = ""
    name = "".join(letter for letter in str(claims.get("name", "")) if letter.isprintable()).strip()
    is_strong = has_second_factor(claims, client.acrs)
    return Person(f"{client.issuer} {subject}", role, email, name[:LONGEST_NAME], is_strong)


def has_second_factor(claims: Mapping[str, Any], acrs: Sequence[str]) -> bool:
    """Whether claims tell of a second factor: `acr` as configured, or `amr` (RFC 8176) `mfa`, or `pwd` and another."""
    methods = claims.get("amr")
    names = {one for one in methods if isinstance(one, str)} if isinstance(methods, list) else set()
    return claims.get("acr") in acrs or "mfa" in names or ("pwd" in names and bool(names & POSSESSION))


def role_of(claims: Mapping[str, Any], path: str) -> str | None:
    """Return the role in a claim; the claim may be nested (`realm_access.roles`), and hold a word or a list.

    Of several roles the one of staff counts.
    """
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for step in path.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
    words = value if isinstance(value, list) else [value]
    return next((role for role in (ADMIN, SUPPORT, HOUSEHOLD) if role in words), None)


def user_of(store: Store, accounts: Accounts, person: Person) -> User | None:
    """Return the account of a person, and create a missing one; None if it is disabled, or that of the address is."""
    namesake = accounts.find(person.email) if person.email else None
    user_id = store.record(IDENTITIES.of(), token_hash(person.identity))
    is_damaged = user_id == DAMAGED or (person.email and accounts.is_damaged(person.email))  # it may be disabled
    if is_damaged or (namesake and namesake.is_disabled):
        return None
    user = (
        accounts.user(user_id)
        if user_id
        else _invited(store, accounts, person, namesake) or _new_account(store, accounts, person)
    )
    if user is None or user.is_disabled:
        return None
    return accounts.change(user, lambda one: _as_said(one, person))


def _as_said(account: User, person: Person) -> User:
    """Return an account with the role and name of its person; staff have no household."""
    household = account.household if person.role == HOUSEHOLD else ""
    return replace(account.with_role(person.role), household=household, name=person.name or account.name)


def _invited(store: Store, accounts: Accounts, person: Person, account: User | None) -> User | None:
    """Link and return the account of the person's e-mail address if nobody else has used it, or None.

    The account comes first: its invitation becomes void, otherwise its holder could still set a password. A link that
    was cut off there is completed by the next sign-in.
    """
    if account is None:
        return None

    def linked(one: User) -> User:
        is_free = not one.identity and not one.password_hash
        return replace(one, identity=person.identity, session_epoch=one.session_epoch + 1) if is_free else one

    changed, key = accounts.change(account, linked), token_hash(person.identity)
    if changed is None or changed.identity != person.identity or changed.password_hash:
        return None
    store.put_record(IDENTITIES.of(), key, account.user_id, was=None)
    return changed if store.record(IDENTITIES.of(), key) == account.user_id else None


def _new_account(store: Store, accounts: Accounts, person: Person) -> User | None:
    user = User(secrets.token_hex(8), name=person.name, role=person.role, identity=person.identity)
    if person.email and store.put_record(EMAILS.of(), person.email, user.user_id, was=None):
        user = replace(user, email=person.email)
    store.put_record(USERS.of(), user.user_id, user.to_text())
    if store.put_record(IDENTITIES.of(), token_hash(person.identity), user.user_id, was=None):
        return user
    # Two concurrent sign-ins: the other came first and needs only the address that this one claimed.
    store.drop_record(USERS.of(), user.user_id)
    first = store.record(IDENTITIES.of(), token_hash(person.identity))
    return accounts.user(first) if first else None
