"""A forgotten password: a link by mail. The answer is the same whether or not there is an account."""

from functools import partial

from flask import Flask, Response, request

from aggregator.settings import Settings
from dashboard.accounts import mail
from dashboard.accounts.users import LONGEST_EMAIL
from dashboard.pages.account.sign_in_page import AuthServices, too_soon
from dashboard.text.language import text
from dashboard.web.responses import notice, reader_language, render

ADDRESS = "/sign-in/forgotten"
SENT = text("Look into your mail")
SENT_SENTENCE = text(
    "If there is an account of this address, a link to a new password is on its way. It works once, for an hour."
)


def add_routes(server: Flask, services: AuthServices, settings: Settings) -> None:
    """Add the routes to a server that can send mail."""
    server.add_url_rule(ADDRESS, "forgotten", _form)
    server.add_url_rule(ADDRESS, "send_link", partial(_send, services, settings), methods=["POST"])


def _form(email: str = "", fault: str = "", status: int = 200) -> Response:
    return render("forgotten.html", status, email=email, fault=fault)


def _send(services: AuthServices, settings: Settings) -> Response:
    email = request.form.get("email", "")[:LONGEST_EMAIL].strip()
    wait_s = services.throttle.asks_for_mail(request.remote_addr or "")
    if wait_s:
        answer = _form(email, too_soon(wait_s), 429)
        answer.headers["Retry-After"] = str(wait_s)
        return answer
    if services.mailer and services.throttle.may_get_mail(email):
        services.mailer.put(partial(mail.reset, settings, services.accounts, email, reader_language()))
    return notice(200, SENT, SENT_SENTENCE, "/sign-in", text("Sign in"))
