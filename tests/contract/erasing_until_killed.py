"""A process that erases a household by the command, and is killed with SIGKILL at a function call of its choice.

`python -m tests.contract.erasing_until_killed CALL ARGUMENT...`: with 0 it ends by itself, and its last line counts the
calls, those of SQLite and of the threads of a DynamoDB store included.
"""

import os
import signal
import sys
import threading
from types import FrameType

from dashboard.commands.main import main


class Calls:
    """The calls of all threads, up to the last one."""

    def __init__(self, last: int) -> None:
        self.count, self._last = 0, last

    def __call__(self, _frame: FrameType, _event: str, _argument: object) -> None:
        self.count += 1
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    calls = Calls(int(sys.argv[1]))
    threading.setprofile(calls)
    sys.setprofile(calls)
    try:
        main(sys.argv[2:])
    finally:
        sys.setprofile(None)
        print(calls.count)
