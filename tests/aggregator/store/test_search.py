import string
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.documents import LABELS, Device, check_labels
from aggregator.core.errors import ConfigurationError
from aggregator.store import search
from aggregator.store.search import masked, normalised, terms

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
def test_a_text_is_without_case_accents_spaces_and_punctuation(text: str, expected: str) -> None:
    assert normalised(text) == expected


@given(st.text())
def test_what_is_normalised_stays_so_and_is_bounded(text: str) -> None:
    once = normalised(text)
    assert len(once) <= search.MAX_TERM
    assert all(map(str.isalnum, once))


def test_terms_are_whole_texts_each_of_their_words_on_and_ends_backwards() -> None:
    assert terms(HOME) == {
        *("democad0042", "cad0042", "0042", "<2400dacomed"),
        *("h77", "77", "=H-77="),
        *("12acaciaroadflatb", "acaciaroadflatb", "roadflatb", "flatb", "b"),
        *("geo1944z", "1944z", "44z", "<z4491oeg"),
        *("1012345678901", "<1098765432101"),
        *("sw1a1aa", "1aa"),
    }


def test_a_device_of_which_nothing_is_known_has_its_id() -> None:
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
def test_a_meter_point_shows_its_end_and_never_more_than_half(number: str, expected: str) -> None:
    assert masked(number) == expected


# looking up, on a dictionary for an index


def found(devices: Iterable[Device], text: str, limit: int = 100) -> list[str]:
    registry = {device.device_id: device for device in devices}
    index = sorted((term, device_id) for device_id, device in registry.items() for term in terms(device))

    def candidates(prefix: str) -> list[str]:
        return [device_id for term, device_id in index if term.startswith(prefix)]

    def known(ids: list[str]) -> list[Device]:
        return [registry[device_id] for device_id in ids if device_id in registry]

    return search.find_devices(text, limit, candidates, lambda words: search.in_all(words, candidates), known)


@pytest.mark.parametrize(
    "text",
    [
        *("demo-cad_0042", "demo", "CAD", "0042", "cad-00", "42", "d 0042"),
        *("GEO/19", "1944", "944z", "1012345678901", "10 1234", "8901", "345678901", "01"),
        *("H-77", "h7", "sw1a", "SW1A1AA", "sw1a 1", "1aa", "12 Aca", "acacia road", "ROAD flat", "flat b"),
        *("road acacia", "acacia sw1a", "b acacia", "8901 road 12", "0042 h77"),
    ],
)
def test_a_part_of_what_people_know_finds_the_device(text: str) -> None:
    assert found([HOME, Device("other-9", name="1 Elm Street")], text) == [HOME.device_id]


@pytest.mark.parametrize("text", ["", " ", "a", "7", "-", "x y", "cacia", "12 elm", "acacia street", "1234567"])
def test_what_nobody_has_or_too_little_finds_nothing(text: str) -> None:
    assert found([HOME], text) == []


def test_the_phrase_comes_before_its_words_and_each_device_once() -> None:
    devices = [
        Device("a", name="Park Road"),
        Device("b", name="Road to the Park"),
        Device("c", name="1 Park Road, Park Road"),
    ]
    assert found(devices, "park road") == ["a", "c", "b"]
    assert found(devices, "park road", limit=2) == ["a", "c"]
    assert found(devices, "park road", limit=0) == []


def test_what_the_index_says_too_much_is_not_said() -> None:
    ids = ["renamed", "gone", HOME.device_id]
    read = search.find_devices("acacia road", 9, lambda _: ids, lambda _: ids, lambda _: [Device("renamed"), HOME])
    assert read == [HOME.device_id]
    moved = Device("moved", household="H-78")
    assert search.of_household("H-77", lambda _: ids, lambda _: [moved, HOME]) == [HOME.device_id]


def test_one_rare_word_among_common_ones_finds_its_device() -> None:
    many = [Device(f"cad-{number}", name="Park Road") for number in range(3000)]
    rare = Device("zzz", name="Park Lane by the Road")
    assert found([*many, rare], "road lane park") == ["zzz"]


@given(st.text(), st.text(max_size=20))
def test_whatever_is_typed_something_is_said(name: str, text: str) -> None:
    assert found([Device("cad", name=name)], text) in ([], ["cad"])


def test_what_a_phrase_has_found_enough_of_is_not_asked_for_by_its_words() -> None:
    def having(words: list[str]) -> list[str]:
        raise AssertionError(words)

    devices = [Device(f"cad-{number}", name="12 Park Road") for number in range(9)]
    ids = [device.device_id for device in devices]
    assert search.find_devices("park road", 9, lambda _: ids, having, lambda _: devices) == ids


@given(TYPED, st.integers(2, 5))
def test_beside_a_term_every_word_is_seen_by_which_its_device_is_found(text: str, size: int) -> None:
    of_device = terms(replace(HOME, name=text))
    beside = search.neighbours(of_device)
    for term in of_device - {"=H-77="}:
        word = term[1:][::-1][-size:] if term.startswith("<") else term[:size]
        assert f" {word}" in beside or f"{word} " in beside
    assert "=" not in beside
    assert "<" not in beside


# labels


@pytest.mark.parametrize("field", LABELS)
def test_a_label_is_bounded_and_printable(field: str) -> None:
    longest = Device("d", **{field: "x" * LABELS[field]})  # type: ignore[arg-type]
    assert check_labels(longest) is longest
    for text in ("x" * (LABELS[field] + 1), "two\nlines", " x", "x ", "\ud800", "a\x00"):
        with pytest.raises(ConfigurationError, match=field) as raised:
            check_labels(Device("d", **{field: text}))  # type: ignore[arg-type]
        assert "\n" not in str(raised.value)
