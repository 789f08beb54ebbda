from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from argon2 import PasswordHasher

from aggregator.core.errors import ConfigurationError
from aggregator.store.port import Store
from aggregator.store.sqlite.sqlite_store import SqliteStore
from dashboard.accounts.accounts import INVITATION_S, RESET_S, Accounts
from dashboard.accounts.users import SUPPORT, Passwords, User
from tests.dashboard.people import PASSWORD, QUICK, Clock, accounts_on, somebody


class CountingHasher(PasswordHasher):
    """Counts the computed hashes."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - the library's name
        self.verified += 1
        return super().verify(hash, password)


def test_a_new_account_is_found_by_its_address_and_its_id(store: Store) -> None:
    accounts = accounts_on(store)
    user = accounts.add("Ann@Example.org", household="acacia")
    assert accounts.find("ann@example.org") == accounts.user(user.user_id) == user


def test_an_address_belongs_to_one_account(store: Store) -> None:
    accounts = accounts_on(store)
    accounts.add("ann@example.org")
    with pytest.raises(ConfigurationError, match=r"an account of ann@example\.org already"):
        accounts.add("ANN@example.org")
    assert len(list(accounts.everybody())) == 1


def test_concurrent_additions_of_an_address_have_one_winner(store: Store) -> None:
    accounts = accounts_on(store)

    def add(_: int) -> bool:
        try:
            accounts.add("ann@example.org")
        except ConfigurationError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(add, range(8))) == 1
    assert len(list(accounts.everybody())) == 1


def test_everybody_is_listed_over_several_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aggregator.store.collections.PAGE", 3)
    accounts = accounts_on(store)
    added = {accounts.add(f"p{number}@example.org").user_id for number in range(8)}
    assert [user.user_id for user in accounts.everybody()] == sorted(added)


def test_only_the_right_password_is_accepted(store: Store) -> None:
    user = somebody(store)
    accounts = accounts_on(store)
    assert accounts.check("ANN@example.org ", PASSWORD) == user
    assert accounts.check("ann@example.org", PASSWORD + "!") is None


def test_an_account_without_a_password_accepts_none(store: Store) -> None:
    accounts = accounts_on(store)
    accounts.add("ann@example.org")
    assert [accounts.check("ann@example.org", one) for one in ("", PASSWORD, "the password of nobody")] == [None] * 3


@pytest.mark.parametrize("email", ["ann@example.org", "nobody@example.org", "not an address", "", "new@example.org"])
def test_an_unknown_account_costs_as_much_as_a_known_one(store: Store, email: str) -> None:
    somebody(store)
    accounts_on(store).add("new@example.org")
    hasher = CountingHasher()
    accounts = Accounts(store, Passwords(hasher), Clock())
    assert accounts.check(email, "wrong password") is None
    assert hasher.verified == 1


def test_too_long_a_password_is_not_hashed(store: Store) -> None:
    somebody(store)
    seen: list[object] = []

    class Watching(CountingHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - the library's name
            seen.append(password)
            return super().verify(hash, password)

    assert Accounts(store, Passwords(Watching()), Clock()).check("ann@example.org", "x" * 1_000_000) is None
    assert seen == [""]


def test_both_compositions_of_a_password_match(store: Store) -> None:
    accounts = accounts_on(store)
    accounts.set_password(accounts.add("ann@example.org"), "Uebergro\u0308ßentra\u0308ger")
    assert accounts.check("ann@example.org", "Uebergrößenträger")


def test_a_disabled_account_signs_in_only_after_enabling(store: Store) -> None:
    accounts, user = accounts_on(store), somebody(store)
    accounts.disable(user)
    assert accounts.check("ann@example.org", PASSWORD) is None
    accounts.enable(user)
    assert accounts.check("ann@example.org", PASSWORD)


def test_a_hash_of_weaker_parameters_is_replaced_at_sign_in(store: Store) -> None:
    user = somebody(store)
    stronger = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    accounts = Accounts(store, Passwords(stronger), Clock())
    assert accounts.check("ann@example.org", PASSWORD)
    now = accounts.user(user.user_id)
    assert now
    assert now.password_hash != user.password_hash
    assert (now.session_epoch, accounts.check("ann@example.org", PASSWORD) is not None) == (user.session_epoch, True)


def test_concurrent_changes_both_survive(store: Store) -> None:
    accounts, user = accounts_on(store), somebody(store)

    def rename(one: User) -> User:
        if one.role != SUPPORT:
            accounts_on(store).change(user, lambda other: replace(other, role=SUPPORT))
        return replace(one, name="Ann Smith")

    accounts.change(user, rename)
    now = accounts.user(user.user_id)
    assert now
    assert (now.name, now.role) == ("Ann Smith", SUPPORT)


# Invitations


def test_an_invitation_sets_a_password_once(store: Store) -> None:
    accounts = accounts_on(store)
    token = accounts.invite(accounts.add("ann@example.org"))
    assert accounts.invited(token)
    assert accounts.accept(token, PASSWORD)
    assert accounts.check("ann@example.org", PASSWORD)
    assert accounts.invited(token) is None
    assert accounts.accept(token, "another good password") is None
    assert accounts.check("ann@example.org", PASSWORD)


def test_a_new_invitation_voids_the_older_ones(store: Store) -> None:
    accounts = accounts_on(store)
    user, other = accounts.add("ann@example.org"), accounts.add("bob@example.org")
    others, first, second = accounts.invite(other), accounts.invite(user), accounts.invite(user)
    assert [bool(accounts.invited(token)) for token in (first, second, others)] == [False, True, True]
    assert accounts.accept(first, PASSWORD) is None
    assert accounts.accept(second, PASSWORD)


def test_a_link_to_a_new_password_voids_an_invitation_for_good(tmp_path: Path) -> None:
    clock = Clock()
    store = SqliteStore(str(tmp_path / "accounts.db"), clock)
    accounts = accounts_on(store, clock)
    user = accounts.add("ann@example.org")
    invitation = accounts.invite(user)
    clock.at += 60
    accounts.invite(user, RESET_S)
    clock.at += RESET_S + 1
    assert accounts.invited(invitation) is None
    store.close()


def test_an_older_versions_invitation_works_until_the_next_one(store: Store) -> None:
    accounts = accounts_on(store)
    user = accounts.add("ann@example.org")
    former = accounts.invite(user)
    store.drop_record("invited", user.user_id)
    assert accounts.invited(former)
    accounts.invite(user)
    assert accounts.invited(former) is None


def test_concurrent_uses_of_an_invitation_have_one_winner(store: Store) -> None:
    accounts = accounts_on(store)
    token = accounts.invite(accounts.add("ann@example.org"))
    with ThreadPoolExecutor(4) as pool:
        used = list(pool.map(lambda number: accounts.accept(token, f"{PASSWORD} {number}"), range(8)))
    assert len([user for user in used if user]) == 1


def test_an_invitation_works_for_seven_days(store: Store) -> None:
    clock = Clock()
    accounts = accounts_on(store, clock)
    token = accounts.invite(accounts.add("ann@example.org"))
    clock.at += INVITATION_S - 1
    assert accounts.invited(token)
    clock.at += 1
    assert accounts.invited(token) is None
    assert accounts.accept(token, PASSWORD) is None


@pytest.mark.parametrize("end", [Accounts.disable, Accounts.end_sessions])
def test_an_invitation_ends_with_the_sessions_of_its_account(store: Store, end: object) -> None:
    accounts = accounts_on(store)
    user = accounts.add("ann@example.org")
    token = accounts.invite(user)
    assert callable(end)
    end(accounts, user)
    assert accounts.invited(token) is None


def test_the_store_holds_neither_passwords_nor_invitations(store: Store) -> None:
    accounts = accounts_on(store)
    user = somebody(store)
    token = accounts.invite(user)
    held = [
        record for collection in ("users", "invitations", "invited", "emails") for record in store.records(collection)
    ]
    assert len(held) == 4
    assert not [record for record in held if token in repr(record) or PASSWORD in repr(record)]


def test_an_unknown_token_invites_nobody(store: Store) -> None:
    assert [accounts_on(store).invited(token) for token in ("", "x", "../../etc/passwd")] == [None] * 3


def test_concurrent_hashes_all_succeed() -> None:
    passwords = Passwords(QUICK)
    kept = passwords.hashed(PASSWORD)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: passwords.is_right(PASSWORD, kept), range(16)))
