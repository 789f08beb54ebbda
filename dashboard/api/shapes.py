"""The shapes of the API's JSON answers. `openapi` describes them from here; tests compare each answer with its shape.

Energies are whole Wh, money is exact decimal text, instants are ISO 8601. Null is unknown, never 0.
"""

from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta

from aggregator.core.documents import KINDS
from aggregator.core.periods import LEVELS
from dashboard.text.language import text

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
