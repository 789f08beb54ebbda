"""The page of a home's history: upload a file, answer, confirm, watch, undo. For the household, and for staff.

A file is read in the last step of its request: after the session, the token, which stands in the address, and the
access. It goes to an unnamed file, and `import_jobs` goes on with it. The page refreshes itself while a job is at work.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from shutil import copyfileobj
from tempfile import TemporaryFile
from threading import BoundedSemaphore
from typing import Any, BinaryIO, cast

from flask import Blueprint, Flask, Response, abort, redirect, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as Answer

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, StoreAway
from aggregator.intake.imports.import_records import TAKING, UNDONE, ImportRecord, can_undo, imports_of
from aggregator.store.occupancies import is_over, seen_by, seen_instants
from aggregator.support.actions import record_import
from aggregator.support.audit import Audit, Who
from aggregator.support.audit_entry import check_reason
from dashboard.accounts.access import is_staff, may_edit, viewer
from dashboard.accounts.accounts import Throttle
from dashboard.accounts.users import User
from dashboard.charts.view import View
from dashboard.pages.history import history_view, import_job
from dashboard.pages.history.import_job import ImportJob
from dashboard.pages.history.import_jobs import ImportJobs
from dashboard.text.language import Language, text
from dashboard.web.cached_reads import CachedReads
from dashboard.web.request_guard import admit_body, token_for
from dashboard.web.responses import notice, reader_language, render

MOST_BYTES = 50 << 20  # of a file
AROUND = 4096  # bytes of a form around its file
UPLOADS = 2  # at once in a process; each takes a thread as long as its sender needs
DROPPED = 128 << 20  # bytes; so much of a body that is too long is read, since browsers hear no answer before
PAGE_ROWS = 20  # imports
OWN_REASON = "on the page of the household"


@dataclass(frozen=True, slots=True)
class HistoryServices:
    """The collaborators of the page."""

    data: CachedReads
    jobs: ImportJobs
    audit: Audit
    throttle: Throttle
    reason_words: Callable[[str, Language], str]  # of a refused row


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """One authorized request: the device with the days of its present household, and who asks."""

    services: HistoryServices
    device: Device
    user: User
    lang: Language

    @property
    def reason(self) -> str:
        """Return the reason, which staff must give; empty where it is none."""
        try:
            return check_reason(request.form.get("reason", "")) if is_staff(self.user) else OWN_REASON
        except ConfigurationError:
            return ""

    def entry(self, **what: str) -> Callable[[], None]:
        """Return what writes down that a `file` is imported, or an import `undone`."""
        who = Who(self.user.user_id, self.user.email, self.user.role, self.user.name)
        audit, device_id, now = self.services.audit, self.device.device_id, int(time.time())
        return partial(record_import, audit, who, device_id, self.reason, now, **what)

    @property
    def by(self) -> str:
        """Return who asks, as imports name them."""
        return f"{self.user.role} {self.user.name or self.user.email}"

    @property
    def cutoff(self) -> int:
        """Return the retention cutoff."""
        return self.services.jobs.store.retention_cutoff(self.device.device_id)

    def imports(self) -> list[ImportRecord]:
        """Return the imports of the days that may be seen, newest first."""
        own = seen_instants(self.device)
        found = imports_of(self.services.jobs.store, self.device.device_id)
        return [one for one in found if own.start <= one.first and one.last <= own.end]


def add_routes(server: Flask, services: HistoryServices) -> None:
    """Add the page to a server."""
    page, uploads = Blueprint("history", __name__, url_prefix="/d/<device_id>/history"), BoundedSemaphore(UPLOADS)

    @page.get("")
    def show(device_id: str) -> Response:
        return _page(_request(services, device_id), undone=request.args.get("undo", ""))

    @page.post("")
    def act(device_id: str) -> Response | Answer:
        return _act(_request(services, device_id))

    @page.post("/file")
    def upload(device_id: str) -> Response | Answer:
        history = _request(services, device_id)
        if services.throttle.upload(history.user.user_id):
            return _page(history, 429, history_view.TOO_OFTEN)
        if not uploads.acquire(blocking=False):
            return _page(history, 503, history_view.FULL)
        try:
            return _received(history)
        finally:
            uploads.release()

    server.register_blueprint(page)


def _request(services: HistoryServices, device_id: str) -> HistoryRequest:
    """Return an authorized request. Aborts with 404 for a device that the viewer may not see."""
    user = viewer()
    device = services.data.device(user, device_id)
    if user is None or device is None:
        abort(404)
    if user.is_visitor or not (may_edit(user, device) or is_staff(user)) or is_over(device):
        sentence = history_view.SHARED if user.is_visitor else history_view.MOVED
        abort(notice(403, text("You cannot change this home"), sentence))
    own = seen_by(device, device.household) or device  # staff fill in the days of the present household, too
    return HistoryRequest(services, own, user, reader_language())


def _received(history: HistoryRequest) -> Response | Answer:
    """Take a file from the request, and begin its job."""
    most = MOST_BYTES + AROUND
    if (request.content_length or 0) > most:
        _drop_body()
        return _page(history, 413, history_view.TOO_LARGE)
    admit_body(request, most)
    try:
        sent = request.files.get("file")
    except RequestEntityTooLarge:
        return _page(history, 413, history_view.TOO_LARGE)
    size = sent.stream.seek(0, 2) if sent else 0
    if sent is None or not size:
        return _page(history, 422, history_view.NO_FILE)
    if size > MOST_BYTES:
        return _page(history, 413, history_view.TOO_LARGE)
    sent.stream.seek(0)
    stream = cast(BinaryIO, TemporaryFile())  # noqa: SIM115 - its job closes it
    copyfileobj(sent.stream, stream)
    name = (sent.filename or "").replace("\\", "/").rpartition("/")[2]
    name = "".join(letter for letter in name if letter.isprintable())[:120] or "file"
    if not history.services.jobs.begin(history.device, history.by, name, stream):
        stream.close()
        return _page(history, 503, history_view.FULL)
    return _back(history)


def _drop_body() -> None:
    """Read a body that is too long, up to DROPPED bytes."""
    admit_body(request, DROPPED)
    left, stream = min(request.content_length or 0, DROPPED), request.environ["wsgi.input"]
    while left > 0 and (data := stream.read(min(left, 1 << 16))):
        left -= len(data)


def _back(history: HistoryRequest) -> Answer:
    return redirect(f"{_chart(history)}/history", 303)


def _chart(history: HistoryRequest) -> str:
    return View("household", history.device.device_id).to_url()


def _act(history: HistoryRequest) -> Response | Answer:
    """Answer a button. One of another job, or of a question that is answered already, does nothing."""
    action, form, jobs = request.form.get("action", ""), request.form, history.services.jobs
    if action == "undo":
        return _undo(history, form.get("number", ""))
    job = jobs.find(history.device)
    if job is None or form.get("job") != job.job_id or form.get("turn") != str(job.turn):
        return _page(history, 409, history_view.CHANGED)
    if action == "forget" and not job.is_open:
        jobs.forget(job)
    elif action == "cancel" and job.can_cancel:
        return _cancel(history, job)
    elif action == "take" and job.state == import_job.READY:
        return _take(history, job)
    elif action == "again" and job.state in (import_job.ASKS, import_job.READY):
        return _answer(history, job, ())
    elif action == "answer" and job.state == import_job.ASKS:
        options = (job.said or {}).get("question", {"options": ()})["options"]
        chosen = dict(zip(map(str, range(100)), options, strict=False)).get(form.get("choice", ""))
        if chosen:
            return _answer(history, job, (*job.answers, tuple(chosen)))
    return _back(history)


def _answer(history: HistoryRequest, job: ImportJob, answers: tuple[Any, ...]) -> Response | Answer:
    """Have a file read anew with these answers."""
    if job.turn >= import_job.MOST_TURNS:
        return _page(history, 422, history_view.TOO_MANY_ANSWERS)
    is_told = history.services.jobs.tell(job, import_job.WAITING, answers=answers)
    return _back(history) if is_told else _page(history, 409, history_view.CHANGED)


def _take(history: HistoryRequest, job: ImportJob) -> Response | Answer:
    """Import a file, and write it down; without the entry it is not imported."""
    jobs, is_correction = history.services.jobs, "replace" in request.form
    if not import_job.has_news(job.said, is_correction=is_correction):
        return _page(history, 422, history_view.NOTHING_NEW)
    if not history.reason:
        return _page(history, 422, history_view.NO_REASON)
    if not jobs.tell(job, import_job.CONFIRMED, is_correction=is_correction):
        return _page(history, 409, history_view.CHANGED)
    try:
        history.entry(file=job.file)()
    except StoreAway:
        if confirmed := jobs.find(history.device):
            jobs.tell(confirmed, import_job.CANCELLED)
        raise
    return _back(history)


def _cancel(history: HistoryRequest, job: ImportJob) -> Response | Answer:
    """Stop a job. What it has imported is undone, which is written down."""
    has_begun = job.state in (import_job.CONFIRMED, TAKING)
    if has_begun and not history.reason:
        return _page(history, 422, history_view.NO_REASON)
    if not history.services.jobs.tell(job, import_job.CANCELLED):
        return _page(history, 409, history_view.CHANGED)
    if has_begun:
        begun = (one.id for one in history.imports() if one.state == TAKING)
        history.entry(undone=next(begun, "before it began"))()
    return _back(history)


def _undo(history: HistoryRequest, number: str) -> Response | Answer:
    record = next((one for one in history.imports() if str(one.number) == number), None)
    if record is None:
        return _page(history, 409, history_view.CHANGED)
    if record.state == UNDONE:
        return _page(history, 409, history_view.UNDONE_ALREADY)
    if not can_undo(record, history.cutoff):
        return _page(history, 409, history_view.NOT_ANY_MORE)
    if not history.reason:
        return _page(history, 422, history_view.NO_REASON, number)
    if not history.services.jobs.begin_undo(history.device, history.by, record, history.entry(undone=record.id)):
        return _page(history, 503, history_view.FULL)
    return _back(history)


# The page


def _page(history: HistoryRequest, status: int = 200, fault: str = "", undone: str = "") -> Response:
    """Return the page in its present state: `fault` says why nothing came of a request, `undone` is asked about."""
    lang, device, services = history.lang, history.device, history.services
    job, now, cutoff = services.jobs.find(device), services.data.now(), history.cutoff
    page = min(max(request.args.get("page", 1, int), 1), 1000)
    rows = [history_view.import_row(one, now, cutoff, device.timezone, lang) for one in history.imports()]
    address, is_stopping = f"{_chart(history)}/history", "stop" in request.args
    answer = render(
        "history.html",
        status,
        home=device.name or device.device_id,
        chart=_chart(history),
        back=f"/desk/device/{device.device_id}" if is_staff(history.user) else _chart(history),
        address=address,
        upload=f"{address}/file?csrf={token_for(f'{address}/file')}",
        is_staff=is_staff(history.user),
        is_stopping=is_stopping,
        fault=lang.say(fault, most=MOST_BYTES >> 20) if fault else "",
        most=MOST_BYTES >> 20,
        job=job,
        told=_told(history, job) if job else {},
        rows=rows[PAGE_ROWS * (page - 1) : PAGE_ROWS * page],
        page=page,
        has_older=len(rows) > PAGE_ROWS * page,
        asked=next((one for one in rows if str(one.number) == undone and one.can_undo), None) if not job else None,
    )
    if job and job.is_at_work and status == 200 and not is_stopping:
        answer.headers["Refresh"] = str(job.pause_s(time.time()))
    return answer


def _told(history: HistoryRequest, job: ImportJob) -> dict[str, Any]:
    """Return what the page says of a job."""
    lang, said = history.lang, job.said or {}
    say = history_view.speaker(lang, history.services.reason_words)
    fault = history_view.capital(say(said.get("fault", "")))
    told: dict[str, Any] = {"fault": fault, "undone": said.get("undone", ""), "outcome": ()}
    if "question" in said:
        question = said["question"]
        told["question"] = history_view.capital(say(question["text"]))
        told["options"] = [history_view.meaning(option, value, say, lang) for option, value in question["options"]]
    if "report" in said:
        told["outcome"] = history_view.outcome(said["report"], say, lang, is_done=job.state != import_job.READY)
        told["has_news"] = import_job.has_news(said, is_correction=True)
        told["differs"] = said["report"]["differs"]
        told["changes"] = history_view.changes(said.get("changes", ()), lang)
        told["more_changes"] = said.get("more_changes", 0)
    if "understanding" in said:
        told |= history_view.understood(said["understanding"], say, lang, _stored(history, said["understanding"]))
    return told


def _stored(history: HistoryRequest, understanding: dict[str, Any]) -> list[Any]:
    """Return the charts that are there, of the periods of a file."""
    level, filed = history_view.level_of(understanding)
    return history.services.data.uncached(history.device, level, filed[0][0], filed[-1][0]) if filed else []
