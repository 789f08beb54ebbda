from dataclasses import replace

import pytest

from aggregator.store.collections import SESSIONS
from aggregator.store.port import Store
from dashboard.accounts.accounts import Accounts
from dashboard.accounts.sessions import LIFETIMES, Sessions
from dashboard.accounts.users import ADMIN, HOUSEHOLD, SUPPORT, VISITOR, User
from tests.dashboard.people import Clock, accounts_on, somebody


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
