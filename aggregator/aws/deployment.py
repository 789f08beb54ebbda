"""Deployment: an AWS emulator for demos and tests, the deployable package, and the stack in the emulator.

**Emulator.** ministack (extra `emulator`) runs in a child process on a free port of the loopback interface. It holds
the read end of a pipe. When this process ends, in any way, the pipe closes, and the emulator ends itself and its
functions. It gets nothing of the caller's AWS configuration, so its functions cannot reach a real account.

**Package.** A zip with `aggregator/` and the libraries that its functions import, at the versions of this installation
and built for the functions' processor, beside the template; boto3 is in Lambda's runtime. One installation always makes
the same bytes.

Failures raise ConfigurationError.
"""

import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from aggregator.aws.dead_letters import client
from aggregator.core.errors import ConfigurationError

HOST = "127.0.0.1"
REGION = "eu-west-2"
ACCOUNT = "000000000000"
KEY = "emulator"  # access key of the account's root
PATIENCE_S = 60.0  # for the first answer; an idle machine takes 1 s
END_S = 5.0  # between the request to end and SIGKILL
_NEEDED = ("ministack", "samtranslator")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The emulator's address, and the environment that points boto3 to it."""

    url: str
    region: str
    environ: Mapping[str, str]
    log: Path  # its output; deleted when it ends

    @property
    def options(self) -> dict[str, str]:
        """Return the same settings for one boto3 client."""
        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": KEY}
        return {"endpoint_url": self.url, "region_name": self.region, **keys}


@contextmanager
def emulator() -> Iterator[Endpoint]:
    """Run an empty emulator. Raises ConfigurationError where it cannot start."""
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
        raise ConfigurationError("the emulator is not installed; install it with `pip install 'wattfall[emulator]'`")


def clean_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without settings of a real AWS account."""
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
        "AUTH": "true",  # functions have only the rights of their roles
        "LOG_LEVEL": "WARNING",
        "TMPDIR": folder,
        "PYTHONWARNINGS": "ignore",
    }
    with endpoint.log.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "aggregator.aws.deployment"],
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
    raise ConfigurationError(f"the emulator does not answer at {endpoint.url}: {' '.join(last) or 'no output'}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin
    process.stdin.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _end_with_parent() -> None:
    """Wait until the parent's end of the pipe closes, then kill this process group."""
    while os.read(0, 1):
        pass
    rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)  # nothing needs saving


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = ["ministack"]
    runpy.run_module("ministack", run_name="__main__")


# Package

SOURCE = Path(__file__).parents[1]
TEMPLATE = SOURCE / "aws" / "template.yaml"
CODE = "function.zip"  # name in the template
LIBRARIES = (
    *("msgspec", "orjson", "pendulum", "platformdirs", "python-dateutil", "six", "typing_extensions", "tzdata"),
    *(["redis"] if find_spec("redis") else []),  # the function `erasing` uses it where web processes share a cache
)
PYTHON = "3.13"  # runtime in the template
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest time of a zip
_USELESS = {"__pycache__", "bin", "tests"}


def build(folder: Path, install: Callable[[Path], None] | None = None) -> Path:
    """Build the package in a folder: `function.zip` and `template.yaml`. Return the zip's path.

    `install` puts the libraries into a folder; by default from the package index.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as libraries:
        (install or install_libraries)(Path(libraries))
        write_zip(folder / CODE, [*own_files(), *_files(Path(libraries), Path(libraries))])
    (folder / TEMPLATE.name).write_bytes(TEMPLATE.read_bytes())
    return folder / CODE


def own_files() -> list[tuple[str, Path]]:
    """Return our own source files: name in the zip, and path."""
    return [(name, path) for name, path in _files(SOURCE, SOURCE.parent) if path.suffix == ".py"]


def write_zip(target: Path, files: list[tuple[str, Path]]) -> None:
    """Write a zip whose bytes depend only on its files' names and contents."""
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for name, path in sorted(files):
            entry = ZipInfo(name, _LONG_AGO)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), ZIP_DEFLATED)


def _files(folder: Path, root: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        if path.is_file() and not _USELESS & set(path.relative_to(root).parts):
            yield path.relative_to(root).as_posix(), path


def install_libraries(folder: Path) -> None:
    """Install the libraries for Lambda's processor."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(folder)]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", PYTHON]
    command += [f"--platform={platform}" for platform in PLATFORMS]
    command += [f"{name}=={version(name)}" for name in LIBRARIES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ConfigurationError(f"pip could not install the functions' libraries: {last}")


# Parameters of the template


def parameters() -> dict[str, float]:
    """Return the numeric parameters of the template with their defaults."""
    text = TEMPLATE.read_text().partition("\nConditions:")[0]
    found = re.findall(r"\n  (\w+):\n    Type: Number\n    Default: (-?[0-9]+)\n", text)
    return {name: float(value) for name, value in found}


def alarm_count() -> int:
    """Return the number of alarms in the template."""
    return TEMPLATE.read_text().count("Type: AWS::CloudWatch::Alarm\n")


# Stack
BUCKET = "wattfall-code"
STACK_PATIENCE_S = 60


def deploy(endpoint: Endpoint, prefix: str, **values: str) -> dict[str, str]:
    """Deploy the stack `prefix` into the emulator; return its outputs by name. Raises ConfigurationError.

    `values` are parameters of the template. The package omits libraries, since the emulator runs functions with those
    of this installation.
    """
    with TemporaryDirectory() as folder:
        code = Path(folder) / CODE
        write_zip(code, own_files())
        storage = client("s3", **endpoint.options)
        storage.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": endpoint.region})
        storage.put_object(Bucket=BUCKET, Key=CODE, Body=code.read_bytes())
        template = TEMPLATE.read_text().replace(f"CodeUri: {CODE}", f"CodeUri: s3://{BUCKET}/{CODE}")
        template = template.replace("Enabled: !Ref Canary", "Enabled: false")  # the emulator has no CodeDeploy
        storage.put_object(Bucket=BUCKET, Key=TEMPLATE.name, Body=template.encode())
    stacks = client("cloudformation", **endpoint.options)
    stacks.create_stack(
        StackName=prefix,
        TemplateURL=f"{endpoint.url}/{BUCKET}/{TEMPLATE.name}",
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value} for name, value in {"Prefix": prefix, **values}.items()
        ],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    deadline = time.monotonic() + STACK_PATIENCE_S
    while (stack := stacks.describe_stacks(StackName=prefix)["Stacks"][0])["StackStatus"] == "CREATE_IN_PROGRESS":
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    if stack["StackStatus"] != "CREATE_COMPLETE":
        reason = stack.get("StackStatusReason", "no reason given")
        raise ConfigurationError(f"the template could not be deployed into the emulator: {reason}")
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
