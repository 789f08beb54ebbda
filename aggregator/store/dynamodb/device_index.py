"""Items of devices on DynamoDB, and their search index: one item in `records` per term and device.

An item also holds all other terms of its device (`v`). DynamoDB therefore filters the items of one word by the other
words, and a search reads only the items of the rarest word.

A put takes several calls and may stop after any of them. The write that changes a device therefore also adds the
pending terms, whose index items may be wrong, to the device's set `o`. The put then repairs these items and deletes
`o`; after a crash the next put of the device repairs them. `f` is the format of the device's other index items. Each
put adds its own mark to `o` and deletes `o` only if nobody has added to it since. Otherwise it repairs again, from
the device's current fields.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from secrets import SystemRandom, token_hex
from typing import Any

from aggregator.core.documents import Device
from aggregator.core.errors import Damaged, StoreAway
from aggregator.core.readings import sender_of
from aggregator.core.registers import CHANNELS
from aggregator.store import search
from aggregator.store.dynamodb import dynamo_client, items
from aggregator.store.dynamodb.concurrent_steps import TRIES
from aggregator.store.dynamodb.dynamo_client import ConditionFailed, DynamoClient
from aggregator.store.dynamodb.items import Item
from aggregator.store.dynamodb.read_view import Reader, intact
from aggregator.store.occupancies import at_home
from aggregator.store.stored_records import DIFFERS, INDEX, crc_of

LABEL_NAMES = {"household": "lh", "name": "ln", "serial": "ls", "meter_point": "lm", "postcode": "lp"}
_OPTIONAL = (*"tkgncvauyqe", *LABEL_NAMES.values())  # attributes of a device that it may lack
_CHECKED = {"z", "w", *_OPTIONAL}
_MARK = "!"  # begins a mark, but no term
_CHANCE, _PAUSE_S, _LONGEST_S = SystemRandom(), 0.02, 1.0  # random pauses separate competing writers
_PAGES = (50, 1000)  # terms per read: the first read, and later reads
_PAGES_OF_WORDS = (100, 400, 2000)  # terms per read with several words; the last size only for the longest word
_FORM = items.number(3)  # format of the index items; format 1 had no `v`, 2 meter points digit by digit

SideBySide = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], list[Any]]  # function, arguments -> answers


def in_turn(work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Run jobs one after the other; enough for a process that only writes."""
    return [work(*job) for job in jobs]


@dataclass(slots=True)
class _Look:
    """The progress of reading the terms with one prefix."""

    request: dict[str, Any]
    found: list[str] = field(default_factory=list)
    is_complete: bool = False


