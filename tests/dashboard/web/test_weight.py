"""The bytes on the wire up to the first chart, and the installable app."""

import gzip
import json
import re
import struct
from pathlib import Path

import brotli
import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from plotly.offline import get_plotlyjs_version

from aggregator.store.port import Store
from dashboard.web import responses
from dashboard.web.responses import SMALLEST, compress
from tests.dashboard.people import at_home

LIMIT = 850_000  # bytes
SCRIPT_LINES = 700  # of our own JavaScript
INSIDE = (
    "_dashprivate",
    "MutationObserver",
    "fetch =",
    "/_dash-",
    "__reactProps",
    "__reactFiber",
)  # Dash may change them
BROWSER = {"Accept-Encoding": "gzip, deflate, br, zstd"}


@pytest.fixture(scope="module")
def client(homes_to_read: Store) -> FlaskClient:
    client: FlaskClient = at_home(homes_to_read)
    return client


def links(client: FlaskClient) -> list[str]:
    return re.findall(r'(?:src|href)="(/[^"]+)"', client.get("/").text)


def chart(client: FlaskClient) -> dict[str, object]:
    """Request the callback that draws the chart."""
    callbacks = client.get("/_dash-dependencies").get_json()
    (asked,) = (one for one in callbacks if "chart-region.values" in one["output"])
    outputs = [
        dict(zip(("id", "property"), one.rsplit(".", 1), strict=True)) for one in asked["output"][2:-2].split("...")
    ]
    inputs, state = (
        [{**one, "value": "/d/cad-1" if one["property"] == "pathname" else None} for one in asked[part]]
        for part in ("inputs", "state")
    )
    shared = {"output": asked["output"], "outputs": outputs, "changedPropIds": ["url.pathname"]}
    return {**shared, "inputs": inputs, "state": state}


def test_the_first_chart_weighs_at_most_850_kb(client: FlaskClient) -> None:
    addresses = ["/", *links(client), "/_dash-layout"]
    answers = [client.get(address, headers=BROWSER, buffered=True) for address in (*addresses, "/_dash-dependencies")]
    answers.append(client.post("/_dash-update-component", json=chart(client), headers=BROWSER))
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert json.loads(brotli.decompress(answers[-1].data))["response"]["picture"]["figure"]["data"]
    assert sum(len(answer.data) for answer in answers) < LIMIT


def test_the_page_requests_one_plotly_bundle_only(client: FlaskClient) -> None:
    named = links(client)
    assert [link for link in named if "package_data/plotly" in link] == []
    (bundle,) = (link for link in named if "plotly-basic" in link)
    assert f'data-plotly="{bundle}"' in client.get("/").text


def test_common_files_come_in_one_request(client: FlaskClient) -> None:
    named = [link.partition("?")[0].removeprefix("/assets/") for link in links(client) if link.startswith("/assets/")]
    assert sorted(name for name in named if name.endswith((".css", ".js")) and "plotly" not in name) == [
        "page.css",
        "page.js",
    ]


def test_the_plotly_bundle_matches_the_version_of_plotly_py() -> None:
    (bundle,) = responses.folder().glob("plotly-*.js")
    version = get_plotlyjs_version()
    assert bundle.name == f"plotly-basic-{version}.min.js"
    head = bundle.read_text()[:300]
    assert f"plotly.js (basic - minified) v{version}\n" in head
    assert "Licensed under the MIT license" in head


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("", None),
        ("zstd", None),
    ],
)
def test_a_file_comes_in_an_encoding_that_the_browser_accepts(
    client: FlaskClient, offered: str, chosen: str | None
) -> None:
    answer = client.get("/assets/style.css", headers={"Accept-Encoding": offered}, buffered=True)
    unpack = {"br": brotli.decompress, "gzip": gzip.decompress}.get(chosen or "", bytes)
    assert answer.headers.get("Content-Encoding") == chosen
    assert unpack(answer.data) == (responses.folder() / "style.css").read_bytes()
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert int(answer.headers["Content-Length"]) == len(answer.data)


