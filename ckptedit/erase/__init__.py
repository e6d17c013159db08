"""Erasing concepts: vectors to a delta."""
