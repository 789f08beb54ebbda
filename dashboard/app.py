"""The factory of the web app. It puts everything together; an import does nothing."""

import logging
import time
from collections.abc import Callable
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, ctx, html, set_props
from flask import Flask

from aggregator.core.errors import StoreAway, StoreReplaced, StoreUnusable
from aggregator.intake.clocks import ServerClock
from aggregator.intake.ingest_endpoint import IngestEndpoint
from aggregator.operations.metrics import Metrics, Readiness
from aggregator.settings import Settings
from aggregator.store.port import Store
from dashboard.accounts.access import viewer
from dashboard.accounts.users import Passwords
from dashboard.api import api_routes
from dashboard.charts.view import View
from dashboard.pages.account import account_page
from dashboard.pages.account.sign_in_page import AuthServices
from dashboard.pages.admin import admin_pages
from dashboard.pages.admin.admin_forms import AdminServices
from dashboard.pages.history import history_page
from dashboard.pages.history.history_page import HistoryServices
from dashboard.pages.history.import_jobs import ImportJobs
from dashboard.pages.household import page_callbacks, slots
from dashboard.pages.household.page import INDEX, RENDERER, layout, region_of
from dashboard.pages.household.page_callbacks import show_live, show_page
from dashboard.pages.support import data_quality, support_pages
from dashboard.pages.tariff import tariff_page
from dashboard.text.language import text
from dashboard.web import request_guard, responses, user_limits
from dashboard.web.cache import open_cache
from dashboard.web.cached_reads import CachedReads
from dashboard.web.responses import compress, hashes, reader_language, secure

POLL_MS = 10_000  # readings come every 10 s

log = logging.getLogger(__name__)


def create_app(
    settings: Settings,
    store: Store,
    clock: Callable[[], int] = lambda: int(time.time()),
    poll_ms: int = POLL_MS,
    server_clock: ServerClock | None = None,
) -> Dash:
    """Return the app of an installation. `clock` gives UTC seconds. Raises ConfigurationError if sign-in is unsafe."""
    app = _App(
        "dashboard",
        server=_Server("dashboard"),  # type: ignore[arg-type] # Dash takes a Flask, as it documents
        title="Wattfall",
        update_title="",
        assets_folder=str(responses.folder()),
        assets_ignore=r"\.(css|js)$",  # the page loads the joined files
        use_pages=False,
        index_string=responses.with_fingerprints(INDEX),
        health_endpoint="health",
        on_error=show_alert,
    )
    app.renderer = RENDERER
    metrics = Metrics()
    metrics.watch(store)
    responses.observe(app.server, metrics, Readiness(store), settings.metrics_token)
    app.layout = lambda: layout(poll_ms, reader_language())
    services = account_page.install(app.server, settings, store, Passwords())
    api_routes.admit_keys(app.server, services.keys)
    user_limits.install(app.server, user_limits.Budgets())
    data = CachedReads(store, open_cache(app.server, settings.cache), clock)
    add_callbacks(app, data)
    page_callbacks.add_routes(app.server, data)
    api_routes.add_routes(app.server, data)
    _add_pages(app.server, settings, data, services, ImportJobs(store, clock))
    ingest = IngestEndpoint(
        store,
        settings.timezone,
        retention_days=settings.retention_days,
        server_clock=server_clock or ServerClock(),
        count=metrics.count,
    )
    api_routes.add_ingest(app.server, ingest)
    request_guard.install_callback_check(app.server, app.callback_map)
    responses.serve(app.server)
    compress(app.server)  # after the headers: hooks run last to first
    secure(app.server, [*app.csp_hashes(), *hashes(INDEX)])
    return app


def _add_pages(server: Flask, settings: Settings, data: CachedReads, services: AuthServices, jobs: ImportJobs) -> None:
    """Add the pages without Dash."""
    tariff_page.add_routes(server, data, services.store)
    history_page.add_routes(
        server, HistoryServices(data, jobs, services.audit, services.throttle, data_quality.reason_words)
    )
    support_pages.add_routes(server, data, services.audit)
    admin_pages.add_routes(
        server, AdminServices(services.audit, services.accounts, settings, services.mailer, services.factors)
    )


class _Server(Flask):
    """Flask whose views and hooks are no coroutines; it looks whether they are at each of a request's twenty calls."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function."""
        return func


class _App(Dash):
    """Dash with a page in the reader's language."""

    def interpolate_index(self, **parts: str) -> str:  # type: ignore[override] # handed on as it comes
        """Return the page with its language in `lang`."""
        page: str = super().interpolate_index(**parts)  # type: ignore[no-untyped-call]
        return page.replace('lang="en-GB"', f'lang="{reader_language().code}"', 1)


def add_callbacks(app: Dash, data: CachedReads) -> None:
    """Add the callbacks: the page at each address and refresh, the power every few seconds."""

    @app.callback(slots.outputs(slots.PAGE), slots.inputs(slots.PAGE_INPUTS), slots.states(slots.PAGE_STATE))
    def show(path: object, search: object, wanted: object, _refresh: object, said: object, shown: object) -> list[Any]:
        lang = reader_language()
        if isinstance(wanted, str) and not {"url.pathname", "url.search"} & ctx.triggered_prop_ids.keys():
            path, _, query = wanted.partition("?")
            search, said = f"?{query}" if query else "", ""
        content: dict[str, Any] = dict(show_page(data, viewer(), View.from_url(path, search), shown, lang, said))
        # The address follows its content, so that it never names a page that did not come.
        address = {"url.pathname": path, "url.search": search} if wanted else {}
        return slots.in_order({**content, **address, "wanted.data": None}, slots.PAGE, region_of())

    @app.callback(
        slots.outputs(slots.LIVE), Input("tick", "data"), slots.states(slots.LIVE_STATE), prevent_initial_call=True
    )
    def poll(_tick: object, shown: object, known: object) -> list[Any]:
        lang = reader_language()
        return slots.in_order(show_live(data, viewer(), shown, known, lang), slots.LIVE, region_of())

    in_browser(app)


def in_browser(app: Dash) -> None:
    """Add the callbacks of the browser alone: the clock, the power since a press, the title and the scheme."""
    add: Callable[..., object] = app.clientside_callback
    add(
        ClientsideFunction("live", "beat"),
        [Output("tick", "data"), Output("refresh", "data"), Output("power-age", "children")],
        Output("unreachable", "children"),
        Input("beat", "n_intervals"),
        [State("live", "data"), State("words", "data"), State("alert", "children")],
    )
    add(
        ClientsideFunction("live", "since"),
        [Output("since-said", "children"), Output("since", "children"), Output("pressed", "data")],
        [Input("since", "n_clicks"), Input("live", "data")],
        [State("pressed", "data"), State("words", "data")],
    )
    add(ClientsideFunction("live", "show"), Input("shown", "data"))
    add(ClientsideFunction("theme", "label"), Input("words", "data"))


def show_alert(error: Exception) -> None:
    """Show one alert about a failed answer; all other content stays."""
    if isinstance(error, StoreAway | StoreReplaced):
        log.warning("the store is unreachable: %s", error)
        sentence = text("The data is out of reach for the moment. What you see is from before; trying again.")
    elif isinstance(error, StoreUnusable):
        log.error("a page is not shown: %s", error)
        sentence = request_guard.DAMAGED
    else:
        log.error("could not build a page", exc_info=error)
        sentence = text("This page could not be brought up to date. The fault has been logged; trying again.")
    set_props("alert", {"children": [html.P(reader_language().say(sentence))]})
