"""A household is erased by command and from its account page; a restored backup is erased again."""

import json
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result
from flask import Flask
from flask.testing import FlaskClient

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.periods import DAY_S, FOR_EVER
from aggregator.core.readings import Reading
from aggregator.erasure.erasing import OutsideStore
from aggregator.erasure.erasure_requests import (
    ask_for_erasure,
    begin,
    carry_out,
    due_erasures,
    erasure_due,
    outside_store,
    overdue,
)
from aggregator.erasure.erasure_rules import cache_key
from aggregator.intake.ingest import ingest
from aggregator.settings import load
from aggregator.store import open_store
from aggregator.store.collections import HOME, MARKS
from aggregator.store.port import Store
from aggregator.support.audit import Audit, Who
from aggregator.waterfall.levels import move
from aggregator.waterfall.worker import drain
from dashboard.accounts.api_keys import ApiKeys
from dashboard.accounts.users import SUPPORT, Passwords
from dashboard.commands.main import main
from dashboard.pages.account import account_page
from tests.dashboard import homes
from tests.dashboard.people import PASSWORD, QUICK, SECRET, accounts_on, browser, somebody, token_in
from tests.servers import free_port, running_redis

CAD = "cad-1"
START = homes.NOW - 2 * DAY_S


def furnish(store: Store) -> None:
    store.put_device(Device(CAD, household="acacia"))
    readings = [Reading(CAD, at, None, at - START, None) for at in range(START, homes.NOW, 600)]
    ingest(store, readings, homes.NOW, "Europe/London")
    drain(store)
    for email in ("ann@example.org", "ben@example.org"):
        somebody(store, email, household="acacia")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = open_store(f"sqlite:///{tmp_path}/home.db")
    furnish(store)
    store.close()
    return tmp_path / "home.db"


def run(path: Path, *arguments: str, cache: str = "") -> Result:
    return CliRunner().invoke(main, arguments, env={"WATTFALL_STORE": f"sqlite:///{path}", "WATTFALL_CACHE": cache})


# By command


def test_without_confirmation_only_the_plan_is_printed(path: Path) -> None:
    told = run(path, "household", "erase", "acacia")
    assert told.exit_code == 0
    first, accounts, hint = told.stdout.splitlines()
    assert first.startswith("cad-1: the first day to today, 97 half hours of readings, 3 days, 1 months, 1 years")
    assert sorted(accounts.partition(": ")[2].split(", ")) == ["ann@example.org", "ben@example.org"]
    assert hint == "nothing is erased yet; add --confirm acacia to erase all of this"
    other = run(path, "household", "erase", "acacia", "--confirm", "acaca")
    assert (other.exit_code, "write the household twice alike" in other.stderr) == (2, True)
    assert open_store(f"sqlite:///{path}").readings(CAD, 0, FOR_EVER) != []


def test_a_household_is_erased_and_the_day_is_told_on_which_backups_forget(path: Path) -> None:
    done = run(path, "household", "erase", "acacia", "--confirm", "acacia")
    assert done.exit_code == 0, done.output
    assert "erased; a scan of every table and collection finds nothing" in done.stdout
    assert "copies that you made yourself have it until you delete them" in done.stdout
    store = open_store(f"sqlite:///{path}")
    assert not store.readings(CAD, 0, FOR_EVER)
    assert not store.periods("day", CAD)
    assert not [*accounts_on(store).everybody()]
    assert run(path, "household", "erase", "acacia", "--confirm", "acacia").exit_code == 0  # as after a crash
    other = run(path, "household", "erase", "acaca", "--confirm", "acaca")
    assert (other.exit_code, "nothing is kept of a household 'acaca'" in other.stderr) == (2, True)


