"""What staff need: device state, diagnostics, the fleet, the audit, and the actions that staff take.

May import intake, waterfall, store, tariffs and core. Begin with `actions.py` and `diagnostics.py`.
"""
