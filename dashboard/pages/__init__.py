"""The pages: a folder for each, with its layout, its callbacks and its words.

May import web, accounts, charts and text. Begin with `household/page_callbacks.py`.
"""
