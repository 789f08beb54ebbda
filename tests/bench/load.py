"""Many viewers who poll: what a page asks for with every tick, asked over plain sockets from a process of its own."""

import asyncio
import json
import socket
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zlib import crc32

import orjson

CONNECTIONS = 50  # of a proxy in front
PATIENCE_S = 10
HELD_S = 10  # a viewer's newest reading is the one before
_BROWSER = (
    "Host: localhost",
    "Origin: http://localhost",
    "Sec-Fetch-Site: same-origin",
    "Content-Type: application/json",
    "Accept: application/json",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en;q=0.9",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0",
)


@dataclass(frozen=True)
class Poll:
    """The callback that every tick starts, found among those that the server names."""

    output: str
    inputs: Sequence[Mapping[str, str]]
    state: Sequence[Mapping[str, str]]
    newest: int = 0  # the instant of the newest reading, UTC seconds
    cookies: Sequence[str] = ("",)  # of the sessions of viewers, who each have an allowance

    def body(self, device_id: str) -> bytes:
        """The request of a device's viewer."""
        held = self.newest - HELD_S
        note = [device_id, held, held, [held, 300], [held - 600, 3000], [held - 900, 100]]
        values = {"shown": {"device": device_id}, "tick": 1, "live": {"age": 4, "hour": note}}
        inputs, state = (
            [{**one, "value": values.get(one["id"])} for one in some] for some in (self.inputs, self.state)
        )
        named = [one.rsplit(".", 1) for one in self.output.strip(".").split("...")]
        outputs: Any = [{"id": name, "property": prop.split("@")[0]} for name, prop in named]
        content = {"output": self.output, "outputs": outputs if self.output.startswith("..") else outputs[0]}
        changed = [f"{one['id']}.{one['property']}" for one in self.inputs if one["id"] == "tick"]
        return orjson.dumps({**content, "inputs": inputs, "state": state, "changedPropIds": changed})

    def request(self, device_id: str, *, keeps: bool) -> bytes:
        """The same as Chromium writes it on the wire."""
        body = self.body(device_id)
        head = (
            "POST /_dash-update-component HTTP/1.1",
            *_BROWSER,
            f"Cookie: {self.cookies[crc32(device_id.encode()) % len(self.cookies)]}",
            f"Connection: {'keep-alive' if keeps else 'close'}",
            f"Content-Length: {len(body)}",
        )
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def find_poll(port: int, device_id: str, cookies: Sequence[str]) -> Poll:
    """The callback with the fewest inputs among those that a tick starts, with the newest reading that it tells of."""
    site, own = f"http://127.0.0.1:{port}", {"Cookie": cookies[0], "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{site}/_dash-dependencies", headers=own)) as answer:
        found = json.load(answer)
    ticked = [one for one in found if "tick" in {i["id"] for i in one["inputs"]} and not one["clientside_function"]]
    chosen = min(ticked, key=lambda one: len(one["inputs"]))
    poll = Poll(chosen["output"], chosen["inputs"], chosen["state"], cookies=cookies)
    asked = urllib.request.Request(f"{site}/_dash-update-component", poll.body(device_id), own | {"Origin": site})
    with urllib.request.urlopen(asked) as answer:
        told = json.load(answer)["response"]["live"]["data"]["hour"]
    return replace(poll, newest=told[1])


class Connection:
    """One connection of a browser: opened when it is needed, and again when the server has closed it meanwhile."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    async def ask(self, request: bytes) -> bytes:
        """The whole answer. Raises OSError."""
        loop = asyncio.get_running_loop()
        if self._socket:
            try:
                return await self._exchange(loop, self._socket, request)
            except ConnectionError:
                self.close()
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(self._socket, ("127.0.0.1", self._port))
        return await self._exchange(loop, self._socket, request)

    def close(self) -> None:
        """Let go of it."""
        if self._socket:
            self._socket.close()
            self._socket = None

    @staticmethod
    async def _exchange(loop: asyncio.AbstractEventLoop, through: socket.socket, request: bytes) -> bytes:
        await loop.sock_sendall(through, request)
        answer = b""
        while got := await loop.sock_recv(through, 65_536):
            answer += got
            head, _, body = answer.partition(b"\r\n\r\n")
            if body and len(body) == int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]):
                return answer
        raise ConnectionError("closed before the answer was whole")


@dataclass
class Load:
    """`rate` requests a second, each timed from when it is due; with a rate of 0 as many as go, timed from the start.

    Without `keeps` each request has a connection of its own.
    """

    port: int
    rate: float
    seconds: float
    keeps: bool
    times: list[float] = field(default_factory=list)  # ms
    errors: int = 0
    size: int = 0  # of the longest answer with its headers, bytes
    took: float = 0  # seconds

    async def run(self, requests: Sequence[bytes]) -> None:
        """Ask, one after the other, whatever connection is free."""
        loop = asyncio.get_running_loop()
        started = loop.time() + 0.2
        due = iter(range(int(self.rate * self.seconds) or 10**9))
        viewers = CONNECTIONS if self.keeps else 10 * CONNECTIONS
        await asyncio.gather(*(self._view(due, started, requests) for _ in range(viewers)))
        self.took = loop.time() - started

    async def _view(self, due: Iterator[int], started: float, requests: Sequence[bytes]) -> None:
        loop = asyncio.get_running_loop()
        connection = Connection(self.port)
        for number in due:
            when = started + number / self.rate if self.rate else max(started, loop.time())
            if when >= started + self.seconds:
                break
            await asyncio.sleep(max(0, when - loop.time()))
            try:
                async with asyncio.timeout_at(when + PATIENCE_S):
                    answer = await connection.ask(requests[number % len(requests)])
            except OSError:
                self.errors += 1
                connection.close()
                continue
            self.errors += not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 204"))
            self.size = max(self.size, len(answer))
            self.times.append((loop.time() - when) * 1000)
            if not self.keeps:
                connection.close()
        connection.close()


def load(poll: Poll, devices: int, done: Load) -> Load:
    """A load that has been run, by as many viewers of as many devices."""
    requests = [poll.request(f"cad-{number}", keeps=done.keeps) for number in range(devices)]
    asyncio.run(done.run(requests))
    return done
