"""What the recogniser says of a file reaches the history page in the reader's language, as a whole."""

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregator.core.errors import ConfigurationError
from aggregator.core.readings import REASONS
from aggregator.intake.formats.message import DeviceRules, Origin
from aggregator.intake.imports.understanding import PROFILES, Understanding
from aggregator.intake.imports.vocabulary import UNITS
from aggregator.intake.tables.structured import open_table
from aggregator.intake.tables.table_shapes import FileTable
from dashboard.pages.history.history_view import speaker
from dashboard.pages.history.import_job import jsoned
from dashboard.text.language import Language, languages
from tests.aggregator.intake.imports.files import known_of, understood
from tests.aggregator.intake.imports.test_providers import SAMPLES, Sample, spans

GERMAN = languages()["de"]
ROOT = Path(__file__).parents[4]
ROOMS = ("aggregator/intake/imports", "aggregator/intake/tables")
OF_OPTIONS = ("--", "_NEED", "write it like", "TMPDIR", "record.id")  # in refusals that no answer of the page brings
HOURS = [f"2026-02-{day:02} {hour:02}:00" for day in (2, 3, 4) for hour in range(24)]
SPRING = [f"2026-03-29 {hour:02}:{minute}" for hour in range(24) for minute in ("00", "30")]
LATER = [f"2030-01-01 {hour:02}:00" for hour in range(24)]
UNCLEAR = [f"01/02/2026 10:{minute:02}" for minute in range(60)]
ASKED = [  # a file's times, header and each of its rows, and what a German reader is asked or told
    (HOURS, "Time;Usage (Wh);Usage (Wh)", "{t};{n};{a}", "Bezug kann in einer dieser Spalten stehen: 'Usage (Wh)', "),
    (HOURS, "Time;Import (Wh);Zorkmid (Wh)", "{t};{n};{a}", "Die Richtung von 'Zorkmid (Wh)' ist nicht bekannt: "),
    (HOURS, "Time;Import (Wh);Net (Wh)", "{t};{n};-{a}", "'Net (Wh)' nennt dasselbe wie die anderen Spalten"),
    (HOURS, "Time;Circuit;Wh", "{t};Total usage;{n}\n{t};Dryer;{a}", "Mehrere Zeilen einer Zeit nennen Dryer und"),
    (HOURS, "Time;Meter;Wh", "{t};M1;{n}\n{t};M2;{a}", "Die Spalte Meter hat 2 verschiedene Werte"),
    (HOURS, "Time;Usage (zorkmids)", "{t};{n}", "Die Einheit 'zorkmids' ist nicht bekannt"),
    (HOURS, "Time;Zurück (kWh)", "{t};0.{n}", "Die Richtung von 'Zurück (kWh)' ist nicht bekannt"),
    (HOURS, "Time;Production (Wh)", "{t};{n}", "'Production (Wh)' ist, was Solarmodule erzeugt haben"),
    (HOURS, "Time;Consumption (Wh);Production (Wh)", "{t};{n};{a}", "'Consumption (Wh)' kann der Verbrauch der "),
    (HOURS, "Time;Value", "{t};{k}", "Die Werte können Energie oder Zählerstand sein: sie steigen 71-mal"),
    (HOURS, "Time;Value", "{t};-{n}", "Werte sind unter null: saldierte Energie, negativ für Einspeisung?"),
    (HOURS, "Time;kWh", "{t};-{n}", "Werte sind unter null: saldierte Energie, negativ für Einspeisung?"),
    (HOURS, "Time;Usage (kWh)", "{t};{n}", "3. Februar 2026 hat 3.504 kWh Bezug"),
    (HOURS, "Time;Usage (Wh)", "{t};1", "Ein Tag hat im Mittel 24 Wh"),
    (HOURS, "Time;Usage (Wh)", "{t};{k}", "Bezug steigt 71-mal und fällt 0-mal, wie ein Zählerstand"),
    (HOURS, "Time;Usage (Wh)", "{t};{n}\n{t};{a}", "140 von 144 Zeilen widersprechen einander"),
    (HOURS, "Time;Usage (Wh)", "{t};-{n}", "72 von 72 Zeilen würden abgelehnt, 72 davon so: "),
    (SPRING, "Time;Usage (Wh)", "{t};{n}", "In Europe/London fehlen 2 dieser Zeiten im Frühjahr bei der Umstellung"),
    (LATER, "Time;Usage (Wh)", "{t};{n}", "'2030-01-01 00:00' ist keine Zeit, die schon war"),
    (UNCLEAR, "Date;Usage (Wh)", "{t};{n}", "01/02/2026 10:00 kann so gemeint sein: Tag zuerst oder Monat zuerst"),
    (HOURS, "Time;kVArh", "{t};{n}", "Die Datei hat die Spalten 'Time', 'kVArh'; darunter ist kein Wert einer Energie"),
    (HOURS, "Dear customer", "thank you", "Keine Zeile der Datei sieht aus wie ein Kopf"),
]


