"""The template deployed into an emulator, for the demo and the tests."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from aggregator.aws.clients import client
from aggregator.aws.emulator import Endpoint
from aggregator.aws.package import CODE, TEMPLATE, own_files, write_zip
from aggregator.core.errors import ConfigurationError

BUCKET = "wattfall-code"
PATIENCE_S = 60


def deploy(endpoint: Endpoint, prefix: str) -> dict[str, str]:
    """Deploy the stack named `prefix`; its outputs by name. Raises ConfigurationError when that fails.

    The code goes without its libraries: the emulator runs functions with this installation's.
    """
    with TemporaryDirectory() as folder:
        code = Path(folder) / CODE
        write_zip(code, own_files())
        storage = client("s3", **endpoint.options)
        storage.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": endpoint.region})
        storage.put_object(Bucket=BUCKET, Key=CODE, Body=code.read_bytes())
    stacks = client("cloudformation", **endpoint.options)
    stacks.create_stack(
        StackName=prefix,
        TemplateBody=TEMPLATE.read_text().replace(f"CodeUri: {CODE}", f"CodeUri: s3://{BUCKET}/{CODE}"),
        Parameters=[{"ParameterKey": "Prefix", "ParameterValue": prefix}],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    deadline = time.monotonic() + PATIENCE_S
    while (stack := stacks.describe_stacks(StackName=prefix)["Stacks"][0])["StackStatus"] == "CREATE_IN_PROGRESS":
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    if stack["StackStatus"] != "CREATE_COMPLETE":
        reason = stack.get("StackStatusReason", "no reason given")
        raise ConfigurationError(f"the template could not be deployed into the emulator: {reason}")
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
