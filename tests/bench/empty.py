"""The least that Dash can answer, behind gunicorn as Wattfall runs it: what the machine at hand makes of nothing."""

import os

from dash import Dash, Input, Output, dcc, html
from flask import Flask

from aggregator import settings
from dashboard import server


def build() -> Flask:
    """A page with one callback, which answers with nothing."""
    app = Dash("empty")
    app.layout = html.Div([dcc.Store(id="tick"), html.Div(id="out")])

    @app.callback(Output("out", "children"), Input("tick", "data"))
    def answer(_tick: object) -> str:
        return ""

    made: Flask = app.server
    made.add_url_rule("/health", "health", lambda: "OK")
    made.test_client().get("/_dash-layout")
    return made


if __name__ == "__main__":
    server._serve(build, settings.load(os.environ), "127.0.0.1", "empty")
