"""Files opened in a process of their own: as in this one, except that no file costs more than that process has."""

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from tempfile import TemporaryFile
from typing import BinaryIO

import pytest

from aggregator.core.errors import ConfigurationError, Phrase
from aggregator.intake.formats.message import DeviceRules, Origin
from aggregator.intake.imports.recognise import recognised
from aggregator.intake.tables.structured import open_table, table_apart
from aggregator.intake.tables.table_shapes import FileTable
from tests.aggregator.intake.imports.files import known_of
from tests.aggregator.intake.imports.test_providers import SAMPLES, spans, workbook

Cell = datetime | float | str
ORIGIN = Origin("d", 1_800_000_000, DeviceRules("Europe/London"))
STRUCTURED = [
    (sample.name, content)
    for sample in SAMPLES
    if (content := sample.write(spans(sample.zone, sample.minutes)[:96])).startswith((b"PK", b"{", b"[", b"<"))
]
FAR = 'near</t></is></c><c r="XFD1048576" t="inlineStr"><is><t>far'
TEXT = b"start,import_kwh\n2026-03-01T00:00Z,0.25\n"


@contextmanager
def on_disk(content: bytes) -> Iterator[BinaryIO]:
    with TemporaryFile() as stream:
        stream.write(content)
        yield stream


@contextmanager
def apart(content: bytes) -> Iterator[FileTable]:
    with on_disk(content) as stream, table_apart(stream, ORIGIN) as table:
        yield table


def refusal_of(content: bytes) -> str:
    with pytest.raises(ConfigurationError) as refused, apart(content):
        pass
    fault: str = refused.value.args[0]
    return fault


def zipped(**files: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target.getvalue()


@pytest.mark.parametrize("content", [one[1] for one in STRUCTURED], ids=[one[0] for one in STRUCTURED])
def test_a_table_from_another_process_is_the_same(content: bytes) -> None:
    here = open_table(io.BytesIO(content), ORIGIN)
    with apart(content) as there:
        assert there._replace(rows=here.rows) == here
        assert [*map(list, there.rows())] == [*map(list, here.rows())]
        assert [*map(list, there.rows())] == [*map(list, here.rows())]


def test_a_file_is_whole_after_another_process_has_read_it() -> None:
    content = zipped(data=TEXT + b"2026-03-01T00:30Z,0.25\n" * 20_000)
    with on_disk(content) as stream:
        with table_apart(stream, ORIGIN):
            pass
        stream.seek(0)
        assert stream.read() == content


def test_a_refusal_of_another_process_is_a_sentence_for_the_page() -> None:
    fault = refusal_of(zipped(one=TEXT, other=TEXT))
    assert isinstance(fault, Phrase)
    assert (fault.template, fault.values) == (
        "the archive has {number} files; import them one by one",
        {"number": 2},
    )


@pytest.mark.parametrize("opened", [apart, lambda content: nullcontext(open_table(io.BytesIO(content), ORIGIN))])
def test_a_refused_row_is_named_by_its_sheet_and_its_row(
    opened: Callable[[bytes], AbstractContextManager[FileTable]],
) -> None:
    def hours(day: int) -> list[list[Cell]]:
        return [[datetime(2026, 3, day, hour, tzinfo=UTC), 0.5] for hour in range(24)]

    head: list[Cell] = ["Date", "Import (kWh)"]
    bad: list[Cell] = ["n/a", 0.5]
    content = workbook([[], [], head, *hours(1), [], bad], [["Notes"]], [head, [], *hours(2), bad])
    for sheet, first, last in (("S1", 4, 29), ("S3", 3, 27)):
        known = known_of("Europe/London", edge="start", where=(f"sheet={sheet}",))
        with opened(content) as table, recognised(table, known) as found:
            assert [one.partition(":")[0] for one in found.refusals.named] == [f"row {last} of the sheet {sheet}"]
            assert str(found.understanding.first_rows[0]).startswith(f"row {first} of the sheet {sheet}: ")


def test_a_workbook_of_one_sheet_names_the_row_alone() -> None:
    rows: list[list[Cell]] = [[datetime(2026, 3, 1, hour, tzinfo=UTC), 0.5] for hour in range(24)]
    with apart(workbook([[], ["Date", "Import (kWh)"], *rows])) as table:
        assert [str(table.place(number)) for number, _, _ in table.rows()][:2] == ["row 3", "row 4"]


def test_a_workbook_of_two_far_cells_ends_another_process_alone() -> None:
    assert refusal_of(workbook([[FAR]])) == (
        "reading the file takes too much memory or time; import it in parts, or as CSV"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"[" + b",".join(b'{"n%d":1}' % place for place in range(10_000)) + b"]",
        b"{" + b"".join(b'"n%d":1,' % place for place in range(10_000)) + b'"l":[' + b"{}," * 10_000 + b"{}]}",
    ],
    ids=["a name each", "all names around"],
)
def test_records_of_ever_new_names_are_refused(content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="too many different names"):
        open_table(io.BytesIO(content), ORIGIN)


def test_an_encrypted_archive_is_called_encrypted() -> None:
    content = zipped(data=TEXT).replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00")
    assert refusal_of(content) == "the archive is encrypted; import the file in it"