def test_an_erasure_is_done_when_the_shared_cache_could_be_scanned(path: Path, tmp_path: Path) -> None:
    """Figures in Redis outlive an erasure that could not reach it; the next run, by command or worker, deletes them."""
    port = free_port()
    url, environ = f"redis://127.0.0.1:{port}", {"WATTFALL_STORE": f"sqlite:///{path}", "WATTFALL_CACHE": ""}
    command = ("household", "erase", "acacia", "--confirm", "acacia")
    for finish in ("command", "worker"):
        with closing(open_store(f"sqlite:///{path}")) as store:
            if finish == "worker":
                furnish(store)
            stopped = run(path, *command, cache=url)
            assert stopped.exit_code == 1, stopped.output
            assert "left: the cache, which was not scanned: WATTFALL_CACHE cannot be reached" in stopped.stdout
            assert overdue(store, int(time.time())) == ["acacia"]
            with running_redis(port, tmp_path), redis.Redis(port=port) as client:
                client.set(f"wattfall 1 {cache_key('document', Device(CAD))}", b"figures")
                if finish == "command":
                    done = run(path, *command, cache=url)
                    assert "a scan of every table and collection and of the cache finds nothing" in done.stdout, (
                        done.output
                    )
                else:
                    outside = outside_store(load(environ | {"WATTFALL_CACHE": url}))
                    for _ in due_erasures(store, Audit(store, []), int(time.time()), outside):
                        pass
                assert (client.dbsize(), overdue(store, int(time.time()))) == (0, [])


def test_a_restored_backup_is_erased_again(path: Path, tmp_path: Path) -> None:
    assert run(path, "backup", str(tmp_path / "copy.db")).exit_code == 0
    assert run(path, "household", "erase", "acacia", "--confirm", "acacia").exit_code == 0
    noted = path.with_name("home.db.erasures").read_text()
    assert "acacia" not in noted
    assert json.loads(noted)[0] == [[CAD, 0, FOR_EVER]]
    restored = run(path, "restore", str(tmp_path / "copy.db"))
    assert restored.exit_code == 0, restored.output
    assert "erased again: 1 times of devices, 2 accounts" in restored.stdout
    store = open_store(f"sqlite:///{path}")
    assert store.household_devices("acacia") == store.periods("day", CAD) == []
    assert not [*accounts_on(store).everybody()]


def test_a_restored_backup_loses_only_what_was_erased(path: Path, tmp_path: Path) -> None:
    """Ben leaves for a home of his own after the backup, and has that erased; it was not there yet."""
    store = open_store(f"sqlite:///{path}")
    assert run(path, "backup", str(tmp_path / "copy.db")).exit_code == 0
    store.put_device(Device("cad-2", household="bens"))
    ben = accounts_on(store).find("ben@example.org")
    assert ben
    accounts_on(store).change(ben, lambda one: replace(one, household="bens"))
    store.close()
    assert run(path, "household", "erase", "bens", "--confirm", "bens").exit_code == 0
    restored = run(path, "restore", str(tmp_path / "copy.db"))
    assert "erased again: 0 times of devices, 1 accounts" in restored.stdout, restored.output
    store = open_store(f"sqlite:///{path}")
    assert store.household_devices("acacia") == [CAD]
    assert [one.email for one in accounts_on(store).everybody()] == ["ann@example.org"]


