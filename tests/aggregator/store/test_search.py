import string
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.documents import LABELS, Device
from aggregator.core.errors import ConfigurationError
from aggregator.store import search
from aggregator.store.search import check_labels, masked, normalised, terms

HOME = Device(
    "demo-cad_0042",
    household="H-77",
    name="12 Acacia Road, Flat B",
    serial="GEO/19-44Z",
    meter_point="1012345678901",
    postcode="SW1A 1AA",
)
TYPED = st.text(alphabet=string.ascii_letters + string.digits + " -./ßÉ\u0130\ufdfa", max_size=80)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SW1A 1AA", "sw1a1aa"),
        ("  12, Acacia-Road ", "12acaciaroad"),
        ("Straße MÜNCHEN", "strassemunchen"),
        ("e\u0301 \u00e9", "ee"),
        ("1234 5678", "12345678"),
        ("\uff13\u2460", "31"),
        ("--- =<>!", ""),
        ("\x00\ud800%_*", ""),
    ],
)
def test_normalising_removes_case_accents_spaces_and_punctuation(text: str, expected: str) -> None:
    assert normalised(text) == expected


@given(st.text())
def test_normalising_twice_changes_nothing_and_length_is_bounded(text: str) -> None:
    once = normalised(text)
    assert len(once) <= search.MAX_TERM
    assert all(map(str.isalnum, once))


def test_terms_start_at_each_word_and_reverse_the_ends() -> None:
    assert terms(HOME) == {
        *("democad0042", "cad0042", "0042", "<2400dacomed"),
        *("h77", "77", "=H-77="),
        *("12acaciaroadflatb", "acaciaroadflatb", "roadflatb", "flatb", "b"),
        *("geo1944z", "1944z", "44z", "<z4491oeg"),
        *("#1012345678901#", "8901", "<1098"),
        *("sw1a1aa", "1aa"),
    }


def test_a_device_without_labels_has_the_terms_of_its_id() -> None:
    assert terms(Device("cad-1")) == {"cad1", "1", "<1dac"}


@given(st.builds(Device, st.just("cad-1"), household=TYPED, name=TYPED, serial=TYPED, meter_point=TYPED))
def test_terms_fit_into_the_key_of_an_item(device: Device) -> None:
    assert len(terms(device)) < 60
    assert all(0 < len(f"{term} {device.device_id}".encode()) < 1024 for term in terms(device))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("1012345674321", "•••• •••• 4321"),
        ("21 1234", "•••• •••• 234"),
        ("7", "•••• ••••"),
        ("", ""),
    ],
)
def test_a_masked_meter_point_shows_at_most_half(number: str, expected: str) -> None:
    assert masked(number) == expected


# Search in an index that is a sorted list


def search_in(devices: Iterable[Device], text: str, limit: int = 100) -> list[str]:
    registry = {device.device_id: device for device in devices}
    index = sorted((term, device_id) for device_id, device in registry.items() for term in terms(device))

    def candidates(prefix: str) -> list[str]:
        return [device_id for term, device_id in index if term.startswith(prefix)]

    def lookup(ids: list[str]) -> list[Device]:
        return [registry[device_id] for device_id in ids if device_id in registry]

    return search.find_devices(text, limit, candidates, lambda words: search.having_all(words, candidates), lookup)


def test_a_masked_meter_point_cannot_be_found_digit_by_digit() -> None:
    home = Device("x", meter_point="1012345678901")
    number = home.meter_point
    parts = {number[first:last] for first in range(13) for last in range(first + 2, 14)} - {number}
    found = {part for part in parts if search_in([home], part) or search_in([home], f"8901 {part}")}
    assert found == {"8901", "901", "89", "890", "01"}  # of the end that lists show
    assert search_in([home], number) == ["x"]


@pytest.mark.parametrize(
    "text",
    [
        *("demo-cad_0042", "demo", "CAD", "0042", "cad-00", "42", "d 0042"),
        *("GEO/19", "1944", "944z", "1012345678901", "1012 3456 78901", "8901", "01"),
        *("H-77", "h7", "sw1a", "SW1A1AA", "sw1a 1", "1aa", "12 Aca", "acacia road", "ROAD flat", "flat b"),
        *("road acacia", "acacia sw1a", "b acacia", "8901 road 12", "0042 h77"),
    ],
)
def test_a_part_of_a_label_finds_the_device(text: str) -> None:
    assert search_in([HOME, Device("other-9", name="1 Elm Street")], text) == [HOME.device_id]


@pytest.mark.parametrize("text", ["", " ", "a", "7", "-", "x y", "cacia", "12 elm", "acacia street", "1234567"])
def test_an_unmatched_or_too_short_text_finds_nothing(text: str) -> None:
    assert search_in([HOME], text) == []


def test_phrase_matches_come_first_and_each_device_once() -> None:
    devices = [
        Device("a", name="Park Road"),
        Device("b", name="Road to the Park"),
        Device("c", name="1 Park Road, Park Road"),
    ]
    assert search_in(devices, "park road") == ["a", "c", "b"]
    assert search_in(devices, "park road", limit=2) == ["a", "c"]
    assert search_in(devices, "park road", limit=0) == []


def test_outdated_index_entries_are_not_returned() -> None:
    ids = ["renamed", "gone", HOME.device_id]
    read = search.find_devices("acacia road", 9, lambda _: ids, lambda _: ids, lambda _: [Device("renamed"), HOME])
    assert read == [HOME.device_id]
    moved = Device("moved", household="H-78")
    assert search.household_devices("H-77", lambda _: ids, lambda _: [moved, HOME]) == [HOME.device_id]


def test_search_finds_a_rare_word_among_common_ones() -> None:
    many = [Device(f"cad-{number}", name="Park Road") for number in range(3000)]
    rare = Device("zzz", name="Park Lane by the Road")
    assert search_in([*many, rare], "road lane park") == ["zzz"]


@given(st.text(), st.text(max_size=20))
def test_any_text_gives_a_result(name: str, text: str) -> None:
    assert search_in([Device("cad", name=name)], text) in ([], ["cad"])


def test_enough_phrase_matches_skip_the_search_by_words() -> None:
    def having(words: list[str]) -> list[str]:
        raise AssertionError(words)

    devices = [Device(f"cad-{number}", name="12 Park Road") for number in range(9)]
    ids = [device.device_id for device in devices]
    assert search.find_devices("park road", 9, lambda _: ids, having, lambda _: devices) == ids


@given(TYPED, st.integers(2, 5))
def test_neighbours_contain_every_searchable_word_of_a_device(text: str, size: int) -> None:
    of_device = terms(replace(HOME, name=text))
    neighbours = search.neighbours(of_device)
    for term in of_device - {"=H-77=", "#1012345678901#"}:
        word = term[1:][::-1][-size:] if term.startswith("<") else term[:size]
        assert f" {word}" in neighbours or f"{word} " in neighbours
    assert "=" not in neighbours
    assert "<" not in neighbours


# Labels


@pytest.mark.parametrize("field", LABELS)
def test_a_label_is_bounded_and_printable(field: str) -> None:
    longest = Device("d", **{field: "x" * LABELS[field]})  # type: ignore[arg-type]
    assert check_labels(longest) is longest
    for text in ("x" * (LABELS[field] + 1), "two\nlines", " x", "x ", "\ud800", "a\x00"):
        with pytest.raises(ConfigurationError, match=field) as raised:
            check_labels(Device("d", **{field: text}))  # type: ignore[arg-type]
        assert "\n" not in str(raised.value)
