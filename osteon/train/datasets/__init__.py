"""Builders: from what a hospital or a phantom gives to a folder of images with a manifest."""
