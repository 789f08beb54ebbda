"""Feed the demo into a store through the ordinary ingest path: history, live readings, tariffs, statuses, faults.

Tariffs are a flat rate, a cheap night, half-hourly prices and solar export. Once an hour each device reports a status.
The flaky home's device is too far from its meter: its signal is poor, and it sometimes loses the meter's network. It
also sends faulty messages as seen in the field. Names and numbers belong to no real home. Statuses, prices and
faults depend only on the household and the time.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import chain, islice
from random import Random

import orjson

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import DAY_S, HALF_HOUR, HOUR, iso_utc
from aggregator.core.readings import Reading
from aggregator.core.status import Status
from aggregator.demo.households import Household
from aggregator.demo.simulator import FITTED, TICK_S, arrivals, history, is_cut_off, scattered
from aggregator.intake.device_status import KEPT_DAYS, put_statuses
from aggregator.intake.edge.edge import reading_item, status_item
from aggregator.intake.ingest import Outcome, ingest, ingest_lines
from aggregator.intake.refusals import MESSAGE_DAYS
from aggregator.store.collections import MARKS
from aggregator.store.port import Store
from aggregator.tariffs.rates import Series
from aggregator.tariffs.tariff import HalfHourly, Tariff, tariff_from_json
from aggregator.waterfall.pricing import add_prices, tariff_to_text

_FLAT = {"import": "0.2450", "standing_charge": "0.5310"}
_NIGHT = [
    {"name": "night", "from": "00:30", "to": "05:30", "rate": "0.0850"},
    {"name": "day", "from": "05:30", "to": "00:30", "rate": "0.2890"},
]
_TARIFFS: dict[str, dict[str, object]] = {
    "demo-solar": {**_FLAT, "export": "0.1500"},
    "demo-ev": {"import": _NIGHT, "standing_charge": "0.5310"},
    "demo-flaky": {"import": "half-hourly", "standing_charge": "0.4780"},
}
_RISE = "2026-04-01"  # the flat rate rises slightly on this day, so that a history has two versions
_RISEN = {"import": "0.2570", "standing_charge": "0.5460"}

# Currency per kWh by UTC hour: wind at night, a peak when the country cooks.
_DAY_SHAPE = (8, 8, 7, 7, 7, 9, 13, 17, 19, 18, 17, 16, 15, 15, 16, 19, 31, 34, 33, 22, 19, 17, 13, 10)
_WINDY_NIGHT = range(5)  # hours
_WINDY = 0.2  # share of nights


def tariff_of_home(home: Household) -> Tariff:
    """Return the tariff of a demo household, valid since its meter was fitted."""
    name = next((name for name in _TARIFFS if home.device_id.startswith(name)), None)
    versions: list[dict[str, object]] = [{"from": FITTED, **(_TARIFFS[name] if name else _FLAT)}]
    if name is None:
        versions.append({"from": _RISE, **_RISEN})
    currency = "EUR" if home.timezone == "Europe/Berlin" else "GBP"
    return tariff_from_json({"currency": currency, "versions": versions})


def prices_of_day(seed: int, day_start: int) -> Series:
    """Return the half-hourly import prices of the UTC day from `day_start`; the same for every household."""
    chance = Random(f"{seed} {day_start}")  # noqa: S311 - a demo's prices, not a secret
    is_windy = chance.random() < _WINDY
    prices = {}
    for number in range(48):
        pence = _DAY_SHAPE[number // 2] * (0.85 + 0.3 * chance.random())
        if is_windy and number // 2 in _WINDY_NIGHT:
            pence -= 11
        prices[day_start + number * HALF_HOUR] = Decimal(round(pence * 100)) / 10_000
    return Series(import_prices=prices)


def has_half_hourly_prices(tariff: Tariff) -> bool:
    """Whether a tariff needs half-hourly prices."""
    return any(isinstance(version.import_rates, HalfHourly) for version in tariff.versions)


def days_between(start: int, end: int) -> range:
    """Return the starts of the UTC days that a span touches (UTC seconds)."""
    return range(start - start % periods.DAY_S, end, periods.DAY_S)


# Statuses
HARDWARE = "WF-IHD-02"
_RELEASE_S = 45 * DAY_S  # between firmware releases
_FIRST_RELEASE = 1_704_067_200  # 2024-01-01
_ROLLOUT_DAYS = 20  # duration of a firmware rollout
_LOST = 6  # per cent of the flaky home's hours without the meter's network


def statuses(household: Household, since: int, until: int) -> Iterator[Status]:
    """Yield a device's statuses after `since` and up to `until` (UTC seconds), while it is connected."""
    minute = household.noise % 3600 // 10 * 10
    for hour in range(since - since % HOUR, until + 1, HOUR):
        at = hour + minute
        if since < at <= until and not is_cut_off(household, at):
            yield _status_at(household, at)


