"""Answers in Brotli or gzip: what never changes is compressed once a process, anything else as it goes.

Flask-Compress keeps no compressed files, and the charts' library alone takes it 30 ms a visit.

From the length of a compressed answer that mixes a secret with what the request brought, the secret can be guessed
(BREACH). So a page that may repeat a form or a query is sent as it is; callbacks answer JSON posts only, which no other
site can send in a visitor's name.
"""

import gzip
from collections.abc import Callable, Mapping
from functools import lru_cache

import brotli
from flask import Flask, Response, request

from dashboard.web.headers import FOREVER

SMALLEST = 1000  # bytes; what fits into one packet is not worth the time
# Brotli's best costs a second and a half for the charts' library, and saves a tenth.
_WAYS: Mapping[str, Callable[[bytes], bytes]] = {
    "br": lambda body: brotli.compress(body, quality=5),
    "gzip": lambda body: gzip.compress(body, 6, mtime=0),  # browsers ask for br over TLS and on localhost only
}
_TYPES = {
    *("text/html", "text/css", "text/javascript", "application/javascript"),
    *("application/json", "application/manifest+json", "image/svg+xml"),
}


def compress(server: Flask) -> None:
    """Compress every answer that gains by it."""

    @server.after_request
    def add(response: Response) -> Response:
        if _is_worth_it(response):
            response.vary.add("Accept-Encoding")
            way = next((way for way in _WAYS if request.accept_encodings[way]), None)
            if way:
                _encode(response, way)
        return response


def _is_worth_it(response: Response) -> bool:
    if (response.content_length or SMALLEST) < SMALLEST or response.mimetype not in _TYPES:
        return False
    repeats = response.mimetype == "text/html" and (request.method != "GET" or request.query_string)
    is_stream = response.is_streamed and not response.direct_passthrough  # a file is passed through
    return response.status_code == 200 and not repeats and not is_stream


def _encode(response: Response, way: str) -> None:
    etag, _ = response.get_etag()
    if etag:
        response.set_etag(etag, weak=True)  # the same content, other bytes
        response.make_conditional(request)
    if response.status_code != 304:
        response.direct_passthrough = False
        pack = _pack_once if response.headers.get("Cache-Control") == FOREVER else _pack
        response.set_data(pack(way, response.get_data()))
        response.headers["Content-Encoding"] = way


def _pack(way: str, body: bytes) -> bytes:
    return _WAYS[way](body)


# By content: an address can be written in many ways, and nobody shall fill the memory with them.
_pack_once = lru_cache(maxsize=64)(_pack)
