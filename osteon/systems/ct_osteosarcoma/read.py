"""CT of the legs: which slices look like osteosarcoma, how far they reach, and the bone in 3D.

The steps are those of the paper (spec ct-osteosarcoma, sections 3, 7 and 8): legs are found, every slice of a leg is
cropped, normalised and classified, the scores are smoothed and thresholded, and the runs of positive slices become
findings with a box. Where in a slice the tumour is is not asked: the box is as wide as the leg.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import Answer, HeatMap, Region, SliceReading, SliceScores, named
from osteon.data.options import Progress, silent
from osteon.data.provenance import Clock
from osteon.data.system import silent_notice
from osteon.errors import NotThisTaskError
from osteon.mesh import box_surface, extract_parts, smooth_taubin, split_between_slices
from osteon.ops.bone import BoneOptions, refine_bone, segment_bone
from osteon.ops.crops import leg_crops
from osteon.ops.hu_check import hu_faults, require_checks
from osteon.ops.legs import find_legs
from osteon.ops.runs import positive_runs, smooth_scores
from osteon.predict.predictor import Predictor, may_speak, set_names
from osteon.systems.ct_osteosarcoma import text
from osteon.weights import find_card

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from osteon.data import Notice, Surface, Volume
    from osteon.data.options import Progress
    from osteon.ops.bone import BoneMask
    from osteon.ops.legs import Leg
    from osteon.systems.ct_osteosarcoma.options import Options
    from osteon.weights import OperatingPoint

__all__ = ["DEFAULT_MODEL", "TASK", "answer", "classify_leg", "slices_to_explain"]


TASK = "ct_osteosarcoma"
DEFAULT_MODEL = "mobilenet_v2.phantom"

CROPS_AT_ONCE: Final = 64
"""Slices cropped and classified at a time: 16 MiB of 256 x 256 float32."""

BOX_EDGE_MM = 1.5


def answer(volume: Volume, options: Options, progress: Progress = silent) -> Answer:
    """Read a CT of the legs.

    Args:
        volume: CT in HU, slices across the legs.
        options: device, model, threshold and the ways to find legs and measure filters.
        progress: called at every step.

    Raises:
        NotThisTaskError: the volume does not look like legs, and options do not force it.
        WeightsError: the model is missing, changed or does not reproduce its golden output.
        BackendError: the device or runtime is not at hand.
    """
    clock = Clock()
    card = find_card(options.model or DEFAULT_MODEL)
    speaks = may_speak(card, volume, demo_on_patient=options.demo_on_patient)
    with ThreadPoolExecutor(1) as beside:  # loading waits for the disk and for OpenVINO
        loading = beside.submit(Predictor.load, card, device=options.device) if speaks else None
        with clock.step("find legs", progress, "finding the legs"):
            wanted = "the legs of a CT in Hounsfield units"
            checked = require_checks(hu_faults(volume.array), wanted=wanted, force=options.force)
            try:
                search = find_legs(volume, mode=options.roi, force=options.force)
            except NotThisTaskError as error:  # the other system for CT is named: nothing chooses it silently
                other = "Bone metastases of the trunk are read with --task ct_metastasis"
                raise NotThisTaskError(f"{error}. {other}") from error
        with clock.step("load model"):
            classifier = loading.result() if loading else None
    bone_options = BoneOptions(units="mm" if options.bone == "paper-mm" else "voxel")
    point = classifier.operating_point(options.threshold) if classifier else None
    readings, notices = [], [*checked, *search.notices]
    if classifier is None:
        notices.append(silent_notice(card.name))
    for leg in search.legs:
        territory = leg.mask()
        region, scores = Region(leg.name, leg.box, leg.present), no_scores(leg.name)
        if classifier is not None and point is not None:
            with clock.step("classify slices"):
                region, scores = classify_leg(
                    volume,
                    leg,
                    classifier,
                    territory=territory,
                    point=point,
                    report_ood=options.report_ood,
                    progress=progress,
                )
        with clock.step("bone mask", progress, f"bone of the {leg.name}"):
            bone = _bone(volume, leg, territory, bone_options, fine=options.bone == "fine")
        notices += [notice for notice in bone.notices if notice not in notices]
        readings.append(text.LegReading(leg.side, region, territory, scores, bone.parts))
    notices += text.ood_notices(readings, report_ood=options.report_ood)
    heat_maps: tuple[HeatMap, ...] = ()
    if classifier is not None:
        with clock.step("heat maps", progress, "heat maps"):
            pairs = [(leg, reading.scores) for leg, reading in zip(search.legs, readings, strict=True)]
            heat_maps, told = _leg_heat_maps(volume, pairs, classifier)
        notices += told
    with clock.step("surfaces"):
        surfaces = [s for reading in readings for s in _leg_surfaces(reading, volume, progress=progress)]
    masks = text.masks_of(readings, volume)
    measured = text.bone_headline(readings, volume)
    return Answer(
        task=TASK,
        headline=text.headline(readings, volume, report_ood=options.report_ood) if classifier else measured,
        status=text.status_of(readings, report_ood=options.report_ood) if classifier else "not_assessed",
        findings=(
            *(finding for reading in readings for finding in text.describe_runs(reading, masks, volume)),
            *(text.describe_bone(reading, masks[0], volume) for reading in readings),
        ),
        regions=tuple(reading.region for reading in readings),
        masks=named(masks),
        surfaces=named(surfaces),
        models=(classifier.use(),) if classifier else (),
        notices=tuple(notices),
        configuration=_configuration(options, bone_options, point),
        seconds=clock.seconds,
        detail=SliceReading(tuple(reading.scores for reading in readings if classifier), heat_maps),
    )


def _bone(volume: Volume, leg: Leg, territory: NDArray[np.bool_], options: BoneOptions, *, fine: bool) -> BoneMask:
    """The paper's chain and, for fine bone, a second look at what it found."""
    array, spacing_mm = volume.array[leg.box.slices], volume.grid.spacing_mm
    bone = segment_bone(array, spacing_mm=spacing_mm, keep=territory, options=options)
    if not fine:
        return bone
    return refine_bone(array, bone, spacing_mm=spacing_mm, keep=territory, min_part_mm3=options.min_part_mm3)


