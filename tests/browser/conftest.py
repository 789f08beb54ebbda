import threading
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, sync_playwright
from werkzeug.serving import make_server

from aggregator.settings import load
from aggregator.store import open_store
from aggregator.store.base import Store
from dashboard.app import POLL_MS, create_app
from tests.dashboard import homes

CHROMIUM = "/usr/bin/chromium"
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
PHONE = {"viewport": ViewportSize(width=390, height=844), "has_touch": True}

Open = Callable[..., Page]
Contexts = Callable[..., BrowserContext]


def serve(store: Store, poll_ms: int = POLL_MS) -> Iterator[str]:
    """The address of a threaded server on a free port, while it runs."""
    app = create_app(load({}), store, lambda: homes.NOW, poll_ms)
    server = make_server("127.0.0.1", 0, app.server, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path_factory.mktemp('homes')}/homes.db")
    homes.furnish(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def address(store: Store) -> Iterator[str]:
    yield from serve(store)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGS))
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def contexts(browser: Browser) -> Iterator[Contexts]:
    """One context a kind of screen, so that each loads plotly once."""
    opened: dict[str, BrowserContext] = {}

    def context(**options: object) -> BrowserContext:
        if repr(options) not in opened:
            opened[repr(options)] = browser.new_context(**{"viewport": DESK, **options})  # type: ignore[arg-type]
        return opened[repr(options)]

    yield context
    for each in opened.values():
        each.close()


@pytest.fixture
def visit(contexts: Contexts, address: str) -> Iterator[Open]:
    """Open a path of the dashboard; at the end of the test the console must be empty and no request gone elsewhere."""
    said: list[str] = []
    pages: list[Page] = []

    def hear(message: ConsoleMessage) -> None:
        said.append(f"{message.type}: {message.text}")

    def opened(path: str, at: str = address, **options: object) -> Page:
        page = contexts(**options).new_page()
        pages.append(page)
        page.set_default_timeout(10_000)
        page.on("console", hear)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda sent: None if sent.url.startswith((at, "data:", "blob:")) else said.append(sent.url))
        page.goto(at + path)
        page.wait_for_selector("h1")
        return page

    yield opened
    for page in pages:
        page.close()
    assert said == []
