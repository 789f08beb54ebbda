"""The function `verify`: before and after CodeDeploy sends calls to new code, it verifies a sample of devices.

The new code computes the documents of some devices again and compares them with the stored ones (`waterfall.verify`). A
difference that stays for LOOKS looks is no lag of the waterfall: CodeDeploy is told so, and calls go to the former code
again. An event without a deployment is a look by hand; the answer names the differences in any case.
"""

import logging
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from aggregator.aws.dead_letters import client
from aggregator.aws.lambdas import Record, functions
from aggregator.core.documents import Device
from aggregator.store import Store
from aggregator.waterfall.verify import differences

SAMPLE = 20  # devices, from a random place in the table's own order
LOOKS, APART_S = 12, 60.0  # both windows of the waterfall are over before the last look
log = logging.getLogger("wattfall.canary")


def verify(event: Record, _context: object) -> Record:
    """The handler of `verify`."""
    try:
        found = lasting_differences(functions().store, uuid4().hex, time.time, time.sleep)
    except Exception as error:  # CodeDeploy waits for an hour for an answer
        log.exception("the sample could not be verified")
        found = [repr(error)]
    for line in found:
        log.error("%s", line)
    if "DeploymentId" in event:
        tell(client("codedeploy"), event, is_right=not found)
    return {"differences": found}


def tell(codedeploy: Any, event: Record, *, is_right: bool) -> None:  # noqa: ANN401 - boto3 has no types
    """Tell CodeDeploy the result of its hook."""
    codedeploy.put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status="Succeeded" if is_right else "Failed",
    )


def lasting_differences(
    store: Store, start: str, clock: Callable[[], float], sleep: Callable[[float], object]
) -> list[str]:
    """Return the differences that a sample of devices from `start` on shows at every one of several looks."""
    devices = sample(store, start)
    found = _differences(store, devices, int(clock()))
    for _ in range(LOOKS - 1):
        if not found:
            break
        sleep(APART_S)
        again = set(_differences(store, devices, int(clock())))
        found = [line for line in found if line in again]
    return found


def sample(store: Store, start: str) -> list[Device]:
    """Return SAMPLE devices that have sent, after the id `start` in the store's order, and then from its beginning."""
    lives = list(store.lives(start, SAMPLE))
    lives += list(store.lives("", SAMPLE - len(lives))) if len(lives) < SAMPLE else []
    return [store.device(device_id) or Device(device_id) for device_id in sorted({live.device_id for live in lives})]


def _differences(store: Store, devices: list[Device], now: int) -> list[str]:
    return [line for device in devices for line in differences(store, device, now)]
