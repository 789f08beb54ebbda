"""Messages a second of each source on one core; run by hand: `python -m tests.bench.sources`."""

import time
from itertools import accumulate
from random import Random

import orjson

from aggregator.core.periods import HALF_HOUR, iso_utc
from aggregator.core.readings import Reading
from aggregator.intake.formats import canonical, dsmr
from tests.aggregator.intake.formats.messages import NOW, SAMPLES, Sample, sample

SECONDS = 2.0  # for each
DEVICE = "cad-00001"
START = NOW - NOW % HALF_HOUR - HALF_HOUR


def half_hour() -> list[Reading]:
    """180 readings of a home with a noisy power and a register that follows it."""
    chance = Random(1)
    powers = [int(chance.lognormvariate(5.8, 1.0)) for _ in range(180)]
    counted = accumulate(powers, initial=3600 * 4_120_317 // 10)
    rows = zip(range(START, START + HALF_HOUR, 10), powers, counted, strict=False)
    return [Reading(DEVICE, at, power, tens * 10 // 3600, 0) for at, power, tens in rows]


def samples() -> dict[str, Sample]:
    """A message of each kind."""
    readings = half_hour()
    items = [reading._asdict() | {"at": iso_utc(reading.at)} for reading in readings]
    own = {
        "JSON, a reading": sample(canonical.parse_canonical, items[0], DEVICE),
        "JSON, half an hour": sample(canonical.parse_canonical, orjson.dumps(items), DEVICE),
        "block, half an hour": sample(canonical.parse_block, canonical.encode_block(readings), DEVICE),
    }
    return own | SAMPLES


def throughput(one: Sample) -> float:
    """Return the messages parsed in a second of CPU time."""
    read, payload, origin = one
    count, began = 0, time.process_time()
    while time.process_time() - began < SECONDS:
        for _ in range(100):
            read(payload, origin)
        count += 100
    return count / (time.process_time() - began)


def cut() -> float:
    """Return the telegrams cut out of a stream in a second of CPU time."""
    lines = SAMPLES["DSMR telegram"].payload.splitlines(keepends=True) * 20_000
    began = time.process_time()
    count = sum(1 for _ in dsmr.telegrams(lines))
    return count / (time.process_time() - began)


def main() -> None:
    """Print the table."""
    for name, one in samples().items():
        content = one.parse(one.payload, one.origin)
        held = f"{len(content.readings)} readings, {len(content.statuses)} statuses"
        print(f"{name:<24} {len(one.payload):>6,} bytes  {held:<26} {throughput(one):>9,.0f}/s")
    print(f"{'DSMR, cutting a stream':<24} {'':>39} {cut():>9,.0f}/s")


if __name__ == "__main__":
    main()
