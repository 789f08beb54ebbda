"""What people know the demo's homes by: a name each, and numbers that no real home has. Pure."""

from dataclasses import replace

from aggregator.core.documents import Device
from aggregator.demo.households import Household

PREFIX = "demo-"  # of the devices
NAMES = {
    "demo-family": ("{} Acacia Road", "ZZ99 1AC"),
    "demo-solar": ("{} Sunnyside", "ZZ99 2SU"),
    "demo-ev": ("{} Chapel Lane", "ZZ99 3CH"),
    "demo-flaky": ("{} Harbour View", "ZZ99 4HA"),
    "demo-flat": ("Flat {}, Mill House", "ZZ99 5MI"),
    "demo-berlin": ("Lindenallee {}", "99998"),
}
NUMBERS = 60  # houses of a street


def labelled(device: Device, home: Household) -> Device:
    """The device of a demo home, belonging to a household of its own; what somebody has set stays."""
    name, postcode = NAMES[home.archetype]
    return replace(
        device,
        household=device.household or home.device_id.removeprefix(PREFIX),
        name=device.name or name.format(1 + home.noise % NUMBERS),
        serial=device.serial or f"WF{home.noise % 10**8:08d}",
        meter_point=device.meter_point or f"99{home.noise * 7919 % 10**11:011d}",
        postcode=device.postcode or postcode,
    )
