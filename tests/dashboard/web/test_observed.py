"""The web process, seen from outside: /ready, /metrics, and the time of its answers."""

import pytest
from flask.testing import FlaskClient

from aggregator.core.errors import StoreAway
from aggregator.store import Store
from tests.dashboard.people import dashboard

TOKEN = "a token for Prometheus, of at least 32 characters"


@pytest.fixture
def client(store: Store) -> FlaskClient:
    made: FlaskClient = dashboard(store, WATTFALL_METRICS_TOKEN=TOKEN).server.test_client()
    return made


def metrics(client: FlaskClient) -> str:
    return client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text


def test_a_ready_process_says_so_to_everybody(client: FlaskClient) -> None:
    answer = client.get("/ready")
    assert (answer.status_code, answer.data, answer.headers["Cache-Control"]) == (200, b"OK", "no-store")


def test_a_process_without_its_store_is_not_ready(
    store: Store, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> str:
        raise StoreAway("no network")

    monkeypatch.setattr(type(store), "record", away)
    answer = client.get("/ready")
    assert (answer.status_code, answer.data) == (503, b"store")


def test_metrics_need_their_token(store: Store, client: FlaskClient) -> None:
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert "wattfall_request_seconds_count" in metrics(client)
    without = dashboard(store).server.test_client()
    assert without.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


def test_answers_are_counted_by_kind(client: FlaskClient) -> None:
    client.get("/sign-in")
    client.get("/sign-in")
    client.get("/assets/logo.svg", buffered=True)
    client.post("/_dash-update-component", json={"changedPropIds": ["tick.data"]})
    found = metrics(client)
    assert 'wattfall_request_seconds_count{kind="page",status="2xx"} 2.0' in found
    assert 'wattfall_request_seconds_count{kind="file",status="2xx"} 1.0' in found
    assert 'wattfall_request_seconds_count{kind="callback",status="4xx"} 1.0' in found
