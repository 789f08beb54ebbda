"""The least that Dash can answer, behind gunicorn as Wattfall runs it: what the machine at hand makes of nothing.

With the argument `within` it is one callback more of Wattfall's own app, behind its guard and its sessions.
"""

import os
import sys

from dash import Dash, Input, Output, dcc, html
from flask import Flask

from aggregator import settings
from aggregator.store import open_store
from dashboard import server
from dashboard.app import create_app


def add_callback(app: Dash) -> None:
    """Add a callback that answers with nothing."""

    @app.callback(Output("out", "children"), Input("tick", "data"))
    def answer(_tick: object) -> str:
        return ""


def build() -> tuple[Flask, server.Check]:
    """A page with one callback."""
    app = Dash("empty")
    app.layout = html.Div([dcc.Store(id="tick"), html.Div(id="out")])
    add_callback(app)
    made: Flask = app.server
    made.add_url_rule("/health", "health", lambda: "OK")
    made.test_client().get("/_dash-layout")
    return made, lambda: None


def build_within() -> tuple[Flask, server.Check]:
    """Wattfall with one callback more."""
    chosen = settings.load(os.environ)
    store = open_store(chosen.store)
    app = create_app(chosen, store)
    add_callback(app)
    server.warm(app)
    return app.server, store.check


if __name__ == "__main__":
    build_one = build_within if "within" in sys.argv else build
    server._serve(build_one, settings.load(os.environ), "127.0.0.1", "empty", lambda: None)
