"""The embedded store: SQLite in WAL mode. Only `sqlite_file.py` imports sqlite3.

May import the port, tariffs and core. Begin with `sqlite_store.py`.
"""
