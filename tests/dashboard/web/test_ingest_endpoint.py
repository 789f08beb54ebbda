"""Readings over HTTP: one token a device, one result an item, no loss and no duplicate."""

import base64
import gzip
import io
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask import Flask, Response, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.aws.lambdas import answer_to
from aggregator.core.documents import Device
from aggregator.core.errors import StoreAway
from aggregator.core.periods import DAY_S, HALF_HOUR, iso_utc
from aggregator.core.readings import Interval, Reading
from aggregator.intake import device_status, tokens
from aggregator.intake.clocks import ServerClock
from aggregator.intake.device_status import known_status
from aggregator.intake.formats import canonical
from aggregator.intake.formats.canonical import MOST_HALF_HOURS
from aggregator.intake.formats.message import LARGEST
from aggregator.intake.ingest_endpoint import IngestEndpoint
from aggregator.intake.refusals import UNKNOWN, load_refusals
from aggregator.intake.tokens import FULL, end_tokens, new_token
from aggregator.settings import load
from aggregator.store.port import Store
from aggregator.store.sqlite.sqlite_store import SqliteStore
from dashboard.app import create_app
from dashboard.server import create_ingest_server
from tests.aggregator.intake.formats.messages import TELEGRAM, THREE_PHASES, sealed
from tests.dashboard.people import SECRET, browser, somebody

NOW = int(time.time()) // HALF_HOUR * HALF_HOUR  # the store expires records by the real time
Post = Callable[..., TestResponse]


def item(at: int = NOW, **fields: object) -> dict[str, object]:
    return {"at": iso_utc(at), **(fields or {"power_w": 5, "import_wh": 1000})}


def gateway(endpoint: IngestEndpoint) -> Flask:
    """Return a server that passes requests on to the function on AWS, as API Gateway does."""
    server = Flask("gateway")

    @server.post("/ingest")  # the API has no other route
    def passed_on() -> Response:
        body = request.get_data()
        is_text = body.isascii()
        event = {
            "version": "2.0",
            "rawPath": request.path,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "queryStringParameters": request.args.to_dict(),
            "requestContext": {"http": {"method": request.method}},
            "body": body.decode() if is_text else base64.b64encode(body).decode(),
            "isBase64Encoded": not is_text,
        }
        answer = answer_to(endpoint, event)
        return Response(answer["body"], answer["statusCode"], answer["headers"])

    return server


@pytest.fixture(params=["web", "ingest-server", "function"])
def client(request: pytest.FixtureRequest, store: Store) -> FlaskClient:
    """A client of the address, once for each of the two commands, and for the function on AWS."""
    store.put_device(Device("cad-1", "Europe/Berlin"))
    if request.param == "ingest-server":
        return create_ingest_server(store, "UTC").test_client()
    if request.param == "function":
        return gateway(IngestEndpoint(store, "UTC")).test_client()
    client: FlaskClient = create_app(load({"WATTFALL_SECRET": SECRET}), store).server.test_client()
    return client


@pytest.fixture
def token(store: Store) -> str:
    return new_token(store, "cad-1", NOW)


@pytest.fixture
def post(client: FlaskClient, token: str) -> Post:
    def send(body: object, path: str = "/ingest", bearer: str = token, **headers: str) -> TestResponse:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        return client.post(path, data=data, headers={"Authorization": f"Bearer {bearer}", **headers})

    return send


def answer(response: TestResponse) -> tuple[int, Any]:
    return response.status_code, response.json


def test_an_accepted_reading_is_durable_and_a_repeat_changes_nothing(post: Post, store: Store) -> None:
    expected = {"accepted": 1, "unchanged": 0, "rejected": 0, "reasons": {}, "refused": [], "watched": False}
    assert answer(post(item())) == (202, expected)
    assert store.readings("cad-1", NOW, NOW) == [Reading("cad-1", NOW, 5, 1000, None)]
    assert answer(post(item())) == (202, {**expected, "accepted": 0, "unchanged": 1})


