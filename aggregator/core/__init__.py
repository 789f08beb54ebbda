"""Domain values and rules: errors, periods, money, readings, registers, energy, documents. Pure.

It imports no other room, reads no clock and does no I/O. Begin with `readings.py` and `periods.py`, then
`registers.py` (which readings count, how a gap is bridged) and `energy.py`.
"""
