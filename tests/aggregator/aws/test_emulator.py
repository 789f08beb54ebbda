import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from aggregator.aws.deployment import check_installed, clean_environ, emulator
from aggregator.core.errors import ConfigurationError

KILLED = """
import os, signal
from aggregator.aws.deployment import emulator
with emulator() as endpoint:
    print(endpoint.url, endpoint.log.parent, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_ministack/health", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def test_the_emulator_answers_on_loopback_and_ends() -> None:
    with emulator() as endpoint:
        assert endpoint.url.startswith("http://127.0.0.1:")
        assert answers(endpoint.url)
    assert not answers(endpoint.url)
    assert not endpoint.log.parent.exists()


def test_two_emulators_run_side_by_side() -> None:
    with emulator() as one, emulator() as other:
        assert one.url != other.url
        assert answers(one.url)
        assert answers(other.url)


def test_the_emulator_ends_when_its_parent_is_killed() -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    url, folder = done.stdout.split()
    deadline = time.monotonic() + 60
    while (answers(url) or os.path.exists(folder)) and time.monotonic() < deadline:  # noqa: PTH110
        time.sleep(0.05)
    assert not answers(url)
    assert not os.path.exists(folder)  # noqa: PTH110


def test_a_missing_emulator_names_the_extra_to_install() -> None:
    with pytest.raises(ConfigurationError, match=r"pip install 'wattfall\[emulator\]'"):
        check_installed(("surely_not_installed",))


def test_the_emulator_gets_no_real_account_settings() -> None:
    assert clean_environ({"AWS_PROFILE": "work", "AWS_ACCESS_KEY_ID": "AKIA", "HOME": "/root"}) == {"HOME": "/root"}
