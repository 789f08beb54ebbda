"""Every look at a home is audited, and a changed audit is detected."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, StoreAway, StoreUnusable
from aggregator.core.periods import DAY_S, day_of, day_start, shift
from aggregator.erasure.erasing import erasing
from aggregator.erasure.erasure_plan import make_plan
from aggregator.store import Store, open_store
from aggregator.store.collections import COLLECTIONS
from aggregator.store.occupancies import moved, seen_by
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.store.stored_records import Record
from aggregator.support import audit, audit_people
from aggregator.support.actions import look_up, record_device, record_import
from aggregator.support.audit import GRANT_HOURS, Audit, Entry, Head, Who, grant, granted, withdraw
from aggregator.support.audit_check import AuditCheck, parse_head
from aggregator.support.audit_entry import ChainKeys, check_reason, decode, encode
from aggregator.waterfall.levels import move
from tests.contract.conftest import MEMORY, in_memory, store_on
from tests.copies import damage_record

SECRET, OTHER = "s" * 40, "o" * 40
NOW, DAY = 1_795_000_205, 86_400  # 2026-11-18
DAYS = ["2026-11-18", "2026-11-19", "2026-11-20"]
ANNA = Who("u-1", "Anna.Kay@example.com", "support", "Anna Kay")
BEN = Who("u-2", "ben@example.com", "support")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/audit.db")
    yield opened
    opened.close()


def faults(store: Store, *secrets: str, head: str = "") -> list[str]:
    """The faults that are found with secrets, of which the first is the present one."""
    checked = AuditCheck(Audit(store, secrets or [SECRET]), parse_head(head) if head else None)
    return list(checked.faults())


def numbers(listed: list[Entry]) -> list[int]:
    return [entry.number for entry in listed]


def test_an_entry_has_person_action_device_time_and_reason(store: Store) -> None:
    Audit(store, [SECRET]).append(ANNA, "rebuild", "cad-1", "hole in  Tuesday\n", NOW, {"from": "2026-11-17"})

    (entry,) = Audit(store, [SECRET]).entries()
    assert (entry.who, entry.action, entry.device_id, entry.at) == (ANNA, "rebuild", "cad-1", NOW)
    assert (entry.reason, entry.details) == ("hole in Tuesday", {"from": "2026-11-17"})
    assert entry.as_json()["email"] == "Anna.Kay@example.com"


def test_entries_are_listed_by_device_person_and_day_newest_first(store: Store) -> None:
    for number, (who, device_id) in enumerate([(ANNA, "a"), (BEN, "a"), (ANNA, "b"), (ANNA, "a"), (BEN, "")]):
        Audit(store, [SECRET]).append(who, "note", device_id, "because", NOW + number * DAY)

    assert numbers(Audit(store, [SECRET]).entries()) == [5, 4, 3, 2, 1]
    assert numbers(Audit(store, [SECRET]).entries(limit=2)) == [5, 4]
    assert numbers(Audit(store, [SECRET]).entries(device_id="a")) == [4, 2, 1]
    assert numbers(Audit(store, [SECRET]).entries(person="u-1")) == [4, 3, 1]
    assert numbers(Audit(store, [SECRET]).entries(person="anna.kay@EXAMPLE.com")) == [4, 3, 1]
    assert numbers(Audit(store, [SECRET]).entries(device_id="a", person="u-2")) == [2]
    assert numbers(Audit(store, [SECRET]).entries(first_day="2026-11-19", last_day="2026-11-21")) == [4, 3, 2]
    assert numbers(Audit(store, [SECRET]).entries(device_id="a", first_day="2026-11-19")) == [4, 2]
    assert Audit(store, [SECRET]).entries(first_day="2026-12-01") == []
    assert Audit(store, [SECRET]).entries(last_day="2026-11-17") == []
    assert Audit(store, [SECRET]).entries(device_id="nobody's") == []


def test_a_clock_set_back_keeps_entries_in_order(store: Store) -> None:
    Audit(store, [SECRET]).append(ANNA, "note", "a", "because", NOW)
    assert Audit(store, [SECRET]).append(ANNA, "note", "a", "because", NOW - DAY).at == NOW


BLANKS = ["\u2800" * 3, "\u3164" * 3, "...", "\u200b" * 3, "- 1 -"]  # nothing that a household could read


@pytest.mark.parametrize("reason", ["", "  \n ", "ab", "x" * 501, *BLANKS])
def test_a_look_up_without_a_reason_is_refused(store: Store, reason: str) -> None:
    with pytest.raises(ConfigurationError, match="give a reason of 3 to 500 characters"):
        look_up(Audit(store, [SECRET]), ANNA, "cad-1", reason, NOW)
    assert Audit(store, [SECRET]).entries() == []
    assert not granted(store, "u-1", "cad-1", NOW)


@given(st.text())
def test_a_reason_is_one_printable_line_or_refused(text: str) -> None:
    try:
        said = check_reason(text)
    except ConfigurationError as error:
        said = str(error)
    assert said.isprintable()


def test_a_look_up_grants_one_person_one_device_for_hours(store: Store) -> None:
    now = int(time.time())  # the store's own clock counts too
    look_up(Audit(store, [SECRET]), ANNA, "cad-1", "customer called", now)

    assert granted(store, "u-1", "cad-1", now)
    assert granted(store, "u-1", "cad-1", now + GRANT_HOURS * 3600 - 1)
    assert not granted(store, "u-1", "cad-1", now + GRANT_HOURS * 3600)
    assert not granted(store, "u-1", "cad-2", now)
    assert not granted(store, "u-2", "cad-1", now)
    withdraw(store, "u-1", "cad-1")
    assert not granted(store, "u-1", "cad-1", now)


def test_a_home_sees_staff_without_their_address(store: Store) -> None:
    look_up(Audit(store, [SECRET]), ANNA, "cad-1", "customer called", NOW)
    Audit(store, [SECRET]).append(BEN, "rebuild", "cad-1", "hole in Tuesday", NOW + 60, {"from": "2026-11-17"})
    look_up(Audit(store, [SECRET]), ANNA, "other", "somebody else", NOW)

    assert [*Audit(store, [SECRET]).seen_by_staff(Device("cad-1"))] == [
        audit.Seen(NOW + 60, "support", "rebuild", "hole in Tuesday", {"from": "2026-11-17"}),
        audit.Seen(NOW, "support, Anna K.", "look-up", "customer called", {}),
    ]


def test_a_home_sees_staff_behind_many_actions_of_its_own(store: Store) -> None:
    own, ann = Audit(store, [SECRET]), Who("u-9", "ann@example.org", "household", "Ann")
    look_up(own, ANNA, "cad-1", "customer called", NOW)
    for second in range(3):
        record_import(own, ann, "cad-1", "on the page of the household", NOW + second, file="meter.csv")
    assert [one.reason for one in own.seen_by_staff(Device("cad-1"))] == ["customer called"]


def test_a_home_can_read_every_look_of_staff(store: Store) -> None:
    looks = 2 * audit.AT_ONCE + 1  # three pages
    for number in range(looks):
        Audit(store, [SECRET]).append(ANNA, "look-up", "cad-1", f"call {number}", NOW)
    read = [one.reason for one in Audit(store, [SECRET]).seen_by_staff(Device("cad-1"))]
    assert read == [f"call {number}" for number in reversed(range(looks))]


def test_a_former_household_sees_its_looks_behind_those_at_the_next(store: Store) -> None:
    store.put_device(Device("cad-1", "UTC", household="acacia"))
    one = Audit(store, [SECRET])
    look_up(one, ANNA, "cad-1", "acacia called", NOW - 3 * DAY_S)
    move(store, Device("cad-1", "UTC", household="acacia"), "willow", day_of(NOW, "UTC"))
    for second in range(3):
        look_up(one, ANNA, "cad-1", "willow called", NOW + second)
    former = seen_by(store.device("cad-1") or Device(""), "acacia")
    assert former
    assert [seen.reason for seen in one.seen_by_staff(former)] == ["acacia called"]


@pytest.mark.parametrize("again", [False, True])
def test_a_damaged_record_of_a_day_hides_none_of_its_entries(store: Store, *, again: bool) -> None:
    """The next entry of the day writes it anew."""
    known = Audit(store, [SECRET])
    for number in range(6):  # two a day
        known.append(ANNA, "note", "a", "because", NOW + number // 2 * DAY)
    damage_record(store, "audit/days", "2026-11-20")
    if again:
        known.append(ANNA, "note", "a", "because", NOW + 2 * DAY)
        assert store.record("audit/days", "2026-11-20") == f"{5:012d}"
    of_days = {day: numbers(known.entries(device_id="a", first_day=day, last_day=day)) for day in DAYS}
    assert of_days == {DAYS[0]: [2, 1], DAYS[1]: [4, 3], DAYS[2]: [7] * again + [6, 5]}


def test_one_wanted_entry_among_many_is_found_in_few_queries(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, queries, read = Audit(store, [SECRET]), list[str](), store.records
    for number in range(audit.AT_ONCE + 20):
        known.append(ANNA, "look-up", "a", f"call {number}", NOW)

    def records(collection: str, *place: Any, **how: Any) -> list[Record]:  # noqa: ANN401 - the store's own
        queries.append(collection)
        return read(collection, *place, **how)

    monkeypatch.setattr(store, "records", records)
    assert numbers(known.entries(device_id="a", limit=1, is_wanted=lambda one: one.number == 1)) == [1]
    assert queries.count("audit/device/a") == 2


# The chain


def three(store: Store) -> None:
    for device_id in "abc":
        look_up(Audit(store, [SECRET]), ANNA, device_id, f"asked about {device_id}", NOW)


def test_an_untouched_audit_has_no_faults(store: Store) -> None:
    assert faults(store) == []
    three(store)
    assert faults(store) == []


def test_a_changed_entry_is_detected(store: Store) -> None:
    three(store)
    (second,) = Audit(store, [SECRET]).entries(device_id="b")
    fields = orjson.loads(store.record("audit", second.key) or "")
    forged = orjson.dumps([*fields[:6], "nothing much", *fields[7:]]).decode()
    store.put_record("audit", second.key, forged)
    assert faults(store) == [
        "entry 2 was changed",
        "entry 2 is not the same on audit/device/b",
        f"entry 2 is not the same on audit/person/{second.person}",
    ]


def test_an_entry_with_a_new_hash_breaks_the_chain(store: Store) -> None:
    three(store)
    (second,) = Audit(store, [SECRET]).entries(device_id="b")
    _, forged = encode(replace(second, reason="it was not me"), ChainKeys([SECRET]))
    for collection in audit.copies(second):
        store.put_record(collection, second.key, forged)
    store.put_record("audit", second.key, forged)
    assert faults(store) == ["entry 3 does not follow the one before it"]


@pytest.mark.parametrize(
    ("removed", "line"),
    [(1, "entries after 0 missing, up to 1"), (2, "entries after 1 missing, up to 2")],
)
def test_a_removed_entry_is_detected(store: Store, removed: int, line: str) -> None:
    three(store)
    store.drop_record("audit", f"{removed:012d}")
    (person,) = audit_people.pseudonyms(store, "u-1")
    assert faults(store) == [line, f"audit/person/{person} has an entry {removed} that is not in the audit"]


def test_a_truncated_audit_is_detected_after_new_entries(store: Store) -> None:
    three(store)
    store.drop_record("audit", f"{3:012d}")
    (person,) = audit_people.pseudonyms(store, "u-1")
    lines = ["entries after 2 missing, up to 3", f"audit/person/{person} has an entry 3 that is not in the audit"]
    assert faults(store) == lines
    look_up(Audit(store, [SECRET]), BEN, "d", "asked about d", NOW)
    assert faults(store) == lines


def test_a_damaged_entry_is_detected_and_others_stay_readable(store: Store) -> None:
    three(store)
    store.put_record("audit", f"{2:012d}", "{")
    assert faults(store)[0] == "entry 000000000002 cannot be read"
    assert numbers(Audit(store, [SECRET]).entries(device_id="c")) == [3]
    store.put_record("audit", f"{4:012d}", "{")
    with pytest.raises(StoreUnusable, match="entry 000000000004 of the audit cannot be read"):
        look_up(Audit(store, [SECRET]), ANNA, "d", "asked about d", NOW)


def rewrite(store: Store, keys: ChainKeys, last: int) -> None:
    """Rewrite the audit up to an entry, as who can write the store can: other reasons, a new chain, a fitting head."""
    before, bodies = Head(), {}
    for record in store.records("audit"):
        entry = decode(record.body)
        made, bodies[record.key] = encode(replace(entry, reason="nothing much", previous=before.hash), keys)
        before = audit.head_of(made) if made.number <= last else before
        for collection in ("audit", *audit.copies(made)):
            if made.number <= last:
                store.put_record(collection, record.key, bodies[record.key])
            else:
                store.drop_record(collection, record.key)
    store.put_record("audit/head", "head", orjson.dumps([*before]).decode())


def test_a_chain_cannot_be_made_again_without_the_secret(store: Store) -> None:
    three(store)
    rewrite(store, ChainKeys([]), 3)
    assert faults(store) == ["the entries after 0 are not signed: whoever writes the store can have made them"]
    rewrite(store, ChainKeys([OTHER]), 3)
    (fault,) = faults(store)
    assert fault.startswith("the entries from 1 on are signed with a WATTFALL_SECRET that is not known here")


def test_a_removed_or_older_head_is_found(store: Store) -> None:
    heads = list[str]()
    for number in range(3):
        Audit(store, [SECRET]).append(ANNA, "note", "a", "because", NOW + number)
        heads.append(store.record("audit/head", "head") or "")
    store.drop_record("audit/head", "head")
    assert faults(store) == ["the head is set back to entry 0, and the audit goes on to 3"]
    store.put_record("audit/head", "head", heads[0])
    assert faults(store) == ["the head is set back to entry 1, and the audit goes on to 3"]
    store.put_record("audit/head", "head", heads[1])  # as a writer leaves it that dies
    assert faults(store) == []


def test_a_head_kept_elsewhere_tells_a_cut_and_a_rewritten_audit(store: Store) -> None:
    three(store)
    head = str(Audit(store, [SECRET]).head())
    look_up(Audit(store, [SECRET]), BEN, "d", "asked about d", NOW)
    assert faults(store, head=head) == []
    rewrite(store, ChainKeys([SECRET]), 3)  # by somebody who has the secret as well
    assert faults(store) == []
    assert faults(store, head=head) == ["entry 3 is not the one of the head that was given: the audit was rewritten"]
    rewrite(store, ChainKeys([SECRET]), 2)
    assert faults(store, head=head) == ["the audit ends at entry 2, and had 3 when the head was noted"]
    with pytest.raises(ConfigurationError, match="is not a head as"):
        faults(store, head="3:abc")


def test_a_new_secret_goes_on_and_the_old_one_still_checks(store: Store) -> None:
    three(store)
    Audit(store, [OTHER, SECRET]).append(BEN, "note", "a", "since the new secret", NOW)
    assert faults(store, OTHER, SECRET) == []
    (fault,) = faults(store, OTHER)
    assert fault.startswith("the entries from 1 on are signed with a WATTFALL_SECRET that is not known here")


def test_a_signed_audit_takes_no_entry_without_the_secret(store: Store) -> None:
    Audit(store, []).append(ANNA, "note", "a", "before there was a secret", NOW)
    three(store)
    with pytest.raises(ConfigurationError, match="set WATTFALL_SECRET"):
        Audit(store, []).append(ANNA, "note", "a", "without the secret", NOW)
    assert faults(store) == []


def test_a_forged_row_is_neither_shown_nor_unnoticed(store: Store) -> None:
    three(store)
    (first,) = Audit(store, [SECRET]).entries(device_id="a")
    _, forged = encode(replace(first, number=2), ChainKeys([]))
    store.put_record("audit/device/a", f"{2:012d}", forged)
    store.put_record("audit/device/a", f"{3:012d}", store.record("audit", f"{3:012d}") or "")  # of another device
    assert numbers(Audit(store, [SECRET]).entries(device_id="a")) == [1]
    store.put_record("audit/device/a", f"{99:012d}", forged)  # after the last entry
    assert faults(store) == [f"audit/device/a has an entry {one} that is not in the audit" for one in (2, 3, 99)]


def test_a_grant_without_an_entry_is_detected(store: Store) -> None:
    now = int(time.time())
    look_up(Audit(store, [SECRET]), ANNA, "a", "customer called", now)
    for user_id in ("u-1", "u-2"):
        store.put_record("users", user_id, "{}")
    assert faults(store) == []
    grant(store, "u-2", "a", now + 3600)
    grant(store, "u-1", "a", now + GRANT_HOURS * 3600 + 1)
    assert faults(store) == [f"{one} may see a without an entry that says why" for one in ("u-1", "u-2")]


# People


def test_no_entry_names_a_person(store: Store) -> None:
    look_up(Audit(store, [SECRET]), ANNA, "a", "customer called", NOW)
    bodies = [body for row in COLLECTIONS if row.part in ("", "device") for body in texts(store, row.name)]
    named = [body for body in bodies if "Kay" in body or "u-1" in body or "anna.kay@" in body.lower()]
    assert len(named) == 1, "the card of the pseudonym, which can be destroyed"


def texts(store: Store, name: str) -> list[str]:
    places = [name.replace("{device}", "a")] if name.startswith("audit") and "grants" not in name else []
    return [record.body for place in places for record in store.records(place)]


def test_a_forgotten_person_leaves_a_whole_chain_without_a_name(store: Store) -> None:
    three(store)
    look_up(Audit(store, [SECRET]), BEN, "a", "asked again", NOW)
    Audit(store, [SECRET]).append(ANNA._replace(name="Anna Jones"), "note", "a", "with her new name", NOW)
    pseudonyms = audit_people.pseudonyms(store, "u-1")
    assert len(pseudonyms) == 2

    assert Audit(store, [SECRET]).forget(BEN, "Anna.Kay@example.com", "she left and asked for it", NOW) == 2

    found = Audit(store, [SECRET]).entries(device_id="a")
    assert [(one.who.name, one.who.email) for one in found] == [("", ""), ("", BEN.email), ("", "")]
    assert [one.by for one in Audit(store, [SECRET]).seen_by_staff(Device("a"))] == ["support"] * 3
    assert numbers(Audit(store, [SECRET]).entries(person=pseudonyms[0])) == [3, 2, 1]
    assert Audit(store, [SECRET]).entries(person="u-1") == []
    assert faults(store) == []
    with pytest.raises(ConfigurationError, match="knows no such person"):
        Audit(store, [SECRET]).forget(BEN, "u-1", "once more", NOW)


def test_a_name_that_was_removed_or_exchanged_is_detected(store: Store) -> None:
    three(store)
    (pseudonym,) = audit_people.pseudonyms(store, "u-1")
    card = store.record("audit/cards", pseudonym) or ""
    line = "the person of entry 1 was removed or changed, and no entry tells of it"
    store.put_record("audit/cards", pseudonym, card.replace("Anna Kay", "Ben Ray"))
    assert faults(store) == [line]
    store.drop_record("audit/cards", pseudonym)
    assert faults(store) == [line]


class Dying(SqliteStore):
    """A store whose process dies at its nth write of a record."""

    left = 1000

    def put_record(self, *place: Any, **more: Any) -> bool:  # noqa: ANN401 - handed on
        self.left -= 1
        if self.left == 0:
            raise StoreAway("killed")
        return super().put_record(*place, **more)


@pytest.mark.parametrize("at", range(1, 10))
def test_the_next_writer_completes_an_interrupted_entry(tmp_path: Path, at: int) -> None:
    store = Dying(str(tmp_path / "dying.db"))
    Audit(store, [SECRET]).append(BEN, "note", "a", "the first", NOW)
    store.left = at
    with pytest.raises(StoreAway):
        look_up(Audit(store, [SECRET]), ANNA, "a", "customer called", NOW + DAY)
    granted_before = granted(store, "u-1", "a", NOW + DAY)

    written = [2, 1] if at > 4 else [1]  # after the two records and the card of a new person
    assert numbers(Audit(store, [SECRET]).entries(device_id="a")) == written
    assert numbers(Audit(store, [SECRET]).entries(person="u-1")) == written[:-1]
    Audit(store, [SECRET]).append(BEN, "note", "a", "the last", NOW)
    assert numbers(Audit(store, [SECRET]).entries()) == [written[0] + 1, *written]
    assert faults(store) == []
    assert not granted_before, "nobody sees a home before the entry is complete"
    store.close()


def test_no_code_deletes_or_replaces_an_entry() -> None:
    root = Path(audit.__file__).parents[2]
    paths = [path for package in ("aggregator", "dashboard") for path in (root / package).rglob("*.py")]
    sources = {path: path.read_text() for path in paths}
    collections = re.compile(r"""_record\(\s*f?["']audit""")
    assert [path.name for path, text in sources.items() if collections.search(text)] == []

    own = sources[root / "aggregator" / "support" / "audit.py"]
    assert re.findall(r"drop_record\((.*)\)", own) == ["_grants(user_id), device_id"]
    assert re.findall(r"put_record\(LEDGER, (.*)\)", own) == ["entry.key, body, was=None"]


def test_concurrent_entries_get_distinct_numbers_in_one_chain(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        store = open_store(f"sqlite:///{tmp_path}/audit.db")
        list(pool.map(lambda n: Audit(store, [SECRET]).append(ANNA, "note", f"d-{n % 3}", "because", NOW), range(40)))
        assert numbers(Audit(store, [SECRET]).entries()) == [*range(40, 0, -1)]
        assert faults(store) == []
    store.close()


@given(st.text(max_size=20), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_an_entry_survives_a_round_trip(reason: str, details: dict[str, str]) -> None:
    keys = ChainKeys([SECRET])
    try:
        entry, body = encode(Entry(1, NOW, "p", "support", "note", "a", reason, details, "0" * 64), keys)
    except TypeError:  # a lone surrogate, which no form can send
        return
    assert replace(decode(body), who=entry.who) == entry
    assert entry.is_intact(keys)
    assert not entry.is_intact(ChainKeys([OTHER]))


# Reasons that an erasure takes


def with_a_note(store: Store) -> Audit:
    known = Audit(store, [SECRET])
    known.append(ANNA, "note", "cad-1", "Mrs Miller asked", NOW)
    known.append(ANNA, "erase", "cad-1", "they asked for it", NOW + 10)
    return known


def test_an_erased_reason_is_gone_from_every_copy_and_the_chain_verifies(store: Store) -> None:
    known = with_a_note(store)
    for _ in range(2):
        known.erase_reasons("cad-1", NOW, NOW + 5)
    assert [one.reason for one in known.entries(device_id="cad-1")] == ["they asked for it", ""]
    bodies = [
        record.body
        for place in (audit.LEDGER, audit.of_device("cad-1"), audit.of_person(known.entries()[0].person))
        for record in store.records(place)
    ]
    assert len(bodies) == 6
    assert [body for body in bodies if "Miller" in body] == []
    assert [*AuditCheck(known).faults()] == []


def test_the_file_name_of_an_import_goes_with_its_reason(store: Store) -> None:
    known, name = Audit(store, [SECRET]), "Jane Miller, 12 High Street.csv"
    record_import(known, ANNA, "cad-1", "history from the old supplier", NOW, file=name)
    record_import(known, ANNA, "cad-1", "x" * 495, NOW, file=name)
    reasons = [one.reason for one in known.entries(device_id="cad-1")]
    assert reasons == [f"{'x' * 495}: Jan", f"history from the old supplier: {name}"]
    with pytest.raises(ConfigurationError, match="give a reason"):
        record_import(known, ANNA, "cad-1", "", NOW, file=name)

    known.append(ANNA, "erase", "cad-1", "they asked for it", NOW + 10)
    known.erase_reasons("cad-1", NOW, NOW + 5)
    bodies = [record.body for place in (audit.LEDGER, audit.of_device("cad-1")) for record in store.records(place)]
    assert (len(bodies), [body for body in bodies if "Jane" in body]) == (6, [])
    assert [*AuditCheck(known).faults()] == []


def test_a_reason_cannot_be_changed_or_taken_without_a_trace(store: Store) -> None:
    known = with_a_note(store)
    entry = known.entries(device_id="cad-1")[-1]
    for place in (audit.LEDGER, audit.of_device("cad-1"), audit.of_person(entry.person)):
        (body,) = [record.body for record in store.records(place) if record.key == entry.key]
        store.put_record(place, entry.key, body.replace("Miller", "Smith"))
    assert [*AuditCheck(known).faults()] == ["entry 1 was changed"]
    other = Audit(store, [SECRET])
    other.append(ANNA, "note", "cad-2", "of another home", NOW + 20)
    other.erase_reasons("cad-2", NOW, NOW + 30)
    assert "the reason of entry 3 was removed, and no entry tells of it" in [*AuditCheck(other).faults()]


# The times of households


class Move(NamedTuple):
    """Another household takes the home, some days after the one before; nobody does where it is empty."""

    household: str
    days: int


MOVES = st.builds(Move, st.sampled_from(["A", "B", "C", ""]), st.integers(1, 40))
EVENTS = st.lists(st.tuples(st.integers(1, 600), st.one_of(st.none(), MOVES)), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(events=EVENTS, erased=st.sampled_from("ABC"))
def test_each_look_is_read_and_erased_with_the_household_of_its_time(
    events: list[tuple[int, Move | None]], erased: str
) -> None:
    """Events are so many hours apart; a move is written down before its day or after it, and others look meanwhile."""
    store = store_on(in_memory(), MEMORY)
    known, now, looks = Audit(store, [SECRET]), NOW, dict[str, int]()
    chain = [("A", 0, 0)]  # household, its first instant, when it was written down
    store.put_device(Device("a", "Europe/London", household="A"))
    for hours, event in events:
        now += hours * 3600
        before = store.device("a")
        assert before
        if event is None:
            looks[known.append(ANNA, "look-up", "a", f"at {now}", now).reason] = now
        elif event.household != before.household:
            day = shift("day", before.occupied_from or "2026-11-18", event.days)
            record_device(known, ANNA, before, moved(before, event.household, day), "moved", now)
            move(store, before, event.household, day)
            chain.append((event.household, day_start(day, "Europe/London"), now))
    own = {  # the place of each look in the chain: of who was known to live there
        reason: max(place for place, (_, *since) in enumerate(chain) if max(since) <= at)
        for reason, at in looks.items()
    }
    assume(erased in [one for one, *_ in chain])
    for _ in erasing(store, known, make_plan(store, erased), now + 1):
        pass
    left = {one.reason for one in known.entries(device_id="a") if one.action == "look-up"} - {""}
    assert left == {reason for reason, place in own.items() if chain[place][0] != erased}
    present = store.device("a")
    assert present
    for household in {one for one, *_ in chain} - {"", erased}:
        seen, newest = seen_by(present, household), max(n for n, one in enumerate(chain) if one[0] == household)
        assert seen
        read = {one.reason for one in known.seen_by_staff(seen) if one.action == "look-up"}
        assert read == {reason for reason, place in own.items() if place == newest}


def test_an_address_keeps_the_pseudonyms_of_others_who_had_it(store: Store) -> None:
    """The address is written down before there is an account, and another person has it later."""
    invited, later = Who("", ANNA.email, "household", "Anna"), Who("u-9", ANNA.email, "household", "Anne")
    for one in (invited, ANNA, later):
        audit_people.pseudonym_of(store, one)
    assert len(audit_people.forget(store, ANNA.user_id)) == 1
    left = [audit_people.load_card(store, one) for one in audit_people.pseudonyms(store, ANNA.email)]
    assert [card.user_id for card in left if card] == ["", "u-9"]
    assert len(audit_people.forget(store, ANNA.email)) == 2
    assert store.records("audit/cards") == store.records("audit/people") == []
