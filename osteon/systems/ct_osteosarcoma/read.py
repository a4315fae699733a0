"""CT of the legs: which slices look like osteosarcoma, how far they reach, and the bone in 3D.

The steps are those of the paper (spec ct-osteosarcoma, sections 3, 7 and 8): legs are found, every slice of a leg is
cropped, normalised and classified, the scores are smoothed and thresholded, and the runs of positive slices become
findings with a box. Where in a slice the tumour lies is not asked: the box is as wide as the leg.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING

from osteon.data import Answer, SliceReading, named
from osteon.data.options import Progress, silent
from osteon.data.provenance import Clock
from osteon.errors import NotThisTaskError
from osteon.ops.bone import BoneOptions, refine_bone, segment_bone
from osteon.ops.legs import find_legs
from osteon.predict.predictor import Predictor
from osteon.systems.ct_osteosarcoma.slices import classify_leg, leg_heat_maps
from osteon.systems.ct_osteosarcoma.surfaces import leg_surfaces
from osteon.systems.ct_osteosarcoma.text import (
    LegReading,
    describe_bone,
    describe_runs,
    headline,
    masks_of,
    novelty_notices,
    status_of,
)
from osteon.weights import find_card

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from osteon.data import Volume
    from osteon.ops.bone import BoneMask
    from osteon.ops.legs import Leg, LegSearch
    from osteon.systems.ct_osteosarcoma.options import Options
    from osteon.weights import OperatingPoint

__all__ = ["DEFAULT_MODEL", "TASK", "answer"]

TASK = "ct_osteosarcoma"
DEFAULT_MODEL = "mobilenet_v2.phantom"


def answer(volume: Volume, options: Options, progress: Progress = silent) -> Answer:
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
    clock = Clock()
    with ThreadPoolExecutor(1) as beside:  # loading waits for the disk and for OpenVINO
        loading = beside.submit(Predictor.load, find_card(options.model or DEFAULT_MODEL), device=options.device)
        progress("finding the legs", 0, 1)
        with clock.step("find legs"):
            search = _find_legs(volume, options)
        progress("finding the legs", 1, 1)
        with clock.step("load model"):
            classifier = loading.result()
    bone_options = BoneOptions(units="mm" if options.bone == "paper-mm" else "voxel")
    point = classifier.operating_point(options.threshold)
    readings, notices = [], list(search.notices)
    for leg in search.legs:
        territory = leg.mask()
        with clock.step("classify slices"):
            region, scores = classify_leg(
                volume,
                leg,
                classifier,
                territory=territory,
                point=point,
                report_unlike=options.report_unlike,
                progress=progress,
            )
        progress(f"bone of the {leg.name}", 0, 1)
        with clock.step("bone mask"):
            bone = _bone(volume, leg, territory, bone_options, fine=options.bone == "fine")
        progress(f"bone of the {leg.name}", 1, 1)
        notices += [notice for notice in bone.notices if notice not in notices]
        readings.append(LegReading(leg.side, region, territory, scores, bone.parts))
    notices += novelty_notices(readings, report_unlike=options.report_unlike)
    progress("heat maps", 0, 1)
    with clock.step("heat maps"):
        pairs = [(leg, reading.scores) for leg, reading in zip(search.legs, readings, strict=True)]
        heat_maps, told = leg_heat_maps(volume, pairs, classifier)
    notices += told
    progress("heat maps", 1, 1)
    with clock.step("surfaces"):
        surfaces = [s for reading in readings for s in leg_surfaces(reading, volume, progress=progress)]
    masks = masks_of(readings, volume)
    use = classifier.use()
    return Answer(
        task=TASK,
        headline=headline(readings, volume, is_demo=use.is_demo),
        status=status_of(readings),
        findings=(
            *(finding for reading in readings for finding in describe_runs(reading, masks, volume)),
            *(describe_bone(reading, masks[0], volume) for reading in readings),
        ),
        regions=tuple(reading.region for reading in readings),
        masks=named(masks),
        surfaces=named(surfaces),
        models=(use,),
        notices=tuple(notices),
        configuration=_configuration(options, bone_options, point),
        seconds=clock.seconds,
        detail=SliceReading(tuple(reading.scores for reading in readings), heat_maps),
    )


def _find_legs(volume: Volume, options: Options) -> LegSearch:
    """The legs; where there are none, the other system for CT is named: nothing chooses it silently."""
    try:
        return find_legs(volume, mode=options.roi, force=options.force)
    except NotThisTaskError as error:
        raise NotThisTaskError(f"{error}. Bone metastases of the trunk are read with --task ct_metastasis") from error


def _bone(volume: Volume, leg: Leg, territory: NDArray[np.bool_], options: BoneOptions, *, fine: bool) -> BoneMask:
    """The paper's chain and, for fine bone, a second look at what it found."""
    array, spacing_mm = volume.array[leg.box.slices], volume.grid.spacing_mm
    bone = segment_bone(array, spacing_mm=spacing_mm, keep=territory, options=options)
    if not fine:
        return bone
    return refine_bone(array, bone, spacing_mm=spacing_mm, keep=territory, min_part_mm3=options.min_part_mm3)


def _configuration(options: Options, bone: BoneOptions, point: OperatingPoint) -> dict[str, object]:
    return {
        "roi": options.roi,
        "force": options.force,
        "model": options.model or DEFAULT_MODEL,
        "threshold": point.threshold,
        "threshold_source": point.source,
        "report_unlike": options.report_unlike,
        "smoothing": {
            "gaussian_sigma_slices": point.gaussian_sigma_slices,
            "median_slices": point.median_slices,
            "order": "gaussian, median, threshold",
        },
        "bone": options.bone,
        "bone_chain": asdict(bone),
    }
