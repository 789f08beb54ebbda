"""Open parts on each store: the waterfall has carried readings into days, and nothing above."""

from aggregator.core.periods import DAY_S, HOUR
from aggregator.store import Store
from aggregator.waterfall.pricing import shown
from aggregator.waterfall.worker import drain
from tests.aggregator.waterfall.test_open_parts import STEP_S, STEP_WH, carry, read_on
from tests.dashboard.homes import instant


def test_a_month_is_never_behind_its_day(either: Store) -> None:
    first, now = instant("2026-10-31T12:00:00Z"), instant("2026-11-01T12:00:00Z")
    read_on(either, "UTC", first, now)
    drain(either)
    later = now + 2 * HOUR
    device = read_on(either, "UTC", now, later)
    totals = {
        level: shown(either, device, level, period, later).total.import_wh
        for level, period in (("day", "2026-11-01"), ("month", "2026-11"), ("year", "2026"))
    }
    november = 14 * HOUR // STEP_S * STEP_WH
    assert totals == {"day": november, "month": november, "year": (DAY_S + 2 * HOUR) // STEP_S * STEP_WH}
    for feed in ("day", "month"):
        carry(either, feed)
    for level, period in (("month", "2026-11"), ("year", "2026")):
        stored = either.document(level, "d", period)
        assert stored == shown(either, device, level, period, later)
