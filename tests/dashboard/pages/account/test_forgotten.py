"""A forgotten password at the sign-in page: a link by mail, and an answer that tells nothing of accounts."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.settings import load
from aggregator.store.port import Store
from dashboard.accounts.accounts import MAILS, VISITS
from dashboard.accounts.users import Passwords
from dashboard.pages.account import account_page
from dashboard.pages.account.sign_in_page import AuthServices
from tests.dashboard.forms import Page
from tests.dashboard.mail_server import MailServer, mail_server
from tests.dashboard.people import QUICK, SECRET, accounts_on, browser, dashboard, somebody, token_in

NEW = "four new words here"


class Site:
    """A server that can send mail."""

    def __init__(self, store: Store, post: MailServer) -> None:
        self.server, self.post = Flask("dashboard"), post
        environ = {
            "WATTFALL_SECRET": SECRET,
            "WATTFALL_SMTP": f"smtp://127.0.0.1:{post.port}",
            "WATTFALL_MAIL_FROM": "wattfall@example.org",
            "WATTFALL_URL": "http://localhost",
        }
        self.services: AuthServices = account_page.install(self.server, load(environ), store, Passwords(QUICK))
        self.client: FlaskClient = browser(self.server, store)

    def ask(self, email: str) -> TestResponse:
        token = token_in(self.client.get("/sign-in/forgotten").text)
        return self.client.post("/sign-in/forgotten", data={"csrf": token, "email": email})

    def sent(self) -> list[str]:
        assert self.services.mailer
        self.services.mailer.wait()
        return [str(one["To"]) for one in self.post.taken]


@pytest.fixture
def site(store: Store) -> Iterator[Site]:
    with mail_server() as post:
        opened = Site(store, post)
        yield opened
        opened.sent()  # before the store is closed


def test_a_mailed_link_leads_to_a_new_password(site: Site, store: Store) -> None:
    user = somebody(store, "ann@example.org")
    assert "forgotten?" in Page(site.client.get("/sign-in").text).words
    site.ask("Ann@example.org")
    assert site.sent() == ["ann@example.org"]
    link = site.post.taken[0].get_content().partition("http://localhost")[2].partition("http://localhost")[2].split()[0]
    token = token_in(site.client.get(link).text)
    site.client.post(link, data={"csrf": token, "password": NEW, "again": NEW})
    assert accounts_on(store).check(user.email, NEW)
    assert site.client.get(link).status_code == 404


def test_the_answer_is_the_same_without_an_account(site: Site, store: Store) -> None:
    somebody(store, "ann@example.org")
    known, unknown, broken = (site.ask(email) for email in ("ann@example.org", "bea@example.org", "no address"))
    assert known.status_code == 200
    assert known.text == unknown.text == broken.text
    assert site.sent() == ["ann@example.org"]


def test_an_address_gets_few_mails_and_nobody_hears_of_it(site: Site, store: Store) -> None:
    somebody(store, "ann@example.org")
    answers = {site.ask("ann@example.org").text for _ in range(MAILS.free + 2)}
    assert len(answers) == 1
    assert len(site.sent()) == MAILS.free


def test_who_asks_too_often_waits(site: Site) -> None:
    answers = [site.ask(f"nobody-{number}@example.org") for number in range(VISITS.free + 1)]
    assert {one.status_code for one in answers[:-1]} == {200}
    assert (answers[-1].status_code, answers[-1].headers["Retry-After"]) == (429, "30")


def test_without_a_mail_server_the_page_names_who_makes_a_link(store: Store) -> None:
    client = browser(dashboard(store).server, store)
    assert "Ask whoever runs this Wattfall for an invitation." in Page(client.get("/sign-in").text).words
    assert client.get("/sign-in/forgotten").status_code == 404
