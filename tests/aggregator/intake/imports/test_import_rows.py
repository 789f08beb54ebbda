"""Unique rows in order of time."""

from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import Refused
from aggregator.core.readings import Reading
from aggregator.intake.imports.import_plan import Exact, Row, exact_intervals, readings_of, unique
from aggregator.intake.imports.understanding import RefusedRows


class Told(RefusedRows):
    """Records the refused and repeated rows."""

    def __init__(self) -> None:
        super().__init__()
        self.duplicates = 0
        self.refused: list[tuple[int, str]] = []

    def repeat(self) -> None:
        self.duplicates += 1

    def refuse(self, number: int, text: str, why: Refused) -> None:
        assert f"line {number}" in text
        self.refused.append((number, why.reason))


def rows_of(*rows: Row) -> list[Row]:
    """Rows of the instant, the line, the figures, and a series that is 0 unless it is told."""
    return [(at, 0, line, series, *figures) for at, line, series, *figures in rows]


def test_a_duplicate_row_counts_once() -> None:
    told = Told()
    rows = rows_of((0, 2, 0, 500, None), (0, 9, 0, 500, None), (1800, 3, 0, 500, None))

    assert list(unique(rows, told, told.repeat)) == [(0, 0, 2, 500, None), (1800, 0, 3, 500, None)]
    assert (told.duplicates, told.refused) == (1, [])


def test_rows_that_say_different_things_of_one_time_are_joined() -> None:
    told = Told()

    assert list(unique(rows_of((0, 2, 0, 500, None), (0, 3, 0, None, 7)), told, told.repeat)) == [(0, 0, 2, 500, 7)]
    assert (told.duplicates, told.refused) == (0, [])


def test_rows_of_two_tariffs_add_up() -> None:
    told = Told()
    rows = rows_of((0, 2, 1, 500, None), (0, 3, 2, 40, None), (0, 4, 2, 40, None), (0, 5, 3, None, 7))

    assert list(unique(rows, told, told.repeat)) == [(0, 0, 2, 540, 7)]
    assert (told.duplicates, told.refused) == (1, [])


def test_contradicting_rows_are_all_refused() -> None:
    told = Told()
    rows = rows_of((0, 2, 0, 1), (0, 3, 0, 2), (0, 4, 0, 1), (0, 5, 0, 3), (60, 1, 0, 1))

    assert list(unique(rows, told, told.repeat)) == [(60, 0, 1, 1)]
    assert told.refused == [(line, "contradiction") for line in (2, 3, 4, 5)]
    assert told.duplicates == 0


def test_intervals_of_one_start_and_different_lengths_contradict() -> None:
    told = Told()

    assert list(unique([(0, 1800, 2, 0, 5, None), (0, 3600, 3, 0, 5, None)], told, told.repeat)) == []
    assert len(told.refused) == 2


def test_an_overlapping_interval_is_refused() -> None:
    told = Told()
    rows: list[Row] = [(0, 3600, 2, 5, None), (1800, 3600, 3, 2, None), (3600, 7200, 4, 5, None)]

    assert list(exact_intervals(rows, told)) == [Exact(0, 3600, 2, 5, None), Exact(3600, 7200, 4, 5, None)]
    assert told.refused == [(3, "contradiction")]


def test_instant_rows_become_readings() -> None:
    assert list(readings_of([(60, 0, 2, 431, None, 5, 8)], "d")) == [Reading("d", 60, 431, None, 5, None, 8)]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=20))
def test_the_result_is_independent_of_file_order(figures: list[tuple[int, int]]) -> None:
    def believed(rows: list[tuple[int, int]]) -> tuple[set[tuple[int, int]], int]:
        told = Told()
        ordered = sorted((at, 0, line, 0, figure) for line, (at, figure) in enumerate(rows))
        found = {(row[0], row[3]) for row in unique(ordered, told, told.repeat)}
        return found, len(found) + told.duplicates + len(told.refused)

    shuffled = figures[::-1]
    expected = {(at, figure) for at, figure in figures if {other for one, other in figures if one == at} == {figure}}
    assert believed(figures) == believed(shuffled) == (expected, len(figures))
