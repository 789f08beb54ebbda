"""Responses: the files of assets/, headers, compression, and templates.

- Assets: `url` adds a fingerprint to an address; `JOINED` names two files that are joined from many.
- Headers: the content security policy, and the lifetime of a copy in the browser.
- Compression: Brotli or gzip. Immutable files are compressed once a process, other answers each time. Flask-Compress
  keeps no compressed file, and needs 30 ms a visit for the chart library alone.
- Seen from outside: `observe` times the answers, and adds `/ready` and `/metrics`.
- Templates: `render` and `notice` write the pages without Dash: sign-in, account, tariff, support, errors.

BREACH: the compressed length of an answer can reveal a secret beside echoed input. So a page that may echo a form or a
query is not compressed. Callbacks accept JSON posts only, which no other site can send for a visitor.
"""

import gzip
import re
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from zlib import crc32

import brotli
import orjson
from flask import Flask, Response, abort, g, has_request_context, make_response, render_template, request
from markupsafe import Markup
from werkzeug.http import HTTP_STATUS_CODES, parse_accept_header

from aggregator.operations.metrics import TEXT, Metrics, Readiness
from dashboard.text.language import ENGLISH, Language, preferred_language

JOINED = ("page.css", "page.js")  # two requests instead of nineteen
# Files of pages without Dash, and those that assets/library.js loads with the first chart.
_APART = ("access.", "desk.", "forms.", "plotly-")
API = "/api/"  # the addresses for programs
_NAME = r"[\w.-]{1,100}"  # a file directly in the folder; every file system accepts the name
_LINK = re.compile(rf'(?<=")/assets/({_NAME})(?=")')


def folder() -> Path:
    """Return the folder of the assets: beside the packages in a checkout, inside this one when installed."""
    packaged = Path(__file__).parents[1] / "assets"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "assets"


def joined_content(name: str) -> str:
    """Return the content of one of `JOINED`."""
    return "\n".join(part.read_text() for part in _parts(name))


def url(name: str) -> str:
    """Return the address of an asset with its fingerprint, in Dash's format. New content gets a new address."""
    return f"/assets/{name}?m={_stamp(name)}"


def is_current(address: str) -> bool:
    """Whether an address carries the present fingerprint of an asset."""
    name, _, stamp = address.removeprefix("/assets/").partition("?m=")
    is_asset = name in JOINED or (re.fullmatch(_NAME, name) and (folder() / name).is_file())
    return bool(is_asset) and stamp == _stamp(name)


def with_fingerprints(html: str) -> str:
    """Return the page with a fingerprint in each link to an asset."""
    return _LINK.sub(lambda link: url(link[1]), html)


def serve(server: Flask) -> None:
    """Add the addresses of the joined files. A rule without a variable precedes the rule of all assets."""

    def answer(name: str) -> Response:
        response = Response(joined_content(name), mimetype="text/css" if name.endswith(".css") else "text/javascript")
        response.add_etag()
        return response

    for name in JOINED:
        server.add_url_rule(f"/assets/{name}", f"joined.{name.partition('.')[2]}", lambda name=name: answer(name))


def _parts(name: str) -> list[Path]:
    found = folder().glob(f"*{Path(name).suffix}")
    return sorted(path for path in found if not path.name.startswith(_APART))


def _stamp(name: str) -> str:
    if name not in JOINED:
        return str((folder() / name).stat().st_mtime)
    return f"{crc32(repr([(part.name, part.stat().st_mtime) for part in _parts(name)]).encode()):08x}"


# Headers

