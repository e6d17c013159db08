"""Vectors to pictures."""
