"""The embedded store's live states: the rows of `live`, and what lies newer in `recent`; and its half-hourly prices.

A live state is read from both, so that a reading of each device of a fleet writes one row and not two. A row of `live`
is written with the device's first reading, with late ones, and before readings leave `recent`.
"""

import logging
from collections.abc import Iterable, Sequence
from contextlib import closing
from decimal import Decimal
from struct import Struct
from typing import Any

import msgspec

from aggregator.core.documents import Device
from aggregator.core.errors import Damaged
from aggregator.core.live import FIELDS, REMEMBERED, Arrival, Live, Newest, continued_live, look_back
from aggregator.core.periods import FOR_EVER
from aggregator.core.readings import Reading
from aggregator.store.port import name_once
from aggregator.store.sqlite.sqlite_registry import REMEMBERED_DEVICES, SqliteRegistry
from aggregator.store.sqlite.sqlite_schema import (
    CHECKED,
    INTACT,
    as_written,
    check_value,
    checked_rows,
    given,
    intact,
)
from aggregator.tariffs.rates import Series

log = logging.getLogger("wattfall.store")

_LIVE = f"SELECT {', '.join(CHECKED['live'])}, {INTACT['live']} FROM live WHERE"  # noqa: S608 - constants
_NAMES = "SELECT CAST(device_id AS BLOB) FROM live WHERE device_id > CAST(? AS TEXT) ORDER BY device_id LIMIT ?"
_COLUMNS = ", ".join(given("live"))
_PUT_LIVE = f"INSERT OR REPLACE INTO live VALUES ({_COLUMNS}, {check_value(given('live'))})"  # noqa: S608 - constants
_CHECK_LIVE = f"UPDATE live SET check_value = {check_value(CHECKED['live'])} WHERE device_id = ?"  # noqa: S608 - constants
_NEWEST = """
SELECT max(at, coalesce((SELECT max(at) FROM recent WHERE device_id = ?1), at)) FROM live WHERE device_id = ?1
"""
_NEWER = f"""
SELECT {", ".join(CHECKED["recent"])}, check_value FROM recent WHERE device_id = ? AND at > ? ORDER BY at DESC
"""  # noqa: S608 - constants
_TELLS_MORE = f"""
SELECT EXISTS (SELECT 1 FROM recent WHERE device_id = ? AND at > ? AND at < ? AND ({
    " OR ".join(f"{field} IS NOT NULL AND ?" for field in FIELDS)
}))
"""  # noqa: S608 - constants
_ARRIVAL = Struct(">qq")  # in `live.arrivals`, as hexadecimal text
_VALUES = {"power_w": "power_at", "import_wh": "import_at", "export_wh": "export_at"}
# Equal to `documents.merged_live`, without a read. All arrivals have the same length, so the oldest is cut off.
_MERGE_LIVE = f"""
INSERT INTO live VALUES ({_COLUMNS}, NULL) ON CONFLICT (device_id) DO UPDATE SET
    at = max(live.at, excluded.at),
    received_at = iif(excluded.at > live.at, excluded.received_at, live.received_at),
    meter_id = iif(excluded.at >= live.at, coalesce(excluded.meter_id, live.meter_id),
        coalesce(live.meter_id, excluded.meter_id)),
    {
    "".join(
        f'''
    {value} = iif(excluded.{at} >= coalesce(live.{at}, excluded.{at}), excluded.{value}, live.{value}),
    {at} = max(coalesce(live.{at}, excluded.{at}), coalesce(excluded.{at}, live.{at})),'''
        for value, at in _VALUES.items()
    )
}
    arrivals = iif(excluded.at > live.at,
        substr(live.arrivals || excluded.arrivals, -{2 * _ARRIVAL.size * (REMEMBERED + 1)}), live.arrivals)
"""  # noqa: S608 - constants
_PRICES = f"""
SELECT start, import_price, export_price, {INTACT["prices"]} FROM prices
WHERE device_id = ? AND start BETWEEN ? AND ?
"""  # noqa: S608 - constants
_DROP_DAMAGED_PRICE = f"DELETE FROM prices WHERE device_id = ? AND start = ? AND NOT ({INTACT['prices']})"  # noqa: S608 - constants
_EITHER = [f"coalesce(excluded.{price}, prices.{price})" for price in ("import_price", "export_price")]
_PUT_PRICE = f"""
INSERT INTO prices VALUES (?1, ?2, ?3, ?4, {check_value(given("prices"))}) ON CONFLICT (device_id, start) DO UPDATE
SET import_price = {_EITHER[0]}, export_price = {_EITHER[1]},
    check_value = {check_value(("prices.device_id", "prices.start", *_EITHER))}
"""  # noqa: S608 - constants


