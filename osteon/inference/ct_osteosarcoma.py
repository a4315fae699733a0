"""CT of the legs: which slices look like osteosarcoma, how far they reach, and the bone in 3D.

The steps are those of the paper (spec ct-osteosarcoma, sections 3, 7 and 8): legs are found, every slice of a leg is
cropped, normalised and classified, the scores are smoothed and thresholded, and the runs of positive slices become
findings with a box. Where in a slice the tumour lies is not asked: the box is as wide as the leg.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from osteon.data import Answer, Region, SliceScores
from osteon.inference.leg_findings import LegReading, describe_bone, describe_runs, headline, masks_of
from osteon.inference.leg_surfaces import leg_surfaces
from osteon.inference.options import Progress, SystemOptions, silent
from osteon.inference.runtime import SliceClassifier
from osteon.ops.bone import BoneOptions, segment_bone
from osteon.ops.bone_detail import refine_bone
from osteon.ops.crops import leg_crops
from osteon.ops.legs import find_legs
from osteon.ops.runs import positive_runs, smooth_scores
from osteon.weights import find_card

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from osteon.data import Volume
    from osteon.ops.bone import BoneMask
    from osteon.ops.legs import Leg

__all__ = ["DEFAULT_MODEL", "TASK", "answer", "classify_leg"]

TASK = "ct_osteosarcoma"
DEFAULT_MODEL = "densenet_small.phantom"
SIGMA_SLICES = 2.0
MEDIAN_SLICES = 3
CROPS_AT_ONCE = 64
"""Slices cropped and classified at a time: 16 MiB of float32."""


class _Clock:
    """Seconds by step; a step that runs for each leg adds up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def answer(volume: Volume, options: SystemOptions, progress: Progress = silent) -> Answer:
    """Read a CT of the legs.

    Args:
        volume: CT in HU, slices across the legs.
        options: device, model, threshold and the ways to find legs and measure filters.
        progress: told about every step.

    Raises:
        NotThisTaskError: the volume does not look like legs, and options do not force it.
        WeightsError: the model is missing, changed or does not reproduce its golden output.
        BackendError: the device or runtime is not at hand.
    """
    clock = _Clock()
    progress("finding the legs", 0, 1)
    with clock.step("find legs"):
        search = find_legs(volume, mode=options.roi, force=options.force)
    progress("finding the legs", 1, 1)
    with clock.step("load model"):
        classifier = SliceClassifier.load(find_card(options.model or DEFAULT_MODEL), device=options.device)
    bone_options = BoneOptions(units="mm" if options.bone == "paper-mm" else "voxel")
    readings, notices = [], list(search.notices)
    for leg in search.legs:
        territory = leg.mask()
        with clock.step("classify slices"):
            scores = classify_leg(
                volume,
                leg,
                territory=territory,
                predict=lambda crops, total: classifier.predict(crops, progress=progress, total=total),
                threshold=options.threshold,
            )
        progress(f"bone of the {leg.name}", 0, 1)
        with clock.step("bone mask"):
            bone = _bone(volume, leg, territory, bone_options, fine=options.bone == "fine")
        progress(f"bone of the {leg.name}", 1, 1)
        notices += [notice for notice in bone.notices if notice not in notices]
        region = Region(name=leg.name, box=leg.box, present=leg.present)
        readings.append(LegReading(leg.side, region, territory, scores, bone.parts))
    with clock.step("surfaces"):
        surfaces = [s for reading in readings for s in leg_surfaces(reading, volume, progress=progress)]
    masks = masks_of(readings, volume)
    use = classifier.use()
    return Answer(
        task=TASK,
        headline=headline(readings, volume, is_demo=use.is_demo),
        findings=(
            *(finding for reading in readings for finding in describe_runs(reading, masks, volume)),
            *(describe_bone(reading, masks[0], volume) for reading in readings),
        ),
        regions=tuple(reading.region for reading in readings),
        scores=tuple(reading.scores for reading in readings),
        masks=masks,
        surfaces=tuple(surfaces),
        models=(use,),
        notices=tuple(notices),
        configuration=_configuration(options, bone_options),
        seconds=clock.seconds,
    )


def classify_leg(
    volume: Volume,
    leg: Leg,
    *,
    territory: NDArray[np.bool_],
    predict: Callable[[Iterator[NDArray[np.float32]], int], NDArray[np.float32]],
    threshold: float,
) -> SliceScores:
    """Scores of one leg: crops in blocks through a classifier, then the paper's filters and threshold.

    Args:
        volume: CT in HU.
        leg: of ``find_legs``.
        territory: ``leg.mask()``.
        predict: takes blocks of crops (n, 256, 256) and their total number; gives one probability each.
        threshold: on the smoothed probability.
    """
    slices = np.flatnonzero(leg.present)

    def blocks() -> Iterator[NDArray[np.float32]]:
        for first in range(0, slices.size, CROPS_AT_ONCE):
            some = np.zeros_like(leg.present)
            some[slices[first : first + CROPS_AT_ONCE]] = True
            yield leg_crops(volume.array, leg.box, some, keep=territory)

    probability = np.zeros(leg.present.shape, dtype=np.float32)
    probability[slices] = predict(blocks(), int(slices.size))
    smoothed = smooth_scores(probability, present=leg.present, sigma=SIGMA_SLICES, median=MEDIAN_SLICES)
    return SliceScores(
        region=leg.name,
        slices=slices.astype(np.int64),
        probability=probability[slices],
        smoothed=smoothed[slices],
        threshold=threshold,
        runs=positive_runs(smoothed, threshold=threshold, present=leg.present),
    )


def _bone(volume: Volume, leg: Leg, territory: NDArray[np.bool_], options: BoneOptions, *, fine: bool) -> BoneMask:
    """The paper's chain and, for fine bone, a second look at what it found."""
    array, spacing_mm = volume.array[leg.box.slices], volume.grid.spacing_mm
    bone = segment_bone(array, spacing_mm=spacing_mm, keep=territory, options=options)
    if not fine:
        return bone
    return refine_bone(array, bone, spacing_mm=spacing_mm, keep=territory, min_part_mm3=options.min_part_mm3)


def _configuration(options: SystemOptions, bone: BoneOptions) -> dict[str, object]:
    return {
        "roi": options.roi,
        "force": options.force,
        "model": options.model or DEFAULT_MODEL,
        "threshold": options.threshold,
        "smoothing": {
            "gaussian_sigma_slices": SIGMA_SLICES,
            "median_slices": MEDIAN_SLICES,
            "order": "gaussian, median, threshold",
        },
        "bone": options.bone,
        "bone_chain": asdict(bone),
    }
