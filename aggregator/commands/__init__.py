"""The command line: one module for each group of commands. It parses options, calls a room below, prints.

May import every room of `aggregator`. Begin with `data_commands.py`; `console.py` holds what the commands share.
"""
