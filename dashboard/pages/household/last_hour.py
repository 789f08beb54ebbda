"""The last hour of power as a figure: drawn whole at first and again in time, and a `Patch` with each poll. Pure.

The browser keeps a note of what it holds (`Held`) and sends it with each poll, so the server keeps no state. Import is
the area above zero, export the one below; a pause longer than GAP_S breaks both. The colours are those of the light
scheme, see dashboard/charts/figures.py.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

from dash import Patch, dcc, html
from dash.development.base_component import Component

from aggregator.core.documents import Device
from aggregator.core.energy import is_plausible
from aggregator.core.live import Live
from aggregator.core.periods import HOUR
from aggregator.core.readings import Reading
from dashboard.charts.figures import EXPORT, FAINT, IMPORT, TEMPLATE
from dashboard.text import words
from dashboard.text.language import Language

STEP_S = 10  # seconds from one point to the next
NEAR_S = 30  # a longer distance means missed readings, not a wait for the next one
GAP_S = 300  # a longer pause breaks the line
REDRAW_S = 900  # until the whole is sent again, without the points that have left the hour
PEAK_S = 60  # the same where a peak has left it: a lower one in between would cut off what is drawn
LEAST_W = 100  # the least range of the axis, so that a resting home looks flat
CLOSE_S, CLOSE = 640, 0.3  # closer peaks, in seconds and in parts of the range, would overlap: the lowest goes
EDGE_S = 900  # a label this close to an end of the hour stands inside it

Point = tuple[int, int]  # UTC seconds, W
Figure = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Held:
    """What a browser holds of a device's last hour. Instants are UTC seconds."""

    newest: int  # of the newest reading that it knows, with power or without
    drawn: int  # when the whole was sent
    last: Point | None = None  # the newest point
    high: Point | None = None  # of the points of the hour
    low: Point | None = None

    def note(self, device_id: str) -> list[object]:
        """Return the note for the browser, which `held` reads."""
        return [device_id, self.newest, self.drawn, self.last, self.high, self.low]


def held(known: object, device_id: str, now: int) -> Held | None:
    """Return what a browser holds of a device; None if it needs the whole hour. The note may be anything."""
    match known:
        case [str(device), int(newest), int(drawn), last, high, low] if device == device_id:
            points = [_point(last), _point(high), _point(low)]
            has_aged = any(point and point[0] < now - HOUR for point in points[1:])
            return Held(newest, drawn, *points) if 0 <= now - drawn < (PEAK_S if has_aged else REDRAW_S) else None
    return None


def _point(note: object) -> Point | None:
    match note:
        case [int(at), int(watts)]:
            return at, watts
    return None


def since(known: Held | None, live: Live | None, now: int) -> int | None:
    """Return the first instant of the stored readings that the next answer needs; None if it needs none."""
    if live is None or (known is not None and live.at - known.newest <= NEAR_S):
        return None
    return max(now - HOUR, -1 if known is None else known.newest + 1)