def test_messages_are_read_by_the_rules_of_their_device(post: Post, store: Store) -> None:
    never_set = sealed(TELEGRAM.replace("260201081020W", "000101000010W"))
    phases = THREE_PHASES | {"unixtime": NOW}
    assert post(never_set, "/ingest?format=dsmr").status_code == 400
    store.put_device(Device("cad-1", netting="sum", stamp_on_arrival=True))
    assert post(phases, "/ingest?format=shelly").status_code == 202
    assert store.readings("cad-1", NOW, NOW) == [Reading("cad-1", NOW, 213, None, None)]
    before = int(time.time())
    assert post(never_set, "/ingest?format=dsmr").status_code == 202
    stamped = [one for one in store.readings("cad-1", NOW, int(time.time())) if one.meter_id]
    assert [one.import_wh for one in stamped] == [9_121_318]
    assert before <= stamped[0].at <= time.time()


def test_an_interval_is_stored_and_a_repeat_changes_nothing(post: Post, store: Store) -> None:
    sent = {"start": iso_utc(NOW - HALF_HOUR), "end": iso_utc(NOW), "import_wh": 214}
    status, said = answer(post(sent))
    assert (status, said["accepted"], said["unchanged"]) == (202, 1, 0)
    assert store.intervals("cad-1", 0, NOW) == [Interval("cad-1", NOW - HALF_HOUR, NOW, 214, None)]
    status, said = answer(post([sent, sent | {"end": sent["start"]}]))
    assert (status, said["accepted"], said["unchanged"]) == (202, 0, 1)
    assert [(one["item"], one["reason"]) for one in said["refused"]] == [(1, "bad_interval")]


def test_arrays_lines_and_gzip_are_accepted(post: Post, store: Store) -> None:
    lines = b"\n".join(orjson.dumps(item(NOW + second)) for second in (1, 2))
    assert post([item(NOW + 3), item(NOW + 4)]).status_code == 202
    assert post(lines, **{"Content-Type": "application/x-ndjson"}).status_code == 202
    assert post(gzip.compress(orjson.dumps(item(NOW + 5))), **{"Content-Encoding": "gzip"}).status_code == 202
    assert [reading.at - NOW for reading in store.readings("cad-1", NOW, NOW)] == [1, 2, 3, 4, 5]


def test_refused_items_are_named_and_quarantined_and_others_accepted(post: Post, store: Store) -> None:
    status, said = answer(post([item(), item(power_w="much"), {**item(), "device_id": "cad-2"}]))
    assert (status, said["accepted"], said["rejected"]) == (202, 1, 2)
    assert [(one["item"], one["reason"]) for one in said["refused"]] == [(1, "not_a_number"), (2, "bad_device_id")]
    assert [message.reason for message in load_refusals(store, "cad-1").messages] == ["bad_device_id", "not_a_number"]
    assert store.device("cad-2") is None


@pytest.mark.parametrize(
    "body",
    [b"{cut", b"\xff\xfe", b"[1, 2]", b"{}", b"[" * 100_000, b'{"power_w": ' + b"9" * 100_000],
    ids=["cut", "no text", "numbers", "empty", "deep", "many digits"],
)
def test_a_body_without_a_good_item_gets_400_with_reasons(post: Post, body: bytes) -> None:
    status, said = answer(post(body))
    assert status == 400
    assert said["accepted"] == 0
    assert all(one["reason"] for one in said["refused"])


def test_an_empty_body_is_accepted(post: Post) -> None:
    assert post(b"").status_code == 202


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer x", "Basic Y2FkLTE6eA==", "Bearer wattfall.cad-1.x", "Bearer \xff"]
)
def test_a_bad_token_gets_401(client: FlaskClient, token: str, authorization: str) -> None:
    response = client.post("/ingest", data=orjson.dumps(item()), headers={"Authorization": authorization})
    assert (response.status_code, response.json and response.json["reason"]) == (401, "no_token")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert token.encode() not in response.data


def first_codes(send: Callable[[], TestResponse]) -> list[int]:
    """Return two different codes of a flood, in order; a slow machine sends for longer, since the allowance grows."""
    first = code = send().status_code
    for _ in range(int(20 * FULL)):
        if code != first:
            break
        code = send().status_code
    return [first, code]


