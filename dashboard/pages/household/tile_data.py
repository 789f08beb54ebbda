"""The tiles of a household, as of now: what they ask of the data."""

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.waterfall.pricing import currency_of
from dashboard.charts import comparable_so_far
from dashboard.charts.view import MONEY, WEEK, View
from dashboard.pages.household import last_hour, live_tile, signal, states, tiles
from dashboard.pages.household.slots import Slots
from dashboard.text.language import Language
from dashboard.web.cached_reads import Data


def live_slots(data: Data, device: Device, known: object, lang: Language) -> Slots:
    """The power of a device as of now, and what is new in its last hour to a browser that says what it has."""
    now, live = data.now(), data.live(device)
    home = live_tile.Home(device.timezone, data.habits(device), data.rate(device), currency_of(device))
    held = last_hour.newest_held(known, device.device_id)
    first = last_hour.since(held, live, now)
    readings = [] if first is None else data.readings(device, first, now)
    news = last_hour.news(device, held, live, readings, now)
    slots = live_tile.slots(live, home, now, lang)
    return {**slots, "hour.data": news} if news else slots


def tile_slots(data: Data, device: Device, view: View, lang: Language) -> Slots:
    """The other tiles of a device as of now."""
    now, zone = data.now(), device.timezone
    today, this_month = (periods.period_of(level, now, zone) for level in ("day", "month"))
    habits = data.habits(device)
    day = _going_on(data, device, "day", today, periods.shift("day", today, -WEEK), view.unit == MONEY)
    month = _going_on(data, device, "month", this_month, periods.shift("month", this_month, -1), view.unit == MONEY)
    return {
        **live_tile.relative(habits, lang),
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
    wanted = comparable_so_far.chain_of(level, other, until, zone)
    chain = {one: data.document(device, one, name) for one, name in wanted.items()}
    fair = comparable_so_far.so_far(chain, level, until, zone)
    return tiles.Period(window, until, data.document(device, level, period), fair, currency_of(device), is_money)
