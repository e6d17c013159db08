"""What merge methods share: cuts by magnitude, votes, random draws, inner products."""
