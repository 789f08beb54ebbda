"""What another tariff would change of the past: which days, and what they cost before and after."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from aggregator.core import periods
from aggregator.core.documents import Device, Document
from aggregator.core.money import NOTHING, Cost, add_costs
from aggregator.store.port import Store
from aggregator.tariffs.bills import price_day
from aggregator.tariffs.rates import NO_SERIES, Series, affected_days
from aggregator.tariffs.tariff import HALF_HOURLY, Tariff
from aggregator.waterfall.pricing import tariff_of

YEARS = 5  # of the past whose cost is compared; older days change too, but are not read

Span = tuple[str, str]  # local days, first and last included


@dataclass(frozen=True, slots=True)
class Change:
    """The cost of some days on the tariff that there is, and on the new one."""

    before: Cost = NOTHING
    after: Cost = NOTHING

    @property
    def difference(self) -> int | None:
        """What is to pay more, in units; None where one of them is not known, or not of all the energy."""
        before, after = self.before.whole, self.after.whole
        return None if before is None or after is None else after - before


@dataclass(frozen=True, slots=True)
class Preview:
    """What changes. Without spans nothing of the past does."""

    spans: list[Span] = field(default_factory=list)  # of the days since the first with data
    day_count: int = 0  # of all spans
    since: str = ""  # the first day whose cost is compared, where some are older
    months: dict[str, Change] = field(default_factory=dict)
    total: Change = Change()


def preview(store: Store, device: Device, new: Tariff | None) -> Preview:
    """What `new` would change of a device's past."""
    extent, old = store.extent("day", device.device_id), tariff_of(device)
    if extent is None:
        return Preview()
    spans = affected_days(old, new, *extent)
    if not spans:
        return Preview()
    oldest = f"{int(extent[1][:4]) - YEARS:04d}{extent[1][4:7]}-01"
    days: dict[str, list[Change]] = defaultdict(list)
    for document, series in _history(store, device, [span for span in spans if span[1] >= oldest], (old, new), oldest):
        changes = (_cost(document, tariff, series) for tariff in (old, new))
        days[document.period[:7]].append(Change(*changes))
    months = {month: _sum(changes) for month, changes in days.items()}
    count = sum(_length(span) for span in spans)
    return Preview(spans, count, oldest if spans[0][0] < oldest else "", months, _sum(list(months.values())))


def _history(
    store: Store, device: Device, spans: list[Span], tariffs: tuple[Tariff | None, ...], oldest: str
) -> Iterator[tuple[Document, Series]]:
    """The days of the spans with the half-hourly prices that they need, a year at a time."""
    pieces = [piece for span in spans for piece in _by_year((max(span[0], oldest), span[1]))]
    for _, group in groupby(pieces, key=lambda piece: piece[0][:4]):
        year = list(group)
        first, last = year[0][0], year[-1][1]
        series = _series(store, device, tariffs, first, last)
        for document in store.documents("day", device.device_id, first, last):
            if any(start <= document.period <= end for start, end in year):
                yield document, series


def _series(store: Store, device: Device, tariffs: tuple[Tariff | None, ...], first: str, last: str) -> Series:
    if not any(_is_half_hourly(tariff, first, last) for tariff in tariffs):
        return NO_SERIES
    start = periods.window("day", first, device.timezone).start
    return store.prices(device.device_id, periods.block_start(start), periods.window("day", last, device.timezone).end)


def _is_half_hourly(tariff: Tariff | None, first: str, last: str) -> bool:
    """Whether some day from `first` to `last` goes by half-hourly prices."""
    if tariff is None:
        return False
    begun = tariff.version_on(first)
    versions = [version for version in tariff.versions if version == begun or first < version.valid_from <= last]
    return any(HALF_HOURLY in (version.import_rates, version.export_rates) for version in versions)


def _by_year(span: Span) -> Iterator[Span]:
    first, last = span
    for year in range(int(first[:4]), int(last[:4]) + 1):
        yield max(first, f"{year:04d}-01-01"), min(last, f"{year:04d}-12-31")


def _cost(document: Document, tariff: Tariff | None, series: Series) -> Cost:
    return price_day(document.period, document.timezone, document.parts, tariff, series).total


def _sum(changes: list[Change]) -> Change:
    return Change(add_costs(change.before for change in changes), add_costs(change.after for change in changes))


def _length(span: Span) -> int:
    """Days; by the calendar, which is the same in every zone."""
    start, end = (periods.day_start(day, "UTC") for day in span)
    return (end - start) // periods.DAY_S + 1
