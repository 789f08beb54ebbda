"""TOTP and recovery codes: what is accepted, how often, and what the store does not tell."""

import re
from concurrent.futures import ThreadPoolExecutor

import pyotp
import pytest

from aggregator.store.collections import USERS
from aggregator.store.port import Store
from dashboard.accounts.accounts import Accounts
from dashboard.accounts.second_factor import STEP_S, SecondFactors, accepted_step, app_address, factor_of, new_nonce
from dashboard.accounts.users import SUPPORT, User
from tests.dashboard.people import SECRET, Clock, accounts_on, somebody

RFC_KEY = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # "12345678901234567890", the key of RFC 6238


class Desk:
    """Somebody of the desk with an app."""

    def __init__(self, store: Store, secrets: tuple[str, ...] = (SECRET,)) -> None:
        self.clock, self.store = Clock(), store
        self.accounts: Accounts = accounts_on(store, self.clock)
        self.factors = SecondFactors(self.accounts, secrets, self.clock)
        self.user = somebody(store, "des@example.org", SUPPORT)
        nonce = new_nonce()
        self.app = pyotp.TOTP(self.factors.key(self.user, nonce))
        made = self.factors.set_up(self.user, nonce, self.code())
        assert made
        self.user, self.recovery = made
        self.clock.at += STEP_S

    def code(self, steps: int = 0) -> str:
        return self.app.generate_otp(self.clock.at // STEP_S + steps)

    def accepts(self, code: str) -> bool:
        return self.factors.accept(self.user, code)

    def now(self) -> User:
        found = self.accounts.user(self.user.user_id)
        assert found
        return found


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


@pytest.mark.parametrize(("at", "code"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")])
def test_codes_are_those_of_the_rfc(at: int, code: str) -> None:
    assert accepted_step([RFC_KEY], code, at, -1) == at // STEP_S


def test_a_code_counts_in_its_step_and_one_beside_it() -> None:
    codes = [pyotp.TOTP(RFC_KEY).generate_otp(1000 + step) for step in range(-2, 3)]
    found = [accepted_step([RFC_KEY], code, 1000 * STEP_S, -1) for code in codes]
    assert found == [None, 999, 1000, 1001, None]


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "-12345"])
def test_a_text_that_is_no_code_is_refused(desk: Desk, code: str) -> None:
    assert not desk.accepts(code)


def test_a_code_is_not_accepted_twice_nor_an_earlier_one_after_it(desk: Desk) -> None:
    earlier, code = desk.code(), desk.code(1)
    assert desk.accepts(code)
    assert not desk.accepts(code)
    assert not desk.accepts(earlier)
    desk.clock.at += 2 * STEP_S
    assert desk.accepts(desk.code())


def test_one_of_many_at_once_gets_in_with_a_code(desk: Desk) -> None:
    code = desk.code()
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: desk.accepts(code), range(8))) == 1


def test_a_recovery_code_works_once(desk: Desk) -> None:
    first, second, *_ = desk.recovery
    assert re.fullmatch(r"([a-z2-7]{4}-){3}[a-z2-7]{4}", first)
    assert desk.accepts(f" {first.upper()} ")
    assert not desk.accepts(first)
    assert desk.accepts(second)
    factor = factor_of(desk.now())
    assert factor
    assert len(factor.recovery) == len(desk.recovery) - 2


def test_an_app_is_set_up_with_its_first_code_only(desk: Desk) -> None:
    before, nonce = desk.now(), new_nonce()
    assert desk.factors.set_up(desk.user, nonce, "000000") is None
    assert desk.now() == before
    new = pyotp.TOTP(desk.factors.key(desk.user, nonce))
    assert desk.factors.set_up(desk.user, nonce, new.generate_otp(desk.clock.at // STEP_S))
    assert not desk.accepts(desk.code(1))


def test_the_store_holds_neither_the_key_nor_a_recovery_code(desk: Desk) -> None:
    body = desk.store.record(USERS.of(), desk.user.user_id) or ""
    assert [one for one in (desk.app.secret, *desk.recovery) if one in body] == []


def test_an_app_goes_on_after_a_change_of_the_secret(desk: Desk) -> None:
    code = desk.code()
    changed = SecondFactors(desk.accounts, ("a new secret", SECRET), desk.clock)
    assert not SecondFactors(desk.accounts, ("a new secret",), desk.clock).accept(desk.user, code)
    assert changed.accept(desk.user, code)


def test_the_address_for_an_app_names_the_account(desk: Desk) -> None:
    address = app_address(RFC_KEY, desk.user)
    assert address == f"otpauth://totp/Wattfall:des%40example.org?secret={RFC_KEY}&issuer=Wattfall"


def test_sessions_that_end_meanwhile_stop_the_set_up_of_an_app(desk: Desk) -> None:
    desk.accounts.end_sessions(desk.user)
    before, nonce = desk.now(), new_nonce()
    code = pyotp.TOTP(desk.factors.key(desk.user, nonce)).generate_otp(desk.clock.at // STEP_S)
    assert desk.factors.set_up(desk.user, nonce, code) is None
    assert desk.now() == before


def test_removing_it_ends_all_sessions(desk: Desk) -> None:
    before = desk.now()
    desk.factors.remove(desk.user)
    assert (desk.now().second_factor, desk.now().session_epoch) == ("", before.session_epoch + 1)
