"""What networks call on a few images, as masks: for pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.data.options import silent
from osteon.train.engine import choose_device, torch_threads
from osteon.train.segmentation.judge import Judge
from osteon.train.segmentation.networks import kept_network

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Manifest
    from osteon.train.segmentation.mask_pixels import MaskPixels
    from osteon.train.segmentation.settings import SegmentSettings

__all__ = ["called_lesions"]


def called_lesions(
    manifest: Manifest, pixels: MaskPixels, settings: SegmentSettings, weights: Sequence[Path]
) -> NDArray[np.bool_]:
    """Lesions that networks call on all images of a manifest, their probabilities averaged.

    Args:
        manifest: of the images that are shown.
        pixels: of the same images.
        settings: of all networks.
        weights: one file a network; at least one.

    Returns:
        (n, row, column).

    Raises:
        WeightsError: weights are missing, damaged, or of another network.
    """
    here = settings.changed({"device": "cpu", "devices": 1, "precision": "32"})
    judge = Judge(
        networks=[kept_network(here, file) for file in weights],
        outputs=here.outputs,
        manifest=manifest,
        pixels=pixels,
        channels=here.channels,
        device=choose_device(here),
        progress=silent,
    )
    lesion = judge.outputs.index("lesion")
    rows = np.arange(len(manifest), dtype=np.int64)
    with torch_threads(here.threads):
        blocks = [maps[:, lesion] >= np.float32(here.threshold) for _, maps in judge.maps(rows, "pictures")]
    return np.concatenate(blocks)
