"""The package of the web process for AWS Elastic Beanstalk, and other platforms that run a Procfile.

`web.zip` holds the Procfile's line `web`, this installation as a wheel, the versions of its libraries, and the settings
of an Elastic Beanstalk environment: two instances behind a balancer that asks `/ready`, one changed after the other.
Secrets are not in it; they are properties of the environment. One installation always makes the same bytes.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import click

NAME = "wattfall"
PROCESS = "web: wattfall web --host 0.0.0.0\n"
PORT = 8000  # to which Elastic Beanstalk's proxy passes requests on
SETTINGS = f"""# read by Elastic Beanstalk; properties set by `eb setenv` take precedence
option_settings:
  aws:elasticbeanstalk:application:environment:
    PORT: "{PORT}"
    WEB_CONCURRENCY: "2"
    WATTFALL_PROXIES: "2" # the balancer, and the proxy on the instance
    WATTFALL_LOG: json
  aws:elasticbeanstalk:environment:
    EnvironmentType: LoadBalanced
    LoadBalancerType: application
  aws:elasticbeanstalk:environment:process:default:
    HealthCheckPath: /ready
    MatcherHTTPCode: "200"
  aws:autoscaling:asg:
    MinSize: "2"
    MaxSize: "4"
  aws:autoscaling:launchconfiguration:
    DisableIMDSv1: "true"
  aws:elasticbeanstalk:command:
    DeploymentPolicy: Rolling
    BatchSizeType: Fixed
    BatchSize: "1"
"""
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest time of a zip
_REQUIRED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@click.command("package-web")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default="build")
def package_web_command(folder: Path) -> None:
    """Build web.zip, with which Elastic Beanstalk runs the web process."""
    made = build_web(folder)
    click.echo(f"{made} ({made.stat().st_size / 1e6:.1f} MB); `eb deploy` takes it as its artifact, see the README")


def build_web(folder: Path) -> Path:
    """Build `web.zip` in a folder; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = f"{NAME}-{version(NAME)}-py3-none-any.whl"
    target, contents = (
        folder / "web.zip",
        {
            ".ebextensions/wattfall.config": SETTINGS.encode(),
            ".platform/nginx/conf.d/wattfall.conf": b"client_max_body_size 128m;\n",  # up to here the words are ours
            "Procfile": PROCESS.encode(),
            "requirements.txt": "\n".join([f"./{wheel}", *pinned(), ""]).encode(),
            wheel: wheel_of(folder),
        },
    )
    _write(target, contents)
    return target


def pinned() -> list[str]:
    """Return the libraries that the web process needs, with those that they need, at the versions installed here."""
    found, waiting = dict[str, str](), [NAME]
    while waiting:
        for line in distribution(waiting.pop()).requires or ():
            needed = _REQUIRED.match(line)
            name = re.sub(r"[-_.]+", "-", needed[0]).lower() if needed and "extra ==" not in line else ""
            try:
                if name and name not in found:
                    found[name] = version(name)
                    waiting.append(name)
            except PackageNotFoundError:  # of another system or Python
                continue
    return [f"{name}=={number}" for name, number in sorted(found.items())]


def wheel_of(folder: Path) -> bytes:
    """Return this installation as a wheel (PEP 427): our packages, the assets, and what pip wants to know."""
    info = f"{NAME}-{version(NAME)}.dist-info"
    contents = dict(_own_files())
    own = distribution(NAME)
    metadata = own.read_text("METADATA") or own.read_text("PKG-INFO")  # of a wheel, of a folder with sources
    contents[f"{info}/METADATA"] = (metadata or "").encode()
    contents[f"{info}/entry_points.txt"] = (own.read_text("entry_points.txt") or "").encode()
    contents[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: wattfall\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in sorted(contents.items())]
    contents[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()
    target = folder / "wheel.tmp"
    _write(target, contents)
    made = target.read_bytes()
    target.unlink()
    return made


def _own_files() -> Iterator[tuple[str, bytes]]:
    from dashboard.web import responses  # Dash takes a while to load

    for package in ("aggregator", "dashboard"):
        spec = find_spec(package)
        assert spec
        assert spec.origin
        root = Path(spec.origin).parent
        yield from ((f"{package}/{path.relative_to(root)}", path.read_bytes()) for path in _files(root))
    assets = responses.folder()
    yield from ((f"dashboard/assets/{path.relative_to(assets)}", path.read_bytes()) for path in _files(assets))


def _files(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)


def _digest(content: bytes) -> str:
    return urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()


def _write(target: Path, contents: dict[str, bytes]) -> None:
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for name, content in sorted(contents.items()):
            entry = ZipInfo(name, _LONG_AGO)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, ZIP_DEFLATED)
