"""Pages for a browser: one template and style for all, and what they are filled with.

A page is one file that needs nothing else: no network, no script of others, no font.
"""
