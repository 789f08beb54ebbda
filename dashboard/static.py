"""Where the stylesheet and its companions are, and their addresses."""

import re
from pathlib import Path

_NAME = r"[\w.-]{1,100}"  # a file in the folder itself, with a name that every file system takes
_LINK = re.compile(rf'(?<=")/assets/({_NAME})(?=")')


def folder() -> Path:
    """Beside the packages in a checkout, inside this one when installed."""
    packaged = Path(__file__).parent / "assets"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "assets"


def url(name: str) -> str:
    """The address of an asset as it is now, written as Dash writes it: another content, another address."""
    return f"/assets/{name}?m={(folder() / name).stat().st_mtime}"


def is_current(address: str) -> bool:
    """Whether an address with a query is that of an asset as it is now."""
    path, _, stamp = address.removeprefix("/assets/").partition("?m=")
    file = folder() / path
    return bool(re.fullmatch(_NAME, path)) and file.is_file() and stamp == str(file.stat().st_mtime)


def fingerprinted(html: str) -> str:
    """A page whose links to assets name their present content."""
    return _LINK.sub(lambda link: url(link[1]), html)
