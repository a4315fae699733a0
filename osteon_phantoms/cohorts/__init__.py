"""Synthetic cohorts as data sets."""
