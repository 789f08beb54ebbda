"""A file on its way into a home: a record that expires, and the thread of one process that holds the file.

Every process shows a job and takes its answers, by its record. The process that received the file works on it: it looks
at the record every second, and at once after a word in this process. The file is unnamed, so it ends with its process;
the record has no heartbeat then, and the page asks for the file anew. What was taken in is an import of its own, which
the same file resumes or a person takes back.

States: waiting (for its turn), looking, asks, ready, taking, undoing (an import is taken back), done, failed.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from secrets import token_urlsafe
from typing import Any, BinaryIO

import orjson

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, Phrase, StoreAway
from aggregator.intake.formats.message import DeviceRules, Origin
from aggregator.intake.imports import import_records
from aggregator.intake.imports.import_plan import stored_usage
from aggregator.intake.imports.import_records import TAKEN, TAKING, UNDOING, ImportRecord, Source, imports_of
from aggregator.intake.imports.import_report import ImportReport
from aggregator.intake.imports.importing import changed_days, take
from aggregator.intake.imports.recognise import Progress, Recognised, recognised
from aggregator.intake.imports.understanding import Known, answered
from aggregator.intake.tables.structured import table_apart
from aggregator.store.collections import IMPORT_JOBS, update_record
from aggregator.store.occupancies import is_over, seen_by
from aggregator.store.port import Store
from aggregator.waterfall.worker import drain
from dashboard.pages.history.history_view import ALLOW, question_of

WAITING, LOOKING, ASKS, READY, DONE, FAILED = "waiting", "looking", "asks", "ready", "done", "failed"
AT_WORK = frozenset({WAITING, LOOKING, TAKING, UNDOING})
TAKE, ANSWER, CANCEL = "take", "answer", "cancel"  # what a person wishes
MOST_JOBS = 4  # of a process; each holds a file
BEAT_S, LOST_S = 10, 60  # between signs of life; without one for so long, the process has ended
PATIENCE_S = 1800  # for an answer
POLL_S = 1.0
SHOWN_CHANGES = 31  # days that a correction changes
MOST_BODY = 250_000  # bytes of a record

JSON = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATETIME

log = logging.getLogger(__name__)


class _Stopped(Exception):
    """The person has cancelled, or the home is no longer theirs."""


@dataclass(frozen=True, slots=True)
class ImportJob:
    """A job as it is stored. `said` is JSON: the understanding, the report, the changes, the fault."""

    job_id: str
    device_id: str
    household: str
    by: str
    file: str
    state: str = WAITING
    beat: int = 0  # UTC seconds
    percent: int = 0
    answers: tuple[tuple[str, str], ...] = ()  # option and value
    is_correction: bool = False
    wish: str = ""
    said: Any = None

    @property
    def is_at_work(self) -> bool:
        """Whether it goes on by itself."""
        return self.state in AT_WORK or bool(self.wish)

    @property
    def is_open(self) -> bool:
        """Whether it holds a file, or takes an import back."""
        return self.is_at_work or self.state in (ASKS, READY)


def _decoded(body: str) -> ImportJob:
    values = orjson.loads(body)
    return ImportJob(**values | {"answers": tuple(map(tuple, values["answers"]))})


def _body(job: ImportJob) -> str:
    return orjson.dumps(job, default=_plain, option=JSON).decode()


def _plain(value: object) -> object:
    if isinstance(value, Phrase):
        return {"template": value.template, "values": value.values}
    return list(value) if isinstance(value, tuple) else str(value)


class ImportJobs:
    """The jobs of all homes, and the threads of those whose files came to this process. `clock` gives UTC seconds."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self.store, self._clock = store, clock
        self._turn, self._bell = threading.Lock(), threading.Condition()
        self._running = 0

    def find(self, device: Device) -> ImportJob | None:
        """Return the job of a device as its household sees it, or None."""
        body = self.store.record(IMPORT_JOBS.of(), device.device_id)
        job = _decoded(body) if body else None
        if job is None or job.household != device.household:
            return None
        if job.is_open and job.beat < time.time() - LOST_S:
            text = Phrase("Wattfall was started anew meanwhile, and the file is gone with it. Bring it again.")
            return replace(job, state=FAILED, said={"fault": jsoned(text)})
        return job

    def begin(self, device: Device, by: str, name: str, stream: BinaryIO) -> bool:
        """Begin a job with a file, which is closed at its end; return whether there is place for it."""
        return self._begin(ImportJob("", device.device_id, device.household, by, name), self._run, stream)

    def begin_undo(self, device: Device, by: str, record: ImportRecord) -> bool:
        """Begin to take an import back; return whether there is place for it."""
        job = ImportJob("", device.device_id, device.household, by, record.file, UNDOING)
        return self._begin(job, partial(self._undo, record))

    def tell(self, job: ImportJob, wish: str, **fields: object) -> None:
        """Tell a job what a person wishes, unless it is another one meanwhile, or another question."""

        def told(body: str | None) -> str | None:
            known = _decoded(body) if body else None
            if known is None or (known.job_id, known.answers) != (job.job_id, job.answers) or known.wish == CANCEL:
                return None
            state = known.state if wish == CANCEL else WAITING
            return _body(replace(known, wish=wish, state=state, **fields))  # type: ignore[arg-type] # by name

        self._update(job, told)
        with self._bell:
            self._bell.notify_all()

    def forget(self, job: ImportJob) -> None:
        """Drop the record of a job, unless it is another one meanwhile."""
        body = self.store.record(IMPORT_JOBS.of(), job.device_id)
        if body and _decoded(body).job_id == job.job_id:
            self.store.drop_record(IMPORT_JOBS.of(), job.device_id)

    def _begin(self, job: ImportJob, work: Callable[..., None], *arguments: BinaryIO) -> bool:
        now = int(time.time())
        job = replace(job, job_id=token_urlsafe(12), beat=now)

        def begun(body: str | None) -> str | None:
            known = _decoded(body) if body else None
            is_taken = known is not None and known.is_open and known.beat >= now - LOST_S
            return None if is_taken else _body(job)

        with self._bell:
            if self._running >= MOST_JOBS or self._update(job, begun) != _body(job):
                return False
            self._running += 1
        threading.Thread(target=self._work, args=(job, work, *arguments), name="import", daemon=True).start()
        return True

    def _update(self, job: ImportJob, change: Callable[[str | None], str | None]) -> str | None:
        expires = IMPORT_JOBS.expires(int(time.time()))
        return update_record(self.store, IMPORT_JOBS.of(), job.device_id, change, expires=expires).body

    # The thread of a job

    def _work(self, job: ImportJob, work: Callable[..., None], *arguments: BinaryIO) -> None:
        try:
            fault = self._fault(job, work, *arguments)
            with suppress(_Stopped, StoreAway):
                if fault:
                    self._note(job, state=FAILED, said={"fault": jsoned(fault)})
        finally:
            for stream in arguments:
                stream.close()
            with self._bell:
                self._running -= 1

    def _fault(self, job: ImportJob, work: Callable[..., None], *arguments: BinaryIO) -> str:
        """Do the work of a job; return why it failed, or an empty string."""
        try:
            work(job, *arguments)
        except _Stopped:
            with suppress(StoreAway):
                self.forget(job)
        except StoreAway as error:
            log.warning("an import was given up: %s", error)
            return Phrase("The data is out of reach for the moment. Bring the file again in some minutes.")
        except Exception as error:
            if isinstance(error, ConfigurationError) and isinstance(error.args[0], Phrase):
                return error.args[0]
            log.exception("an import failed")
            return Phrase("Something went wrong here. The fault has been logged.")
        return ""

    def _note(self, job: ImportJob, **fields: object) -> ImportJob:
        """Set fields of a job, as a sign of life; return it as it is stored. Raises _Stopped."""

        def noted(body: str | None) -> str:
            known = _decoded(body) if body else None
            if known is None or known.job_id != job.job_id or known.wish == CANCEL:
                raise _Stopped
            changed = replace(known, **fields)  # type: ignore[arg-type] # by name
            now = int(time.time())
            return _body(replace(changed, beat=now) if fields or now >= known.beat + BEAT_S else changed)

        body = self._update(job, noted)
        assert body is not None
        return _decoded(body)

    def _home(self, job: ImportJob) -> Device:
        """Return the device, with the days of the household that the job is of. Raises _Stopped."""
        device = self.store.device(job.device_id)
        own = seen_by(device, job.household) if device and job.household else device
        if device is None or own is None or is_over(own) or device.household != job.household:
            raise _Stopped
        return replace(device, seen=own.seen)

    @contextmanager
    def _bar(self, job: ImportJob, _: str, length: int) -> Iterator[Progress]:
        done, noted = 0, time.monotonic()

        def progress(more: int) -> None:
            nonlocal done, noted
            done += more
            if time.monotonic() >= noted + POLL_S:
                noted = time.monotonic()
                self._home(job)
                self._note(job, percent=min(100 * done // max(length, 1), 100))

        yield progress

    def _run(self, job: ImportJob, stream: BinaryIO) -> None:
        """Look at the file and ask, until it is taken in."""
        stream.seek(0)
        digest = import_records.digest_of(stream)
        while True:
            while not self._turn.acquire(timeout=POLL_S):
                self._note(job, state=WAITING)
            try:
                job = self._step(job, stream, digest)
            finally:
                self._turn.release()
            if job.state == DONE:
                return
            job = self._answered(job)

    def _answered(self, job: ImportJob) -> ImportJob:
        """Wait for the person; return the job with a wish."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            with self._bell:
                self._bell.wait(POLL_S)
            job = self._note(job)
            if job.wish:
                return job
        text = Phrase("Nobody has answered for half an hour, so the file was let go. Bring it again.")
        raise ConfigurationError(text)

    def _step(self, job: ImportJob, stream: BinaryIO, digest: str) -> ImportJob:
        """Read the file once, and say what is asked, what would come of it, or what has come of it."""
        device, now = self._home(job), self._clock()
        is_wished = job.wish == TAKE
        job = self._note(job, state=TAKING if is_wished else LOOKING, percent=0, wish="")
        usage = partial(stored_usage, self.store, device)
        known = Known(device.timezone, now, device.max_power_w, device.kind, usage=usage)
        for option, value in job.answers:
            known = known if option == ALLOW else answered(known, option, value)
        allowed = [value for option, value in job.answers if option == ALLOW]
        with (
            table_apart(stream, Origin(device.device_id, now, DeviceRules(device.timezone))) as table,
            self._bar(job, "", stream.seek(0, 2)) as progress,
            recognised(table, known, allowed, progress) as found,
        ):
            said = {"understanding": jsoned(found.understanding)}
            if found.understanding.doubts or found.understanding.brakes:
                return self._note(job, state=ASKS, said=said | {"question": jsoned(question_of(found.understanding))})
            if is_wished:
                report = self._take(job, device, found, digest)
                return self._note(job, state=DONE, said={"report": report.as_json(device.timezone)})
            report = take(self.store, device, found, now, lambda *_: nullcontext(lambda _: None), None)
            changes = [one._asdict() for one in changed_days(self.store, device, found)] if report.differs else []
            said |= {"report": report.as_json(device.timezone), "changes": jsoned(changes[:SHOWN_CHANGES])}
            return self._note(job, state=READY, said=said | {"more_changes": len(changes[SHOWN_CHANGES:])})

    def _take(self, job: ImportJob, device: Device, found: Recognised, digest: str) -> ImportReport:
        """Take a file in; what a person stops is taken back whole."""
        before = {one.number for one in imports_of(self.store, device.device_id) if one.state == TAKEN}
        source = Source(job.file, digest, job.by, job.is_correction)
        try:
            return take(self.store, device, found, self._clock(), partial(self._bar, job), source)
        except _Stopped:
            for one in imports_of(self.store, device.device_id):
                if (one.digest, one.state, one.is_correction) != (digest, TAKING, job.is_correction):
                    continue
                with suppress(ConfigurationError):  # its device is gone
                    if one.number in before:  # the file was taken in before: its import stays
                        import_records.update_import(self.store, one, state=TAKEN)
                    else:
                        import_records.undo(self.store, one, job.by, self._clock())
            drain(self.store)
            raise

    def _undo(self, record: ImportRecord, job: ImportJob) -> None:
        with self._turn, self._bar(job, "", record.blocks) as progress:
            import_records.undo(self.store, record, job.by, self._clock(), progress)
            drain(self.store)
        self._note(job, state=DONE, said={"undone": record.file})


def jsoned(value: object) -> Any:  # noqa: ANN401 - JSON
    body = orjson.dumps(value, default=_plain, option=JSON)
    if len(body) > MOST_BODY:
        raise ConfigurationError(Phrase("its names are too long to be shown"))
    return orjson.loads(body)
