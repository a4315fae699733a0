"""Model cards and weights: list, verify, load."""
