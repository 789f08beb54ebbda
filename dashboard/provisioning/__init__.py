"""Provisioning: many devices, households and people from one CSV file, in the command line and on the admin's page.

May import accounts, text and `aggregator`. Begin with `provisioning.py`; `provision_rows.py` has the columns.
"""
