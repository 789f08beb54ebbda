"""The tiles of a household, as of now: what they ask of the data."""

from aggregator import periods
from aggregator.documents import Device
from aggregator.pricing import currency_of
from dashboard import comparison, hour, power, signal, states, tiles
from dashboard.data import Data
from dashboard.language import Language
from dashboard.slots import Slots
from dashboard.view import MONEY, WEEK, View


def live_slots(data: Data, device: Device, known: object, lang: Language) -> Slots:
    """The power of a device as of now, and what is new in its last hour to a browser that says what it has."""
    now, live = data.now(), data.live(device)
    home = power.Home(device.timezone, data.habits(device), data.rate(device), currency_of(device))
    held = hour.newest_held(known, device.device_id)
    first = hour.since(held, live, now)
    readings = [] if first is None else data.readings(device, first, now)
    news = hour.news(device, held, live, readings, now)
    slots = power.slots(live, home, now, lang)
    return {**slots, "hour.data": news} if news else slots


def tile_slots(data: Data, device: Device, view: View, lang: Language) -> Slots:
    """The other tiles of a device as of now."""
    now, zone = data.now(), device.timezone
    today, this_month = (periods.period_of(level, now, zone) for level in ("day", "month"))
    habits = data.habits(device)
    day = _going_on(data, device, "day", today, periods.shift("day", today, -WEEK), view.unit == MONEY)
    month = _going_on(data, device, "month", this_month, periods.shift("month", this_month, -1), view.unit == MONEY)
    return {
        **power.relative(habits, lang),
        "power-signal.children": signal.said(data.known(device), now, lang),
        **tiles.today(day, today, zone, lang),
        **tiles.base(habits.base_w, data.rates(device, today), day.currency, lang),
        **tiles.month(month, this_month, lang),
    }


def _going_on(data: Data, device: Device, level: str, period: str, other: str, is_money: bool) -> tiles.Period:
    """A present period and the fair part of another: up to the newest reading, where none has come for long."""
    now, zone, live = data.now(), device.timezone, data.live(device)
    window = periods.window(level, period, zone)
    until = max(window.start, live.at) if live and states.freshness(live, now) == "silent" else now
    wanted = comparison.chain_of(level, other, until, zone)
    chain = {one: data.document(device, one, name) for one, name in wanted.items()}
    fair = comparison.so_far(chain, level, until, zone)
    return tiles.Period(window, until, data.document(device, level, period), fair, currency_of(device), is_money)
