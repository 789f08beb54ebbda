"""Imports of history from files: recognise the format, parse and sort rows, plan, write, report.

May import intake, formats, waterfall, store, tariffs and core. Begin with `importing.py`.
"""
