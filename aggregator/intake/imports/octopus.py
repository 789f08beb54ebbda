"""Octopus Energy's consumption: the CSV that its pages give, and the JSON of its API, newest first. Pure.

    Consumption (kwh), Estimated Cost Inc. Tax (p), Start, End
    {"results": [{"consumption": 0.063, "interval_start": "2026-02-01T00:00:00Z", "interval_end": "..."}]}

Times have the offset of their moment. Each row is the energy of half an hour; there is no register.
"""

from collections.abc import Sequence

import orjson

from aggregator.core.errors import ConfigurationError, Refused, shown
from aggregator.intake.imports.row_times import Time, read_time
from aggregator.intake.imports.rows import Layout, Row, energy_uwh, layout_of

MOST_JSON = 16 << 20  # bytes; the half hours of eight years
HALF_HOUR_S = 1800
JSON = Layout(",", {"time": 0, "end": 1, "import_kwh": 2}, 0, False, HALF_HOUR_S)


def is_json(beginning: bytes) -> bool:
    """Whether a file is of the API."""
    return beginning.lstrip()[:1] in (b"{", b"[")


def octopus_layout(lines: Sequence[bytes]) -> Layout:
    """How the CSV is written, from its first lines. Raises ConfigurationError."""
    layout = layout_of(lines, {})
    if not {"time", "end", "import_kwh"} <= layout.places.keys():
        raise ConfigurationError("the file has no Consumption (kwh), Start and End; of others say --format csv")
    return layout


def results_of(content: bytes) -> list[object]:
    """The results of the API, one page or several in a list. Raises ConfigurationError."""
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"the file begins like JSON, but is none: {str(error)[:120]}") from error
    pages = found if isinstance(found, list) else [found]
    rows: list[object] = []
    for page in pages:
        results = page.get("results", page) if isinstance(page, dict) else page
        rows += results if isinstance(results, list) else [results]
    return rows


def row_of_result(text: bytes, number: int) -> Row:
    """One result of the API, as JSON, as a row. Raises Refused."""
    result = orjson.loads(text)
    if not isinstance(result, dict):
        raise Refused("not_an_object", f"got {shown(result)}")
    time, end = _time(result, "interval_start"), _time(result, "interval_end")
    if "consumption" not in result:
        raise Refused("bad_row", "it has no consumption")
    figure = result["consumption"]
    energy = None if figure is None else energy_uwh(str(figure), 1000)
    if energy is None:
        raise Refused("no_values", "its consumption has no value")
    return Row(number, text, time, end, energy)


def _time(result: dict[str, object], key: str) -> Time:
    text = result.get(key)
    if not isinstance(text, str):
        raise Refused("bad_time", f"{key} is {shown(text)}")
    return read_time(text)
