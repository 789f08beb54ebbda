"""The store on DynamoDB, and the worker's change feed from its streams. Only `dynamo_client.py` imports boto3 here.

May import the port, tariffs and core. Begin with `dynamodb_store.py`; `items.py` documents the tables.
"""
