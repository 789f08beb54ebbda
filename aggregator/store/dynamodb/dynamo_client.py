"""The store's client of DynamoDB and its streams; it translates AWS errors to ours, with a remedy.

Credentials, profiles and endpoints come from the standard AWS chain and variables. Every call is bounded in time, and
retried with jitter at a rate that adapts to throttling. Calls raise StoreAway, StoreUnusable, or a signal of this
module (ConditionFailed, TableMissing, IteratorExpired, RecordsTrimmed).

`ItemParser` reads answers with items: half a step's CPU time went into botocore's parser, which walks a model for each
of the hundreds of attributes of a half hour.

`write_items` and `read_items` batch many items and repeat those that DynamoDB leaves unprocessed.
"""

import logging
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]  # noqa: TID251 - the one client to AWS
import orjson
from botocore import exceptions as botocore  # type: ignore[import-untyped]  # noqa: TID251 - part of it
from botocore import session as botocore_session  # noqa: TID251 - part of it
from botocore.config import Config  # type: ignore[import-untyped]  # noqa: TID251 - part of it
from botocore.parsers import JSONParser, ResponseParserFactory  # type: ignore[import-untyped]  # noqa: TID251 - of it

from aggregator.core.errors import StoreAway, StoreUnusable
from aggregator.store.dynamodb.items import Item

CONNECT_S = 3
READ_S = 10
ATTEMPTS = 5
CONNECTIONS = 32  # concurrent

_AWAY = {
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ResourceInUseException",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "TransactionConflictException",
}
_MENDS = {
    "AccessDeniedException": "these credentials may not do that; give them the rights of the template's roles",
    "ExpiredToken": "the credentials have expired; sign in again",
    "ExpiredTokenException": "the credentials have expired; sign in again",
    "IncompleteSignature": "the credentials are incomplete; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "InvalidClientTokenId": "AWS does not know these credentials; check AWS_ACCESS_KEY_ID",
    "InvalidSignatureException": "the signature is wrong; check AWS_SECRET_ACCESS_KEY and this machine's clock",
    "MissingAuthenticationToken": "there are no credentials; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret",
    "UnrecognizedClientException": "AWS does not know these credentials; check AWS_ACCESS_KEY_ID and the session token",
}
_NO_CREDENTIALS = (
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.CredentialRetrievalError,
    botocore.TokenRetrievalError,
    botocore.SSOError,
    botocore.ProfileNotFound,
)


class ConditionFailed(Exception):
    """The condition of a write did not hold; nothing was written.

    `item` is the item as it is, empty for none, where the write asked for it (`TELL`); it costs no read.
    """

    def __init__(self, message: str, item: Item | None = None) -> None:
        super().__init__(message)
        self.item: Item = item or {}


TELL: Final = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


class TableMissing(StoreUnusable):
    """A table or its stream does not exist."""


class IteratorExpired(Exception):
    """A shard iterator has expired and must be requested again."""


class RecordsTrimmed(Exception):
    """Records were removed from a stream before they were read."""


_SIGNALS: Mapping[str, type[Exception]] = {
    "ExpiredIteratorException": IteratorExpired,
    "TrimmedDataAccessException": RecordsTrimmed,
}


_OUTPUTS = {f"{name}Output" for name in ("GetItem", "BatchGetItem", "Query", "Scan", "UpdateItem", "PutItem")}


class ItemParser(JSONParser):  # type: ignore[misc]
    """Parse answers with items as plain JSON, of which only binary values need more; other answers as botocore does."""

    def parse(self, response: dict[str, Any], shape: Any) -> dict[str, Any]:  # noqa: ANN401 - botocore has no types
        """Return an answer as boto3 returns it."""
        if response["status_code"] != 200 or shape is None or shape.name not in _OUTPUTS:
            parsed: dict[str, Any] = super().parse(response, shape)
            return parsed
        headers = response["headers"]
        metadata = {"HTTPStatusCode": 200, "HTTPHeaders": {name.lower(): value for name, value in headers.items()}}
        answer: dict[str, Any] = orjson.loads(response["body"] or b"{}")
        if b'"B"' in response["body"]:  # a walk costs as much as the parsing
            _with_bytes(answer)
        return answer | {"ResponseMetadata": metadata}


def _with_bytes(found: Any) -> None:  # noqa: ANN401 - any part of an answer
    """Replace the base64 text of binary values, in place."""
    if isinstance(found, list):
        for one in found:
            _with_bytes(one)
    elif isinstance(found, dict):
        for name, value in found.items():
            if name == "B" and isinstance(value, str):
                found[name] = b64decode(value)
            elif value.__class__ is not str:
                _with_bytes(value)


class _Parsers(ResponseParserFactory):  # type: ignore[misc]
    def create_parser(self, protocol_name: str) -> Any:  # noqa: ANN401 - botocore has no types
        return ItemParser() if protocol_name == "json" else super().create_parser(protocol_name)


