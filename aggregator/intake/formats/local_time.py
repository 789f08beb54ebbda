"""Local time without an offset, as some devices and most files give it."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_SECOND = timedelta(seconds=1)


def instants(naive: datetime, zone: str) -> tuple[int, ...]:
    """The instants (UTC seconds, ascending) that a local time can mean.

    There is one, as a rule; none where the clocks were put forward over it, and two where they were put back.
    """
    clock = ZoneInfo(zone)
    before = naive.replace(tzinfo=clock, fold=0).utcoffset()
    after = naive.replace(tzinfo=clock, fold=1).utcoffset()
    assert before is not None
    assert after is not None
    if before < after:
        return ()
    elapsed = naive - _EPOCH
    first = (elapsed - before) // _SECOND
    return (first,) if before == after else (first, (elapsed - after) // _SECOND)
