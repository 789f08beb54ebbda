"""The body of a request: inflated within measure, whatever it was told to be. Pure."""

import zlib

from aggregator.core.errors import Refused

LARGEST = 1 << 20  # bytes, as it comes and inflated
ENCODINGS = ("", "identity", "gzip")
_GZIP = 16 + zlib.MAX_WBITS


class TooLarge(Refused):
    """More than one message may hold."""

    def __init__(self, detail: str) -> None:
        super().__init__("message_too_long", detail)


def inflated(body: bytes, encoding: str) -> bytes:
    """A body without its Content-Encoding. Raises Refused where it has not what it was said to have."""
    if encoding not in ENCODINGS:
        raise Refused("wrong_format", f"Content-Encoding is {encoding[:40]!r}; Wattfall reads gzip")
    if encoding != "gzip":
        return body
    inflate = zlib.decompressobj(_GZIP)
    try:
        found = inflate.decompress(body, LARGEST + 1)
    except zlib.error as error:
        raise Refused("wrong_format", f"this is no gzip: {error}") from error
    if len(found) > LARGEST:
        raise TooLarge(f"inflated it is more than {LARGEST} bytes")
    if not inflate.eof or inflate.unused_data:
        raise Refused("wrong_format", "the gzip is cut off, or goes on after its end")
    return found
