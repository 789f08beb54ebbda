"""The edge's client of `POST /ingest`: send a message over HTTP and map the answer to a SendResult.

Sizes are bytes on the wire. An unreachable server gives `LATER`; wrong options raise ConfigurationError.
"""

import time
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, ClassVar, NamedTuple, Protocol
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
FRAME = 120  # bytes that TCP, IP and TLS add to a message and its answer on an open connection


class SendResult(Enum):
    """The result of sending a message."""

    KEPT = auto()  # the server has stored it durably
    REFUSED = auto()  # the server refuses this message
    EARLY = auto()  # this message is in the future by the server's clock; send it again later
    LATER = auto()  # the server accepts nothing at present
    NO_ENTRY = auto()  # the server refuses the token


class ServerAnswer(NamedTuple):
    """The answer to a message."""

    result: SendResult
    is_watched: bool = False  # the device has a live viewer
    wait_s: int = 0  # send nothing for this time
    why: str = ""


class IngestClient(Protocol):
    """A client that delivers messages."""

    device_id: str
    tells_viewers: ClassVar[bool]  # answers say whether the device has a live viewer

    def send(self, body: bytes, content_type: str, *, is_live: bool = False) -> ServerAnswer:
        """Send a message and wait for the answer."""


@dataclass
class Sent:
    """Messages and bytes sent, answers included."""

    messages: int = 0
    size: int = 0


@dataclass
class HttpIngestClient:
    """A client of one server with a device's token, over one persistent connection."""

    tells_viewers: ClassVar[bool] = True
    url: str
    token: str = field(repr=False)
    sent: Sent = field(default_factory=Sent)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in HERE)) or not parts.hostname:
            raise ConfigurationError(f"{self.url!r} is not like https://energy.example.org (http only on this machine)")
        self.device_id = named_device(self.token)
        if not self.device_id:
            raise ConfigurationError("WATTFALL_TOKEN is not a token; on the server `wattfall device token` makes one")
        self._session = requests.Session()
        self._session.headers.clear()
        self._session.headers.update({"Authorization": f"Bearer {self.token}"})

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def send(self, body: bytes, content_type: str, *, is_live: bool = False) -> ServerAnswer:
        """Send a message and wait for the answer; an unreachable server gives `LATER`."""
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
            body = _read(response)
        except (requests.RequestException, HTTPError, OSError) as error:
            return ServerAnswer(SendResult.LATER, why=f"{self.url} cannot be reached: {type(error).__name__}")
        self.sent.messages += 1
        self.sent.size += size_of(response, body)
        return _answer(response, body)


def _read(response: requests.Response) -> bytes:
    """Return the body of an answer, up to LONGEST_ANSWER and TIMEOUT_S; Wattfall's own answers are shorter."""
    body, until = b"", time.monotonic() + TIMEOUT_S
    while len(body) < LONGEST_ANSWER and time.monotonic() < until:
        piece = response.raw.read1(LONGEST_ANSWER, decode_content=False)
        if not piece:
            return body
        body += piece
    response.close()  # discard the rest together with the connection
    return body


def _answer(response: requests.Response, body: bytes) -> ServerAnswer:
    content, code = _content(body), response.status_code
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


def _content(body: bytes) -> dict[str, Any]:
    """Decode Wattfall's answer; empty for the answer of a proxy."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def size_of(response: requests.Response, answer: bytes) -> int:
    """Return the bytes of a request and its answer, FRAME included."""
    request = response.request
    head = f"{request.method} {request.path_url} HTTP/1.1\r\nHost: {urlsplit(request.url or '').netloc}\r\n\r\n"
    body = request.body if isinstance(request.body, bytes) else b""
    asked = len(head) + _headers(request.headers) + len(body)
    return FRAME + asked + len("HTTP/1.1 202 ACCEPTED\r\n\r\n") + _headers(response.headers) + len(answer)


def _headers(headers: Any) -> int:  # noqa: ANN401 - of requests
    return sum(len(str(name)) + len(str(value)) + 4 for name, value in headers.items())
