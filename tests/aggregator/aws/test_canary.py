"""New code is let in by a sample of devices: lag is waited for, a lasting difference is told to CodeDeploy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aggregator.aws import canary
from aggregator.aws.canary import LOOKS, SAMPLE, lasting_differences, sample, tell
from aggregator.core.documents import Part
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store import Store
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.waterfall.worker import drain

NOW = 1_795_392_000  # 2026-11-23T00:00:00Z


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = SqliteStore(str(tmp_path / "canary.db"))
    for number in range(30):
        ingest(made, [Reading(f"cad-{number:02}", NOW + at, None, at, None) for at in range(0, 7200, 60)], NOW, "UTC")
    drain(made)
    yield made
    made.close()


def looked(store: Store, sleep: Any, start: str = "") -> list[str]:  # noqa: ANN401 - what to do meanwhile
    return lasting_differences(store, start, lambda: float(NOW + 7200), sleep)


def spoil(store: Store, wh: int = 999) -> None:
    store.merge_parts("day", "cad-03", "2026-11-23", "UTC", {"s01": Part(wh, None)})


def test_right_documents_are_let_in_at_the_first_look(store: Store) -> None:
    assert looked(store, lambda _: pytest.fail("it need not wait")) == []


def test_a_wrong_document_stays_wrong_at_every_look(store: Store) -> None:
    spoil(store)
    waits: list[float] = []
    found = looked(store, waits.append)
    assert len(waits) == LOOKS - 1
    assert found
    assert all(line.startswith("cad-03 day 2026-11-23 ") for line in found)


def test_lag_is_waited_for(store: Store) -> None:
    ingest(store, [Reading("cad-03", NOW + 7260, None, 7260, None)], NOW + 7260, "UTC")
    waits: list[float] = []

    def carry(seconds: float) -> None:
        waits.append(seconds)
        drain(store)

    assert looked(store, carry) == []
    assert len(waits) == 1


def test_the_sample_begins_anywhere_and_goes_round(store: Store) -> None:
    devices = [one.device_id for one in sample(store, "cad-19")]
    assert len(devices) == SAMPLE
    assert {"cad-20", "cad-29", "cad-00", "cad-09"} <= set(devices)


class CodeDeploy:
    """Keeps what it is told."""

    told: list[dict[str, str]]

    def put_lifecycle_event_hook_execution_status(self, **status: str) -> None:
        self.told = [*getattr(self, "told", []), status]


@pytest.mark.parametrize(("wrong", "status"), [([], "Succeeded"), (["cad-1 day"], "Failed")])
def test_code_deploy_is_told_the_result(monkeypatch: pytest.MonkeyPatch, wrong: list[str], status: str) -> None:
    codedeploy = CodeDeploy()
    monkeypatch.setattr(canary, "client", lambda _: codedeploy)
    monkeypatch.setattr(canary, "functions", lambda: type("Own", (), {"store": None}))
    monkeypatch.setattr(canary, "lasting_differences", lambda *_: wrong)
    hook = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "hook-1"}
    assert canary.verify(hook, None) == {"differences": wrong}
    expected = {"deploymentId": "d-1", "lifecycleEventHookExecutionId": "hook-1", "status": status}
    assert codedeploy.told == [expected]


def test_a_store_that_is_away_lets_nothing_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OSError("no network")

    codedeploy = CodeDeploy()
    monkeypatch.setattr(canary, "client", lambda _: codedeploy)
    monkeypatch.setattr(canary, "functions", away)
    canary.verify({"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "hook-1"}, None)
    tell(codedeploy, {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "hook-2"}, is_right=True)
    assert [one["status"] for one in codedeploy.told] == ["Failed", "Succeeded"]
