"""Files of history: recognise, read, plan, write, report.

May import intake, formats, waterfall, store, tariffs and core. Begin with `importing.py`.
"""
