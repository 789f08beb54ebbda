"""The steps of an erasure, and the proof that nothing is left. Each step is short, so that intake waits for none.

The registry forgets the household first: from then on evidence of the erased time is refused. Each step can be
repeated; an erasure that was stopped runs through all of them again. Of the erased time the registers at both ends stay
(`ErasedStay.boundaries`), since the days beside it are computed from them.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import orjson

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.live import Live, without_instants
from aggregator.core.periods import DAY_S, HALF_HOUR, Window, block_start
from aggregator.erasure.erasure_plan import ErasedStay, ErasurePlan, days_of_span, overlaps_days, without_household
from aggregator.erasure.erasure_rules import (
    FREE,
    erase_device_records,
    erase_person,
    household_keys,
    leave_household,
    unknown_messages,
)
from aggregator.intake.imports.import_records import STANDING, imports_of, update_import
from aggregator.store import collections as rows
from aggregator.store.collections import COLLECTIONS, Collection
from aggregator.store.layers import OWN
from aggregator.store.occupancies import erased_spans, occupancies, seen_instants, shares
from aggregator.store.port import READINGS, Change, Store
from aggregator.support import audit_people
from aggregator.support.audit import LEDGER, Audit, Who
from aggregator.waterfall.levels import Step, propagate

MONTH_BLOCKS = 1488  # half hours of a step
MONTH_DAYS = 31
WORKER = Who("wattfall", "", "worker", "Wattfall")
Note = Callable[[ErasurePlan], object]
Copies = Callable[[Store, ErasurePlan], Iterator[str]]  # erases and scans; yields lines as `remains` does


class OutsideStore(NamedTuple):
    """What an erasure reaches beside the store."""

    note: Note = lambda _: None  # what was erased, for a restore
    copies: tuple[Copies, ...] = ()  # the cache of the web processes, and on AWS the dead letters


def erased(store: Store, audit: Audit, plan: ErasurePlan, now: int, outside: OutsideStore) -> Iterator[str]:
    """Erase what a plan names and scan for it, the store first; yield lines as `remains` does."""
    for _ in erasing(store, audit, plan, now):
        yield ""
    yield from remains(store, plan, now)
    for copies in outside.copies:
        yield from copies(store, plan)


def erasing(store: Store, audit: Audit, plan: ErasurePlan, now: int) -> Iterator[None]:
    """Erase what a plan names, in short steps."""
    for device_id, stays in groupby(plan.stays, attrgetter("device_id")):
        if device := store.device(device_id):
            store.put_device(without_household(device, [_as_now(device, one).span for one in stays], now))
        yield
    for device, stay in _present_stays(store, plan):
        yield from _erase_evidence(store, stay)
        yield from _erase_documents(store, device, stay)
        store.drop_prices(stay.device_id, stay.start, stay.end)
        _erase_live(store, stay)
        _clear_quarantine(store, device, stay)
        yield
        told = audit.time_of(device, stay.span)
        audit.erase_reasons(stay.device_id, told.start, min(told.end, now), _imported_files(store, stay))
        yield
        yield from erase_device_records(store, stay, now)
    for person in plan.people:
        for name in person.ids:
            if audit_people.pseudonyms(store, name):
                audit.forget(WORKER, name, "the household was erased", now)
        yield from erase_person(store, person)
    if plan.household:
        yield from leave_household(store, plan.household)
        audit_people.forget(store, audit_people.household_id(plan.household))
    yield


def _imported_files(store: Store, stay: ErasedStay) -> list[str]:
    """Return the names of the files that told of the time; their records lose them after the audit."""
    overlapping = [one for one in imports_of(store, stay.device_id) if one.first < stay.end and one.last >= stay.start]
    return [one.file for one in overlapping if one.file]


def _present_stays(store: Store, plan: ErasurePlan) -> Iterator[tuple[Device, ErasedStay]]:
    """Yield the stays of a plan with their devices, each as long as it is now."""
    for stay in plan.stays:
        device = store.device(stay.device_id) or Device(stay.device_id)
        yield device, _as_now(device, stay)


def _as_now(device: Device, stay: ErasedStay) -> ErasedStay:
    """Return a stay as long as it is now: one to the end has ended if somebody has moved in since."""
    lived = [seen_instants(replace(device, seen=one.days)) for one in occupancies(device)]
    ends = [one.end for one in erased_spans(device) if one.start == stay.start]
    return stay._replace(end=min([stay.end, *(ends or [one.end for one in lived if one.start == stay.start])]))


def _erase_evidence(store: Store, stay: ErasedStay) -> Iterator[None]:
    """Delete the evidence a month at a time; the registers at both ends are written again with the last one."""
    at, last = stay.start - 1, False
    while not last:
        starts = [one for one in store.block_starts(stay.device_id, at, MONTH_BLOCKS) if one < stay.end]
        last = len(starts) < MONTH_BLOCKS
        end = stay.end if last else starts[-1]
        with store.transaction():
            store.erase_evidence(stay.device_id, max(at, stay.start), end)
            if last:
                _write_boundaries(store, stay)
        at = end - 1
        yield


def _write_boundaries(store: Store, stay: ErasedStay) -> None:
    """Write the registers at both ends, those of an import into its layer, unless it has been taken back since.

    An import whose record is damaged cannot be taken back: its layer counts, and gets them as the others do.
    """
    imports = {one.layer: one for one in imports_of(store, stay.device_id)}
    for layer, one in stay.boundaries:
        if layer == OWN:
            store.write_readings({(one.device_id, block_start(one.at)): {one.at: one}}, store.now())
            continue
        record = imports.get(layer)
        wider = {"first": min(record.first, one.at), "last": max(record.last, one.at)} if record else {}
        if record is None or update_import(store, record, STANDING, **wider).state in STANDING:
            store.write_layer(layer, [one], store.now())


def _erase_documents(store: Store, device: Device, stay: ErasedStay) -> Iterator[None]:
    """Delete the days a month at a time, then what is above them; a shared month or year keeps the days of others."""
    first, last = days_of_span(device, stay.span)
    for row in periods.LEVELS.values():
        found = [one for one in store.periods(row.name, device.device_id) if overlaps_days(row.name, one, first, last)]
        for place in range(0, len(found), MONTH_DAYS):
            with store.transaction():
                for period in found[place : place + MONTH_DAYS]:
                    own = periods.days(row.name, period)
                    if first <= own[0] and own[1] <= last:
                        store.drop_documents(row.name, device.device_id, period, period)
                    else:
                        _compute_again(store, device, row.name, period, (first, last))
            yield


def _compute_again(store: Store, device: Device, level: str, period: str, days: tuple[str, str]) -> None:
    child = periods.LEVELS[level].child
    below = periods.children(level, period).values()
    gone = [Change(0, child, device.device_id, one) for one in below if overlaps_days(child, one, *days)]
    propagate(store, Step(level, child), gone)


def _erase_live(store: Store, stay: ErasedStay) -> None:
    """Delete a live state of the erased time; a newer one loses what it still tells of it."""
    live = store.live(stay.device_id)
    if live is None or not any(_is_in(stay.span, at) for at in _instants(live)):
        return
    store.drop_live(stay.device_id)
    if left := without_instants(live, partial(_is_in, stay.span)):
        store.put_live([left._replace(arrivals=())])


def _instants(live: Live) -> list[int]:
    known = [live.at, live.power_at, live.import_at, live.export_at, *(one.at for one in live.arrivals)]
    return [at for at in known if at is not None]


def _is_in(span: Window, at: int) -> bool:
    return span.start <= at < span.end


def _clear_quarantine(store: Store, device: Device, stay: ErasedStay) -> None:
    if gone := _quarantined(store, device, stay):
        store.clear_quarantine(device.device_id, gone)


def _quarantined(store: Store, device: Device, stay: ErasedStay) -> list[tuple[str, str]]:
    """Return the quarantined keys of the erased time."""
    days, found = days_of_span(device, stay.span), []
    for line in store.quarantined(device.device_id):
        table, _, key = line.partition(": ")[0].partition(" ")
        if table == READINGS:
            is_ours = int(key) < stay.end and stay.start < int(key) + HALF_HOUR
        else:
            is_ours = overlaps_days(table if table in periods.LEVELS else "day", key, *days)
        found += [(table, key)] if is_ours else []
    return found


# Proof


def remains(store: Store, plan: ErasurePlan, now: int) -> Iterator[str]:
    """Yield one line for each place that still holds something of a plan, and empty lines between short steps."""
    for device, stay in _present_stays(store, plan):
        yield from _left_evidence(store, stay)
        yield from _left_documents(store, device, stay)
        live = store.live(stay.device_id)
        if live and any(_is_in(stay.span, at) for at in _instants(live)):
            yield f"the live state of {stay.device_id}"
        prices = store.prices(stay.device_id, stay.start, stay.end - 1)
        if prices.import_prices or prices.export_prices:
            yield f"prices of {stay.device_id}"
        yield from (f"the refused message {place}" for place in unknown_messages(store, stay.device_id))
        yield from (f"quarantined {table} {key}" for table, key in _quarantined(store, device, stay))
        if plan.household and plan.household in {one.household for one in occupancies(device)}:
            yield f"the registry entry of {stay.device_id}"
    if plan.household and store.household_devices(plan.household):
        yield "the search index"
    yield from _left_records(store, plan, now)


def _left_evidence(store: Store, stay: ErasedStay) -> Iterator[str]:
    kept, at = {one.reading.at for one in stay.boundaries}, stay.start - 1
    while starts := store.block_starts(stay.device_id, at, MONTH_BLOCKS):
        inside = [one for one in starts if one < stay.end]
        for start in inside:
            own = [one.at for one in store.readings(stay.device_id, start, start) if _is_in(stay.span, one.at)]
            spans = store.intervals(stay.device_id, start, start)
            if [one for one in own if one not in kept] or any(one.start < stay.end for one in spans):
                yield f"evidence of {stay.device_id} in the half hour from {periods.iso_utc(start)}"
        yield ""
        if len(inside) < len(starts):
            return
        at = starts[-1]


def _left_documents(store: Store, device: Device, stay: ErasedStay) -> Iterator[str]:
    first, last = days_of_span(device, stay.span)
    lived_on = [one.first for one in occupancies(device) if first < one.first <= last < one.last]
    going_on = {name for day in lived_on for name in shares((day, day))}  # shares of who has days after it
    for row in periods.LEVELS.values():
        for period in store.periods(row.name, device.device_id):
            if not overlaps_days(row.name, period, first, last):
                continue
            own = periods.days(row.name, period)
            document = store.document(row.name, device.device_id, period)
            below = periods.children(row.name, period).items() if row.child else ()
            inside = [name for name, one in below if first <= periods.days(row.child, one)[0] <= last]
            inside = [name for name in inside if periods.days(row.child, dict(below)[name])[1] <= last]
            inside += {*shares((max(first, own[0]), min(last, own[1])))} - going_on
            if (first <= own[0] and own[1] <= last) or (document and any(name in document.parts for name in inside)):
                yield f"the {row.name} {period} of {device.device_id}"
        yield ""


def _left_records(store: Store, plan: ErasurePlan, now: int) -> Iterator[str]:
    """Walk every collection for the names of the household and its people."""
    for row in COLLECTIONS if plan.household or plan.people else ():
        if row is rows.ERASURES or row in FREE:
            continue
        for collection in _collections(store, row, plan, now):
            for page in rows.record_pages(store, collection, with_damaged=True):
                for key, body in page:
                    if _is_left(row, key, body, plan):
                        yield f"the record {key} of {collection}"
                yield ""


def _is_left(row: Collection, key: str, body: str, plan: ErasurePlan) -> bool:
    """Whether a record tells of the people of a plan, or has their household in a field; a damaged account may."""
    if not body:
        return row is rows.USERS
    names = {name for person in plan.people for name in person.ids}
    if plan.household:
        names.add(audit_people.household_id(plan.household))
    if row is rows.USERS:
        return key in names or (bool(plan.household) and orjson.loads(body).get("household") == plan.household)
    if row is rows.API_KEYS and household_keys(body, plan.household):
        return True
    return bool(names & {key, body, *key.split()}) or any(orjson.dumps(one).decode() in body for one in names)


def _collections(store: Store, row: Collection, plan: ErasurePlan, now: int) -> list[str]:
    """Return the collections of a row that can hold something of a plan."""
    if not row.part:
        return [row.of()]
    parts: dict[str, list[str]] = {
        "device": sorted({one.device_id for one in plan.stays}),
        "user": [one.user_id for one in plan.people],
        "shard": [f"{shard:02d}" for shard in range(row.shards)],
        "day": [periods.day_of(now - back * DAY_S, "UTC") for back in range(rows.KEPT_DAYS + 1)],
        "pseudonym": _pseudonyms(store) if row.part == "pseudonym" else [],
    }
    return [row.of(part) for part in parts[row.part]]


def _pseudonyms(store: Store) -> list[str]:
    """Return the pseudonyms of all who have an entry in the audit."""
    return sorted({orjson.loads(body)[2] for page in rows.record_pages(store, LEDGER) for _, body in page})
