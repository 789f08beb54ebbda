"""The shared HTTP layer: guards, headers, static files, compression, cached reads, templates, `POST /ingest`.

May import accounts, charts and text. Begin with `request_guard.py`; every page reads through `cached_reads.py`.
"""
