"""Device formats: one pure module for each, from bytes to readings and statuses.

May import core only. Begin with `catalogue.py`: a new format is one module and one row there.
"""
