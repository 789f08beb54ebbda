"""Sign-in and access: accounts, passwords, sessions, OpenID Connect, throttling, mail; many accounts at once.

May import `aggregator` and text. Begin with `access.py`; it alone decides who may see which device.
"""
