"""A home changes hands on each store: a year that is shared has a share for each household, which one read tells.

The waterfall writes the shares as it carries a month into its year, and a move those of what has become shared.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core import periods
from aggregator.core.documents import Device, Part, add
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import DAY_S, HALF_HOUR
from aggregator.core.readings import Interval
from aggregator.erasure.erasing import erasing, remains
from aggregator.erasure.erasure_plan import make_plan
from aggregator.intake.ingest import ingest_intervals
from aggregator.store import Store
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.occupancies import erased_spans, moved, occupancies, returned, seen_by, stays
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.support.audit import Audit
from aggregator.tariffs.tariff import tariff_from_json
from aggregator.waterfall.levels import move, take_back
from aggregator.waterfall.pricing import change_tariff
from aggregator.waterfall.verify import differences, rebuild
from aggregator.waterfall.worker import drain
from dashboard.web.cache import open_cache
from dashboard.web.cached_reads import CachedReads
from tests.budgets import examples
from tests.contract.conftest import KEEP, MEMORY, in_memory
from tests.contract.test_functions import LATER, Stack
from tests.copies import empty_file, quick_disk
from tests.dashboard.homes import instant

PAYING = {"a", "b", "birch"}
CAD, GAS = HOME = ("cad-1", "cad-1~gas")
ZONE = "Europe/London"
NOW = instant("2027-02-01T12:00:00Z")
FIRST = instant("2025-11-01T12:00:00Z")  # to the summer of 2026: two years, each of them shared
DAYS = 240


def device(store: Store, device_id: str = CAD) -> Device:
    found = store.device(device_id)
    assert found
    return found


def day_of(number: int) -> str:
    return periods.day_of(FIRST + number * DAY_S, ZONE)


def use(store: Store, number: int, wh: int) -> None:
    """Take in the energy of the noon of a day, of both meters."""
    at = FIRST + number * DAY_S
    store.write_intervals([Interval(one, at, at + HALF_HOUR, wh, None) for one in HOME], NOW)


def give(store: Store, household: str, day: str) -> None:
    """Give the home to a household; some have told their tariff."""
    move(store, device(store), household, day)
    version = {"from": "2020-01-01", "import": f"0.{len(occupancies(device(store)))}"}
    for one in HOME if household in PAYING else ():
        change_tariff(store, device(store, one), tariff_from_json({"currency": "GBP", "versions": [version]}))


def reader(store: Store) -> CachedReads:
    return CachedReads(store, open_cache(Flask("one"), ""), lambda: NOW)


@contextmanager
def on_sqlite() -> Iterator[Store]:
    with TemporaryDirectory(dir=quick_disk()) as folder:
        path = Path(folder) / "moves.db"
        path.write_bytes(empty_file())
        with closing(SqliteStore(str(path), lambda: NOW)) as store:
            yield store


@contextmanager
def on_dynamodb() -> Iterator[Store]:
    with closing(DynamoStore(in_memory(), MEMORY, KEEP, 0, lambda: NOW)) as store:
        yield store


Opened = Callable[[], AbstractContextManager[Store]]
Event = tuple[str, int, int]  # energy, a day and Wh; or a move, a day and nothing; or the worker at work


@st.composite
def pasts(draw: st.DrawFn) -> list[Event]:
    """Days with energy, moves in order, some taken back, and the worker, mixed: energy comes also after the move."""
    used = draw(st.lists(st.tuples(st.just("use"), st.integers(0, DAYS), st.integers(1, 9_999)), min_size=1))
    moves = [("move", day, 0) for day in sorted(draw(st.sets(st.integers(1, DAYS), max_size=5)))]
    events: list[Event] = [*used, *[("work", 0, 0)] * draw(st.integers(0, 3))]
    events = draw(st.permutations([*events, *[("undo", 0, 0)] * draw(st.integers(0, 2))]))
    for one in moves:  # each after the one before
        least = max((place + 1 for place, event in enumerate(events) if event[0] == "move"), default=0)
        events.insert(draw(st.integers(least, len(events))), one)
    return events


@pytest.mark.parametrize("opened", [on_sqlite, on_dynamodb])
@given(events=pasts(), chance=st.randoms(use_true_random=False))
@examples(40)
def test_each_year_of_each_stay_is_the_sum_of_its_own_days(opened: Opened, events: list[Event], chance: Random) -> None:
    with opened() as store:
        store.put_device(Device(CAD, ZONE, household="a", longest_interval_s=HALF_HOUR))
        store.put_device(Device(GAS, ZONE, longest_interval_s=HALF_HOUR))
        for kind, number, wh in events:
            if kind == "use":
                use(store, number, wh)
            elif kind == "work":
                drain(store)
            elif kind == "undo":
                take_back(store, device(store), device(store).occupied_from or "2025-11-02")
            else:
                others = [one for one in ("", "a", "b", "c") if one != device(store).household]
                give(store, chance.choice(others), day_of(number))
        drain(store)
        for one in HOME:
            assert [*differences(store, device(store, one))] == []
            for household in "abc":
                for stay in stays(device(store, one), household):
                    assert_sums(store, stay)


def assert_sums(store: Store, stay: Device) -> None:
    first, last = occupancies(stay)[-1].days
    own = store.documents("day", stay.device_id, first, last)
    data = reader(store)
    for year in ("2025", "2026"):
        wanted = add(day.total for day in own if day.period[:4] == year)
        found = data.energy(stay, "year", year)
        assert (found.total if found else add(())) == wanted
        for month in periods.children("year", year).values():
            wanted = add(day.total for day in own if day.period[:7] == month)
            assert (found.part(periods.part_in("year", month)) if found else add(())) == wanted


@pytest.fixture
def home(either: Store) -> Store:
    """A home of three households in one month, with 1, 2 and 4 kWh of their own."""
    either.put_device(Device(CAD, ZONE, household="acacia", longest_interval_s=HALF_HOUR))
    either.put_device(Device(GAS, ZONE, longest_interval_s=HALF_HOUR))
    for number, wh in ((2, 1_000), (12, 2_000), (22, 4_000)):
        use(either, number, wh)
    drain(either)
    give(either, "birch", "2025-11-10")
    give(either, "willow", "2025-11-20")
    drain(either)
    return either


LEVELS = ("month", "year")
SHARES = {"o20251101": 1_000, "o20251110": 2_000, "o20251120": 4_000}


def year_of(store: Store, device_id: str = CAD) -> dict[str, int | None]:
    document = store.document("year", device_id, "2025")
    return {name: part.import_wh for name, part in document.parts.items()} if document else {}


@pytest.mark.parametrize("device_id", HOME)
def test_a_year_that_changed_hands_is_one_read(home: Store, device_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read, reads = home.document, list[tuple[str, str]]()

    def counted(level: str, device_id: str, period: str) -> object:
        reads.append((level, period))
        return read(level, device_id, period)

    monkeypatch.setattr(home, "document", counted)
    for household, wh in (("acacia", 1_000), ("birch", 2_000), ("willow", 4_000)):
        stay = seen_by(device(home, device_id), household)
        assert stay
        for level, period in (("month", "2025-11"), ("year", "2025")):
            reads.clear()
            document = reader(home).energy(stay, level, period)
            assert document
            assert document.total.import_wh == wh
            assert not document.parts.keys() & SHARES.keys()
            assert reads == [(level, period)]


def test_the_document_of_the_whole_year_stays_as_it_was(home: Store) -> None:
    assert year_of(home) == {"m11": 7_000, **SHARES}
    document = home.document("year", CAD, "2025")
    assert document
    assert document.total.import_wh == 7_000


def test_the_functions_write_the_shares() -> None:
    stack = Stack(in_memory(), MEMORY, ZONE)
    stack.now = LATER
    stack.store.put_device(Device(CAD, ZONE, household="acacia", longest_interval_s=HALF_HOUR))
    stack.store.put_device(Device(GAS, ZONE, longest_interval_s=HALF_HOUR))
    move(stack.store, device(stack.store), "birch", "2025-11-10")
    use(stack.store, 2, 1_000)
    use(stack.store, 12, 2_000)
    stack.settle()
    for one in HOME:
        assert year_of(stack.store, one) == {"m11": 3_000, "o20251101": 1_000, "o20251110": 2_000}
    stack.store.close()


MOVED_ON = {"o20251101": 1_000, "o20251110": 2_000, "o20251122": 4_000}


def test_a_move_tells_each_household_its_year_before_the_worker_runs(home: Store) -> None:
    use(home, 20, 500)
    drain(home)
    move(home, device(home), "rowan", "2025-11-22")
    for one in HOME:
        assert year_of(home, one) == {"m11": 7_500, **MOVED_ON, "o20251120": 500}
        for household, wh in (("acacia", 1_000), ("birch", 2_000), ("willow", 500), ("rowan", 4_000)):
            stay = seen_by(device(home, one), household)
            assert stay
            found = [reader(home).energy(stay, level, "2025-11"[: 4 + 3 * (level == "month")]) for level in LEVELS]
            assert [document and document.total.import_wh for document in found] == [wh, wh]


def test_a_move_that_stopped_before_its_year_was_carried_is_completed_by_the_same_again(home: Store) -> None:
    move(home, device(home), "rowan", "2025-11-22")
    for feed in ("prices", *periods.feed_levels()):
        home.settle(home.changes(feed, 1000))  # the process that had the marks has ended
    for one in HOME:
        home.merge_parts("year", one, "2025", ZONE, {"o20251120": Part(4_000, None), "o20251122": None}, "GBP")
    move(home, device(home), "rowan", "2025-11-22")
    assert [year_of(home, one) for one in HOME] == [{"m11": 7_000, **MOVED_ON}] * 2


@pytest.mark.parametrize("device_id", HOME)
def test_a_year_that_was_written_before_there_were_shares_loses_nothing(home: Store, device_id: str) -> None:
    home.merge_parts("year", device_id, "2025", ZONE, dict.fromkeys(SHARES), "GBP")
    assert year_of(home, device_id) == {"m11": 7_000}
    for household, wh in (("acacia", 1_000), ("birch", 2_000), ("willow", 4_000)):
        stay = seen_by(device(home, device_id), household)
        assert stay
        found = reader(home).energy(stay, "year", "2025")
        assert found
        assert {name: part.import_wh for name, part in found.parts.items()} == {"m11": wh}


def test_a_second_meter_that_is_new_after_a_move_tells_each_household_its_days(either: Store) -> None:
    either.put_device(Device(CAD, ZONE, household="acacia", name="Villa", tariff="", longest_interval_s=HALF_HOUR))
    for household, day in (("birch", "2025-11-10"), ("willow", "2025-11-20")):
        move(either, device(either), household, day)
    for number, wh in ((22, 4_000), (12, 2_000), (2, 1_000)):
        at = FIRST + number * DAY_S
        ingest_intervals(either, [Interval(GAS, at, at + HALF_HOUR, wh, None)], NOW, ZONE)
        drain(either)
    gas = device(either, GAS)
    assert [(one.household, one.name) for one in occupancies(gas)] == [("acacia", ""), ("birch", ""), ("willow", "")]
    assert year_of(either, GAS) == {"m11": 7_000, **SHARES}
    assert [*differences(either, gas)] == []
    for household, wh in (("acacia", 1_000), ("birch", 2_000), ("willow", 4_000)):
        assert either.household_devices(household) == [*HOME]
        stay = seen_by(gas, household)
        assert stay
        found = reader(either).energy(stay, "year", "2025")
        assert found
        assert found.total.import_wh == wh


def test_a_second_meter_that_took_part_in_later_moves_alone_has_the_earlier_ones(either: Store) -> None:
    either.put_device(Device(CAD, ZONE, household="acacia"))
    move(either, device(either), "birch", "2025-11-10")
    either.put_device(Device(GAS, ZONE, former='[["birch","2025-11-10","2025-11-19","Our gas","","T"]]'))
    either.put_device(moved(device(either), "willow", "2025-11-20"))
    told = [(*one[:3], one.name, one.tariff) for one in occupancies(device(either, GAS))]
    assert told == [
        ("acacia", "1970-01-01", "2025-11-09", "", ""),
        ("birch", "2025-11-10", "2025-11-19", "Our gas", "T"),
        ("willow", "2025-11-20", "2199-12-31", "", ""),
    ]


def state_of(store: Store) -> list[object]:
    """All that is stored of the home."""
    documents = [store.documents(level, one, "2025", "2027") for level in periods.LEVELS for one in HOME]
    told = [(each.period, each.parts, each.currency) for some in documents for each in some]
    return [*map(store.device, HOME), *told, [store.household_devices(one) for one in ("willow", "rowan")]]


def test_a_move_that_is_taken_back_leaves_nothing(home: Store) -> None:
    before = state_of(home)
    give(home, "a", "2025-11-22")
    home.put_device(replace(device(home), name="Rowan House", postcode="ZZ1 1ZZ"))
    home.put_device(replace(device(home, GAS), name="Their gas"))
    drain(home)
    assert state_of(home) != before
    assert take_back(home, device(home), "2025-11-22")
    drain(home)
    assert state_of(home) == before
    assert [[*differences(home, device(home, one))] for one in HOME] == [[], []]
    assert not take_back(home, device(home), "2025-11-22")
    assert state_of(home) == before


def test_the_only_move_that_is_taken_back_leaves_nothing(either: Store) -> None:
    either.put_device(Device(CAD, ZONE, household="acacia", name="Villa", longest_interval_s=HALF_HOUR))
    either.put_device(Device(GAS, ZONE, name="Villa's gas", longest_interval_s=HALF_HOUR))
    use(either, 12, 2_000)
    drain(either)
    before = state_of(either)
    give(either, "birch", "2025-11-10")
    drain(either)
    assert take_back(either, device(either), "2025-11-10")
    drain(either)
    assert state_of(either) == before


def test_taking_a_move_back_is_completed_by_the_same_again(home: Store) -> None:
    before = state_of(home)
    give(home, "b", "2025-11-22")
    home.put_device(returned(device(home), "2025-11-22"))  # and then the process ended
    assert take_back(home, device(home), "2025-11-22")
    drain(home)
    assert state_of(home) == before


def test_a_home_without_its_household_is_erased_again_when_a_move_is_taken_back(home: Store) -> None:
    [*erasing(home, Audit(home, []), make_plan(home, "willow"), NOW)]
    before = device(home)
    assert erased_spans(before)[-1].end == periods.FOR_EVER
    for day in ("2026-12-01", "2027-02-01"):
        move(home, device(home), "rowan", day)
        assert erased_spans(device(home))[-1].end == NOW  # what came before is not given back, whichever day they name
        assert take_back(home, device(home), day)
        assert device(home) == before


def test_a_move_is_not_taken_back_where_evidence_since_is_erased(home: Store) -> None:
    move(home, device(home), "rowan", "2025-11-22")
    [*erasing(home, Audit(home, []), make_plan(home, "rowan"), NOW)]
    with pytest.raises(ConfigurationError, match="since 2025-11-22 are erased"):
        take_back(home, device(home), "2025-11-22")


def test_verify_names_a_wrong_share_and_rebuild_mends_it(home: Store) -> None:
    right = year_of(home)
    wrong = {"o20251110": Part(9, None), "o20251115": Part(1, None)}
    home.merge_parts("year", CAD, "2025", ZONE, wrong, "GBP")
    named = [line.partition(":")[0] for line in differences(home, device(home))]
    assert named == [f"{CAD} year 2025 {name}" for name in wrong]
    rebuild(home, device(home), None, None)
    drain(home)
    assert (year_of(home), [*differences(home, device(home))]) == (right, [])


def test_an_erasure_takes_the_share_and_its_proof_looks_for_one(home: Store) -> None:
    plan = make_plan(home, "birch")
    assert [line for line in erasing(home, Audit(home, []), plan, NOW) if line] == []
    drain(home)
    assert year_of(home) == {"m11": 5_000, **{name: wh for name, wh in SHARES.items() if wh != 2_000}}
    assert [line for line in remains(home, plan, NOW) if line] == []
    home.merge_parts("year", CAD, "2025", ZONE, {"o20251110": Part(2_000, None)}, "GBP")
    assert [line for line in remains(home, plan, NOW) if line] == [f"the year 2025 of {CAD}"]


def test_the_share_of_an_open_month_waits_and_is_shown(home: Store) -> None:
    move(home, device(home), "rowan", "2025-11-22")
    home.merge_parts("year", CAD, "2025", ZONE, {"o20251120": Part(4_000, None), "o20251122": None}, "GBP")
    ended, still_open = (instant(f"2025-{day}T12:00:00Z") for day in ("12-01", "11-30"))
    wrong = [line for line in differences(home, device(home), ended) if " year " in line]
    assert [line.split(":")[0] for line in wrong] == [f"{CAD} year 2025 {one}" for one in ("o20251120", "o20251122")]
    assert [line for line in differences(home, device(home), still_open) if " year " in line] == []
    for household, wh in (("birch", 2_000), ("willow", 0), ("rowan", 4_000)):
        stay = seen_by(device(home), household)
        assert stay
        found = CachedReads(home, open_cache(Flask("one"), ""), lambda: still_open).energy(stay, "year", "2025")
        assert (found.total.import_wh if found else 0) == wh