def test_wrong_tokens_are_charged_to_their_address_before_the_store_is_read(
    client: FlaskClient, post: Post, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "FULL", 5.0)
    monkeypatch.setattr(tokens, "REFILL_S", 0.001)
    wrong = {"Authorization": "Bearer wattfall.cad-9.x"}
    assert post(item()).status_code == 202
    answers = [client.post("/ingest", json=item(), headers=wrong) for _ in range(6)]
    assert [one.status_code for one in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) >= 1
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "record", lambda *_: pytest.fail("the store was read"))
        assert client.post("/ingest", json=item(), headers=wrong).status_code == 429
    assert post(item()).status_code == 202, "a device that has sent before goes on"


def test_revoked_and_foreign_tokens_are_bad_tokens(post: Post, store: Store) -> None:
    assert post({**item(), "device_id": "cad-1"}, bearer=new_token(store, "cad-9", NOW)).status_code == 400
    end_tokens(store, "cad-1")
    assert post(item()).status_code == 401
    assert store.live("cad-1") is None


def test_a_signed_in_session_cannot_send_readings(store: Store) -> None:
    server = create_app(load({"WATTFALL_SECRET": SECRET}), store).server
    client = browser(server, store, somebody(store))
    assert client.post("/ingest", json=item()).status_code == 401


def test_too_large_a_body_gets_413_in_any_encoding(post: Post, store: Store) -> None:
    assert post(bytes(LARGEST + 1)).status_code == 413
    assert post(gzip.compress(bytes(10 * LARGEST)), **{"Content-Encoding": "gzip"}).status_code == 413
    assert [message.reason for message in load_refusals(store, "cad-1").messages] == ["message_too_long"] * 2


@pytest.mark.parametrize("client", ["web", "ingest-server"], indirect=True)  # API Gateway reads bodies itself
def test_a_body_of_undeclared_length_is_cut_off(client: FlaskClient, token: str) -> None:
    body, headers = io.BytesIO(bytes(20 * LARGEST)), {"Authorization": f"Bearer {token}"}
    environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
    response = client.post("/ingest", input_stream=body, headers=headers, environ_overrides=environ)
    assert response.status_code == 413
    assert body.tell() <= 2 * LARGEST


def test_a_flood_gets_429_with_the_wait_and_slows_nobody_else(post: Post, store: Store) -> None:
    assert first_codes(lambda: post(item())) == [202, 429]
    assert int(post(item()).headers["Retry-After"]) > 0
    assert post(item(), bearer=new_token(store, "cad-2", NOW)).status_code == 202


def test_an_unknown_encoding_or_format_is_named(post: Post) -> None:
    assert answer(post(b"x", **{"Content-Encoding": "br"}))[1]["reason"] == "wrong_format"
    assert "dsmr" in answer(post(b"x", "/ingest?format=xml"))[1]["detail"]


def test_a_block_stores_its_readings_and_marks_an_edge(post: Post, store: Store) -> None:
    readings = [Reading("cad-1", NOW + second, second, 1000 + second, 0) for second in range(0, HALF_HOUR, 10)]
    status, said = answer(post(canonical.encode_block(readings[:60]), **{"Content-Type": canonical.BLOCK}))
    assert (status, said["accepted"], said["watched"]) == (202, 60, False)
    assert store.readings("cad-1", NOW, NOW) == readings[:60]
    device_status.note_look(store, "cad-1", int(time.time()))
    assert (
        answer(post(canonical.encode_block(readings[:60]), **{"Content-Type": canonical.BLOCK}))[1]["watched"] is True
    )


def test_an_empty_message_asks_for_a_viewer_and_leaves_nothing(post: Post, store: Store) -> None:
    nothing = {"accepted": 0, "unchanged": 0, "rejected": 0, "reasons": {}, "refused": []}
    assert answer(post([], "/ingest?live")) == (202, {**nothing, "watched": False})
    device_status.note_look(store, "cad-1", int(time.time()))
    assert answer(post([], "/ingest?live")) == (202, {**nothing, "watched": True})
    assert (store.live("cad-1"), load_refusals(store, "cad-1").days) == (None, {})


def test_a_block_of_another_device_is_refused(post: Post) -> None:
    assert (
        post(canonical.encode_block([Reading("cad-2", NOW, 1, 2, 3)]), **{"Content-Type": canonical.BLOCK}).status_code
        == 400
    )


