"""The edge: store readings at the home, send each half hour as one block, and announce devices to Home Assistant.

May import intake, formats, waterfall, store and core. Begin with `edge.py`.
"""
