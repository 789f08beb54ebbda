"""Clients of those services of AWS that are not the store; for that there is `store/dynamodb/dynamo_client.py`."""

from typing import Any

SECONDS = 20  # for any one call


def client(service: str, **options: str) -> Any:  # noqa: ANN401 - boto3 has no types
    """A boto3 client, as the standard AWS chain and variables have it, but for `options`."""
    import boto3  # type: ignore[import-untyped]  # noqa: TID251 - the other door to AWS, opened only where needed
    from botocore.config import Config  # type: ignore[import-untyped]  # noqa: TID251 - part of it

    config = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"mode": "standard", "max_attempts": 5})
    return boto3.client(service, config=config, **options)
