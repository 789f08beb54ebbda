"""The values of DynamoDB's items, and their sizes by AWS's rules. Pure.

Names and texts count in UTF-8 bytes, binary as it is, a number one byte for each two digits and one more. A write unit
is 1 KB of the whole item, a read unit 4 KB; an eventually consistent read costs half.
"""

from typing import Any

Value = dict[str, Any]  # {"S": text} | {"N": digits} | {"B": bytes} | {"SS": texts}
Item = dict[str, Value]

WRITE_UNIT = 1024  # bytes
READ_UNIT = 4096  # bytes


def text(value: str) -> Value:
    """A text attribute."""
    return {"S": value}


def number(value: int) -> Value:
    """A number attribute."""
    return {"N": str(value)}


def value_size(value: Value) -> int:
    """The bytes of an attribute's value."""
    ((kind, content),) = value.items()
    if kind == "N":
        digits = str(content)
        return (len(digits.lstrip("-").strip("0")) + 1) // 2 + 1 + digits.startswith("-")
    if kind == "SS":
        return sum(len(str(one).encode()) for one in content)
    return len(str(content).encode() if kind == "S" else bytes(content))


def item_size(item: Item) -> int:
    """The bytes of an item."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def write_units(size: int) -> int:
    """The write units of writing an item of `size` bytes: the larger of before and after."""
    return max(1, -(-size // WRITE_UNIT))


def read_units(size: int, *, is_consistent: bool) -> float:
    """The read units of reading `size` bytes."""
    return max(1, -(-size // READ_UNIT)) * (1.0 if is_consistent else 0.5)