def test_a_live_only_reading_is_not_stored_as_evidence(post: Post, store: Store) -> None:
    status, _ = answer(post([item(NOW + 1, power_w=7), item(NOW, power_w=6), item(lqi=96), 5], "/ingest?live"))
    live, said = store.live("cad-1"), known_status(store, "cad-1")
    assert status == 202
    assert live
    assert (live.at, live.power_w) == (NOW + 1, 7)
    assert store.readings("cad-1", NOW, NOW) == []
    assert said
    assert said.status.lqi == 96
    assert [message.reason for message in load_refusals(store, "cad-1").messages] == ["not_an_object"]


def test_a_vendors_message_is_read_in_the_devices_time_zone(post: Post, store: Store) -> None:
    local = iso_utc(NOW + 3600)[:-1]  # Berlin is at least an hour ahead
    body = {"Time": local, "ENERGY": {"Total": 12.5, "Power": 300}}
    assert post(body, "/ingest?format=tasmota").status_code == 202
    assert [reading.import_wh for reading in store.readings("cad-1", NOW - HALF_HOUR * 4, NOW)] == [12_500]


def test_an_unreachable_store_gets_503_and_a_retry(post: Post, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise StoreAway("busy")

    monkeypatch.setattr(type(store), "write_readings", away)
    response = post(item())
    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert b"busy" not in response.data


def test_rate_limits_refill_as_time_passes(store: Store) -> None:
    store.put_device(Device("cad-1"))
    now = [float(NOW)]
    server = create_ingest_server(store, "UTC", IngestEndpoint(store, "UTC", lambda: now[0]))
    client, headers = server.test_client(), {"Authorization": f"Bearer {new_token(store, 'cad-1', NOW)}"}
    while client.post("/ingest", data=b"", headers=headers).status_code == 202:
        continue
    now[0] += 1
    assert client.post("/ingest", data=b"", headers=headers).status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        b'{"refused": "no_values", "detail": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"refused": "no_values", "detail": "\\ud800", "payload": "\\udfff\\u001b[2J"}',
        b'{"refused": "no_values", "payload": {"a": 1e999}}',
    ],
    ids=["deep", "surrogates", "no text"],
)
def test_no_gateway_report_breaks_the_endpoint(post: Post, store: Store, body: bytes) -> None:
    assert post(body).status_code == 400
    assert len(load_refusals(store, "cad-1").messages) == 1


def test_a_message_costs_bounded_time_and_the_next_ones_wait(post: Post) -> None:
    lines = gzip.compress(b'{"\n' * 300_000)
    codes = [post(lines, **{"Content-Encoding": "gzip"}).status_code for _ in range(40)]
    assert codes[0] == 400
    assert codes[-1] == 429


def test_readings_of_too_many_half_hours_are_refused(post: Post, store: Store) -> None:
    assert post([item(NOW - HALF_HOUR * back) for back in range(MOST_HALF_HOURS + 1)]).status_code == 400
    assert store.live("cad-1") is None
    assert post([item(NOW - HALF_HOUR * back) for back in range(MOST_HALF_HOURS)]).status_code == 202


def test_a_device_has_a_limited_number_of_extra_meters(post: Post, store: Store) -> None:
    names = ["gas", *map(str, range(200)), "x", "GAS"]
    post([{**item(), "device_id": f"cad-1~{name}"} for name in names])
    assert [device.device_id for device in store.devices()] == [
        "cad-1",
        *(f"cad-1~{number}" for number in range(1, 10)),
        "cad-1~gas",
    ]


