"""By what devices are found, on DynamoDB: an item a term and device in `records`, kept in step with `devices`.

Beside a term the item has all the others of its device (`v`). So of devices with one word the endpoint itself picks
those with the others too, and what has to be read is what begins with the rarest word.

A put takes several calls, and any of them may be the last. So the item of a device says in `o` of which terms it is
not sure whether they are in the index, from the same write on that changes its fields, until they are set right; the
next put of the device sets right what a former one has left. `f` says that all other terms are in the index: of a
device of a former version none is, or none with others beside it. Each put adds a mark of its own to `o`, and clears
`o` only if nobody has added anything since; otherwise it sets right once more, by what the device is then.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from secrets import SystemRandom, token_hex
from typing import Any

from aggregator.core.documents import Device, check_labels
from aggregator.core.errors import Damaged, StoreAway
from aggregator.store import search
from aggregator.store.dynamodb import dynamo_client, items
from aggregator.store.dynamodb.concurrent_steps import TRIES
from aggregator.store.dynamodb.document_items import device_update
from aggregator.store.dynamodb.dynamo_client import ConditionFailed, DynamoClient
from aggregator.store.dynamodb.items import Item
from aggregator.store.dynamodb.read_view import Reader, intact
from aggregator.store.port import INDEX

_MARK = "!"  # no term begins so
_CHANCE, _PAUSE_S, _LONGEST_S = SystemRandom(), 0.02, 1.0  # two that change a device at once go on at different times
_PAGES = (50, 1000)  # terms read at once: at first, and of words so common that it takes more
_PAGES_OF_WORDS = (100, 400, 2000)  # the same where there are several words; the last of the longest word alone
_FORM = items.number(2)  # of the items of terms; 1 had nothing beside them

SideBySide = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], list[Any]]  # the answers of a call to each


def in_turn(work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> list[Any]:
    """One after the other, for who only writes."""
    return [work(*job) for job in jobs]


@dataclass(slots=True)
class _Look:
    """How far the terms that begin in one way have been read."""

    request: dict[str, Any]
    found: list[str] = field(default_factory=list)
    is_complete: bool = False


class Index:
    """The devices of one store, as they are written and found."""

    def __init__(self, client: DynamoClient, prefix: str, reader: Reader, side_by_side: SideBySide = in_turn) -> None:
        self._client, self._reader, self._side_by_side = client, reader, side_by_side
        self._devices, self._records = f"{prefix}-devices", f"{prefix}-records"

    def put(self, device: Device) -> None:
        """Add or replace a device; registers that it has ever reported stay, two that add one each lose none."""
        before = self._item(check_labels(device).device_id)
        unsure = _unsure(before, search.terms(device))
        mark = _MARK + token_hex(6)
        after = self._update(device.device_id, device_update(device, {*unsure, mark} if unsure else ()))
        if unsure:
            self._set_right(after, mark)

    def put_missing(self) -> int:
        """Put the devices that are not in the index yet, or not wholly. Returns how many."""
        missing = (item for item in self._reader.scan("devices") if item.get("f") != _FORM or "o" in item)
        devices = [device for item in missing if (device := _device(item))]
        for device in devices:
            self.put(device)
        return len(devices)

    def candidates(self, prefix: str, *, is_consistent: bool) -> Iterator[str]:
        """Devices by their terms that begin with `prefix`."""
        look, size = self._look(prefix, (), is_consistent=is_consistent), _PAGES[0]
        while not look.is_complete:
            yield from self._read(look, size)
            size = _PAGES[1]

    def having(self, words: list[str], *, is_consistent: bool) -> Iterator[str]:
        """Devices that have all the words, until those of one word have all been seen, or enough of the longest."""
        looks = {
            word: [
                self._look(prefix, [one for one in words if one != word], is_consistent=is_consistent)
                for prefix in search.prefixes(word)
            ]
            for word in words
            if len(word) >= search.LEAST
        }
        longest = {word: looks[word] for word in sorted(looks, key=len)[-1:]}
        for size in _PAGES_OF_WORDS:
            asked = longest if size == _PAGES_OF_WORDS[-1] else looks
            left = [look for both in asked.values() for look in both if not look.is_complete]
            pages = self._side_by_side(self._read, [(look, size) for look in left])
            whole = next((both for both in looks.values() if all(look.is_complete for look in both)), None)
            yield from chain.from_iterable([look.found for look in whole] if whole else pages)
            if whole:
                return

    def _look(self, prefix: str, others: Sequence[str], *, is_consistent: bool) -> _Look:
        values = {":k": items.text(_collection(prefix)), ":s": items.text(prefix)}
        request: dict[str, Any] = {
            "TableName": self._records,
            "KeyConditionExpression": "k = :k AND begins_with(s, :s)",
            "ProjectionExpression": "s",
            "ExpressionAttributeValues": values,
            "ConsistentRead": is_consistent,
        }
        if others:
            values |= {f":b{n}": items.text(f" {word}") for n, word in enumerate(others)}
            values |= {f":e{n}": items.text(f"{word} ") for n, word in enumerate(others)}
            each = (f"(contains(v, :b{n}) OR contains(v, :e{n}))" for n in range(len(others)))
            request["FilterExpression"] = f"attribute_not_exists(v) OR {' AND '.join(each)}"
        return _Look(request)

    def _read(self, look: _Look, size: int) -> list[str]:
        """The devices of the next so many terms."""
        answer = self._client.call("query", **look.request, Limit=size)
        look.is_complete = "LastEvaluatedKey" not in answer
        if not look.is_complete:
            look.request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        page = [item["s"]["S"].rsplit(" ", 1)[1] for item in answer["Items"]]
        look.found += page
        return page

    def known(self, device_ids: list[str], *, is_consistent: bool) -> list[Device]:
        """The devices that there are, in the order asked."""
        keys = [{"d": items.text(device_id)} for device_id in device_ids]
        found = dynamo_client.read_items(self._client, self._devices, keys, is_consistent=is_consistent)
        devices = {device.device_id: device for item in found if (device := _device(item))}
        return [devices[device_id] for device_id in device_ids if device_id in devices]

    def _set_right(self, item: Item, mark: str) -> None:
        """Write the terms that are unsure; again until nobody has changed the device meanwhile. Raises StoreAway.

        The loop is its own: it compares the device's item and sets many others, none of which is a record.
        """
        device_id = item["d"]["S"]
        for number in range(TRIES):
            wanted, unsure = _terms(item), _noted(item)
            puts = [{"PutRequest": {"Item": _entry(term, device_id, wanted)}} for term in sorted(unsure & wanted)]
            deletes = [{"DeleteRequest": {"Key": _key(term, device_id)}} for term in sorted(unsure - wanted)]
            dynamo_client.write_items(self._client, self._records, [*puts, *deletes])
            if self._is_settled(device_id, mark, len(item["o"]["SS"])):
                return
            time.sleep(_CHANCE.uniform(0, min(_PAUSE_S * 2**number, _LONGEST_S)))
            mark = _MARK + token_hex(6)
            again = {"UpdateExpression": "ADD o :o", "ExpressionAttributeValues": {":o": {"SS": [*unsure, mark]}}}
            item = self._update(device_id, again)
        raise StoreAway(f"{device_id} was changed by others {TRIES} times in a row")

    def _is_settled(self, device_id: str, mark: str, size: int) -> bool:
        """Note that nothing is unsure any more, if nobody has added anything to it."""
        try:
            self._client.call(
                "update_item",
                TableName=self._devices,
                Key={"d": items.text(device_id)},
                UpdateExpression="SET f = :f REMOVE o",
                ConditionExpression="contains(o, :mark) AND size(o) = :size",
                ExpressionAttributeValues={
                    ":f": _FORM,
                    ":mark": items.text(mark),
                    ":size": items.number(size),
                },
            )
        except ConditionFailed:
            return False
        return True

    def _update(self, device_id: str, request: Mapping[str, object]) -> Item:
        key = {"d": items.text(device_id)}
        answer = self._client.call("update_item", TableName=self._devices, Key=key, ReturnValues="ALL_NEW", **request)
        item: Item = answer["Attributes"]
        return item

    def _item(self, device_id: str) -> Item:
        key = {"d": items.text(device_id)}
        item: Item = self._client.call("get_item", TableName=self._devices, Key=key, ConsistentRead=True).get(
            "Item", {}
        )
        return item


def _unsure(before: Item, wanted: frozenset[str]) -> frozenset[str]:
    """The terms of which it is not known whether the index has what it should, once the device has the wanted ones."""
    stored, noted = _terms(before), _noted(before)
    is_same = before.get("f") == _FORM and search.neighbours(stored) == search.neighbours(wanted)
    sure = stored - noted if is_same else frozenset()
    return (stored | noted | wanted) - (sure & wanted)


def _terms(item: Item) -> frozenset[str]:
    device = _device(item)
    return search.terms(device) if device else frozenset()


def _noted(item: Item) -> frozenset[str]:
    return frozenset(term for term in (item["o"]["SS"] if "o" in item else ()) if not term.startswith(_MARK))


def _device(item: Item) -> Device | None:
    """The device of an item; None where there is none, or it cannot be read until it is put again."""
    try:
        return intact(items.unpack_device, item) if "z" in item else None
    except Damaged:
        return None


def _entry(term: str, device_id: str, of_device: frozenset[str]) -> Item:
    return _key(term, device_id) | ({} if term.startswith("=") else {"v": items.text(search.neighbours(of_device))})


def _key(term: str, device_id: str) -> Item:
    return {"k": items.text(_collection(term)), "s": items.text(f"{term} {device_id}")}


def _collection(term: str) -> str:
    """Where terms that begin like this one are: a collection for two letters, for each household one of its own."""
    return INDEX + (term if term.startswith("=") else term[: search.LEAST + term.startswith("<")])