def test_an_unchanged_file_is_not_sent_again(client: FlaskClient) -> None:
    held = client.get("/assets/style.css", headers=BROWSER, buffered=True).headers["ETag"]
    assert client.get("/assets/style.css", headers={**BROWSER, "If-None-Match": held}, buffered=True).status_code == 304


def small_server() -> FlaskClient:
    server = Flask("small")
    long = "x" * SMALLEST
    server.add_url_rule("/page", "page", lambda: long, methods=["GET", "POST"])
    server.add_url_rule("/short", "short", lambda: long[1:])
    server.add_url_rule("/fault", "fault", lambda: (long, 400))
    server.add_url_rule("/picture", "picture", lambda: Response(long, mimetype="image/png"))
    server.add_url_rule("/table", "table", lambda: Response(iter([long]), mimetype="application/json"))
    compress(server)
    return server.test_client()


def test_a_page_is_compressed() -> None:
    assert brotli.decompress(small_server().get("/page", headers=BROWSER).data) == b"x" * SMALLEST


@pytest.mark.parametrize("address", ["/short", "/fault", "/picture", "/table"])
def test_answers_without_gain_are_not_compressed(address: str) -> None:
    assert "Content-Encoding" not in small_server().get(address, headers=BROWSER).headers


def test_a_page_that_may_echo_input_is_not_compressed() -> None:
    client = small_server()
    assert "Content-Encoding" not in client.get("/page?q=guess", headers=BROWSER).headers
    assert "Content-Encoding" not in client.post("/page", headers=BROWSER).headers


def test_a_file_is_compressed_once_for_all_its_addresses(client: FlaskClient) -> None:
    from dashboard.web.responses import _pack_once

    script = next(link for link in links(client) if "react-dom" in link)
    _pack_once.cache_clear()
    for address in (script, re.sub(r"m\d+\.", "m1.", script), script):
        assert client.get(address, headers=BROWSER, buffered=True).headers["Content-Encoding"] == "br"
    assert _pack_once.cache_info().misses == 1


def test_the_scripts_are_few_and_stay_out_of_dashs_inside(client: FlaskClient) -> None:
    files = [path.read_text() for path in responses.folder().glob("*.js") if "plotly" not in path.name]
    inline = re.findall(r"<script(?![^>]*json)[^>]*>([^<]+)</script>", client.get("/").text)
    assert len(files) > 5
    assert len(inline) == 2  # the scheme before the first paint, and the renderer's hook
    own = "".join(files) + "\n".join(inline)
    assert len(own.splitlines()) <= SCRIPT_LINES
    assert [word for word in INSIDE if word in own] == []


def size_of(picture: Path) -> tuple[int, int]:
    """Return width and height of a PNG from its header."""
    head = picture.read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", head[16:])
    return width, height


def test_the_page_can_be_installed(client: FlaskClient) -> None:
    page = client.get("/").text
    assert f'<link rel="manifest" href="{responses.url("manifest.webmanifest")}">' in page
    answer = client.get("/assets/manifest.webmanifest", buffered=True)
    assert answer.mimetype == "application/manifest+json"
    manifest = json.loads(answer.data)
    assert (manifest["name"], manifest["start_url"], manifest["display"]) == ("Wattfall", "/", "standalone")
    assert {("192x192", "any"), ("512x512", "any"), ("512x512", "maskable")} <= {
        (icon["sizes"], icon.get("purpose", "any")) for icon in manifest["icons"]
    }


def test_every_icon_has_its_declared_size() -> None:
    manifest = json.loads((responses.folder() / "manifest.webmanifest").read_text())
    pictures = [icon for icon in manifest["icons"] if icon["type"] == "image/png"]
    assert len(pictures) == 3
    for icon in pictures:
        width, height = size_of(responses.folder() / icon["src"])
        assert icon["sizes"] == f"{width}x{height}"
    assert size_of(responses.folder() / "icon-180.png") == (180, 180)


@pytest.mark.parametrize("name", ["icon-180.png", "icon-192.png", "icon-512.png", "icon-maskable-512.png"])
def test_an_icon_is_small(name: str) -> None:
    assert (responses.folder() / name).stat().st_size < 15_000
