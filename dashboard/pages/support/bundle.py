"""The diagnostic bundle: what is known of one device, for whoever mends it. Pure.

It holds nothing by which a home could be found (name, postcode, meter point, household), no tariff, no account, and
nothing of another device.
"""

from importlib.metadata import version
from typing import Any

import orjson

from aggregator.core import periods
from aggregator.core.registers import parse_overrides
from aggregator.core.status import Status
from aggregator.intake.device_status import Signal
from aggregator.support.bundle import without_meter_points
from aggregator.support.diagnostics import Diagnostics

FORMAT = 1


def bundle(evidence: Diagnostics, signals: list[Signal]) -> bytes:
    """The bundle as JSON; every instant as ISO time in UTC."""
    found = {
        "format": FORMAT,
        "wattfall": version("wattfall"),
        "made_at": periods.iso_utc(evidence.now),
        "device": _device(evidence),
        "sending": {
            **_timed(evidence.judgement._asdict()),
            "hours": [_timed(hour._asdict()) for hour in evidence.hours],
            "days": [day._asdict() for day in evidence.strip],
        },
        "signal": _signal(evidence, signals),
        "data": _data(evidence),
        "charts": {
            "levels": [_timed(level._asdict()) for level in evidence.levels],
            "waiting": _timed(evidence.backlog._asdict()),
            "aside": list(evidence.aside),
        },
    }
    return orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def file_name(evidence: Diagnostics) -> str:
    """What the bundle is saved as; a colon is no part of a file's name everywhere."""
    made = periods.iso_utc(evidence.now).replace(":", "").replace("-", "")
    return f"wattfall-{evidence.device.device_id.replace(':', '-')}-{made}.json"


def _device(evidence: Diagnostics) -> dict[str, Any]:
    device = evidence.device
    return {
        "device_id": device.device_id,
        "serial": device.serial,
        "timezone": device.timezone,
        "max_power_w": device.max_power_w,
        "registers": list(device.registers),
        "exchange_overrides": [_timed(mark._asdict()) for mark in parse_overrides(device.exchange_overrides)],
    }


def _signal(evidence: Diagnostics, signals: list[Signal]) -> dict[str, Any] | None:
    if evidence.known is None:
        return None
    firmwares = {
        name: {"first": periods.iso_utc(first), "last": periods.iso_utc(last)}
        for name, (first, last) in evidence.known.firmwares.items()
    }
    return {
        "last": _status(evidence.known.status),
        "received_at": periods.iso_utc(evidence.known.received_at),
        "firmwares": firmwares,
        "hours": [_timed(one._asdict()) for one in signals],
    }


def _status(status: Status) -> dict[str, Any]:
    counters = status.counters
    return _timed(status._asdict()) | {"counters": _timed(counters._asdict()) if counters else None}


def _data(evidence: Diagnostics) -> dict[str, Any]:
    return {
        "gaps": [_timed(gap._asdict()) for gap in evidence.gaps],
        "steps": [_timed(step._asdict()) for step in evidence.steps],
        "closures": [
            {**closure._asdict(), "span": _timed(closure.span._asdict()), "is_exact": closure.is_exact}
            for closure in evidence.closures
        ],
        "counters": [_timed(counted._asdict()) for counted in evidence.counted],
        "refused": {
            "days": {day: dict(counts) for day, counts in evidence.refusals.days.items()},
            "messages": [
                _timed(message._asdict())
                for message in without_meter_points(evidence.refusals.messages, evidence.device)
            ],
        },
        "newest": _timed(evidence.live._asdict()) if evidence.live else None,
        "last_readings": [_timed(reading._asdict()) for reading in evidence.last_readings],
    }


_INSTANTS = ("at", "since", "start", "utc_start", "end", "received_at", "changed_at")


def _timed(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields with their instants as ISO times."""
    return {name: periods.iso_utc(value) if name in _INSTANTS and value else value for name, value in fields.items()}
