"""The downloads of a page: its menu, and the picture of a chart. Tables and documents are addresses of the API."""

from urllib.parse import quote

from dash import html
from dash.development.base_component import Component
from flask import Blueprint, Flask, Response, request

from aggregator.core import periods
from dashboard.api.api_answers import parse_address
from dashboard.api.keyed_requests import answer_faults
from dashboard.api.openapi import BASE
from dashboard.charts import pictures, sentences
from dashboard.charts.view import View
from dashboard.pages.household import chart_page
from dashboard.text import words
from dashboard.text.language import Language, preferred_language, text
from dashboard.text.words import attributes
from dashboard.web.cached_reads import CachedReads


def add_routes(server: Flask, data: CachedReads) -> None:
    """Add the routes to a server."""
    downloads = Blueprint("downloads", __name__, url_prefix="/d/<device_id>")

    @downloads.get("/<level>/<period>/picture.json")
    def picture(device_id: str, level: str, period: str) -> Response:
        device, view = parse_address(data, device_id, level, period)
        lang = preferred_language(request.headers.get("Accept-Language", ""))
        chart, extent = chart_page.load_chart(data, device, view, lang)
        is_drawn = chart.prices or not chart.is_empty
        nothing = "" if is_drawn else sentences.nothing(chart, extent[0] if extent else None, lang)[0]
        return Response(pictures.picture(chart, lang, nothing).to_json(), mimetype="application/json")

    answer_faults(downloads)
    server.register_blueprint(downloads)


def menu(view: View, lang: Language) -> list[Component]:
    """Return the files of a chart, as items of a list."""
    path = f"{BASE}/devices/{quote(view.device_id, safe=':')}/{view.level}/{view.period}"
    file, picture, printer = attributes(data_full=""), attributes(data_picture=""), attributes(data_print="")
    choices = [
        *(html.A(lang.say(name), href=f"{path}.csv?by={by}", **file) for by, name in _csv(view.level).items()),
        html.A(lang.say("Picture (PNG)"), href=f"{view.path}/picture.json{view.query}", **picture),
        html.A("JSON", href=path, **file),
        html.Button(lang.say("Print"), type="button", **printer),
    ]
    return [html.Li(choice) for choice in choices]


def _csv(level: str) -> dict[str, str]:
    """The tables that are offered, by interval, and their names: the two coarsest intervals, and half hours."""
    offered = {pictures.shown_by(one): words.column_words(one).csv for one in periods.lineage(level)[:2]}
    return offered | {pictures.HALF_HOURS: text("CSV, half hours")}
