"""The bone of any CT: outlined and in 3D, implants apart. No model takes part, and nothing is said of disease."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from osteon.data import Answer, SliceReading, named
from osteon.data.options import silent
from osteon.data.provenance import Clock
from osteon.errors import InputError, NotThisTaskError
from osteon.ops.hu_check import hu_faults, require_checks
from osteon.ops.skeleton import skeleton_of
from osteon.report.skeleton import (
    bone_told,
    describe_skeleton,
    skeleton_masks,
    skeleton_notices,
    skeleton_region,
    skeleton_surfaces,
)

if TYPE_CHECKING:
    from osteon.data import Volume
    from osteon.data.options import Progress
    from osteon.systems.bone.options import Options

__all__ = ["TASK", "answer"]

TASK = "bone"


def answer(volume: Volume, options: Options, progress: Progress = silent) -> Answer:
    """Find the bone of a CT.

    Args:
        volume: CT in HU of any part of the body; axes in any order.
        options: whether to read what is not in HU.
        progress: called at every step.

    Raises:
        InputError: no CT, no HU, values that are not numbers.
        NotThisTaskError: there is no bone in it.
    """
    if volume.modality != "CT" or volume.unit not in ("", "HU"):
        found = volume.modality or "an image without a modality"
        raise InputError(
            f"{TASK} reads CT in Hounsfield units, found {found} {volume.unit}: choose a CT series".rstrip()
        )
    clock = Clock()
    checked = require_checks(hu_faults(volume.array), wanted="a CT in Hounsfield units", force=options.force)
    with clock.step("bone mask", progress, "bone"):
        skeleton = skeleton_of(volume)
        masks = skeleton_masks(skeleton, volume)
    if not skeleton.bone.any() and not options.force:
        low, high = float(np.min(volume.array)), float(np.max(volume.array))
        raise NotThisTaskError(
            f"No bone in the field of view: of the values from {low:.0f} to {high:.0f} HU none belongs to something as "
            "dense as bone and shaped like it. Choose a series that shows bone, or force an empty result (--force)"
        )
    with clock.step("surfaces", progress, "surfaces"):
        surfaces = skeleton_surfaces(masks)
    return Answer(
        task=TASK,
        headline=bone_told(masks[0]),
        status="not_assessed",
        findings=tuple(describe_skeleton(masks)),
        regions=skeleton_region(masks[0]),
        masks=named(masks),
        surfaces=named(surfaces),
        notices=(*checked, *skeleton_notices(skeleton, masks)),
        configuration=asdict(options),
        seconds=clock.seconds,
        detail=SliceReading(),
    )
