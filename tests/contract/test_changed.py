"""When a document last changed: known of each, and no change by itself."""

from aggregator.core.documents import Device, Part
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store import Store
from aggregator.waterfall.worker import drain
from tests.contract.conftest import Clock

HOME, DAY, AT = "home", "2026-11-18", 1_795_000_200
PART, MORE = Part(250, 3), Part(251, 3)
LEVELS = {"day": "2026-11-18", "month": "2026-11", "year": "2026"}


def changed(store: Store, level: str = "day") -> int | None:
    document = store.document(level, HOME, LEVELS[level])
    assert document
    return document.changed_at


def test_a_document_changed_when_one_of_its_parts_became_another(either: Store, clock: Clock) -> None:
    for seconds, parts in ((0, {"h00": PART}), (60, {"h01": PART}), (120, {"h00": MORE}), (180, {"h01": None})):
        clock.now = AT + seconds
        assert either.merge_parts("day", HOME, DAY, "UTC", parts)
        assert changed(either) == AT + seconds
    (listed,) = either.documents("day", HOME, DAY, DAY)
    assert listed.changed_at == AT + 180


def test_a_repeated_write_is_no_change_at_any_time(either: Store, clock: Clock) -> None:
    clock.now = AT
    either.merge_parts("day", HOME, DAY, "UTC", {"h00": PART})
    either.settle(either.changes("day", 9))
    clock.now = AT + 60
    assert not either.merge_parts("day", HOME, DAY, "UTC", {"h00": PART, "h01": None})
    assert changed(either) == AT
    assert either.changes("day", 9) == []


def test_equal_documents_compare_equal_whatever_their_age(either: Store, clock: Clock) -> None:
    found = []
    for seconds in (0, 60):
        clock.now = AT + seconds
        either.merge_parts("day", HOME, DAY, "UTC", {"h00": PART})
        found.append(either.document("day", HOME, DAY))
        either.merge_parts("day", HOME, DAY, "UTC", {"h00": None})
    first, second = found
    assert first
    assert second
    assert (first.changed_at, second.changed_at) == (AT, AT + 60)
    assert first == second


def test_readings_change_the_charts_that_they_reach_and_sent_again_none(either: Store, clock: Clock) -> None:
    either.put_device(Device(HOME, "UTC"))
    readings = [Reading(HOME, AT + 60 * number, 600, 10 * number, None) for number in range(30)]
    for seconds in (0, 600):
        clock.now = AT + 1800 + seconds
        ingest(either, readings, int(clock.now), "UTC")
        either.mark("readings", HOME, [str(AT - AT % 1800)])
        drain(either)
        assert {level: changed(either, level) for level in LEVELS} == dict.fromkeys(LEVELS, AT + 1800)
