"""CT of the trunk: bone and lesions outlined, lesions listed, slices classified.

A series goes through a 2D segmenter slice by slice (thesis, chapter 4) as small images; everything that looks at the
series as a whole works on those, and only the outlines of what was found are drawn on the CT's own grid.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from osteon.data import Answer, Mask, Notice, Region, SliceScores, named
from osteon.data.options import Progress, silent
from osteon.data.provenance import Clock
from osteon.errors import InputError, NotThisTaskError, UnknownLabelError, WeightsError
from osteon.geometry import Box, axial_turn
from osteon.ops.lesions import LesionOptions, grown
from osteon.ops.runs import smooth_scores, stretches
from osteon.ops.series_images import SeriesImages, SliceFrame, series_images, slice_step
from osteon.systems.ct_metastasis import text
from osteon.systems.ct_metastasis.search import (
    LEAST_BONE_HU,
    ImageOptions,
    clean_maps,
    map_series,
    measure_lesions,
    trunk_surfaces,
)
from osteon.weights import MapOutput, Maps, find_card

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from osteon.data import Volume
    from osteon.geometry import Turn
    from osteon.predict.predictor import Predictor
    from osteon.systems.ct_metastasis.options import Options
    from osteon.systems.ct_metastasis.search import CleanMaps, Segmenter, TrunkSearch
    from osteon.systems.ct_metastasis.text import Lesion
    from osteon.weights import ModelCard

__all__ = ["DEFAULT_SEGMENTER", "DEFAULT_SLICE_MODEL", "SLICE_TASK", "TASK", "answer"]

TASK = "ct_metastasis"
SLICE_TASK = "ct_metastasis_slices"
DEFAULT_SEGMENTER = "hybrid_attunetpp_small.phantom"
DEFAULT_SLICE_MODEL = "mobilenet_v2.trunk_phantom"
REGION = "skeleton"
IMAGES_AT_ONCE = 64

THICK_SLICES_MM = 3.0
LEAST_BONE_MM3 = 1000.0
LEAST_METAL_MM3 = 50.0
LEAST_CONTRAST_ML = 1.0
BONE_SEEN_HU = 150.0
"""Somewhere in its cortex every bone is at least this dense."""


def answer(
    volume: Volume,
    options: Options,
    progress: Progress = silent,
    *,
    segmenter: Segmenter | None = None,
    classifier: Predictor | None = None,
) -> Answer:
    """Read a CT of the trunk.

    Args:
        volume: CT in HU, axial slices.
        options: device, model (the segmenter), threshold (of its lesion map).
        progress: called at every step.
        segmenter: a model at hand, which gives the maps "bone" and "lesion"; None for the one that the options name.
        classifier: of whole slices, beside a segmenter at hand; None leaves that to the outlines.

    Raises:
        InputError: no CT, no HU, values that are not numbers.
        NotThisTaskError: no bone in the field of view, or slices that are not axial.
        UnknownLabelError: the model is not installed.
        WeightsError: it is not a segmentation model, was changed, or does not reproduce its golden output.
        BackendError: the device or runtime is not at hand.
    """
    _require_ct(volume)
    clock = Clock()
    notices: tuple[Notice, ...] = ()
    if segmenter is None:
        with clock.step("load model"):
            segmenter = _load_segmenter(options)
            classifier, notices = _load_classifier(options)
    turn = _turn(volume)
    array, spacing_mm = turn.array(volume.array), turn.grid(volume.grid).spacing_mm
    lesion_options = _lesion_options(segmenter.card, options)
    images, clean = _searched(array, spacing_mm, segmenter, (options, lesion_options), clock, progress)
    progress("lesions", 1, 2)
    with clock.step("outline and measure"):
        bone, lesions = np.zeros((2, *volume.grid.shape), dtype=np.uint8)
        search = measure_lesions(
            array,
            images,
            clean,
            spacing_mm=spacing_mm,
            bone_out=turn.array(bone),
            lesions_out=turn.array(lesions),
            options=lesion_options,
            to_head=bool(volume.grid.directions[0, 2] > 0),
        )
    progress("lesions", 2, 2)
    with clock.step("classify slices"):
        scores = _scores(images, clean, search, classifier, lesion_options, spacing_mm, progress)
    with clock.step("surfaces"):
        surfaces = trunk_surfaces(
            clean.bone | (clean.maps.labels > 0),
            images,
            grid=turn.grid(volume.grid),
            lesions_mask=turn.array(lesions),
            lesions=search.lesions,
            progress=progress,
        )
    labels = text.lesion_labels(search, volume)
    told, findings = text.describe(search, labels, volume, turn=turn)
    masks = [Mask(bone, volume.grid, labels=(text.bone_label(volume),), name=text.BONE_MASK)]
    if told:
        masks.append(Mask(lesions, volume.grid, labels=labels, name=text.LESION_MASK))
    uses = (segmenter.use(), *(() if classifier is None else (classifier.use(),)))
    return Answer(
        task=TASK,
        headline=text.headline(told, scores, least_mm3=lesion_options.min_volume_mm3, not_listed=search.too_small),
        status="positive" if told else "negative",
        findings=(*findings, text.describe_bone(masks[0])),
        regions=_regions(bone),
        masks=named(masks),
        surfaces=named(surfaces),
        models=uses,
        notices=(*notices, *_notices(volume, images, clean, search, told, lesion_options)),
        configuration=_configuration(options, lesion_options, images, segmenter, classifier),
        seconds=clock.seconds,
        detail=text.LesionReading(
            (scores,) if scores.slices.size else (), lesions=told, reference_bone=search.reference_bone
        ),
    )


def _searched(
    array: NDArray[np.int16] | NDArray[np.float32],
    spacing_mm: tuple[float, float, float],
    segmenter: Segmenter,
    options: tuple[Options, LesionOptions],
    clock: Clock,
    progress: Progress,
) -> tuple[SeriesImages, CleanMaps]:
    """The images of a series, and what its maps hold that is clean.

    Raises:
        InputError: no HU, values that are not numbers.
        NotThisTaskError: no bone, and it is not forced.
    """
    system_options, lesion_options = options
    with clock.step("prepare slices", progress, "preparing the slices"):
        card = segmenter.card
        made = ImageOptions() if card is None else card.image.parameters_of(ImageOptions, name=card.name)
        size_step, step = card.image.size_step if card else 16, slice_step(spacing_mm[0], pixel_mm=made.pixel_mm)
        images = series_images(
            array, spacing_mm, window_hu=made.window_hu, pixel_mm=made.pixel_mm, size_step=size_step, step=step
        )
        low, high = float(images.lowest_hu.min()), float(images.highest_hu.max())
        if low >= 0 and high <= 255:
            raise InputError(
                f"{TASK} reads CT in Hounsfield units, found values from {low:g} to {high:g}, as in an 8-bit picture: "
                "give the CT itself (pictures of the public data set become a data set with `osteon dataset`)"
            )
        if high < BONE_SEEN_HU and not system_options.force:
            raise _no_bone(f"no voxel reaches {BONE_SEEN_HU:.0f} HU")
    with clock.step("segment"):
        maps = map_series(images, segmenter, size_step=size_step, progress=progress)
    progress("lesions", 0, 2)
    with clock.step("find lesions"):
        clean = clean_maps(images, maps, options=lesion_options)
    bone_mm3 = np.count_nonzero(clean.bone) * float(np.prod(images.spacing_mm))
    if bone_mm3 < LEAST_BONE_MM3 and not system_options.force:
        raise _no_bone("the network marks less than 1 ml of bone")
    return images, clean


def _require_ct(volume: Volume) -> None:
    if volume.modality != "CT" or volume.unit not in ("", "HU"):
        found = volume.modality or "an image without a modality"
        unit = f" in {volume.unit}" if volume.unit else ""
        raise InputError(f"{TASK} reads CT in Hounsfield units, found {found}{unit}: choose a CT series")


def _turn(volume: Volume) -> Turn:
    """Rows to the back and columns to the left; slices stay in their order, so that slice numbers are the volume's."""
    turn = axial_turn(volume.grid)
    if turn.order[0] != 0:
        raise NotThisTaskError(
            f"{TASK} reads axial slices; the slices of this series follow one another along another axis of the "
            "patient (a sagittal or coronal reformat): choose the axial series of the study"
        )
    return replace(turn, flipped=(False, *turn.flipped[1:]))


