"""What the demo's devices say about themselves, once an hour: signal, firmware, hardware. Pure.

Like their readings, a function of the household and the instant alone. The flaky home's device stands too far from its
meter: its signal is poor, and now and then it loses the meter's network.
"""

from collections.abc import Iterator

from aggregator.core.periods import DAY_S, HOUR
from aggregator.demo.households import Household
from aggregator.demo.simulator import is_cut_off, scattered
from aggregator.intake.status import Status

HARDWARE = "WF-IHD-02"
_RELEASE_S = 45 * DAY_S  # between firmwares
_FIRST_RELEASE = 1_704_067_200  # 2024-01-01
_ROLLOUT_DAYS = 20  # over which a firmware reaches the homes
_LOST = 6  # per cent of a flaky home's hours without the meter's network


def statuses(household: Household, since: int, until: int) -> Iterator[Status]:
    """What a household's device says after `since` and up to `until` (UTC seconds), while it has a connection."""
    minute = household.noise % 3600 // 10 * 10
    for hour in range(since - since % HOUR, until + 1, HOUR):
        at = hour + minute
        if since < at <= until and not is_cut_off(household, at):
            yield _said(household, at)


def _said(household: Household, at: int) -> Status:
    chance = scattered(household.noise + 2, at // HOUR)
    rssi, lqi = (-88, 38) if household.flaky else (-56 - household.noise % 14, 205 - household.noise % 50)
    release = (at - _FIRST_RELEASE + household.noise % _ROLLOUT_DAYS * DAY_S) // _RELEASE_S
    return Status(
        household.device_id,
        at,
        rssi + chance % 9 - 4,
        lqi + chance // 9 % 41 - 20,
        f"v2.{release // 6}.{release % 6}",
        HARDWARE,
        not household.flaky or chance // 369 % 100 >= _LOST,
    )
