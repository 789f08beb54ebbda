"""The vocabulary: errors, periods, money, readings, blocks, energy, registers, documents. Pure.

Imports nothing of ours, asks no clock, does no I/O. Begin with `readings.py`, `periods.py` and `energy.py`.
"""
