"""Rows of a provisioning file, before any store is asked."""

import io

import pytest

from aggregator.core.errors import ConfigurationError
from dashboard.accounts.provision_rows import Refusal, Row, read_rows


def rows(text: str) -> list[Row | Refusal]:
    return list(read_rows(io.StringIO(text).readline))


def test_columns_come_in_any_order_and_with_semicolons() -> None:
    (found,) = rows("email;Device;household\n Ann@Example.org ;cad-1;acacia\n")
    assert found == Row(2, device="cad-1", household="acacia", email="ann@example.org")


def test_empty_lines_are_skipped_and_lines_are_counted_as_in_the_file() -> None:
    assert [one.line for one in rows("device\ncad-1\n\n\ncad-2\n")] == [2, 5]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (",gas,,,,", "it names neither a device nor a person"),
        ("a/b,,,,,", "device_id is 'a/b'"),
        ("cad-1,steam,,,,", "'steam' is no kind of meter"),
        ("cad-1,,,2026-01-01,,", "fill in `household`"),
        ("cad-1,,acacia,2026-13-01,,", "2026-13-01"),
        ("cad-1~gas,,acacia,,,", "give cad-1 the household"),
        ("cad-1,,-,2026-01-01,ann@example.org,", "nobody lives in an empty home"),
        (",,-,,ann@example.org,", "fill in `device`"),
        (",,acacia,,ann,", "'ann' is not an e-mail address"),
        (",,acacia,,des@example.org,support", "the role support has no household"),
        (",,,,des@example.org,king", "'king' is no role"),
        ("cad-1,,,,,admin", "fill in `email`"),
        ("cad-1,,,,,,more", "it has 7 cells, and the first line 6"),
        ('cad-1,"a"b,,,,', "this is not CSV"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_alone(cells: str, reason: str) -> None:
    refused, good = rows(f"device,kind,household,from,email,role\n{cells}\ncad-9,,,,,\n")
    assert isinstance(refused, Refusal)
    assert reason in refused.reason
    assert (refused.line, good) == (2, Row(3, device="cad-9"))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("device,colour\n", "line 1 names the column 'colour'; the columns are device, kind"),
        ("device,device\n", "name each column once"),
        ("name,postcode\n", "`device`, `email` or both"),
        ("", "line 1 names the column ''"),
        ("device\n" + "x" * 10_001, "line 2 is longer than 10000 characters"),
    ],
)
def test_a_file_that_is_no_list_of_rows_is_refused_whole(text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        rows(text)
