"""The edge: store readings at the home and send each half hour as one block.

May import intake, formats, waterfall, store and core. Begin with `edge.py`; `home_assistant.py` announces devices at a broker of the home.
"""
