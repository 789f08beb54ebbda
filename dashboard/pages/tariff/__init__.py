"""The tariff page: its form, the check of the form, and a preview of the changed past.

May import web, accounts, charts and text. Begin with `tariff_page.py`.
"""
