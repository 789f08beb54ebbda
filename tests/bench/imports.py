"""Files at random of a known year: how many are right at once, right after the question, refused, silently wrong.

Run by hand: `python -m tests.bench.imports [COUNT] [SEED]` for files, `python -m tests.bench.imports rows [COUNT]
[STEP]` for the time and memory of one large file, in a process of its own. `imports_made.py` makes the files and says
what is true of them. Each question is answered as the file was made. Silently wrong is a file that was taken with a
figure that is not the home's, or without a row that no refusal names.
"""

import io
import resource
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.intake.formats.message import DeviceRules, Origin
from aggregator.intake.imports.import_plan import unique
from aggregator.intake.imports.import_records import Source
from aggregator.intake.imports.importing import take
from aggregator.intake.imports.recognise import Recognised, recognised
from aggregator.intake.imports.understanding import Doubt, Known, RefusedRows, named_columns
from aggregator.intake.tables.structured import open_table
from aggregator.store import open_store
from tests.bench.imports_made import NOW, Made, made

ANSWERS = {"--dates": "order", "--time": "edge", "--unit": "unit", "--kind": "figure_kind", "--decimal": "decimal"}
ANSWERS["--direction"] = "direction"
MOST_QUESTIONS = 6


def answered(known: Known, doubt: Doubt, file: Made) -> Known | None:
    """Answer a question as the file was made; None where none of its answers is true."""
    if doubt.option in ANSWERS:
        field = ANSWERS[doubt.option]
        answer = file.answers[field]
        return known._replace(**{field: answer}) if answer in doubt.values else None
    name = {"--columns": "columns", "--where": "where"}.get(doubt.option, "")
    true = next((one for one in doubt.values if one.partition("=")[2] in file.answers[name]), "") if name else ""
    if not true:
        return None
    if doubt.option == "--where":
        return known._replace(where=(*known.where, true))
    return known._replace(columns={**known.columns, **named_columns(true)})


def outcome(file: Made) -> str:
    """Take in a file; answer its questions as it was made."""
    known, asked = Known(file.zone, NOW), list[str]()
    while len(asked) <= MOST_QUESTIONS:
        try:
            with recognised(
                open_table(io.BytesIO(file.content), Origin("d", NOW, DeviceRules(file.zone))), known
            ) as found:
                if found.understanding.doubts:
                    doubt = found.understanding.doubts[0]
                    more = answered(known, doubt, file)
                    if more is None:
                        return f"no true answer: {doubt.option} {doubt.text} {doubt.values}"
                    known = more
                    asked.append(doubt.option)
                    continue
                brakes = found.understanding.brakes
                if {one.name for one in brakes} == {"clock"} and not known.is_zone_named:
                    known = known._replace(zone=file.answers["zone"], is_zone_named=True)
                    asked.append("--timezone")
                    continue
                if brakes:
                    return f"refused: {', '.join(f'{one.name} {one.text}' for one in brakes)}"
                if why := wrong(found, file):
                    return f"SILENTLY WRONG: {why}"
                return f"right after the question: {' '.join(asked)}" if asked else "right at once"
        except ConfigurationError as error:
            return f"refused: {str(error)[:160]}"
    return f"asked too often: {' '.join(asked)}"


def wrong(found: Recognised, file: Made) -> str:
    """Return what is wrong with the rows of a file; empty where they are right."""
    assert found.rows is not None
    refused = RefusedRows()
    once = unique(found.rows, refused, lambda: None)
    taken: dict[tuple[int, int], tuple[Any, ...]] = {}
    if found.layout.is_instant:
        for at, _, _, power, *registers in once:
            taken[at, at] = tuple(registers[:2]) if file.is_register else (power, None)
    else:
        for one in found.intervals(once, refused):
            taken[one.start, one.end] = tuple(None if micro is None else micro / 1_000_000 for micro in one[3:5])
    for span, wh in sorted(taken.items()):
        if not _is_same(file.truth.get(span), wh):
            shown = [datetime.fromtimestamp(at, UTC).isoformat() for at in span]
            return f"{' to '.join(shown)} is {wh}, not {file.truth.get(span)}"
    lost = len(file.truth) - len(taken)
    told = found.refusals.reasons.total() + refused.reasons.total()
    return f"{lost} of {len(file.truth)} rows are lost, {told} refusals" if lost > told else ""


def _is_same(truth: tuple[int | None, int | None] | None, taken: tuple[Any, ...]) -> bool:
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
        rows, step_s = sys.argv[2:3] or ["1000000"], sys.argv[3:4] or ["60"]
        large(int(rows[0]), int(step_s[0]))
        return
    count, seed = (int(text) for text in (*sys.argv[1:], *("500", "7")[len(sys.argv) - 1 :]))
    counts, asked = Counter[str](), Counter[str]()
    for number in range(count):
        file = made(Random(seed * 1_000_003 + number))
        said, _, more = outcome(file).partition(": ")
        counts[said] += 1
        asked.update(more.split() if said.startswith("right") else [])
        if not said.startswith("right"):
            print(number, said, more, file.spec)
    print(dict(counts), dict(asked))
    assert not counts["SILENTLY WRONG"]


if __name__ == "__main__":
    main()
