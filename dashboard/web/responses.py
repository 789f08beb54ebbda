"""Where the stylesheet and its companions are, their addresses, and the two files that the page has joined of them.

What every response tells the browser: what the page may load and do, and how long a copy may be kept.

Answers in Brotli or gzip: what never changes is compressed once a process, anything else as it goes.

Flask-Compress keeps no compressed files, and the charts' library alone takes it 30 ms a visit.

From the length of a compressed answer that mixes a secret with what the request brought, the secret can be guessed
(BREACH). So a page that may repeat a form or a query is sent as it is; callbacks answer JSON posts only, which no other
site can send in a visitor's name.

Pages that the server writes whole, without Dash: signing in, accounts, and words where something went wrong.
"""

import gzip
import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from zlib import crc32

import brotli
from flask import Flask, Response, has_request_context, make_response, render_template, request
from markupsafe import Markup

from dashboard.text.language import ENGLISH, Language, chosen

JOINED = ("page.css", "page.js")  # a request each instead of six and thirteen
# Of pages that are not Dash's, and what comes by itself when the first chart is mounted (assets/library.js).
_APART = ("access.", "desk.", "forms.", "plotly-")
_NAME = r"[\w.-]{1,100}"  # a file in the folder itself, with a name that every file system takes
_LINK = re.compile(rf'(?<=")/assets/({_NAME})(?=")')


def folder() -> Path:
    """Beside the packages in a checkout, inside this one when installed."""
    packaged = Path(__file__).parents[1] / "assets"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "assets"


def joined(name: str) -> str:
    """The content of one of `JOINED`."""
    return "\n".join(part.read_text() for part in _parts(name))


def url(name: str) -> str:
    """The address of an asset as it is now, written as Dash writes it: another content, another address."""
    return f"/assets/{name}?m={_stamp(name)}"


def is_current(address: str) -> bool:
    """Whether an address with a query is that of an asset as it is now."""
    name, _, stamp = address.removeprefix("/assets/").partition("?m=")
    is_asset = name in JOINED or (re.fullmatch(_NAME, name) and (folder() / name).is_file())
    return bool(is_asset) and stamp == _stamp(name)


def fingerprinted(html: str) -> str:
    """A page whose links to assets name their present content."""
    return _LINK.sub(lambda link: url(link[1]), html)


def serve(server: Flask) -> None:
    """Answer to the addresses of the joined files; a rule without a variable goes before that of all assets."""

    def answer(name: str) -> Response:
        response = Response(joined(name), mimetype="text/css" if name.endswith(".css") else "text/javascript")
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


# headers

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
    """The inline scripts of a page, as a content security policy names them."""
    return [f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in _INLINE.findall(html)]


def secure(server: Flask, script_hashes: Sequence[str]) -> None:
    """Add the headers to every response; the hashes are those of the page's inline scripts."""
    page = {**_PAGE, "Content-Security-Policy": _POLICY.format(" ".join(script_hashes))}

    @server.after_request
    def add(response: Response) -> Response:
        headers = response.headers
        headers["X-Content-Type-Options"] = "nosniff"
        # What is not a page obeys no policy, and a poll is to be small.
        if response.mimetype in ("text/html", "image/svg+xml"):
            for name, value in page.items():
                headers.setdefault(name, value)
        headers["Cache-Control"] = _copies(response)
        return response


def _copies(response: Response) -> str:
    """A file whose address changes with its content stays; other files and the page are asked for; data is private."""
    path = request.path
    if path.startswith(("/assets/", "/_dash-component-suites/")):
        # Dash gives an age to what it has fingerprinted.
        is_lasting = response.cache_control.max_age or is_current(request.full_path)
        return FOREVER if is_lasting and response.status_code == 200 else "no-cache"
    is_same_for_all = response.mimetype == "text/html" and not response.cache_control.no_store
    return "no-cache" if is_same_for_all else "no-store"


# compression

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


# render


def render(template: str, status: int = 200, **context: object) -> Response:
    """A page of a template, in the reader's language; no copy of it is kept anywhere."""
    lang = requested()
    head = Markup(fingerprinted(HEAD))  # noqa: S704 - our own constant
    page = render_template(template, lang=lang, say=lang.say, count=lang.count, head=head, asset=url, **context)
    answer = make_response(page, status)
    answer.headers["Cache-Control"] = "no-store, private"
    return answer


def notice(status: int, heading: str, sentence: str, link: str = "/", label: str = "") -> Response:
    """A heading, a sentence and a way on; each is said in the reader's language."""
    return render("notice.html", status, heading=heading, sentence=sentence, link=link, label=label)


# Before the first paint, so that no page flashes in the other scheme.
THEME_SCRIPT = 'try { document.documentElement.dataset.theme = localStorage.getItem("theme") || ""; } catch {}'


HEAD = f"""<meta name="color-scheme" content="light dark">
        <meta name="theme-color" content="#f5f7f8" media="(prefers-color-scheme: light)">
        <meta name="theme-color" content="#0b1318" media="(prefers-color-scheme: dark)">
        <script>{THEME_SCRIPT}</script>
        <link rel="icon" type="image/svg+xml" href="/assets/logo.svg">
        <link rel="apple-touch-icon" href="/assets/icon-180.png">
        <link rel="manifest" href="/assets/manifest.webmanifest">"""


def requested() -> Language:
    """The language of whoever asks, in the request at hand."""
    return chosen(request.headers.get("Accept-Language", "")) if has_request_context() else ENGLISH
