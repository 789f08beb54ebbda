"""What is taken from a form: only from our own pages, and not without measure."""

from urllib.parse import urlsplit

from flask import Request

from dashboard.text.language import text

MOST_BYTES = 256 * 1024  # what the longest form can hold
FOREIGN = text("This was not sent from a page of Wattfall, so nothing has been changed. Open the page and try again.")
TOO_MUCH = text("This is more than Wattfall takes at once, so nothing has been changed.")


def is_ours(request: Request, url: str = "") -> bool:
    """Whether a page of this site sent the form: by the browser's own word, or else by the origin that it names.

    `url` is the public address, for a proxy that calls us by another name.

    Browsers leave Sec-Fetch-Site out where there is no https; a request with neither comes from no form.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    try:
        origin = urlsplit(request.headers.get("Origin", "")).netloc
    except ValueError:  # such as http://[
        return False
    return bool(origin) and origin in (request.host, urlsplit(url).netloc)  # the host is empty where it cannot be one


def is_small(request: Request) -> bool:
    """Whether the body is within measure; from here on no more of it is read than that."""
    request.max_content_length = MOST_BYTES
    return (request.content_length or 0) <= MOST_BYTES
