"""What lies in the queue and the bucket becomes the event of its function again."""

import base64
import json
from itertools import islice
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from aggregator.aws import dead_letters, schedules
from aggregator.aws.dead_letters import DeadLetter, batch_place, dead_of_batch, dead_of_message, message_of
from aggregator.core.errors import Refused
from aggregator.erasure.erasure_plan import ErasedStay, ErasurePlan
from tests.copies import fresh_store

RECORD = {"dynamodb": {"Keys": {"d": {"S": "cad-1"}, "p": {"S": "2026-11-23"}}, "SequenceNumber": "7"}}


def test_a_letter_becomes_the_event_of_its_function() -> None:
    letters = [DeadLetter("months", "ValueError()", json.dumps(RECORD)), DeadLetter("days", "x", json.dumps(RECORD))]
    body = "\n".join(json.dumps(letter._asdict()) for letter in letters)
    assert batch_place(body) is None
    assert dead_of_message(body) == [("months", {"Records": [RECORD]}), ("days", {"Records": [RECORD]})]


def test_an_error_of_iot_core_becomes_the_message_that_its_rule_could_not_pass_on() -> None:
    error = {
        "ruleName": "wattfall_DeviceRule",
        "topic": "wattfall/cad-1/block",
        "cloudwatchTraceId": "7e146a2c-95b5-6caf-98b9-50e3969734c7",
        "clientId": "cad-1",
        "base64OriginalPayload": base64.b64encode(b"\x00half hour").decode(),
        "failures": [{"failedAction": "KinesisAction", "failedResource": "incoming", "errorMessage": "throttled"}],
    }
    ((function, event),) = dead_of_message(json.dumps(error))
    assert function == "ingest"
    message = message_of(event["Records"][0]["kinesis"])
    assert message == ("wattfall/cad-1/block", "cad-1", b"\x00half hour")


@pytest.mark.parametrize(
    ("records", "function"),
    [
        ([{"kinesis": {"data": "e30=", "partitionKey": "cad-1"}}], "ingest"),
        ([RECORD | {"eventSourceARN": "arn:aws:dynamodb:eu-west-2:1:table/wattfall-readings/stream/2026"}], "days"),
        ([RECORD | {"eventSourceARN": "arn:aws:dynamodb:eu-west-2:1:table/my-own-days/stream/2026"}], "months"),
        ([RECORD | {"eventSourceARN": "arn:aws:dynamodb:eu-west-2:1:table/wattfall-months/stream/2026"}], "years"),
    ],
)
@pytest.mark.parametrize("is_text", [True, False])
def test_a_batch_of_the_bucket_goes_to_its_function(
    records: list[dict[str, Any]], function: str, *, is_text: bool
) -> None:
    event = {"Records": records}
    outer = {"version": "1.0", "requestContext": {}, "payload": json.dumps(event) if is_text else event}
    assert dead_of_batch(json.dumps(outer).encode()) == (function, event)


def test_the_note_about_a_batch_names_its_place() -> None:
    note = {"source": "aws.s3", "detail": {"bucket": {"name": "dead"}, "object": {"key": "aws/lambda/1/x"}}}
    assert batch_place(json.dumps(note)) == ("dead", "aws/lambda/1/x")


@pytest.mark.parametrize("body", ["{", "[]", '{"function": "days"}', '{"function": "days", "payload": "{"}'])
def test_what_is_no_letter_is_refused_by_name(body: str) -> None:
    with pytest.raises(Refused):
        dead_of_message(body)


@pytest.mark.parametrize("payload", [None, {}, {"Records": []}, {"Records": [{"eventSourceARN": "arn:x"}]}])
def test_what_is_no_batch_is_refused_by_name(payload: object) -> None:
    with pytest.raises(Refused, match="wrong_format"):
        dead_of_batch(json.dumps({"payload": payload}).encode())


@pytest.mark.parametrize(
    "data", [b'{"topic": "x", "data": "!"}', b'{"topic": 1}', b'{"a', b"\xff", b'{"device_id": "cad-1"}']
)
def test_what_no_rule_has_wrapped_is_taken_as_it_is(data: bytes) -> None:
    found = message_of({"data": base64.b64encode(data).decode(), "partitionKey": "cad-1"})
    assert found == ("", "cad-1", data)


# The scan of an erasure


class Cloud:
    """A queue and its bucket as AWS has them: what a scan got comes again when its hide time is over, here at once."""

    def __init__(self, bodies: list[str]) -> None:
        self.bodies, self.at = bodies, 0
        self.released: list[list[str]] = []
        self.exceptions = type("Exceptions", (), {"NoSuchKey": KeyError})

    def receive_message(self, **_: object) -> dict[str, object]:
        places = [(self.at + place) % len(self.bodies) for place in range(min(10, len(self.bodies)))]
        self.at += len(places)
        return {
            "Messages": [{"MessageId": f"m-{p}", "ReceiptHandle": f"r-{p}", "Body": self.bodies[p]} for p in places]
        }

    def get_queue_attributes(self, **_: object) -> dict[str, dict[str, str]]:
        kinds = ("", "NotVisible", "Delayed")
        return {"Attributes": dict.fromkeys((f"ApproximateNumberOfMessages{kind}" for kind in kinds), "0")}

    def change_message_visibility_batch(self, *, Entries: list[dict[str, str]], **_: object) -> None:  # noqa: N803
        self.released.append([one["ReceiptHandle"] for one in Entries])
        raise ClientError({"Error": {"Code": "ReceiptHandleIsInvalid"}}, "ChangeMessageVisibilityBatch")

    def get_object(self, **_: object) -> dict[str, object]:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")


PLAN = ErasurePlan("acacia", (ErasedStay("cad-1", 0, 2**40),), ())
LETTER = json.dumps(DeadLetter("days", "x", json.dumps(RECORD))._asdict())
NOTE = json.dumps({"source": "aws.s3", "detail": {"bucket": {"name": "dead"}, "object": {"key": "aws/lambda/1/x"}}})


def scanned(monkeypatch: pytest.MonkeyPatch, cloud: Cloud) -> list[str]:
    for module in (dead_letters, schedules):
        monkeypatch.setattr(module, "client", lambda _: cloud)
    with fresh_store() as store:
        return [line for line in islice(schedules.letters_about("queue", store, PLAN), 100) if line]


def test_a_scan_ends_where_the_queue_gives_letters_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = scanned(monkeypatch, Cloud([LETTER] * 25))
    assert sum(int(line.split()[0]) for line in lines) == 25


def test_a_scan_releases_ten_letters_a_call_whatever_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud([LETTER] * 25)
    scanned(monkeypatch, cloud)
    assert [len(one) for one in cloud.released] == [10, 10, 5]
    assert {one for some in cloud.released for one in some} == {f"r-{place}" for place in range(25)}


def test_a_batch_that_cannot_be_read_is_left_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    other, named = scanned(monkeypatch, Cloud([NOTE, LETTER]))
    assert other.startswith("the dead letter m-0, whose batch cannot be read: AWS: ")
    assert "AccessDenied" in other
    assert named.startswith("1 dead letters")
