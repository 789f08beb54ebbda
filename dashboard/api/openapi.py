"""The OpenAPI 3.1 document of the API, from its table of addresses and the shapes of its answers; and a page of it.

Format: https://spec.openapis.org/oas/v3.1.1. Schemas are JSON Schema 2020-12, as msgspec makes them from the shapes.
Energies are whole Wh, money is exact decimal text, instants are ISO 8601. Null is unknown, never 0.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import msgspec
from flask import Flask, Response, request
from msgspec import Meta

from aggregator.core.documents import KINDS
from aggregator.core.periods import LEVELS
from dashboard.accounts.api_keys import SCOPES
from dashboard.text.language import Language, text
from dashboard.web.responses import PROBLEM, reader_language, render

MONEY = r"^-?\d+\.\d+$"
Local = Annotated[str, Meta(extra_json_schema={"format": "date-time"}, description=text("local time with its offset"))]
Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"}, description=text("an instant in UTC"))]
Day = Annotated[str, Meta(extra_json_schema={"format": "date"}, description=text("a local day"))]
Money = Annotated[str, Meta(pattern=MONEY, description=text("an exact amount in the currency of the document"))]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", description=text("the currency, as ISO 4217 names it"))]
Wh = Annotated[int, Meta(description=text("energy in Wh"))]
Id = Annotated[str, Meta(description=text("the id of a device"))]


class Energies(TypedDict):
    """The energy and money of a span of time; null is unknown, and never 0."""

    import_wh: Annotated[int | None, Meta(description=text("energy from the grid, Wh"))]
    export_wh: Annotated[int | None, Meta(description=text("energy to the grid, Wh"))]
    estimated_wh: Annotated[int | None, Meta(description=text("the part of both that was spread over a gap, Wh"))]
    interval_wh: Annotated[int | None, Meta(description=text("the part of both that the supplier stated, Wh"))]
    coverage: Annotated[float, Meta(ge=0, le=1, description=text("the measured share of the time, 0 to 1"))]
    cost: Annotated[Money | None, Meta(description=text("what the import costs; null without a tariff"))]
    export_earnings: Annotated[Money | None, Meta(description=text("what the export earns; null without a tariff"))]
    standing_charge: Annotated[Money | None, Meta(description=text("of days and longer; null without a tariff"))]
    unpriced_wh: Annotated[int, Meta(ge=0, description=text("energy without a known price, Wh"))]
    volume_m3: NotRequired[Annotated[float | None, Meta(description=text("the volume of gas, m³; of gas alone"))]]


class Span(Energies):
    """The energy of one part of a chart."""

    start: Local
    end: Local


class DaySpan(Span):
    """The energy of one local day."""

    day: Day


class ChartDocument(Energies):
    """One chart: the whole period, and every part of it in order, future ones included."""

    device_id: Id
    level: Annotated[str, Meta(extra_json_schema={"enum": list(LEVELS)}, description=text("day, month or year"))]
    period: Annotated[str, Meta(description=text("the period, as the address names it"))]
    timezone: Annotated[str, Meta(description=text("the IANA zone of the home"))]
    currency: Annotated[Currency | None, Meta(description=text("null without a tariff"))]
    parts: Annotated[list[Span], Meta(description=text("hours of a day, days of a month, months of a year"))]
    half_hours: NotRequired[Annotated[list[Span], Meta(description=text("of a day: its half hours"))]]


class DayRange(TypedDict):
    """Each day of a range, without the parts of the day."""

    device_id: Id
    timezone: Annotated[str, Meta(description=text("the IANA zone of the home"))]
    currency: Annotated[Currency | None, Meta(description=text("null without a tariff"))]
    days: Annotated[list[DaySpan], Meta(description=text("every day from the first to the last"))]


class LiveState(TypedDict):
    """The newest known values of a device."""

    device_id: Id
    at: Annotated[Instant, Meta(description=text("when the meter took the newest reading"))]
    received_at: Annotated[Instant, Meta(description=text("when that reading came in"))]
    power_w: Annotated[int | None, Meta(description=text("the power now in W; negative while exporting"))]
    import_wh: Annotated[int | None, Meta(description=text("the import register, Wh"))]
    export_wh: Annotated[int | None, Meta(description=text("the export register, Wh"))]
    meter_id: Annotated[str | None, Meta(description=text("the number of the meter, as it says it"))]
    power_at: Annotated[Instant | None, Meta(description=text("the instant of the power"))]
    import_at: Annotated[Instant | None, Meta(description=text("the instant of the import register"))]
    export_at: Annotated[Instant | None, Meta(description=text("the instant of the export register"))]


class DeviceEntry(TypedDict):
    """A device that the caller may see, and of which days."""

    device_id: Id
    kind: Annotated[str, Meta(extra_json_schema={"enum": list(KINDS)}, description=text("what the meter counts"))]
    name: Annotated[str | None, Meta(description=text("the household’s name for the home"))]
    timezone: Annotated[str, Meta(description=text("the IANA zone of the home"))]
    since: Annotated[Day | None, Meta(description=text("the household’s first day there; null is from ever"))]
    until: Annotated[Day | None, Meta(description=text("the household’s last day there; null is still"))]
    first_day: Annotated[Day | None, Meta(description=text("the first day with data"))]
    last_day: Annotated[Day | None, Meta(description=text("the last day with data"))]


class DeviceList(TypedDict):
    """The devices of the household."""

    devices: list[DeviceEntry]


class Problem(TypedDict):
    """A refused request, as RFC 9457 has it."""

    type: Literal["about:blank"]
    title: Annotated[str, Meta(description=text("the fault in a word"))]
    status: Annotated[int, Meta(ge=400, le=599, description=text("the status of the answer"))]
    detail: Annotated[str, Meta(description=text("the fault and how to mend it"))]


# The document

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