def no_scores(region: str) -> SliceScores:
    """Of a region that no model was asked of."""
    nothing = np.zeros(0, dtype=np.float32)
    return SliceScores(region, np.zeros(0, dtype=np.int64), nothing, nothing, threshold=1.0, runs=())


def _configuration(options: Options, bone: BoneOptions, point: OperatingPoint | None) -> dict[str, object]:
    smoothing = point and {
        "gaussian_sigma_slices": point.gaussian_sigma_slices,
        "median_slices": point.median_slices,
        "order": "gaussian, median, threshold",
    }
    return {
        "roi": options.roi,
        "force": options.force,
        "model": options.model or DEFAULT_MODEL,
        "threshold": point and point.threshold,
        "threshold_source": point and point.source,
        "report_ood": options.report_ood,
        "demo_on_patient": options.demo_on_patient,
        "smoothing": smoothing,
        "bone": options.bone,
        "bone_chain": asdict(bone),
    }


def classify_leg(
    volume: Volume,
    leg: Leg,
    classifier: Predictor,
    *,
    territory: NDArray[np.bool_],
    point: OperatingPoint,
    report_ood: bool = False,
    progress: Progress,
) -> tuple[Region, SliceScores]:
    """Scores of one leg: crops in blocks through a classifier, then smoothing and threshold.

    Where the model knows its limits, the median distance of the leg's slices from its training images decides whether
    it may speak: of a leg unlike all of them no run is reported, unless that is asked for.
    """
    slices = np.flatnonzero(leg.present)

    def blocks() -> Iterator[NDArray[np.float32]]:
        for first in range(0, slices.size, CROPS_AT_ONCE):
            yield _crops_of(volume, leg, slices[first : first + CROPS_AT_ONCE], classifier, territory=territory)

    found = classifier.scores(blocks(), progress=progress, total=int(slices.size))
    probability = np.zeros(leg.present.shape, dtype=np.float32)
    probability[slices] = found.positive
    smoothed = smooth_scores(
        probability, present=leg.present, sigma=point.gaussian_sigma_slices, median=point.median_slices
    )
    runs = positive_runs(smoothed, threshold=point.threshold, present=leg.present)
    ood = classifier.ood(found.distance)
    is_withheld = ood is not None and ood.is_ood and not report_ood
    sets, limits = found.pair_sets, classifier.limits
    scores = SliceScores(
        region=leg.name,
        slices=slices.astype(np.int64),
        probability=found.positive,
        smoothed=smoothed[slices],
        threshold=point.threshold,
        runs=() if is_withheld else runs,
        withheld_runs=runs if is_withheld else (),
        spread=found.positive_spread,
        distance=found.distance,
        sets=() if sets is None else set_names(sets, negative="healthy", positive="tumour"),
        error_rate=None if limits is None or limits.sets is None else limits.sets.alpha,
    )
    return Region(name=leg.name, box=leg.box, present=leg.present, ood=ood), scores


