"""The expressions of DynamoDB, as far as our store writes them: conditions, filters, keys, updates. Pure."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from aggregator.core.errors import StoreUnusable
from aggregator.store.dynamodb.items import Item, Value

Names = Mapping[str, str]
Values = Mapping[str, Value]
Check = Callable[[Item, Names, Values], bool]
Operand = Callable[[Item, Names, Values], Value | None]

_TOKEN = re.compile(r"\s*(<=|>=|<>|[=<>(),]|[#:]?\w+)")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: one == other,
    "<>": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


class Invalid(StoreUnusable):
    """DynamoDB would refuse the request."""


def comparable(value: Value) -> Any:  # noqa: ANN401 - of any of DynamoDB's types
    """A value as Python compares it within its type: text by its bytes, numbers by size."""
    ((kind, content),) = value.items()
    if kind == "N":
        return int(content) if content.isdigit() else Decimal(content)
    if kind == "SS":
        return frozenset(content)
    return content.encode() if kind == "S" else bytes(content)


def canonical(value: Value) -> Value:
    """A value as DynamoDB stores it: sets in order, numbers without zeros at their ends."""
    ((kind, content),) = value.items()
    if kind == "SS":
        return {"SS": sorted(set(content))}
    if kind == "N" and "." in content:
        return {"N": f"{Decimal(content).normalize():f}"}
    return value


class _Tokens:
    """The tokens of an expression, read one by one."""

    def __init__(self, expression: str) -> None:
        self.all = _TOKEN.findall(expression)
        self._at = 0
        if "".join(self.all) != re.sub(r"\s", "", expression):
            raise Invalid(f"ValidationException: {expression}")

    def peek(self) -> str:
        return self.all[self._at] if self._at < len(self.all) else ""

    def take(self, *wanted: str) -> str:
        found = self.peek()
        if not found or (wanted and found not in wanted):
            raise Invalid(f"ValidationException: {found!r} in {' '.join(self.all)}")
        self._at += 1
        return found


def placeholders(expression: str) -> set[str]:
    """The names and values that an expression uses."""
    return {token for token in _Tokens(expression).all if token[0] in "#:"}


@cache
def condition(expression: str) -> Check:
    """Whether an item is as a condition wants it."""
    tokens = _Tokens(expression)
    check = _either(tokens)
    if tokens.peek():
        raise Invalid(f"ValidationException: {expression}")
    return check


def _either(tokens: _Tokens) -> Check:
    checks = [_both(tokens)]
    while tokens.peek() == "OR":
        tokens.take()
        checks.append(_both(tokens))
    return checks[0] if len(checks) == 1 else lambda *given: any(check(*given) for check in checks)


def _both(tokens: _Tokens) -> Check:
    checks = [_single(tokens)]
    while tokens.peek() == "AND":
        tokens.take()
        checks.append(_single(tokens))
    return checks[0] if len(checks) == 1 else lambda *given: all(check(*given) for check in checks)


def _single(tokens: _Tokens) -> Check:
    if tokens.peek() == "(":
        tokens.take()
        inner = _either(tokens)
        tokens.take(")")
        return inner
    if tokens.peek() in ("attribute_exists", "attribute_not_exists", "begins_with", "contains"):
        return _function(tokens)
    left = _operand(tokens)
    sign = tokens.take("BETWEEN", *_COMPARE)
    if sign != "BETWEEN":
        return _compared(left, sign, _operand(tokens))
    first = _compared(left, ">=", _operand(tokens))
    tokens.take("AND")
    last = _compared(left, "<=", _operand(tokens))
    return lambda *given: first(*given) and last(*given)


def _function(tokens: _Tokens) -> Check:
    name = tokens.take()
    tokens.take("(")
    left = _operand(tokens)
    if name.startswith("attribute"):
        tokens.take(")")
        return lambda *given: (left(*given) is not None) == (name == "attribute_exists")
    tokens.take(",")
    right = _operand(tokens)
    tokens.take(")")

    def check(*given: Any) -> bool:  # noqa: ANN401 - what every check takes
        here, there = left(*given), right(*given)
        if here is None or there is None:
            return False
        if name == "begins_with":
            return str(here["S"]).startswith(there["S"])
        return there["S"] in (here["SS"] if "SS" in here else here["S"])

    return check


def _operand(tokens: _Tokens) -> Operand:
    token = tokens.take()
    if token == "if_not_exists":
        tokens.take("(")
        stored = _operand(tokens)
        tokens.take(",")
        default = _operand(tokens)
        tokens.take(")")
        return lambda *given: default(*given) if (value := stored(*given)) is None else value
    if token == "size":
        tokens.take("(")
        inner = _operand(tokens)
        tokens.take(")")

        def size(*given: Any) -> Value | None:  # noqa: ANN401 - what every operand takes
            value = inner(*given)
            return None if value is None else {"N": str(len(comparable(value)))}

        return size
    if token[0] == ":":
        return lambda _item, _names, values: values[token]
    return lambda item, names, _values: item.get(names[token] if token[0] == "#" else token)


def _compared(left: Operand, sign: str, right: Operand) -> Check:
    def check(*given: Any) -> bool:  # noqa: ANN401 - what every check takes
        here, there = left(*given), right(*given)
        if here is None or there is None:
            return sign == "<>" and here is not there
        if here.keys() != there.keys():
            return sign == "<>"
        return _COMPARE[sign](comparable(here), comparable(there))

    return check


@cache
def _clauses(expression: str) -> tuple[tuple[str, str, Operand | None], ...]:
    """Return the clauses of an update: `SET`, `REMOVE` or `ADD`, the path, and the operand of its value."""
    tokens, clauses, verb = _Tokens(expression), list[tuple[str, str, Operand | None]](), ""
    while tokens.peek():
        verb = tokens.take() if tokens.peek() in ("SET", "REMOVE", "ADD") else (tokens.take(","), verb)[1]
        path = tokens.take()
        if verb == "SET":
            tokens.take("=")
        clauses.append((verb, path, None if verb == "REMOVE" else _operand(tokens)))
    return tuple(clauses)


def updated(item: Item, expression: str, names: Names, values: Values) -> tuple[Item, list[str]]:
    """Return an item after an update, and the attributes that the update names. Operands read the item before it."""
    after, named = dict(item), []
    for verb, path, operand in _clauses(expression):
        name = names[path] if path[0] == "#" else path
        if name in named:
            raise Invalid(f"ValidationException: two document paths overlap: {name}")
        named.append(name)
        if operand is None:
            after.pop(name, None)
            continue
        value = operand(item, names, values)
        if value is None:
            raise Invalid(f"ValidationException: no value for {name}")
        value = canonical(value)
        if verb == "ADD":
            value = canonical({"SS": [*after.get(name, {"SS": []})["SS"], *value["SS"]]})
        after[name] = value
    return after, named
