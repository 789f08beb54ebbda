"""The people behind the audit's pseudonyms. A forgotten person leaves the chain of entries as it is.

A pseudonym is the hash of a random salt, the user id, the e-mail address and the name. Only the card of a pseudonym
holds these, so nobody can put another person in its place, and without the card nobody can find the person again. A
new address or name makes a new pseudonym.

| collection | key | body |
|---|---|---|
| `audit/cards` | pseudonym | salt, user id, e-mail address, name |
| `audit/people` | user id, e-mail address | the pseudonyms of this person, the newest last |
"""

import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import NamedTuple

import orjson

from aggregator.store.collections import AUDIT_CARDS, AUDIT_PEOPLE, update_record
from aggregator.store.port import Store
from aggregator.support.audit_entry import Entry, Who

_CARDS, _PEOPLE = AUDIT_CARDS.of(), AUDIT_PEOPLE.of()
MOVED = "to household"  # the detail of an entry that tells where a device went
MOVED_FROM = "its first day"  # the detail beside it: the local day, where another household lived there before
NAMED_HOUSEHOLD = "household"  # the detail of an entry that is about one household, whoever lives at the home then
_NAMED = {"account", NAMED_HOUSEHOLD, MOVED}  # the details that name somebody by a pseudonym
_HOUSEHOLD = "household/"  # begins the id of a household among people


def household_id(household: str) -> str:
    """Return the id under which a household is known among the people of the audit."""
    return _HOUSEHOLD + household


class Card(NamedTuple):
    """What a pseudonym stands for."""

    salt: str
    user_id: str
    email: str
    name: str

    @property
    def pseudonym(self) -> str:
        """Return the pseudonym, to which the card is bound."""
        return sha256(orjson.dumps([*self])).hexdigest()[:32]


def pseudonym_of(store: Store, who: Who) -> str:
    """Return the pseudonym of a person as they are now; a new one where none fits."""
    for known in reversed(pseudonyms(store, who.user_id or who.email)):
        card = load_card(store, known)
        if card and card[1:] == (who.user_id, who.email, who.name):
            return known
    card = Card(secrets.token_hex(16), who.user_id, who.email, who.name)
    for one in who.ids:  # before the card, so that each card can be found and forgotten
        update_record(store, _PEOPLE, one, partial(_with, pseudonym=card.pseudonym))
    store.put_record(_CARDS, card.pseudonym, orjson.dumps([*card]).decode())
    return card.pseudonym


def _with(body: str | None, pseudonym: str) -> str:
    return orjson.dumps([*orjson.loads(body or "[]"), pseudonym]).decode()


def pseudonyms(store: Store, person: str) -> list[str]:
    """Return the pseudonyms of a person by user id or e-mail address, the newest last."""
    body = store.record(_PEOPLE, person.lower()) if person else None
    return list(orjson.loads(body)) if body else []


def load_card(store: Store, pseudonym: str) -> Card | None:
    """Return the card of a pseudonym; None where the person is forgotten, or the card is not the one that was made."""
    body = store.record(_CARDS, pseudonym)
    card = Card(*orjson.loads(body)) if body else None
    return card if card and card.pseudonym == pseudonym else None


def naming(store: Store) -> Callable[[Entry], Entry]:
    """Return a function that adds the people to entries; it reads each card once."""
    cards: dict[str, Card | None] = {}

    def card_of(pseudonym: str) -> Card | None:
        if pseudonym not in cards:
            cards[pseudonym] = load_card(store, pseudonym)
        return cards[pseudonym]

    def named(entry: Entry) -> Entry:
        card, details = card_of(entry.person), dict(entry.details)
        for name in _NAMED.intersection(details):
            known = card_of(details[name])
            details[name] = known.email or known.user_id.removeprefix(_HOUSEHOLD) if known else details[name]
        who = Who(card.user_id, card.email, entry.role, card.name) if card else entry.who
        return replace(entry, who=who, details=details)

    return named


def forget(store: Store, person: str) -> list[str]:
    """Destroy the cards of a person, and return their pseudonyms. What the entries say otherwise stays.

    An address keeps its other pseudonyms: those from before there was an account, or of another person who had it.
    """
    found = pseudonyms(store, person)
    for pseudonym in found:
        card = load_card(store, pseudonym)
        for one in Who(card.user_id, card.email, "").ids if card else ():
            left = update_record(store, _PEOPLE, one, partial(_without, pseudonym=pseudonym)).body
            if left == "[]":
                store.drop_record(_PEOPLE, one)
        store.drop_record(_CARDS, pseudonym)
    store.drop_record(_PEOPLE, person.lower())
    return found


def _without(body: str | None, pseudonym: str) -> str | None:
    return orjson.dumps([one for one in orjson.loads(body) if one != pseudonym]).decode() if body else None
