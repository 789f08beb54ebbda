from concurrent.futures import ThreadPoolExecutor

import pytest

from aggregator.store.collections import ATTEMPTS
from aggregator.store.port import Store
from dashboard.accounts.accounts import ACCOUNT, ADDRESS, SITE, VISITS, Throttle
from tests.dashboard.people import Clock

HERE = "192.0.2.7"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(store: Store, clock: Clock) -> Throttle:
    return Throttle(store, clock)


def elsewhere(number: int) -> str:
    return f"198.51.{number // 250}.{number % 250}"


def test_a_few_wrong_passwords_are_free_then_each_waits_longer(throttle: Throttle, clock: Clock) -> None:
    waits = []
    for number in range(ACCOUNT.free + 8):
        waits.append(throttle.attempt("ann@example.org", elsewhere(number)))
        clock.at += waits[-1]
        assert not waits[-1] or throttle.attempt("ann@example.org", elsewhere(number + 100)) == 0
    assert waits[: ACCOUNT.free] == [0] * ACCOUNT.free
    later = [wait for wait in waits if wait]
    assert later == [30, 60, 120, 240, 480, 900, 900, 900]


def test_attempts_during_the_wait_do_not_lengthen_it(throttle: Throttle, clock: Clock) -> None:
    for number in range(ACCOUNT.free):
        throttle.attempt("ann@example.org", elsewhere(number))
    assert [throttle.attempt("ann@example.org", elsewhere(number)) for number in range(20, 25)] == [30] * 5
    clock.at += 29
    assert throttle.attempt("ann@example.org", HERE) == 1
    clock.at += 1
    assert throttle.attempt("ann@example.org", HERE) == 0


def test_an_address_that_tries_many_accounts_waits(throttle: Throttle) -> None:
    waits = [throttle.attempt(f"p{number}@example.org", HERE) for number in range(ADDRESS.free + 1)]
    assert waits == [0] * ADDRESS.free + [30]
    assert throttle.attempt("ann@example.org", "192.0.2.8") == 0


def test_a_home_network_of_ipv6_counts_as_one_address(throttle: Throttle) -> None:
    for number in range(ADDRESS.free):
        throttle.attempt(f"p{number}@example.org", f"2001:db8:1:{number:x}::1")
    assert throttle.attempt("ann@example.org", "2001:db8:1:ff:ffff::1") == 30
    assert throttle.attempt("ann@example.org", "2001:db8:1:100::1") == 0
    assert throttle.attempt("bob@example.org", "::ffff:192.0.2.1") == 0


def test_many_networks_of_one_site_wait_ever_longer(throttle: Throttle, clock: Clock) -> None:
    waits = []
    for number in range(SITE.free + 4):  # a /56 each time, of one /48
        waits.append(throttle.attempt(f"p{number}@example.org", f"2001:db8:1:{number:x}00::1"))
        clock.at += waits[-1]
        assert not waits[-1] or throttle.attempt(f"q{number}@example.org", f"2001:db8:1:{number:x}00::1") == 0
    assert waits == [0] * SITE.free + [30, 60, 120, 240]
    assert throttle.attempt("ann@example.org", "2001:db8:2::1") == 0


def test_one_home_cannot_use_up_the_attempts_of_its_site(throttle: Throttle) -> None:
    for number in range(10 * SITE.free):
        throttle.attempt(f"p{number}@example.org", "2001:db8:1::1")
    assert throttle.attempt("ann@example.org", "2001:db8:1:100::1") == 0


def test_an_attempt_that_nobody_looked_at_is_taken_back(throttle: Throttle) -> None:
    for _ in range(10 * ACCOUNT.free):
        assert throttle.attempt("ann@example.org", HERE) == 0
        throttle.withdraw("ann@example.org", HERE)


def test_visitors_of_the_demo_are_few_from_one_address(throttle: Throttle) -> None:
    assert [throttle.visit(HERE) for _ in range(VISITS.free + 1)] == [0] * VISITS.free + [30]
    assert throttle.attempt("ann@example.org", HERE) == 0


def test_attempts_count_for_every_spelling_of_an_address(throttle: Throttle) -> None:
    typed = ["ann@example.org", "Ann@example.org", " ann@example.org", "ANN@EXAMPLE.ORG", "ann@example.org\t"]
    for number, email in enumerate(typed):
        assert throttle.attempt(email, elsewhere(number)) == 0
    assert throttle.attempt("aNN@example.org", HERE) == 30


def test_a_right_password_resets_the_account_but_not_the_address(throttle: Throttle) -> None:
    for number in range(ADDRESS.free - 1):
        throttle.attempt(f"p{number}@example.org", HERE)
    for _ in range(3):  # an attacker with an own account
        assert throttle.attempt("own@example.org", HERE) == 0
        throttle.forgive("own@example.org", HERE)
    assert throttle.attempt("ann@example.org", HERE) == 0
    assert throttle.attempt("bob@example.org", HERE) == 30


def test_attempts_are_forgotten_after_a_while(throttle: Throttle, clock: Clock) -> None:
    for number in range(ACCOUNT.free):
        throttle.attempt("ann@example.org", elsewhere(number))
    clock.at += ACCOUNT.forgotten_s
    assert [throttle.attempt("ann@example.org", elsewhere(number)) for number in range(ACCOUNT.free)] == [0] * 5


def test_a_hundred_concurrent_attempts_are_throttled(throttle: Throttle) -> None:
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda number: throttle.attempt("ann@example.org", elsewhere(number)), range(40)))
    assert waits.count(0) == ACCOUNT.free


def test_the_store_holds_no_addresses_of_accounts(store: Store, throttle: Throttle) -> None:
    throttle.attempt("ann@example.org", HERE)
    assert len(store.records(ATTEMPTS.of())) == 2
    assert "ann" not in repr(store.records(ATTEMPTS.of()))
