from collections.abc import Callable, Iterator
from shutil import which
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, ViewportSize, expect, sync_playwright

from aggregator.store.port import Store
from dashboard.app import POLL_MS
from tests.copies import Copy, Originals, nothing
from tests.dashboard import homes
from tests.dashboard.people import cookie_of, dashboard, member
from tests.servers import served

# Chromium without the windows of a desktop takes a third less CPU time; it renders the same pages.
CHROMIUM = which("chromium-headless-shell") or "/usr/bin/chromium"
ARGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)
DESK = ViewportSize(width=1440, height=900)
PHONE = ViewportSize(width=390, height=844)
PATIENCE_MS = 10_000  # for future content
QUICK_MS = 200  # between polls, where a test waits for some

SESSIONS: dict[str, str] = {}  # server address -> the cookie of a resident of its homes
Open = Callable[..., Page]
Scheme = Literal["light", "dark"]


def serve(store: Store, poll_ms: int = POLL_MS, clock: Callable[[], int] = lambda: homes.NOW) -> Iterator[str]:
    """Run a threaded server on a free port and yield its address."""
    app = dashboard(store, clock, poll_ms)
    with served(app.server) as address:
        SESSIONS[address] = cookie_of(app.server, store, member(store))
        yield address


@pytest.fixture(scope="package")
def store(originals: Originals, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with originals.opened(homes.furnish, tmp_path_factory.mktemp("homes") / "homes.db") as opened:
        yield opened


@pytest.fixture
def empty_home(copy: Copy) -> Iterator[tuple[Store, str]]:
    """A store without a device, and the address of its own server with frequent polls."""
    store = copy(nothing)
    for address in serve(store, QUICK_MS):
        yield store, address


@pytest.fixture(scope="package")
def address(store: Store) -> Iterator[str]:
    yield from serve(store)


def sign_in(context: BrowserContext, address: str) -> None:
    """Give a browser the session of a resident of a server's homes; one session for all ports."""
    name, _, value = SESSIONS[address].partition("=")
    context.add_cookies([{"name": name, "value": value, "url": address}])


def is_of_the_page(text: str) -> bool:
    """Whether a console message is about the page.

    Chromium fetches the manifest's icons late, and complains if the page is left meanwhile;
    tests/dashboard/web/test_weight.py checks the icons.
    """
    return not text.startswith("Error while trying to use the following icon from the Manifest")


class Screen:
    """One page for all tests, so that Chromium compiles plotly once; it keeps the console messages."""

    def __init__(self, context: BrowserContext) -> None:
        self._home = "about:"
        self._said: list[str] = []
        self._page = context.new_page()
        self._page.set_default_timeout(PATIENCE_MS)
        self._page.on("console", lambda message: self._hear(message.type, message.text))
        self._page.on("pageerror", lambda error: self._said.append(str(error)))
        self._page.on("request", self._watch)

    def _hear(self, kind: str, text: str) -> None:
        if is_of_the_page(text):
            self._said.append(f"{kind}: {text}")

    def _watch(self, sent: Request) -> None:
        if not sent.url.startswith((self._home, "data:", "blob:", "about:")):
            self._said.append(sent.url)

    def open(self, address: str, viewport: ViewportSize, color_scheme: Scheme, ready: str = "h1") -> Page:
        """Load a document anew; only the browser's cache remains of the one before."""
        self._home = address[: address.index("/", len("http://"))]
        self._page.set_viewport_size(viewport)
        self._page.emulate_media(color_scheme=color_scheme)
        sign_in(self._page.context, self._home)
        self._page.goto(address)
        self._page.wait_for_selector(ready)
        return self._page

    def leave(self) -> list[str]:
        """Return the console messages since the last call, and stop all requests of the page.

        The page navigates by itself, so that Chromium keeps its process with all compiled code. A test that failed may
        have left a route that aborts answers: without them the next pages would have no links.
        """
        self._page.unroute_all(behavior="ignoreErrors")
        self._page.evaluate("() => location.replace('about:blank')")
        self._page.wait_for_url("about:blank")
        said, self._said = self._said, []
        return said


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for all tests; each context is a separate reader."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGS))
        yield launched
        launched.close()


def reader(chromium: Browser, locale: str) -> BrowserContext:
    """A reader with a chosen language."""
    return chromium.new_context(viewport=DESK, has_touch=True, locale=locale)


@pytest.fixture(scope="package")
def screen(chromium: Browser) -> Iterator[Screen]:
    context = reader(chromium, "en-GB")
    yield Screen(context)
    context.close()


@pytest.fixture
def visit(screen: Screen, address: str) -> Iterator[Open]:
    """Open a path of the dashboard; at the end the console must be empty and no request may leave the server."""

    def opened(
        path: str, at: str = address, viewport: ViewportSize = DESK, color_scheme: Scheme = "light", ready: str = "h1"
    ) -> Page:
        return screen.open(at + path, viewport, color_scheme, ready)

    yield opened
    assert screen.leave() == []


def bars(page: Page) -> int:
    """Return the number of import bars, once drawn."""
    page.wait_for_selector(".graph .barlayer .point")
    outline = "[style*='stroke: rgb(107, 125, 134)']"  # of a compared period or a usual day
    return page.locator(f".graph .barlayer .point path:not([d='M0,0Z']):not({outline})").count()


def settled(page: Page) -> None:
    """Wait until all content of the page has arrived."""
    page.wait_for_selector("h1:visible")
    expect(page.locator("[data-dash-is-loading]")).to_have_count(0)
