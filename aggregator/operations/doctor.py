"""The doctor looks at an installation, and says of each thing in one line whether it is well or what to mend."""

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from aggregator.core.errors import WattfallError
from aggregator.core.periods import DAY_S
from aggregator.core.readings import AHEAD_S
from aggregator.intake.mqtt import Broker, reach
from aggregator.operations.backup import newest_age_s
from aggregator.operations.metrics import LAG_LIMIT_S
from aggregator.settings import MAKE_ONE, SETTINGS, Settings
from aggregator.store import Store, file_of, open_store, pages
from aggregator.store.sqlite.sqlite_backup import check_form, check_pages

LEAST_FREE = 500e6  # bytes
LARGEST_LOG = 500e6  # bytes of SQLite's log; it is shortened while nobody reads the store for long
STALE_S = 2 * DAY_S  # age of the newest backup


class Finding(NamedTuple):
    """What was found, in one line."""

    name: str
    text: str
    is_well: bool = True


def examine(settings: Settings, names: Iterable[str], broker: Broker | None, ca_file: str) -> Iterator[Finding]:
    """Yield the findings about an installation; `names` are those of the environment's variables."""
    yield _settings(names)
    yield _secret(settings)
    if settings.store.startswith("sqlite:"):
        yield from _file(settings, file_of(settings.store))
    try:
        with closing(open_store(settings.store, may_create=False)) as store:
            yield from _store(store)
    except WattfallError as error:
        yield Finding("store", str(error), is_well=False)
    if broker:
        yield _attempt("broker", lambda: reach(broker, ca_file))


def _attempt(name: str, work: Callable[[], str]) -> Finding:
    try:
        return Finding(name, work())
    except WattfallError as error:
        return Finding(name, str(error), is_well=False)


def _settings(names: Iterable[str]) -> Finding:
    known = {setting.variable for setting in SETTINGS}
    odd = sorted(name for name in names if name.startswith("WATTFALL_") and name not in known)
    if odd:
        return Finding("settings", f"{', '.join(odd)}: no such setting; correct the name", is_well=False)
    return Finding("settings", f"{len(known.intersection(names))} set")


def _secret(settings: Settings) -> Finding:
    if settings.secret:
        return Finding("secret", "WATTFALL_SECRET is set")
    return Finding("secret", f"WATTFALL_SECRET is not set, so `wattfall web` does not start; {MAKE_ONE}", is_well=False)


# The file


def _file(settings: Settings, path: Path) -> Iterator[Finding]:
    if not path.exists():
        return  # said where it is opened
    yield _permissions(path)
    yield _disk(path)
    yield _log(path)
    yield _attempt("pages", lambda: _pages(path))
    yield _backups(settings, path)


def _permissions(path: Path) -> Finding:
    file, folder = path.stat(), path.absolute().parent.stat()
    mends = []
    if file.st_mode & 0o077:
        mends.append(f"others can open {path}; `chmod go= {path}*`")
    if file.st_uid != os.getuid():
        mends.append(f"{path} belongs to another user; run all of Wattfall as one user")
    if folder.st_mode & 0o022 and not folder.st_mode & 0o1000:
        mends.append(f"others can write to {path.absolute().parent}; `chmod go-w {path.absolute().parent}`")
    return Finding("permissions", "; ".join(mends) or f"{path} is its owner's alone", not mends)


def _disk(path: Path) -> Finding:
    free, size = shutil.disk_usage(path.absolute().parent).free, path.stat().st_size
    text = f"{free / 1e6:,.0f} MB free, the store has {size / 1e6:,.1f} MB"
    is_well = free > max(LEAST_FREE, size / 5)
    return Finding("disk", text if is_well else f"{text}; free some space", is_well)


def _log(path: Path) -> Finding:
    log = path.with_name(path.name + "-wal")
    size = log.stat().st_size if log.exists() else 0
    text = f"SQLite's log has {size / 1e6:,.1f} MB"
    is_well = size < LARGEST_LOG
    return Finding("log", text if is_well else f"{text}; restart the process that has read the store for long", is_well)


def _pages(path: Path) -> str:
    check_pages(path)
    check_form(path)
    return "SQLite's check finds no damage, and the tables have this Wattfall's form"


def _backups(settings: Settings, path: Path) -> Finding:
    if not settings.backup_dir:
        return Finding("backups", "none is made; name a folder on another disk in WATTFALL_BACKUP_DIR", is_well=False)
    folder = Path(settings.backup_dir)
    age_s = newest_age_s(folder, time.time())
    if age_s is None or age_s > STALE_S:
        newest = "there is none" if age_s is None else f"the newest is {age_s / DAY_S:.0f} days old"
        return Finding("backups", f"{newest} in {folder}; run `wattfall worker` and see its log", is_well=False)
    is_same = folder.stat().st_dev == path.stat().st_dev
    return Finding(
        "backups", f"the newest is {age_s / 3600:.0f} hours old{', on the disk of the store' if is_same else ''}"
    )


# The store


def _store(store: Store) -> Iterator[Finding]:
    yield Finding("store", "it opens, and this Wattfall knows its format")
    if store.has_one_writer:  # on DynamoDB a scan of all records costs; `wattfall verify` makes it
        damaged = list(filter(None, store.damaged_records()))
        text = f"{damaged[0]} ({len(damaged)} damaged)" if damaged else "each is as it was written"
        yield Finding("records", text, not damaged)
    yield _clock(store)
    backlog = store.backlog()
    lag_s = max(0, store.now() - backlog.since) if backlog.since else 0
    text = f"{backlog.waiting:,} changes wait, the oldest for {lag_s} s"
    is_well = lag_s <= LAG_LIMIT_S
    yield Finding("worker", text if is_well else f"{text}; run `wattfall worker`, and see its log", is_well)


def _clock(store: Store) -> Finding:
    """Compare the clock with what most devices said last, and with the last arrival."""
    lives, now = [live for page in pages(store.lives) for live in page], store.now()
    ats = sorted(live.at for live in lives)
    arrived = max((live.received_at for live in lives), default=0)
    if ats and ats[(len(ats) - 1) // 2] > now + AHEAD_S:
        return Finding("clock", "most devices are ahead of this machine's clock; set the clock", is_well=False)
    if arrived > now + AHEAD_S:
        return Finding("clock", f"a reading arrived {arrived - now} s in the future; set the clock", is_well=False)
    return Finding("clock", "no device and no arrival contradicts it")
