"""Words for an address that leads nowhere."""

from dash import html
from dash.development.base_component import Component

from dashboard.charts.view import View
from dashboard.text.language import Language


def content(view: View, lang: Language) -> Component:
    """Why there is nothing here, and the way back."""
    heading = lang.say("There is no page at this address")
    sentence = lang.say("The link may be old, or cut short.")
    if view.page == "household":
        heading = lang.say("This device is not known here")
        sentence = lang.say(
            "There is no device called {device} here that you may see. Check how its name is spelt.",
            device=view.device_id,
        )
    return html.Div(
        [html.H1(heading), html.P(sentence), html.A(lang.say("See all devices"), href="/", className="button")],
        className="panel words",
    )
