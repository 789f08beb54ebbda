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


def build() -> Flask:
    """A page with one callback."""
    app = Dash("empty")
    app.layout = html.Div([dcc.Store(id="tick"), html.Div(id="out")])
    add_callback(app)
    made: Flask = app.server
    made.add_url_rule("/health", "health", lambda: "OK")
    made.test_client().get("/_dash-layout")
    return made


def build_within() -> Flask:
    """Wattfall with one callback more."""
    chosen = settings.load(os.environ)
    app = create_app(chosen, open_store(chosen.store))
    add_callback(app)
    server.warm(app)
    made: Flask = app.server
    return made


if __name__ == "__main__":
    build_one = build_within if "within" in sys.argv else build
    server._serve(build_one, settings.load(os.environ), "127.0.0.1", "empty", lambda: None)
