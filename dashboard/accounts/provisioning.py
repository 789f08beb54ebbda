"""Provisioning: carry out the rows of a file against the registry and the accounts, and count what they changed.

A row says what should be true. What is true already is left as it is, so a second run changes nothing. A row that
cannot be carried out is refused with its line and reason, and stops no other. Rows are read, planned and stored BATCH
at a time, so a file of any length needs the same memory.

The audit has one entry for what a batch adds, with the numbers; a device that is changed or moved, a changed account
and an account of staff have an entry each, because somebody may ask who did that.

A dry run plans against the same store, and keeps what it would have written in a store of its own that it deletes: a
row may rest on an earlier one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, Phrase
from aggregator.core.periods import FIRST_DAY
from aggregator.settings import sqlite_url
from aggregator.store import new_entry, open_store, search
from aggregator.store.occupancies import has_past, moved, occupancies
from aggregator.store.port import Store
from aggregator.support.actions import record_account, record_added, record_device
from aggregator.support.audit import Audit, Who
from aggregator.waterfall.levels import move
from aggregator.waterfall.verify import change_device
from dashboard.accounts.accounts import Accounts
from dashboard.accounts.provision_rows import NOBODY, Refusal, Row
from dashboard.accounts.users import HOUSEHOLD, Passwords, User, check_household

BATCH = 500  # rows
MADE, CHANGED, MOVED, UNCHANGED = OUTCOMES = ("made", "changed", "moved", "unchanged")
_OF_HOME, _OF_DEVICE = ("name", "postcode"), ("kind", "timezone", "serial", "meter_point")


@dataclass(slots=True)
class Report:
    """What a run did, or would do."""

    devices: Counter[str] = field(default_factory=Counter)  # by OUTCOMES
    people: Counter[str] = field(default_factory=Counter)
    refused: int = 0

    @property
    def is_unchanged(self) -> bool:
        """Whether everything was true already."""
        return not any(found[one] for found in (self.devices, self.people) for one in (MADE, CHANGED, MOVED))


class DevicePlan(NamedTuple):
    """A device before and after a row; `to` is the household that moves in."""

    outcome: str
    before: Device | None
    after: Device
    to: str = ""


class PersonPlan(NamedTuple):
    """A person before and after a row."""

    outcome: str
    before: User | None
    after: User


@dataclass(frozen=True, slots=True)
class ProvisionRun:
    """Where rows are carried out, by whom and when."""

    audit: Audit
    accounts: Accounts
    who: Who
    reason: str
    now: int  # UTC seconds
    timezone: str  # of a device without one
    no_links: str = ""  # why nobody can be invited, so that a new person is refused
    draft: tuple[Store, Accounts] | None = None  # of a dry run

    @property
    def store(self) -> Store:
        """The store."""
        return self.audit.store

    def device(self, device_id: str) -> Device | None:
        """Return a device, also one that the dry run would have stored."""
        return (self.draft[0].device(device_id) if self.draft else None) or self.store.device(device_id)

    def person(self, email: str) -> User | None:
        """Return an account, also one that the dry run would have stored."""
        return (self.draft[1].find(email) if self.draft else None) or self.accounts.find(email)


@contextmanager
def rehearsed(run: ProvisionRun) -> Iterator[ProvisionRun]:
    """Give a run that stores nothing."""
    with (
        TemporaryDirectory(prefix="wattfall-") as folder,
        closing(open_store(sqlite_url(Path(folder) / "draft.db"), may_create=True)) as store,
    ):
        yield replace(run, draft=(store, Accounts(store, Passwords(), lambda: run.now)))


def provision(
    run: ProvisionRun,
    rows: Iterable[Row | Refusal],
    refuse: Callable[[Refusal], object],
    deliver: Callable[[User, str], object],
) -> Report:
    """Carry out rows and return the counts.

    `refuse` gets each refused row, and `deliver` each new person with the token of the invitation.
    """
    report = Report()

    def refused(one: Refusal) -> None:
        report.refused += 1
        refuse(one)

    for batch in _batches(rows, refused):
        devices, people = _planned(run, batch, refused)
        report.devices.update(one.outcome for one in devices)
        report.people.update(one.outcome for one in people)
        _keep(run, devices, people, deliver)
    return report


def _batches(rows: Iterable[Row | Refusal], refuse: Callable[[Refusal], object]) -> Iterator[list[Row]]:
    """Yield rows at most BATCH at a time; a device or a person is in a batch once, as its next row rests on this."""
    batch: list[Row] = []
    known: set[str] = set()
    for row in rows:
        if isinstance(row, Refusal):
            refuse(row)
            continue
        ids = {f"device {row.device}"} if row.device else set()
        ids |= {f"person {row.email}"} if row.email else set()
        if known & ids or len(batch) == BATCH:
            yield batch
            batch, known = [], set()
        batch.append(row)
        known |= ids
    if batch:
        yield batch


def _planned(
    run: ProvisionRun, batch: list[Row], refuse: Callable[[Refusal], object]
) -> tuple[list[DevicePlan], list[PersonPlan]]:
    devices, people = list[DevicePlan](), list[PersonPlan]()
    for row in batch:
        try:
            device = plan_device(run, row) if row.device else None
            person = plan_person(run, row) if row.email else None
        except ConfigurationError as error:
            refuse(Refusal(row.line, error.args[0]))
            continue
        devices += [device] if device else []
        people += [person] if person else []
    return devices, people


# Devices


def plan_device(run: ProvisionRun, row: Row) -> DevicePlan:
    """Return what a row makes of its device. Raises ConfigurationError where a household would get another's past."""
    stored = run.device(row.device)
    before = stored or new_entry(run.store, row.device, run.timezone)
    if row.household and not stored:
        before = replace(before, household="")  # in the store of one home, another one is named here
    home, to, is_former = _home(before, row, run.now)
    named = (*_OF_DEVICE, *(() if is_former else _OF_HOME))
    after = search.check_labels(replace(home, **{one: text for one in named if (text := getattr(row, one))}))
    if stored is None:
        return DevicePlan(MADE, None, after)
    if to is not None:
        return DevicePlan(MOVED, stored, after, to)
    return DevicePlan(UNCHANGED if after == stored else CHANGED, stored, after)


