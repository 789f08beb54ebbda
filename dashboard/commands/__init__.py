"""The commands that have a screen: `web`, `demo`, `user`, and the `wattfall` command itself.

May import every room. Begin with `main.py`.
"""
