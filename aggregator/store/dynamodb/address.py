"""Where a DynamoDB store is: `dynamodb://wattfall?region=eu-west-2&retention=35&pace=300`. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from aggregator.core.errors import ConfigurationError

_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_NUMBERS = {"retention": ("35", 2, 36_500), "pace": ("300", 0, 86_400)}  # default, least, most


@dataclass(frozen=True, slots=True)
class Address:
    """What a store's URL says."""

    prefix: str  # of the tables' names
    region: str | None  # None: what the AWS profile or AWS_DEFAULT_REGION says
    retention_days: int  # how long readings are kept
    pace_s: int  # how often a worker carries months and years on; less often is cheaper


def read_url(url: str) -> Address:
    """The address in a store's URL. Raises ConfigurationError."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    region = query.pop("region", None)
    retention, pace = (_number(name, query.pop(name, default[0])) for name, default in _NUMBERS.items())
    is_plain = not query and not parts.path.strip("/") and region != ""
    if parts.scheme != "dynamodb" or not is_plain or not _PREFIX.fullmatch(parts.netloc):
        raise ConfigurationError(
            f"{url!r} is not a DynamoDB store; write it like dynamodb://wattfall?region=eu-west-2&retention=35&pace=300"
        )
    return Address(parts.netloc, region, retention, pace)


def _number(name: str, text: str) -> int:
    _, least, most = _NUMBERS[name]
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise ConfigurationError(f"{name}={text} of a store's URL is not a whole number from {least} to {most}")
    return int(text)
