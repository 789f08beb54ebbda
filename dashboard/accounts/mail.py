"""Mail: links to choose a password, sent over SMTP with TLS from a thread of its own.

A request only puts a job into a queue of bounded length, so that no answer waits for a mail server, and none tells by
its time whether there is an account. The job looks for the account. The log names no address and no link.
"""

import logging
import queue
import smtplib
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

from aggregator.core.errors import ConfigurationError
from aggregator.settings import HERE, SMTP_PORTS, Settings
from dashboard.accounts.accounts import RESET_S, Accounts, link_of
from dashboard.accounts.users import User
from dashboard.text.language import Language, languages, text

MOST_WAITING = 200  # mails; a server that takes none must not fill the memory
TIMEOUT_S = 20
PAUSES_S = (5, 60)  # before further tries
SUBJECT = text("Wattfall: choose a password")
INVITED = text(
    "You can sign in to Wattfall at {site}.\n\nChoose your password within seven days:\n{link}\n\n"
    "The link works once. If you do not know what this is, do nothing."
)
FORGOTTEN = text(
    "Somebody, probably you, asked for a new password at {site}.\n\nChoose it within an hour:\n{link}\n\n"
    "The link works once. If it was not you, do nothing: your password stays as it is."
)

log = logging.getLogger("wattfall.mail")


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail in plain text."""

    to: str
    subject: str
    content: str


def invitation(settings: Settings, user: User, token: str) -> Mail:
    """Return the mail with an invitation, in every language: nobody knows that of the person yet."""
    return _mail(settings, user, token, INVITED, None)


def may_reset(user: User | None) -> bool:
    """Whether somebody has a password here, or awaits one."""
    return user is not None and not user.is_disabled and bool(user.password_hash or not user.identity)


def reset(settings: Settings, accounts: Accounts, email: str, lang: Language) -> Mail | None:
    """Return the mail with a link to a new password; None without an account that can have one."""
    user = accounts.find(email)
    return forgotten(settings, user, accounts.invite(user, RESET_S), lang) if user and may_reset(user) else None


def forgotten(settings: Settings, user: User, token: str, lang: Language | None = None) -> Mail:
    """Return the mail with a link to a new password; in every language where that of the person is not known."""
    return _mail(settings, user, token, FORGOTTEN, lang)


def _mail(settings: Settings, user: User, token: str, sentence: str, lang: Language | None) -> Mail:
    values, spoken = {"site": settings.url, "link": link_of(settings, token)}, [lang] if lang else languages().values()
    contents = [one.say(sentence, **values) for one in spoken]
    return Mail(user.email, " / ".join(one.say(SUBJECT) for one in spoken), "\n\n---\n\n".join(contents))


def check_mail(settings: Settings) -> None:
    """Raise ConfigurationError where mail is set up by half."""
    for variable, value in (("WATTFALL_MAIL_FROM", settings.mail_from), ("WATTFALL_URL", settings.url)):
        if settings.smtp and not value:
            raise ConfigurationError(f"{variable} is not set, and WATTFALL_SMTP needs it")


def send(settings: Settings, mail: Mail) -> None:
    """Send a mail now. Raises ConfigurationError where the server does not take it."""
    parts = urlsplit(settings.smtp)
    host, port = parts.hostname or "", parts.port or SMTP_PORTS[parts.scheme]
    context = ssl.create_default_context()
    try:
        with (
            smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=context)
            if parts.scheme == "smtps"
            else smtplib.SMTP(host, port, timeout=TIMEOUT_S)
        ) as server:
            if parts.scheme == "smtp" and host not in HERE:
                server.starttls(context=context)
            if parts.username:
                server.login(unquote(parts.username), settings.smtp_password)
            server.send_message(_message(settings, mail))
    except (OSError, smtplib.SMTPException) as error:
        said = f" {error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else ""
        raise ConfigurationError(
            f"the mail server {host}:{port} does not take the mail ({type(error).__name__}{said}); see WATTFALL_SMTP"
        ) from error


def _message(settings: Settings, mail: Mail) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = settings.mail_from, mail.to, mail.subject
    message["Date"], message["Auto-Submitted"] = formatdate(), "auto-generated"
    message["Message-ID"] = make_msgid(domain=settings.mail_from.rpartition("@")[2])
    message.set_content(mail.content)
    return message


class Mailer:
    """Sends mails in order, from a thread that starts with the first one."""

    def __init__(self, settings: Settings, pause: Callable[[float], object] = time.sleep) -> None:
        self._settings, self._pause = settings, pause
        self._jobs: queue.Queue[Callable[[], Mail | None]] = queue.Queue(MOST_WAITING)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, job: Callable[[], Mail | None]) -> bool:
        """Add a job, which returns the mail to send or None; False where too many wait."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mail", daemon=True)
                self._thread.start()
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            log.error("a mail was not sent: %d wait for the mail server", MOST_WAITING)
            return False
        return True

    def wait(self) -> None:
        """Return once every job is done."""
        self._jobs.join()

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                self._do(job)
            except Exception:  # the next mail must still be sent
                log.exception("a mail was not sent")
            finally:
                self._jobs.task_done()

    def _do(self, job: Callable[[], Mail | None]) -> None:
        mail = job()
        if mail is None:
            return
        for pause_s in (*PAUSES_S, None):
            try:
                send(self._settings, mail)
            except ConfigurationError as error:
                log.warning("%s", error)
                if pause_s is not None:
                    self._pause(pause_s)
            else:
                return
