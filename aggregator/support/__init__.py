"""The support domain: device state, diagnostics, the fleet, the audit, and the actions of staff.

May import intake, waterfall, store, tariffs and core. Begin with `actions.py` and `diagnostics.py`.
"""
