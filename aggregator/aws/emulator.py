"""An AWS emulator of this machine's own: ministack, on a free port of the loopback interface, for demos and tests.

It belongs to the extra `emulator`. It runs in a process of its own that ends with ours, however ours ends: it holds
the reading end of a pipe whose writing end closes with us, and then ends itself and every function it runs. Nothing
of the caller's AWS configuration reaches it, so what it runs cannot touch a real account.
"""

import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from aggregator.core.errors import ConfigurationError

HOST = "127.0.0.1"
REGION = "eu-west-2"
ACCOUNT = "000000000000"
KEY = "emulator"  # of the account's root
PATIENCE_S = 60.0  # for its first answer; it takes 1 s on an idle machine
END_S = 5.0  # for it to end when asked to, before it is killed
_NEEDED = ("ministack", "samtranslator")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the emulator answers, and the environment that sends boto3 there."""

    url: str
    region: str
    environ: Mapping[str, str]
    log: Path  # what it says; gone when it ends

    @property
    def options(self) -> dict[str, str]:
        """The same for one boto3 client."""
        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": KEY}
        return {"endpoint_url": self.url, "region_name": self.region, **keys}


@contextmanager
def emulator() -> Iterator[Endpoint]:
    """A running emulator with nothing in it. Raises ConfigurationError when it cannot be had."""
    check_installed()
    with TemporaryDirectory(prefix="wattfall-emulator-", ignore_cleanup_errors=True) as folder:
        port = _free_port()
        endpoint = _endpoint(port, Path(folder) / "log")
        process = _start(port, endpoint, folder)
        try:
            _wait(process, endpoint)
            yield endpoint
        finally:
            _end(process)


def check_installed(needed: tuple[str, ...] = _NEEDED) -> None:
    """Raise ConfigurationError unless the extra is installed."""
    if any(find_spec(name) is None for name in needed):
        raise ConfigurationError("the emulator is not installed; `pip install 'wattfall[emulator]'` brings it")


def clean_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without what would lead to a real AWS account."""
    return {name: value for name, value in environ.items() if not name.startswith("AWS_")}


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _endpoint(port: int, log: Path) -> Endpoint:
    url = f"http://{HOST}:{port}"
    urls = dict.fromkeys(("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS"), url)
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": KEY}
    regions = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), REGION)
    return Endpoint(url, REGION, {**urls, **keys, **regions, "AWS_EC2_METADATA_DISABLED": "true"}, log)


def _start(port: int, endpoint: Endpoint, folder: str) -> "subprocess.Popen[bytes]":
    own = {
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "AUTH": "true",  # functions may do what their roles allow, and no more
        "LOG_LEVEL": "WARNING",
        "TMPDIR": folder,
        "PYTHONWARNINGS": "ignore",
    }
    with endpoint.log.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "aggregator.aws.emulator"],
            env={**clean_environ(os.environ), **endpoint.environ, **own},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        )


def _wait(process: "subprocess.Popen[bytes]", endpoint: Endpoint) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{endpoint.url}/_ministack/ready", timeout=2):  # noqa: S310 - ours
                return
        except OSError:
            time.sleep(0.05)
    last = endpoint.log.read_text(errors="replace").strip().splitlines()[-1:]
    raise ConfigurationError(f"the emulator does not answer at {endpoint.url}: {' '.join(last) or 'it says nothing'}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin
    process.stdin.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _end_with_parent() -> None:
    """Read until the parent's end of the pipe closes, then end this process and all that it started."""
    while os.read(0, 1):
        pass
    rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)  # there is nothing to save


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = ["ministack"]
    runpy.run_module("ministack", run_name="__main__")
