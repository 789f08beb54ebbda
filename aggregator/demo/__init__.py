"""Simulated homes: what their meters count, what they send and what they pay.

May import intake, support, waterfall, store, tariffs and core. Begin with `simulator.py`;
only `feed.py` writes to a store.
"""
