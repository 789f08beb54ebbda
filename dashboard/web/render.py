"""Pages that the server writes whole, without Dash: signing in, accounts, and words where something went wrong."""

from flask import Response, make_response, render_template
from markupsafe import Markup

from dashboard.pages.household.page import HEAD
from dashboard.text.languages import requested
from dashboard.web import static


def written(template: str, status: int = 200, **context: object) -> Response:
    """A page of a template, in the reader's language; no copy of it is kept anywhere."""
    lang = requested()
    head = Markup(static.fingerprinted(HEAD))  # noqa: S704 - our own constant
    page = render_template(template, lang=lang, say=lang.say, count=lang.count, head=head, asset=static.url, **context)
    answer = make_response(page, status)
    answer.headers["Cache-Control"] = "no-store, private"
    return answer


def notice(status: int, heading: str, sentence: str, link: str = "/", label: str = "") -> Response:
    """A heading, a sentence and a way on; each is said in the reader's language."""
    return written("notice.html", status, heading=heading, sentence=sentence, link=link, label=label)
