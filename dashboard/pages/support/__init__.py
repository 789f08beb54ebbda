"""Support at `/desk`: search, a device's page, the fleet, the audit, action forms.

May import web, accounts, charts and text; the actions are in `aggregator/support`. Begin with `support_pages.py`.
"""
