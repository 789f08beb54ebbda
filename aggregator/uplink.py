"""The way from the edge to Wattfall: `POST /ingest` over HTTP, each answer as what it means for the sender."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import requests

from aggregator.errors import ConfigurationError
from aggregator.settings import HERE
from aggregator.tokens import named_device

TIMEOUT_S = 20
BLOCK = "application/vnd.wattfall.block"
JSON = "application/json"
FRAME = 120  # bytes that TCP, IP and TLS add to a message and its answer, on a connection that is kept


class Fate(Enum):
    """What becomes of a message that was sent."""

    KEPT = auto()  # it is durable there
    REFUSED = auto()  # it never will be
    LATER = auto()  # it may be, later
    NO_ENTRY = auto()  # not with this token


class Answer(NamedTuple):
    """The answer to a message."""

    fate: Fate
    is_watched: bool = False  # somebody is looking at the device
    wait_s: int = 0  # for which nothing more is to be sent
    why: str = ""


class Uplink(Protocol):
    """Something that takes messages."""

    device_id: str

    def send(self, body: bytes, content_type: str, *, is_live: bool = False) -> Answer:
        """Send a message, and wait for the answer."""


@dataclass
class Sent:
    """How much was sent, answers included, in bytes."""

    messages: int = 0
    size: int = 0


@dataclass
class HttpUplink:
    """Wattfall at an address, with a device's token; one connection is kept."""

    url: str
    token: str = field(repr=False)
    sent: Sent = field(default_factory=Sent)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in HERE)) or not parts.hostname:
            raise ConfigurationError(f"{self.url!r} is not like https://energy.example.org (http only on this machine)")
        self.device_id = named_device(self.token)
        if not self.device_id:
            raise ConfigurationError("WATTFALL_TOKEN is no token; on the server `wattfall device token` makes one")
        self._session = requests.Session()
        self._session.headers.clear()
        self._session.headers.update({"Authorization": f"Bearer {self.token}"})

    def close(self) -> None:
        """Let go of the connection."""
        self._session.close()

    def send(self, body: bytes, content_type: str, *, is_live: bool = False) -> Answer:
        """Send a message, and wait for the answer; a server out of reach is one, too."""
        url = f"{self.url.rstrip('/')}/ingest{'?live' if is_live else ''}"
        try:
            response = self._session.post(
                url, body, headers={"Content-Type": content_type}, timeout=TIMEOUT_S, allow_redirects=False
            )
        except requests.RequestException as error:
            return Answer(Fate.LATER, why=f"{self.url} cannot be reached: {type(error).__name__}")
        self.sent.messages += 1
        self.sent.size += size_of(response)
        return _answer(response)


def _answer(response: requests.Response) -> Answer:
    content = _content(response)
    why = f"{response.status_code} {content.get('reason') or ''} {content.get('detail') or ''}".strip()
    if response.status_code == 202:
        return Answer(Fate.KEPT, is_watched=content.get("watched") is True)
    if response.status_code in (401, 403):
        return Answer(Fate.NO_ENTRY, why=why)
    if response.status_code in (400, 413) and "reasons" in content:
        why = f"400 {', '.join(content['reasons'])}"
    if response.status_code in (400, 413) and content:
        return Answer(Fate.REFUSED, why=why)
    wait = response.headers.get("Retry-After", "")
    return Answer(Fate.LATER, wait_s=int(wait) if wait.isascii() and wait.isdigit() and len(wait) < 6 else 0, why=why)


def _content(response: requests.Response) -> dict[str, Any]:
    """The answer of Wattfall; empty for that of something else in between."""
    try:
        content = response.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def size_of(response: requests.Response) -> int:
    """The bytes of a request and its answer, FRAME for what carries them included."""
    request = response.request
    head = f"{request.method} {request.path_url} HTTP/1.1\r\nHost: {urlsplit(request.url or '').netloc}\r\n\r\n"
    body = request.body if isinstance(request.body, bytes) else b""
    asked = len(head) + _headers(request.headers) + len(body)
    return FRAME + asked + len("HTTP/1.1 202 ACCEPTED\r\n\r\n") + _headers(response.headers) + len(response.content)


def _headers(headers: Any) -> int:  # noqa: ANN401 - of requests
    return sum(len(str(name)) + len(str(value)) + 4 for name, value in headers.items())
