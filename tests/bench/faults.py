"""Kill, disk, file and clock faults on the embedded store: nothing acknowledged may be lost, doubled or wrong.

Run by hand: `python -m tests.bench.faults [--trials 300] [--seed 1]`. A trial is a device of known registers, sent in
small commits while a fault happens; then the rest is sent again, as devices do, and every half hour is compared with
registers that are subtracted here. It prints JSON:

- `midway`: trials in which the fault came between the first reading and the last;
- `lost`: readings that were acknowledged and are not there, without an error that says so;
- `doubled`, `wrong`: half hours with more, or with other energy than the registers tell;
- `unnamed`: faults of a file after which a process went on.

File faults end with `restore` of a backup from before the fault. Clock faults need `faketime`.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from aggregator.commands.console import until_stopped
from aggregator.core.errors import StoreReplaced
from aggregator.core.periods import FOR_EVER, HALF_HOUR, day_of, half_hours, iso_utc
from aggregator.core.readings import Reading
from aggregator.intake.ingest import Outcome, ingest_lines
from aggregator.operations.backup import back_up, restore
from aggregator.store import open_store
from aggregator.waterfall.worker import drain, run_worker
from tests.copies import quick_disk

STEP_S, DAYS, TOGETHER = 600, 3, 2  # between readings; of a trial; readings in a commit
COUNT = DAYS * 86_400 // STEP_S
PATIENCE_S = 120
NAMED = 2  # exit code of a process that names a fault of its file
ME = "tests.bench.faults"
MOMENT_S = 0.005  # longer than a commit


def register(number: int) -> int:
    """Return the register of a reading, Wh: steps of 90 to 121, so that no two half hours are mistaken for another."""
    return 90 * number + sum((at * 7919) % 32 for at in range(number))


# The processes that are hit


def send(url: str, start: int, first: int, most_bytes: int) -> None:
    """Send the readings from a number on, and print the last number of each commit. A refused reading ends it."""
    if most_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    store = open_store(url)
    for number in range(first, COUNT, TOGETHER):
        readings = [(at, start + STEP_S * at) for at in range(number, min(number + TOGETHER, COUNT))]
        lines = [
            json.dumps({"device_id": "d", "at": iso_utc(at), "import_wh": register(one)}).encode()
            for one, at in readings
        ]
        outcome = Outcome()
        ingest_lines(store, lines, 1, int(time.time()), "UTC", outcome, lambda *_: None)
        if outcome.rejected:
            sys.exit(3)
        print(readings[-1][0], flush=True)
        time.sleep(MOMENT_S / 5)  # a fault comes midway, however slow the trial is


def follow(url: str) -> None:
    """Carry the readings, as `wattfall worker` does."""
    print("follows", flush=True)
    run_worker(open_store(url), 35, until_stopped())


# A trial


@dataclass
class Trial:
    """A store, what was acknowledged to its device, and what is wrong with it."""

    folder: Path
    chance: Random
    start: int  # UTC seconds of the first reading, a midnight
    acknowledged: int = -1  # the last number
    found: Counter[str] = field(default_factory=Counter)

    @property
    def path(self) -> Path:
        return self.folder / "wattfall.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def begin(self, what: str, *arguments: object, fake: str = "") -> "subprocess.Popen[bytes]":
        """Start a process, perhaps with a wrong clock."""
        command = [sys.executable, "-m", ME, what, self.url, *map(str, arguments)]
        return subprocess.Popen(
            ["faketime", "-f", fake, *command] if fake else command,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def sender(self, fake: str = "", most_bytes: int = 0) -> "subprocess.Popen[bytes]":
        """Start a sender, perhaps with a wrong clock, or with files of at most so many bytes."""
        return self.begin("send", self.start, self.acknowledged + 1, most_bytes, fake=fake)

    def listen(self, process: "subprocess.Popen[bytes]", until: int = COUNT) -> None:
        """Note what is acknowledged up to a number, and wait for a moment of the next commits; or until its end."""
        assert process.stdout
        for line in process.stdout:
            self.acknowledged = int(line)
            if self.acknowledged >= until:
                time.sleep(self.chance.uniform(0, MOMENT_S))
                return

    def some_number(self) -> int:
        """Return a number in the first half, so that the sender goes on for a while."""
        return self.chance.randrange(COUNT // 2)

    def stop(self, process: "subprocess.Popen[bytes]") -> None:
        """Stop a process for a while, and note all that it has acknowledged."""
        assert process.stdout
        os.killpg(process.pid, signal.SIGSTOP)
        os.set_blocking(process.stdout.fileno(), False)
        lines = (process.stdout.read() or b"").split()
        os.set_blocking(process.stdout.fileno(), True)
        self.acknowledged = max([self.acknowledged, *map(int, lines)])

    def end(self, process: "subprocess.Popen[bytes]", number: int = signal.SIGKILL) -> int:
        """End a process, and note what it had acknowledged before; return how many lines came after the signal."""
        os.killpg(process.pid, number)
        rest = process.communicate(timeout=PATIENCE_S)[0].split()
        self.acknowledged = max([self.acknowledged, *map(int, rest)])
        return len(rest)

    def finish(self) -> None:
        """Send the rest, carry everything, and compare."""
        self.found["midway"] += 0 <= self.acknowledged < COUNT - 1
        self.count_lost()
        process = self.sender()
        self.listen(process)
        if process.wait(PATIENCE_S) or self.acknowledged < COUNT - 1:
            self.found["lost"] += COUNT - 1 - self.acknowledged
        self.count_lost()
        with closing(open_store(self.url)) as store:
            drain(store)
            for day in {day_of(self.start + STEP_S * number, "UTC") for number in range(COUNT)}:
                document = store.document("day", "d", day)
                for half in half_hours(day, "UTC"):
                    first, last = ((at - self.start) // STEP_S for at in (half.start, half.start + HALF_HOUR))
                    expected = register(min(last, COUNT - 1)) - register(first)
                    stored = document.part(half.name).import_wh or 0 if document else 0
                    self.found["doubled" if stored > expected else "wrong"] += stored != expected

    def count_lost(self) -> None:
        """Count the acknowledged readings that are not in the store."""
        with closing(open_store(self.url)) as store:
            stored = set(store.readings("d", 0, FOR_EVER))
        sent = (
            Reading("d", self.start + STEP_S * number, None, register(number), None)
            for number in range(self.acknowledged + 1)
        )
        self.found["lost"] += sum(reading not in stored for reading in sent)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """End a process at once; under faketime it is the child of another one."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def killed(trial: Trial) -> None:
    """SIGKILL the sender, and sometimes the worker beside it."""
    worker = trial.begin("follow") if trial.chance.random() < 0.5 else None
    sender = trial.sender()
    trial.listen(sender, trial.some_number())
    trial.end(sender)
    if worker:
        time.sleep(trial.chance.uniform(0, 0.1))
        kill(worker)


