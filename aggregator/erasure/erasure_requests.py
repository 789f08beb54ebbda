"""Erasures that are asked for, under way, or done: by a command, or by the household and the worker.

A request waits WAIT_DAYS, in which one click takes it back. What has begun goes on after a crash, from the plan in its
record until the proof is whole: what could not be scanned counts as left. The store forgets first, then the cache that
web processes share, else a page could fill it again. A cache in a web process forgets within AGAIN_S, and the access
check is in front of it. Then all is looked at once more, and the record goes.

What was erased is noted beside a SQLite file, in a list that `wattfall restore` reads: an older backup has it again.
The list has ids of devices and accounts, and times; no name.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

import msgspec
import orjson

from aggregator.core import periods
from aggregator.core.errors import ConfigurationError, Damaged, StoreReplaced, WattfallError
from aggregator.core.periods import DAY_S, HOUR
from aggregator.erasure.erasing import WORKER, Copies, Note, OutsideStore, erased
from aggregator.erasure.erasure_plan import ErasurePlan, household_of, make_plan, people_of, plan_from_text
from aggregator.erasure.erasure_rules import forget_cached
from aggregator.settings import Settings
from aggregator.store import file_of
from aggregator.store.collections import ERASURES
from aggregator.store.port import Store
from aggregator.support.actions import record_erasure
from aggregator.support.audit import Audit, Who

WAIT_DAYS = 7
AGAIN_S = HOUR + 600  # from the erasure to the last look: as long as a web process holds cached answers
RECOVERY_DAYS = 35  # of DynamoDB's point-in-time recovery
PAGE = 500
_ASKED, _TAKEN_BACK, _BEGINS, _BEGUN, _AGAIN = "asked", "taken back", "begins", "begun", "again"
_RESTORED = "a restored backup had it again"
LETTERS_DAYS = 15  # until a dead letter expires, and a batch in the bucket
log = logging.getLogger("wattfall.erasure")


class ErasureRequest(NamedTuple):
    """The record of an erasure."""

    state: str
    at: int  # UTC seconds: when it is due, or is to be looked at once more
    plan: str = ""  # JSON text, from its beginning on

    @classmethod
    def of(cls, body: str) -> "ErasureRequest":
        """Return the request of a record's body. Raises Damaged."""
        try:
            request = msgspec.json.decode(body, type=cls)
            if request.plan:
                plan_from_text(request.plan)
        except ValueError as error:
            raise Damaged(f"the record of an erasure cannot be read ({error}); restore a backup") from error
        return request

    @property
    def body(self) -> str:
        """Return the record's body."""
        return orjson.dumps([*self]).decode()


# Waiting


def ask_for_erasure(store: Store, household: str, now: int) -> int:
    """Ask for the erasure of a household; return when it is due (UTC seconds). A repeated request changes nothing."""
    due = now + WAIT_DAYS * DAY_S
    was = store.record(ERASURES.of(), household)
    if not was and store.put_record(ERASURES.of(), household, ErasureRequest(_ASKED, due).body, was=was):
        return due
    return erasure_due(store, household) or due


def erasure_due(store: Store, household: str) -> int | None:
    """Return when the erasure of a household is due, UTC seconds; None where none waits."""
    request = _parsed(store.record(ERASURES.of(), household)) if household else None
    return request.at if request and request.state == _ASKED else None


def has_begun(store: Store, household: str) -> bool:
    """Whether the erasure of a household is under way, and cannot be taken back."""
    request = _parsed(store.record(ERASURES.of(), household)) if household else None
    return request is not None and request.state in (_BEGINS, _BEGUN)


def overdue(store: Store, now: int) -> list[str]:
    """Return the households whose erasure was due or has begun by `now` (UTC seconds), and is not done."""
    requests = store.records(ERASURES.of(), limit=PAGE, with_damaged=True)
    return [key for key, body in requests if _is_overdue(body, now)]


def _is_overdue(body: str, now: int) -> bool:
    try:
        request = ErasureRequest.of(body)
    except Damaged:
        return True
    return request.state in (_ASKED, _BEGINS, _BEGUN) and request.at <= now


def take_back(store: Store, household: str) -> bool:
    """Take a request back; return whether it had not begun."""
    body = store.record(ERASURES.of(), household)
    request = _parsed(body)
    if not request or request.state != _ASKED:
        return False
    taken = ErasureRequest(_TAKEN_BACK, request.at).body
    if not store.put_record(ERASURES.of(), household, taken, was=body):
        return False
    store.drop_record(ERASURES.of(), household)
    return True


