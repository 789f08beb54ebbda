"""The simulator's connection to a store: history first, then live, all through the ordinary ingest path."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import DAY_S, HALF_HOUR
from aggregator.core.readings import Reading
from aggregator.demo.simulated_faults import faults
from aggregator.demo.simulated_labels import PREFIX, labelled
from aggregator.demo.simulated_statuses import statuses
from aggregator.demo.simulated_tariffs import days_between, has_half_hourly_prices, prices_of_day, tariff_of_home
from aggregator.demo.simulator import TICK_S, Household, arrivals, history
from aggregator.intake.ingest import Outcome, ingest, ingest_lines
from aggregator.intake.refusals import MESSAGE_DAYS
from aggregator.intake.status import KEPT_DAYS, keep
from aggregator.store.port import Store
from aggregator.waterfall.pricing import add_prices, tariff_to_text

RECENT_S = 48 * 3600  # so much of the history is at 10 s, what is older at half an hour
BATCH = 20_000  # readings
_LAST = PREFIX + "~"  # after every id that begins so
_MARK = ("store", "demo")


def check_is_demo(store: Store, homes: Sequence[Household]) -> None:
    """Raise ConfigurationError if the store holds devices that are not the simulator's."""
    own = {home.device_id for home in homes}
    for device in store.devices(limit=len(own) + 1000):
        if device.device_id not in own and not device.device_id.startswith(PREFIX):
            raise ConfigurationError(
                f"the store holds {device.device_id}, which is no demo household; name another store for the demo"
            )


def mark_as_demo(store: Store) -> None:
    """Note that a store was made for the demo, so that its visitors need no password."""
    store.put_record(*_MARK, "{}")


def is_demo(store: Store) -> bool:
    """Whether a store was made for the demo, and holds no device but the simulator's."""
    if store.record(*_MARK) is None:
        return False
    first, rest = store.devices(limit=1), store.devices(after=_LAST, limit=1)
    return not rest and all(device.device_id.startswith(PREFIX) for device in first)


def fill(store: Store, homes: Sequence[Household], days: int, now: int, progress: Callable[[int], None]) -> None:
    """Bring every household's readings up to `now`, from `days` ago where it has none. Reports each batch's size."""
    for home in homes:
        newest = store.live(home.device_id)
        since = newest.at if newest else now - days * DAY_S
        equip(store, home, since, now)
        missed = _missed(home, since, now, is_new=newest is None)
        while batch := list(islice(missed, BATCH)):
            ingest(store, batch, now, home.timezone)
            progress(len(batch))
        keep(store, statuses(home, max(since, now - KEPT_DAYS * DAY_S), now), now)
        send_faults(store, home, max(since, now - MESSAGE_DAYS * DAY_S), now)


def equip(store: Store, home: Household, since: int, now: int) -> None:
    """Give a household its tariff if it has none, and its half-hourly prices from `since` to the end of tomorrow."""
    device = store.device(home.device_id) or Device(home.device_id, home.timezone)
    tariff = tariff_of_home(home)
    equipped = labelled(replace(device, tariff=device.tariff or tariff_to_text(tariff)), home)
    if equipped != device:
        store.put_device(equipped)
    if has_half_hourly_prices(tariff):
        with store.round():
            for day in days_between(since, now + 2 * DAY_S):
                add_prices(store, device, prices_of_day(home.seed, day))


def send_faults(store: Store, home: Household, since: int, now: int) -> None:
    """Send what has to be refused, as of when it would have come in."""
    for at, line in faults(home, since, now):
        ingest_lines(store, [line], 1, at, home.timezone, Outcome(), lambda *_: None)


def expected(homes: Sequence[Household], days: int) -> int:
    """About how many readings `fill` brings into an empty store."""
    recent = min(RECENT_S, days * DAY_S)
    return len(homes) * (recent // TICK_S + max(days * DAY_S - recent, 0) // HALF_HOUR)


def run_simulator(
    store: Store,
    homes: Sequence[Household],
    since: int,
    stop: threading.Event,
    clock: Callable[[], float] = time.time,
) -> None:
    """Send what the households' devices send after `since` (UTC seconds), every 10 s, until `stop` is set."""
    while not stop.wait(TICK_S - clock() % TICK_S):
        now = int(clock())
        for home in homes:
            if now // DAY_S > since // DAY_S:
                equip(store, home, now, now)
            ingest(store, arrivals(home, since, now), now, home.timezone)
            keep(store, statuses(home, since, now), now)
            send_faults(store, home, since, now)
        since = now


def _missed(home: Household, since: int, now: int, *, is_new: bool) -> Iterator[Reading]:
    recent = max(since, now - RECENT_S)
    coarse = history(home, since, recent, HALF_HOUR) if since < recent else iter(())
    fine = history(home, recent, now, TICK_S) if is_new else iter(arrivals(home, recent, now))
    return chain(coarse, fine)