FOREVER = "public, max-age=31536000, immutable"
_PAGE = {
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_POLICY = (
    "default-src 'self'; script-src 'self' {}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def hashes(html: str) -> list[str]:
    """Return the hash of each inline script of a page, as a content security policy lists them."""
    return [f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in _INLINE.findall(html)]


def secure(server: Flask, script_hashes: Sequence[str]) -> None:
    """Add the headers to every response. `script_hashes` are those of the page's inline scripts."""
    page = {**_PAGE, "Content-Security-Policy": _POLICY.format(" ".join(script_hashes))}

    @server.after_request
    def add(response: Response) -> Response:
        headers = response.headers
        headers["X-Content-Type-Options"] = "nosniff"
        # Only documents obey a policy, and a poll should be small.
        if response.mimetype in ("text/html", "image/svg+xml"):
            for name, value in page.items():
                headers.setdefault(name, value)
        headers["Cache-Control"] = _copies(response)
        return response


def _copies(response: Response) -> str:
    """Return Cache-Control: forever for fingerprinted files, revalidated other files and page, no copy of data."""
    path = request.path
    if path.startswith(("/assets/", "/_dash-component-suites/")):
        # Dash sets max-age on files that it has fingerprinted.
        is_lasting = response.cache_control.max_age or is_current(request.full_path)
        return FOREVER if is_lasting and response.status_code == 200 else "no-cache"
    if path.startswith(API) and response.get_etag()[0]:
        return "private, no-cache"  # a program keeps its answer, and asks again by the ETag
    is_same_for_all = response.mimetype == "text/html" and not response.cache_control.no_store
    return "no-cache" if is_same_for_all else "no-store"


# Seen from outside

CALLBACKS = "/_dash-update-component"


def observe(server: Flask, metrics: Metrics, readiness: Readiness, token: str = "") -> None:
    """Time every answer, and add `/ready`, and `/metrics` for whoever knows the token. Call it before other hooks."""

    @server.before_request
    def begin() -> None:
        g.began = time.perf_counter()

    @server.after_request
    def count(response: Response) -> Response:
        metrics.count_request(_kind(response), response.status_code, time.perf_counter() - g.began)
        return response

    @server.get("/ready")
    def ready() -> Response:
        fault = readiness.fault()
        return Response(fault or "OK", 503 if fault else 200, mimetype="text/plain")

    @server.get("/metrics")
    def told() -> Response:
        if not token:
            abort(404)
        if not compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
            return Response("send the token\n", 401, {"WWW-Authenticate": "Bearer"}, mimetype="text/plain")
        return Response(metrics.text(), content_type=TEXT)


def _kind(response: Response) -> str:
    """Return what an answer is: a poll, another callback, a message of a device, a file, or a page."""
    path = request.path
    if path == CALLBACKS:
        content = request.get_json() if response.status_code == 200 else {}  # Dash has read it
        changed = content.get("changedPropIds")
        return "poll" if changed == ["tick.data"] else "callback"
    if path.startswith(("/assets/", "/_dash-component-suites/")):
        return "file"
    if path.startswith(API):
        return "api"
    return path[1:] if path in ("/ingest", "/health", "/ready", "/metrics") else "page"


# Compression

SMALLEST = 1000  # bytes; an answer in one packet gains nothing
SMALL = 4000  # bytes; below, the tables of a better level cost more than the packing: a poll took 0.2 ms longer
# Brotli's best level needs 1.5 s for the chart library and saves a tenth.
_WAYS: Mapping[str, Callable[[bytes], bytes]] = {
    "br": lambda body: brotli.compress(body, quality=5 if len(body) > SMALL else 1),
    "gzip": lambda body: gzip.compress(body, 6, mtime=0),  # browsers accept br over TLS and on localhost only
}
_TYPES = {
    *("text/html", "text/css", "text/javascript", "application/javascript"),
    *("application/json", "application/manifest+json", "image/svg+xml"),
}


def compress(server: Flask) -> None:
    """Compress each answer that gains by it."""

    @server.after_request
    def add(response: Response) -> Response:
        if _is_worth_it(response):
            response.vary.add("Accept-Encoding")
            way = _way(request.headers.get("Accept-Encoding", ""))
            if way:
                _encode(response, way)
        return response


@lru_cache(maxsize=1024)
def _way(accepted: str) -> str | None:
    """Return the best encoding for an Accept-Encoding header. A browser sends the same one each time."""
    encodings = parse_accept_header(accepted[:200])
    return next((way for way in _WAYS if encodings[way]), None)


def _is_worth_it(response: Response) -> bool:
    if (response.content_length or SMALLEST) < SMALLEST or response.mimetype not in _TYPES:
        return False
    repeats = response.mimetype == "text/html" and (request.method != "GET" or request.query_string)
    is_stream = response.is_streamed and not response.direct_passthrough  # files are passed through
    return response.status_code == 200 and not repeats and not is_stream


def _encode(response: Response, way: str) -> None:
    etag, _ = response.get_etag()
    if etag:
        response.set_etag(etag, weak=True)  # same content, different bytes
        response.make_conditional(request)
    if response.status_code != 304:
        response.direct_passthrough = False
        pack = _pack_once if response.headers.get("Cache-Control") == FOREVER else _pack
        response.set_data(pack(way, response.get_data()))
        response.headers["Content-Encoding"] = way


def _pack(way: str, body: bytes) -> bytes:
    return _WAYS[way](body)


# Keyed by content, not address: one file has many addresses, which could fill the memory.
_pack_once = lru_cache(maxsize=64)(_pack)


# Templates


def render(template: str, status: int = 200, **context: object) -> Response:
    """Return a rendered template in the reader's language; browsers keep no copy."""
    lang = reader_language()
    head = Markup(with_fingerprints(HEAD))  # noqa: S704 - our own constant
    page = render_template(template, lang=lang, say=lang.say, count=lang.count, head=head, asset=url, **context)
    answer = make_response(page, status)
    answer.headers["Cache-Control"] = "no-store, private"
    return answer


def notice(status: int, heading: str, sentence: str, link: str = "/", label: str = "") -> Response:
    """Return a page with a heading, a sentence and a link; all are translated."""
    return render("notice.html", status, heading=heading, sentence=sentence, link=link, label=label)


PROBLEM = "application/problem+json"


def problem(status: int, detail: str) -> Response:
    """Return a refusal for a program, as RFC 9457 has it; English, one line."""
    content = {"type": "about:blank", "title": HTTP_STATUS_CODES[status], "status": status, "detail": detail}
    return Response(orjson.dumps(content), status, mimetype=PROBLEM)


# Runs before the first paint, so that no page flashes in the other colour scheme.
THEME_SCRIPT = 'try { document.documentElement.dataset.theme = localStorage.getItem("theme") || ""; } catch {}'


HEAD = f"""<meta name="color-scheme" content="light dark">
        <meta name="theme-color" content="#f5f7f8" media="(prefers-color-scheme: light)">
        <meta name="theme-color" content="#0b1318" media="(prefers-color-scheme: dark)">
        <script>{THEME_SCRIPT}</script>
        <link rel="icon" type="image/svg+xml" href="/assets/logo.svg">
        <link rel="apple-touch-icon" href="/assets/icon-180.png">
        <link rel="manifest" href="/assets/manifest.webmanifest">"""


def reader_language() -> Language:
    """Return the language of the current request; English outside of one."""
    return preferred_language(request.headers.get("Accept-Language", "")) if has_request_context() else ENGLISH