class SqliteLive(SqliteRegistry):
    """The port's live states and half-hourly prices on one SQLite file."""

    def live(self, device_id: str) -> Live | None:
        """Return the live state of a device, or None."""
        row = self._one(f"{_LIVE} device_id = ?", device_id)
        return self._up_to_date(row) if row else None

    def lives(self, after: str = "", limit: int = 100) -> list[Live]:
        """Return the live states after the device `after`, by device; few at a time, since each reads `recent` too.

        A damaged one is logged once and left out; `live` raises for it.
        """
        found: list[Live] = []
        last = after.encode()
        while not found and (names := self._all(_NAMES, last, limit)):
            for (last,) in names:
                try:
                    if state := self.live(last.decode()):
                        found.append(state)
                except (Damaged, UnicodeDecodeError) as error:
                    name_once(f"the live state of {last.decode(errors='replace')} is left out: {error}")
        return found

    @property
    def derives_live(self) -> bool:
        """True: where there is a row, `live` also reads what lies in `recent`."""
        return True

    def newest_at(self, device_id: str) -> int:
        """Return the instant of a device's live state; 0 without one. A thread remembers it as it does the registry."""
        if not self._database.in_transaction:
            self._recall()
        newest: dict[str, int] = self._local.newest
        if device_id not in newest:
            if len(newest) >= REMEMBERED_DEVICES:
                newest.clear()
            (newest[device_id],) = self._one(_NEWEST, device_id) or (0,)
        return newest[device_id]

    def _advance(self, instants: Iterable[tuple[str, int]]) -> None:
        """Remember that devices have readings of these instants."""
        newest: dict[str, int] = self._local.newest
        for device_id, at in instants:
            if newest.get(device_id, FOR_EVER) < at:
                newest[device_id] = at

    def put_live(self, states: Iterable[Live]) -> None:
        """Merge live states into the stored ones, once these are up to date. `states` has one state per device."""
        new = list(states)
        with self.transaction():
            for state in new:
                self._settle_live(state.device_id)
            self._many(_MERGE_LIVE, map(_live_row, new))
            self._many(_CHECK_LIVE, [(state.device_id,) for state in new])
            self._local.newest.clear()

    def _settle_live(self, device_id: str) -> None:
        """Bring a device's row up to date, before readings leave `recent`; one that cannot be read begins anew."""
        try:
            row = self._one(f"{_LIVE} device_id = ?", device_id)
            state = self._up_to_date(row) if row else None
        except Damaged as error:
            log.error("the live state of %s begins anew: %s", device_id, error)
            self._drop_live(device_id)
            return
        if state and (settled := _live_row(state, state.arrivals)) != row[:-1]:
            self._run(_PUT_LIVE, *settled)

    def _drop_live(self, device_id: str) -> None:
        self._run("DELETE FROM live WHERE device_id = ?", device_id)
        self._local.newest.clear()

    def _up_to_date(self, row: tuple[Any, ...]) -> Live:
        stored = self._intact(_live, row[0], row)
        device = self.device(row[0]) or Device(row[0])
        newer = self._newer(stored, device)
        return continued_live(stored, newer, device) if newer else stored

    def _newer(self, stored: Live, device: Device) -> list[tuple[Reading, int]]:
        """Return readings that a live state does not have yet, by time; of many the newest, where these tell all."""
        since, newest = look_back(stored), Newest(stored.at, device.max_power_w)
        with closing(self._each(_NEWER, device.device_id, since)) as rows:
            for row in rows:
                newest.add(*self._intact(_arrived, device.device_id, row))
                if newest.has_arrivals:
                    break
            unknown = newest.unknown
            if newest.has_arrivals and any(unknown):
                (tells_more,) = self._one(_TELLS_MORE, device.device_id, since, newest.at, *unknown)
                for row in rows if tells_more else ():
                    newest.add(*self._intact(_arrived, device.device_id, row))
        return newest.arrived[::-1]

    # half-hourly prices

    def prices(self, device_id: str, first: int, last: int) -> Series:
        """Return the prices of the UTC half hours that start from `first` to `last`."""
        rows = self._intact(checked_rows, device_id, "prices", self._all(_PRICES, device_id, first, last))
        return Series(
            {start: Decimal(price) for start, price, _ in rows if price is not None},
            {start: Decimal(price) for start, _, price in rows if price is not None},
        )

    def put_prices(self, device_id: str, series: Series) -> None:
        """Add prices, or replace the prices of the same half hours; a damaged row of one begins anew."""
        both = series.import_prices, series.export_prices
        starts = sorted({*both[0], *both[1]})
        texts = [[f"{one[start]:f}" if start in one else None for one in both] for start in starts]
        with self.transaction():
            self._many(_DROP_DAMAGED_PRICE, [(device_id, start) for start in starts])
            self._many(_PUT_PRICE, [(device_id, start, *own) for start, own in zip(starts, texts, strict=True)])


def _arrived(_device_id: str, row: tuple[Any, ...]) -> tuple[Reading, int]:
    """Decode a reading with when it was written. Raises ValueError."""
    ((*values, written),) = as_written([row])
    return Reading(*values), written


def _live(_device_id: str, row: tuple[Any, ...]) -> Live:
    """Decode a live state; the last stored arrival is the state's own and is cut off. Raises ValueError."""
    ((*values, power_at, import_at, export_at, arrivals),) = intact([row])
    instants = (None if at == values[1] else at for at in (power_at, import_at, export_at))
    before = bytes.fromhex(arrivals)[: -_ARRIVAL.size]
    return msgspec.convert((*values, tuple(_ARRIVAL.iter_unpack(before)), *instants), Live)  # a column holds any type


def _live_row(state: Live, arrivals: Sequence[Arrival] = ()) -> tuple[object, ...]:
    """Encode a live state: each known value with its instant; the last arrival is the state's own."""
    at, received_at, power, imported, exported = state[1:6]
    return (
        *state[:7],
        None if power is None else state.power_instant,
        None if imported is None else at if state.import_at is None else state.import_at,
        None if exported is None else at if state.export_at is None else state.export_at,
        b"".join(_ARRIVAL.pack(*one) for one in (*arrivals, (at, received_at))).hex(),
    )
