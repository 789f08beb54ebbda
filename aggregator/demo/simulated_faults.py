"""Messages of the demo that have to be refused: what devices in the field really send now and then. Pure."""

from collections.abc import Iterator

from aggregator.core.periods import HOUR, iso_utc
from aggregator.demo.households import Household
from aggregator.demo.simulator import is_cut_off, scattered

_ONE_IN = 4  # hours of a flaky home
_FAULTS = (
    '{{"device_id": "{device}", "at": "{at}", "power_w": "n/a", "import_wh": 4120317}}',
    '{{"device_id": "{device}", "at": "{at}", "power_w": [431], "import_wh": 4120317}}',
    '{{"device_id": "{device}", "at": "{at}", "power_w": 431, "import_',
    '{{"device_id": "{device}", "at": "{naive}", "power_w": 431}}',
    '{{"device_id": "{device}", "at": "{at}", "power_w": -8388608}}',
    '{{"device_id": "{device}", "at": "1999-12-31T00:00:00Z", "power_w": 0}}',
)


def faults(household: Household, since: int, until: int) -> Iterator[tuple[int, bytes]]:
    """What a household's device sends amiss after `since` and up to `until` (UTC seconds), with when it comes in."""
    for hour in range(since - since % HOUR, until + 1, HOUR) if household.flaky else ():
        chance = scattered(household.noise + 3, hour // HOUR)
        at = hour + chance % HOUR
        if chance // HOUR % _ONE_IN == 0 and since < at <= until and not is_cut_off(household, at):
            fault = _FAULTS[chance // HOUR // _ONE_IN % len(_FAULTS)]
            said = fault.format(device=household.device_id, at=iso_utc(at), naive=iso_utc(at)[:-1])
            yield at, said.encode()
