"""What somebody else has sent, so that it can be looked at without harm: as it came, and set out. Pure.

Characters that cannot be seen, or that change how others are drawn, are written as escapes. What is a page's own
business, `<` and `&`, is the template's to escape.
"""

import orjson

LONGEST_PRETTY = 16_384  # characters; two kilobytes of brackets set out would be a megabyte


def shown(payload: str) -> str:
    """A payload as it came, every character of it visible; line ends stay."""
    return "".join(letter if letter.isprintable() or letter == "\n" else _escaped(letter) for letter in payload)


def pretty(payload: str) -> str:
    """A payload set out over lines if it is JSON; empty if it is not, or would be too long."""
    try:
        set_out = orjson.dumps(orjson.loads(payload), option=orjson.OPT_INDENT_2).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return ""
    return shown(set_out) if len(set_out) <= LONGEST_PRETTY else ""


def _escaped(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