def _no_bone(reason: str) -> NotThisTaskError:
    return NotThisTaskError(
        f"No bone in the field of view: {reason}, so there is nothing for {TASK} to read. Choose a series that shows "
        "bone, or force it (--force) if you know better"
    )


def _load_segmenter(options: Options) -> Segmenter:
    from osteon.predict.predictor import Predictor

    name = options.model or DEFAULT_SEGMENTER
    try:
        card = find_card(name)
    except UnknownLabelError as error:
        raise UnknownLabelError(f"{TASK} needs a segmentation model; name one with --model: {error}") from error
    if not isinstance(card.output, Maps):
        raise WeightsError(
            f"{TASK} needs a segmentation model (maps of bone and lesions), but {card.name} is a classifier of task "
            f"{card.task}: name another one with --model (`osteon models list` shows them)"
        )
    return Predictor.load(card, device=options.device)


def _load_classifier(options: Options) -> tuple[Predictor | None, tuple[Notice, ...]]:
    """The slice classifier, where one is installed."""
    from osteon.predict.predictor import Predictor

    try:
        card = find_card(DEFAULT_SLICE_MODEL)
    except UnknownLabelError:
        said = (
            f"No classifier of whole slices is installed ({DEFAULT_SLICE_MODEL}): slices are classified by the "
            "outlines alone."
        )
        return None, (Notice("no-slice-classifier", said),)
    if card.task != SLICE_TASK:
        raise WeightsError(f"{card.name} is of task {card.task}; the slices of {TASK} need one of task {SLICE_TASK}")
    return Predictor.load(card, device=options.device), ()


