"""The household's pages: all devices, one device, tiles, charts, downloads.

May import web, accounts, charts and text. Begin with `page_callbacks.py`.
"""
