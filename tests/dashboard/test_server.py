"""The web process: its start, its workers, and its errors at the start."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError

import pytest
from flask import Request

from aggregator.core.documents import Device, new_device
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import iso_utc
from aggregator.intake.tokens import new_token
from aggregator.settings import load
from aggregator.store.port import Store
from aggregator.store.sqlite.sqlite_store import SqliteStore
from dashboard import server
from dashboard.commands.main import main
from dashboard.server import check_port, reserve_port, warm
from dashboard.web.request_guard import admit_body
from tests.dashboard import homes
from tests.dashboard.people import SECRET, at_home, cookie_of, dashboard, member
from tests.servers import free_port

ELSEWHERE = "10.9.9.9"  # no address of this machine
PATIENCE_S = 60  # for a process on a busy machine


@pytest.fixture
def port() -> int:
    return free_port()


def variables(folder: Path, port: int) -> dict[str, str]:
    return {
        "WATTFALL_STORE": f"sqlite:///{folder}/homes.db",
        "PORT": str(port),
        "WEB_CONCURRENCY": "2",
        "WATTFALL_SECRET": SECRET,
        "WATTFALL_METRICS_TOKEN": SECRET,
    }


MAIN = "from dashboard.commands.main import main; main()"


def command(folder: Path, port: int, name: str = "web", program: str = MAIN) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", program, name],
        env=os.environ | variables(folder, port),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def refused(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Return the one line of a `wattfall web` that fails to start with exit code 2."""
    monkeypatch.setattr(server._Server, "run", lambda _: pytest.fail("it has started"))

    def said(*arguments: str, **environ: str) -> str:
        for name, value in (variables(tmp_path, port) | environ).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(["web", *arguments])
        said, error = capfd.readouterr()
        assert (ended.value.code, said, error.count("\n")) == (2, "", 1)
        return error

    return said


@contextmanager
def running(folder: Path, port: int, name: str = "web", program: str = MAIN) -> Iterator["subprocess.Popen[str]"]:
    process = command(folder, port, name, program)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while len(listening(port)) < 2 or get(port, "/health") != b"OK":
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a web process."""
    port = free_port()
    with running(tmp_path_factory.mktemp("web"), port):
        yield port


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
        return bytes(answer.read())


def listening(port: int) -> list[str]:
    """Return the listening sockets of a port, by inode."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"]


def posted(port: int, token: str) -> int | None:
    """Return the status of a reading that is sent; None where nothing answers."""
    body = json.dumps({"device_id": "home", "at": iso_utc(int(time.time())), "import_wh": 5}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/ingest", body, headers)
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except OSError:
        return None


FAULTS: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: path.rename(path.with_name("elsewhere.db")), " was deleted, moved or replaced"),
    (lambda path: os.truncate(f"{path}-wal", 0), "-wal was cut"),
]


@pytest.mark.parametrize("name", ["web", "ingest-server"])
@pytest.mark.parametrize(("fault", "message"), FAULTS, ids=["moved", "log cut"])
def test_a_serving_process_ends_when_its_store_file_is_replaced_or_cut(
    tmp_path: Path, port: int, name: str, fault: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "homes.db"
    with closing(SqliteStore(str(path))) as store:
        store.put_device(new_device("home", "UTC"))
        token = new_token(store, "home", int(time.time()))
    with running(tmp_path, port, name) as process:
        assert posted(port, token) == 202
        fault(path)
        assert posted(port, token) in (503, None)  # None once it has ended
        _, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert error.startswith(f"wattfall: {path}{message} while it was in use; ")
    assert error.count("\n") == 1


# Ports


def test_a_port_in_use_is_refused(port: int) -> None:
    check_port(port)
    with (
        closing(socket.create_server(("127.0.0.1", port))),
        pytest.raises(ConfigurationError, match=f"port {port} is in use"),
    ):
        check_port(port)


def test_a_shared_port_in_use_is_refused(port: int) -> None:
    with closing(socket.create_server(("127.0.0.1", port), reuse_port=True)), pytest.raises(ConfigurationError):
        check_port(port)


def test_a_reserved_port_admits_only_our_workers(port: int) -> None:
    with reserve_port(port, "127.0.0.1"):
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}"):
            reserve_port(port, "127.0.0.1")
        workers = [socket.create_server(("127.0.0.1", port), reuse_port=True) for _ in range(2)]
        for worker in workers:
            worker.close()
    reserve_port(port, "127.0.0.1").close()


