"""The Dash app: reads documents and draws them. It computes no aggregate.

Rooms, from the top: `commands`, `app.py` and `server.py`, `pages`, `api`, `web`, `accounts`, `charts`,
`text`. A room imports only rooms below it, and `aggregator`. Begin with `app.py`.
"""
