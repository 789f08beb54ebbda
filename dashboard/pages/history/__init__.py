"""A home's history: upload a file, answer its questions, see what it holds, import it, undo the import.

May import web, accounts, text and the aggregator. Begin with `history_page.py`.
"""