class DynamoClient(Protocol):
    """Calls to DynamoDB and its streams, by their names in boto3."""

    @property
    def region(self) -> str:
        """The AWS region of the tables."""

    def call(self, operation: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - as boto3 takes it
        """One call. Raises StoreAway, StoreUnusable, or one of the signals of this module."""


class AwsDynamoClient:
    """The client of AWS, or of the endpoint in the standard variables."""

    def __init__(self, region: str | None, attempts: int = ATTEMPTS) -> None:
        """Raises StoreUnusable without a region or with a wrong profile."""
        self._config = Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            retries={"mode": "adaptive", "total_max_attempts": attempts},
            max_pool_connections=CONNECTIONS,
            user_agent_extra="wattfall",
        )
        logging.getLogger("botocore").setLevel(logging.WARNING)  # it logs the source of the credentials at each start
        self._where = region or "the default region"
        try:
            core = botocore_session.get_session()
            core.register_component("response_parser_factory", _Parsers())
            self._session = boto3.session.Session(region_name=region, botocore_session=core)
            self._tables = self._session.client("dynamodb", config=self._config)
        except (botocore.BotoCoreError, ValueError) as error:
            raise self._translated(error) from error
        self.region: str = self._tables.meta.region_name
        self._where = self.region if _is_aws(self._tables) else self._tables.meta.endpoint_url

    @cached_property
    def _streams(self) -> Any:  # noqa: ANN401 - botocore has no types
        """Return the client for streams; an emulator serves them at the endpoint of its tables."""
        client = self._session.client("dynamodbstreams", config=self._config)
        if _is_aws(client) and not _is_aws(self._tables):
            endpoint = self._tables.meta.endpoint_url
            client = self._session.client("dynamodbstreams", config=self._config, endpoint_url=endpoint)
        return client

    def close(self) -> None:
        """Close the connections."""
        self._tables.close()
        if "_streams" in self.__dict__:
            self._streams.close()

    def call(self, operation: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - as boto3 takes it
        """One call. Raises StoreAway, StoreUnusable, or one of the signals of this module."""
        client = self._streams if operation in _STREAM_OPERATIONS else self._tables
        method: Callable[..., dict[str, Any]] = getattr(client, operation)
        try:
            return method(**request)
        except botocore.ClientError as error:
            raise self._refusal(error, request) from error
        except botocore.BotoCoreError as error:
            raise self._translated(error) from error

    def _refusal(self, error: Any, request: Mapping[str, Any]) -> Exception:  # noqa: ANN401 - botocore has no types
        code, message = (str(error.response["Error"].get(key, "")) for key in ("Code", "Message"))
        if code == "ConditionalCheckFailedException":
            return ConditionFailed(message, error.response.get("Item"))
        if code in _SIGNALS:
            return _SIGNALS[code](message)
        if code == "ResourceNotFoundException":
            missing = request.get("TableName") or request.get("StreamArn") or "the resource"
            return TableMissing(
                f"{missing} does not exist in {self._where}; create it with `wattfall tables create`, or name its"
                " region and prefix"
            )
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _AWAY or status >= 500:
            return StoreAway(f"DynamoDB in {self._where} is too busy at the moment ({code})")
        return StoreUnusable(f"DynamoDB in {self._where}: {_MENDS.get(code, f'{code}: {message}')}")

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, _NO_CREDENTIALS):
            return StoreUnusable(
                f"AWS credentials are not available ({error}); set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret"
            )
        if isinstance(error, botocore.NoRegionError):
            return StoreUnusable("no AWS region is named; write dynamodb://PREFIX?region=eu-west-2")
        if isinstance(error, botocore.HTTPClientError | botocore.ConnectionError):
            return StoreAway(f"DynamoDB in {self._where} cannot be reached; check the network and the region ({error})")
        return StoreUnusable(f"DynamoDB in {self._where} cannot be used: {error}")


_STREAM_OPERATIONS = {"describe_stream", "get_shard_iterator", "get_records"}


def _is_aws(client: Any) -> bool:  # noqa: ANN401 - botocore has no types
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    return "amazonaws.com" in host or host.endswith(".aws")


# Batches
WRITES, READS = 25, 100  # items in one call
TRIES = 8
PAUSE_S = 0.05  # doubled for each retry


def write_items(client: DynamoClient, table: str, requests: Iterable[dict[str, Any]]) -> None:
    """Put and delete items in any order; durable on return. Raises StoreAway."""
    for some in _pieces(requests, WRITES):
        left: dict[str, Any] = {table: some}
        for _ in _tries(table):
            left = client.call("batch_write_item", RequestItems=left).get("UnprocessedItems", {})
            if not left:
                break


def read_items(client: DynamoClient, table: str, keys: Iterable[Item], *, is_consistent: bool) -> list[Item]:
    """Return the existing items with these keys, in any order. Raises StoreAway."""
    found: list[Item] = []
    for some in _pieces(keys, READS):
        left: dict[str, Any] = {table: {"Keys": some, "ConsistentRead": is_consistent}}
        for _ in _tries(table):
            answer = client.call("batch_get_item", RequestItems=left)
            found += answer["Responses"].get(table, [])
            left = answer.get("UnprocessedKeys", {})
            if not left:
                break
    return found


def _pieces(rows: Iterable[Item], size: int) -> Iterator[list[Item]]:
    left = iter(rows)
    while some := list(islice(left, size)):
        yield some


def _tries(table: str) -> Iterator[None]:
    """Yield attempts with growing pauses; raise StoreAway after the last."""
    for number in range(TRIES):
        yield
        time.sleep(PAUSE_S * 2**number)
    raise StoreAway(f"{table} left items of a batch unprocessed {TRIES} times in a row; it is too busy at the moment")
