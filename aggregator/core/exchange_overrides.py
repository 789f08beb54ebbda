"""What people know about a meter that its readings do not tell: here it was exchanged, or here it was not. Pure.

An exchange at an instant is a seam between the last reading before it and the first at or after it: no energy lies
across it. No exchange means that the meter itself ran on from one to the other, however fast, also under another id.
A device keeps its marks as text, `1795000000+ 1795003600-`, in order of time: + for an exchange, - for none.
"""

from functools import lru_cache
from typing import NamedTuple


class Mark(NamedTuple):
    """What people know about an instant."""

    at: int  # UTC seconds
    is_exchange: bool


Marks = tuple[Mark, ...]


@lru_cache(maxsize=4096)
def read_marks(text: str) -> Marks:
    """Marks from their text."""
    return tuple(Mark(int(word[:-1]), word[-1] == "+") for word in text.split())


def marks_text(marks: Marks) -> str:
    """Marks as text, one an instant."""
    of_instant = dict(marks)
    return " ".join(f"{at}{'+' if of_instant[at] else '-'}" for at in sorted(of_instant))


def marked_between(marks: Marks, before: int, after: int) -> bool | None:
    """Whether the meter was exchanged between two readings: True, False, or None where nobody said."""
    said = [mark.is_exchange for mark in marks if before < mark.at <= after]
    return any(said) if said else None
