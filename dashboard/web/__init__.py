"""The shared HTTP layer: guards, headers, static files, compression, cache, templates, `POST /ingest`.

May import accounts and text. Begin with `request_guard.py`.
"""
