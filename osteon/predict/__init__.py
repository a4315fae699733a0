"""Models that run: the predictor and its engines, heat maps, and which images are out of distribution."""