def points(readings: Iterable[Reading], first: int, max_power_w: int) -> list[Point]:
    """Return the powers from `first` on by time: the last one of each STEP_S, because the tile showed that one."""
    kept: dict[int, Point] = {}
    for reading in readings:
        if reading.at >= first and is_plausible(reading.power_w, max_power_w):
            kept[reading.at // STEP_S] = (reading.at, reading.power_w or 0)
    return sorted(kept.values())


def news(device: Device, known: Held | None, live: Live | None, readings: Iterable[Reading], now: int) -> list[Point]:
    """Return the points that a browser does not hold; `readings` begin at `since`."""
    if live is None or (known is not None and live.at <= known.newest):
        return []
    newest = Reading(live.device_id, live.power_instant, live.power_w, None, None)
    first = now - HOUR if known is None else max(now - HOUR, known.newest + 1)
    return points(chain(readings, [newest]), first, device.max_power_w)


def holds(known: Held | None, live: Live | None, new: Sequence[Point], now: int) -> Held:
    """Return what a browser holds after an answer with `new` points."""
    kept = [known.high, known.low] if known else []
    all_of_them = [*(one for one in kept if one), *new]
    last = new[-1] if new else known.last if known else None
    high, low = (pick(all_of_them, key=_watts, default=None) for pick in (max, min))
    return Held(live.at if live else 0, known.drawn if known else now, last, high, low)


def _watts(point: Point) -> int:
    return point[1]


# The figure


def graph() -> list[Component]:
    """Return the graph, whose figure the poll brings, and what assets/explore.js says of a point read by keyboard."""
    quiet: Any = {"displayModeBar": False, "doubleClick": False, "showTips": False}
    nothing = {"data": [], "layout": {axis: {"visible": False} for axis in ("xaxis", "yaxis")}}
    whole: Any = {"height": "100%"}
    picture = dcc.Graph(id="hour-picture", figure=nothing, config=quiet, responsive=True, style=whole)
    return [picture, html.Output(id="hour-said", className="unseen")]


def figure(zone: str, known: Held | None, new: Sequence[Point], after: Held, now: int, lang: Language) -> Figure:
    """Return the whole figure, or the changes of the one that a browser holds; `after` is what it then holds."""
    sides = _import(new, known, zone, lang), _export(new, known)
    if known is None:
        return _whole(sides, after, now, lang)
    patch = Patch()
    patch["layout"]["xaxis"]["range"] = [now - HOUR, now]
    for place, side in enumerate(sides):
        for name, values in side.items():
            if values:
                Patch(["data", place, name], patch).extend(values)
    if has_new_peaks(known, after):
        patch["data"][len(sides)] = _marks(after, now, lang)
        patch["layout"]["yaxis"]["range"] = _range(after)
    return dict(patch.to_plotly_json())  # an object in the answer would cost another walk through all of it


def has_new_peaks(known: Held | None, after: Held) -> bool:
    """Whether the highest or the lowest point is another one than before."""
    return known is None or (known.high, known.low) != (after.high, after.low)


def _whole(sides: Iterable[dict[str, list[Any]]], after: Held, now: int, lang: Language) -> dict[str, Any]:
    looks = ((IMPORT, "text"), (EXPORT, "skip"))
    areas = [
        {
            **side,
            "type": "scatter",
            "mode": "lines",
            "line": {"color": colour, "width": 1.75},
            "fill": "tozeroy",
            "fillcolor": colour,
            "hoverinfo": said,
        }
        for side, (colour, said) in zip(sides, looks, strict=True)
    ]
    layout = {
        "template": TEMPLATE,
        "margin": {"l": 0, "r": 0, "t": 20, "b": 18},
        "xaxis": {"range": [now - HOUR, now], "fixedrange": True, "showspikes": True, **_SPIKE},
        "yaxis": {"range": _range(after), "fixedrange": True, "showgrid": False, "showticklabels": False},
        "dragmode": False,
        "hovermode": "x",
        "hoverdistance": -1,
    }
    return {"data": [*areas, _marks(after, now, lang)], "layout": layout}


_SPIKE = {"spikemode": "across", "spikethickness": 1, "spikecolor": FAINT, "spikedash": "solid", "spikesnap": "data"}


def _range(after: Held) -> list[int]:
    low, high = (point[1] if point else 0 for point in (after.low, after.high))
    low = min(0, low)
    return [low, max(0, high, low + LEAST_W)]


def _import(new: Sequence[Point], known: Held | None, zone: str, lang: Language) -> dict[str, list[Any]]:
    """Return the area above zero; each point has its time and power in words, also of export."""
    x, y, text = list[int](), list[int | None](), list[str]()
    for before, (at, watts) in _pairs(new, known):
        said = f"{datetime.fromtimestamp(at, ZoneInfo(zone)):%H:%M:%S}  {power(watts, lang)}"
        if before and at - before[0] > GAP_S:
            x, y, text = [*x, before[0], at, at], [*y, 0, None, 0], [*text, "", "", said]
        x.append(at)
        y.append(max(watts, 0))
        text.append(said)
    return {"x": x, "y": y, "text": text}


def _export(new: Sequence[Point], known: Held | None) -> dict[str, list[Any]]:
    """Return the area below zero; it is left out where there is none."""
    x, y = list[int](), list[int | None]()
    for before, (at, watts) in _pairs(new, known):
        was = before is not None and before[1] < 0
        goes_on = was and watts < 0 and before is not None and at - before[0] <= GAP_S
        if before and was and not goes_on:
            x, y = [*x, before[0], at], [*y, 0, None]
        if watts < 0:
            x, y = [*x, *([] if goes_on else [at]), at], [*y, *([] if goes_on else [0]), watts]
    return {"x": x, "y": y}


def _pairs(new: Sequence[Point], known: Held | None) -> Iterator[tuple[Point | None, Point]]:
    return zip([known.last if known else None, *new], new, strict=False)


def _marks(after: Held, now: int, lang: Language) -> dict[str, Any]:
    """Return the marks of the highest and the lowest point with their power."""
    high, low = after.high, after.low
    if high and low and _overlap(high, low, after):
        low = None
    marked = [(point, side) for point, side in ((high, "top"), (low, "bottom")) if point]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [at for (at, _), _ in marked],
        "y": [watts for (_, watts), _ in marked],
        "text": [_signed(watts, lang) for (_, watts), _ in marked],
        "textposition": [f"{side} {_inward(at, now)}" for (at, _), side in marked],
        "marker": {"color": [IMPORT if watts >= 0 else EXPORT for (_, watts), _ in marked], "size": 5},
        "cliponaxis": False,
        "hoverinfo": "skip",
    }


def _overlap(high: Point, low: Point, after: Held) -> bool:
    bottom, top = _range(after)
    is_near = abs(high[0] - low[0]) < CLOSE_S and high[1] - low[1] < CLOSE * (top - bottom)
    return is_near or high[1] == low[1]


def _inward(at: int, now: int) -> str:
    return "right" if at - (now - HOUR) < EDGE_S else "left" if now - at < EDGE_S else "center"


def power(power_w: int, lang: Language) -> str:
    """Return a power in words: `612 W`, `1.24 kW exporting`."""
    amount = words.power(power_w, lang)
    return lang.say("{amount} exporting", amount=amount) if power_w < 0 else str(amount)


def _signed(power_w: int, lang: Language) -> str:
    return f"{'−' if power_w < 0 else ''}{words.power(power_w, lang)}"


def summary(after: Held, lang: Language) -> str:
    """Return the hour in one sentence, for screen readers."""
    if after.low is None or after.high is None:
        return lang.say("No power in the last hour")
    low, high = (power(watts, lang) for _, watts in (after.low, after.high))
    return lang.say("Power in the last hour: between {low} and {high}", low=low, high=high)
