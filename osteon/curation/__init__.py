"""What is wrong with a data set before it is trained on: duplicates, label conflicts, quality, leakage; and splits."""
