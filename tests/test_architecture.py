"""The shape of the house: pure rooms, few and full modules, one name for one thing. Import-linter holds the imports."""

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PURE = ("aggregator/core/", "aggregator/tariffs/", "aggregator/intake/formats/", "dashboard/charts/", "dashboard/text/")
CLOCKS_AND_FILES = {"now", "today", "utcnow", "open", "print", "input"}
CATALOGUES = "dashboard/text/language.py"  # reads the words of a language, once
SHORT_CONCEPTS: set[str] = set()  # modules under SLIVER_LINES that are a concept of their own
SLIVER_LINES = 40
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def sources() -> dict[str, str]:
    """The text of every product module, by its path from the root."""
    paths = [path for package in ("aggregator", "dashboard") for path in (ROOT / package).rglob("*.py")]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}


@cache
def modules() -> dict[str, ast.Module]:
    """Every product module but the `__init__` of a room."""
    return {path: ast.parse(text) for path, text in sources().items() if not path.endswith("/__init__.py")}


def functions(tree: ast.Module) -> Iterator[tuple[Function, int]]:
    """Every function with its length in lines."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node, (node.end_lineno or 0) - node.lineno + 1


def called(tree: ast.Module) -> set[str]:
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {getattr(one, "attr", "") or getattr(one, "id", "") for one in calls}


def test_a_pure_module_asks_no_clock_and_opens_no_file() -> None:
    pure = {path: called(tree) & CLOCKS_AND_FILES for path, tree in modules().items() if path.startswith(PURE)}
    assert {path: calls for path, calls in pure.items() if calls} == {CATALOGUES: {"open"}}


def test_the_house_has_few_modules_and_a_room_at_most_twelve() -> None:
    assert len(sources()) <= 243
    rooms = Counter(path.rpartition("/")[0] for path in modules())
    assert {room: count for room, count in rooms.items() if count > 12} == {}


def test_every_room_says_what_belongs_there_and_where_to_begin() -> None:
    rooms = {path: text for path, text in sources().items() if path.endswith("/__init__.py")}
    docstrings = {path: ast.get_docstring(ast.parse(text)) or "" for path, text in rooms.items()}
    assert [path for path, text in docstrings.items() if "Begin with" not in text or "mport" not in text] == []


def test_module_names_and_class_names_are_unique() -> None:
    names = Counter((path.split("/")[0], path.rpartition("/")[2]) for path in modules())
    assert [name for name, count in names.items() if count > 1] == []
    classes = Counter(
        node.name
        for tree in modules().values()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in classes.items() if count > 1] == []


def test_a_module_is_a_few_screens_and_no_sliver() -> None:
    lengths = {path: len(sources()[path].splitlines()) for path in modules()}
    assert {path: lines for path, lines in lengths.items() if lines > 320} == {}
    assert {path for path, lines in lengths.items() if lines < SLIVER_LINES} == SHORT_CONCEPTS


def test_functions_fit_a_screen_and_nine_of_ten_are_short() -> None:
    lengths = {f"{path}:{one.name}": lines for path, tree in modules().items() for one, lines in functions(tree)}
    assert {name: lines for name, lines in lengths.items() if lines > 50} == {}
    assert sorted(lengths.values())[len(lengths) * 9 // 10] <= 25
