import pytest

from aggregator.support import actions
from aggregator.support.audit import ACTIONS, Entry, Seen, Who
from dashboard.pages.support import audit_view
from dashboard.text.language import ENGLISH, languages
from tests.dashboard.homes import LONDON, NOW, instant

PAT = Who("u1", "pat@desk.example", "support", "Pat Murray")


def entry(
    action: str = "look-up", who: Who = PAT, device_id: str = "cad-1", details: dict[str, str] | None = None
) -> Entry:
    return Entry(7, NOW - 60, "p", who.role, action, device_id, "ticket 4711", details or {}, "", who=who)


def test_an_entry_has_person_action_time_and_reason() -> None:
    assert audit_view.row(entry(), NOW, LONDON, LONDON, ENGLISH) == (
        "14:19",
        "Pat Murray",
        "pat@desk.example",
        "Looked at the device",
        "",
        "cad-1",
        "ticket 4711",
    )


def test_a_person_without_a_name_goes_by_address_or_id() -> None:
    nameless = Who("u1", "pat@desk.example", "support")
    assert audit_view.row(entry(who=nameless), NOW, LONDON, LONDON, ENGLISH).who == "pat@desk.example"
    assert audit_view.row(entry(who=Who("u1", "", "support")), NOW, LONDON, LONDON, ENGLISH)[1:3] == ("u1", "u1")


def test_every_action_has_words() -> None:
    assert set(audit_view.ACTIONS) == set(ACTIONS)


@pytest.mark.parametrize(
    ("action", "details", "expected"),
    [
        ("rebuild", {}, ""),
        ("rebuild", {"from": "2026-11-17", "to": "2026-11-17"}, "Tue 17 Nov"),
        ("rebuild", {"from": "2026-11-17", "to": "2026-11-19"}, "Tue 17 Nov – Thu 19 Nov"),
        ("rebuild", {"from": "2026-11-17"}, "from Tue 17 Nov"),
        ("rebuild", {"to": "2026-11-19"}, "up to Thu 19 Nov"),
        ("exchange", {"at": "2026-11-23T14:02:05Z", "is": actions.EXCHANGED}, "14:02:05 (GMT) · exchange"),
        ("account", {"user": "kim", "role": "household"}, "kim · household"),
    ],
)
def test_the_details_of_an_action_are_in_words(action: str, details: dict[str, str], expected: str) -> None:
    assert audit_view.details_label(entry(action, details=details), NOW, LONDON, ENGLISH) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (actions.EXCHANGED, "Zählertausch"),
        (actions.NOT_EXCHANGED, "kein Zählertausch"),
        (actions.TAKEN_BACK, "zurückgenommen"),
    ],
)
def test_details_use_the_readers_language_and_the_devices_time(written: str, expected: str) -> None:
    exchange = entry("exchange", details={"at": "2026-07-17T14:02:05Z", "is": written})
    german = audit_view.details_label(exchange, NOW, LONDON, languages()["de"])
    assert german == f"Freitag, 17. Juli, 15:02:05 (BST) · {expected}"


def test_a_home_reads_role_and_short_name_in_its_own_time() -> None:
    seen = Seen(instant("2026-07-01T12:00:00+00:00"), "support, Pat M.", "look-up", "ticket 4711", {})
    row = audit_view.seen_row(seen, "12 Acacia Road", NOW, LONDON, ENGLISH)
    assert row.by == "Support desk, Pat M."
    assert row.time == "13:00 on Wednesday 1 July (BST)"
    assert audit_view.seen_row(seen._replace(by="support"), "", NOW, LONDON, ENGLISH).by == "Support desk"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (actions.EXCHANGED, "Noted: the meter was exchanged on 20 November, 10:30"),
        (actions.NOT_EXCHANGED, "Noted: the meter was not exchanged on 20 November, 10:30"),
        (actions.TAKEN_BACK, "Took back the note of an exchange on 20 November, 10:30"),
    ],
)
def test_a_home_reads_when_its_meter_was_exchanged(written: str, expected: str) -> None:
    details = {"at": "2026-11-20T10:30:00+00:00", "is": written}
    seen = Seen(NOW, "support, Pat M.", "exchange", "called", details)
    assert audit_view.seen_row(seen, "12 Acacia Road", NOW, LONDON, ENGLISH).action == expected
