"""Settings and calls for the tests of this folder: trainings that are over in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.systems.ct_metastasis.recipe import SEGMENTER, SLICES
from osteon.systems.ct_osteosarcoma.recipe import RECIPE as LEGS
from osteon.systems.mri_femur.recipe import RECIPE as FEMUR
from osteon.train.fold import fit_fold
from osteon.train.objective import FoldData
from osteon.train.objectives.classify import CLASSIFY

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Manifest, Split
    from osteon.train.run_folder import FoldResult
    from osteon.train.settings import ClassifySettings, SegmentSettings

_SMALL = {"image_size": 32, "epochs": 3, "threads": 1, "device": "cpu"}
"""Threads: one, or the machine's other work makes torch wait for itself."""


def legs(**values: Any) -> ClassifySettings:  # noqa: ANN401 - of any setting
    """Settings of slices of a leg."""
    return LEGS.settings(values)


def femur(**values: Any) -> ClassifySettings:  # noqa: ANN401 - of any setting
    """Settings of lesions of the femur."""
    return FEMUR.settings(values)


def slices(**values: Any) -> ClassifySettings:  # noqa: ANN401 - of any setting
    """Settings of slices of the trunk."""
    return SLICES.settings(values)


def segmenter(**values: Any) -> SegmentSettings:  # noqa: ANN401 - of any setting
    """Settings of maps of the trunk."""
    return SEGMENTER.settings(values)


QUICK = legs(architecture="densenet_small", strategy="scratch", batch=8, learning_rate=1e-3, **_SMALL)
QUICK_SEGMENTER = segmenter(architecture="hybrid_attunetpp_small", batch=4, augments=False, **_SMALL)


def fit(
    manifest: Manifest,
    split: Split,
    fold: int,
    settings: ClassifySettings,
    folder: Path,
    *,
    drop: NDArray[np.int64] | None = None,
    cache: Path | None = None,
    **told: Any,  # noqa: ANN401 - progress and on_epoch
) -> FoldResult:
    """Train a fold of a classifier."""
    pixels = CLASSIFY.load(manifest, settings, cache)
    data = FoldData(
        manifest=manifest,
        split=split,
        pixels=pixels,
        cache=cache,
        drops={fold: np.empty(0, dtype=np.int64) if drop is None else drop},
        **told,
    )
    return fit_fold(CLASSIFY, data, fold, settings, folder)
