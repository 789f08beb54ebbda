"""Response times of the support desk over HTTP; run by hand: `python -m tests.bench.desk [DEVICES] [--store URL]`.

A fleet of 100,000 devices unless said otherwise, of which one has sent every 10 s for 35 days. Times are of the whole
request as the server sees it: session, gate, access, store, page. On SQLite, or on a store that `tests.bench.fleet` has
filled with so many; on DynamoDB with what a request reads, see `search`.
"""

import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from random import Random
from urllib.parse import urlencode

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.core.periods import DAY_S
from aggregator.core.readings import Reading
from aggregator.core.status import Status
from aggregator.intake.device_status import put_statuses
from aggregator.intake.ingest import ingest
from aggregator.settings import load
from aggregator.store.port import Store
from aggregator.support.actions import look_up
from aggregator.support.audit import Audit, Who
from aggregator.support.diagnostics import STRIP_DAYS
from aggregator.support.fleet import take_census
from aggregator.waterfall.worker import drain
from dashboard.accounts.users import SUPPORT
from dashboard.app import create_app
from tests.bench.search import (
    BATCH,
    KINDS,
    READ_COLUMNS,
    Reckoning,
    fill,
    home,
    live_states,
    on,
    on_sqlite,
    reads,
)
from tests.dashboard.people import SECRET, browser, somebody

DEVICES, QUERIES, PAGES = 100_000, 100, 20
SEARCH_AIM_S, PAGE_AIM_S = 0.100, 0.300
STEP_S, CHUNK = 10, 20_000
ZONE = "Europe/London"
SINCE = 1_750_000_000  # when the meter stood at 0: sent once more, its readings are the same


class Table:
    """The table as it is printed."""

    def __init__(self, ask: Callable[[str], TestResponse], reckoning: Reckoning | None) -> None:
        self._ask, self._reckoning = ask, reckoning
        columns = "".join(f"{name:>10}" for name in ("p50 ms", "p95 ms", "max ms", "mean CPU", "p95/aim", "kB"))
        print(f"\n{'':28}{columns}{READ_COLUMNS if reckoning else ''}")

    def row(self, name: str, aim: float, addresses: Sequence[str]) -> None:
        """One line: milliseconds, this process's own time (others may be at work), p95 against the aim, size, reads."""
        took, size, cpu = [], 0, time.process_time()
        before = self._reckoning.figures if self._reckoning else ()
        for address in addresses:
            start = time.perf_counter()
            answer = self._ask(address)
            took.append(time.perf_counter() - start)
            assert answer.status_code == 200, (address, answer.status)
            size = max(size, len(answer.data))
        own = (time.process_time() - cpu) / len(addresses)
        p50, p95, worst = (sorted(took)[min(int(len(took) * share), len(took) - 1)] for share in (0.5, 0.95, 1))
        figures = "".join(f"{1000 * figure:10.1f}" for figure in (p50, p95, worst, own))
        read = reads(self._reckoning, before, len(addresses))
        print(f"{name:28}{figures}{p95 / aim:10.2f}{size / 1000:10.1f}{read}", flush=True)


def send(store: Store, device_id: str, now: int) -> None:
    """35 days of readings every 10 s, and a status each hour."""
    first = now - STRIP_DAYS * DAY_S
    ats = range(first, now, STEP_S)
    for begin in range(0, len(ats), CHUNK):
        part = ats[begin : begin + CHUNK]
        ingest(store, [Reading(device_id, at, 360, at - SINCE, None, "19M0001") for at in part], part[-1] + 2, ZONE)
    hours = range(first, now, 3600)
    put_statuses(store, [Status(device_id, at, -61 - at % 9, 180, "v2.0.2", "GLOW-IHD-02", True) for at in hours], now)
    drain(store)


def looking_at(store: Store, device_id: str, now: int) -> FlaskClient:
    """The browser of somebody of the desk who has looked a device up."""
    user = somebody(store, f"pat{time.time_ns()}@desk.example", SUPPORT)
    look_up(Audit(store, []), Who(user.user_id, user.email, user.role), device_id, "a measurement", now)
    return browser(create_app(load({"WATTFALL_SECRET": SECRET}), store).server, store, user)


def prepare(store: Store, device_id: str, now: int) -> None:
    """Do a worker's work: one device sends, and a census counts all."""
    send(store, device_id, now)
    take_census(store, now, store.backlog())


def measure(store: Store, count: int, busy: str, now: int, reckoning: Reckoning | None = None) -> None:
    """Print the table of a store that has the fleet."""
    chance, client = Random(7), looking_at(store, busy, now)
    table = Table(client.get, reckoning)
    for name, typed in KINDS.items():
        texts = [typed(home(chance.randrange(count)), chance) for _ in range(QUERIES)]
        table.row(name, SEARCH_AIM_S, [f"/desk/search.json?{urlencode({'q': text})}" for text in texts])
    table.row("fleet", SEARCH_AIM_S, ["/desk"] * PAGES)
    table.row("devices behind a number", SEARCH_AIM_S, ["/desk/fleet/silent_30_days"] * PAGES)
    table.row("device, 35 days at 10 s", PAGE_AIM_S, [f"/desk/device/{busy}"] * PAGES)
    table.row("audit", SEARCH_AIM_S, ["/desk/audit"] * PAGES)


def main() -> None:
    """Measure the store that is named, or one on SQLite."""
    parser = ArgumentParser()
    parser.add_argument("count", nargs="?", type=int, default=DEVICES)
    parser.add_argument("--store", metavar="URL")
    asked, busy, now = parser.parse_args(), home(0).device_id, int(time.time())
    if asked.store:
        with on(asked.store) as (store, _):
            prepare(store, busy, now)
        with on(asked.store) as (store, reckoning):  # not the one that has written: it reads consistently
            measure(store, asked.count, busy, now, reckoning)
        return
    with on_sqlite() as (store, _):
        fill(store, asked.count, BATCH)
        store.put_live(live_states(asked.count))
        prepare(store, busy, now)
        measure(store, asked.count, busy, now)


if __name__ == "__main__":
    main()
