"""Surfaces: extraction, smoothing, boxes, measures and pictures of them."""
