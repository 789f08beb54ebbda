"""The web process under 10,000 viewers, and the page in a cold browser; run by hand: `python -m tests.bench.dashboard`.

`--runs 10 --seconds 10` for more certainty; `--without-browser` for the load alone; `--poll --devices 1000` for polls
beside callbacks of Dash that do nothing, in rounds.
"""

import argparse
import os
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.live import REMEMBERED, Live
from aggregator.store import open_store
from tests.bench.load import CONNECTIONS, HELD_S, Load, Poll, find_poll, load
from tests.browser.conftest import ARGS, DESK
from tests.dashboard import homes
from tests.dashboard.people import SECRET, cookie_of, dashboard, somebody

VIEWERS, POLL_S = 10_000, 10
WARMED = 100  # homes a second, before polls are compared
ROOT = Path(__file__).parents[2]
BROWSER = "/usr/bin/chromium"  # with its windows, as people have it
CHANGES = 5  # of the period, in each browser
SETTLING_MS = 1500  # Chromium's own start takes both cores of a small machine for about as long as the page

# Chromium's clock starts with the navigation; two frames after the bars are in the page they are on the screen. That is
# said in the console: whoever waited for it by asking would take the page's time.
WATCH = """
window.seen = {};
const painted = (name) => requestAnimationFrame(() => requestAnimationFrame(() => {
    if (!window.seen[name]) {
        window.seen[name] = performance.now();
        console.debug(name);
    }
}));
new MutationObserver((mutations) => {
    if (mutations.some(({target}) => target.closest?.(".barlayer") && document.querySelector(".barlayer path"))) {
        painted(window.seen.asked ? "changed" : "chart");
    }
}).observe(document, {childList: true, subtree: true, attributes: true, attributeFilter: ["d"]});
addEventListener("click", () => { window.seen.asked ??= performance.now(); }, {capture: true});
"""
PEOPLE = 50  # viewers, who each have an allowance of CPU time
LOADED = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .filter((entry) => entry.startTime <= window.seen.chart)
    .map((entry) => [entry.name, entry.transferSize])"""


def fill(url: str, count: int, now: int) -> list[str]:
    """Homes with the charts of two days, this month and this year, and one with a past; cookies of who sees them."""
    store = open_store(url)
    homes.fill(store, Device("cad-0"), periods.shift("day", periods.day_of(now, homes.LONDON), -10), now)
    spans = [(level, periods.period_of(level, now, homes.LONDON)) for level in periods.LEVELS]
    spans.append(("day", periods.shift("day", periods.day_of(now, homes.LONDON), -1)))
    charts = [(level, period, store.document(level, "cad-0", period)) for level, period in spans]
    with store.transaction():
        for number in range(1, count):
            store.put_device(Device(f"cad-{number}", household=homes.HOUSEHOLD))
            for level, period, chart in charts:
                assert chart
                store.merge_parts(level, f"cad-{number}", period, chart.timezone, chart.parts)
        for at in range(now - REMEMBERED * HELD_S, now + 1, HELD_S):
            store.put_live([Live(f"cad-{number}", at, at, 300 + number, number, 0, None) for number in range(count)])
    server, people = (
        dashboard(store).server,
        [somebody(store, f"p{n}@e.org", household=homes.HOUSEHOLD) for n in range(PEOPLE)],
    )
    cookies = [cookie_of(server, store, one) for one in people]
    store.close()
    return cookies


@contextmanager
def web(url: str) -> Iterator[int]:
    """The port of the Procfile's web process, on a store."""
    (line,) = (line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("web:"))
    _, *arguments = shlex.split(line.removeprefix("web:"))
    with _serving(["dashboard.commands.main", *arguments], {"WATTFALL_STORE": url, "WATTFALL_SECRET": SECRET}) as (
        port,
        _,
    ):
        yield port


