"""The package for Elastic Beanstalk, unpacked into an empty folder: two instances on the deployed template."""

import http.client
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode
from zipfile import ZipFile

import orjson
import pytest
import yaml  # type: ignore[import-untyped]

from aggregator.aws.dead_letters import client
from aggregator.aws.deployment import Endpoint, deploy, emulator
from aggregator.store import open_store
from dashboard.commands.web_package import PROCESS, build_web
from tests.dashboard.people import PASSWORD, SECRET, somebody, token_in
from tests.servers import free_port

PREFIX = "wattfall-web"
PATIENCE_S = 60
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, unpacked and installed as Elastic Beanstalk does it, with the libraries of this environment."""
    folder = tmp_path_factory.mktemp("eb")
    with ZipFile(build_web(tmp_path_factory.mktemp("build"))) as archive:
        archive.extractall(folder)
    libraries = folder / "libraries"
    libraries.mkdir()
    for one in Path(orjson.__file__).parents[1].iterdir():
        if "wattfall" not in one.name:
            (libraries / one.name).symlink_to(one)
    made = folder / "venv"
    venv.create(made, with_pip=False)
    (site,) = made.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(str(libraries))
    pip = [sys.executable, "-m", "pip", "--python", str(made / "bin/python"), "install", "--no-index", "--quiet"]
    subprocess.run([*pip, "-r", "requirements.txt"], cwd=folder, env=clean(), check=True)
    return folder


def clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "WATTFALL", "AWS_"))}


@contextmanager
def instance(package: Path, environ: dict[str, str]) -> Iterator[http.client.HTTPConnection]:
    """One instance: the Procfile's own line with the settings of the package. A connection to it."""
    (settings,) = yaml.safe_load((package / ".ebextensions/wattfall.config").read_text()).values()
    own = settings["aws:elasticbeanstalk:application:environment"] | {"PORT": str(free_port()), "WEB_CONCURRENCY": "1"}
    path = f"{package / 'venv/bin'}{os.pathsep}{os.environ['PATH']}"
    line = (package / "Procfile").read_text().removeprefix("web: ").strip()
    process = subprocess.Popen(
        ["sh", "-c", f"exec {line}"],
        cwd=package,
        env=clean() | own | environ | {"PATH": path},
        stdout=subprocess.DEVNULL,
    )
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", int(own["PORT"]), timeout=PATIENCE_S)) as connection:
            yield connection
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def ready(connection: http.client.HTTPConnection) -> int:
    """The answer of the health check, once there is one."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection.request("GET", "/ready")
            answer = connection.getresponse()
            answer.read()
        except OSError:
            connection.close()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        else:
            return answer.status


def with_role(endpoint: Endpoint, role: str) -> dict[str, str]:
    """Return the variables of a user who has the rights of a role and no others."""
    iam = client("iam", **endpoint.options)
    policy = iam.get_role_policy(RoleName=role, PolicyName="web")["PolicyDocument"]
    iam.create_user(UserName="web")
    iam.put_user_policy(UserName="web", PolicyName="web", PolicyDocument=orjson.dumps(policy).decode())
    key = iam.create_access_key(UserName="web")["AccessKey"]
    own = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    return {**endpoint.environ, **own}


def test_the_procfile_of_the_package_is_that_of_the_project() -> None:
    assert PROCESS in (ROOT / "Procfile").read_text().splitlines(keepends=True)


def test_two_instances_are_ready_and_share_a_session(package: Path) -> None:
    assert not list(package.glob("**/.git"))
    assert shutil.which("wattfall", path=str(package / "venv/bin"))
    with ExitStack() as stack:
        endpoint = stack.enter_context(emulator())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in endpoint.environ.items():
            patch.setenv(name, value)
        outputs = deploy(endpoint, PREFIX)
        name = outputs["WebProfile"].rpartition("/")[2]  # the emulator gives the ARN
        role = client("iam", **endpoint.options).get_instance_profile(InstanceProfileName=name)
        environ = with_role(endpoint, role["InstanceProfile"]["Roles"][0]["RoleName"])
        environ |= {"WATTFALL_STORE": outputs["Store"], "WATTFALL_SECRET": SECRET}
        with closing(open_store(outputs["Store"])) as store:
            somebody(store, household="home-1")
        first, second = (stack.enter_context(instance(package, environ)) for _ in range(2))
        assert (ready(first), ready(second)) == (200, 200)

        first.request("GET", "/sign-in")
        page = first.getresponse()
        form = {"email": "ann@example.org", "password": PASSWORD, "csrf": token_in(page.read().decode())}
        cookie = page.headers["Set-Cookie"].partition(";")[0]
        headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
        headers["Origin"] = f"http://127.0.0.1:{first.port}"
        first.request("POST", "/sign-in", urlencode(form), headers)
        signed_in = first.getresponse()
        signed_in.read()
        assert signed_in.status == 303
        cookie = signed_in.headers["Set-Cookie"].partition(";")[0]
        for connection, sent, status in ((second, cookie, 200), (second, "", 303), (first, cookie, 200)):
            connection.request("GET", "/account", headers={"Cookie": sent})
            answer = connection.getresponse()
            body = answer.read().decode()
            assert answer.status == status
            assert ("ann@example.org" in body) == (status == 200)
