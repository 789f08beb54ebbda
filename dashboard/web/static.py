"""Where the stylesheet and its companions are, their addresses, and the two files that the page has joined of them."""

import re
from pathlib import Path
from zlib import crc32

from flask import Flask, Response

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