def calls(name: str) -> Iterator[tuple[str, ast.expr]]:
    """Each call of a name in the recogniser's rooms: its place, and its first argument."""
    for path in sorted(path for room in ROOMS for path in (ROOT / room).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield f"{path.name}:{node.lineno}", node.args[0]


def test_each_refusal_of_a_file_can_be_translated_or_names_an_option() -> None:
    def is_english(text: ast.expr) -> bool:
        written = ast.unparse(text)
        return isinstance(text, ast.Constant | ast.JoinedStr) and not any(one in written for one in OF_OPTIONS)

    assert [place for place, text in calls("ConfigurationError") if is_english(text)] == []


def test_each_sentence_stands_in_the_code_as_it_is_translated() -> None:
    assert [place for place, text in calls("Phrase") if not isinstance(text, ast.Constant | ast.Name)] == []
    names = {text.id for _, text in calls("Phrase") if isinstance(text, ast.Name)}
    assert names == {"NO_ROLE", "template"}  # the page has its own, OWN_SENTENCES; `table_apart` is told it


def opened(content: bytes, zone: str) -> FileTable:
    return open_table(io.BytesIO(content), Origin("d", known_of(zone).now, DeviceRules(zone)))


def strange_words(found: Understanding, table: FileTable, zone: str) -> list[str]:
    """What is said of a file, but neither in words that are translated nor from the file itself."""
    said, asked = jsoned(found), list[str]()

    def ask(word: str, _: Language) -> str:
        asked.append(word)
        return word

    texts = [part for one in said["choices"] for part in one[1:] if part]
    for part in (*texts, *said["first_rows"], *(one[1] for one in (*said["doubts"], *said["brakes"]))):
        speaker(GERMAN, ask)(part)
    cells = " ".join((*table.names, *(cell for _, _, row in table.rows() for cell in row)))
    known = {zone, "UTC", "l", table.format, table.encoding, repr(table.delimiter), *UNITS, *REASONS}
    known |= {one.name for one in PROFILES}
    words = [word for one in asked if one not in known for word in re.split(r", | \+ ", one.replace("'", ""))]
    return [word for word in words if word not in cells and not word[:1].isdigit()]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: one.name)
def test_a_provider_s_file_is_described_without_an_english_word(sample: Sample) -> None:
    content = sample.write(spans(sample.zone, sample.minutes))
    found = understood(content, sample.zone, **sample.options)
    assert strange_words(found, opened(content, sample.zone), sample.zone) == []


@pytest.mark.parametrize(("times", "header", "row", "said"), ASKED)
def test_a_doubt_or_a_fault_of_a_file_is_told_in_german(times: list[str], header: str, row: str, said: str) -> None:
    rows = [row.format(t=at, k=k, n=100 + k * 37 % 90, a=50 + k * 37 % 80) for k, at in enumerate(times)]
    content, zone = "\n".join([header, *rows]).encode(), "Europe/London"
    try:
        found = understood(content, zone)
        texts = [one.text for one in found.doubts] + [one.text for one in found.brakes]
        assert strange_words(found, opened(content, zone), zone) == []
    except ConfigurationError as error:
        texts = [error.args[0]]
    spoken = [speaker(GERMAN, lambda word, _: word)(jsoned(text)) for text in texts]
    assert any(text.startswith(said) for text in spoken), spoken


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        ("Time;Usage (Wh)", "{t};{n}", "Zeile 2: 2. Februar 2026, 00:00 Bezug 100 Wh"),
        ("Time;Import register (Wh)", "{t}:30+00:00;5{n}", "Zeile 2: 2. Februar 2026, 01:00:30 Bezug 5.100 Wh"),
    ],
)
def test_the_first_rows_have_dates_and_numbers_of_the_language(header: str, row: str, said: str) -> None:
    rows = [row.format(t=at, n=100 + k) for k, at in enumerate(HOURS)]
    found = understood("\n".join([header, *rows]).encode(), "Europe/Berlin")
    assert speaker(GERMAN, lambda word, _: word)(jsoned(found.first_rows[0])) == said
