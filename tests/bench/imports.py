"""Files at random of a known year: how many are right at once, right after the question, refused, silently wrong.

Run by hand: `python -m tests.bench.imports [COUNT] [SEED]` for files, `python -m tests.bench.imports rows [COUNT] [STEP]` for
the time and memory of one large file, in a process of its own. A file differs in delimiter, decimal sign, order of
dates, zone, step, direction, units, preamble, duplicates, holes, disorder and encoding. Each question is answered as
the file was made. Silently wrong is a file that was taken with an interval that is not of the year.
"""

import io
import resource
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.intake.formats.message import DeviceRules, Origin
from aggregator.intake.imports.import_plan import unique
from aggregator.intake.imports.import_records import Source
from aggregator.intake.imports.importing import take
from aggregator.intake.imports.recognise import recognised
from aggregator.intake.imports.understanding import Known
from aggregator.intake.tables.structured import open_table
from aggregator.store import open_store

NOW = int(datetime(2027, 1, 15, tzinfo=UTC).timestamp())
ZONES = ("Europe/London", "Europe/Paris", "America/New_York", "Australia/Adelaide")
ANSWERS = {"--dates": "order", "--time": "edge", "--unit": "unit", "--kind": "figure_kind", "--decimal": "decimal"}
MOST_QUESTIONS = 6
Spans = dict[tuple[int, int], tuple[int | None, int | None]]  # start and end (UTC seconds) -> Wh of import and export


class Spec(NamedTuple):
    """How a file is made."""

    zone: str
    clock: str  # local, offset, utc-named, utc-silent
    step: int  # seconds
    figure: str  # energy, power, register
    unit: str
    has_export: bool
    edge: str  # start, end, both
    delimiter: str
    decimal: str
    order: str
    is_named: bool  # the header says which end of the interval the time is
    encoding: str
    preamble: int
    faults: frozenset[str]  # duplicates, holes, disorder, newest-first, bad


class Made(NamedTuple):
    """A file, and what is true of it."""

    content: bytes
    spec: Spec
    spans: Spans
    answers: dict[str, Any]


