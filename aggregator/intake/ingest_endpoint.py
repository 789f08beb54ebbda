"""`POST /ingest`: readings and intervals over HTTP; each device has its own token. Any server calls `IngestEndpoint`.

The answer gives the result of each item. Status: 202 good items are durable, 400 no item is good, 401 bad token, 413
body too large, 429 too many requests, 503 the store is unreachable, or this server's clock is or may be behind those of
most devices. Repeating a request is harmless. `watched` in the answer is true while the device has a viewer; an edge
sends its live power only then.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from aggregator.core.errors import Refused, StoreAway, StoreReplaced, StoreUnusable, shown
from aggregator.core.periods import DAY_S, RETENTION_DAYS
from aggregator.intake import device_status, tokens
from aggregator.intake.clocks import TELL_S, ServerClock, Wrong, is_ahead, refuse_old
from aggregator.intake.formats import FORMATS, Format, read_whole
from aggregator.intake.formats.canonical import BLOCK
from aggregator.intake.formats.message import LARGEST, Content, DeviceRules, Origin, TooLarge, Unread, inflated
from aggregator.intake.group_commit import GroupCommit, NotTogether
from aggregator.intake.ingest import Outcome, Received, rules_in, show_live, store_refusals, take_in
from aggregator.intake.tokens import Limits, network
from aggregator.store.port import Store

PATH = "/ingest"
MOST_TOGETHER = 200  # readings of a message that shares a transaction; a larger one is written in portions of its own
MOST_NAMED = 100  # refused items that the answer names
RETRY_S = 5
AGAIN_S = 10  # until a message of the future is sent again, while it is undecided whose clock is wrong
_TYPES = {BLOCK: "block"}
_Kept = tuple[Outcome, Content]
log = logging.getLogger(__name__)


class Headers(Protocol):
    """The headers of a request, found by their names in lower case."""

    def get(self, name: str, default: str) -> str:
        """Return a header, or the default."""


class IngestRequest(NamedTuple):
    """A request: its headers, query and body."""

    headers: Headers
    query: Mapping[str, str]
    size: int  # bytes of the body, as declared
    read: Callable[[], bytes]  # the body; of an undeclared length, it may end after LARGEST + 1 bytes
    address: str = ""  # of who sends it


class IngestAnswer(NamedTuple):
    """An answer: its status, what it says as JSON, and more headers."""

    status: int
    content: Mapping[str, object]
    headers: Mapping[str, str] = {}


class IngestFault(Exception):
    """A refused request: its status, and the reason."""

    def __init__(self, status: int, reason: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.answer = {"reason": reason, "detail": detail}
        self.headers = headers


@dataclass(frozen=True, slots=True)
class IngestEndpoint:
    """The collaborators of the endpoint."""

    store: Store
    default_zone: str
    clock: Callable[[], float] = time.time
    limits: Limits = field(default_factory=Limits)
    strangers: Limits = field(default_factory=Limits)  # addresses that send no valid token
    retention_days: int = RETENTION_DAYS
    server_clock: ServerClock = field(default_factory=ServerClock)
    pace: Callable[[], float] = time.monotonic
    count: Callable[[Outcome], object] = lambda _: None  # told the outcome of each request
    together: GroupCommit[Received, _Kept] = field(init=False)

    def __post_init__(self) -> None:
        """Let the threads commit together."""
        object.__setattr__(self, "together", GroupCommit(self.store, self._put))

    def answer(self, request: IngestRequest) -> IngestAnswer:
        """Return the answer to a request. Raises what reading its body raises."""
        try:
            return self._taken_in(request)
        except IngestFault as fault:
            return IngestAnswer(fault.status, fault.answer, fault.headers)
        except Refused as why:
            return IngestAnswer(413 if isinstance(why, TooLarge) else 400, {"reason": why.reason, "detail": why.detail})
        except (StoreAway, StoreUnusable) as error:
            if not isinstance(error, StoreReplaced):  # the first process says it once, and ends this one
                log.warning("readings not taken in: %s", error)
            return IngestAnswer(503, {"reason": "store_away", "detail": "try again"}, {"Retry-After": str(RETRY_S)})

    def _taken_in(self, request: IngestRequest) -> IngestAnswer:
        now = self.clock()
        device_id = self._sender(request, int(now))
        try:
            body = self._body(request, device_id, now)
        except Refused as why:
            store_refusals(self.store, [Received(device_id, Content(refused=[Unread(why, b"")]))], int(now))
            self.count(Outcome(reasons=Counter([why.reason])))
            raise
        one = _format(request)
        content = self._parse(one, Origin(device_id, int(now), part=request.query.get("part", "")), body)
        is_block = one.name == _TYPES[BLOCK]
        self._check_clock(device_id, content, int(now), is_history=is_block)
        is_live = "live" in request.query
        outcome, content = self._keep(Received(device_id, content, is_block), int(now), is_live=is_live)
        self.count(outcome)
        refused = [_item(unread) for unread in content.refused[:MOST_NAMED]]
        is_any = outcome.accepted or outcome.unchanged or outcome.statuses or not outcome.rejected
        is_watched = device_status.is_watched(self.store, device_id)
        answer = {**outcome.as_json(), "refused": refused, "watched": is_watched}
        return IngestAnswer(202 if is_any else 400, answer)

    def _sender(self, request: IngestRequest, now: int) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        address = network(request.address)
        # Before the store is read; a device that has sent lately goes on beside somebody who guesses.
        wait = 0 if self.limits.knows(tokens.named_device(token)) else self.strangers.wait(address, 0, now)
        device_id = "" if wait else tokens.device_of(self.store, token, now)
        if not device_id and (wait := wait or self.strangers.take(address, 0, now)):
            raise _too_many(f"too much comes from this address without a valid token; go on in {wait} s", wait)
        if not device_id:
            raise IngestFault(
                401,
                "no_token",
                "send `Authorization: Bearer TOKEN`; `wattfall device token DEVICE` makes one",
                **{"WWW-Authenticate": 'Bearer realm="wattfall"'},
            )
        return device_id

    def _body(self, request: IngestRequest, device_id: str, now: float) -> bytes:
        """Return the body; check its length before reading it."""
        size = request.size
        wait = self.limits.take(device_id, min(size, LARGEST), now)
        if wait:
            raise _too_many(f"{device_id} sends too much; go on in {wait} s", wait)
        body = request.read() if size <= LARGEST else b""
        if max(size, len(body)) > LARGEST:
            raise TooLarge(f"more than {LARGEST} bytes")
        if len(body) < size:
            raise Refused("wrong_format", f"received {len(body)} of {size} bytes")
        whole = inflated(body, request.headers.get("content-encoding", "").strip().lower())
        self.limits.charge(device_id, len(whole) - size, 0)
        return whole

    def _parse(self, one: Format, origin: Origin, body: bytes) -> Content:
        rules = rules_in(self.store, self.default_zone)(origin.device_id) if one.has_rules else DeviceRules()
        content = read_whole(one, body, origin._replace(rules=rules))
        self.limits.charge(origin.device_id, 0, content.half_hours)
        return content

    def _check_clock(self, device_id: str, content: Content, now: int, *, is_history: bool) -> None:
        """Refuse what is older than the retention; raise IngestFault where this server's clock may be behind."""
        if not is_history:
            refuse_old(self.store, content, now - self.retention_days * DAY_S)
        at = self.pace()
        self.server_clock.note(device_id, content, now, at)
        wrong = self.server_clock.wrong(at) if is_ahead(content) else Wrong.DEVICE
        if wrong is Wrong.SERVER and (complaint := self.server_clock.complaint(at)):
            log.error("most devices are ahead of this server's clock; their messages wait for it")
            store_refusals(self.store, [Received("", complaint)], now)
        if wrong is not Wrong.DEVICE:
            detail = "this is ahead of the clock of the server, which may be wrong; send it again later"
            wait = TELL_S if wrong is Wrong.SERVER else AGAIN_S
            raise IngestFault(503, "server_clock", detail, **{"Retry-After": str(wait)})

    def _keep(self, message: Received, now: int, *, is_live: bool) -> _Kept:
        """Store a message, together with others that come at the same time; return it with all that was refused."""
        if is_live:
            shown_live = show_live(self.store, message.content, now, self.default_zone)
            shown_live.reasons.update(store_refusals(self.store, [message], now))
            return shown_live, message.content
        is_large = len(message.content.readings) + len(message.content.intervals) > MOST_TOGETHER
        return self._put([message])[0] if is_large else self.together.put(message)

    def _put(self, messages: Sequence[Received]) -> list[_Kept]:
        """Store messages; return the outcome of each. Raises NotTogether where some of them repeat what is stored."""
        # Copies, since all of this may be repeated.
        own = [one._replace(content=replace(one.content, refused=[*one.content.refused])) for one in messages]
        outcome = take_in(self.store, own, int(self.clock()), self.default_zone)
        if len(own) == 1:
            return [(outcome, own[0].content)]
        if outcome.unchanged:
            raise NotTogether
        return [
            (_accepted(one.content, stored.content), stored.content) for one, stored in zip(messages, own, strict=True)
        ]


def _too_many(detail: str, wait_s: int) -> IngestFault:
    return IngestFault(429, "too_many", detail, **{"Retry-After": str(wait_s)})


def _accepted(sent: Content, stored: Content) -> Outcome:
    """Return the outcome of a message of which nothing was stored before."""
    aside = len(stored.refused) - len(sent.refused)
    reasons = Counter(unread.why.reason for unread in stored.refused)
    return Outcome(len(sent.readings) + len(sent.intervals) - aside, 0, len(sent.statuses), reasons)


def _format(request: IngestRequest) -> Format:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    name = request.query.get("format") or _TYPES.get(kind, "json")
    if name not in FORMATS:
        raise IngestFault(400, "wrong_format", f"format is {shown(name)}; there are {', '.join(FORMATS)}")
    return FORMATS[name]


def _item(unread: Unread) -> dict[str, object]:
    return {"item": unread.item, "reason": unread.why.reason, "detail": unread.why.detail}
