"""What one attacker can take, and what others feel of it: run by hand, `python -m tests.bench.attack`.

A web process with two workers and a worker with a store of several homes, all on loopback. Somebody looks at pages of
their home now and then. Meanwhile, one after the other, somebody attacks with eight connections for some seconds: an
anonymous visitor, a household, somebody with a device's token, and one who sends halves of requests. The share of a
core is the CPU time of the server's processes beside what they take without an attacker; that of the attacker is not
counted, but it needs the same cores. The last line of the output is JSON.
"""

import argparse
import http.client
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode

import orjson

from aggregator.core.periods import iso_utc
from aggregator.intake.tokens import new_token
from aggregator.store import open_store
from tests.bench.dashboard import fill, web
from tests.bench.delay import messages
from tests.bench.load import find_poll
from tests.dashboard.homes import HOUSEHOLD
from tests.dashboard.people import cookie_of, dashboard, somebody, token_in

CONNECTIONS, SECONDS, HOMES = 8, 15.0, 20
PAUSE_S = 0.1  # between two pages of the one who looks
ATTACKER, VIEWER = "127.0.0.2", "127.0.0.3"
TICKS = os.sysconf("SC_CLK_TCK")
Request = tuple[str, str, bytes, Mapping[str, str]]  # method, path, body, headers
Asks = Callable[[int], Request]  # the number of the request


# The attackers


def anonymous(port: int, _: str) -> Asks:
    """Somebody without an account: the sign-in page, wrong passwords, pages of others."""
    site = f"http://127.0.0.1:{port}"
    with urllib.request.urlopen(f"{site}/sign-in") as answer:
        cookie, csrf = answer.headers["Set-Cookie"].partition(";")[0], token_in(answer.read().decode())
    typed = {"Content-Type": "application/x-www-form-urlencoded", "Origin": site, "Cookie": cookie}

    def ask(number: int) -> Request:
        form = {"csrf": csrf, "email": f"p{number}@example.org", "password": "wrong wrong wrong"}
        wrong: Request = ("POST", "/sign-in", urlencode(form).encode(), typed)
        return (("GET", "/sign-in", b"", {}), wrong, ("GET", "/d/cad-1", b"", {}))[number % 3]

    return ask


def household(_: int, cookie: str) -> Asks:
    """A household: a year in half hours as CSV, months hour by hour, the page's files as JSON."""
    year = time.gmtime().tm_year
    year_of = f"/api/v1/devices/cad-0/year/{year}"
    paths = (f"{year_of}.csv?by=half-hour", year_of, f"{year_of}.csv?by=day")
    return lambda number: ("GET", paths[number % 3], b"", {"Cookie": cookie})


def device(_: int, token: str) -> Asks:
    """Somebody with a device's token: messages of the worst kind, of its own meters."""
    bodies = [body.replace(b'"worst', b'"cad-1') for (_, body), _ in zip(messages(), range(40), strict=False)]
    return lambda number: ("POST", "/ingest", bodies[number % len(bodies)], {"Authorization": f"Bearer {token}"})


ATTACKS: Mapping[str, Callable[[int, str], Asks]] = {"anonymous": anonymous, "household": household, "device": device}


