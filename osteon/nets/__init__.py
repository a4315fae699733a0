"""Torch modules and their registry; no files, no network."""
