"""The lifetime of copies in the browser, and the content security policy."""

import os
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from aggregator.store.port import Store
from dashboard.web import responses
from dashboard.web.responses import FOREVER, hashes, secure
from tests.dashboard.people import at_home

CHUNK = "/_dash-component-suites/dash/dcc/async-graph.js"


@pytest.fixture(scope="module")
def client(homes_to_read: Store) -> FlaskClient:
    client: FlaskClient = at_home(homes_to_read)
    return client


def links(client: FlaskClient) -> list[str]:
    return re.findall(r'(?:src|href)="(/[^"]+)"', client.get("/").text)


def test_every_file_of_the_page_is_cached_for_ever(client: FlaskClient) -> None:
    named = links(client)
    assert {"/assets/page.css", "/assets/page.js"} <= {link.partition("?")[0] for link in named}
    kept = {link: client.get(link, buffered=True).headers["Cache-Control"] for link in named}
    assert kept == dict.fromkeys(named, FOREVER)


def test_a_file_without_fingerprint_is_revalidated(client: FlaskClient) -> None:
    links(client)  # Dash serves it only after a request of the page
    for accepted in ("br", "gzip", ""):
        answer = client.get(CHUNK, headers={"Accept-Encoding": accepted})
        assert answer.headers["Cache-Control"] == "no-cache"
        held = {"Accept-Encoding": accepted, "If-None-Match": answer.headers["ETag"]}
        assert client.get(CHUNK, headers=held).status_code == 304


@pytest.mark.parametrize(
    "address",
    [
        "/assets/style.css",
        "/assets/style.css?m=1",  # an older process may get requests for files of a newer one
        "/assets/style.css?m=",
        "/assets/missing.css?m=1",
        "/assets/page.css",
        "/assets/page.js?m=1",
        "/assets/?m=1",
        "/assets/../pyproject.toml?m=1",
        "/assets//etc/hostname?m=1",
        f"/assets/{'a' * 300}.css?m=1",
        "/assets/%00.css?m=1",
    ],
)
def test_an_outdated_fingerprint_is_not_cached(client: FlaskClient, address: str) -> None:
    assert client.get(address, buffered=True).headers["Cache-Control"] == "no-cache"


def test_a_changed_part_changes_the_joined_files_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "folder", lambda: tmp_path)
    for name in ("a.css", "b.css", "desk.css", "c.js"):
        (tmp_path / name).write_text(name)
    kept = responses.url("page.css")
    assert responses.joined_content("page.css") == "a.css\nb.css"
    os.utime(tmp_path / "desk.css", (1, 1))
    assert responses.url("page.css") == kept
    os.utime(tmp_path / "b.css", (1, 1))
    assert responses.url("page.css") != kept


def test_a_changed_asset_has_a_new_address(client: FlaskClient) -> None:
    kept = [responses.url(name) for name in ("page.css", "page.js", "logo.svg")]
    assert set(kept) <= set(links(client))
    assert all(responses.is_current(address) for address in kept)
    assert not any(responses.is_current(address + "0") for address in kept)


@pytest.mark.parametrize("address", ["/", "/d/cad-1/month/2026-11"])
def test_a_page_is_revalidated_at_every_visit(client: FlaskClient, address: str) -> None:
    assert client.get(address, buffered=True).headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "address", ["/_dash-layout", "/_dash-dependencies", "/health", "/api/v1/devices/cad-1/day/2026-11-22.csv"]
)
def test_data_is_not_cached_and_has_few_headers(client: FlaskClient, address: str) -> None:
    answer = client.get(address, buffered=True)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Security-Policy" not in answer.headers


def test_a_personal_page_is_not_stored() -> None:
    server = Flask("own")
    server.add_url_rule("/", "own", lambda: Response("yours", headers={"Cache-Control": "no-store, private"}))
    secure(server, [])
    assert server.test_client().get("/").headers["Cache-Control"] == "no-store"


def test_the_policy_names_exactly_the_inline_scripts(client: FlaskClient) -> None:
    answer = client.get("/")
    policy = answer.headers["Content-Security-Policy"]
    inline = re.findall(r"<script(?![^>]*src=)(?![^>]*application/json)[^>]*>(.*?)</script>", answer.text, re.DOTALL)
    wanted = {f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in inline}
    assert wanted
    assert wanted <= set(policy.split("script-src ")[1].split(";")[0].split())
    assert "unsafe" not in policy.split("script-src ")[1].split(";")[0]


def test_a_script_is_named_by_its_hash() -> None:
    page = "<script>let a = 1;</script><script src='/x.js'></script>"
    assert hashes(page) == [f"'sha256-{b64encode(sha256(b'let a = 1;').digest()).decode()}'"]


def test_a_page_may_not_be_framed_or_load_from_elsewhere(client: FlaskClient) -> None:
    headers = client.get("/").headers
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