def _home(device: Device, row: Row, now: int) -> tuple[Device, str | None, bool]:
    """Return a device in its home, the household that moves in, and whether the row tells of a former household."""
    household = "" if row.household == NOBODY else row.household
    known = occupancies(device)
    present = known[-1]
    if not row.household or (household == present.household and row.first_day in ("", present.first)):
        return device, None, False
    if any((one.household, one.first) == (household, row.first_day or FIRST_DAY) for one in known[:-1]):
        return device, None, True
    if household == present.household:
        ever, since = present.first == FIRST_DAY, Phrase("since {day}", day=present.first)
        text = Phrase(
            "{name} belongs to {household} {since}, not {day}",
            name=device.device_id,
            household=household or Phrase("nobody"),
            since=Phrase("from ever") if ever else since,
            day=row.first_day,
        )
        raise ConfigurationError(text)
    if not present.household and not has_past(device) and not row.first_day:
        return replace(device, household=household), None, False
    if not row.first_day:
        text = Phrase(
            "{name} belongs to {household}; fill in `from`, the first day of {next}",
            name=device.device_id,
            household=present.household or Phrase("nobody"),
            next=household or Phrase("the empty home"),
        )
        raise ConfigurationError(text)
    if row.first_day > periods.day_of(now, row.timezone or device.timezone):
        text = Phrase("{day} is still to come; give {name} away on that day", day=row.first_day, name=device.device_id)
        raise ConfigurationError(text)
    return moved(device, household, row.first_day), household, False


