"""Scans of limbs without files, for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from osteon.curation.splits import make_split
from osteon.data import ImageRow, Manifest, Split
from osteon.train.pixels import Pixels
from osteon.train.views import neighbour_rows

Limbs = tuple[Manifest, Pixels, Split]

SIZE, SLICES, PATIENTS = 32, 6, 6
VIEW = (0.25, 0.875, 0.125, 1.0)
"""Rows 8 to 27 and columns 4 to 31."""


def toy_limbs() -> Limbs:
    """Scans whose tumour is a bright box of another size in each patient; slices are listed in disorder."""
    random = np.random.default_rng(2)
    rows, images, masks = [], [], []
    for patient in range(PATIENTS):
        top, left = random.integers(9, 13), random.integers(6, 12)
        high, wide = random.integers(8, 14, 2)
        for number in random.permutation(SLICES):
            mask = np.zeros((SIZE, SIZE), dtype=np.bool_)
            if 1 <= number < SLICES - 1:
                mask[top : top + high, left : left + wide] = True
            images.append(np.where(mask, 200, 80) + random.integers(-20, 20, mask.shape))
            masks.append(mask)
            extra = {"slice": str(number + 10), "pixel_mm": "2.0", "slice_mm": "3.0"}
            label = "tumour" if mask.any() else "normal"
            rows.append(
                ImageRow(image=f"{patient}-{number}.png", patient=f"p{patient}", label=label, series="s", extra=extra)
            )
    manifest = Manifest(Path("limbs"), tuple(rows))
    pixels = Pixels(
        np.stack(images).astype(np.uint8),
        masks={"lesion": np.stack(masks), "bone": np.zeros((len(rows), SIZE, SIZE), dtype=np.bool_)},
        around=neighbour_rows(manifest, 1),
        views=np.tile(VIEW, (len(rows), 1)),
    )
    return manifest, pixels, make_split(manifest, folds=3, seed=1, stratify="")
