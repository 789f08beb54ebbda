"""The support actions on a device after its look-up."""

import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient

from aggregator.core.periods import DAY_S, day_of, iso_utc, local
from aggregator.store.port import Store
from aggregator.support import actions
from aggregator.support.audit import Audit
from aggregator.waterfall.worker import drain
from dashboard.commands.main import main
from tests.dashboard.people import SECRET, Clock
from tests.dashboard.support_desks import DEVICE, FORMS, PAGE, audited_actions, look_up, post, sent, server_on, staff_on


@pytest.fixture
def support(store: Store, clock: Clock) -> FlaskClient:
    client = staff_on(server_on(store, clock), store)
    look_up(client)
    return client


def test_a_note_stays_with_the_device(support: FlaskClient, store: Store) -> None:
    answer = post(support, f"{PAGE}/note", reason="Router moved\nto the hall <b>")
    assert answer.headers["Location"] == f"{PAGE}?done=note"
    assert audited_actions(store) == ["note", "look-up"]
    assert "Router moved to the hall &lt;b&gt;" in support.get(PAGE).text


def test_a_rebuild_is_audited(support: FlaskClient, store: Store, clock: Clock) -> None:
    sent(store, clock(), hours=30)
    day = day_of(clock() - DAY_S, "Europe/London")
    before = store.document("day", "cad-1", day)
    assert before
    store.merge_parts("day", "cad-1", day, "Europe/London", dict.fromkeys(before.parts))
    answer = post(support, f"{PAGE}/rebuild", first=day, last=day, reason="a hole")
    drain(store)
    assert answer.headers["Location"] == f"{PAGE}?done=rebuild"
    assert store.document("day", "cad-1", day) == before
    entry = Audit(store, []).entries(device_id="cad-1")[0]
    assert (entry.action, entry.details) == ("rebuild", {"from": day, "to": day})


def test_days_without_readings_do_not_count_as_rebuilt(support: FlaskClient) -> None:
    answer = post(support, f"{PAGE}/rebuild", first="2026-01-01", last="2026-01-02", reason="a hole")
    assert answer.headers["Location"] == f"{PAGE}?done=nothing"


@pytest.mark.parametrize(
    ("first", "last", "fault"),
    [
        ("", "", "Write both days"),
        ("2026-02-30", "2026-03-01", "Write both days"),
        ("2026-03-02", "2026-03-01", "comes after the last"),
        ("2026-01-01", "2026-02-05", "more than 35 days"),
        ("2026-01-01", "2199-01-01", "still to come"),
        ("<b>", "2026-03-01", "Write both days"),
    ],
)
def test_invalid_days_are_refused_with_the_reason(
    support: FlaskClient, store: Store, first: str, last: str, fault: str
) -> None:
    answer = post(support, f"{PAGE}/rebuild", first=first, last=last, reason="a hole")
    assert answer.status_code == 422
    assert fault in answer.text
    assert "<b>" not in answer.text
    assert audited_actions(store) == ["look-up"]


def test_a_rebuild_takes_35_days_at_once(support: FlaskClient) -> None:
    answer = post(support, f"{PAGE}/rebuild", first="2026-01-01", last="2026-02-04", reason="a hole")
    assert answer.status_code == 303


def local_time(at: int) -> str:
    return local(at, "Europe/London").format("YYYY-MM-DDTHH:mm:ss")


def test_an_exchange_is_marked_and_undone(support: FlaskClient, store: Store, clock: Clock) -> None:
    sent(store, clock())
    at = clock() - 3600
    answer = post(support, f"{PAGE}/exchange", kind="exchange", time=local_time(at), reason="new meter")
    assert answer.headers["Location"] == f"{PAGE}?done=exchange"
    marked = store.device("cad-1")
    assert marked
    assert marked.exchange_overrides == f"{at}+"
    assert "marked as an exchange" in support.get(f"{PAGE}/exchange").text
    post(support, f"{PAGE}/exchange", undo=str(at), reason="a mistake")
    unmarked = store.device("cad-1")
    assert unmarked
    assert unmarked.exchange_overrides == ""
    details = [entry.details for entry in Audit(store, []).entries(device_id="cad-1")[:2]]
    assert details == [{"at": iso_utc(at), "is": "taken back"}, {"at": iso_utc(at), "is": "exchanged"}]


@pytest.mark.parametrize("time", ["", "yesterday", "2026-11-17T14:02:00Z", "0001-01-01T00:00", "2026-13-01T00:00"])
def test_an_invalid_time_marks_nothing(support: FlaskClient, store: Store, time: str) -> None:
    answer = post(support, f"{PAGE}/exchange", kind="exchange", time=time, reason="new meter")
    assert answer.status_code == 422
    assert "Write the day and the time" in answer.text
    assert audited_actions(store) == ["look-up"]


