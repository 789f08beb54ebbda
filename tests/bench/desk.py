"""How fast the support desk answers over HTTP, on SQLite; run by hand: `python -m tests.bench.desk [DEVICES]`.

A fleet of 100,000 devices unless said otherwise, of which one has sent every 10 s for 35 days. Times are of the whole
request as the server sees it: session, gate, access, store, page.
"""

import sys
import time
from collections.abc import Callable, Sequence
from random import Random

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.audit import Who, look_up
from aggregator.evidence import STRIP_DAYS
from aggregator.fleet import take_census
from aggregator.ingest import ingest
from aggregator.periods import DAY_S
from aggregator.readings import Reading
from aggregator.settings import load
from aggregator.status import Status, keep
from aggregator.store.base import Store
from aggregator.worker import drain
from dashboard.app import create_app
from dashboard.users import SUPPORT
from tests.bench.search import BATCH, KINDS, fill, home, live_states, on_sqlite
from tests.dashboard.people import SECRET, browser, somebody

DEVICES, QUERIES, PAGES = 100_000, 100, 20
SEARCH_AIM_S, PAGE_AIM_S = 0.100, 0.300
STEP_S, CHUNK = 10, 20_000
ZONE = "Europe/London"


def row(name: str, aim: float, ask: Callable[[str], TestResponse], addresses: Sequence[str]) -> None:
    """One line: milliseconds, this process's own time (others may be at work), p95 against the aim, size."""
    took, size, cpu = [], 0, time.process_time()
    for address in addresses:
        start = time.perf_counter()
        answer = ask(address)
        took.append(time.perf_counter() - start)
        assert answer.status_code == 200, (address, answer.status)
        size = max(size, len(answer.data))
    own = (time.process_time() - cpu) / len(addresses)
    p50, p95, worst = (sorted(took)[min(int(len(took) * share), len(took) - 1)] for share in (0.5, 0.95, 1))
    figures = "".join(f"{1000 * figure:10.1f}" for figure in (p50, p95, worst, own))
    print(f"{name:28}{figures}{p95 / aim:10.2f}{size / 1000:10.1f}", flush=True)


def send(store: Store, device_id: str, now: int) -> None:
    """35 days of readings every 10 s, and a status each hour."""
    first = now - STRIP_DAYS * DAY_S
    ats = range(first, now, STEP_S)
    for begin in range(0, len(ats), CHUNK):
        part = ats[begin : begin + CHUNK]
        ingest(store, [Reading(device_id, at, 360, at - first, None, "19M0001") for at in part], part[-1] + 2, ZONE)
    hours = range(first, now, 3600)
    keep(store, [Status(device_id, at, -61 - at % 9, 180, "v2.0.2", "GLOW-IHD-02", True) for at in hours], now)
    drain(store)


def looking_at(store: Store, device_id: str, now: int) -> FlaskClient:
    """The browser of somebody of the desk who has looked a device up."""
    user = somebody(store, "pat@desk.example", SUPPORT)
    look_up(store, Who(user.user_id, user.email, user.role), device_id, "a measurement", now)
    return browser(create_app(load({"WATTFALL_SECRET": SECRET}), store).server, store, user)


def main() -> None:
    """Print the table."""
    count, now, chance = int(sys.argv[1]) if sys.argv[1:] else DEVICES, int(time.time()), Random(7)
    with on_sqlite() as (store, _):
        fill(store, count, BATCH)
        store.put_live(live_states(count))
        busy = home(0).device_id
        send(store, busy, now)
        take_census(store, now, store.backlog())
        client = looking_at(store, busy, now)
        print(f"\n{'':28}{'p50 ms':>10}{'p95 ms':>10}{'max ms':>10}{'mean CPU':>10}{'p95/aim':>10}{'kB':>10}")
        for name, typed in KINDS.items():
            texts = [typed(home(chance.randrange(count)), chance) for _ in range(QUERIES)]
            row(name, SEARCH_AIM_S, lambda text: client.get("/desk/search.json", query_string={"q": text}), texts)
        row("fleet", SEARCH_AIM_S, client.get, ["/desk"] * PAGES)
        row("devices behind a number", SEARCH_AIM_S, client.get, ["/desk/fleet/silent_30_days"] * PAGES)
        row("device, 35 days at 10 s", PAGE_AIM_S, client.get, [f"/desk/device/{busy}"] * PAGES)
        row("audit", SEARCH_AIM_S, client.get, ["/desk/audit"] * PAGES)


if __name__ == "__main__":
    main()
