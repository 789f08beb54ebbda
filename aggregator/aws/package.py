"""The deployable package: the functions' code as a zip, and the template beside it.

The zip holds what is in `aggregator/` and the few libraries that its functions import, at the versions of this
installation and built for the functions' processor; boto3 is in Lambda's runtime. The same installation makes the
same bytes.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from aggregator.core.errors import ConfigurationError

SOURCE = Path(__file__).parents[1]
TEMPLATE = SOURCE / "aws" / "template.yaml"
CODE = "function.zip"  # as the template names it
LIBRARIES = ("orjson", "pendulum", "platformdirs", "python-dateutil", "six", "tzdata")
PYTHON = "3.13"  # of the template
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the zip's own beginning of time
_USELESS = {"__pycache__", "bin", "tests"}


def build(folder: Path, install: Callable[[Path], None] | None = None) -> Path:
    """The package in a folder: `function.zip` and `template.yaml`. Returns the zip's path.

    `install` puts the libraries into a folder, from the package index unless it is given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as libraries:
        (install or install_libraries)(Path(libraries))
        write_zip(folder / CODE, [*own_files(), *_files(Path(libraries), Path(libraries))])
    (folder / TEMPLATE.name).write_bytes(TEMPLATE.read_bytes())
    return folder / CODE


def own_files() -> list[tuple[str, Path]]:
    """Our own source: names in the zip, and where they are."""
    return [(name, path) for name, path in _files(SOURCE, SOURCE.parent) if path.suffix == ".py"]


def write_zip(target: Path, files: list[tuple[str, Path]]) -> None:
    """A zip whose bytes depend on nothing but its files' names and contents."""
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
    """The libraries, for Lambda's processor whatever ours is."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(folder)]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", PYTHON]
    command += [f"--platform={platform}" for platform in PLATFORMS]
    command += [f"{name}=={version(name)}" for name in LIBRARIES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ConfigurationError(f"pip could not fetch the functions' libraries: {last}")