def attack(port: int, name: str, secret: str, seconds: float, counts: "multiprocessing.Queue[dict[str, int]]") -> None:
    """Attack in a process of its own; put the number of answers by status."""
    found, until = Counter[str](), time.monotonic() + seconds
    loop = _send_halves if name == "halves" else _ask
    asks = ATTACKS[name](port, secret) if name in ATTACKS else None
    threads = [Thread(target=loop, args=(port, asks, until, found, number)) for number in range(CONNECTIONS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    counts.put(dict(found))


def _ask(port: int, asks: Asks, until: float, found: Counter[str], number: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=(ATTACKER, 0))
    while time.monotonic() < until:
        try:
            method, path, body, headers = asks(number)
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            answer.read()
            found[str(answer.status)] += 1
        except (OSError, http.client.HTTPException):
            found["failed"] += 1
            connection.close()
        number += 1
    connection.close()


def _send_halves(port: int, _: None, until: float, found: Counter[str], __: int) -> None:
    """Hold sockets with half a request, and open new ones when they are given up."""
    while time.monotonic() < until:
        held = []
        for _number in range(4):
            with suppress(OSError):
                held.append(socket.create_connection(("127.0.0.1", port), 5, (ATTACKER, 0)))
                held[-1].sendall(b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nemail=")
                found["halves"] += 1
        time.sleep(min(10.0, max(until - time.monotonic(), 0)))
        for one in held:
            one.close()


# What others feel


def look(port: int, cookie: str, seconds: float) -> list[float]:
    """Return the seconds that each page of somebody else took: the poll, the live state, and a page."""
    own = {"Cookie": cookie, "Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/json"}
    poll = find_poll(port, "cad-2", [cookie]).body("cad-2")
    asks = (("POST", "/_dash-update-component", poll), ("GET", "/api/v1/devices/cad-2/live", b""), ("GET", "/", b""))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=(VIEWER, 0))
    times, until, number = list[float](), time.monotonic() + seconds, 0
    while time.monotonic() < until:
        began = time.perf_counter()
        try:
            connection.request(*asks[number % 3], own)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
        except (OSError, http.client.HTTPException):
            connection.close()
        times.append(time.perf_counter() - began)
        number += 1
        time.sleep(PAUSE_S)
    connection.close()
    return times


def cpu_s() -> dict[str, float]:
    """Return the CPU time of our web and worker processes so far, by command."""
    found = {"web": 0.0, "worker": 0.0}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            stat = (path / "stat").read_text().rpartition(")")[2].split()
            words = (path / "cmdline").read_bytes().split(b"\0")
            name = next((one for one in ("web", "worker") if one.encode() in words), "")
            if name and os.environ["ATTACK_STORE"].encode() in (path / "environ").read_bytes():
                found[name] += (int(stat[11]) + int(stat[12])) / TICKS
    return found


# The trials


@contextmanager
def working(url: str) -> Iterator[None]:
    """A worker on a store."""
    command = [sys.executable, "-m", "dashboard.commands.main", "worker"]
    with subprocess.Popen(command, env=os.environ | {"WATTFALL_STORE": url}, stderr=subprocess.DEVNULL) as worker:
        try:
            yield
        finally:
            worker.terminate()


def trial(port: int, name: str, secret: str, viewer: str, seconds: float) -> dict[str, object]:
    """Return what an attacker took and what another one felt; without a name there is no attacker."""
    counts: multiprocessing.Queue[dict[str, int]] = multiprocessing.get_context("spawn").Queue()
    process = multiprocessing.get_context("spawn").Process(target=attack, args=(port, name, secret, seconds, counts))
    if name:
        process.start()
        time.sleep(1)  # it imports
    before, began = cpu_s(), time.monotonic()
    times = look(port, viewer, seconds)
    took, after = time.monotonic() - began, cpu_s()
    answers = counts.get(timeout=60) if name else {}
    if name:
        process.join()
    return {
        "web_cores": round((after["web"] - before["web"]) / took, 3),
        "worker_cores": round((after["worker"] - before["worker"]) / took, 3),
        "answers": answers,
        "pages": len(times),
        "page_p50_s": round(statistics.median(times), 3),
        "page_p99_s": round(statistics.quantiles(times, n=100)[98], 3),
        "page_worst_s": round(max(times), 3),
    }


def run(folder: str, seconds: float) -> dict[str, object]:
    """Return the result of each trial by attacker."""
    url = os.environ["ATTACK_STORE"] = f"sqlite:///{folder}/attack.db"
    cookie, *_ = fill(url, HOMES, int(time.time()))
    store = open_store(url)
    token = new_token(store, "cad-1", int(time.time()))
    viewer = cookie_of(dashboard(store).server, store, somebody(store, "viewer@example.org", household=HOUSEHOLD))
    store.close()
    secrets = {"": "", "anonymous": "", "household": cookie, "device": token, "halves": ""}
    with web(url) as port, working(url):
        found = {name or "nobody": trial(port, name, secret, viewer, seconds) for name, secret in secrets.items()}
    return {"at": iso_utc(int(time.time())), "seconds": seconds, "connections": CONNECTIONS, **found}


def main() -> None:
    """Print the trials."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=SECONDS, help="of each trial")
    with tempfile.TemporaryDirectory() as folder:
        print(orjson.dumps(run(folder, options.parse_args().seconds)).decode())


if __name__ == "__main__":
    main()
