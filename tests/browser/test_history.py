"""The whole way of a file in a real browser, without a script of ours: uploaded, asked, shown, imported, undone."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, ViewportSize, expect

from aggregator.core.documents import Device
from aggregator.intake.imports.import_records import TAKING, UNDONE, imports_of
from aggregator.store.collections import IMPORT_JOBS
from aggregator.store.port import Store
from dashboard.pages.history.import_job import ImportJob, encoded
from tests.browser.conftest import DESK, PHONE, Open, serve
from tests.browser.test_accessibility import AXE
from tests.copies import Copy
from tests.dashboard import homes

PATIENCE_MS = 30_000


def november(store: Store) -> None:
    homes.fill(store, Device("cad-1", name="12 Acacia Road"), "2026-11-01", homes.NOW)


@pytest.fixture
def home(copy: Copy) -> Iterator[tuple[Store, str]]:
    store = copy(november)
    for address in serve(store):
        yield store, address


@pytest.fixture
def path(tmp_path: Path) -> Path:
    first = datetime(2026, 10, 26, tzinfo=UTC)
    times = (first + timedelta(minutes=30 * place) for place in range(48 * 25 + 1))
    made = tmp_path / "meter.csv"
    rows = (f"{at:%d/%m/%Y %H:%M},{homes.curve(int(at.timestamp())).import_wh}\n" for at in times)
    made.write_text("Date,Consumption (Wh)\n" + "".join(rows))
    return made


def check(page: Page) -> None:
    page.evaluate(AXE_SCRIPT)
    assert page.evaluate(AXE) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_a_file_is_asked_about_shown_imported_and_undone(
    home: tuple[Store, str], visit: Open, path: Path, viewport: ViewportSize
) -> None:
    store, address = home
    page = visit("/d/cad-1", address, viewport, ready="#history[href]")
    page.locator("#history").click()
    check(page)
    page.get_by_label("A file of your meter").set_input_files(path)
    press(page, "Look at the file")
    expect(page.get_by_role("heading", name="A question about the file")).to_be_visible(timeout=PATIENCE_MS)
    check(page)
    page.get_by_label("It is the start").check()
    press(page, "Go on")
    expect(page.get_by_role("heading", name="This is what the file holds")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator(".outcome")).to_contain_text("1,201 rows would be imported")
    assert page.locator(".filed-bars .file").count() == 26
    check(page)
    press(page, "Import")
    expect(page.get_by_role("heading", name="The file is imported")).to_be_visible(timeout=PATIENCE_MS)
    check(page)
    press(page, "Upload another file")
    page.get_by_role("link", name="Undo meter.csv").click()
    check(page)
    press(page, "Undo")
    expect(page.get_by_role("heading", name="The import is undone")).to_be_visible(timeout=PATIENCE_MS)
    assert [one.state for one in imports_of(store, "cad-1")] == [UNDONE]


def test_a_job_at_work_is_watched_and_cancelled_with_the_keyboard(home: tuple[Store, str], visit: Open) -> None:
    store, address = home
    now = int(time.time())
    job = ImportJob(
        "a", "cad-1", homes.HOUSEHOLD, "household Ann", "meter.csv", TAKING, now, since=now - 60, percent=40
    )
    store.put_record(IMPORT_JOBS.of(), "cad-1", encoded(job))
    page = visit("/d/cad-1/history", address, DESK, ready="progress")
    expect(page.get_by_role("progressbar", name="The file is being imported")).to_have_attribute("value", "40")
    check(page)
    page.get_by_role("button", name="Cancel").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("The import is being cancelled; nothing of it stays")
    check(page)
    assert page.get_by_role("button", name="Cancel").count() == 0
