"""Device tokens: valid for one device, replaced without interruption, and stored only as hashes."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregator.intake.tokens import OVERLAP_S, device_of, end_tokens, named_device, new_token
from aggregator.store import Store, open_store

NOW = int(time.time())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/tokens.db")
    yield opened
    opened.close()


def test_a_token_belongs_to_its_device(store: Store) -> None:
    token = new_token(store, "cad.1:a_b~gas", NOW)
    assert device_of(store, token, NOW) == named_device(token) == "cad.1:a_b~gas"
    assert len(token.rpartition(".")[2]) == 43  # 256 bits


def test_an_old_token_stays_valid_for_a_day(store: Store) -> None:
    first, second = new_token(store, "cad-1", NOW), new_token(store, "cad-1", NOW + 1)
    assert device_of(store, first, NOW + OVERLAP_S) == "cad-1"
    assert device_of(store, first, NOW + 1 + OVERLAP_S) == ""
    assert device_of(store, second, NOW + 400 * OVERLAP_S) == "cad-1"


def test_revoked_tokens_are_invalid(store: Store) -> None:
    tokens = [new_token(store, "cad-1", NOW), new_token(store, "cad-1", NOW)]
    other = new_token(store, "cad-2", NOW)
    end_tokens(store, "cad-1")
    assert [device_of(store, token, NOW) for token in (*tokens, other)] == ["", "", "cad-2"]


def test_a_token_of_another_device_is_invalid(store: Store) -> None:
    token = new_token(store, "cad-1", NOW)
    new_token(store, "cad-2", NOW)
    assert device_of(store, token.replace("cad-1", "cad-2"), NOW) == ""


@pytest.mark.parametrize(
    "token", ["", ".", "wattfall..", "wattfall.cad-1", "wattfall.cad-1.", "x.cad-1.y", "wattfall.cad-1.é", "w" * 9999]
)
def test_malformed_tokens_are_invalid(store: Store, token: str) -> None:
    new_token(store, "cad-1", NOW)
    assert device_of(store, token, NOW) == ""


def test_the_store_holds_no_plain_token(store: Store, tmp_path: Path) -> None:
    secret = new_token(store, "cad-1", NOW).rpartition(".")[2]
    store.close()
    assert all(secret.encode() not in path.read_bytes() for path in tmp_path.iterdir())
