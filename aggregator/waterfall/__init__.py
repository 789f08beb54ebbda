"""The waterfall: the levels and their one step, what a change must recompute, pricing, the worker, verify, retention.

May import store, tariffs and core. Begin with `levels.py`, then `worker.py`.
"""