def _parsed(body: str | None) -> ErasureRequest | None:
    return ErasureRequest.of(body) if body else None


# Under way


def begin(store: Store, audit: Audit, household: str, who: Who, reason: str, now: int) -> ErasurePlan:
    """Return the plan of an erasure that begins now or has begun; its record and entries of the audit are written.

    Raises ConfigurationError where nothing is kept of the household, unless its erasure still awaits the last look: it
    may have been stopped after its record had gone.
    """
    body, last_look = store.record(ERASURES.of(), household), _last_look(household)
    may_be_empty = bool(body or store.records(ERASURES.of(), last_look, f"{last_look}~", 1))
    make = partial(make_plan, store, household, may_be_empty=may_be_empty)
    plan = _begun(store, audit, body, make, who, reason, now)
    if plan is None:
        raise ConfigurationError(f"the erasure of {household} was asked for or taken back just now; run it again")
    return plan


def _last_look(household: str) -> str:
    """Return how the keys of the last looks at a household begin: without its name, which is erased."""
    return f"{_AGAIN} {sha256(household.encode()).hexdigest()} "


def _begun(
    store: Store, audit: Audit, body: str | None, make: Callable[[], ErasurePlan], who: Who, reason: str, now: int
) -> ErasurePlan | None:
    """Begin an erasure whose record has a body, before its entries of the audit; None where the record has changed."""
    request = _parsed(body)
    if request and request.state == _BEGUN:
        return plan_from_text(request.plan)
    plan = plan_from_text(request.plan) if request and request.state == _BEGINS else make()
    begins = ErasureRequest(_BEGINS, now, plan.to_text())
    if not store.put_record(ERASURES.of(), plan.household, begins.body, was=body):
        return None
    try:
        record_erasure(audit, who, plan.household, sorted({stay.device_id for stay in plan.stays}), reason, now)
    except ConfigurationError:
        if body is None:
            store.drop_record(ERASURES.of(), plan.household)
        else:
            store.put_record(ERASURES.of(), plan.household, body)
        raise
    store.put_record(ERASURES.of(), plan.household, begins._replace(state=_BEGUN).body)
    return plan


def carry_out(store: Store, audit: Audit, plan: ErasurePlan, now: int, outside: OutsideStore) -> Iterator[str]:
    """Erase and prove it, in short steps; yield what is left, a line each, and empty lines between the steps.

    Without a line the erasure is done; a last look follows after AGAIN_S.
    """
    left = 0
    for line in erased(store, audit, plan, now, outside):
        left += bool(line)
        yield line
    if not left:
        outside.note(plan)
        again = ErasurePlan("", plan.stays, ())
        key = f"{_last_look(plan.household)}{token_hex(8)}"
        store.put_record(ERASURES.of(), key, ErasureRequest(_AGAIN, now + AGAIN_S, again.to_text()).body)
        store.drop_record(ERASURES.of(), plan.household)
        for _ in store.scrub():
            yield ""


def due_erasures(store: Store, audit: Audit, now: int, outside: OutsideStore) -> Iterator[None]:
    """Carry out what is due at `now` (UTC seconds), in short steps. Faults are logged; the next call tries again."""
    for key, body in store.records(ERASURES.of(), limit=PAGE, with_damaged=True):
        try:
            request = ErasureRequest.of(body)
            if request.state == _TAKEN_BACK:
                store.drop_record(ERASURES.of(), key)
            elif request.state in (_BEGINS, _BEGUN) or request.at <= now:
                yield from _carried_out(store, audit, key, body, now, outside)
        except StoreReplaced:
            raise
        except WattfallError as error:
            log.error("the erasure %s waits: %s", key, error)


def _carried_out(store: Store, audit: Audit, key: str, body: str, now: int, outside: OutsideStore) -> Iterator[None]:
    request = ErasureRequest.of(body)
    is_again = request.state == _AGAIN
    if is_again:
        plan = plan_from_text(request.plan)
        steps = _looked_at_again(store, audit, plan, now, outside)
    else:
        why = "the household asked for it"
        begun = _begun(store, audit, body, partial(make_plan, store, key, may_be_empty=True), WORKER, why, now)
        if begun is None:  # taken back since it was read
            return
        plan = begun
        steps = carry_out(store, audit, plan, now, outside)
    left = 0
    for line in steps:
        if line:
            left += 1
            log.error("an erasure has left %s; it is tried again", line)
        yield
    if not left:
        log.info("erased: %d devices, %d accounts", len({one.device_id for one in plan.stays}), len(plan.people))
    if is_again and not left:
        store.drop_record(ERASURES.of(), key)


