"""The pages of account managers at `/admin`: devices, households and people, one by one and from a file.

May import web, provisioning, accounts and text. Begin with `admin_pages.py`; no energy is read here.
"""
