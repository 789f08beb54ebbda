"""The `wattfall` command, and its subcommands with a screen: `web`, `demo`, `user`.

May import every room. Begin with `main.py`.
"""