def _status_at(household: Household, at: int) -> Status:
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


# Labels

PREFIX = "demo-"  # of device ids
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
    """Return the device of a demo home with its household and labels; labels set by a person stay."""
    name, postcode = NAMES[home.archetype]
    return replace(
        device,
        household=device.household or home.device_id.removeprefix(PREFIX),
        name=device.name or name.format(1 + home.noise % NUMBERS),
        serial=device.serial or f"WF{home.noise % 10**8:08d}",
        meter_point=device.meter_point or f"99{home.noise * 7919 % 10**11:011d}",
        postcode=device.postcode or postcode,
    )


# Faulty messages

_ONE_IN = 4  # the flaky home sends one in this many hours
_FAULTS = (
    '{{"device_id": "{device}", "at": "{at}", "power_w": "n/a", "import_wh": 4120317}}',
    '{{"device_id": "{device}", "at": "{at}", "power_w": [431], "import_wh": 4120317}}',
    '{{"device_id": "{device}", "at": "{at}", "power_w": 431, "import_',
    '{{"device_id": "{device}", "at": "{naive}", "power_w": 431}}',
    '{{"device_id": "{device}", "at": "{at}", "power_w": -8388608}}',
    '{{"device_id": "{device}", "at": "1999-12-31T00:00:00Z", "power_w": 0}}',
)