def _change_device(run: ProvisionRun, plan: DevicePlan) -> None:
    """Change or move a stored device, with an entry in the audit that its household can read."""
    assert plan.before
    record_device(run.audit, run.who, plan.before, plan.after, run.reason, run.now)
    names = [
        one for one in (*_OF_DEVICE, *_OF_HOME, "household") if getattr(plan.after, one) != getattr(plan.before, one)
    ]
    if plan.outcome == MOVED:
        move(run.store, run.store.device(plan.after.device_id) or plan.before, plan.to, plan.after.occupied_from)
    stored = run.store.device(plan.after.device_id) or plan.before  # a message may have changed it since
    change_device(run.store, stored, replace(stored, **{one: getattr(plan.after, one) for one in names}))


# People


def plan_person(run: ProvisionRun, row: Row) -> PersonPlan:
    """Return what a row makes of its person.

    Raises ConfigurationError where role and household exclude each other, or for somebody's own role.
    """
    stored = run.person(row.email)
    if run.no_links and not stored:
        raise ConfigurationError(run.no_links)
    role = row.role or (stored.role if stored else HOUSEHOLD)
    household = row.household or (stored.household if stored and role == HOUSEHOLD else "")
    check_household(household, role)
    if stored is None:
        return PersonPlan(MADE, None, User("", row.email, row.person, role, household))
    # By its address: the draft of a dry run has another id.
    if stored.email == run.who.email and (role, household) != (stored.role, stored.household):
        text = Phrase("{email} is your own account; another account manager changes its role", email=stored.email)
        raise ConfigurationError(text)
    after = replace(stored.with_role(role), household=household, name=row.person or stored.name)
    return PersonPlan(UNCHANGED if after == stored else CHANGED, stored, after)


def _change_person(run: ProvisionRun, plan: PersonPlan) -> None:
    assert plan.before
    named = {one: getattr(plan.after, one) for one in ("role", "household", "name")}
    record_account(run.audit, run.who, run.reason, who_is(plan.before), run.now, **named)
    home = {one: named[one] for one in ("household", "name")}
    run.accounts.change(plan.before, lambda one: replace(one.with_role(named["role"]), **home))


def who_is(user: User) -> Who:
    """Return an account as the audit names it."""
    return Who(user.user_id, user.email, user.role, user.name)


# Storing


def _keep(
    run: ProvisionRun, devices: list[DevicePlan], people: list[PersonPlan], deliver: Callable[[User, str], object]
) -> None:
    """Store a batch and invite the people in it that are new; a dry run keeps the batch in its draft."""
    if run.draft:
        _keep_draft(*run.draft, devices, people)
        return
    new_devices = [one.after for one in devices if one.outcome == MADE]
    new_people = [one.after for one in people if one.outcome == MADE]
    for staff in (one for one in new_people if one.role != HOUSEHOLD):
        record_account(run.audit, run.who, run.reason, who_is(staff), run.now, role=staff.role)
    record_added(run.audit, run.who, run.reason, len(new_devices), len(new_people), run.now)
    with run.store.transaction():  # on SQLite one write to the disk
        for device in new_devices:
            run.store.put_device(device)
        added = [run.accounts.add(one.email, one.role, one.household, one.name) for one in new_people]
        invited = [(user, run.accounts.invite(user)) for user in added]
    for user, token in invited:
        deliver(user, token)
    for plan in (one for one in devices if one.outcome in (CHANGED, MOVED)):
        _change_device(run, plan)
    for person in (one for one in people if one.outcome == CHANGED):
        _change_person(run, person)


def _keep_draft(store: Store, accounts: Accounts, devices: list[DevicePlan], people: list[PersonPlan]) -> None:
    with store.transaction():
        for device in (one.after for one in devices if one.outcome != UNCHANGED):
            store.put_device(device)
        for user in (one.after for one in people if one.outcome != UNCHANGED):
            known = accounts.find(user.email) or accounts.add(user.email)
            accounts.change(known, partial(replace, role=user.role, household=user.household, name=user.name))