def test_a_restored_backup_from_before_a_move_is_erased_again(path: Path, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{path}")
    assert run(path, "backup", str(tmp_path / "copy.db")).exit_code == 0
    ben = accounts_on(store).find("ben@example.org")
    assert ben
    accounts_on(store).change(ben, lambda one: replace(one, household="birch"))
    move(store, store.device(CAD) or Device(CAD), "willow", periods.day_of(homes.NOW, "Europe/London"))
    store.close()
    assert run(path, "household", "erase", "acacia", "--confirm", "acacia").exit_code == 0
    restored = run(path, "restore", str(tmp_path / "copy.db"))
    assert "erased again: 1 times of devices, 1 accounts" in restored.stdout, restored.output
    store = open_store(f"sqlite:///{path}")
    assert not store.household_devices("acacia")
    assert not store.readings(CAD, 0, FOR_EVER)
    assert [(one.email, one.household) for one in accounts_on(store).everybody()] == [("ben@example.org", "")]


def test_a_household_that_is_due_is_named_until_it_is_erased(path: Path) -> None:
    store = open_store(f"sqlite:///{path}")
    ask_for_erasure(store, "oak", int(time.time()))
    ask_for_erasure(store, "acacia", int(time.time()) - 8 * DAY_S)
    assert run(path, "household", "due").stdout == "acacia\n"
    assert run(path, "household", "erase", "acacia", "--confirm", "acacia").exit_code == 0
    assert run(path, "household", "due").stdout == ""


# From the account page


@pytest.fixture
def server(store: Store) -> Flask:
    furnish(store)
    made = Flask("dashboard")
    account_page.install(made, load({"WATTFALL_SECRET": SECRET}), store, Passwords(QUICK))
    return made


def client_of(server: Flask, store: Store, email: str = "ann@example.org") -> FlaskClient:
    user = accounts_on(store).find(email)
    assert user
    return browser(server, store, user)


def submit(client: FlaskClient, address: str, **fields: str) -> int:
    token = token_in(client.get("/account").text)
    return client.post(address, data={"csrf": token, **fields}).status_code


def test_everybody_of_the_household_sees_the_day_and_may_take_it_back(server: Flask, store: Store) -> None:
    ann, ben = client_of(server, store), client_of(server, store, "ben@example.org")
    assert submit(ann, "/account/erase", erase=PASSWORD) == 303
    due = erasure_due(store, "acacia")
    assert due
    assert abs(due - int(time.time()) - 7 * DAY_S) < DAY_S
    for client in (ann, ben):
        assert "will be erased on" in client.get("/account").text
    assert "gelöscht" in ben.get("/account", headers={"Accept-Language": "de"}).text
    assert submit(ben, "/account/keep") == 303
    assert erasure_due(store, "acacia") is None
    assert "The data stay" in ben.get("/account?done=kept").text


def test_a_wrong_password_or_another_role_erases_nothing(server: Flask, store: Store) -> None:
    assert submit(client_of(server, store), "/account/erase", erase="wrong") == 403
    desk = browser(server, store, somebody(store, "desk@example.org", SUPPORT))
    assert submit(desk, "/account/erase", erase=PASSWORD) == 404
    assert submit(desk, "/account/keep") == 404
    assert erasure_due(store, "acacia") is None


def test_what_has_begun_cannot_be_kept(server: Flask, store: Store) -> None:
    ann = client_of(server, store)
    begin(store, Audit(store, []), "acacia", Who("op", "", "operator"), "they asked for it", homes.NOW)
    page = ann.get("/account").text
    assert "is being erased now" in page
    assert [one for one in ("Keep the data", "Erase everything in") if one in page] == []
    answer = ann.post("/account/keep", data={"csrf": token_in(page)})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account")
    assert "The data stay" not in ann.get("/account?done=kept").text


# The proof


@pytest.mark.usefixtures("server")
def test_a_store_of_one_home_is_erased_whole(store: Store) -> None:
    store.put_record(MARKS.of(), HOME, "{}")
    store.put_device(Device("cad-2", household=HOME))
    assert left_of(store, HOME) == []


@pytest.mark.usefixtures("server")
def test_others_who_quote_the_household_keep_their_accounts(store: Store) -> None:
    accounts = accounts_on(store)
    ben, other = accounts.find("ben@example.org"), accounts.add("oak@example.org", household="oak", name="acacia")
    assert ben
    keys = ApiKeys(store, accounts.user, Audit(store, []), lambda: homes.NOW)
    keys.make(ben, "heating", ["live"])
    gone = accounts.change(ben, lambda one: replace(one, household="oak"))
    assert gone
    keys.make(gone, "car", ["live"])
    accounts.change(accounts.add("desk@example.org", SUPPORT), lambda one: replace(one, household="acacia"))
    assert left_of(store, "acacia") == []
    assert [one.key.name for one in keys.of(gone)] == ["car"]
    assert {one.email: (one.household, one.name) for one in accounts.everybody()} == {
        "ben@example.org": ("oak", ben.name),
        other.email: ("oak", "acacia"),
        "desk@example.org": ("", ""),
    }


def left_of(store: Store, household: str) -> list[str]:
    audit = Audit(store, [])
    plan = begin(store, audit, household, Who("op", "", "operator"), "they asked for it", homes.NOW)
    return [one for one in carry_out(store, audit, plan, homes.NOW, OutsideStore()) if one]


# By the worker


def test_the_worker_erases_on_the_day_and_not_before(server: Flask, store: Store) -> None:
    client = client_of(server, store)
    submit(client, "/account/erase", erase=PASSWORD)
    due, audit = erasure_due(store, "acacia"), Audit(store, [])
    assert due
    for at, is_left in ((due - 1, True), (due, False)):
        for _ in due_erasures(store, audit, at, OutsideStore()):
            pass
        assert bool(store.readings(CAD, 0, FOR_EVER)) is is_left
    assert client.get("/account").status_code == 303
