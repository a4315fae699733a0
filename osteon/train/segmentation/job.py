"""What one network of a fold is trained on: rows, maps, and the hash that says when two trainings are the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from osteon.data.split import PARTS, FoldRows
from osteon.errors import InputError
from osteon.nets.segmenter_description import SEQUENCES
from osteon.train.run_folder import digest
from osteon.train.segmentation.settings import NOT_DECISIVE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Manifest, Split
    from osteon.train.segmentation.mask_pixels import MaskPixels
    from osteon.train.segmentation.settings import SegmentSettings

__all__ = ["SegmentJob", "bone_job", "plan_segment_fold"]

_NOT_OF_BONE = frozenset({"architecture", "lesion_weight", "bone_weight", "pair_mask", "pair_trains_on"})
"""Settings that decide nothing about the bone network of a pair."""


@dataclass(frozen=True, slots=True)
class SegmentJob:
    """One network of a fold, ready to be trained.

    Attributes:
        manifest: of the data set.
        fold: number, from 0.
        role: "whole" where the fold has one network; of a pair "bone" or "lesion".
        network: name in ``SEGMENTERS``.
        outputs: names of its maps.
        rows: by part, without what cannot be read.
        has_lesion: (images of the manifest,) int64, 1 where there is a lesion.
        settings: of the training.
        folder: of its files.
        bone_weights: of the bone network, for the lesion network of a pair.
        cache: of the decoded images, or None.
        images: how many by part, and "unreadable".
        identity: hash of everything that decides the weights.
    """

    manifest: Manifest = field(repr=False)
    fold: int
    role: Literal["whole", "bone", "lesion"]
    network: str
    outputs: tuple[str, ...]
    rows: FoldRows
    has_lesion: NDArray[np.int64] = field(repr=False)
    settings: SegmentSettings
    folder: Path
    bone_weights: Path | None
    cache: Path | None
    images: dict[str, int]
    identity: str

    @property
    def steers(self) -> str:
        """The map by whose F1 the epoch is chosen."""
        return "bone" if self.role == "bone" else "lesion"

    @property
    def shared_name(self) -> str:
        """Name of the weights file of a bone network that several runs share: found by content, not by run."""
        return f"{self.network}-{self.fold}-{self.identity[:16]}.safetensors"

    @property
    def title(self) -> str:
        """What progress calls it."""
        return f"fold {self.fold}" if self.role == "whole" else f"fold {self.fold} {self.role}"


def plan_segment_fold(
    manifest: Manifest,
    split: Split,
    fold: int,
    settings: SegmentSettings,
    folder: Path,
    *,
    pixels: MaskPixels,
    areas: dict[str, NDArray[np.int64]],
    cache: Path | None = None,
) -> SegmentJob:
    """Decide what a fold learns from, chooses by and is judged by.

    Args:
        manifest: of the data set.
        split: folds of it.
        fold: number, from 0.
        settings: of the training.
        folder: for the fold's files.
        pixels: of the manifest; rows that could not be read are left out.
        areas: of ``mask_areas``.
        cache: of the decoded images, for several processes to share.

    Returns:
        The job of the fold's network; of a pair that of the lesion network, which still lacks ``bone_weights``.

    Raises:
        InputError: no such fold, or a part without what it needs.
    """
    if not 0 <= fold < len(split.folds):
        raise InputError(f"fold {fold} was asked for; the split has folds 0 to {len(split.folds) - 1}")
    whole = split.rows(manifest, fold)
    kept = {part: pixels.usable(getattr(whole, part)) for part in PARTS}
    rows = FoldRows(**kept)
    is_pair = settings.architecture in SEQUENCES
    _check(rows, areas, fold, settings)
    images = {part: len(kept[part]) for part in PARTS}
    images["unreadable"] = sum(len(getattr(whole, part)) for part in PARTS) - sum(images.values())
    decisive = {name: value for name, value in settings.document().items() if name not in NOT_DECISIVE}
    return SegmentJob(
        manifest=manifest,
        fold=fold,
        role="lesion" if is_pair else "whole",
        network=SEQUENCES[settings.architecture][1] if is_pair else settings.architecture,
        outputs=("lesion",) if is_pair else settings.outputs,
        rows=rows,
        has_lesion=(areas["lesion"] > 0).astype(np.int64),
        settings=settings,
        folder=folder,
        bone_weights=None,
        cache=cache,
        images=images,
        identity=digest([decisive, fold, _content(manifest, rows, areas)]),
    )


def bone_job(job: SegmentJob, areas: dict[str, NDArray[np.int64]]) -> SegmentJob:
    """The job of the bone network that a pair's lesion network needs first.

    Args:
        job: of ``plan_segment_fold``, for a pair.
        areas: of ``mask_areas``.

    Returns:
        A job whose hash settings of the lesion network do not change.
    """
    settings = job.settings
    network = SEQUENCES[settings.architecture][0]
    decisive = {name: value for name, value in settings.document().items() if name not in NOT_DECISIVE | _NOT_OF_BONE}
    identity = digest([decisive, job.fold, "bone", network, _content(job.manifest, job.rows, areas)])
    return SegmentJob(
        manifest=job.manifest,
        fold=job.fold,
        role="bone",
        network=network,
        outputs=("bone",),
        rows=job.rows,
        has_lesion=job.has_lesion,
        settings=settings,
        folder=job.folder / "bone",
        bone_weights=None,
        cache=job.cache,
        images=job.images,
        identity=identity,
    )


def _content(manifest: Manifest, rows: FoldRows, areas: dict[str, NDArray[np.int64]]) -> list[object]:
    """Which images are in which part, and how much is marked on them: masks that were drawn anew are other data."""
    found: list[object] = []
    for part in PARTS:
        chosen = getattr(rows, part)
        found.append([manifest.rows[int(row)].image for row in chosen])
        found.append([areas[name][chosen].tolist() for name in ("lesion", "bone")])
    return found


def _check(rows: FoldRows, areas: dict[str, NDArray[np.int64]], fold: int, settings: SegmentSettings) -> None:
    for name in settings.outputs:
        for part in ("train", "validation"):
            if not areas[name][getattr(rows, part)].any():
                raise InputError(
                    f"fold {fold} has no pixel of {name} in its {part} part: the masks are missing or empty; name them "
                    "in the manifest (osteon dataset ct_metastasis), or split with fewer folds"
                )
    if len(rows.test) == 0:
        raise InputError(f"fold {fold} has no readable image in its test part: there is nothing to judge by")
    if len(rows.validation) < settings.devices:
        raise InputError(f"fold {fold} has fewer validation images than devices ({settings.devices}): use fewer")
