"""Documents as figures, tables and sentences. Pure: `now` is an argument.

May import text and `aggregator.core`. Begin with `chart_model.py`.
"""
