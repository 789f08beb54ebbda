"""The log as JSON: one object a line, whatever a message holds."""

import json
import logging
import sys

from aggregator.commands.console import JsonLines


def record(message: str, *arguments: object, is_fault: bool = False) -> logging.LogRecord:
    info = None
    if is_fault:
        try:
            raise ValueError("of many\nlines")
        except ValueError:
            info = sys.exc_info()
    return logging.LogRecord("wattfall.worker", logging.WARNING, "worker.py", 1, message, arguments, info)


def test_a_record_is_one_object_on_one_line() -> None:
    one = record('%d documents\nof "x"', 5)
    one.created = 1_790_812_800.7
    text = JsonLines().format(one)
    assert "\n" not in text
    assert json.loads(text) == {
        "at": "2026-10-01T00:00:00Z",
        "level": "warning",
        "logger": "wattfall.worker",
        "message": '5 documents\nof "x"',
    }


def test_a_traceback_stays_in_its_record() -> None:
    text = JsonLines().format(record("a fault", is_fault=True))
    assert "\n" not in text
    assert json.loads(text)["traceback"].endswith("ValueError: of many\nlines")