@contextmanager
def _serving(module: Sequence[str], settings: Mapping[str, str]) -> Iterator[tuple[int, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = os.environ | settings | {"PORT": str(port), "WEB_CONCURRENCY": "2"}
    process = subprocess.Popen([sys.executable, "-m", *module], env=environ, cwd=ROOT)
    try:
        _wait_for(port)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    answers = 0
    while answers < 20:  # enough for both workers to have answered
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                answers += 1
        except OSError:
            assert time.monotonic() < deadline, "the web process does not answer"
            time.sleep(0.1)


# the load


def report_load(name: str, run: Callable[[], Load], runs: int) -> None:
    """A line a run."""
    for _ in range(runs):
        done = run()
        cuts = statistics.quantiles(done.times, n=100)
        print(
            f"{name:<40} {len(done.times) / done.took:>7,.0f}/s  p50 {cuts[49]:>6.1f}  p99 {cuts[98]:>6.1f}"
            f"  max {max(done.times):>6.0f} ms  errors {done.errors}",
            flush=True,
        )


def report_poll(done: Load) -> None:
    """Print the time and size of one poll beside the aims."""
    middle = statistics.median(done.times)
    print(f"{'a poll of an idle server':<40} {middle:>7.1f} ms  of 10: {middle / 10:.0%}", end="")
    print(f"  {done.size:,} bytes with headers, of 1,000: {done.size / 1000:.0%}")


def compare_polls(asked: Mapping[str, tuple[Callable[[], Load], int]], rounds: int) -> None:
    """Print the answers a second of the first kind beside the others, in rounds: a machine changes by the minute.

    Each kind is what asks, and the process that answers. The CPU time of that process for one answer is what other
    work on the machine changes least. The order turns from round to round.
    """
    first, *others = asked
    seen: list[dict[str, tuple[float, float]]] = []
    for number in range(rounds):
        order = [*asked] if number % 2 else [*asked][::-1]
        seen.append({name: _speed(*asked[name]) for name in order})
        told = (f"{name} {seen[-1][name][0]:>6,.0f}/s, {seen[-1][name][1]:.2f} ms of CPU" for name in asked)
        print(*told, sep="   ", flush=True)
    for other in others:
        throughput = statistics.median(one[first][0] / one[other][0] for one in seen)
        by_cpu = statistics.median(one[other][1] / one[first][1] for one in seen)
        print(f"{first}: {throughput:.2f} of the throughput of {other}, by CPU {by_cpu:.2f}; median of {rounds}")


def _speed(ask: Callable[[], Load], server: int) -> tuple[float, float]:
    """Return the answers a second, and the CPU time of the server's processes for one, ms."""
    before = _cpu_s(server)
    done = ask()
    return len(done.times) / done.took, 1000 * (_cpu_s(server) - before) / len(done.times)


def _cpu_s(process: int) -> float:
    """Return the CPU seconds of a process and its children so far."""
    own = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK") + sum(_cpu_s(int(child)) for child in own)


# the page


@dataclass(frozen=True)
class Cold:
    """Measure the page in a browser with an empty cache."""

    chart: float  # ms from the navigation
    changes: Sequence[float]  # ms from a click to another period
    size: int  # bytes to the chart
    loaded: Sequence[tuple[str, int]]  # addresses to the chart, and their bytes


def _cold(port: int, cookie: str, settling_ms: int) -> Cold:
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=BROWSER, args=list(ARGS), viewport=DESK
        )
        name, _, value = cookie.partition("=")
        context.add_cookies([{"name": name, "value": value, "url": f"http://127.0.0.1:{port}"}])
        page = context.new_page()
        page.add_init_script(WATCH)
        page.wait_for_timeout(settling_ms)
        chart = _seen(page, "chart", lambda: page.goto(f"http://127.0.0.1:{port}/d/cad-0", wait_until="commit"))
        loaded = page.evaluate(LOADED)
        changes = []
        for _ in range(CHANGES):
            page.wait_for_timeout(500)
            page.evaluate("() => { seen = {}; }")
            changes.append(
                _seen(page, "changed", lambda: page.click("#previous")) - page.evaluate("() => window.seen.asked")
            )
        context.close()
    return Cold(chart, changes, sum(size for _, size in loaded), loaded)


def _seen(page: Page, what: str, act: Callable[[], object]) -> float:
    with page.expect_console_message(lambda message: message.text == what):
        act()
    return float(page.evaluate("(what) => window.seen[what]", what))


def report_page(port: int, cookie: str, runs: int) -> None:
    """Medians of cold browsers, beside the aims."""
    for settling_ms in (0, SETTLING_MS):  # the first ones ask new web processes, too
        seen = [_cold(port, cookie, settling_ms) for _ in range(runs)]
        browser = "its start is over" if settling_ms else "just started"
        _report(f"first chart, nothing kept, {browser}", [one.chart for one in seen], 1500, "ms")
    _report("click to the chart of another period", [change for one in seen for change in one.changes], 200, "ms")
    _report("the first such click", [one.changes[0] for one in seen], 200, "ms")
    _report("bytes to the first chart", [one.size for one in seen], 850_000, "bytes")
    large = [f"{size:>8,} {name.split('/', 3)[3]}" for name, size in seen[0].loaded if size > 20_000]
    print(f"{'requests to the first chart':<50} {max(len(one.loaded) for one in seen):>9}", *large, sep="\n    ")


def _report(name: str, values: Sequence[float], aim: int, unit: str) -> None:
    middle = statistics.median(values)
    print(f"{name:<50} {middle:>9,.0f} {unit}  of {aim:,}: {middle / aim:.0%}  (worst {max(values):,.0f})")


def main() -> None:
    """Print what the web process does, and what the browser sees."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--devices", type=int, default=VIEWERS)
    options.add_argument("--without-browser", action="store_true")
    options.add_argument("--poll", action="store_true")
    chosen = options.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as beside,
    ):
        url = f"sqlite:///{folder}/bench.db"
        cookies = fill(url, chosen.devices, int(time.time()))

        def ask(poll: Poll, port: int, rate: float = 0, *, keeps: bool = True, seconds: float = chosen.seconds) -> Load:
            return beside.submit(load, poll, chosen.devices, Load(port, rate, seconds, keeps)).result()

        nothing = Poll("out.children", [{"id": "tick", "property": "data"}], [], cookies=cookies)
        if chosen.poll:
            within = {"WATTFALL_STORE": url, "WATTFALL_SECRET": SECRET}
            with (
                _serving(["tests.bench.empty", "within"], within) as (port, server),
                _serving(["tests.bench.empty"], {}) as (other, other_server),
            ):
                poll = find_poll(port, "cad-0", cookies)
                ask(poll, port, seconds=chosen.devices / WARMED)  # what each process keeps of a home for an hour
                kinds = {
                    "polls": (partial(ask, poll, port), server),
                    "empty callbacks of the same app": (partial(ask, nothing, port), server),
                    "empty callbacks of Dash alone": (partial(ask, nothing, other), other_server),
                }
                compare_polls(kinds, chosen.runs)
            return
        with web(url) as port:
            poll, rate = find_poll(port, "cad-0", cookies), VIEWERS / POLL_S
            report_poll(ask(poll, port, 20))
            with _serving(["tests.bench.empty"], {}) as (other, _):
                report_load("callbacks that do nothing, all that go", lambda: ask(nothing, other), 1)
            report_load(f"{rate:,.0f}/s over {CONNECTIONS} connections", lambda: ask(poll, port, rate), chosen.runs)
            report_load(f"{rate:,.0f}/s, a connection each", lambda: ask(poll, port, rate, keeps=False), chosen.runs)
            report_load(f"all that go over {CONNECTIONS} connections", lambda: ask(poll, port), chosen.runs)
            if not chosen.without_browser:
                report_page(port, cookies[0], max(5, chosen.runs))


if __name__ == "__main__":
    main()
