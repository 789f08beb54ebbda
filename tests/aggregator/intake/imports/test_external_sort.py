"""External sort: any number of rows, in constant memory."""

import gc
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import ConfigurationError
from aggregator.intake.imports import import_plan
from aggregator.intake.imports.import_plan import MERGED, SortedRows, SortRow

FIGURES = st.none() | st.integers(-(2**62), 2**62)
ROWS = st.lists(st.tuples(st.integers(0, 50), st.text(max_size=2), FIGURES), max_size=80)


@given(ROWS, st.integers(1, 100))
def test_rows_are_sorted_for_any_piece_size(figures: list[tuple[int, str, int | None]], piece: int) -> None:
    rows: list[SortRow] = [(at, name, number, figure) for number, (at, name, figure) in enumerate(figures)]
    with closing(SortedRows(iter(rows), piece)) as found:
        assert list(found) == sorted(rows)
        assert list(found) == sorted(rows)  # and again
        assert found.count == len(rows)


def test_two_iterators_are_independent() -> None:
    with closing(SortedRows([(number, "") for number in range(100)], 10)) as found:
        assert all(one == other for one, other in zip(found, found, strict=True))


def test_pieces_are_merged_before_too_many_files_are_open() -> None:
    rows: list[SortRow] = [(number * 7 % 997, number) for number in range(MERGED * MERGED + MERGED + 1)]
    with closing(SortedRows(rows, 1)) as found:
        assert list(found) == sorted(rows)


def test_no_temporary_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with closing(SortedRows([(number,) for number in range(100)], 10)) as found:
        assert len(list(found)) == 100
        assert list(tmp_path.iterdir()) == []


def test_an_interrupted_sort_closes_its_files() -> None:
    def rows() -> Iterator[SortRow]:
        yield (1,)
        yield (2,)
        raise ConfigurationError("no more")

    with pytest.raises(ConfigurationError, match="no more"):
        SortedRows(rows(), 1)
    gc.collect()  # a file that is open warns, and a warning is an error


def test_a_full_disk_is_one_line_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(ConfigurationError, match="cannot be sorted on the disk: No such file or directory; set TMPDIR"):
        SortedRows([(number,) for number in range(100)], 10)


def test_sort_memory_is_constant() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        with closing(SortedRows(shuffled(count), 500)) as found:
            assert sum(1 for _ in found) == count
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    with patch.multiple(import_plan, MERGED=4, _LINE=10):
        peak(2500)  # what is needed once
        assert peak(20_000) < 1.5 * peak(2500)


def shuffled(count: int) -> Iterator[SortRow]:
    random = Random(7)
    return ((random.randrange(10**9), number, 1800, 63_100_000, None) for number in range(count))
