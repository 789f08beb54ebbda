"""The waterfall: levels and their step, the recompute window, pricing, the worker, verify, retention.

May import store, tariffs and core. Begin with `levels.py`, then `worker.py`.
"""
