"""Erasure of a household: its plan, its steps, the proof that nothing is left, and requests that wait for their day.

May import support, intake, waterfall, store and core. Begin with `erasing.py`.
"""
