"""A file on its way into a home, as a record: its states, who may move it, its questions and their answers. Pure.

States: waiting (for its turn), looking, asks, ready, confirmed (waits for its turn to be imported), taking, undoing (an
import is undone), cancelled (about to stop), done, failed. Its thread moves it on; a person moves it from the turn that
they saw. What the page says of a file is large, and stands in a record of its own.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from aggregator.core.errors import ConfigurationError, Phrase
from aggregator.intake.imports.import_records import TAKING, UNDOING
from aggregator.intake.imports.understanding import Known, Understanding, answered

WAITING, LOOKING, ASKS, READY, CONFIRMED = "waiting", "looking", "asks", "ready", "confirmed"
CANCELLED, DONE, FAILED = "cancelled", "done", "failed"
AT_WORK = frozenset({WAITING, LOOKING, CONFIRMED, TAKING, UNDOING, CANCELLED})
LOST_S = 60  # without a sign of life for so long, its process has ended
REFRESH_S = ((5, 2), (15, 3), (45, 5))  # seconds since the person's last turn, and the pause; then SELDOM_S
SELDOM_S = 10
MOST_BODY = 300_000  # bytes of what is said of a file; DynamoDB keeps 400 KB
MOST_TURNS = 20  # of a person on one file; each reads it again
ALLOW = "--allow"

JSON = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATETIME


@dataclass(frozen=True, slots=True)
class ImportJob:
    """A job as it is stored, beside `said`, JSON: the understanding, the report, the changes, the fault."""

    job_id: str
    device_id: str
    household: str
    by: str
    file: str
    state: str = WAITING
    beat: int = 0  # UTC seconds
    since: int = 0  # of the last turn, UTC seconds
    percent: int = 0
    answers: tuple[tuple[str, str], ...] = ()  # option and value
    is_correction: bool = False
    turn: int = 0  # what a person has told it so far
    said: Any = None

    @property
    def is_at_work(self) -> bool:
        """Whether it goes on by itself."""
        return self.state in AT_WORK

    @property
    def is_open(self) -> bool:
        """Whether it holds a file, or undoes an import."""
        return self.is_at_work or self.state in (ASKS, READY)

    @property
    def can_cancel(self) -> bool:
        """Whether a person may stop it."""
        return self.is_open and self.state not in (UNDOING, CANCELLED)

    def is_lost(self, now: float) -> bool:
        """Whether its process has ended."""
        return self.is_open and self.beat < now - LOST_S

    def pause_s(self, now: float) -> int:
        """Return the seconds until a page looks at it again."""
        return next((pause for until, pause in REFRESH_S if now - self.since < until), SELDOM_S)

    def moved(self, seen: "ImportJob", state: str) -> "ImportJob | None":
        """Return it as a person moves it who saw it so; None where others have moved it. One at work can be stopped."""
        is_seen = (self.job_id, self.turn) == (seen.job_id, seen.turn)
        may_move = self.can_cancel if state == CANCELLED else self.state == seen.state
        return replace(self, state=state, turn=self.turn + 1) if is_seen and may_move else None


def decoded(body: str) -> ImportJob:
    """Return a job from its record."""
    values = orjson.loads(body)
    return ImportJob(**values | {"answers": tuple(map(tuple, values["answers"]))})


def encoded(job: ImportJob) -> str:
    """Return the record of a job, without what it said."""
    return orjson.dumps(replace(job, said=None)).decode()


def findings_of(job: ImportJob, said: object) -> str:
    """Return the record of what a job said. Raises ConfigurationError where it is too large."""
    found = orjson.dumps({"job_id": job.job_id, "state": job.state, "beat": job.beat, "said": said})
    if len(found) > MOST_BODY:
        raise ConfigurationError(Phrase("its names are too long to be shown"))
    return found.decode()


def with_findings(job: ImportJob, body: str | None) -> ImportJob:
    """Return a job with what it said; where that is of another state, it moves on just now."""
    found = orjson.loads(body) if body else {}
    if (found.get("job_id"), found.get("state")) == (job.job_id, job.state):
        return replace(job, said=found["said"])
    return replace(job, state=LOOKING) if job.state in (ASKS, READY) else job


def _plain(value: object) -> object:
    if isinstance(value, Phrase):
        return {"template": value.template, "values": value.values}
    return list(value) if isinstance(value, tuple) else str(value)


def jsoned(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return a value as JSON; a `Phrase` is its template and its values."""
    return orjson.loads(orjson.dumps(value, default=_plain, option=JSON))


# Questions

BRAKES: dict[str, tuple[tuple[str, str], ...]] = {  # the answers to what looks wrong
    "refused": ((ALLOW, "refused"),),
    "implausible": (*(("--unit", unit) for unit in ("kWh", "Wh", "MWh")), (ALLOW, "implausible")),
    "register": (("--kind", "register"), (ALLOW, "register")),
    "contradiction": ((ALLOW, "contradiction"),),
    "clock": (("--timezone", "UTC"), ("--time", "start"), ("--time", "end"), (ALLOW, "clock")),
}


def question_of(understood: Understanding, given: Collection[tuple[str, str]] = ()) -> dict[str, Any]:
    """Return the first question about a file, and its answers as options with values; there may be none.

    An answer that was `given` cannot help again.
    """
    if understood.doubts:
        doubt = understood.doubts[0]
        said, options = doubt.text, [(doubt.option, value) for value in doubt.values]
    else:
        brake = understood.brakes[0]
        said, helpful = brake.text, {ALLOW, *re.findall(r"--\w+", brake.option)}
        options = [one for one in BRAKES[brake.name] if one[0] in helpful]
    return {"text": said, "options": [one for one in options if one not in given]}


def with_answers(known: Known, answers: Sequence[tuple[str, str]]) -> tuple[Known, list[str]]:
    """Return what is known with all answers, and what is allowed. Raises ConfigurationError."""
    for option, value in answers:
        known = known if option == ALLOW else answered(known, option, value)
    return known, [value for option, value in answers if option == ALLOW]


def has_news(said: Mapping[str, Any] | None, *, is_correction: bool) -> bool:
    """Whether an import of what was said of a file would change anything."""
    report = (said or {}).get("report", {"accepted": 0, "differs": 0})
    return report["accepted"] > 0 or (is_correction and report["differs"] > 0)
