"""The check of the audit: it names each entry that is missing, changed, forged or not chained to the one before it.

A head that was kept outside the store (`wattfall audit --check HEAD`) also proves that nothing up to it was rewritten
or cut off. Without one, a cut tail goes unseen if the record of the head was put back to an older one as well.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain

from aggregator.core.errors import ConfigurationError, shown
from aggregator.core.periods import HOUR
from aggregator.store.collections import AUDIT_GRANTS, USERS, record_pages
from aggregator.store.port import Store
from aggregator.support.audit import GRANT_HOURS, LEDGER, Audit, Head, copies, head_of
from aggregator.support.audit_entry import FIRST, NO_KEY, Entry, parse_entry
from aggregator.support.audit_people import load_card

UNKNOWN_KEY = (
    "signed with a WATTFALL_SECRET that is not known here; set it, or name a former one in WATTFALL_OLD_SECRETS"
)


def parse_head(text: str) -> Head:
    """Parse a head as `wattfall audit --check` prints it. Raises ConfigurationError."""
    number, _, digest = text.strip().partition(":")
    if not (number.isascii() and number.isdigit() and len(digest) == len(FIRST) and digest.isalnum()):
        raise ConfigurationError(f"{shown(text)} is not a head as `wattfall audit --check` prints it, like 12:9f86...")
    return Head(int(number), 0, digest)


class AuditCheck:
    """One walk over the audit. `old_head` is a head from outside the store."""

    def __init__(self, audit: Audit, old_head: Head | None = None) -> None:
        self._audit, self._store, self._keys = audit, audit.store, audit.keys
        self._anchor = old_head or Head()
        self._last = Head()  # the last entry of the walk
        self._numbers: dict[str, set[str]] = defaultdict(set)  # collection of copies -> keys of its entries
        self._looks: dict[tuple[str, str], int] = {}  # person and device -> time of the last look-up
        self._people: dict[str, int] = {}  # pseudonym -> its first entry
        self._forgotten = set[str]()
        self._erased = set[str]()  # devices of which a household was erased
        self._without_reason: dict[str, int] = {}  # device -> its last entry that lost its reason
        self._signed = 0  # the last entry with a key

    def faults(self) -> Iterator[str]:
        """Yield a line for each fault."""
        noted = self._audit.head()
        for key, body in _records(self._store, LEDGER):
            entry = parse_entry(key, body)
            if entry is None:
                yield f"entry {key} cannot be read"
                self._last = Head(int(key), 0, "")
            else:
                yield from self._faults_of(entry, body, noted)
        yield from self._faults_of_end(noted)
        yield from self._faults_of_anchor()
        yield from self._faults_of_copies(noted)
        yield from self._faults_of_people()
        yield from self._faults_of_grants()
        for device_id, number in self._without_reason.items():
            if device_id not in self._erased:
                yield f"the reason of entry {number} was removed, and no entry tells of it"

    def _faults_of(self, entry: Entry, body: str, noted: Head) -> Iterator[str]:
        last = self._last
        if entry.number != last.number + 1:
            yield f"entries after {last.number} missing, up to {entry.number - 1}"
        elif last.hash and entry.previous != last.hash:
            yield f"entry {entry.number} does not follow the one before it"
        if not self._keys.knows(entry.key_id):
            if entry.key_id != last.key_id:
                yield f"the entries from {entry.number} on are {UNKNOWN_KEY}"
        elif not entry.is_intact(self._keys):
            yield f"entry {entry.number} was changed"
        if entry.number == self._anchor.number and entry.hash != self._anchor.hash:
            yield f"entry {entry.number} is not the one of the head that was given: the audit was rewritten"
        if entry.number <= noted.number:  # later entries get their copies from the next writer
            yield from self._missing_copies(entry, body)
        self._note(entry)

    def _note(self, entry: Entry) -> None:
        self._last = head_of(entry)
        self._signed = entry.number if entry.key_id != NO_KEY else self._signed
        self._people.setdefault(entry.person, entry.number)
        if entry.action == "look-up":
            self._looks[entry.person, entry.device_id] = entry.at
        if entry.action == "erase":
            self._erased.add(entry.device_id)
        if entry.seal and not entry.salt:
            self._without_reason[entry.device_id] = entry.number
        if entry.action == "forget":
            self._forgotten |= entry.details.keys()

    def _missing_copies(self, entry: Entry, body: str) -> Iterator[str]:
        for collection in copies(entry):
            self._numbers[collection].add(entry.key)
            if self._store.record(collection, entry.key) != body:
                yield f"entry {entry.number} is not the same on {collection}"

    def _faults_of_end(self, noted: Head) -> Iterator[str]:
        last = self._last
        if noted.number > last.number:
            yield f"entries after {last.number} missing, up to {noted.number}"
        elif noted.number == last.number and noted.hash != last.hash:
            yield f"entry {last.number} is not the one that was written"
        head = self._audit.head().number  # now: meanwhile others may have written
        if last.number > head + 1:  # a writer completes the entry before its own
            yield f"the head is set back to entry {head}, and the audit goes on to {last.number}"
        # An entry without a key is vouched for by the first signed one after it.
        if self._keys.present != NO_KEY and last.number > self._signed:
            yield f"the entries after {self._signed} are not signed: whoever writes the store can have made them"

    def _faults_of_anchor(self) -> Iterator[str]:
        if self._anchor.number > self._last.number:
            yield f"the audit ends at entry {self._last.number}, and had {self._anchor.number} when the head was noted"

    def _faults_of_copies(self, noted: Head) -> Iterator[str]:
        for collection, known in self._numbers.items():
            copies_now = [key for key, _ in _records(self._store, collection)]
            last = max(self._last.number, self._audit.head().number)  # a writer makes the copies, then the head
            for key in copies_now:
                if key not in known and not noted.number < int(key) <= last + 1:
                    yield f"{collection} has an entry {int(key)} that is not in the audit"

    def _faults_of_people(self) -> Iterator[str]:
        for pseudonym, number in self._people.items():
            if pseudonym not in self._forgotten and load_card(self._store, pseudonym) is None:
                yield f"the person of entry {number} was removed or changed, and no entry tells of it"

    def _faults_of_grants(self) -> Iterator[str]:
        cards = {pseudonym: load_card(self._store, pseudonym) for pseudonym in self._people}
        looks = dict[tuple[str, str], int]()
        for (pseudonym, device_id), at in self._looks.items():
            card = cards[pseudonym]
            whose = (card.user_id if card else "", device_id)
            looks[whose] = max(at, looks.get(whose, 0))
        for user_id, _ in _records(self._store, USERS.of()):
            for device_id, until in _records(self._store, AUDIT_GRANTS.of(user_id)):
                if int(until or 0) > looks.get((user_id, device_id), 0) + GRANT_HOURS * HOUR:
                    yield f"{user_id} may see {device_id} without an entry that says why"


def _records(store: Store, collection: str) -> Iterator[tuple[str, str]]:
    return chain.from_iterable(record_pages(store, collection, with_damaged=True))