def test_a_foreign_address_gets_one_line(port: int, refused: Callable[..., str]) -> None:
    assert f"cannot listen on {ELSEWHERE}:{port}: " in refused("--host", ELSEWHERE)


# Workers


def test_each_worker_has_its_own_socket_and_serves_every_script(web: int) -> None:
    scripts = re.findall(r'src="(/[^"]+)"', get(web, "/").decode())
    assert len(listening(web)) == 2
    for _ in range(8):  # the kernel chooses any worker
        assert get(web, scripts[-1])


def pages_counted(port: int) -> float:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {SECRET}"})
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        found = re.search(rb'request_seconds_count{kind="page",status="2xx"} (\S+)', answer.read())
    return float(found[1]) if found else 0


def test_the_counts_of_all_workers_add_up_in_any_answer(web: int) -> None:
    before = pages_counted(web)
    for _ in range(20):
        get(web, "/sign-in")
    assert [pages_counted(web) - before for _ in range(8)] == [20] * 8  # the kernel chooses any worker


def test_a_second_wattfall_on_the_same_port_is_refused(tmp_path: Path, web: int) -> None:
    second = command(tmp_path, web)
    assert second.communicate(timeout=PATIENCE_S) == (
        "",
        f"wattfall: port {web} is in use; choose another with --port\n",
    )
    assert second.returncode == 2
    assert get(web, "/health") == b"OK"


def test_the_server_ends_silently_and_restarts_at_once(tmp_path: Path, port: int) -> None:
    for _ in range(2):
        with running(tmp_path, port) as process:
            get(port, "/")
        assert process.returncode == 0
        assert listening(port) == []


def test_a_worker_serves_the_files_of_another_workers_page(store: Store) -> None:
    page = at_home(store).get("/").text
    other = dashboard(store)
    warm(other)
    for script in re.findall(r'src="(/[^"]+)"', page):
        assert other.server.test_client().get(script, buffered=True).status_code == 200


@pytest.mark.parametrize("serve", [server.serve_web, server.serve_ingest])
def test_a_serving_process_waits_two_seconds_for_the_write_lock(
    tmp_path: Path, port: int, serve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[SqliteStore] = []

    def opening(_: str, busy_s: float, *, may_create: bool) -> Store:
        assert not may_create
        opened.append(SqliteStore(str(tmp_path / "homes.db"), busy_s=busy_s))
        return opened[0]

    monkeypatch.setattr(server, "open_store", opening)
    monkeypatch.setattr(server._Server, "run", lambda made: made.load())
    serve(load(variables(tmp_path, port)), "127.0.0.1", lambda: None)
    assert opened[0]._one("PRAGMA busy_timeout") == (2000,)
    opened[0].close()


# Slow clients

BEGUN = b"GET /health HTTP/1.1\r\nHost: x\r\n"
HALF = b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nemail="


def connected(port: int, source: str, patience_s: float) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=patience_s, source_address=(source, 0))


def is_given_up(connection: socket.socket) -> bool:
    with suppress(ConnectionResetError):
        return connection.recv(100)[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 403")
    return True


def test_half_a_request_is_given_up_and_stops_nobody(web: int) -> None:
    with ExitStack() as ends:
        stuck = [ends.enter_context(connected(web, "127.0.0.1", PATIENCE_S)) for _ in range(24)]
        for number, one in enumerate(stuck):
            one.sendall((BEGUN, HALF)[number % 2])
        other = ends.enter_context(connected(web, "127.0.0.2", server.RECEIVE_S / 2))
        other.sendall(BEGUN + b"\r\n")
        assert other.recv(100).startswith(b"HTTP/1.1 200")
        for _ in range(int(server.RECEIVE_S) - 2):  # a drip does not hold it
            time.sleep(1)
            for one in stuck[:4]:
                one.sendall(b"x")
        assert all(map(is_given_up, stuck[:4]))


# Requests that a proxy and the server may take apart at different places

SMUGGLED = "GET /health HTTP/1.1\r\nHost: h\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"
END = "0\r\n\r\n"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (("Content-Length: 42", CHUNKED), END),
        (("Content-Length: 4", CHUNKED), f"24\r\n{SMUGGLED}\r\n{END}"),
        (("Content-Length: 5", "Transfer-Encoding : chunked"), END),
        (("Content-Length: 5", "Transfer-Encoding:\r\n chunked"), END),
        (("Content-Length: 5", "Transfer-Encoding: xchunked"), END),
        (("Content-Length: 3", "Content-Length: 39"), "a=1"),
        (("Content-Length: 3, 39",), "a=1"),
        (("Content-Length: +3",), "a=1"),
        (("Content-Length: 3\nX: y",), "a=1"),
        ((CHUNKED,), f"3\na=1\n{END}"),
        ((CHUNKED,), f"3;\na=1\r\n{END}"),
        ((CHUNKED,), f"0x3\r\na=1\r\n{END}"),
        ((CHUNKED,), f"3\r\na=1X{END}"),
        ((CHUNKED,), "0\r\nContent-Length: 99\r\n\r\n"),
        (("X: " + "x" * 100_000,), ""),
    ],
)
def test_what_follows_an_ambiguous_request_is_not_answered(web: int, headers: tuple[str, ...], body: str) -> None:
    lines = "\r\n".join(("POST /sign-in HTTP/1.1", "Host: h", *headers))
    with connected(web, "127.0.0.1", PATIENCE_S) as connection, suppress(ConnectionError):
        connection.sendall(f"{lines}\r\n\r\n{body}{SMUGGLED}".encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert b" 200 OK" not in answer


def test_a_bad_request_is_one_short_line_of_the_log(tmp_path: Path, port: int) -> None:
    with running(tmp_path, port) as process:
        with connected(port, "127.0.0.1", PATIENCE_S) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nX" + b" \x01y" * 2000 + b": 1\r\n\r\n")
            assert b" 400 " in connection.recv(65_536)
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE_S)
    (line,) = [line for line in said.splitlines() if "Invalid" in line]
    assert len(line) < 300