@pytest.mark.parametrize("kind", ["exchange", "none"])
def test_a_future_exchange_is_refused(support: FlaskClient, store: Store, clock: Clock, kind: str) -> None:
    answer = post(support, f"{PAGE}/exchange", kind=kind, time=local_time(clock() + 3600), reason="new meter")
    assert answer.status_code == 422
    assert "still to come" in answer.text
    assert audited_actions(store) == ["look-up"]


def test_an_unmarked_exchange_cannot_be_undone(support: FlaskClient, store: Store) -> None:
    answer = post(support, f"{PAGE}/exchange", undo="1795000000", reason="a mistake")
    assert answer.status_code == 422
    assert "This cannot be done: nothing is marked" in answer.text
    assert audited_actions(store) == ["look-up"]


def test_a_refused_action_is_not_audited(support: FlaskClient, store: Store, clock: Clock) -> None:
    sent(store, clock())
    device = store.device("cad-1")
    assert device
    now = clock()
    full = replace(device, exchange_overrides=" ".join(f"{now - 100 + at}+" for at in range(actions.MOST)))
    store.put_device(full)
    answer = post(support, f"{PAGE}/exchange", kind="exchange", time=local_time(now - 3600), reason="new meter")
    assert answer.status_code == 422
    assert "has 20 marked instants already" in answer.text
    assert store.device("cad-1") == full
    assert audited_actions(store) == ["look-up"]


def test_a_bundle_is_an_audited_zip_file(support: FlaskClient, store: Store) -> None:
    answer = post(support, f"{PAGE}/bundle", reason="for the manufacturer")
    assert answer.mimetype == "application/zip"
    assert re.search(r'attachment; filename="wattfall-cad-1-[\d-]+\.zip"', answer.headers["Content-Disposition"])
    assert "no-store" in answer.headers["Cache-Control"]
    assert json.loads(unzipped(answer.data)["device.json"])["device_id"] == "cad-1"
    assert audited_actions(store) == ["export", "look-up"]


@pytest.mark.parametrize("name", FORMS)
def test_every_action_needs_a_reason(support: FlaskClient, store: Store, name: str) -> None:
    answer = post(support, f"{PAGE}/{name}", first="2026-01-01", last="2026-01-01", time="2026-11-17T14:02", reason=" ")
    assert answer.status_code == 422
    assert "Say in a few words why" in answer.text
    assert audited_actions(store) == ["look-up"]


# The web and the command line


def unzipped(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def wattfall(folder: Path, *arguments: str) -> Result:
    secret = {"WATTFALL_SECRET": SECRET}
    return CliRunner().invoke(main, [*arguments, "--store", f"sqlite:///{folder}/homes.db"], env=secret)


def test_web_and_command_line_write_equal_entries(
    support: FlaskClient, store: Store, clock: Clock, tmp_path: Path
) -> None:
    sent(store, clock())
    at, day = clock() - 3600, day_of(clock(), "Europe/London")
    post(support, f"{PAGE}/rebuild", first=day, last=day, reason="a hole")
    post(support, f"{PAGE}/exchange", kind="none", time=local_time(at), reason="it ran on")
    post(support, f"{PAGE}/exchange", undo=str(at), reason="a mistake")
    post(support, f"{PAGE}/bundle", reason="for the makers")
    web = [(one.action, one.reason, one.details) for one in Audit(store, []).entries(device_id="cad-1", limit=4)]

    wattfall(tmp_path, "rebuild", "cad-1", "--from", day, "--to", day, "--reason", "a hole")
    wattfall(tmp_path, "exchange", "cad-1", iso_utc(at), "--not", "--reason", "it ran on")
    wattfall(tmp_path, "exchange", "cad-1", iso_utc(at), "--undo", "--reason", "a mistake")
    wattfall(tmp_path, "bundle", "cad-1", str(tmp_path / "cad-1.zip"), "--reason", "for the makers")
    found = Audit(store, []).entries(device_id="cad-1", limit=4)
    assert [(one.action, one.reason, one.details) for one in found] == web
    assert {one.who.role for one in found} == {"operator"}


def test_web_and_command_line_make_equal_anonymous_bundles(
    support: FlaskClient, store: Store, clock: Clock, tmp_path: Path
) -> None:
    sent(store, clock())
    path = tmp_path / "cad-1.zip"
    wattfall(tmp_path, "bundle", "cad-1", str(path), "--reason", "for the makers")
    web, written = unzipped(post(support, f"{PAGE}/bundle", reason="for the makers").data), unzipped(path.read_bytes())

    assert list(web) == list(written)
    for name in ("device.json", "refused.json", "days.jsonl", "readings.jsonl"):
        assert web[name] == written[name]
    for text in (*web.values(), *written.values()):
        for secret in (DEVICE.household, DEVICE.name, DEVICE.postcode, DEVICE.meter_point, "pat@", "Pat", "cad-2"):
            assert secret not in text
    assert DEVICE.meter_point[-4:] in web["device.json"]