def faults(household: Household, since: int, until: int) -> Iterator[tuple[int, bytes]]:
    """Yield a device's faulty messages after `since` and up to `until` (UTC seconds), with their arrival time."""
    for hour in range(since - since % HOUR, until + 1, HOUR) if household.flaky else ():
        chance = scattered(household.noise + 3, hour // HOUR)
        at = hour + chance % HOUR
        if chance // HOUR % _ONE_IN == 0 and since < at <= until and not is_cut_off(household, at):
            fault = _FAULTS[chance // HOUR // _ONE_IN % len(_FAULTS)]
            said = fault.format(device=household.device_id, at=iso_utc(at), naive=iso_utc(at)[:-1])
            yield at, said.encode()


# Feed

RECENT_S = 48 * 3600  # history within this time is every 10 s, older history half-hourly
BATCH = 20_000  # readings
_LAST = PREFIX + "~"  # sorts after every id with the prefix
_MARK = "demo"


def check_is_demo(store: Store, homes: Sequence[Household]) -> None:
    """Raise ConfigurationError if the store holds devices that are not the simulator's."""
    own = {home.device_id for home in homes}
    for device in store.devices(limit=len(own) + 1000):
        if device.device_id not in own and not device.device_id.startswith(PREFIX):
            raise ConfigurationError(
                f"the store holds {device.device_id}, which is not a demo household; name another store for the demo"
            )


def mark_as_demo(store: Store) -> None:
    """Mark a store as demo, so that its visitors need no password."""
    store.put_record(MARKS.of(), _MARK, "{}")


def is_demo(store: Store) -> bool:
    """Whether a store is marked as demo and holds only the simulator's devices."""
    if not store.record(MARKS.of(), _MARK):
        return False
    first, rest = store.devices(limit=1), store.devices(after=_LAST, limit=1)
    return not rest and all(device.device_id.startswith(PREFIX) for device in first)


def fill(store: Store, homes: Sequence[Household], days: int, now: int, progress: Callable[[int], None]) -> None:
    """Fill every household's readings up to `now`, from `days` ago where it has none. Reports each batch's size."""
    for home in homes:
        newest = store.live(home.device_id)
        since = newest.at if newest else now - days * DAY_S
        equip(store, home, since, now)
        missed = _missed(home, since, now, is_new=newest is None)
        while batch := list(islice(missed, BATCH)):
            ingest(store, batch, now, home.timezone)
            progress(len(batch))
        put_statuses(store, statuses(home, max(since, now - KEPT_DAYS * DAY_S), now), now)
        send_faults(store, home, max(since, now - MESSAGE_DAYS * DAY_S), now)


def equip(store: Store, home: Household, since: int, now: int) -> None:
    """Give a household its tariff if it has none, and its half-hourly prices from `since` to the end of tomorrow."""
    device = store.device(home.device_id) or Device(home.device_id, home.timezone)
    tariff = tariff_of_home(home)
    equipped = labelled(replace(device, tariff=device.tariff or tariff_to_text(tariff)), home)
    if equipped != device:
        store.put_device(equipped)
    if has_half_hourly_prices(tariff):
        with store.transaction():
            for day in days_between(since, now + 2 * DAY_S):
                add_prices(store, device, prices_of_day(home.seed, day))


def send_faults(store: Store, home: Household, since: int, now: int) -> None:
    """Ingest the faulty messages with their arrival times."""
    for at, line in faults(home, since, now):
        ingest_lines(store, [line], 1, at, home.timezone, Outcome(), lambda *_: None)


def expected(homes: Sequence[Household], days: int) -> int:
    """Return the approximate number of readings that `fill` adds to an empty store."""
    recent = min(RECENT_S, days * DAY_S)
    return len(homes) * (recent // TICK_S + max(days * DAY_S - recent, 0) // HALF_HOUR)


Send = Callable[[str, Sequence[bytes]], object]  # device, its messages


def run_simulator(
    store: Store,
    homes: Sequence[Household],
    since: int,
    stop: threading.Event,
    clock: Callable[[], float] = time.time,
    send: Send | None = None,
) -> None:
    """Send the households' readings after `since` (UTC seconds) every 10 s, until `stop` is set.

    Messages go to `send`, as devices send them; without it, their content goes into the store.
    """
    while not stop.wait(TICK_S - clock() % TICK_S):
        now = int(clock())
        for home in homes:
            if now // DAY_S > since // DAY_S:
                equip(store, home, now, now)
            if send:
                send(home.device_id, messages(home, since, now))
                continue
            ingest(store, arrivals(home, since, now), now, home.timezone)
            put_statuses(store, statuses(home, since, now), now)
            send_faults(store, home, since, now)
        since = now


def messages(home: Household, since: int, now: int) -> list[bytes]:
    """Return what a device sends after `since` and up to `now` (UTC seconds): readings, statuses, faulty messages."""
    items = [*map(reading_item, arrivals(home, since, now)), *map(status_item, statuses(home, since, now))]
    return [*map(orjson.dumps, items), *(line for _, line in faults(home, since, now))]


def _missed(home: Household, since: int, now: int, *, is_new: bool) -> Iterator[Reading]:
    recent = max(since, now - RECENT_S)
    coarse = history(home, since, recent, HALF_HOUR) if since < recent else iter(())
    fine = history(home, recent, now, TICK_S) if is_new else iter(arrivals(home, recent, now))
    return chain(coarse, fine)