def _crops_of(
    volume: Volume, leg: Leg, slices: NDArray[np.int64], classifier: Predictor, *, territory: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Crops of some slices of a leg, of the size that the classifier takes."""
    some = np.zeros_like(leg.present)
    some[slices] = True
    return leg_crops(volume.array, leg.box, some, size=classifier.size[0], keep=territory)


def slices_to_explain(scores: SliceScores) -> NDArray[np.int64]:
    """The most suspicious slice of every run, or of the whole region where none was predicted; ascending."""
    found = []
    for first, stop in scores.runs:
        inside = np.flatnonzero((scores.slices >= first) & (scores.slices < stop))
        found.append(scores.slices[inside[_highest(scores, inside)]])
    if not scores.runs and scores.slices.size:
        found.append(scores.slices[_highest(scores, np.arange(scores.slices.size))])
    return np.array(found, dtype=np.int64)


def _leg_heat_maps(
    volume: Volume, legs: Sequence[tuple[Leg, SliceScores]], classifier: Predictor
) -> tuple[tuple[HeatMap, ...], tuple[Notice, ...]]:
    """Where the model saw the positive class, the mean over members, in the slices of ``slices_to_explain``.

    Returns:
        The maps, and a notice when they could not be made.
    """
    found: list[HeatMap] = []
    for leg, scores in legs:
        slices = slices_to_explain(scores)
        if not slices.size:
            continue
        crops = _crops_of(volume, leg, slices, classifier, territory=leg.mask())
        heat, told = classifier.heat_maps(crops)
        if heat is None:
            return (), told
        _, height, width = (count * step for count, step in zip(leg.box.shape, volume.grid.spacing_mm, strict=True))
        found += [
            HeatMap(
                region=leg.name,
                slice_index=int(index),
                crop=crop,
                heat=one,
                extent_mm=(height, width),
                is_predicted=any(first <= index < stop for first, stop in scores.runs),
                members=len(classifier.card.members) if classifier.card else 1,
            )
            for index, crop, one in zip(slices, crops, heat, strict=True)
        ]
    return tuple(found), ()


def _highest(scores: SliceScores, places: NDArray[np.intp]) -> int:
    """Which of some slices has the highest smoothed probability, the highest own one among equals."""
    order = np.lexsort((scores.probability[places], np.round(scores.smoothed[places], 3)))
    return int(order[-1])


def _leg_surfaces(reading: text.LegReading, volume: Volume, *, progress: Progress) -> list[Surface]:
    """The bone of one leg, piece by piece, smoothed; in every run the affected part of a piece and a box.

    Returns:
        Surfaces named ``bone_left_1``, ``bone_left_1_affected_1``, ``tumour_box_left_1``; ``bone_1`` where the side is
        not known.
    """
    side = "" if reading.side == "unknown" else f"_{reading.side}"
    grid = volume.grid.crop(reading.region.box.start, reading.region.box.stop)
    pieces = extract_parts(reading.bone_parts, grid, name=f"bone{side}")
    surfaces: list[Surface] = []
    step = f"surface of the {reading.region.name}"
    for number, piece in enumerate(pieces, start=1):
        surfaces += _cut(smooth_taubin(piece), reading, volume)
        progress(step, number, len(pieces))
    for number, run in enumerate(reading.scores.runs, start=1):
        corners = text.run_box(reading, run).corners_lps_mm(volume.grid)
        surfaces.append(box_surface(corners, name=f"tumour_box{side}_{number}", thickness_mm=BOX_EDGE_MM))
    return surfaces


def _cut(piece: Surface, reading: text.LegReading, volume: Volume) -> list[Surface]:
    """The affected parts of a piece, run by run, after what is left of it."""
    from dataclasses import replace

    affected = []
    rest = piece
    for number, run in enumerate(reading.scores.runs, start=1):
        part, rest = split_between_slices(rest, volume.grid, first_slice=run[0], last_slice=run[1] - 1)
        affected.append(replace(part, name=f"{piece.name}_affected_{number}"))
    return [surface for surface in (rest, *affected) if surface.faces.size]
