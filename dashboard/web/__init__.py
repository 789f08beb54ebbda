"""What every page shares of HTTP: guards, headers, static files, compression, the cache, templates, `POST /ingest`.

May import accounts and text. Begin with `request_guard.py`.
"""
