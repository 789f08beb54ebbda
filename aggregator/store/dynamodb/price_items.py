"""Half-hourly prices as items of DynamoDB: one a device and UTC day, one attribute a half hour and direction. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from aggregator.core import periods
from aggregator.core.periods import DAY_S, HALF_HOUR
from aggregator.store.dynamodb.values import Item, Value
from aggregator.tariffs.rates import Series

_LAST_DAY = "9999-12-31"
_LATEST = 253_402_300_799  # the last second of that day


def span(first: int, last: int) -> tuple[str, str]:
    """The days of the half hours that start from `first` to `last` (UTC seconds)."""
    return _day(max(first, 0)), _day(last) if last < _LATEST else _LAST_DAY


def updates(series: Series) -> Iterator[tuple[str, dict[str, Any]]]:
    """For each UTC day, what to ask of its item."""
    days: dict[str, dict[str, Value]] = defaultdict(dict)
    for letter, prices in (("i", series.import_prices), ("e", series.export_prices)):
        for start, price in prices.items():
            days[_day(start)][f"{letter}{start % DAY_S // HALF_HOUR:02d}"] = {"N": f"{price:f}"}
    for day, values in sorted(days.items()):
        yield (
            day,
            {
                "UpdateExpression": "SET " + ", ".join(f"{name} = :{name}" for name in values),
                "ExpressionAttributeValues": {f":{name}": value for name, value in values.items()},
            },
        )


def unpack(days: Iterable[Item], first: int, last: int) -> Series:
    """The prices of the half hours that start from `first` to `last`, from the items of their days."""
    found: Mapping[str, dict[int, Decimal]] = {"i": {}, "e": {}}
    for item in days:
        midnight = periods.day_start(item["p"]["S"], "UTC")
        for name, value in sorted(item.items()):
            start = midnight + int(name[1:]) * HALF_HOUR if len(name) == 3 else -1
            if first <= start <= last:
                found[name[0]][start] = Decimal(value["N"])
    return Series(found["i"], found["e"])


def _day(at: int) -> str:
    return periods.local(at, "UTC").to_date_string()
