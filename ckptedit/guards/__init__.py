"""What an edit may move: one file per guard."""
