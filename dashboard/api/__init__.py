"""The HTTP API: what a household's own programs read, as JSON and CSV, with a key or a session.

May import web, accounts, charts and text, and no page. Begin with `api_routes.py`: ADDRESSES has every address.
"""