def spec_of(random: Random) -> Spec:
    figure = random.choice(["energy"] * 4 + ["power", "register"])
    delimiter = random.choice([",", ";", "\t", "|"])
    step = random.choice([900, 1800, 3600, 3600] + ([86_400] if figure == "energy" else []))
    return Spec(
        random.choice(ZONES),  # a date alone does not say of which zone it is
        "local" if step == 86_400 else random.choice(["local", "local", "offset", "utc-named", "utc-silent"]),
        step,
        figure,
        random.choice(["W", "kW"] if figure == "power" else ["kWh", "Wh", "kWh", ""]),
        figure != "power" and random.random() < 0.4,
        "start" if figure == "register" or step == 86_400 else random.choice(["start", "start", "end", "both"]),
        delimiter,
        "." if delimiter == "," else random.choice([",", "."]),
        random.choice(["ymd", "ymd", "dmy", "mdy", "dotted"]),
        random.random() < 0.5,
        random.choice(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
        random.choice([0, 0, 3, 7]),
        frozenset(
            random.sample(["duplicates", "holes", "disorder", "newest-first", "bad"], random.choice([0, 0, 1, 2]))
        ),
    )


def starts_of(spec: Spec) -> list[int]:
    zone = ZoneInfo(spec.zone if spec.clock in ("local", "offset") else "UTC")
    at, end = datetime(2025, 1, 1, tzinfo=zone), datetime(2026, 1, 1, tzinfo=zone)
    if spec.step == 86_400:
        return [int((at + timedelta(days=day)).timestamp()) for day in range(366)]
    return list(range(int(at.timestamp()), int(end.timestamp()) + 1, spec.step))


def written(at: int, spec: Spec) -> str:
    zone = ZoneInfo(spec.zone if spec.clock in ("local", "offset") else "UTC")
    moment = datetime.fromtimestamp(at, zone)
    if spec.clock == "offset":
        return moment.isoformat()
    form = {"ymd": "%Y-%m-%d", "dmy": "%d/%m/%Y", "mdy": "%m/%d/%Y", "dotted": "%d.%m.%Y"}[spec.order]
    return moment.strftime(form if spec.step == 86_400 else f"{form} %H:%M")


def made(random: Random) -> Made:
    spec = spec_of(random)
    ats = starts_of(spec)
    values = [(random.randrange(20, 900), random.randrange(0, 400)) for _ in ats]
    if spec.step == 86_400:
        values = [(imported * 24, exported * 10) for imported, exported in values]
    header, lines, spans, registers = header_of(spec), list[str](), Spans(), [4_120_317, 80_011]
    for place, (start, end) in enumerate(pairwise(ats)):
        figures = values[place]
        if spec.figure == "power":
            figures = figures[0], 0
        if "holes" not in spec.faults or random.random() > 0.03 or place in (0, len(ats) - 2):
            lines.append(line_of(start, end, registers if spec.figure == "register" else figures, spec))
            watts = figures[0] * (end - start) // 3600
            spans[start, end] = watts if spec.figure == "power" else figures[0], figures[1] if spec.has_export else None
        registers = [one + more for one, more in zip(registers, figures, strict=True)]
    if "bad" in spec.faults:
        place = random.randrange(5, len(lines))
        lines[place] = lines[place].rsplit(spec.delimiter, 1)[0] + spec.delimiter + "n.b.!"
    lines = disordered(lines, spec, random)
    before = [f"Meter{spec.delimiter}4711", f"Home{spec.delimiter}Zähler", ""][: spec.preamble]
    text = "\r\n".join([*before, header, *lines]) + "\r\n"
    return Made(text.encode(spec.encoding), spec, spans, answers_of(spec))


def disordered(lines: list[str], spec: Spec, random: Random) -> list[str]:
    if "duplicates" in spec.faults:
        lines += random.sample(lines, 20)
    if "disorder" in spec.faults:
        random.shuffle(lines)
    elif "duplicates" not in spec.faults and "newest-first" in spec.faults:
        lines.reverse()
    return lines


def header_of(spec: Spec) -> str:
    first = {"start": "Start", "end": "End", "both": "Start"}[spec.edge] if spec.is_named else "Time"
    if spec.clock == "utc-named":
        first += " (UTC)"
    times = (
        [first, "Interval end" + (" (UTC)" if spec.clock == "utc-named" else "")] if spec.edge == "both" else [first]
    )
    unit = f" ({spec.unit})" if spec.unit else ""
    word = {"energy": "Import", "power": "Power", "register": "Import register"}[spec.figure]
    figures = [word + unit] + ([word.replace("Import", "Export") + unit] if spec.has_export else [])
    return spec.delimiter.join(times + figures)


def line_of(start: int, end: int, figures: Any, spec: Spec) -> str:  # noqa: ANN401 - a list or a tuple of two
    times = {"start": [start], "end": [end], "both": [start, end]}[spec.edge]
    scale = {"kWh": 1000, "kW": 1000, "": 1000}.get(spec.unit, 1)
    some = figures[: 2 if spec.has_export else 1]
    texts = [f"{one / scale:.3f}" if scale > 1 else str(one) for one in some]
    return spec.delimiter.join(
        [*(written(at, spec) for at in times), *(one.replace(".", spec.decimal) for one in texts)]
    )


def answers_of(spec: Spec) -> dict[str, Any]:
    names = {"ymd": "year-first", "mdy": "month-first"}
    return {
        "order": names.get(spec.order, "day-first"),
        "edge": "end" if spec.edge == "end" else "start",
        "unit": spec.unit or "kWh",
        "figure_kind": spec.figure,
        "decimal": "comma" if spec.decimal == "," else "point",
    }


def outcome(file: Made) -> str:
    """Take in a file; answer its questions as it was made."""
    known, asked = Known(file.spec.zone, NOW), False
    for _ in range(MOST_QUESTIONS):
        try:
            with recognised(
                open_table(io.BytesIO(file.content), Origin("d", NOW, DeviceRules(file.spec.zone))), known
            ) as found:
                if found.understanding.doubts:
                    option = found.understanding.doubts[0].option
                    if option not in ANSWERS:
                        return f"asked {option}"
                    known, asked = known._replace(**{ANSWERS[option]: file.answers[ANSWERS[option]]}), True
                    continue
                brakes = {one.name for one in found.understanding.brakes}
                if brakes == {"clock"} and not known.is_zone_named:
                    zone = file.spec.zone if file.spec.clock == "local" else "UTC"
                    known, asked = known._replace(zone=zone, is_zone_named=True), True
                    continue
                if brakes:
                    return f"refused: {', '.join(sorted(brakes))}"
                right = is_right(found, file)
                return ("right after the question" if asked else "right at once") if right else "SILENTLY WRONG"
        except ConfigurationError as error:
            return f"refused: {str(error)[:60]}"
    return "asked too often"


def is_right(found: Any, file: Made) -> bool:  # noqa: ANN401 - Recognised
    refused: list[int] = []
    once = unique(found.rows, lambda *_: refused.append(1), lambda: None)
    if found.layout.is_instant:
        truth = {start for start, _ in file.spans}
        rows = [(row[0], row[4]) for row in once]
        return {at for at, _ in rows} <= truth and len(rows) >= len(truth) - 10 and rows == sorted(rows)
    taken: Spans = {}
    for one in found.intervals(once, lambda *_: refused.append(1)):
        whole = [None if micro is None else round(micro / 1_000_000) for micro in one[3:5]]
        taken[one.start, one.end] = whole[0], whole[1]
    wrong = {span: wh for span, wh in taken.items() if not _is_same(file.spans.get(span), wh)}
    lost = len(file.spans) - len(taken)
    return len(wrong) <= ("bad" in file.spec.faults) and lost <= found.refusals.reasons.total() + len(refused)


def _is_same(truth: tuple[int | None, int | None] | None, taken: tuple[int | None, int | None]) -> bool:
    return truth is not None and all(
        (one is None) == (other is None) and abs((one or 0) - (other or 0)) <= 1
        for one, other in zip(truth, taken, strict=True)
    )


def large(count: int, step_s: int) -> None:
    """Take in so many rows of a minute, or another step; print the CPU time and the most memory."""
    with tempfile.TemporaryDirectory() as folder:
        path, first = Path(folder) / "rows.csv", NOW - NOW % 86_400 - count * step_s
        with path.open("w") as file:
            file.write("start,import_kwh\n")
            for place in range(count):
                at = datetime.fromtimestamp(first + place * step_s, UTC)
                file.write(f"{at:%Y-%m-%d %H:%M}:00,{(place * 7919 % 50) / 1000:.3f}\n")
        store, began = open_store(f"sqlite:///{folder}/rows.db"), time.process_time()
        known = Known("UTC", NOW)
        with path.open("rb") as stream, recognised(open_table(stream, Origin("d", NOW)), known) as found:
            print("read", round(time.process_time() - began, 1), "s")
            report = take(
                store,
                Device("d", "UTC"),
                found,
                NOW,
                lambda *_: nullcontext(lambda _: None),
                Source("rows.csv", "", "bench"),
            )
        store.close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{report.accepted} rows: {time.process_time() - began:.1f} s of CPU, {memory} MB")


def main() -> None:
    """Make files, take them in, count."""
    if sys.argv[1:2] == ["rows"]:
        count, step_s = sys.argv[2:3] or ["1000000"], sys.argv[3:4] or ["60"]
        large(int(count[0]), int(step_s[0]))
        return
    count, seed = (
        (int(text) for text in (*sys.argv[1:], "500", "7")[:2])
        if len(sys.argv) > 2
        else (int((*sys.argv[1:], "500")[0]), 7)
    )
    counts = Counter[str]()
    for number in range(count):
        file = made(Random(seed * 1_000_003 + number))
        said = outcome(file)
        counts[said.partition(":")[0] if said.startswith("refused") else said] += 1
        if said.startswith(("SILENTLY", "asked", "refused")):
            print(number, said, file.spec)
    print(dict(counts))
    assert not counts["SILENTLY WRONG"]


if __name__ == "__main__":
    main()
