"""Finding devices by a part of what people know of them: terms in an index, looked up by how they begin. Pure.

A term is a text without case, accents, spaces and punctuation. A name, an id or a postcode gives one from each of its
words on, to its end (`12acaciaroad`, `acaciaroad`, `road`), so that each word and each phrase is the beginning of one.
What people know by its end (an id, a serial number, a meter point) is there backwards too, after a `<`. The terms
`=HOUSEHOLD=` are for `household_devices`; nobody can type one.

The index may hold more than there is, never less: what it says is checked against the registry before it is said.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

from aggregator.documents import Device

LEAST = 2  # characters typed; with fewer nothing is looked up
MAX_TERM = 64  # characters
MAX_TEXT = 200  # characters typed that are looked at
MAX_WORDS = 8
COMMON = 5000  # terms of one word; of a commoner one, beside others, only the first are seen
CHECKED = 300  # devices at most, one by one, where one of the words is common
MASK = "•"

_BREAK = re.compile(r"[\W_]+")

Candidates = Callable[[str], Iterable[str]]  # how terms begin -> device ids in the order of their terms, lazily
Known = Callable[[list[str]], Iterable[Device]]  # ids -> those devices that there are, in the order asked


def normalised(text: str) -> str:
    """`text` without case, accents, spaces and punctuation: `SW1A 1AA` is `sw1a1aa`."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text).casefold()))[:MAX_TERM]


def terms(device: Device) -> frozenset[str]:
    """All by which a device is found."""
    ends = (device.device_id, device.serial, device.meter_point)
    whole = (*ends, device.household, device.name, device.postcode)
    found = {term for text in whole for term in _tails(text)}
    found |= {f"<{term[::-1]}" for text in ends if (term := normalised(text))}
    return frozenset(found | ({household_term(device.household)} if device.household else set()))


def household_term(household: str) -> str:
    """The term of every device of a household, and of no other household's."""
    return f"={household}="


def masked(meter_point: str) -> str:
    """A meter point number as it may be shown in a list: its last 4 characters, of at most half of it."""
    size = len(meter_point)
    shown = meter_point[size - min(4, size // 2) :]
    return f"{MASK * 4} {MASK * 4} {shown}".rstrip() if meter_point else ""


def found(text: str, limit: int, candidates: Candidates, known: Known) -> list[str]:
    """The ids of the devices that a text finds, at most `limit`: those of the phrase, then those of all its words."""
    words = _words(text)
    if sum(map(len, words)) < LEAST or limit < 1:
        return []
    phrase = normalised("".join(words))
    hits = dict.fromkeys(islice(_matching(_look(phrase, candidates), [phrase], limit, known), limit))
    if len(words) > 1 and len(hits) < limit:
        ids = (one for one in _in_all(words, candidates) if one not in hits)
        hits |= dict.fromkeys(islice(_matching(ids, words, limit, known), limit - len(hits)))
    return list(hits)


def of_household(household: str, candidates: Candidates, known: Known) -> list[str]:
    """The ids of a household's devices, in order."""
    if not household or not household.isprintable():
        return []
    ids = sorted({*candidates(household_term(household))})
    return [device.device_id for device in known(ids) if device.household == household]


def _tails(text: str) -> Iterator[str]:
    words = [word for word in map(normalised, _BREAK.split(text)) if word]
    for first in range(min(len(words), MAX_WORDS)):
        yield "".join(words[first:])[:MAX_TERM]


def _words(text: str) -> list[str]:
    return [word for word in map(normalised, text[:MAX_TEXT].split()) if word][:MAX_WORDS]


def _look(word: str, candidates: Candidates) -> Iterable[str]:
    """Devices with a term that begins with `word`, then those with one that ends with it; some twice."""
    return chain(candidates(word), candidates(f"<{word[::-1]}"))


def _in_all(words: list[str], candidates: Candidates) -> list[str]:
    """Devices that may have all the words, in the order of the rarest."""
    looks = [[*islice(_look(word, candidates), COMMON)] for word in words if len(word) >= LEAST]
    looks.sort(key=len)
    whole = [set(ids) for ids in looks if len(ids) < COMMON] or [set(ids) for ids in looks]
    return [device_id for device_id in (looks[0] if looks else []) if all(device_id in ids for ids in whole)]


def _matching(ids: Iterable[str], words: list[str], page: int, known: Known) -> Iterator[str]:
    """Those that the registry says have all the words, a page at a time; each once."""
    left = islice(_once(ids), CHECKED)
    while some := list(islice(left, page)):
        yield from (device.device_id for device in known(some) if _has(terms(device), words))


def _once(ids: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for one in ids:
        if one not in seen:
            seen.add(one)
            yield one


def _has(of_device: Iterable[str], words: list[str]) -> bool:
    return all(any(term.startswith((word, f"<{word[::-1]}")) for term in of_device) for word in words)
