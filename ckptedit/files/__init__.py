"""Bytes on disk: the only room that opens a checkpoint."""
