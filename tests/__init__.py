"""A package by name, so that no installed package predicted ``tests`` (torchstain brings one) hides it."""
