"""One case from file to result folder."""
