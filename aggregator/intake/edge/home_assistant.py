"""Home Assistant: announce devices at a broker by MQTT discovery, and publish what their meters say.

A device is announced by one retained message, the device discovery of Home Assistant:
https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
The value of each sensor is a topic of its own, so that a message without a value says nothing of it. Values are not
retained: after a restart Home Assistant waits for the next one. Energy is the meter's register (`total_increasing`), so
only newer readings are published, none older than FRESH_S, and no history: a register that went back would be counted
as a new meter.

| topic | payload |
|---|---|
| `homeassistant/device/wattfall_DEVICE/config` | the announcement, retained |
| `homeassistant/wattfall/DEVICE/power`, `import`, `export`, `volume` | W, Wh, Wh, m³ |
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import NamedTuple
from zlib import crc32

import orjson

from aggregator.core.energy import is_plausible
from aggregator.core.readings import Reading
from aggregator.intake.ingest import Outcome, Received

PREFIX = "homeassistant"
FRESH_S = 300  # age of a reading that still says what is now
SILENT_S = 180  # after which Home Assistant shows no power
MOST_POWER_W = 10_000_000  # a higher one is not believed
MOST_DEVICES = 1_000
Publish = Callable[[str, bytes, bool], bool]  # topic, payload, whether the broker keeps it; whether it was sent
Sink = Callable[[Sequence[Received]], Outcome]


class Sensor(NamedTuple):
    """A row: one value of a reading as Home Assistant shows it."""

    key: str
    name: str
    attribute: str  # of Reading
    unit: str
    device_class: str
    state_class: str
    per_unit: int = 1  # of the reading's unit


SENSORS = (
    Sensor("power", "Power", "power_w", "W", "power", "measurement"),
    Sensor("import", "Energy from the grid", "import_wh", "Wh", "energy", "total_increasing"),
    Sensor("export", "Energy to the grid", "export_wh", "Wh", "energy", "total_increasing"),
    Sensor("volume", "Gas", "volume_l", "m³", "gas", "total_increasing", 1000),
)


def discovery(device_id: str, keys: Sequence[str]) -> tuple[str, bytes]:
    """Return topic and payload of the announcement of a device with these sensors."""
    own = object_id(device_id)
    components = {
        one.key: {
            "p": "sensor",
            "name": one.name,
            "unique_id": f"{own}_{one.key}",
            "state_topic": state_topic(device_id, one),
            "unit_of_measurement": one.unit,
            "device_class": one.device_class,
            "state_class": one.state_class,
            **({"expire_after": SILENT_S} if one.key == "power" else {}),
        }
        for one in SENSORS
        if one.key in keys
    }
    content = {
        "dev": {"ids": [own], "name": device_id, "mf": "Wattfall"},
        "o": {"name": "wattfall", "sw": version("wattfall")},
        "cmps": components,
    }
    return f"{PREFIX}/device/{own}/config", orjson.dumps(content)


def object_id(device_id: str) -> str:
    """Return the id of a device at Home Assistant, which knows letters, digits, `_` and `-` alone."""
    plain = re.sub(r"[^a-zA-Z0-9_-]", "_", device_id)
    return f"wattfall_{plain}" if plain == device_id else f"wattfall_{plain}_{crc32(device_id.encode()):08x}"


def state_topic(device_id: str, sensor: Sensor) -> str:
    """Return the topic of a sensor's values."""
    return f"{PREFIX}/wattfall/{device_id}/{sensor.key}"


@dataclass(slots=True)
class Announcer:
    """Publish the newest values of stored messages. `clock` gives UTC seconds."""

    publish: Publish
    clock: Callable[[], float]
    _known: OrderedDict[str, tuple[str, ...]] = field(default_factory=OrderedDict)  # device -> announced sensors
    _newest: dict[tuple[str, str], int] = field(default_factory=dict)  # device and sensor -> instant, UTC seconds

    def after(self, sink: Sink) -> Sink:
        """Return a sink that stores messages as `sink` does, and publishes their values then."""

        def store_and_publish(messages: Sequence[Received]) -> Outcome:
            outcome = sink(messages)
            for message in messages:
                if not message.is_history:
                    self.note(message.content.readings)
            return outcome

        return store_and_publish

    def note(self, readings: Sequence[Reading]) -> None:
        """Publish the values that are newer than the last ones, and announce a device that has new ones."""
        now = self.clock()
        for reading in sorted(readings, key=lambda one: one.at):
            if not now - FRESH_S <= reading.at <= now + FRESH_S:
                continue
            values = {one: value for one in SENSORS if (value := _value(reading, one)) is not None}
            newer = [one for one in values if reading.at > self._newest.get((reading.device_id, one.key), 0)]
            if newer and self._announced(reading.device_id, [one.key for one in newer]):
                for one in newer:
                    self._newest[reading.device_id, one.key] = reading.at
                    self.publish(state_topic(reading.device_id, one), values[one].encode(), False)

    def _announced(self, device_id: str, keys: Sequence[str]) -> bool:
        """Announce a device, unless it is already with these sensors; whether it is."""
        known = self._known.get(device_id, ())
        if set(keys) <= set(known):
            return True
        if device_id not in self._known and len(self._known) >= MOST_DEVICES:
            return False
        wanted = tuple(one.key for one in SENSORS if one.key in (*known, *keys))
        is_sent = self.publish(*discovery(device_id, wanted), True)
        if is_sent:
            self._known[device_id] = wanted
        return is_sent


def _value(reading: Reading, sensor: Sensor) -> str | None:
    """Return a value as its payload; None where it is unknown or cannot be."""
    value: int | None = getattr(reading, sensor.attribute)
    if value is None or (sensor.key == "power" and not is_plausible(value, MOST_POWER_W)):
        return None
    return str(value) if sensor.per_unit == 1 else f"{value / sensor.per_unit:.3f}"