def _lesion_options(card: ModelCard | None, options: Options) -> LesionOptions:
    """Thresholds and least volume of the card; a threshold among the options takes precedence for lesions."""
    maps = {each.name: each for each in card.maps.maps} if card else {}
    lesion, bone = (maps.get(name, MapOutput(name)) for name in ("lesion", "bone"))
    threshold = options.threshold if options.threshold is not None else lesion.threshold
    plain = LesionOptions(threshold=threshold, bone_threshold=bone.threshold)
    return plain if lesion.least_mm3 is None else replace(plain, min_volume_mm3=lesion.least_mm3)


def _scores(
    images: SeriesImages,
    clean: CleanMaps,
    search: TrunkSearch,
    classifier: Predictor | None,
    options: LesionOptions,
    spacing_mm: tuple[float, float, float],
    progress: Progress,
) -> SliceScores:
    """Scores of the slices that the network was shown and that hold bone, by outlines and, if there is one, classifier.

    Without a classifier the highest of the lesion map stands in for its probability.
    """
    areas = np.zeros(int(images.slices[-1]) + 1, dtype=np.float32)
    for one in search.lesions:
        first, stop = one.shape.start[0], min(one.shape.stop[0], areas.size)
        areas[first:stop] += one.shape.areas[: stop - first] * spacing_mm[1] * spacing_mm[2]
    near = grown(clean.bone, options.near_bone_mm / images.pixel_mm)
    peak = np.where(near, clean.maps.lesion, np.uint8(0)).max(axis=(1, 2)).astype(np.float32) / np.float32(255)
    shown = clean.bone.any(axis=(1, 2)) & (images.highest_hu >= LEAST_BONE_HU)
    at, area_mm2 = np.flatnonzero(shown), areas[images.slices]
    outlined = area_mm2 >= options.slice_area_mm2
    by_outlines = SliceScores(
        region=REGION,
        slices=images.slices[at],
        probability=peak[at],
        smoothed=peak[at],
        threshold=options.threshold,
        runs=_runs(outlined & shown, images),
        source="segmentation",
        by_segmentation=outlined[at],
        lesion_area_mm2=area_mm2[at],
    )
    if classifier is None:
        return by_outlines
    point = classifier.operating_point()
    found = classifier.scores(_blocks(images, at, classifier.size), progress=progress, total=int(at.size))
    probability = np.zeros(shown.shape, dtype=np.float32)
    probability[at] = found.positive
    smoothed = smooth_scores(probability, present=shown, sigma=point.gaussian_sigma_slices, median=point.median_slices)
    return replace(
        by_outlines,
        probability=found.positive,
        smoothed=smoothed[at],
        threshold=point.threshold,
        runs=_runs((smoothed >= np.float32(point.threshold)) & shown, images),
        source="classifier",
        spread=found.positive_spread,
        distance=found.distance,
    )


def _runs(flags: NDArray[np.bool_], images: SeriesImages) -> tuple[tuple[int, int], ...]:
    """Runs of images as half-open ranges of slices."""
    return tuple((int(images.slices[a]), int(images.slices[b - 1]) + 1) for a, b in stretches(flags))


