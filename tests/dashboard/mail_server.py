"""A real mail server on a local port for tests; it keeps what it takes."""

import email
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.servers import free_port

USER, SECRET = "post", "what opens the letter box"


class MailServer(Controller):
    """`faults` are the answers to the next mails, in place of taking them."""

    def __init__(self, **tls: Any) -> None:  # noqa: ANN401 - aiosmtpd's
        self.taken: list[EmailMessage] = []
        self.faults: list[str] = []
        super().__init__(self, hostname="127.0.0.1", port=free_port(), **tls)

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:  # noqa: N802 - aiosmtpd's
        if self.faults:
            return self.faults.pop(0)
        self.taken.append(email.message_from_bytes(getattr(envelope, "content"), policy=default))  # noqa: B009
        return "250 taken"


def check_login(*found: object) -> AuthResult:
    """Admit one user with one password."""
    login = found[-1]
    is_right = isinstance(login, LoginPassword) and (login.login, login.password) == (USER.encode(), SECRET.encode())
    return AuthResult(success=is_right, handled=is_right)


@contextmanager
def mail_server(**options: Any) -> Iterator[MailServer]:  # noqa: ANN401 - aiosmtpd's
    """Run a mail server without TLS, as on this machine, or with the options of aiosmtpd."""
    server = MailServer(**options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the TLS of a server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
