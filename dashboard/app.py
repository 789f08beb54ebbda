"""The factory of the web app: everything is put together here, and nothing happens on import."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from dash import ClientsideFunction, Dash, Input, State, dcc, html, set_props
from dash.development.base_component import Component
from flask_caching import Cache

from aggregator.errors import StoreAway
from aggregator.settings import Settings
from aggregator.store.base import Store
from dashboard import slots
from dashboard.data import Data
from dashboard.headers import secure
from dashboard.pages import household
from dashboard.screen import screen
from dashboard.view import View

POLL_MS = 5000
CACHE_ENTRIES = 20_000
INDEX = """<!DOCTYPE html>
<html lang="en-GB">
    <head>
        {%metas%}
        <meta name="color-scheme" content="light dark">
        <meta name="theme-color" content="#f5f7f8" media="(prefers-color-scheme: light)">
        <meta name="theme-color" content="#0b1318" media="(prefers-color-scheme: dark)">
        <title>{%title%}</title>
        <link rel="icon" type="image/svg+xml" href="/assets/logo.svg">
        {%css%}
    </head>
    <body>
        <noscript>Wattfall draws its charts with JavaScript; please switch it on.</noscript>
        {%app_entry%}
        {%config%}
        {%scripts%}
        {%renderer%}
    </body>
</html>"""

log = logging.getLogger(__name__)


def create_app(
    settings: Settings, store: Store, clock: Callable[[], int] = lambda: int(time.time()), poll_ms: int = POLL_MS
) -> Dash:
    """The app of one installation. `clock` gives UTC seconds."""
    app = Dash(
        "dashboard",
        title="Wattfall",
        update_title="",
        assets_folder=str(assets_folder()),
        use_pages=False,
        index_string=INDEX,
        health_endpoint="health",
        on_error=tell,
    )
    app.layout = layout(poll_ms)
    register(app, Data(store, _cache(app, settings.cache), clock))
    secure(app.server, app.csp_hashes())
    return app


def assets_folder() -> Path:
    """The stylesheet and its companions: beside the packages in a checkout, inside this one when installed."""
    packaged = Path(__file__).parent / "assets"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "assets"


def layout(poll_ms: int) -> Component:
    """What every page has; the callback fills it."""
    brand = html.A(
        [html.Img(src="/assets/logo.svg", alt="", width=26, height=26), "Wattfall"], href="/", className="brand"
    )
    return html.Div(
        [
            dcc.Location(id="url", refresh=False),
            dcc.Interval(id="tick", interval=poll_ms),
            dcc.Store(id="title"),
            html.A("Skip to the content", href="#main", className="skip"),
            html.Header([brand, html.Span(id="place", className="place")], className="top"),
            html.Main(
                [
                    html.Div(id="alert", className="alert", role="alert"),
                    html.Div(id="unreachable", className="alert", role="status", hidden=True),
                    html.Div(id="home", hidden=True),
                    household.layout(),
                ],
                id="main",
                tabIndex="-1",
            ),
        ],
        className="app",
    )


def register(app: Dash, data: Data) -> None:
    """The callbacks: one for the page, on every address and every tick, and one for the window's title."""

    @app.callback(
        slots.outputs(),
        Input("url", "pathname"),
        Input("tick", "n_intervals"),
        State("household", "data-version"),
    )
    def show(path: object, _tick: object, version: object) -> list[object]:
        return slots.in_order(screen(data, None, View.from_url(path), version))

    app.clientside_callback(ClientsideFunction("wattfall", "entitle"), Input("title", "data"))  # type: ignore[no-untyped-call]


def tell(error: Exception) -> None:
    """Say in one alert that an answer failed; everything on the screen stays."""
    if isinstance(error, StoreAway):
        log.warning("the store is away: %s", error)
        sentence = "The data is out of reach for the moment. What you see is from before; trying again."
    else:
        log.error("a page could not be built", exc_info=error)
        sentence = "This page could not be brought up to date. The fault has been logged; trying again."
    set_props("alert", {"children": [html.P(sentence)]})


def _cache(app: Dash, url: str) -> Cache:
    """In this process, or shared through Redis."""
    kind = (
        {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": url, "CACHE_KEY_PREFIX": "wattfall "}
        if url
        else {"CACHE_TYPE": "SimpleCache", "CACHE_THRESHOLD": CACHE_ENTRIES}
    )
    return Cache(app.server, config=kind)
