"""From bytes to stored readings: ingest, refusals, statuses, tokens, limits, and the MQTT client.

May import waterfall, store and core. Begin with `ingest.py`; a device format is a module of `formats/`.
"""
