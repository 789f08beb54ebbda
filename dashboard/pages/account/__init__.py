"""Sign-in, sign-out, the account page, invitations, and visitors of the demo.

May import web, accounts and text. Begin with `sign_in_page.py`.
"""
