"""Heads of histology tile classifiers: settings, pictures, features of a frozen base, grids of heads, cards."""
