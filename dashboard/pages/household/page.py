"""The frame of every page: its head, its header, and the places that the callbacks fill."""

from dash import dcc, html
from dash.development.base_component import Component

from dashboard.pages.household import chart_page, navigation, slots
from dashboard.text.language import Language
from dashboard.text.words import attributes
from dashboard.web import responses
from dashboard.web.responses import HEAD

# After its scripts have run, Dash asks for the layout, the callbacks and the content of the page. This script asks
# earlier, so the answers are there by then. While it waits, the chart library (assets/library.js) can run.
EARLY_SCRIPT = """{
    const ask = window.fetch;
    const here = () => location.pathname + location.search;
    const [answers, opened] = ["/_dash-update-component", here()];
    const value = { pathname: location.pathname, search: location.search, data: null };
    const question = QUESTION;
    question.inputs.forEach((input) => { input.value = value[input.property]; });
    const sent = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(question) };
    const asked = [["/_dash-layout"], ["/_dash-dependencies"], [answers, sent]];
    const begun = new Map(asked.map((how) => [how[0], ask(...how)]));
    begun.forEach((answer) => answer.catch(() => {}));
    window.fetch = (address, ...how) => {
        const [path] = String(address).split("?");
        const isBegun = path !== answers || (how[0].body.includes(question.output) && here() === opened);
        const answer = isBegun && begun.get(path);
        if (answer) {
            begun.delete(path);
        }
        if (path === answers) {
            setTimeout(() => window.Plotly);
        }
        return answer || ask(address, ...how);
    };
}""".replace("QUESTION", slots.first_request())
PLOTLY = "/assets/plotly-basic-4.1.1.min.js"
INDEX = f"""<!DOCTYPE html>
<html lang="en-GB">
    <head>
        {{%metas%}}
        {HEAD}
        <script>{EARLY_SCRIPT}</script>
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


def layout(poll_ms: int, lang: Language) -> Component:
    """Return the frame; the callbacks fill it."""
    return html.Div(
        [
            dcc.Location(id="url", refresh=False),
            *(dcc.Store(id=name) for name in ("tick", "refresh")),
            *(html.Div(id=name, hidden=True) for name in ("page", "live")),
            html.A(lang.say("Skip to the content"), href="#main", className="skip"),
            _header(lang),
            html.Main(
                [
                    html.Div(id="alert", className="alert", role="alert"),
                    html.Div(id="unreachable", className="alert", role="status", hidden=True),
                    html.Div(id="visiting", className="visiting", hidden=True),
                    html.Div(id="home", hidden=True),
                    chart_page.layout(lang),
                    _signed_out(lang),
                ],
                id="main",
                tabIndex="-1",
                **attributes(
                    data_poll=poll_ms,
                    data_ago=lang.say("{duration} ago", duration="{}"),
                    data_unreachable=lang.say(
                        "Wattfall cannot be reached. What you see is from {time}; trying again.", time="{}"
                    ),
                ),
            ),
        ],
        className="app",
    )


def _header(lang: Language) -> Component:
    brand = [html.Img(src=responses.url("logo.svg"), alt="", width=26, height=26), html.Span("Wattfall")]
    return html.Header(
        [
            html.A(brand, href="/", className="brand", **attributes(aria_label="Wattfall")),
            html.Span(id="place", className="place"),
            html.Div(
                [
                    navigation.units(lang),
                    html.Button(
                        id="theme",
                        type="button",
                        className="step",
                        **attributes(
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
    """Return the place where assets/signed-out.js reports the end of the session."""
    return html.Div(
        id="signed-out",
        className="panel words",
        role="alert",
        hidden=True,
        **attributes(
            data_heading=lang.say("You have been signed out"),
            data_sentence=lang.say("Sign in again to see your energy."),
            data_link=lang.say("Sign in"),
        ),
    )
