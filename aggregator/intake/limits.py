"""How much a device may send: an allowance that refills, one for each device of late. Pure, but for its memory."""

from collections import OrderedDict

REFILL_S = 2.0  # allowances a second
FULL = 240.0  # allowances; a catching-up gateway sends one message a second
COST_BYTES = 65_536  # of a message, for each further allowance that it takes
COST_HALF_HOURS = 4  # that a message touches, for each further allowance
_MOST = 100_000  # devices that are remembered


class Limits:
    """The allowances of devices, in this process."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # device -> allowance, and as of when

    def charge(self, device_id: str, size: int, half_hours: int) -> None:
        """Take what a message has cost beyond what it seemed to: its size when inflated, and what it touches."""
        left, since = self._left.get(device_id, (FULL, 0.0))
        self._left[device_id] = (max(left - size // COST_BYTES - half_hours // COST_HALF_HOURS, -FULL), since)

    def take(self, device_id: str, size: int, now: float) -> int:
        """Take the allowance of a message of `size` bytes; how many seconds to wait where there is not enough."""
        left, since = self._left.pop(device_id, (FULL, now))
        left = min(FULL, left + max(now - since, 0) * REFILL_S)
        cost = 1 + size // COST_BYTES
        wait = 0 if left >= cost else -int((left - cost) / REFILL_S // 1)
        self._left[device_id] = (left if wait else left - cost, now)
        if len(self._left) > _MOST:
            self._left.popitem(last=False)
        return wait