def test_a_header_does_not_change_the_path_of_a_request(web: int) -> None:
    asked = urllib.request.Request(f"http://127.0.0.1:{web}/elsewhere/health", headers={"SCRIPT_NAME": "/elsewhere"})
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        assert answer.read() != get(web, "/health")


# Uploads

HISTORY = "/d/cad-1/history"
MB = 1 << 20
IMPATIENT = "from dashboard import server; server.RECEIVE_S = 1.0; " + MAIN


class Uploads:
    """A web process that waits a second for a form, and a resident who sends files to it."""

    def __init__(self, port: int, cookie: str) -> None:
        self._port, self._headers = port, {"Cookie": cookie, "Origin": f"http://127.0.0.1:{port}"}
        answer, page = self._asked("GET", HISTORY)
        self._headers["Cookie"] = answer.getheader("Set-Cookie", cookie).split(";")[0]
        (self._address,) = re.findall(r'action="([^"]*/file\?csrf=\w+)"', page)

    def _asked(self, method: str, path: str, pieces: Iterable[bytes] = (), size: int = 0) -> tuple[HTTPResponse, str]:
        headers = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(size)} if size else {}
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)) as connection:
            connection.request(method, path, pieces if size else None, {**self._headers, **headers})
            answer = connection.getresponse()
            return answer, answer.read().decode()

    def sent(self, size: int, pause_s: float = 0) -> tuple[HTTPResponse, str]:
        """Send a file of some bytes, with a pause after the first of them."""
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        end = b"\r\n--x--\r\n"

        def pieces() -> Iterator[bytes]:
            yield head
            time.sleep(pause_s)
            yield bytes(size)
            yield end

        return self._asked("POST", self._address, pieces(), len(head) + size + len(end))


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Uploads]:
    folder, port = tmp_path_factory.mktemp("uploads"), free_port()
    with closing(SqliteStore(str(folder / "homes.db"))) as store:
        store.put_device(Device("cad-1", household=homes.HOUSEHOLD))
        cookie = cookie_of(dashboard(store).server, store, member(store))
    with running(folder, port, "web", IMPATIENT):
        yield Uploads(port, cookie)


def test_a_file_that_is_too_long_is_read_so_that_its_sender_hears_why(uploads: Uploads) -> None:
    answer, page = uploads.sent(60 * MB)
    assert answer.status == 413
    assert "This file is larger than 50 MB." in page


def test_a_file_has_more_time_than_another_form(uploads: Uploads) -> None:
    answer, _ = uploads.sent(5 * MB, pause_s=2)
    assert answer.status == 303


@pytest.mark.parametrize(("declared", "seconds"), [(10**5, 1), (10**12, 500)])
def test_a_body_gets_time_for_what_is_read_and_not_for_what_is_declared(declared: int, seconds: int) -> None:
    connection = server._TimedSocket()
    asked = Request({"CONTENT_LENGTH": str(declared), "REQUEST_METHOD": "POST", "gunicorn.socket": connection})
    admit_body(asked, 50_000_000)
    assert connection.received_by == seconds
    connection.close()
