"""What a store reads: through the step that it is in, or straight from the tables."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from aggregator.core.errors import Damaged
from aggregator.core.periods import HALF_HOUR
from aggregator.store.dynamodb.concurrent_steps import Rounds
from aggregator.store.dynamodb.items import Item
from aggregator.store.dynamodb.reads import Reader
from aggregator.store.dynamodb.steps import Get, GetBlocks, starts

Content = TypeVar("Content")

NEAR = 1  # block more than asked for, to know whether there are any


class View:
    """Reads of one store. Straight reads are eventually consistent until it has written something itself."""

    def __init__(self, reader: Reader, rounds: Rounds) -> None:
        self._reader, self._rounds = reader, rounds
        self.is_consistent = False

    def item(self, read: Get) -> Item | None:
        """One item, or None."""
        step = self._rounds.step
        found = step.ask(read) if step else self._reader.fetch(read, self.is_consistent)
        return found[0] if found else None

    def blocks(self, device_id: str, first: int, last: int) -> Iterable[Item]:
        """The half hours of readings that start from `first` to `last`, by time."""
        step = self._rounds.step
        if step is None:
            return self._reader.span(device_id, first, last, is_consistent=self.is_consistent)
        found = step.find(device_id, first, last)
        if found is None:
            step.ask(GetBlocks(device_id, first, (last - first) // HALF_HOUR + 1 + NEAR, is_onwards=True))
            found = step.find(device_id, first, last)
        assert found is not None
        return found

    def starts(self, device_id: str, at: int, count: int) -> list[int]:
        """The starts of `count` half hours with readings after `at` (of `-count` before it), nearest first."""
        step, is_onwards = self._rounds.step, count > 0
        known = step.nearest(device_id, at, abs(count), is_onwards=is_onwards) if step else None
        if known is not None:
            return known
        read = GetBlocks(device_id, at + 1 if is_onwards else at - 1, abs(count), is_onwards)
        return starts(step.ask(read) if step else self._reader.fetch(read, self.is_consistent))


def intact(unpack: Callable[[Item], Content], item: Item) -> Content:
    """An item taken apart. Raises Damaged when that cannot be done."""
    try:
        return unpack(item)
    except (KeyError, ValueError, IndexError) as error:
        key: Mapping[str, object] = {name: value for name, value in item.items() if name in ("d", "b", "p")}
        raise Damaged(f"the item {key} cannot be read ({error!r}); restore or delete it") from error
