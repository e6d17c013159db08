"""Merging: deltas to a delta."""
