"""Prices of energy: tariffs, rates, half-hourly prices, bills. Pure.

May import core only. Begin with `tariff.py`.
"""