class Index:
    """The search index of one store, and the writes of its devices."""

    def __init__(self, client: DynamoClient, prefix: str, reader: Reader, side_by_side: SideBySide = in_turn) -> None:
        self._client, self._reader, self._side_by_side = client, reader, side_by_side
        self._devices, self._records = f"{prefix}-devices", f"{prefix}-records"

    def put(self, device: Device) -> None:
        """Add or replace a device. Reported registers accumulate, also with concurrent writers."""
        before = self._item(search.check_labels(device).device_id)
        pending = _pending_after(before, search.terms(device))
        mark = _MARK + token_hex(6)
        after = self._update(device.device_id, device_update(device, {*pending, mark} if pending else ()))
        if pending:
            self._repair(after, mark)

    def put_missing(self) -> int:
        """Index the devices that are missing or incomplete in the index. Return their number."""
        missing = (item for item in self._reader.scan("devices") if item.get("f") != _FORM or "o" in item)
        devices = [device for item in missing if (device := _device(item))]
        for device in devices:
            self.put(device)
        return len(devices)

    def candidates(self, prefix: str, *, is_consistent: bool) -> Iterator[str]:
        """Yield the devices that have a term with this prefix, by term."""
        look, size = self._look(prefix, (), is_consistent=is_consistent), _PAGES[0]
        while not look.is_complete:
            yield from self._read(look, size)
            size = _PAGES[1]

    def having(self, words: list[str], *, is_consistent: bool) -> Iterator[str]:
        """Yield devices that match all words, until one word is read completely, or enough of the longest word."""
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
        """Read the next `size` terms and return their devices."""
        answer = self._client.call("query", **look.request, Limit=size)
        look.is_complete = "LastEvaluatedKey" not in answer
        if not look.is_complete:
            look.request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        page = [item["s"]["S"].rsplit(" ", 1)[1] for item in answer["Items"]]
        look.found += page
        return page

    def lookup(self, device_ids: list[str], *, is_consistent: bool) -> list[Device]:
        """Return the existing devices, in the order of `device_ids`."""
        wanted = dict.fromkeys([*device_ids, *map(sender_of, device_ids)])
        keys = [{"d": items.text(device_id)} for device_id in wanted]
        found = dynamo_client.read_items(self._client, self._devices, keys, is_consistent=is_consistent)
        devices = {device.device_id: device for item in found if (device := _device(item))}
        return [at_home(devices[one], devices.get) for one in device_ids if one in devices]

    def _repair(self, item: Item, mark: str) -> None:
        """Write the pending terms; repeat until nobody has changed the device meanwhile. Raises StoreAway.

        `update_record` does not fit: this loop compares the device's item and writes many index items.
        """
        device_id = item["d"]["S"]
        for number in range(TRIES):
            wanted, pending = _terms(item), _pending_terms(item)
            puts = [{"PutRequest": {"Item": _entry(term, device_id, wanted)}} for term in sorted(pending & wanted)]
            deletes = [{"DeleteRequest": {"Key": _key(term, device_id)}} for term in sorted(pending - wanted)]
            dynamo_client.write_items(self._client, self._records, [*puts, *deletes])
            if self._clear_pending(device_id, mark, len(item["o"]["SS"])):
                return
            time.sleep(_CHANCE.uniform(0, min(_PAUSE_S * 2**number, _LONGEST_S)))
            mark = _MARK + token_hex(6)
            again = {"UpdateExpression": "ADD o :o", "ExpressionAttributeValues": {":o": {"SS": [*pending, mark]}}}
            item = self._update(device_id, again)
        raise StoreAway(f"other writers changed {device_id} {TRIES} times in a row; try again")

    def _clear_pending(self, device_id: str, mark: str, size: int) -> bool:
        """Delete the pending terms if nobody has added to them; return whether they were deleted."""
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


def _pending_after(before: Item, wanted: frozenset[str]) -> frozenset[str]:
    """Return the terms whose index items may be wrong after the device gets the wanted terms."""
    stored, noted = _terms(before), _pending_terms(before)
    is_same = before.get("f") == _FORM and search.neighbours(stored) == search.neighbours(wanted)
    sure = stored - noted if is_same else frozenset()
    return (stored | noted | wanted) - (sure & wanted)


def _terms(item: Item) -> frozenset[str]:
    device = _device(item)
    return search.terms(device) if device else frozenset()


def _pending_terms(item: Item) -> frozenset[str]:
    return frozenset(term for term in (item["o"]["SS"] if "o" in item else ()) if not term.startswith(_MARK))


def _device(item: Item) -> Device | None:
    """Decode an item's device; None for an empty or damaged item, which the next put replaces."""
    try:
        return intact(unpack_device, item) if "z" in item else None
    except Damaged:
        return None


def _entry(term: str, device_id: str, of_device: frozenset[str]) -> Item:
    return _key(term, device_id) | ({} if term.startswith("=") else {"v": items.text(search.neighbours(of_device))})


def _key(term: str, device_id: str) -> Item:
    return {"k": items.text(_collection(term)), "s": items.text(f"{term} {device_id}")}


def _collection(term: str) -> str:
    """Return a term's collection: one for each two first letters, and one for each household."""
    return INDEX + (term if term.startswith("=") else term[: search.LEAST + (term[0] in "<#")])


# Items of devices


