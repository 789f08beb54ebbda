"""What every response tells the browser: what the page may load and do, and how long a copy may be kept."""

import re
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256

from flask import Flask, Response, request

from dashboard.web import static

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
        is_lasting = response.cache_control.max_age or static.is_current(request.full_path)
        return FOREVER if is_lasting and response.status_code == 200 else "no-cache"
    is_same_for_all = response.mimetype == "text/html" and not response.cache_control.no_store
    return "no-cache" if is_same_for_all else "no-store"
