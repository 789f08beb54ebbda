"""Domain values and rules: errors, periods, money, readings, registers, energy, documents. Pure.

It imports no other room, reads no clock and does no I/O. Begin with `readings.py` and `periods.py`, then
`registers.py` (what is a gap), `faults.py` (which readings are believed), `timeline.py` (which evidence decides) and
`energy.py`.
"""
