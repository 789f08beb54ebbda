"""A file on its way into a home: a record that expires, and the thread of one process that holds the file.

Every process shows a job and takes its answers, by its record. The process that received the file works on it. A second
thread writes a sign of life while the job runs, and looks whether the person has cancelled it or the home is another's.
The file is unnamed, so it ends with its process; the record has no sign of life then, and the page asks for the file
again. What was imported is an import of its own, which the same file resumes or a person undoes.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from secrets import token_urlsafe
from typing import Any, BinaryIO

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, Phrase, StoreAway
from aggregator.intake.formats.message import DeviceRules, Origin
from aggregator.intake.imports import import_records
from aggregator.intake.imports.import_plan import stored_usage
from aggregator.intake.imports.import_records import STANDING, TAKEN, TAKING, UNDOING, ImportRecord, Source, imports_of
from aggregator.intake.imports.importing import changed_days, take
from aggregator.intake.imports.recognise import Progress, Recognised, recognised
from aggregator.intake.imports.understanding import Known
from aggregator.intake.tables.structured import table_apart
from aggregator.store.collections import IMPORT_FINDINGS, IMPORT_JOBS, Update, update_record
from aggregator.store.occupancies import is_over, seen_by
from aggregator.store.port import Store
from aggregator.waterfall.worker import drain
from dashboard.pages.history import import_job
from dashboard.pages.history.import_job import ImportJob
from dashboard.web.user_limits import paced

MOST_JOBS = 4  # of a process; each holds a file. One more takes the place of one that asks, of the same person first
BEAT_S = 10  # between signs of life
PATIENCE_S = 1800  # for an answer
POLL_S = 1.0
SHOWN_CHANGES = 31  # days that a correction changes

log = logging.getLogger(__name__)


class _Stopped(Exception):
    """The person has cancelled, or the home is no longer theirs."""


@dataclass(slots=True)
class _Sign:
    """What the thread of a job and its watcher tell each other."""

    percent: int = 0
    is_stopped: bool = False
    ended: threading.Event = field(default_factory=threading.Event)


class ImportJobs:
    """The jobs of all homes, and the threads of those whose files came to this process. `clock` gives UTC seconds."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self.store, self._clock = store, clock
        self._turn, self._bell = threading.Lock(), threading.Condition()
        self._signs = dict[str, _Sign]()
        self._jobs = dict[str, tuple[str, str] | None]()  # at work; of those that ask, the household and the person

    def find(self, device: Device) -> ImportJob | None:
        """Return the job of a device as its household sees it, or None."""
        body = self.store.record(IMPORT_JOBS.of(), device.device_id)
        job = import_job.decoded(body) if body else None
        if job is None or job.household != device.household:
            return None
        if job.is_lost(time.time()) and job.job_id not in self._signs:
            text = Phrase("Wattfall was restarted before the import was finished. Upload the file again.")
            return replace(job, state=import_job.FAILED, said={"fault": import_job.jsoned(text)})
        return import_job.with_findings(job, self.store.record(IMPORT_FINDINGS.of(), device.device_id))

    def begin(self, device: Device, by: str, name: str, stream: BinaryIO) -> bool:
        """Begin a job with a file, which is closed at its end; return whether there is place for it."""
        return self._begin(ImportJob("", device.device_id, device.household, by, name), self._run, stream)

    def begin_undo(self, device: Device, by: str, record: ImportRecord, before: Callable[[], None]) -> bool:
        """Begin to undo an import, after `before`; return whether there is place for it."""
        job = ImportJob("", device.device_id, device.household, by, record.file, UNDOING)
        return self._begin(job, partial(self._undo, record, before))

    def tell(self, job: ImportJob, state: str, **fields: object) -> bool:
        """Move a job as a person wishes; return whether it was still as they saw it. An open job can be cancelled."""

        def told(body: str | None) -> str | None:
            known = import_job.decoded(body) if body else None
            moved = known.moved(job, state) if known else None
            return import_job.encoded(replace(moved, since=int(time.time()), **fields)) if moved else None  # type: ignore[arg-type] # by name

        was, now = self._update(job, told)
        with self._bell:
            self._bell.notify_all()
        return was != now

    def forget(self, job: ImportJob) -> None:
        """Drop the records of a job, unless it is another one meanwhile."""
        body = self.store.record(IMPORT_JOBS.of(), job.device_id)
        if body and import_job.decoded(body).job_id == job.job_id:
            self.store.drop_record(IMPORT_JOBS.of(), job.device_id)
            self.store.drop_record(IMPORT_FINDINGS.of(), job.device_id)

    def _begin(self, job: ImportJob, work: Callable[..., None], *arguments: BinaryIO) -> bool:
        now = int(time.time())
        job = replace(job, job_id=token_urlsafe(12), beat=now, since=now)

        def begun(body: str | None) -> str | None:
            known = import_job.decoded(body) if body else None
            is_taken = known and known.is_open and not known.is_lost(now) and known.household == job.household
            return None if is_taken else import_job.encoded(job)

        with self._bell:
            asking = {one: whose for one, whose in self._jobs.items() if whose}
            own = [one for one, whose in asking.items() if whose == (job.household, job.by)]
            gone = next(iter(own or asking), "") if len(self._jobs) >= MOST_JOBS else None
            if gone == "" or self._update(job, begun).body != import_job.encoded(job):
                return False
            self._jobs.pop(gone or "", None)
            self._jobs[job.job_id] = None
        self._signs[job.job_id] = _Sign()
        threading.Thread(target=self._work, args=(job, work, *arguments), name="import", daemon=True).start()
        return True

    def _update(self, job: ImportJob, change: Callable[[str | None], str | None]) -> Update:
        expires = IMPORT_JOBS.expires(int(time.time()))
        return update_record(self.store, IMPORT_JOBS.of(), job.device_id, change, expires=expires)

    # The thread of a job

    def _work(self, job: ImportJob, work: Callable[..., None], *arguments: BinaryIO) -> None:
        watcher = threading.Thread(target=self._watch, args=(job,), name="import", daemon=True)
        watcher.start()
        try:
            fault = self._fault(job, work, *arguments)
            with suppress(_Stopped, StoreAway):
                if fault:
                    self._note(job, import_job.FAILED, {"fault": import_job.jsoned(fault)})
        finally:
            self._signs[job.job_id].ended.set()
            watcher.join()
            del self._signs[job.job_id]
            for stream in arguments:
                stream.close()
            with self._bell:
                self._jobs.pop(job.job_id, None)

    def _fault(self, job: ImportJob, work: Callable[..., None], *arguments: BinaryIO) -> str:
        """Do the work of a job; return why it failed, or an empty string."""
        try:
            work(job, *arguments)
        except _Stopped:
            with suppress(StoreAway):
                self.forget(job)
        except StoreAway as error:
            log.warning("an import was given up: %s", error)
            return Phrase("The data is out of reach for the moment. Upload the file again in some minutes.")
        except Exception as error:
            if isinstance(error, ConfigurationError) and isinstance(error.args[0], Phrase):
                return error.args[0]
            log.exception("an import failed")
            return Phrase("Something went wrong here. The fault has been logged.")
        return ""

    def _watch(self, job: ImportJob) -> None:
        """Write signs of life of a job until it ends; tell it to stop where the person or the home does."""
        sign = self._signs[job.job_id]

        def beaten(body: str | None) -> str | None:
            known, now = self._own(job, body), int(time.time())
            is_due = sign.percent != known.percent or now >= known.beat + BEAT_S
            return import_job.encoded(replace(known, beat=now, percent=sign.percent)) if is_due else None

        while not sign.ended.wait(POLL_S):
            with suppress(StoreAway):
                try:
                    sign.is_stopped |= self._own(job, self._update(job, beaten).body).state == import_job.CANCELLED
                    self._home(job)
                except _Stopped:
                    sign.is_stopped = True

    def _own(self, job: ImportJob, body: str | None) -> ImportJob:
        """Return a job as it is stored. Raises _Stopped where it is another one meanwhile."""
        known = import_job.decoded(body) if body else None
        if known is None or known.job_id != job.job_id:
            raise _Stopped
        return known

    def _note(self, job: ImportJob, state: str = "", said: Any = None) -> ImportJob:  # noqa: ANN401 - JSON
        """Move a job on, with what the page says in that state; return it as it is stored. Raises _Stopped."""

        def noted(body: str | None) -> str:
            known = self._own(job, body)
            if known.state == import_job.CANCELLED or self._signs[job.job_id].is_stopped:
                raise _Stopped
            return import_job.encoded(replace(known, state=state or known.state))

        if said:
            self._note(job)
            found, now = import_job.findings_of(replace(job, state=state), said), int(time.time())
            self.store.put_record(IMPORT_FINDINGS.of(), job.device_id, found, expires=IMPORT_FINDINGS.expires(now))
        body = self._update(job, noted).body
        assert body is not None
        return import_job.decoded(body)

    def _home(self, job: ImportJob) -> Device:
        """Return the device, with the days of the household that the job is of. Raises _Stopped."""
        device = self.store.device(job.device_id)
        own = seen_by(device, job.household) if device and job.household else device
        if device is None or own is None or is_over(own) or device.household != job.household:
            raise _Stopped
        return replace(device, seen=own.seen)

    @contextmanager
    def _bar(self, job: ImportJob, _: str, length: int) -> Iterator[Progress]:
        done, sign, pace = 0, self._signs[job.job_id], paced()
        sign.percent = 0

        def progress(more: int) -> None:
            nonlocal done
            done += more
            sign.percent = min(100 * done // max(length, 1), 100)
            if sign.is_stopped and job.state != UNDOING:
                raise _Stopped
            pace()

        yield progress

    def _run(self, job: ImportJob, stream: BinaryIO) -> None:
        """Look at the file and ask, until it is imported."""
        stream.seek(0)
        digest = import_records.digest_of(stream)
        while True:
            while not self._turn.acquire(timeout=POLL_S):
                self._note(job)
            try:
                job = self._step(job, stream, digest)
            finally:
                self._turn.release()
            if job.state == import_job.DONE:
                return
            job = self._answered(job)

    def _answered(self, job: ImportJob) -> ImportJob:
        """Wait for the person; return the job with an answer."""
        until = time.monotonic() + PATIENCE_S
        with self._bell:
            self._jobs[job.job_id] = (job.household, job.by)
        while time.monotonic() < until and job.job_id in self._jobs:
            with self._bell:
                self._bell.wait(POLL_S)
                job = self._note(job)
                if job.state in (import_job.WAITING, import_job.CONFIRMED):
                    self._jobs[job.job_id] = None
                    return job
        raise ConfigurationError(Phrase("Nobody answered in time. Upload the file again to import it."))

    def _step(self, job: ImportJob, stream: BinaryIO, digest: str) -> ImportJob:
        """Read the file once, and say what is asked, what would come of it, or what has come of it."""
        device, now = self._home(job), self._clock()
        is_wished = job.state == import_job.CONFIRMED
        job = self._note(job, TAKING if is_wished else import_job.LOOKING)
        usage = partial(stored_usage, self.store, device)
        known = Known(device.timezone, now, device.max_power_w, device.kind, usage=usage)
        known, allowed = import_job.with_answers(known, job.answers)
        size = stream.seek(0, 2)
        with (
            table_apart(stream, Origin(device.device_id, now, DeviceRules(device.timezone))) as table,
            self._bar(job, "", size) as progress,
            recognised(table, known, allowed, progress) as found,
        ):
            said = {"understanding": import_job.jsoned(found.understanding)}
            if found.understanding.doubts or found.understanding.brakes:
                question = import_job.question_of(found.understanding, job.answers)
                return self._note(job, import_job.ASKS, said | {"question": import_job.jsoned(question)})
            if is_wished:
                return self._take(job, device, found, digest)
            bar = partial(self._bar, job)
            report = take(self.store, device, found, now, bar, None)
            with bar("", size) as progress:
                changed = changed_days(self.store, device, found, progress) if report.differs else []
            changes = [one._asdict() for one in changed]
            said |= {"report": report.as_json(device.timezone), "changes": import_job.jsoned(changes[:SHOWN_CHANGES])}
            return self._note(job, import_job.READY, said | {"more_changes": len(changes[SHOWN_CHANGES:])})

    def _take(self, job: ImportJob, device: Device, found: Recognised, digest: str) -> ImportJob:
        """Import a file; what a person stops is undone whole."""
        before = {one.number for one in imports_of(self.store, device.device_id) if one.state == TAKEN}
        source = Source(job.file, digest, job.by, job.is_correction)
        try:
            report = take(self.store, device, found, self._clock(), partial(self._bar, job), source)
            return self._note(job, import_job.DONE, {"report": report.as_json(device.timezone)})
        except _Stopped:
            for one in imports_of(self.store, device.device_id):
                if (one.digest, one.is_correction) != (digest, job.is_correction) or one.state not in STANDING:
                    continue
                with suppress(ConfigurationError):  # its device is gone
                    if one.number in before:  # the file was imported before: its import stays
                        import_records.update_import(self.store, one, state=TAKEN)
                    else:
                        import_records.undo(self.store, one, job.by, self._clock())
            drain(self.store)
            raise

    def _undo(self, record: ImportRecord, before: Callable[[], None], job: ImportJob) -> None:
        """Undo an import; it is done to its end, whoever lives there then."""
        with self._turn, self._bar(job, "", record.blocks) as progress:
            before()
            import_records.undo(self.store, record, job.by, self._clock(), progress)
            drain(self.store)
        self._note(job, import_job.DONE, {"undone": record.file})
