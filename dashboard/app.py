"""The factory of the web app: everything is put together here, and nothing happens on import."""

import logging
import re
import time
from collections.abc import Callable

from dash import ClientsideFunction, Dash, Input, Output, State, html, set_props

from aggregator.errors import StoreAway
from aggregator.settings import Settings
from aggregator.store.base import Store
from dashboard import downloads, entrance, ingest_api, slots, static, tariff_page
from dashboard.access import viewer
from dashboard.cache import open_cache
from dashboard.compression import compress
from dashboard.data import Data
from dashboard.desk import pages as desk
from dashboard.headers import hashes, secure
from dashboard.language import text
from dashboard.languages import requested
from dashboard.page import INDEX, layout
from dashboard.passwords import Passwords
from dashboard.screen import live, screen
from dashboard.view import View

POLL_MS = 10_000  # a reading comes every 10 s

# Scripts of Dash that nothing here needs: tables, and all of ECMAScript for browsers of 2015, of which Dash's own
# scripts still use one piece (assets/regenerator-runtime-*.js).
_UNUSED = re.compile(r'<script src="[^"]*/(?:dash_table/bundle|deps/polyfill@)[^"]*"></script>\n?')

log = logging.getLogger(__name__)


def create_app(
    settings: Settings, store: Store, clock: Callable[[], int] = lambda: int(time.time()), poll_ms: int = POLL_MS
) -> Dash:
    """The app of one installation. `clock` gives UTC seconds. Raises ConfigurationError, see `entrance.check`."""
    app = _App(
        "dashboard",
        title="Wattfall",
        update_title="",
        assets_folder=str(static.folder()),
        assets_ignore=r"\.(css|js)$",  # the page has them joined
        use_pages=False,
        index_string=static.fingerprinted(INDEX),
        health_endpoint="health",
        on_error=tell,
    )
    app.layout = lambda: layout(poll_ms, requested())
    entrance.install(app.server, settings, store, Passwords())
    data = Data(store, open_cache(app.server, settings.cache), clock)
    register(app, data)
    downloads.register(app.server, data)
    tariff_page.register(app.server, data, store)
    desk.register(app.server, data, store)
    ingest_api.register(app.server, ingest_api.Door(store, settings.timezone))
    static.serve(app.server)
    compress(app.server)  # after the headers: the last to be registered is the first to run
    secure(app.server, [*app.csp_hashes(), *hashes(INDEX)])
    return app


class _App(Dash):
    """Dash, with a page in the reader's language."""

    def interpolate_index(self, **parts: str) -> str:  # type: ignore[override] # handed on as it comes
        """The page, which says in which language it is."""
        parts["scripts"] = _UNUSED.sub("", parts["scripts"])
        page: str = super().interpolate_index(**parts)  # type: ignore[no-untyped-call]
        return page.replace('lang="en-GB"', f'lang="{requested().code}"', 1)


def register(app: Dash, data: Data) -> None:
    """The callbacks: the page at each address and now and then, the power every few seconds."""

    @app.callback(
        slots.outputs(slots.PAGE),
        [Input(name, prop) for name, prop in slots.pairs(slots.PAGE_INPUTS)],
        [State(name, prop) for name, prop in slots.pairs(slots.PAGE_STATE)],
    )
    def show(path: object, search: object, _refresh: object, version: object) -> list[object]:
        lang = requested()
        return slots.in_order(screen(data, viewer(), View.from_url(path, search), version, lang), slots.PAGE)

    @app.callback(slots.outputs(slots.LIVE), Input("tick", "data"), State("url", "pathname"), State("known", "data"))
    def poll(tick: object, path: object, known: object) -> list[object]:
        return slots.in_order(live(data, viewer(), View.from_url(path), tick, known, requested()), slots.LIVE)

    app.clientside_callback(  # type: ignore[no-untyped-call]
        ClientsideFunction("hour", "absorb"), Output("known", "data"), Input("hour", "data")
    )


def tell(error: Exception) -> None:
    """Say in one alert that an answer failed; everything on the screen stays."""
    if isinstance(error, StoreAway):
        log.warning("the store is away: %s", error)
        sentence = text("The data is out of reach for the moment. What you see is from before; trying again.")
    else:
        log.error("a page could not be built", exc_info=error)
        sentence = text("This page could not be brought up to date. The fault has been logged; trying again.")
    set_props("alert", {"children": [html.P(requested().say(sentence))]})
