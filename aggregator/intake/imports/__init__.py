"""Imports of history from files: recognise columns and figures, read and sort rows, plan, write, report.

May import intake, tables, formats, waterfall, store, tariffs and core. Begin with `importing.py`.
"""
