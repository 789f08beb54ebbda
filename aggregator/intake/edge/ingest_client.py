"""The way from the edge to Wattfall: `POST /ingest` over HTTP, each answer as what it means for the sender."""

import time
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import orjson
import requests
from urllib3.exceptions import HTTPError

from aggregator.core.errors import ConfigurationError
from aggregator.core.readings import REASONS
from aggregator.intake.tokens import named_device
from aggregator.settings import HERE

TIMEOUT_S = 20
LONGEST_WAIT_S = 3600
LONGEST_ANSWER = 65_536  # bytes
JSON = "application/json"
FRAME = 120  # bytes that TCP, IP and TLS add to a message and its answer, on a connection that is kept


class SendResult(Enum):
    """What becomes of a message that was sent."""

    KEPT = auto()  # it is durable there
    REFUSED = auto()  # this one is not taken
    EARLY = auto()  # this one is not taken yet: to the server it lies in the future
    LATER = auto()  # nothing is taken, for a while
    NO_ENTRY = auto()  # not with this token


class ServerAnswer(NamedTuple):
    """The answer to a message."""

    result: SendResult
    is_watched: bool = False  # somebody is looking at the device
    wait_s: int = 0  # for which nothing more is to be sent
    why: str = ""


class IngestClient(Protocol):
    """Something that takes messages."""

    device_id: str

    def send(self, body: bytes, content_type: str, *, is_live: bool = False) -> ServerAnswer:
        """Send a message, and wait for the answer."""


@dataclass
class Sent:
    """How much was sent, answers included, in bytes."""

    messages: int = 0
    size: int = 0


@dataclass
class HttpIngestClient:
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

    def send(self, body: bytes, content_type: str, *, is_live: bool = False) -> ServerAnswer:
        """Send a message, and wait for the answer; a server out of reach is one, too."""
        url = f"{self.url.rstrip('/')}/ingest{'?live' if is_live else ''}"
        try:
            response = self._session.post(
                url,
                body,
                headers={"Content-Type": content_type},
                timeout=TIMEOUT_S,
                allow_redirects=False,
                stream=True,
            )
            said = _read(response)
        except (requests.RequestException, HTTPError, OSError) as error:
            return ServerAnswer(SendResult.LATER, why=f"{self.url} cannot be reached: {type(error).__name__}")
        self.sent.messages += 1
        self.sent.size += size_of(response, said)
        return _answer(response, said)


def _read(response: requests.Response) -> bytes:
    """The beginning of an answer, in the time of one: nothing that Wattfall says is longer."""
    said, until = b"", time.monotonic() + TIMEOUT_S
    while len(said) < LONGEST_ANSWER and time.monotonic() < until:
        piece = response.raw.read1(LONGEST_ANSWER, decode_content=False)
        if not piece:
            return said
        said += piece
    response.close()  # the rest is not wanted, and the connection no good any more
    return said


def _answer(response: requests.Response, said: bytes) -> ServerAnswer:
    content, code = _content(said), response.status_code
    reasons = content.get("reasons")
    reason, detail = (str(content.get(key, ""))[:200] for key in ("reason", "detail"))
    why = f"{code} {', '.join(map(str, reasons))[:200] if isinstance(reasons, dict) else reason} {detail}".strip()
    if code == 202 and "accepted" in content:
        return ServerAnswer(SendResult.KEPT, is_watched=content.get("watched") is True)
    if code in (401, 403):
        return ServerAnswer(SendResult.NO_ENTRY, why=why)
    if code in (400, 413) and (isinstance(reasons, dict) or reason in REASONS):
        is_early = isinstance(reasons, dict) and [*reasons] == ["in_the_future"]
        return ServerAnswer(
            SendResult.EARLY if is_early else SendResult.REFUSED, content.get("watched") is True, why=why
        )
    wait = response.headers.get("Retry-After", "")
    wait_s = min(int(wait), LONGEST_WAIT_S) if wait.isascii() and wait.isdigit() and len(wait) < 9 else 0
    return ServerAnswer(SendResult.LATER, wait_s=wait_s, why=why)


def _content(said: bytes) -> dict[str, Any]:
    """The answer of Wattfall; empty for that of something else in between."""
    try:
        content = orjson.loads(said)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def size_of(response: requests.Response, said: bytes) -> int:
    """The bytes of a request and its answer, FRAME for what carries them included."""
    request = response.request
    head = f"{request.method} {request.path_url} HTTP/1.1\r\nHost: {urlsplit(request.url or '').netloc}\r\n\r\n"
    body = request.body if isinstance(request.body, bytes) else b""
    asked = len(head) + _headers(request.headers) + len(body)
    return FRAME + asked + len("HTTP/1.1 202 ACCEPTED\r\n\r\n") + _headers(response.headers) + len(said)


def _headers(headers: Any) -> int:  # noqa: ANN401 - of requests
    return sum(len(str(name)) + len(str(value)) + 4 for name, value in headers.items())
