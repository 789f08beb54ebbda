"""The OpenAPI 3.1 document of the API, from its table of addresses and the shapes of its answers; and a page of it.

Format: https://spec.openapis.org/oas/v3.1.1. Schemas are JSON Schema 2020-12, as msgspec makes them from the shapes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from flask import Flask, Response, request

from dashboard.accounts.api_keys import SCOPES
from dashboard.api.shapes import Problem
from dashboard.text.language import Language, text
from dashboard.web.responses import PROBLEM, reader_language, render

BASE = "/api/v1"
PAGE = "/api"
JSON, CSV = "application/json", "text/csv"
_REF = "#/components/schemas/{name}"
ABOUT = text(
    "The energy and money of a household’s own devices, for its own programs. A key or a signed-in session reads; "
    "nothing can be changed. A device of others looks like a missing one."
)
SCOPE_SAID = {
    "charts": text("charts, tables and days"),
    "live": text("the power now"),
}
# Refused requests: status, when, and whether every address has it.
FAULTS: Mapping[int, str] = {
    400: text("The query makes no sense here."),
    401: text("There is no key and no session, or the key is not valid any more."),
    403: text("The key may not read this."),
    404: text("There is no such device here that you may see, or no such period, or nothing to show yet."),
    429: text("This was too much at once. Retry-After has the seconds to wait."),
    503: text("The data is out of reach for the moment. Retry-After has the seconds to wait."),
}


class Parameter(NamedTuple):
    """A part of an address, or of its query."""

    name: str
    meaning: str
    example: str
    is_in_path: bool = True
    is_needed: bool = True
    choices: tuple[str, ...] = ()
    form: str = ""  # a format of JSON Schema

    @property
    def described(self) -> dict[str, Any]:
        """Return the parameter as OpenAPI has it."""
        schema: dict[str, Any] = {"type": "string"}
        if self.choices:
            schema["enum"] = [*self.choices]
        if self.form:
            schema["format"] = self.form
        return {
            "name": self.name,
            "in": "path" if self.is_in_path else "query",
            "required": self.is_needed,
            "description": self.meaning,
            "example": self.example,
            "schema": schema,
        }


@dataclass(frozen=True, slots=True)
class ApiAddress:
    """A row: one address of the API, which answers GET."""

    path: str  # below BASE, with its parts in braces
    summary: str
    parameters: tuple[Parameter, ...] = ()
    shape: type | None = None  # of a JSON answer
    scope: str = ""  # of a key; empty: every key
    media: str = JSON

    @property
    def name(self) -> str:
        """Return the name of the operation: `devices_device_id_live`."""
        return "_".join(self.path.replace("{", "").replace("}", "").replace(".", "/").strip("/").split("/"))

    @property
    def faults(self) -> list[int]:
        """Return the statuses with which it refuses."""
        has_query = any(not one.is_in_path for one in self.parameters)
        ways = {400: has_query, 403: bool(self.scope), 404: bool(self.parameters)}
        return [status for status in FAULTS if ways.get(status, True)]

    @property
    def described(self) -> dict[str, Any]:
        """Return the address as OpenAPI has it."""
        schema = {"$ref": _REF.format(name=self.shape.__name__)} if self.shape else {"type": "string"}
        responses: dict[str, Any] = {"200": {"description": self.summary, "content": {self.media: {"schema": schema}}}}
        if self.media == JSON:
            mark = {"schema": {"type": "string"}, "description": "If-None-Match asks again by it."}
            responses["200"]["headers"] = {"ETag": mark}
            responses["304"] = {"description": "The answer with this ETag is still the same."}
        responses |= {str(one): {"$ref": f"#/components/responses/{one}"} for one in self.faults}
        operation: dict[str, Any] = {"operationId": self.name, "summary": self.summary, "responses": responses}
        if self.parameters:
            operation["parameters"] = [one.described for one in self.parameters]
        if self.scope:
            operation["description"] = f"Needs a key that may read {self.scope}."
        return {"get": operation}


def description(addresses: Iterable[ApiAddress]) -> dict[str, Any]:
    """Return the OpenAPI document of addresses."""
    listed = [*addresses]
    shapes = [one.shape for one in listed if one.shape]
    _, schemas = msgspec.json.schema_components([*dict.fromkeys(shapes), Problem], ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Wattfall", "version": "1", "description": ABOUT},
        "servers": [{"url": BASE}],
        "security": [{"key": []}],
        "paths": {one.path: one.described for one in listed},
        "components": {
            "schemas": schemas,
            "responses": {str(status): _refusal(status, when) for status, when in FAULTS.items()},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key of /account/keys."},
            },
        },
    }


def _refusal(status: int, when: str) -> dict[str, Any]:
    content = {PROBLEM: {"schema": {"$ref": _REF.format(name=Problem.__name__)}}}
    said: dict[str, Any] = {"description": when, "content": content}
    if status in (429, 503):
        said["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    return said


# The page


class Field(NamedTuple):
    """A field of an answer, for the page."""

    name: str
    kind: str
    meaning: str


def add_page(server: Flask, addresses: Iterable[ApiAddress], described: Mapping[str, Any]) -> None:
    """Add the page that shows the document."""
    listed, schemas = [*addresses], described["components"]["schemas"]

    @server.get(PAGE)
    def api_page() -> Response:
        lang = reader_language()
        shapes = {name: _fields(schema, lang) for name, schema in schemas.items()}
        return render(
            "api.html",
            base=BASE,
            about=ABOUT,
            addresses=listed,
            shapes=shapes,
            faults=FAULTS,
            site=request.host_url.rstrip("/"),
            scopes={one: SCOPE_SAID[one] for one in SCOPES},
        )


def _fields(schema: Mapping[str, Any], lang: Language) -> list[Field]:
    return [
        Field(name, kind_of(one), lang.say(one["description"]) if "description" in one else "")
        for name, one in schema["properties"].items()
    ]


def kind_of(schema: Mapping[str, Any]) -> str:
    """Return the type of a schema as the page writes it: `integer or null`, `list of Span`."""
    if "anyOf" in schema:
        return " | ".join(kind_of(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if schema.get("type") == "array":
        return f"{kind_of(schema['items'])}[]"
    return str(schema.get("format") or schema.get("type") or "string")
