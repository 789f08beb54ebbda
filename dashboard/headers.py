"""What every response tells the browser about safety: nothing from elsewhere, no frames, no copies of private data."""

from collections.abc import Sequence

from flask import Flask, Response, request

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_POLICY = (
    "default-src 'self'; script-src 'self' {}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def secure(server: Flask, script_hashes: Sequence[str]) -> None:
    """Add the headers to every response; the hashes are those of the page's inline scripts."""
    policy = _POLICY.format(" ".join(script_hashes))

    @server.after_request
    def add(response: Response) -> Response:
        for name, value in {**_ALWAYS, "Content-Security-Policy": policy}.items():
            response.headers.setdefault(name, value)
        if response.mimetype == "application/json" or request.path == "/health":
            response.headers["Cache-Control"] = "no-store"
        return response