def device_update(device: Device, unsure: Collection[str] = ()) -> dict[str, Any]:
    """Return the arguments of a device's update; registers are only added.

    `unsure` are search terms whose index entries may be missing, see `device_index`.
    """
    device = device.own
    labels = {LABEL_NAMES[field]: items.text(text) for field, text in device.labels.items()}
    sets = {"z": items.text(device.timezone), "w": items.number(device.max_power_w), **labels}
    sets |= {"t": items.text(device.tariff)} if device.tariff else {}
    sets |= {"g": items.text(device.kind)} if device.kind != "electricity" else {}
    sets |= {"n": items.text(device.netting)} if device.netting != "phase" else {}
    sets |= {"v": items.number(device.longest_interval_s)} if device.longest_interval_s else {}
    sets |= {"c": items.text(device.conversion)} if device.conversion else {}
    sets |= {"a": items.text("y")} if device.stamp_on_arrival else {}
    sets |= {"u": items.text("y")} if device.is_total_import else {}
    sets |= {"k": items.text(device.exchange_overrides)} if device.exchange_overrides else {}
    sets |= {"y": items.text(device.occupied_from)} if device.occupied_from else {}
    sets |= {"q": items.text(device.former)} if device.former else {}
    sets |= {"e": items.text(device.erased)} if device.erased else {}
    sets |= {"kz": items.check_value(*_fields(device.device_id, sets))}
    adds = {"r": {"SS": [_marked(device.device_id, one) for one in device.registers]}} if device.registers else {}
    adds |= {"o": {"SS": sorted(unsure)}} if unsure else {}
    gone = [name for name in _OPTIONAL if name not in sets]
    expression = "SET " + ", ".join(f"{name} = :{name}" for name in sets)
    expression += " REMOVE " + ", ".join(gone) if gone else ""
    expression += " ADD " + ", ".join(f"{name} :{name}" for name in adds) if adds else ""
    values = {f":{name}": value for name, value in (sets | adds).items()}
    return {"UpdateExpression": expression, "ExpressionAttributeValues": values}


def _fields(device_id: str, item: Item) -> list[int | str]:
    """Return what the check value of a device is of: its registers are added one by one, each with its own."""
    names = sorted(_CHECKED & item.keys())
    return [device_id, *chain.from_iterable((name, items.native(item[name])) for name in names)]


def _marked(device_id: str, register: str) -> str:
    """Return a register as the set of a device has it: with its check value."""
    return f"{register} {crc_of(device_id, register)}"


def _registers(item: Item) -> tuple[str, ...]:
    """Decode the registers of a device; older items have them without check values. Raises ValueError."""
    found = {one: one.partition(" ")[0] for one in item["r"]["SS"]} if "r" in item else {}
    for one, register in found.items():
        if register not in CHANNELS or one not in (register, _marked(item["d"]["S"], register)):
            raise ValueError(DIFFERS)
    return tuple(sorted(set(found.values())))


def unpack_cutoff(item: Item) -> int:
    """Decode the retention cutoff of a device, UTC seconds; 0 without one. Raises ValueError."""
    at = int(item["h"]["N"]) if "h" in item else 0
    items.compare(item, "kh", item["d"]["S"], at)
    return at


def unpack_device(item: Item) -> Device:
    """Decode a device. Raises ValueError where it differs from its check value."""
    items.compare(item, "kz", *_fields(item["d"]["S"], item))
    tariff = item["t"]["S"] if "t" in item else ""
    labels = {field: item[name]["S"] for field, name in LABEL_NAMES.items() if name in item}
    return Device(
        item["d"]["S"],
        item["z"]["S"],
        int(item["w"]["N"]),
        _registers(item),
        tariff,
        **labels,
        exchange_overrides=item["k"]["S"] if "k" in item else "",
        kind=item["g"]["S"] if "g" in item else "electricity",
        netting=item["n"]["S"] if "n" in item else "phase",
        longest_interval_s=int(item["v"]["N"]) if "v" in item else 0,
        conversion=item["c"]["S"] if "c" in item else "",
        stamp_on_arrival="a" in item,
        is_total_import="u" in item,
        occupied_from=item["y"]["S"] if "y" in item else "",
        former=item["q"]["S"] if "q" in item else "",
        erased=item["e"]["S"] if "e" in item else "",
    )