def test_a_truncated_body_is_refused(client: FlaskClient, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    environ = {"CONTENT_LENGTH": "5000"}
    lines = b"\n".join(orjson.dumps(item(NOW + second)) for second in range(3))
    response = client.post("/ingest", input_stream=io.BytesIO(lines), headers=headers, environ_overrides=environ)
    assert response.status_code == 400


def test_readings_older_than_the_retention_are_refused_unless_in_a_block(post: Post, store: Store) -> None:
    old = NOW - 40 * DAY_S
    status, content = answer(post([item(old), item()]))
    assert (status, content["accepted"], content["reasons"]) == (202, 1, {"too_old": 1})
    assert content["refused"][0]["item"] == 0
    block = canonical.encode_block([Reading("cad-1", old // HALF_HOUR * HALF_HOUR, 1, 2, 3)])
    assert post(block, **{"Content-Type": canonical.BLOCK}).status_code == 202
    assert len(store.readings("cad-1", 0, NOW)) == 2


class FutureServer:
    """An endpoint with clocks to set, whose server's clock is an hour behind."""

    def __init__(self, store: Store, processes: int = 1) -> None:
        self.now, self.pace, self.store = NOW - 3600.0, 0.0, store
        votes = ServerClock()
        endpoints = [
            IngestEndpoint(store, "UTC", lambda: self.now, server_clock=votes, pace=lambda: self.pace)
            for _ in range(processes)
        ]
        self.clients = [create_ingest_server(store, "UTC", endpoint).test_client() for endpoint in endpoints]

    def post(self, device_id: str, process: int = 0, at: int = NOW) -> TestResponse:
        self.store.put_device(Device(device_id))
        headers = {"Authorization": f"Bearer {new_token(self.store, device_id, NOW)}"}
        return self.clients[process].post("/ingest", data=orjson.dumps(item(at)), headers=headers)


def test_readings_wait_while_the_servers_clock_is_behind_most_devices(store: Store) -> None:
    server = FutureServer(store, processes=4)
    answers = [server.post(f"cad-{number}", number) for number in range(4)]
    assert [answer.status_code for answer in answers] == [503, 503, 503, 503]
    assert [answer.headers["Retry-After"] for answer in answers] == ["10", "10", "60", "60"]
    server.now, server.pace = server.now + 120, 120
    assert server.post("cad-0").status_code == 503
    assert [message.reason for message in load_refusals(store, UNKNOWN).messages] == ["server_clock"] * 2
    server.now += 3600
    assert [server.post(f"cad-{number}", number).status_code for number in range(4)] == [202] * 4


def test_the_future_of_two_devices_is_refused_after_a_minute(store: Store) -> None:
    server = FutureServer(store)
    assert [server.post(f"cad-{number}").status_code for number in range(2)] == [503, 503]
    server.now, server.pace = server.now + 60, 60
    assert [answer(server.post(f"cad-{number}"))[1]["reasons"] for number in range(2)] == [{"in_the_future": 1}] * 2


def test_the_future_of_one_among_others_is_refused_at_once(store: Store) -> None:
    server = FutureServer(store)
    assert [server.post(f"cad-{number}", at=NOW - 3600).status_code for number in range(2)] == [202, 202]
    assert server.post("cad-2").status_code == 400


def test_concurrent_posts_are_durable_and_each_has_its_own_answer(tmp_path: Path) -> None:
    path = str(tmp_path / "threads.db")
    store, other = SqliteStore(path), SqliteStore(path)
    client = create_ingest_server(store, "UTC", IngestEndpoint(store, "UTC", lambda: NOW)).test_client
    sent = [[item(), item(NOW + 1)], [item(power_w=True)], [item(), item(power_w="x")], [item(), item()]]
    headers = [{"Authorization": f"Bearer {new_token(store, f'cad-{number}', NOW)}"} for number in range(len(sent))]

    def post(number: int) -> tuple[int, Any]:
        return answer(client().post("/ingest", data=orjson.dumps(sent[number]), headers=headers[number]))

    with ThreadPoolExecutor(len(sent)) as pool:
        with other.transaction():
            futures = [pool.submit(post, number) for number in range(len(sent))]
        answers = [future.result() for future in futures]
    counts = [(code, said["accepted"], said["unchanged"], said["rejected"]) for code, said in answers]
    assert counts == [(202, 2, 0, 0), (400, 0, 0, 1), (202, 1, 0, 1), (202, 1, 1, 0)]
    assert [len(other.readings(f"cad-{number}", NOW, NOW)) for number in range(4)] == [2, 0, 1, 1]
    store.close()
    other.close()


def test_a_post_gets_503_when_another_process_writes_for_long(tmp_path: Path) -> None:
    path = str(tmp_path / "busy.db")
    store, other = SqliteStore(path, busy_s=0.1), SqliteStore(path)
    headers = {"Authorization": f"Bearer {new_token(store, 'cad-1', NOW)}"}
    client = create_ingest_server(store, "UTC", IngestEndpoint(store, "UTC", lambda: NOW)).test_client()
    with other.transaction():
        response = client.post("/ingest", data=orjson.dumps(item()), headers=headers)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert client.post("/ingest", data=orjson.dumps(item()), headers=headers).status_code == 202
    store.close()
    other.close()
