import pytest

from aggregator.core.errors import ConfigurationError, Damaged
from dashboard.accounts.users import (
    COMMON,
    LONGEST_PASSWORD,
    User,
    check_email,
    check_name,
    password_fault,
    user_from_text,
)


def test_a_user_survives_serialization() -> None:
    user = User(
        "u1", "ann@example.org", "Ann", "support", "", is_disabled=True, session_epoch=3, password_hash="$argon2id$x"
    )
    assert user_from_text(user.to_text()) == user


def test_a_damaged_account_reveals_no_content() -> None:
    with pytest.raises(Damaged) as caught:
        user_from_text('{"password_hash": "$argon2id$secret", "what": 1}')
    assert "secret" not in str(caught.value)


def test_a_password_hash_is_in_no_repr() -> None:
    assert "argon2" not in repr(User("u1", password_hash="$argon2id$x"))


@pytest.mark.parametrize("typed", ["Ann@Example.ORG", "  ann@example.org ", "ANN@EXAMPLE.ORG\n"])
def test_an_address_has_one_stored_form(typed: str) -> None:
    assert check_email(typed) == "ann@example.org"


@pytest.mark.parametrize(
    "typed",
    [
        *("", "ann", "@example.org", "ann@", "ann@@example.org", "ann@example..org", "ann smith@example.org"),
        *("ann@example.org\r\nBcc: eve@example.org", "ann\x00@example.org", "a" * 250 + "@b.org", "ann@.org"),
        "\u212aevin@example.org",  # the kelvin sign, which normalizes to a K
        "ann@ｅxample.org",
    ],
)
def test_invalid_and_lookalike_addresses_are_refused(typed: str) -> None:
    with pytest.raises(ConfigurationError, match="is not an e-mail address"):
        check_email(typed)


def test_non_english_letters_stay_distinct() -> None:
    assert check_email("straße@example.org") != check_email("strasse@example.org")


@pytest.mark.parametrize("name", ["a\r\nb", "a" * 81, "a\u202eb"])
def test_a_multi_line_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is no name"):
        check_name(name)


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("elevenchars", "too short"),
        ("a" * (LONGEST_PASSWORD + 1), "too long"),
        ("password1234", "guessed first"),
        ("PassWord1234", "guessed first"),
        ("abababababab", "guessed first"),
        ("ann.somebody@example.org", "e-mail address"),
    ],
)
def test_a_bad_password_is_refused_with_the_reason(password: str, word: str) -> None:
    assert word in password_fault(password, "ann.somebody@example.org")


@pytest.mark.parametrize("password", ["correct battery horse staple", "Übergrößenträger", "x" * 250 + "abcdef"])
def test_a_good_password_is_accepted(password: str) -> None:
    assert password_fault(password, "ann@example.org") == ""


def test_every_common_password_would_otherwise_be_long_enough() -> None:
    assert [one for one in COMMON if len(one) < 12 or one != one.lower()] == []
