"""A page to look at and to forward: what was erased, what it cost, and how to repeat it.

One HTML file that fetches nothing. Whatever comes from files is text there, never markup.
"""
