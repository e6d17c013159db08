"""What names mean: one constant per architecture."""
