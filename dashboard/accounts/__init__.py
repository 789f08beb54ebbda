"""Who is signed in, and who may see what: accounts, passwords, sessions, OpenID Connect, throttling.

May import `aggregator` and text. Begin with `access.py`, the one place that decides.
"""
