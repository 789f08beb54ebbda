"""The edge against the real endpoint over a real connection: bytes on the wire, and the meaning of each answer."""

import gzip
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from random import Random

import orjson
import pytest
from werkzeug.serving import make_server

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import HALF_HOUR, HOUR, iso_utc
from aggregator.core.readings import Reading
from aggregator.intake.edge.edge import ALONE
from aggregator.intake.edge.ingest_client import JSON, LONGEST_WAIT_S, HttpIngestClient, SendResult
from aggregator.intake.formats import canonical
from aggregator.intake.ingest_endpoint import AGAIN_S, IngestEndpoint
from aggregator.intake.tokens import end_tokens, new_token
from aggregator.store.port import Store
from dashboard.commands.main import main
from dashboard.server import create_ingest_server
from tests.aggregator.intake.formats.messages import TELEGRAM, sealed

NOW = int(time.time()) // HALF_HOUR * HALF_HOUR - HALF_HOUR  # the start of a past half hour


@pytest.fixture
def address(store: Store) -> Iterator[str]:
    """The address of `wattfall ingest-server`'s app on a free port, with a fixed clock."""
    store.put_device(Device("cad-1"))
    endpoint = IngestEndpoint(store, "UTC", lambda: NOW + HALF_HOUR)
    server = make_server("127.0.0.1", 0, create_ingest_server(store, "UTC", endpoint), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def uplink(address: str, store: Store) -> Iterator[HttpIngestClient]:
    opened = HttpIngestClient(address, new_token(store, "cad-1", NOW))
    yield opened
    opened.close()


def half_hour() -> list[Reading]:
    """Return 180 readings with a noisy power and a matching register, as in the simulator's homes."""
    chance, watt_seconds, found = Random(1), 4_120_317 * 3600, []
    for at in range(NOW, NOW + HALF_HOUR, 10):
        power = int(chance.lognormvariate(5.8, 1.0))
        watt_seconds += power * 10
        found.append(Reading("cad-1", at, power, watt_seconds // 3600, 12_004, "23W1234567"))
    return found


def test_180_readings_and_their_answer_take_at_most_1200_bytes(uplink: HttpIngestClient, store: Store) -> None:
    assert uplink.send(canonical.encode_block(half_hour()), canonical.BLOCK).result is SendResult.KEPT
    assert store.readings("cad-1", NOW, NOW) == half_hour()
    assert 500 < uplink.sent.size <= 1200


def test_a_single_reading_has_the_size_in_the_report(uplink: HttpIngestClient) -> None:
    for reading in half_hour()[:20]:
        item = reading._asdict() | {"at": iso_utc(reading.at)}
        assert uplink.send(orjson.dumps(item), JSON).result is SendResult.KEPT
    assert uplink.sent.size / 20 == pytest.approx(ALONE, rel=0.1)


def test_each_status_maps_to_a_send_result(uplink: HttpIngestClient, store: Store, address: str) -> None:
    assert uplink.send(b"cad-1 5\n", canonical.BLOCK).result is SendResult.REFUSED
    assert uplink.send(bytes(2_000_000), JSON).result is SendResult.REFUSED
    for _ in range(300):
        answer = uplink.send(b"", JSON)
    assert (answer.result, answer.wait_s > 0) == (SendResult.LATER, True)
    end_tokens(store, "cad-1")
    assert uplink.send(b"", JSON).result is SendResult.NO_ENTRY
    elsewhere = HttpIngestClient(f"{address}/elsewhere", uplink.token)
    assert elsewhere.send(b"", JSON).result is SendResult.LATER  # a proxy's own page means nothing
    elsewhere.close()


PORTAL = b"<html>Accept the terms</html>"


class Nonsense(BaseHTTPRequestHandler):
    """A middle box that answers instead of Wattfall."""

    protocol_version = "HTTP/1.1"
    status, headers_more, body = 200, {}, PORTAL  # type: ignore[var-annotated]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        for name, value in {"Content-Length": str(len(self.body)), **self.headers_more}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):  # the client may close early
            self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {}, PORTAL),
        (202, {}, PORTAL),
        (202, {}, b"[" * 100_000),
        (302, {"Location": "http://127.0.0.1:9/"}, b""),
        (400, {}, b'{"message": "Bad Request"}'),
        (400, {}, b'{"reasons": 5}'),
        (400, {}, b'{"reason": ["x"], "detail": {}}'),
        (413, {}, PORTAL),
        (429, {"Retry-After": "99999999"}, b""),
        (503, {"Retry-After": "soon"}, PORTAL),
        (202, {"Content-Encoding": "gzip"}, gzip.compress(bytes(50_000_000), mtime=0)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_foreign_answer_means_later(status: int, headers: dict[str, str], body: bytes) -> None:
    handler = type("Handler", (Nonsense,), {"status": status, "headers_more": headers, "body": body})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    uplink = HttpIngestClient(f"http://127.0.0.1:{server.server_port}", f"wattfall.cad-1.{'x' * 43}")
    answer = uplink.send(b"[]", JSON)
    assert answer.result is SendResult.LATER
    assert answer.wait_s <= LONGEST_WAIT_S
    uplink.close()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_half_hour_of_the_future_waits_until_others_vouch_for_the_server(
    uplink: HttpIngestClient, address: str, store: Store
) -> None:
    ahead = canonical.encode_block([Reading("cad-1", NOW + 5 * HALF_HOUR, 1, 2, 3)])
    answer = uplink.send(ahead, canonical.BLOCK)
    assert (answer.result, answer.wait_s) == (SendResult.LATER, AGAIN_S)
    for device_id in ("cad-2", "cad-3"):
        other = HttpIngestClient(address, new_token(store, device_id, NOW))
        right = canonical.encode_block([Reading(device_id, NOW, 1, 2, 3)])
        assert other.send(right, canonical.BLOCK).result is SendResult.KEPT
        other.close()
    assert uplink.send(ahead, canonical.BLOCK).result is SendResult.EARLY


def test_an_unreachable_server_means_later(store: Store) -> None:
    uplink = HttpIngestClient("http://127.0.0.1:9", new_token(store, "cad-1", NOW))
    assert uplink.send(b"", JSON).result is SendResult.LATER


@pytest.mark.parametrize("url", ["", "energy.example.org", "http://energy.example.org", "https://", "ftp://x"])
def test_a_token_is_sent_over_https_only(url: str, store: Store) -> None:
    with pytest.raises(ConfigurationError, match="https"):
        HttpIngestClient(url, new_token(store, "cad-1", NOW))


def test_a_missing_token_names_the_command_to_make_one() -> None:
    with pytest.raises(ConfigurationError, match="wattfall device token"):
        HttpIngestClient("https://energy.example.org", "")


def test_a_token_is_in_no_repr(uplink: HttpIngestClient) -> None:
    assert uplink.token not in repr(uplink)


def test_the_command_stores_sends_and_reports_its_savings(address: str, store: Store, tmp_path: Path) -> None:
    first = NOW - 3 * HOUR  # all of it is past, and due
    lines = b"".join(
        orjson.dumps({"at": iso_utc(at), "power_w": 300, "import_wh": at // 12}) + b"\n"
        for at in range(first, first + 2 * HALF_HOUR, 10)
    )
    environ = {**os.environ, "WATTFALL_TOKEN": new_token(store, "cad-1", NOW)}
    command = [
        sys.executable,
        "-m",
        "dashboard.commands.main",
        "edge",
        "--source",
        "-",
        "--to",
        address,
        "--data",
        str(tmp_path),
    ]
    ended = subprocess.run(command, input=lines + b"{cut\n", capture_output=True, env=environ, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert b"360 readings kept; sent 2 half hours" in ended.stdout
    assert b"0 half hours wait" in ended.stdout
    assert len(store.readings("cad-1", first, first + HALF_HOUR)) == 360
    assert environ["WATTFALL_TOKEN"].encode() not in ended.stdout + ended.stderr
    again = subprocess.run(command, input=lines, capture_output=True, env=environ, timeout=60, check=False)
    assert b"0 readings kept; sent 0 half hours" in again.stdout


@pytest.mark.parametrize(
    ("options", "kept"), [([], b"2 readings kept; sent 2 half hours"), (["--stamp-on-arrival"], b"3 readings kept")]
)
def test_telegrams_on_standard_input_are_read_whole(
    address: str, store: Store, tmp_path: Path, options: list[str], kept: bytes
) -> None:
    environ = {**os.environ, "WATTFALL_TOKEN": new_token(store, "cad-1", NOW)}
    command = [sys.executable, "-m", "dashboard.commands.main", "edge", "--source", "-", "--format", "dsmr"]
    telegram, never_set = sealed(TELEGRAM), sealed(TELEGRAM.replace("260201081020W", "000101000010W"))
    log = telegram[50:] + telegram + telegram.replace(b"\r\n", b"\n") + never_set
    ended = subprocess.run(
        [*command, "--to", address, "--data", str(tmp_path), *options],
        input=log,
        capture_output=True,
        env=environ,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert kept in ended.stdout


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ([], "--to"),
        (["--to", "http://x/"], "https://"),
        (["--to", "https://x/"], "WATTFALL_TOKEN"),
    ],
)
def test_a_wrong_option_gets_one_line_with_the_fix(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], options: list[str], mend: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["edge", "--data", str(tmp_path), "--source", "-", *options])
    said = capfd.readouterr().err
    assert (ended.value.code, said.count("\n")) == (2, 1)
    assert mend in said
