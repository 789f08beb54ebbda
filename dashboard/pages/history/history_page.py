"""The page of a home's history: bring a file, answer, confirm, watch, take back. For the household, and for staff.

A file is read in the last step of its request: after the session, the token, which stands in the address, and the
access. It goes to an unnamed file, and `import_jobs` goes on with it. The page refreshes itself while a job is at work.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from shutil import copyfileobj
from tempfile import TemporaryFile
from threading import BoundedSemaphore
from typing import Any, BinaryIO, cast

from flask import Blueprint, Flask, Response, abort, redirect, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as Answer

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.intake.imports.import_records import ImportRecord, check_undo, imports_of
from aggregator.store.occupancies import is_over, seen_by, seen_instants
from aggregator.support.actions import record_import
from aggregator.support.audit import Audit, Who
from aggregator.support.audit_entry import check_reason
from dashboard.accounts.access import is_staff, may_edit, viewer
from dashboard.accounts.accounts import Throttle
from dashboard.accounts.users import User
from dashboard.charts.view import View
from dashboard.pages.history import history_view
from dashboard.pages.history.import_jobs import ANSWER, ASKS, CANCEL, READY, TAKE, ImportJob, ImportJobs
from dashboard.text.language import Language, text
from dashboard.web.cached_reads import CachedReads
from dashboard.web.request_guard import admit_body, token_for
from dashboard.web.responses import notice, reader_language, render

MOST_BYTES = 50 << 20  # of a file
AROUND = 4096  # bytes of a form around its file
UPLOADS = 2  # at once in a process; each takes a thread as long as its sender needs
DROPPED = 128 << 20  # bytes; so much of a body that is too long is read, since browsers hear no answer before
REFRESH_S = 2
OWN_REASON = "on the page of the household"
CHANGED = text("Something has changed meanwhile. This is how it stands now.")
NO_FILE = text("Choose a file.")
TOO_LARGE = text("This file is larger than {most} MB. Bring it in parts, for instance a year at a time.")
FULL = text("Others bring files at this moment, or this home has one that is not finished. Try again soon.")
TOO_OFTEN = text("These were many files in a short time. Try again in some minutes.")
NO_REASON = text("Say in a few words why; 3 to 500 characters.")
NOT_ANY_MORE = text("This import cannot be taken back any more: of its time only the charts are kept.")


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
    def by(self) -> str:
        """Return who asks, as imports name them."""
        return f"{self.user.role} {self.user.name or self.user.email}"

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
            return _page(history, 429, TOO_OFTEN)
        if not uploads.acquire(blocking=False):
            return _page(history, 503, FULL)
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
    if not (may_edit(user, device) or is_staff(user)) or is_over(device):
        sentence = text("Its history can be filled in by the household that lives there now.")
        abort(notice(403, text("You cannot change this home"), sentence))
    own = seen_by(device, device.household) or device  # staff fill in the days of the present household, too
    return HistoryRequest(services, own, user, reader_language())


def _received(history: HistoryRequest) -> Response | Answer:
    """Take a file from the request, and begin its job."""
    most = MOST_BYTES + AROUND
    if (request.content_length or 0) > most:
        _drop_body()
        return _page(history, 413, TOO_LARGE)
    admit_body(request, most)
    try:
        sent = request.files.get("file")
    except RequestEntityTooLarge:
        return _page(history, 413, TOO_LARGE)
    size = sent.stream.seek(0, 2) if sent else 0
    if sent is None or not size:
        return _page(history, 422, NO_FILE)
    if size > MOST_BYTES:
        return _page(history, 413, TOO_LARGE)
    sent.stream.seek(0)
    stream = cast(BinaryIO, TemporaryFile())  # noqa: SIM115 - its job closes it
    copyfileobj(sent.stream, stream)
    name = (sent.filename or "").replace("\\", "/").rpartition("/")[2]
    name = "".join(letter for letter in name if letter.isprintable())[:120] or "file"
    if not history.services.jobs.begin(history.device, history.by, name, stream):
        stream.close()
        return _page(history, 503, FULL)
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
    if job is None or form.get("job") != job.job_id or form.get("answers") != str(len(job.answers)):
        return _page(history, 409, CHANGED)
    if action == "forget" and not job.is_open:
        jobs.forget(job)
    elif action == CANCEL and job.is_open:
        jobs.tell(job, CANCEL)
    elif action == "again" and job.state in (ASKS, READY):
        jobs.tell(job, ANSWER, answers=())
    elif action == ANSWER and job.state == ASKS:
        chosen = dict(zip(map(str, range(100)), job.said["question"]["options"], strict=False)).get(
            form.get("choice", "")
        )
        if chosen:
            jobs.tell(job, ANSWER, answers=(*job.answers, tuple(chosen)))
    elif action == TAKE and job.state == READY:
        fault = _audited(history, file=job.file)
        if fault:
            return _page(history, 422, fault)
        jobs.tell(job, TAKE, is_correction="replace" in form)
    return _back(history)


def _audited(history: HistoryRequest, *, file: str = "", undone: str = "") -> str:
    """Write down what is about to happen; return a fault of the reason, which staff must give."""
    user, now = history.user, int(time.time())
    try:
        reason = check_reason(request.form.get("reason", "")) if is_staff(user) else OWN_REASON
    except ConfigurationError:
        return NO_REASON
    who = Who(user.user_id, user.email, user.role, user.name)
    record_import(history.services.audit, who, history.device.device_id, reason, now, file=file, undone=undone)
    return ""


def _undo(history: HistoryRequest, number: str) -> Response | Answer:
    record = next((one for one in history.imports() if str(one.number) == number), None)
    if record is None:
        return _page(history, 409, CHANGED)
    try:
        check_undo(history.services.jobs.store, record)
    except ConfigurationError:
        return _page(history, 409, NOT_ANY_MORE)
    fault = _audited(history, undone=record.id)
    if fault:
        return _page(history, 422, fault, number)
    if not history.services.jobs.begin_undo(history.device, history.by, record):
        return _page(history, 503, FULL)
    return _back(history)


# The page


def _page(history: HistoryRequest, status: int = 200, fault: str = "", undone: str = "") -> Response:
    """Return the page in its present state: `fault` says why nothing came of a request, `undone` is asked about."""
    lang, device, services = history.lang, history.device, history.services
    job, now = services.jobs.find(device), services.data.now()
    rows = [history_view.import_row(one, now, device.timezone, lang) for one in history.imports()]
    address = f"{_chart(history)}/history"
    answer = render(
        "history.html",
        status,
        home=device.name or device.device_id,
        chart=_chart(history),
        back=f"/desk/device/{device.device_id}" if is_staff(history.user) else _chart(history),
        address=address,
        upload=f"{address}/file?csrf={token_for(f'{address}/file')}",
        is_staff=is_staff(history.user),
        fault=lang.say(fault, most=MOST_BYTES >> 20) if fault else "",
        most=MOST_BYTES >> 20,
        job=job,
        told=_told(history, job) if job else {},
        rows=rows,
        asked=next((one for one in rows if str(one.number) == undone and one.can_undo), None) if not job else None,
    )
    if job and job.is_at_work and status == 200:
        answer.headers["Refresh"] = str(REFRESH_S)
    return answer


def _told(history: HistoryRequest, job: ImportJob) -> dict[str, Any]:
    """Return what the page says of a job."""
    lang, said = history.lang, job.said or {}
    say = history_view.speaker(lang, history.services.reason_words)
    fault = _capital(say(said.get("fault", "")))
    told: dict[str, Any] = {"fault": fault, "undone": said.get("undone", ""), "outcome": ()}
    if "question" in said:
        question = said["question"]
        told["question"] = _capital(say(question["text"]))
        told["options"] = [history_view.meaning(option, value, say, lang) for option, value in question["options"]]
    if "report" in said:
        told["outcome"] = history_view.outcome(said["report"], say, lang, is_done=job.state != READY)
        told["differs"] = said["report"]["differs"]
        told["changes"] = history_view.changes(said.get("changes", ()), lang)
        told["more_changes"] = said.get("more_changes", 0)
    if "understanding" in said:
        told |= history_view.understood(said["understanding"], say, lang, _stored(history, said["understanding"]))
    return told


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _stored(history: HistoryRequest, understanding: dict[str, Any]) -> list[Any]:
    """Return the charts that are there, of the periods of a file."""
    level, filed = history_view.level_of(understanding)
    return history.services.data.uncached(history.device, level, filed[0][0], filed[-1][0]) if filed else []
