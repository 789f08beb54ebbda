"""The tariff page: its form, the check of the form, and the preview of what a change does to the past.

May import web, accounts, charts and text. Begin with `tariff_page.py`.
"""
