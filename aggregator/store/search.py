"""Search for devices by a part of their labels, with an index of terms by prefix. Pure.

A term is a text without case, accents, spaces and punctuation. A label gives one term for each of its words, from the
word to the end of the label (`12acaciaroad`, `acaciaroad`, `road`). Thus each word and each phrase is a prefix of a
term. People also know an id or a serial number by its end, so these have a reversed term after `<`. Lists mask a meter
point, so nobody can find it digit by digit: only the whole number, and the end that lists show, are terms.
`household_devices` uses the terms `=HOUSEHOLD=`; nobody can type one.

The index may hold outdated terms but lacks none, so each match is checked against the registry. For several words
each store has its own method to find the devices that match all of them (`Having`).
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, islice

from aggregator.core.documents import LABELS, Device
from aggregator.core.errors import ConfigurationError, Phrase, shown
from aggregator.core.readings import SECOND_METERS, sender_of
from aggregator.store.occupancies import households

LEAST = 2  # characters of a search; a shorter text matches nothing
LEAST_NUMBER = 8  # characters of a whole meter point number
MAX_TERM = 64  # characters
MAX_TEXT = 200  # characters of a search; the rest is ignored
MAX_WORDS = 8
COMMON = 5000  # terms read per word, if there are several words
CHECKED = 300  # most candidates checked against the registry
MASK = "•"

_BREAK = re.compile(r"[\W_]+")

Candidates = Callable[[str], Iterable[str]]  # prefix -> device ids by term, lazily
Having = Callable[[list[str]], Iterable[str]]  # words -> device ids that may match all, the likeliest first
Lookup = Callable[[list[str]], Iterable[Device]]  # ids -> the existing devices, in the same order


def check_labels(device: Device) -> Device:
    """Return `device` if its labels are valid; raise ConfigurationError otherwise."""
    assert device.seen is None, "a device as a household sees it is not what the registry stores"
    for label, text in device.labels.items():
        if len(text) > LABELS[label] or not text.isprintable() or text != text.strip():
            said = Phrase(
                "{label} is {value}; it has up to {most} printable characters, and no space at its beginning or end",
                label=label,
                value=shown(text),
                most=LABELS[label],
            )
            raise ConfigurationError(said)
    return device


def normalised(text: str) -> str:
    """Return `text` without case, accents, spaces and punctuation: `SW1A 1AA` is `sw1a1aa`."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text).casefold()))[:MAX_TERM]


def terms(device: Device) -> frozenset[str]:
    """Return the search terms of a device, from what the registry stores of it."""
    device = device.own
    ends = (device.device_id, device.serial, _shown_end(device.meter_point))
    whole = (*ends, device.household, device.name, device.postcode)
    found = {term for text in whole for term in _tails(text)}
    found |= {f"<{term[::-1]}" for text in ends if (term := normalised(text))}
    found |= {_whole(term)} if (term := normalised(device.meter_point)) else set()
    return frozenset(found | set(map(household_term, households(device))))


def neighbours(of_device: Iterable[str]) -> str:
    """Join the forward terms of a device with spaces, so that ` WORD` finds a prefix and `WORD ` an end."""
    return f" {' '.join(sorted(term for term in of_device if term[0].isalnum()))} "


def household_term(household: str) -> str:
    """Return the term that all devices of a household share, and no other device has."""
    return f"={household}="


def masked(meter_point: str) -> str:
    """Return a meter point number for lists: only its last 4 characters, and never more than half of it."""
    return f"{MASK * 4} {MASK * 4} {_shown_end(meter_point)}".rstrip() if meter_point else ""


def _shown_end(meter_point: str) -> str:
    size = len(meter_point)
    return meter_point[size - min(4, size // 2) :]


def _whole(number: str) -> str:
    """Return the term of a whole number, which no part of it begins."""
    return f"#{number}#"


def find_devices(text: str, limit: int, candidates: Candidates, having: Having, lookup: Lookup) -> list[str]:
    """Return the ids of at most `limit` devices: matches of the whole phrase, then matches of all words."""
    words = _words(text)
    if sum(map(len, words)) < LEAST or limit < 1:
        return []
    phrase = normalised("".join(words))
    ids = chain(_look(phrase, candidates), _ids_having(words, having))
    return list(islice(_matching(ids, ([phrase], words), limit, lookup), limit))


def household_devices(household: str, candidates: Candidates, lookup: Lookup) -> list[str]:
    """Return the ids of the devices that are or were a household's, and of their second meters, in order."""
    if not household or not household.isprintable():
        return []
    own = {sender_of(device_id) for device_id in candidates(household_term(household))}
    ids = sorted(f"{device_id}{suffix}" for device_id in own for suffix in ("", *SECOND_METERS))
    return [device.device_id for device in lookup(ids) if household in households(device)]


def _tails(text: str) -> Iterator[str]:
    words = [word for word in map(normalised, _BREAK.split(text)) if word]
    for first in range(min(len(words), MAX_WORDS)):
        yield "".join(words[first:])[:MAX_TERM]


def _words(text: str) -> list[str]:
    return [word for word in map(normalised, text[:MAX_TEXT].split()) if word][:MAX_WORDS]


def prefixes(word: str) -> tuple[str, ...]:
    """Return the prefixes of terms that begin with a word, of reversed ones that end with it, and of a whole number."""
    is_number = len(word) >= LEAST_NUMBER and any(map(str.isdigit, word))
    return (word, f"<{word[::-1]}", *([_whole(word)] if is_number else []))


def having_all(words: list[str], candidates: Candidates) -> Iterator[str]:
    """Yield devices that may match all words, by the terms of the rarest word. For an index with cheap reads."""
    looks = [[*islice(_look(word, candidates), COMMON)] for word in words if len(word) >= LEAST]
    looks.sort(key=len)
    whole = [set(ids) for ids in looks if len(ids) < COMMON] or [set(ids) for ids in looks]
    yield from (device_id for device_id in (looks[0] if looks else []) if all(device_id in ids for ids in whole))


def _look(word: str, candidates: Candidates) -> Iterable[str]:
    """Return devices with a term that begins with `word`, that ends with it, or that is it; may repeat."""
    return chain.from_iterable(map(candidates, prefixes(word)))


def _ids_having(words: list[str], having: Having) -> Iterator[str]:
    """Search by words, lazily: the search needs it only after too few matches of the phrase."""
    if len(words) > 1:
        yield from having(words)


def _matching(ids: Iterable[str], wanted: Collection[list[str]], page: int, lookup: Lookup) -> Iterator[str]:
    """Yield each device once whose registry entry has all words of one list in `wanted`. Reads a page at a time."""
    left = islice(_once(ids), CHECKED)
    while some := list(islice(left, page)):
        for device in lookup(some):
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
