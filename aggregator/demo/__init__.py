"""Simulated homes: their meters, connections, statuses, tariffs and faults.

May import intake, support, waterfall, store, tariffs and core. Begin with `simulator.py`;
only `feed.py` writes to a store.
"""
