import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aggregator.settings import load
from aggregator.store import open_store
from aggregator.support.audit import Audit
from dashboard.accounts.sessions import Sessions
from dashboard.commands.user import user_group
from tests.dashboard.mail_server import mail_server
from tests.dashboard.people import PASSWORD, Clock, accounts_on


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/users.db"


def run(url: str, *arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(user_group, [*arguments, "--store", url], obj=load(environ))


def said(url: str, *arguments: str, **environ: str) -> list[str]:
    result = run(url, *arguments, **environ)
    assert result.exit_code == 0, result.exception
    return result.stdout.splitlines()


def fault(url: str, *arguments: str) -> str:
    result = run(url, *arguments)
    assert result.exit_code != 0
    return str(result.exception) if result.exit_code == 1 else result.output


def test_a_new_user_gets_a_link_to_set_a_password(url: str) -> None:
    line, link = said(
        url, "add", "Ann@Example.org", "--household", "acacia", "--name", "Ann", WATTFALL_URL="https://e.org"
    )
    assert line == "ann@example.org\thousehold\tacacia\tinvited\tAnn"
    token = re.fullmatch(r"https://e\.org/invitation/([\w-]{43})", link)
    assert token
    accounts = accounts_on(open_store(url))
    assert accounts.accept(token[1], PASSWORD)
    assert said(url, "list") == ["ann@example.org\thousehold\tacacia\tactive\tAnn"]


def test_a_new_user_without_a_household_is_pointed_out(url: str) -> None:
    hint = "ann@example.org sees no home yet: `wattfall user set ann@example.org --household ID` names the household\n"
    assert run(url, "add", "ann@example.org").stderr == hint
    assert run(url, "add", "des@example.org", "--role", "support").stderr == ""


def test_every_account_command_is_audited(url: str) -> None:
    said(url, "add", "ann@example.org", "--household", "acacia")
    said(url, "set", "ann@example.org", "--role", "support", "--household", "")
    said(url, "disable", "ann@example.org")
    store = open_store(url)
    found = [(entry.who.role, entry.reason, dict(entry.details)) for entry in Audit(store, []).entries()]
    store.close()
    account = {"account": "ann@example.org"}
    assert sorted(found, key=lambda entry: entry[1]) == [
        ("operator", "wattfall user add", {**account, "role": "household", "household": "acacia"}),
        ("operator", "wattfall user disable", account),
        ("operator", "wattfall user set", {**account, "role": "support"}),
    ]


def test_the_link_uses_localhost_without_a_public_address(url: str) -> None:
    assert said(url, "add", "a@b.org", PORT="8123")[1].startswith("http://localhost:8123/invitation/")


def test_staff_has_no_household(url: str) -> None:
    assert said(url, "add", "a@b.org", "--role", "support")[0] == "a@b.org\tsupport\t-\tinvited"
    assert "has no household" in fault(url, "add", "c@b.org", "--role", "admin", "--household", "acacia")
    assert "has no household" in fault(url, "set", "a@b.org", "--household", "acacia")
    assert said(url, "set", "a@b.org", "--role", "household", "--household", "acacia")[0].split("\t")[1:3] == [
        "household",
        "acacia",
    ]
    assert "has no household" in fault(url, "set", "a@b.org", "--role", "support")


def test_the_list_as_json_holds_no_secret(url: str) -> None:
    said(url, "add", "a@b.org", "--household", "acacia")
    (line,) = said(url, "list", "--json")
    assert json.loads(line) | {"id": ""} == {
        "id": "",
        "email": "a@b.org",
        "name": None,
        "role": "household",
        "household": "acacia",
        "disabled": False,
        "second_factor": False,
        "invited": True,
    }


def test_disabling_and_signing_out_end_sessions(url: str) -> None:
    said(url, "add", "a@b.org")
    store = open_store(url)
    accounts = accounts_on(store)
    sessions = Sessions(store, accounts.user, Clock())
    for command, is_in_after in (("disable", False), ("enable", True), ("sign-out", True)):
        user = accounts.find("a@b.org")
        assert user
        token = sessions.begin(user)
        said(url, command, "A@b.org")
        assert sessions.user_of(token) is None or command == "enable"
        user = accounts.find("a@b.org")
        assert user
        assert user.is_disabled != is_in_after


def test_a_disabled_user_gets_no_invitation(url: str) -> None:
    said(url, "add", "a@b.org")
    assert "/invitation/" in said(url, "invite", "a@b.org")[0]
    said(url, "disable", "a@b.org")
    assert "`wattfall user enable a@b.org` comes first" in fault(url, "invite", "a@b.org")


@pytest.mark.parametrize("command", ["disable", "enable", "invite", "sign-out", "set"])
def test_an_unknown_user_is_named(url: str, command: str) -> None:
    said(url, "add", "a@b.org")
    assert "no account of 'nobody@b.org'; `wattfall user list`" in fault(url, command, "nobody@b.org")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["nonsense"], "is not an e-mail address"),
        (["a@b.org", "--household", "a\nb"], "is no household"),
        (["a@b.org", "--household", "x" * 65], "is no household"),
        (["a@b.org", "--name", "a\r\nb"], "is no name"),
        (["a@b.org", "--role", "root"], "'root' is not one of"),
    ],
)
def test_invalid_fields_are_refused(url: str, arguments: list[str], word: str) -> None:
    assert word in fault(url, "add", *arguments)
    open_store(url).close()
    assert said(url, "list") == []


def test_a_forgotten_password_gets_a_link_that_is_printed(url: str) -> None:
    said(url, "add", "ann@example.org")
    (link,) = said(url, "reset", "ann@example.org")
    assert accounts_on(open_store(url)).accept(link.rpartition("/")[2], PASSWORD)
    said(url, "disable", "ann@example.org")
    assert "is disabled" in fault(url, "reset", "ann@example.org")


def test_a_forgotten_password_gets_a_link_by_mail(url: str) -> None:
    said(url, "add", "ann@example.org")
    with mail_server() as server:
        environ = {
            "WATTFALL_SMTP": f"smtp://127.0.0.1:{server.port}",
            "WATTFALL_MAIL_FROM": "wattfall@example.org",
            "WATTFALL_URL": "https://e.org",
        }
        assert said(url, "reset", "ann@example.org", **environ) == ["a link is on its way to ann@example.org"]
    assert [str(one["To"]) for one in server.taken] == ["ann@example.org"]
