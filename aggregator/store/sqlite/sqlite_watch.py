"""The files of an open store: whether they are still those that SQLite has open, and whole.

SQLite trusts the files under it. What it commits to a deleted file, or behind the end of a log that was cut, is lost
without an error. Its own numbers tell (https://www.sqlite.org/fileformat2.html, https://www.sqlite.org/walformat.html):

- The index (`-shm`) counts the frames of the log (`-wal`), and the log is never shorter. What shortens it on purpose
  first sets the count to 0.
- Where a cut log has grown again, it has zeros instead of its head, or of the last frame that was seen before.
- Page 1 of the file counts its pages. A page that the file lacks is in a frame of the log that was not copied: it came
  while a reader needed the state before it. So the file never shrinks below this count.
- Page 1 names the journal mode, and numbers the schema (VACUUM adds 1, and changes nothing else that only grows), the
  changes and the pages. A backup that was written over the file has another mode, an older `cp` a smaller number.

Not seen: a cut from the last frame on that this process saw, where a transaction fills the gap before the next look; a
`cp` with the same page 1; a cut while no process has the store open.
"""

import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from errno import ENOENT

Identity = tuple[int, int]  # device, inode
_INDEX = struct.Struct("=14xHI76xI28xI")  # page size, frames; frames copied to the file, frames to copy
# Journal mode, changes, pages, number of the schema, changes at which the pages were counted
_PAGE_1 = struct.Struct(">18xH4xII8xI48xI")
_IS_LOGGED = 0x0202  # the journal mode with a log; no process can leave it while another one has the file open
_LOG_HEAD, _FRAME_HEAD = 32, 24  # bytes
_NOTHING = bytes(4)
GONE, CUT, OVERWRITTEN = "was deleted, moved or replaced", "was cut", "was overwritten with a copy"


class FileWatch:
    """The files of a store, for the process that has it open. A look costs three calls of the system, or a few more."""

    def __init__(self, path: str) -> None:
        """Watch the file at a path. Raises OSError."""
        whole = os.path.realpath(path)
        self._path, self._log, self._index = path, f"{whole}-wal", f"{whole}-shm"
        self._identities = {path: _identity(_stat(path))}
        self._descriptors: dict[str, int] | None = None  # None while the file alone is watched
        self._frames, self._page_1, self._written = 0, (0, 0, 0), (0, 0)

    def begin(self) -> None:
        """Watch the log too, which SQLite keeps until the last process closes the store. Raises OSError."""
        self._identities |= {path: _identity(_stat(path)) for path in (self._log, self._index)}
        self._descriptors = self._opened()

    def end(self) -> None:
        """Watch the file alone again."""
        self._descriptors = None

    def fault(self) -> str:
        """Return which file was changed, and how; empty for none. Raises OSError where one cannot be reached."""
        for _ in range(3):
            descriptors = self._descriptors
            try:
                index = _read_index(self._index, descriptors)
                found = self._fault(index, descriptors)
                is_same = index == _read_index(self._index, descriptors) if found else True
            except OSError:
                if descriptors is None or self._opened() == descriptors:
                    raise
                found, is_same = "", False
            if GONE in found or (is_same and not found):
                return found
            if descriptors and (now_opened := self._opened()) != descriptors:
                self._descriptors = now_opened  # another connection of this process has closed its own
            elif is_same:
                return found
        return ""  # a writer or a checkpoint is under way; the next look tells

    def _fault(self, index: bytes, descriptors: Mapping[str, int] | None) -> str:
        """Compare the files with what was read from the index before."""
        try:
            file = self._found(self._path)
            if descriptors is None:
                return ""
            log = self._found(self._log)
            self._found(self._index)
            return self._log_fault(log, index, descriptors) or self._file_fault(file, index, descriptors)
        except FileNotFoundError as error:
            return f"{error.filename} {GONE}"
        except struct.error:
            return f"{self._path} {CUT}"

    def _found(self, path: str) -> os.stat_result:
        """Return the state of a file. Raises FileNotFoundError for another one."""
        found = _stat(path)
        if _identity(found) != self._identities[path]:
            raise FileNotFoundError(ENOENT, GONE, path)
        return found

    def _log_fault(self, log: os.stat_result, index: bytes, descriptors: Mapping[str, int]) -> str:
        size, frames, *_ = _INDEX.unpack(index)
        length, seen = _FRAME_HEAD + _page_size(size), self._frames
        if frames and log.st_size < _LOG_HEAD + frames * length:
            return f"{self._log} {CUT}"
        if frames and frames != seen:
            places = (0, _LOG_HEAD + max(0, seen - 1) * length)
            if any(os.pread(descriptors[self._log], len(_NOTHING), place) == _NOTHING for place in places):
                return f"{self._log} {CUT}"
        self._frames = frames
        return ""

    def _file_fault(self, file: os.stat_result, index: bytes, descriptors: Mapping[str, int]) -> str:
        # before page 1 is read: other threads look too
        written, seen, (length, _) = (file.st_size, file.st_mtime_ns), self._page_1, self._written
        if written == self._written:
            return ""
        size, frames, in_file, begun_with = _INDEX.unpack(index)
        mode, changes, pages, schema, counted_at = _PAGE_1.unpack(os.pread(descriptors[self._path], _PAGE_1.size, 0))
        missing = pages * _page_size(size) - file.st_size if changes == counted_at else 0
        has_shrunk = schema == seen[0] and file.st_size < length
        if missing > 0 and (has_shrunk or (in_file == begun_with and missing > (frames - in_file) * _page_size(size))):
            return f"{self._path} {CUT}"
        if mode != _IS_LOGGED or (schema, changes, pages) < seen:
            return f"{self._path} {OVERWRITTEN}"
        if in_file == begun_with:
            self._page_1, self._written = (schema, changes, pages), written
        return ""

    def _opened(self) -> dict[str, int] | None:
        """Return the numbers by which SQLite has the files open; None where the system does not tell.

        A process that opens and closes a file by itself loses SQLite's locks on it.
        """
        paths = {identity: path for path, identity in self._identities.items()}
        opened = dict[str, int]()
        with suppress(FileNotFoundError):
            for name in os.listdir("/dev/fd"):  # noqa: PTH208 - numbers
                with suppress(OSError, KeyError):  # that of the listing itself; other files
                    opened[paths[_identity(os.fstat(int(name)))]] = int(name)
        return opened if len(opened) == len(paths) else None


def _read_index(path: str, descriptors: Mapping[str, int] | None) -> bytes:
    return os.pread(descriptors[path], _INDEX.size, 0) if descriptors else b""


def _page_size(stored: int) -> int:
    return stored & 0xFE00 | (stored & 1) << 16  # 1 is 65,536


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino


def _stat(path: str) -> os.stat_result:
    return os.stat(path)  # noqa: PTH116 - twice as fast
