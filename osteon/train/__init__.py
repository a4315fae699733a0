"""Training and judging models: data sets, augmentation, loop, strategies, folds, export."""
