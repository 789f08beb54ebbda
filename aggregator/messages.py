"""What devices send to the cloud: canonical readings as JSON, one a line, alone or several in one message. Pure.

A message is a reading (see `readings`), or an object `{"readings": [reading, ...]}` of up to half an hour. The rule
that takes it in adds `topic_device`, the device whose topic it came over, so that none writes as another.
"""

import orjson

from aggregator.errors import Refused
from aggregator.readings import Reading, parse


def readings_of(payload: bytes, now: int) -> tuple[list[Reading], list[Refused]]:
    """The readings of a payload, and what was refused of it; `now` in UTC seconds."""
    readings, refused = list[Reading](), list[Refused]()
    for line in payload.splitlines():
        try:
            message = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            refused.append(Refused("malformed_json", str(error)[:120]))
            continue
        many = message.get("readings") if isinstance(message, dict) else None
        owner = message.get("topic_device") if isinstance(message, dict) else None
        for one in many if isinstance(many, list) else [message]:
            try:
                readings.append(read(one, owner, now))
            except Refused as reason:
                refused.append(reason)
    return readings, refused


def read(message: object, owner: object, now: int) -> Reading:
    """One reading that came over the topic of `owner` (None: from somebody trusted). Raises Refused."""
    reading = parse(message, now)
    if owner is not None and owner != reading.device_id:
        raise Refused("bad_device_id", f"a reading of {reading.device_id} came over the topic of {str(owner)[:64]!r}")
    return reading
