"""Comparing: two checkpoints to numbers."""
