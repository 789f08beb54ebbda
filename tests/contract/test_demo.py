"""`wattfall demo --dynamodb`, from the command to the page and back to nothing."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from threading import Timer

import pytest

from aggregator.aws.dead_letters import client
from aggregator.aws.deployment import KEY, REGION
from dashboard.commands.demo import PREFIX
from tests.servers import free_port

COMMAND = [sys.executable, "-m", "dashboard.commands.main", "demo", "--dynamodb", "--households", "1", "--days", "1"]
PATIENCE_S = 120


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def demo(port: int) -> Iterator["subprocess.Popen[str]"]:
    environ = os.environ | {"AWS_PROFILE": "somebody's own", "WEB_CONCURRENCY": "1"}  # which the demo must not use
    command = [*COMMAND, "--port", str(port)]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        limit = Timer(PATIENCE_S, process.kill)
        limit.start()
        yield process
        limit.cancel()
        process.kill()


def said_until(process: "subprocess.Popen[str]", words: str) -> str:
    """Return the output of a process up to the line with these words."""
    said = ""
    assert process.stdout
    for line in process.stdout:
        said += line
        if words in line:
            return said
    return pytest.fail(said)


def listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def sends_into_the_stream(emulator: str) -> bool:
    """Whether a message of a simulated home comes into the coalescing stream."""
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": KEY, "region_name": REGION, "endpoint_url": emulator}
    kinesis, stream = client("kinesis", **keys), f"{PREFIX}-incoming"
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
            place = {"StreamName": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            records = kinesis.get_records(ShardIterator=kinesis.get_shard_iterator(**place)["ShardIterator"])["Records"]
            if any(record["PartitionKey"].startswith("demo-") for record in records):
                return True
        time.sleep(1)
    return False


def test_the_page_appears_and_everything_ends_with_the_demo(port: int, demo: "subprocess.Popen[str]") -> None:
    said = said_until(demo, f"Wattfall is at http://localhost:{port}/")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        assert b"<html" in answer.read()
    (emulator,) = re.findall(r"an emulator at (http://127\.0\.0\.1:\d+)", said)
    assert sends_into_the_stream(emulator)
    demo.send_signal(signal.SIGTERM)
    rest, _ = demo.communicate()
    assert demo.returncode == 0, said + rest
    assert not listens(port)
    assert not listens(int(emulator.rpartition(":")[2]))
