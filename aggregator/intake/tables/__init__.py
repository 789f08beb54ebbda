"""A file's bytes as a table: archives, encodings, CSV, JSON, XML, Excel, NEM12, messages; and how cells write values.

May import formats and core. Begin with `structured.py`.
"""
