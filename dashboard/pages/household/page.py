"""The frame of every page: its head, its header, and the regions that the callbacks fill.

Measured beside a page that wrote one JSON string into the DOM: see dashboard/README.md, "Upgrading Dash and plotly".
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache

from dash import dcc, html
from dash.development.base_component import Component

from dashboard.pages.household import chart_page, last_hour, live_tile, navigation, tiles
from dashboard.pages.household.slots import Region
from dashboard.text.language import ENGLISH, Language
from dashboard.text.words import attributes, ids, plain
from dashboard.web import responses
from dashboard.web.responses import HEAD

BEAT_MS = 1000  # the page's clock: ages and polls
PLOTLY = "/assets/plotly-basic-4.1.1.min.js"
INDEX = f"""<!DOCTYPE html>
<html lang="en-GB">
    <head>
        {{%metas%}}
        {HEAD}
        <title>{{%title%}}</title>
        <link rel="stylesheet" href="/assets/page.css">
    </head>
    <body>
        <noscript>Wattfall draws its charts with JavaScript; please switch it on.</noscript>
        {{%app_entry%}}
        {{%config%}}
        <script src="/assets/page.js" data-plotly="{PLOTLY}"></script>
        {{%scripts%}}
        <link rel="preload" as="script" href="{PLOTLY}">
        {{%renderer%}}
    </body>
</html>"""


# The renderer's own hooks tell assets/live.js of each answer, and of each that does not come.
RENDERER = "var renderer = new DashRenderer({ callback_resolved: window.wattfall.answered });"


@cache
def region_of() -> Mapping[str, str]:
    """Return the output for the region of each component inside one, by id."""
    return {name: f"{region}.values" for region, tree in TREES.items() for name in ids(plain(tree(ENGLISH)))}


def layout(poll_ms: int, lang: Language) -> Component:
    """Return the frame; the callbacks fill it."""

    def region(name: str, *inside: Component) -> Region:
        return Region(*inside, id=name, content=TREES[name](lang))

    hero = region("hero-region", _since(lang), *last_hour.graph(), html.Time(id="power-age"))
    household = [
        region("tiles-region", hero),
        region("chart-region", chart_page.graph("picture")),
        region("more-region", chart_page.graph("running-picture")),
    ]
    main = [
        html.Div(id="alert", className="alert", role="alert"),
        html.Div(id="unreachable", className="alert", role="status"),
        region("home-region"),
        html.Div(household, id="household"),
        _signed_out(lang),
    ]
    return html.Div(
        [
            dcc.Location(id="url", refresh=False),
            dcc.Interval(id="beat", interval=min(BEAT_MS, poll_ms)),
            *(dcc.Store(id=name) for name in ("tick", "refresh", "wanted", "shown", "live")),
            dcc.Store(id="pressed", storage_type="session"),
            dcc.Store(id="words", data=_words(poll_ms, lang)),
            html.A(lang.say("Skip to the content"), href="#main", className="skip"),
            _header(region("top-region"), lang),
            html.Main(main, id="main", tabIndex="-1"),
        ],
        id="app",
        className="app",
    )


def _words(poll_ms: int, lang: Language) -> dict[str, object]:
    """Return the words that the scripts in assets/ fill in, and the time between two polls."""
    return {
        "poll": poll_ms,
        "ago": lang.say("{duration} ago", duration="{}"),
        "press": lang.say("Compare with now"),
        "release": lang.say("Stop"),
        "point": lang.number(Decimal("0.5"), 1)[1],
        "unreachable": lang.say("Wattfall cannot be reached. What you see is from {time}; trying again.", time="{}"),
    }


def _since(lang: Language) -> Component:
    """Return the button and the sentence of "+1.90 kW since you pressed"; assets/live.js fills them in."""
    title = lang.say("Press, then switch an appliance on: the difference is what it takes")
    button = html.Button(lang.say("Compare with now"), id="since", type="button", className="button", title=title)
    words = html.Span(lang.say("since you pressed"), className="since-words")
    return html.Div([html.Output([html.B(id="since-said"), " ", words]), button], className="since")


def _top(lang: Language) -> list[Component]:
    return [html.Span(id="place", className="place"), navigation.units(lang)]


def _home(_: Language) -> list[Component]:
    return [
        html.Div(id="visiting", className="visiting", hidden=True),
        html.P(id="said", className="said", role="status", hidden=True),
        html.Div(id="home", hidden=True),
    ]


def _header(top: Component, lang: Language) -> Component:
    brand = [html.Img(src=responses.url("logo.svg"), alt="", width=26, height=26), html.Span("Wattfall")]
    return html.Header(
        [
            html.A(brand, href="/", className="brand", **attributes(aria_label="Wattfall")),
            top,
            html.Div(
                [
                    html.Button(
                        id="theme",
                        type="button",
                        className="step",
                        **attributes(
                            aria_label=lang.say("Light or dark"),
                            data_label=lang.say("Light or dark"),
                            data_system=lang.say("as the system"),
                            data_light=lang.say("light"),
                            data_dark=lang.say("dark"),
                        ),
                    ),
                    _account(lang),
                ],
                className="settings",
            ),
        ],
        className="top",
    )


def _account(lang: Language) -> Component:
    label = lang.say("Your account")
    return html.A(
        href="/account", id="account", className="step", title=label, **attributes(aria_label=label, data_full="")
    )


def _signed_out(lang: Language) -> Component:
    """Return what assets/live.js shows at the end of the session."""
    return html.Div(
        [
            html.H1(lang.say("You have been signed out")),
            html.P(lang.say("Sign in again to see your energy.")),
            html.A(lang.say("Sign in"), id="sign-in", href="/sign-in", className="button", **attributes(data_full="")),
        ],
        id="signed-out",
        className="panel words",
        role="alert",
        hidden=True,
    )


TREES: Mapping[str, Callable[[Language], object]] = {  # of each region, without values
    "top-region": _top,
    "home-region": _home,
    "hero-region": live_tile.tile,
    "tiles-region": tiles.layout,
    "chart-region": chart_page.layout,
    "more-region": chart_page.below_layout,
}
