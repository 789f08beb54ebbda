"""The edge: keeps readings at the home and sends each half hour as one block.

May import intake, formats, waterfall, store and core. Begin with `edge.py`.
"""