def _looked_at_again(store: Store, audit: Audit, plan: ErasurePlan, now: int, outside: OutsideStore) -> Iterator[str]:
    yield from erased(store, audit, plan, now, outside)
    for _ in store.scrub():
        yield ""


# Copies that forget later


def forgotten_when(settings: Settings, household: str, now: int) -> Iterator[str]:
    """Yield lines for people: when copies of the store will have forgotten a household that was erased at `now`."""
    if not settings.store.startswith("sqlite:"):
        day, expired = (periods.day_of(now + days * DAY_S, "UTC") for days in (RECOVERY_DAYS, LETTERS_DAYS))
        yield f"point-in-time recovery can bring it back until {day} ({RECOVERY_DAYS} days), the streams until tomorrow"
        yield f"dead letters that --dead-letters did not scan have expired on {expired}; a replay of them is refused"
        again = f"wattfall household erase {household} --confirm {household}"
        yield f"after a recovery to a time before now run `{again}` again"
        return
    if settings.backup_dir:
        day = periods.day_of(now + settings.backups_kept * DAY_S, "UTC")
        yield f"the backups in {settings.backup_dir} have it until {day} (WATTFALL_BACKUP_DAYS={settings.backups_kept})"
    yield "copies that you made yourself have it until you delete them; `wattfall restore` erases it from them again"
    yield "busy web processes have answers in memory for 70 minutes, which nobody gets; then the worker looks once more"


def outside_store(settings: Settings, *more: Copies) -> OutsideStore:
    """Return what lies beside the store by the settings, and more copies.

    A note lies beside a SQLite file. DynamoDB needs none, since its recovery makes new tables.
    """
    url = settings.store
    note = note_beside(file_of(url)) if url.startswith("sqlite:") else lambda _: None
    return OutsideStore(note, (partial(forget_cached, settings.cache), *more))


# After a restore


def list_beside(path: Path) -> Path:
    """Return the list of erasures beside a SQLite file."""
    return path.with_name(path.name + ".erasures")


def note_beside(path: Path) -> Note:
    """Return what appends a plan to the list beside a SQLite file, without the name of the household."""

    def note(plan: ErasurePlan) -> None:
        row = [[[*one[:3]] for one in plan.stays], [one.user_id for one in plan.people]]
        file = list_beside(path)
        file.touch(mode=0o600)
        with file.open("ab") as lines:
            lines.write(orjson.dumps(row) + b"\n")

    return note


def erased_again(store: Store, audit: Audit, settings: Settings, who: Who, now: int) -> Iterator[str]:
    """Carry out what a restored backup has undone again, by the list beside a file; yield a line for each."""
    path, outside = file_of(settings.store), outside_store(settings)._replace(note=lambda _: None)
    file = list_beside(path)
    for line in file.read_bytes().splitlines() if file.exists() else ():
        stays, people = orjson.loads(line)
        for plan in _plans_again(store, audit, stays, people, who, now):
            steps = carry_out if plan.household else _looked_at_again
            left = [one for one in steps(store, audit, plan, now, outside) if one]
            yield from (f"an erasure has left {one}" for one in left)
            if not left:
                yield f"erased again: {len(plan.stays)} times of devices, {len(plan.people)} accounts"


def _plans_again(
    store: Store, audit: Audit, stays: list[tuple[str, int, int]], people: list[str], who: Who, now: int
) -> Iterator[ErasurePlan]:
    """Yield a plan for each household that lived in one of the times, then one for the other accounts.

    An account is erased if it is listed, whichever household it had in the backup.
    """
    for household in sorted({household_of(store, device_id, start) for device_id, start, _ in stays} - {""}):
        whole = make_plan(store, household)
        plan = replace(whole, people=tuple(one for one in whole.people if one.user_id in people))
        body = store.record(ERASURES.of(), household)
        if begun := _begun(store, audit, body, lambda plan=plan: plan, who, _RESTORED, now):  # type: ignore[misc]
            yield begun
    if left := tuple(people_of(store, people)):
        yield ErasurePlan("", (), left)
