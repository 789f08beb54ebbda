"""The data waterfall: readings in, day, month and year documents out. It knows no screen.

Rooms, from the top: `commands`, `demo`, `aws`, `operations`, `support`, `intake`, `waterfall`, `store`, `tariffs`,
`core`. A room imports only rooms below it; import-linter holds that (`pyproject.toml`). Begin with `core/periods.py`,
then `waterfall/levels.py`, the one step that makes every chart.
"""
