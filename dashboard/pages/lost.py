"""Words for an address that leads nowhere."""

from dash import html
from dash.development.base_component import Component

from dashboard.view import View


def content(view: View) -> Component:
    """Why there is nothing here, and the way back."""
    heading, sentence = "There is no page at this address", "The link may be old, or cut short."
    if view.page == "household":
        heading = "This device is not known here"
        sentence = f"No device called {view.device_id} has sent a reading. Check how its name is spelt."
    return html.Div(
        [html.H1(heading), html.P(sentence), html.A("See all devices", href="/", className="button")],
        className="panel words",
    )
