"""What lies in the queue and the bucket becomes the event of its function again."""

import base64
import json
from typing import Any

import pytest

from aggregator.aws.dead_letters import DeadLetter, batch_place, dead_of_batch, dead_of_message, message_of
from aggregator.core.errors import Refused

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