def _blocks(images: SeriesImages, at: NDArray[np.int64], size: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
    """Images of the classifier's size, 0 to 1, in blocks: the same pixels, cut or padded around the same centre."""
    rows, columns = (
        slice((whole - scaled) // 2, (whole - scaled) // 2 + scaled)
        for whole, scaled in zip(images.frame.size, images.frame.scaled, strict=True)
    )
    frame = SliceFrame(source=images.frame.scaled, scaled=images.frame.scaled, size=size)
    for first in range(0, at.size, IMAGES_AT_ONCE):
        some = images.grey[at[first : first + IMAGES_AT_ONCE], rows, columns]
        yield frame.images(np.ascontiguousarray(some)).astype(np.float32) / np.float32(255)


def _regions(bone: NDArray[np.uint8]) -> tuple[Region, ...]:
    """The skeleton as one region; none where there is no bone."""
    present = np.asarray(bone.any(axis=(1, 2)))
    if not present.any():
        return ()
    flat = bone.max(axis=0)
    used = [np.flatnonzero(line) for line in (present, flat.any(axis=1), flat.any(axis=0))]
    first, second, third = ((int(line[0]), int(line[-1]) + 1) for line in used)
    box = Box(start=(first[0], second[0], third[0]), stop=(first[1], second[1], third[1]))
    return (Region(name=REGION, box=box, present=present),)


def _notices(
    volume: Volume,
    images: SeriesImages,
    clean: CleanMaps,
    search: TrunkSearch,
    lesions: tuple[Lesion, ...],
    options: LesionOptions,
) -> Iterator[Notice]:
    yield from _notices_of_slices(volume, images)
    if images.metal is not None and images.metal_mm3 >= LEAST_METAL_MM3:
        yield text.metal_notice(images, lesions)
    if clean.contrast_ml >= LEAST_CONTRAST_ML:
        where = images.slices[np.flatnonzero(clean.contrast_images)]
        said = (
            f"The network took {clean.contrast_ml:.0f} ml for bone or lesion that is even inside and has no cortex, "
            f"as vessels, bowel or bladder filled with contrast agent are (slices {where[0] + 1} to {where[-1] + 1}): "
            "it was left out."
        )
        yield Notice("contrast-left-out", said, level="warning")
    if search.too_small:
        said = f"Lesions smaller than {options.min_volume_mm3:.0f} mm3 are not listed; {search.too_small} were found."
        yield Notice("small-lesions", said)
    if clean.lesions_left_out:
        said = f"More than 255 lesions were found: {clean.lesions_left_out} of the smallest are not listed."
        yield Notice("too-many-lesions", said, level="warning")
    if lesions and search.reference_bone is None:
        said = "Too little cancellous bone outside lesions was seen: none could be classified as lytic or sclerotic."
        yield Notice("no-reference-bone", said, level="warning")


def _notices_of_slices(volume: Volume, images: SeriesImages) -> Iterator[Notice]:
    """What the slices themselves do not let one see."""
    slice_mm = volume.grid.spacing_mm[0]
    step = int(images.slices[1] - images.slices[0]) if images.slices.size > 1 else 1
    if volume.grid.shape[0] == 1:
        said = (
            "The series holds a single slice: lesions are outlined in it, but volumes are area times slice thickness, "
            "diameters are those of the slice, and nothing is known of what is above and below."
        )
        yield Notice("single-slice", said, level="warning")
    elif slice_mm > THICK_SLICES_MM:
        said = (
            f"Slices are {slice_mm:.1f} mm apart: lesions below {2 * slice_mm:.0f} mm may be missed or measured "
            "wrongly, and volumes and diameters along the slice axis are good to a slice at best."
        )
        yield Notice("thick-slices", said, level="warning")
    if step > 1:
        said = (
            f"Slices are {slice_mm:.2f} mm apart, closer than the pixels of the network ({images.pixel_mm:.2f} mm): "
            f"it was shown every {_ORDINALS.get(step, f'{step}th')} slice, and its maps are linear between them."
        )
        yield Notice("slices-taken", said)


_ORDINALS = {2: "second", 3: "third"}


def _configuration(
    options: Options,
    lesion_options: LesionOptions,
    images: SeriesImages,
    segmenter: Segmenter,
    classifier: Predictor | None,
) -> dict[str, object]:
    maps = segmenter.card.maps.maps if segmenter.card else ()
    chosen = None if options.threshold is None else "chosen for this reading"
    return {
        "force": options.force,
        "model": options.model or DEFAULT_SEGMENTER,
        "slice_model": None if classifier is None else classifier.name,
        "lesions": asdict(lesion_options),
        "lesion_connectivity": 26,
        "probability": "mean of the upper half of the lesion map inside the lesion",
        "threshold_source": chosen or next((each.source for each in maps if each.name == "lesion"), ""),
        "window_hu": list(images.window_hu),
        "pixel_mm": images.pixel_mm,
        "images": list(images.grey.shape),
    }
