"""Lines that the code keeps to, held by reading its imports."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("aggregator", "dashboard")
    for path in (ROOT / package).rglob("*.py")
}
PURE = [
    *(
        f"aggregator.{name}"
        for name in (
            *("periods", "readings", "blocks", "bodies", "energy", "power", "documents", "tables", "costs", "search"),
            *("money", "tariffs", "rates", "bills", "prices"),
            *("marks", "gaps", "sending", "register_steps", "audit_entry", "desk_tables"),
            *("simulator", "households", "appliances", "simulated_tariffs", "simulated_statuses", "simulated_faults"),
            *("sources.canonical", "sources.block", "sources.formats", "sources.base", "sources.local_time"),
            *("sources.glow", "sources.glow_hex", "sources.dsmr", "sources.shelly", "sources.tasmota"),
            *("sources.columns", "sources.row_times", "sources.local_order", "sources.rows", "sources.octopus"),
            *("history", "import_rows", "counters"),
            *("store.items", "store.merges", "store.prices", "store.steps", "store.address"),
        )
    ),
    *(
        f"dashboard.{name}"
        for name in (
            *("view", "words", "labels", "charts", "sentences", "figures", "tiles", "columns", "numbers", "navigation"),
            *("power", "hour", "habits", "signal", "desk.reasons"),
            *("rows", "pictures"),
            *("crumbs", "heat", "heat_grid", "cumulative", "cumulative_figure"),
            *("users", "onward"),
            *("tariff_fields", "tariff_form", "tariff_words", "tariff_preview", "tariff_view"),
        )
    ),
]
OUTSIDE = {
    *("os", "pathlib", "shutil", "tempfile", "glob", "subprocess", "signal", "select", "platformdirs"),
    *("socket", "ssl", "http", "urllib.request", "requests", "boto3", "botocore", "sqlite3", "flask", "flask_caching"),
    *("time", "threading", "concurrent", "asyncio", "secrets", "uuid", "logging", "click"),
}
CLOCKS_AND_FILES = {"now", "today", "utcnow", "open", "print", "input"}
DEMO = {
    "aggregator.demo.households",
    "aggregator.demo.simulator",
    "aggregator.demo.simulated_tariffs",
}  # made up, from a seed


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def imports(module: str) -> set[str]:
    """Every name that a module imports: `a.b` and `a.b.c` for `from a.b import c`."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{module} imports by a relative name"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def reached(module: str) -> set[str]:
    """A module, and those of ours that it needs: not what only opens the package that they are in."""
    seen, waiting = set[str](), [module]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting += [name for name in imports(one) if name in MODULES and MODULES[name].name != "__init__.py"]
    return seen


def within(names: set[str], packages: set[str]) -> set[str]:
    return {name for name in names if any(f"{name}.".startswith(f"{package}.") for package in packages)}


def functions(module: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("module", [name for name in MODULES if name.split(".")[0] == "aggregator"])
def test_the_aggregator_knows_no_screen(module: str) -> None:
    assert within(imports(module), {"dashboard", "dash", "plotly", "flask", "flask_caching"}) == set()


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_reaches_nothing_outside(module: str) -> None:
    assert {one: outside for one in reached(module) if (outside := within(imports(one), OUTSIDE))} == {}


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_asks_no_clock_and_opens_no_file(module: str) -> None:
    calls = [node.func for one in reached(module) for node in ast.walk(tree(one)) if isinstance(node, ast.Call)]
    names = {
        func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
        for func in calls
    }
    assert names & CLOCKS_AND_FILES == set()


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_draws_lots_only_for_the_demo_and_from_a_seed(module: str) -> None:
    drawn = within(imports(module), {"random"})
    assert drawn <= ({"random", "random.Random"} if module in DEMO else set())
    seeded = [
        node for node in ast.walk(tree(module)) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Random"
    ]
    assert all(node.args for node in seeded)


def test_only_the_doors_know_aws_sqlite_and_brokers() -> None:
    doors = {
        "boto3": {"aggregator.aws.clients", "aggregator.store.dynamodb.dynamo_client"},
        "botocore": {"aggregator.aws.clients", "aggregator.store.dynamodb.dynamo_client"},
        "sqlite3": {"aggregator.store.sqlite.sqlite_file"},
        "paho": {"aggregator.intake.mqtt"},
    }
    assert {library: {one for one in MODULES if within(imports(one), {library})} for library in doors} == doors


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_a_few_screens_and_a_function_less_than_one(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) < 320
    assert [one.name for one in functions(module) if (one.end_lineno or 0) - one.lineno >= 50] == []


def test_nine_functions_of_ten_are_short() -> None:
    sizes = sorted((one.end_lineno or 0) - one.lineno + 1 for module in MODULES for one in functions(module))
    assert sizes[len(sizes) * 9 // 10] <= 25
