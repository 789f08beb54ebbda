"""Finding devices by a part of what people know of them: terms in an index, looked up by how they begin. Pure.

A term is a text without case, accents, spaces and punctuation. A name, an id or a postcode gives one from each of its
words on, to its end (`12acaciaroad`, `acaciaroad`, `road`), so that each word and each phrase is the beginning of one.
What people know by its end (an id, a serial number, a meter point) is there backwards too, after a `<`. The terms
`=HOUSEHOLD=` are for `household_devices`; nobody can type one.

The index may hold more than there is, never less: what it says is checked against the registry before it is said.
Where several words are typed it is asked for devices that have them all (`Having`): each store does so in its own way.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, islice

from aggregator.core.documents import Device

LEAST = 2  # characters typed; with fewer nothing is looked up
MAX_TERM = 64  # characters
MAX_TEXT = 200  # characters typed that are looked at
MAX_WORDS = 8
COMMON = 5000  # terms of one word; of a commoner one, beside others, only the first are seen
CHECKED = 300  # devices at most, one by one, where one of the words is common
MASK = "•"

_BREAK = re.compile(r"[\W_]+")

Candidates = Callable[[str], Iterable[str]]  # how terms begin -> device ids in the order of their terms, lazily
Having = Callable[[list[str]], Iterable[str]]  # words -> device ids that may have all of them, the likeliest first
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


def neighbours(of_device: Iterable[str]) -> str:
    """The terms of a device that are not backwards between spaces, in which ` WORD` and `WORD ` can be looked for."""
    return f" {' '.join(sorted(term for term in of_device if term[0].isalnum()))} "


def household_term(household: str) -> str:
    """The term of every device of a household, and of no other household's."""
    return f"={household}="


def masked(meter_point: str) -> str:
    """A meter point number as it may be shown in a list: its last 4 characters, of at most half of it."""
    size = len(meter_point)
    shown = meter_point[size - min(4, size // 2) :]
    return f"{MASK * 4} {MASK * 4} {shown}".rstrip() if meter_point else ""


def find_devices(text: str, limit: int, candidates: Candidates, having: Having, known: Known) -> list[str]:
    """The ids of the devices that a text finds, at most `limit`: those of the phrase, then those of all its words."""
    words = _words(text)
    if sum(map(len, words)) < LEAST or limit < 1:
        return []
    phrase = normalised("".join(words))
    ids = chain(_look(phrase, candidates), _having(words, having))
    return list(islice(_matching(ids, ([phrase], words), limit, known), limit))


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


def prefixes(word: str) -> tuple[str, str]:
    """How terms begin that have a word at their beginning, and those that have it at their end."""
    return word, f"<{word[::-1]}"


def in_all(words: list[str], candidates: Candidates) -> Iterator[str]:
    """Devices that may have all the words, in the order of the rarest: for an index that is read at little cost."""
    looks = [[*islice(_look(word, candidates), COMMON)] for word in words if len(word) >= LEAST]
    looks.sort(key=len)
    whole = [set(ids) for ids in looks if len(ids) < COMMON] or [set(ids) for ids in looks]
    yield from (device_id for device_id in (looks[0] if looks else []) if all(device_id in ids for ids in whole))


def _look(word: str, candidates: Candidates) -> Iterable[str]:
    """Devices with a term that begins with `word`, then those with one that ends with it; some twice."""
    return chain.from_iterable(map(candidates, prefixes(word)))


def _having(words: list[str], having: Having) -> Iterator[str]:
    """Asked for only where the phrase has not found enough."""
    if len(words) > 1:
        yield from having(words)


def _matching(ids: Iterable[str], wanted: Collection[list[str]], page: int, known: Known) -> Iterator[str]:
    """Those that the registry says have all of one of the `wanted`, a page at a time; each once."""
    left = islice(_once(ids), CHECKED)
    while some := list(islice(left, page)):
        for device in known(some):
            of_device = terms(device)
            if any(_has(of_device, words) for words in wanted):
                yield device.device_id


def _once(ids: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for one in ids:
        if one not in seen:
            seen.add(one)
            yield one


def _has(of_device: Iterable[str], words: list[str]) -> bool:
    return all(any(term.startswith(prefixes(word)) for term in of_device) for word in words)
