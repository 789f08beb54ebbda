"""Whether a form was meant by whoever sent it: it comes from a page of this site, and knows that page's token.

The token lives as long as the session, that of somebody who is still signed out included: the form to sign in has one,
or another site could sign its visitors in here under an account of its own.
"""

import secrets
from hmac import compare_digest

from flask import Flask, Request, session

FIELD = "csrf"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORMS = frozenset({"", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})


def install(server: Flask) -> None:
    """Let templates put the token into their forms, by `csrf()`."""
    server.jinja_env.globals[FIELD] = token


def token() -> str:
    """The token of the session at hand."""
    held = session.get(FIELD)
    if not isinstance(held, str):
        held = session[FIELD] = secrets.token_urlsafe(24)
    return held


def is_form(request: Request) -> bool:
    """Whether a request could be sent by a form of any site; others need leave, which no other site has."""
    return request.method not in SAFE and request.mimetype in FORMS


def knows_token(request: Request) -> bool:
    """Whether a form brings the token of its session."""
    held, sent = session.get(FIELD), request.form.get(FIELD, "")
    return isinstance(held, str) and compare_digest(held.encode(), sent.encode())
