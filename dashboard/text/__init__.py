"""Languages; words, numbers and dates in them. Pure.

Imports nothing of `dashboard`; of `aggregator` only core. Begin with `language.py`.
"""