def disk_full(trial: Trial) -> None:
    """The files may not grow any more; then there is room again."""
    open_store(trial.url).close()
    sender = trial.sender(most_bytes=trial.path.stat().st_size + trial.chance.randrange(20_000, 400_000))
    trial.listen(sender)
    trial.end(sender)


def file_fault(trial: Trial) -> None:
    """A file is deleted, moved, replaced, cut or overwritten while it is in use; then a backup is restored."""
    sender, number = trial.sender(), trial.some_number()
    older, backup = trial.folder / "older.db", trial.folder / "backup.db"
    trial.listen(sender, number // 2)
    trial.stop(sender)
    back_up(trial.url, older)
    os.killpg(sender.pid, signal.SIGCONT)
    trial.listen(sender, number)
    trial.stop(sender)
    before = trial.acknowledged
    back_up(trial.url, backup)
    fault = trial.chance.choice(FILE_FAULTS)
    fault(trial, older)
    more = trial.end(sender, signal.SIGCONT)
    # One acknowledgement may have been on its way when the file was changed.
    if more > 1 or sender.returncode != NAMED:
        trial.found["unnamed"] += 1
        print(f"{fault.__name__}: {more} acknowledged, exit code {sender.returncode}", file=sys.stderr)
    with suppress(FileNotFoundError):  # a lock of the ended process is gone
        restore(trial.url, backup, int(time.time()))
    with closing(open_store(trial.url)) as store:
        trial.acknowledged = len(store.readings("d", 0, FOR_EVER)) - 1  # the device asks what is there
    trial.found["lost"] += max(0, before - trial.acknowledged)


def deleted(trial: Trial, _: Path) -> None:
    for end in ("", "-wal", "-shm"):
        trial.path.with_name(trial.path.name + end).unlink(missing_ok=True)


def moved(trial: Trial, _: Path) -> None:
    trial.path.rename(trial.folder / "elsewhere.db")


def replaced(trial: Trial, older: Path) -> None:
    Path(shutil.copy(older, trial.folder / "copy.db")).replace(trial.path)


def overwritten(trial: Trial, older: Path) -> None:
    shutil.copyfile(older, trial.path)


def cut(trial: Trial, _: Path) -> None:
    os.truncate(trial.path, trial.chance.randrange(trial.path.stat().st_size))


def log_emptied(trial: Trial, _: Path) -> None:
    os.truncate(f"{trial.path}-wal", 0)


def log_deleted(trial: Trial, _: Path) -> None:
    Path(f"{trial.path}-wal").unlink()


def log_replaced(trial: Trial, _: Path) -> None:
    log = Path(f"{trial.path}-wal")
    Path(shutil.copy(log, trial.folder / "copy-wal")).replace(log)


FILE_FAULTS = (deleted, moved, replaced, overwritten, cut, log_emptied, log_deleted, log_replaced)


def clock_wrong(trial: Trial) -> None:
    """Sender and worker have a wrong clock for a while."""
    fake = trial.chance.choice(("-2h", "-1d", "+1d", "+400d", "+1h"))
    worker, sender = trial.begin("follow", fake=fake), trial.sender(fake)
    trial.listen(sender, trial.some_number())
    trial.end(sender)
    time.sleep(trial.chance.uniform(0, 0.5))
    kill(worker)


KINDS: dict[Callable[[Trial], None], int] = {killed: 16, disk_full: 3, file_fault: 8, clock_wrong: 3}  # of 30


def one(kind: Callable[[Trial], None], number: int, seed: int) -> Counter[str]:
    """Run a trial in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="wattfall-faults-", dir=quick_disk(), ignore_cleanup_errors=True) as folder:
        midnight = int(time.time()) // 86_400 * 86_400
        trial = Trial(Path(folder), Random(f"{seed} {number}"), midnight - DAYS * 86_400)
        kind(trial)
        trial.finish()
        return trial.found + Counter(trials=1)


def main() -> None:
    if sys.argv[1:2] == ["send"]:
        try:
            send(sys.argv[2], *map(int, sys.argv[3:]))
        except StoreReplaced:
            sys.exit(NAMED)
        return
    if sys.argv[1:2] == ["follow"]:
        follow(sys.argv[2])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    asked, began = parser.parse_args(), time.monotonic()
    cycle = [kind for kind, share in KINDS.items() for _ in range(share)]
    Random(asked.seed).shuffle(cycle)
    kinds = [cycle[number % len(cycle)] for number in range(asked.trials)]
    names = ("trials", "midway", "lost", "doubled", "wrong", "unnamed")
    with ThreadPoolExecutor(2) as pool:
        every = list(pool.map(one, kinds, range(asked.trials), [asked.seed] * asked.trials))
    content: dict[str, object] = {name: sum(found[name] for found in every) for name in names}
    for kind in KINDS:
        of_kind = [found for other, found in zip(kinds, every, strict=True) if other is kind]
        content[kind.__name__] = {name: sum(found[name] for found in of_kind) for name in names}
    print(json.dumps(content | {"seed": asked.seed, "seconds": round(time.monotonic() - began)}))


if __name__ == "__main__":
    main()
