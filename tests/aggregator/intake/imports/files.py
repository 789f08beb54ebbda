"""Files taken in as the command line takes them, without its options."""

import io
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, BinaryIO

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.intake.formats.message import DeviceRules, Origin
from aggregator.intake.imports.import_records import Source, digest_of
from aggregator.intake.imports.import_report import ImportReport
from aggregator.intake.imports.importing import take
from aggregator.intake.imports.recognise import recognised
from aggregator.intake.imports.understanding import BRAKES, Known, Understanding, named_columns
from aggregator.intake.tables.structured import open_table
from aggregator.store import Store
from aggregator.waterfall.worker import drain

Option = Any  # of a field of Known
NOW = 1_800_000_000  # 15 January 2027


def known_of(zone: str = "UTC", columns: str = "", now: int = NOW, **options: Option) -> Known:
    named = named_columns(columns) if columns else {}
    return Known(zone, now, columns=named, **options)


def understood(
    content: str | bytes, zone: str = "UTC", *, allowed: tuple[str, ...] = (), device_id: str = "d", **options: Option
) -> Understanding:
    """What a file is understood to be."""
    body = content.encode() if isinstance(content, str) else content
    known = known_of(zone, **options)
    origin = Origin(device_id, known.now, DeviceRules(zone))
    with recognised(open_table(io.BytesIO(body), origin), known, allowed) as found:
        return found.understanding


def bring(
    store: Store,
    content: str | bytes | BinaryIO,
    zone: str = "UTC",
    columns: str = "",
    *,
    is_dry: bool = False,
    progress: Callable[[int], None] = lambda _: None,
    allowed: tuple[str, ...] = BRAKES,
    now: int = NOW,
    device_id: str = "d",
    is_correction: bool = False,
    settle: Callable[[Store], object] = drain,
    **options: Option,
) -> ImportReport:
    """Take a file into the device `d`; raise ConfigurationError where it is in doubt, or a brake holds."""
    body = content.encode() if isinstance(content, str) else content
    stream = io.BytesIO(body) if isinstance(body, bytes) else body
    device = store.device(device_id) or Device(device_id, zone)
    known = known_of(zone, columns, now, **{"meter": device.kind, "max_power_w": device.max_power_w} | options)
    origin = Origin(device_id, now, DeviceRules(zone))
    with recognised(open_table(stream, origin), known, allowed, progress) as found:
        for doubt in found.understanding.doubts:
            raise ConfigurationError(f"{doubt.option}: {doubt.text}")
        for brake in found.understanding.brakes:
            raise ConfigurationError(f"{brake.option}: {brake.text}")
        stream.seek(0)
        source = None if is_dry else Source("file", digest_of(stream), "a test", is_correction)
        return take(store, device, found, now, lambda *_: nullcontext(progress), source, settle)
