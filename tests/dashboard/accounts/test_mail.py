"""Mail over a real SMTP server: what is sent, over TLS, and what happens where the server fails."""

import threading
from pathlib import Path
from typing import Any

import pytest

from aggregator.core.errors import ConfigurationError
from aggregator.settings import Settings, load
from aggregator.store.port import Store
from dashboard.accounts.mail import MOST_WAITING, Mail, Mailer, check_mail, invitation, reset, send
from dashboard.text.language import preferred_language
from tests.aggregator.intake.test_mqtt import certificate
from tests.dashboard.mail_server import SECRET, USER, MailServer, check_login, mail_server, tls
from tests.dashboard.people import PASSWORD, Clock, accounts_on, somebody

MAIL = Mail("ann@example.org", "Hello", "Ä link:\nhttps://e.org/x")


def settings(url: str, **environ: str) -> Settings:
    known = {"WATTFALL_SMTP": url, "WATTFALL_MAIL_FROM": "wattfall@example.org", "WATTFALL_URL": "https://e.org"}
    return load({**known, **environ})


def on(server: MailServer) -> Settings:
    return settings(f"smtp://127.0.0.1:{server.port}")


def test_a_mail_arrives_as_it_was_written() -> None:
    with mail_server() as server:
        send(on(server), MAIL)
    (taken,) = server.taken
    assert (taken["From"], taken["To"], taken["Subject"]) == ("wattfall@example.org", "ann@example.org", "Hello")
    assert taken.get_content().splitlines() == ["Ä link:", "https://e.org/x"]
    assert taken["Auto-Submitted"] == "auto-generated"


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # aiosmtpd means STARTTLS; here TLS comes first
def test_a_mail_goes_over_tls_to_a_trusted_server_with_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, key = certificate(tmp_path)
    options: dict[str, Any] = {"ssl_context": tls(file, key), "authenticator": check_login, "auth_require_tls": False}
    with mail_server(**options, auth_required=True) as server:
        chosen = settings(f"smtps://{USER}@localhost:{server.port}", WATTFALL_SMTP_PASSWORD=SECRET)
        with pytest.raises(ConfigurationError, match="SSLCertVerificationError"):
            send(chosen, MAIL)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        send(chosen, MAIL)
        with pytest.raises(ConfigurationError, match=r"SMTPAuthenticationError 535"):
            send(settings(f"smtps://{USER}@localhost:{server.port}", WATTFALL_SMTP_PASSWORD="wrong"), MAIL)
    assert len(server.taken) == 1


def test_a_server_elsewhere_must_offer_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.accounts.mail.HERE", ())  # this machine counts as another one
    with mail_server() as server, pytest.raises(ConfigurationError, match="SMTPNotSupportedError"):
        send(on(server), MAIL)
    assert server.taken == []


def test_a_mail_is_tried_again_and_holds_up_no_request() -> None:
    held, pauses = threading.Event(), list[float]()

    def job() -> Mail:
        held.wait()
        return MAIL

    with mail_server() as server:
        server.faults = ["451 later"]
        mailer = Mailer(on(server), pauses.append)
        assert mailer.put(job)
        assert server.taken == []
        held.set()
        mailer.wait()
    assert (len(server.taken), pauses) == (1, [5])


def test_a_failing_job_stops_no_other_and_names_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with mail_server() as server:
        mailer = Mailer(on(server), lambda _: None)
        server.faults = ["550 no"] * 3
        for job in (lambda: MAIL, lambda: None, lambda: MAIL):
            mailer.put(job)
        mailer.wait()
    assert len(server.taken) == 1
    assert "does not take the mail (SMTPDataError 550)" in caplog.text
    assert "ann@example.org" not in caplog.text


def test_waiting_mails_are_bounded() -> None:
    sending, held = threading.Event(), threading.Event()
    mailer = Mailer(settings("smtp://127.0.0.1:9"), lambda _: None)

    def job() -> None:
        sending.set()
        held.wait()

    mailer.put(job)
    sending.wait()
    answers = [mailer.put(job) for _ in range(MOST_WAITING + 1)]
    assert (answers[-2], answers[-1]) == (True, False)
    held.set()
    mailer.wait()


def test_a_forgotten_password_is_mailed_to_those_who_have_one_here(store: Store) -> None:
    clock, chosen = Clock(), settings("smtp://127.0.0.1:9")
    accounts = accounts_on(store, clock)
    ann, ben = somebody(store, "ann@example.org"), somebody(store, "ben@example.org")
    accounts.disable(ben)
    german = preferred_language("de")
    found = reset(chosen, accounts, "Ann@example.org", german)
    assert found
    assert (found.to, found.subject) == ("ann@example.org", "Wattfall: Passwort wählen")
    token = found.content.partition("https://e.org/invitation/")[2].partition("\n")[0]
    assert reset(chosen, accounts, "ben@example.org", german) is None
    assert reset(chosen, accounts, "nobody@example.org", german) is None
    clock.at += 3599
    assert accounts.invited(token) == ann
    clock.at += 1
    assert accounts.invited(token) is None


def test_an_invitation_leads_to_a_password_in_seven_days(store: Store) -> None:
    accounts = accounts_on(store)
    user = accounts.add("ann@example.org")
    sent = invitation(settings("smtp://127.0.0.1:9"), user, accounts.invite(user))
    assert sent.subject == "Wattfall: choose a password / Wattfall: Passwort wählen"
    assert ["Choose your password" in sent.content, "Wählen Sie Ihr Passwort" in sent.content] == [True, True]
    token = sent.content.partition("https://e.org/invitation/")[2].partition("\n")[0]
    assert accounts.accept(token, PASSWORD)


@pytest.mark.parametrize("variable", ["WATTFALL_MAIL_FROM", "WATTFALL_URL"])
def test_a_mail_server_needs_a_sender_and_an_address_for_links(variable: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{variable} is not set, and WATTFALL_SMTP needs it"):
        check_mail(settings("smtp://127.0.0.1:9", **{variable: ""}))


@pytest.mark.parametrize("url", ["mail.example.org", "imap://mail.example.org", "smtps://post:secret@mail.example.org"])
def test_a_mail_server_that_cannot_be_one_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="WATTFALL_SMTP: ") as refused:
        settings(url)
    assert "secret" not in str(refused.value)
