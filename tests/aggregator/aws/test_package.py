import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

from aggregator.aws import deployment

IN_LAMBDA = {"boto3", "botocore", "certifi", "jmespath", "s3transfer", "urllib3"}  # its own
LOADED = """
import sys
import aggregator.aws.dead_letters
import aggregator.aws.lambdas
before = set(sys.modules)
import aggregator.store.dynamodb.dynamodb_store
from aggregator.erasure.erasure_plan import ErasurePlan
from aggregator.erasure.erasure_rules import forget_cached
list(forget_cached("redis://127.0.0.1:1", None, ErasurePlan("", (), ())))
aggregator.aws.dead_letters.client("sqs", region_name="eu-west-2")
print(*sorted({name.partition(".")[0] for name in sys.modules}))
print(*sorted(before))
"""


def loaded() -> tuple[set[str], set[str]]:
    """Return a function's imports after all its work, and at its start."""
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    everything, at_first = done.stdout.splitlines()
    return set(everything.split()), set(at_first.split())


def test_the_package_is_reproducible_and_holds_only_our_code(tmp_path: Path) -> None:
    names = [name for name, _ in deployment.own_files()]
    assert {"aggregator/aws/lambdas.py", "aggregator/store/dynamodb/dynamodb_store.py"} <= set(names)
    assert all(name.startswith("aggregator/") and name.endswith(".py") for name in names)
    for copy in ("one.zip", "other.zip"):
        deployment.write_zip(tmp_path / copy, deployment.own_files())
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()


def test_the_template_lies_beside_the_code(tmp_path: Path) -> None:
    def install(folder: Path) -> None:
        (folder / "six.py").write_text("# a library")
        (folder / "bin").mkdir()
        (folder / "bin" / "a-script").touch()

    code = deployment.build(tmp_path / "build", install)
    template = (tmp_path / "build" / "template.yaml").read_text()
    assert f"CodeUri: {code.name}" in template
    with ZipFile(code) as archive:
        names = archive.namelist()
    assert sorted([*(name for name, _ in deployment.own_files()), "six.py"]) == names


def test_every_library_that_a_function_imports_is_in_the_package() -> None:
    modules, _ = loaded()
    distributions = packages_distributions()
    libraries = {name for module in modules for name in distributions.get(module, [])}
    optional = {"brotli", "cryptography"}  # urllib3 and redis take them where they are; the web process has them here
    assert libraries - IN_LAMBDA - {"wattfall"} - optional <= set(deployment.LIBRARIES) | {"setuptools"}


def test_a_function_starts_without_optional_imports() -> None:
    _, at_first = loaded()
    slow = {"boto3", "botocore", "click", "dash", "plotly", "flask", "urllib.request", "aggregator.demo.simulator"}
    assert not at_first & slow


def test_zip_files_are_world_readable(tmp_path: Path) -> None:
    code = tmp_path / deployment.CODE
    deployment.write_zip(code, deployment.own_files())
    with ZipFile(code) as archive:
        assert archive.testzip() is None
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o644}
