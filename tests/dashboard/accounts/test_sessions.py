from collections.abc import Callable
from dataclasses import replace

import pytest

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.intake import tokens
from aggregator.store.collections import API_KEYS, AUDIT_GRANTS, EMAILS, INVITED, SESSIONS, TOKENS, USERS
from aggregator.store.port import Store
from aggregator.support.audit import Audit, grant, granted
from dashboard.accounts.accounts import Accounts, token_hash
from dashboard.accounts.api_keys import CHARTS, ApiKeys
from dashboard.accounts.sessions import LIFETIMES, Sessions
from dashboard.accounts.users import ADMIN, HOUSEHOLD, SUPPORT, VISITOR, User
from tests.copies import damage_record
from tests.dashboard.people import PASSWORD, Clock, accounts_on, somebody


def sessions_on(store: Store, clock: Clock) -> Sessions:
    return Sessions(store, accounts_on(store, clock).user, clock)


def test_a_session_belongs_to_its_user_until_its_end(store: Store) -> None:
    sessions, user = sessions_on(store, Clock()), somebody(store)
    token, other = sessions.begin(user), sessions.begin(user)
    assert token != other
    assert sessions.user_of(token) == user
    sessions.end(token)
    assert sessions.user_of(token) is None
    assert sessions.user_of(other) == user


def test_nobody_gets_in_by_a_damaged_record(store: Store) -> None:
    """An account, its address, a session, a grant, an API key, an invitation and a device's token."""
    accounts, sessions, user = accounts_on(store), sessions_on(store, Clock()), somebody(store, household="acacia")
    store.put_device(Device("cad-1", household="acacia"))
    keys, now = ApiKeys(store, accounts.user, Audit(store, []), Clock()), Clock()()
    session, key, invitation = sessions.begin(user), keys.make(user, "Program", [CHARTS]), accounts.invite(user)
    token = tokens.new_token(store, "cad-1", now)
    grant(store, user.user_id, "cad-1", now + 60)
    ways: tuple[tuple[str, str, Callable[[], object]], ...] = (
        (TOKENS.of(), "cad-1", lambda: tokens.device_of(store, token, now)),
        (AUDIT_GRANTS.of(user.user_id), "cad-1", lambda: granted(store, user.user_id, "cad-1", now)),
        (API_KEYS.of(), user.user_id, lambda: keys.holder(key)),
        (INVITED.of(), user.user_id, lambda: accounts.invited(invitation)),
        (SESSIONS.of(), token_hash(session), lambda: sessions.user_of(session)),
        (EMAILS.of(), user.email, lambda: accounts.check(user.email, PASSWORD)),
        (USERS.of(), user.user_id, lambda: accounts.user(user.user_id)),
    )
    for collection, place, enter in ways:
        assert enter(), collection
        damage_record(store, collection, place)
        assert not enter(), collection
    assert list(accounts.everybody()) == []
    with pytest.raises(ConfigurationError, match="there is an account"):
        accounts.add(user.email)


@pytest.mark.parametrize("end", [Accounts.disable, Accounts.end_sessions])
def test_every_session_ends_at_once(store: Store, end: object) -> None:
    sessions, user = sessions_on(store, Clock()), somebody(store)
    tokens = [sessions.begin(user) for _ in range(2)]
    assert callable(end)
    end(accounts_on(store), user)
    assert [sessions.user_of(token) for token in tokens] == [None, None]


def test_enabling_an_account_restores_no_session(store: Store) -> None:
    sessions, user, accounts = sessions_on(store, Clock()), somebody(store), accounts_on(store)
    token = sessions.begin(user)
    accounts.disable(user)
    accounts.enable(user)
    assert sessions.user_of(token) is None


def test_a_new_password_ends_the_sessions_of_the_old_one(store: Store) -> None:
    sessions, user = sessions_on(store, Clock()), somebody(store)
    token = sessions.begin(user)
    assert accounts_on(store).set_password(user, "another good password")
    assert sessions.user_of(token) is None


def test_a_new_role_applies_at_once(store: Store) -> None:
    sessions, user = sessions_on(store, Clock()), somebody(store, role=SUPPORT)
    token = sessions.begin(user)
    accounts_on(store).change(user, lambda one: replace(one, role=HOUSEHOLD))
    now = sessions.user_of(token)
    assert now
    assert now.role == HOUSEHOLD


@pytest.mark.parametrize("role", [HOUSEHOLD, SUPPORT, ADMIN])
def test_an_idle_session_ends(store: Store, role: str) -> None:
    clock = Clock()
    sessions = sessions_on(store, clock)
    token = sessions.begin(somebody(store, role=role))
    clock.at += LIFETIMES[role].idle_s - 1
    assert sessions.user_of(token)
    clock.at += LIFETIMES[role].idle_s - 1
    assert sessions.user_of(token)
    clock.at += LIFETIMES[role].idle_s
    assert sessions.user_of(token) is None


@pytest.mark.parametrize("role", [HOUSEHOLD, SUPPORT, ADMIN])
def test_a_session_ends_after_its_maximum_age(store: Store, role: str) -> None:
    clock, life = Clock(), LIFETIMES[role]
    sessions, began = sessions_on(store, clock), clock.at
    token = sessions.begin(somebody(store, role=role))
    used = 0
    while sessions.user_of(token):
        used += 1
        clock.at += life.idle_s // 2
    assert used > 2
    assert life.longest_s <= clock.at - began < life.longest_s + life.idle_s


def test_a_visitor_of_the_demo_stays_for_hours(store: Store) -> None:
    clock, visitor = Clock(), User(f"{VISITOR}acacia", household="acacia")
    sessions, began = Sessions(store, lambda _: visitor, clock), clock.at
    token = sessions.begin(visitor)
    while sessions.user_of(token):
        clock.at += 3600
    assert clock.at - began == 12 * 3600


def test_a_poll_writes_nothing(store: Store) -> None:
    clock = Clock()
    sessions = sessions_on(store, clock)
    token = sessions.begin(somebody(store))
    before = store.records(SESSIONS.of())
    for _ in range(3):
        clock.at += 10
        assert sessions.user_of(token)
    assert store.records(SESSIONS.of()) == before


def test_a_session_ended_during_a_request_stays_ended(store: Store) -> None:
    clock = Clock()
    accounts, user = accounts_on(store, clock), somebody(store)
    token = ""

    def find(user_id: str) -> object:
        Sessions(store, accounts.user, clock).end(token)
        return accounts.user(user_id)

    token = Sessions(store, accounts.user, clock).begin(user)
    clock.at += LIFETIMES[HOUSEHOLD].step_s
    Sessions(store, find, clock).user_of(token)  # type: ignore[arg-type]
    assert store.records(SESSIONS.of()) == []


def test_the_store_holds_no_session_token(store: Store) -> None:
    token = sessions_on(store, Clock()).begin(somebody(store))
    assert token not in repr(store.records(SESSIONS.of()))


def test_an_invalid_token_has_no_user(store: Store) -> None:
    sessions = sessions_on(store, Clock())
    assert [sessions.user_of(token) for token in ("", "x", "a" * 5000, "../users")] == [None] * 4
