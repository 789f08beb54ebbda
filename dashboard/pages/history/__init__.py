"""A home's history: bring a file, answer its questions, see what it holds, take it in, take it back.

May import web, accounts, text and the aggregator. Begin with `history_page.py`.
"""
