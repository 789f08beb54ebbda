"""Backups of a SQLite store: make one while the store is in use, put one in its place, make one each day.

A backup counts only once it has been read back: SQLite's own check of its pages, and the check value of every document,
piece of evidence, live state and record.
"""

import logging
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import orjson

from aggregator.core.errors import ConfigurationError, Damaged, StoreUnusable, WattfallError
from aggregator.core.periods import DAY_S, FOR_EVER, HOUR, LEVELS
from aggregator.settings import Settings
from aggregator.store import all_devices, file_of, open_store, pages
from aggregator.store.collections import AUDIT_HEAD
from aggregator.store.port import Store
from aggregator.store.sqlite.sqlite_backup import (
    check_pages,
    copy_file,
    counts,
    put_in_place,
    remove,
    replace_file,
    unopened,
    without_log,
)

PAUSE_S = 0.01  # after each piece of work, so that a backup in the background takes a small share of a core
ENDS_S = 2.0  # for a backup to end and tidy up; the next one tidies up otherwise
RETRY_S = HOUR  # after a failed backup
ROOM = 1.2  # free space that a copy needs, as a share of the store
_NAME = re.compile(r"wattfall-\d{8}T\d{6}Z\.db")
Pause = Callable[[], object]
log = logging.getLogger("wattfall.backup")


class Copied(NamedTuple):
    """What a checked copy holds."""

    path: Path
    rows: dict[str, int]  # by table
    newest: int  # UTC seconds of its newest reading; 0 without one
    audit: str  # number and hash of its last audit entry; empty without one


def back_up(url: str, target: Path, pause: Pause = lambda: None) -> Copied:
    """Copy the store at a URL to a new file, and check the copy; nothing is left behind by one that fails.

    `pause` is called often, and may raise. Raises ConfigurationError, StoreUnusable.
    """
    source = file_of(url)
    open_store(url, may_create=False).close()  # names a store that is none
    if target.exists():
        raise ConfigurationError(f"{target} exists already; name a new file")
    return _checked_copy(source, target, pause, partial(put_in_place, target))


def restore(url: str, source: Path, now: int) -> tuple[Copied, Path | None]:
    """Put a backup in the store's place; return what it holds, and where the former file is, if there was one.

    Raises ConfigurationError where a process has the store open, StoreUnusable where the backup is damaged.
    """
    path = file_of(url)
    former = path.with_name(f"{path.name}.before-{_stamp(now)}")
    if path.exists() and path.samefile(source):
        raise ConfigurationError(f"{source} is the store itself; name a backup")
    with unopened(path):
        pass  # said before the work of a check
    was_there = path.exists()

    def put(part: Path) -> None:
        with unopened(path):
            replace_file(path, part, former)

    return _checked_copy(source, path, lambda: None, put), former if was_there else None


def _checked_copy(source: Path, target: Path, pause: Pause, put: Callable[[Path], object]) -> Copied:
    """Copy a file beside `target`, check the copy, and `put` it where it belongs."""
    part = target.with_name(target.name + ".part")
    try:
        remove(part)
        _check_room(source, target.parent)
        copy_file(source, part, pause)
        check_pages(part)
        rows = counts(part)
        with closing(open_store(f"sqlite:///{part.absolute()}", may_create=False)) as copy:
            _check_damage(copy, pause)
            found = Copied(
                target,
                rows,
                max((live.at for page in pages(copy.lives) for live in page), default=0),
                _audit_head(copy),
            )
        without_log(part)
        put(part)
    except OSError as error:
        raise StoreUnusable(f"{error.filename or target} cannot be used: {error.strerror}") from error
    finally:
        remove(part)
    return found


def _check_room(source: Path, folder: Path) -> None:
    need, free = ROOM * source.stat().st_size, shutil.disk_usage(folder).free
    if free < need:
        raise StoreUnusable(f"{folder} has {free / 1e6:.0f} MB free, and a copy needs {need / 1e6:.0f} MB; free space")


def _check_damage(store: Store, pause: Pause) -> None:
    """Read everything in a store once. Raises StoreUnusable that names what is damaged."""
    if found := list(damage(store, pause)):
        raise StoreUnusable(f"{found[0]} ({len(found)} damaged)")


def damage(store: Store, pause: Pause = lambda: None) -> Iterator[str]:
    """Yield one line for each record, and each device and kind of document, reading or price, that cannot be read."""
    left_out = set[str]()
    for device in all_devices(store, left_out.add):
        for level in LEVELS:
            yield from _named(partial(store.documents, level, device.device_id, "", "~"))
            pause()
        for evidence in (store.readings, store.intervals, store.prices):
            yield from _named(partial(evidence, device.device_id, 0, FOR_EVER))
            pause()
        yield from _named(partial(store.retention_cutoff, device.device_id))
        yield from _named(partial(store.live, device.device_id))
    yield from sorted(left_out)
    for line in store.damaged_records():
        yield from filter(None, [line])
        pause()


def _named(read: Callable[[], object]) -> Iterator[str]:
    try:
        read()
    except Damaged as error:
        yield str(error)


def _audit_head(store: Store) -> str:
    body = store.record(AUDIT_HEAD.of(), "head")
    if not body:
        return ""
    number, _, entry_hash, *_ = orjson.loads(body)
    return f"{number}:{entry_hash}"


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")


# Each day


@contextmanager
def backing_up(settings: Settings, stop: threading.Event) -> Iterator[None]:
    """Make a backup each day in a thread of its own, where the settings name a folder. Raises ConfigurationError."""
    if not settings.backup_dir:
        yield
        return
    folder = Path(settings.backup_dir)
    file_of(settings.store)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"WATTFALL_BACKUP_DIR: {folder} cannot be made: {error.strerror}") from error
    thread = threading.Thread(
        target=run_backups, args=(settings.store, folder, settings.backups_kept, stop), daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(ENDS_S)


def run_backups(url: str, folder: Path, keep: int, stop: threading.Event) -> None:
    """Back a store up once a day until stopped, and keep the newest `keep` backups; runs in a thread of its own.

    The pace is monotonic: a wall clock that is wrong makes no backup too many. The names are by the wall clock.
    """
    wait_s = _first_wait_s(folder, time.time())
    while not stop.wait(wait_s):
        wait_s = DAY_S if _one_of_many(url, folder, keep, stop) else RETRY_S


def backups(folder: Path) -> list[Path]:
    """Return the scheduled backups in a folder, oldest first."""
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name)) if folder.is_dir() else []


def newest_age_s(folder: Path, now: float) -> float | None:
    """Return the age of the newest scheduled backup, seconds; None without one."""
    ages = [now - path.stat().st_mtime for path in backups(folder)]
    return min(ages) if ages else None


def _first_wait_s(folder: Path, now: float) -> float:
    age_s = newest_age_s(folder, now)
    return 0.0 if age_s is None or age_s < 0 else max(0.0, DAY_S - age_s)


def _one_of_many(url: str, folder: Path, keep: int, stop: threading.Event) -> bool:
    def pause() -> None:
        if stop.wait(PAUSE_S):
            raise StoreUnusable("stopped before its end")

    try:
        for left in folder.glob("wattfall-*.db.part"):  # of a process that was killed
            remove(left)
        made = back_up(url, folder / f"wattfall-{_stamp(time.time())}.db", pause)
        for old in [path for path in backups(folder) if path != made.path][: -keep + 1 or None]:
            old.unlink()
    except (WattfallError, OSError) as error:
        log.error("no backup: %s", error)
        return False
    log.info("%s holds %d devices", made.path, made.rows["devices"])
    return True
