"""A package by name, so that no installed package called ``tests`` (torchstain brings one) hides it."""
