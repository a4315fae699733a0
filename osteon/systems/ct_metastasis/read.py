"""CT of the trunk: bone and lesions outlined, lesions listed, slices classified.

The bone is found without a network. For the lesions a series goes through a 2D segmenter slice by slice (thesis,
chapter 4) as small images; everything that looks at the series as a whole works on those, and only the outlines of what
was found are drawn on the CT's own grid.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.data import Answer, Mask, Notice, SliceScores, named
from osteon.data.options import Progress, silent
from osteon.data.provenance import Clock
from osteon.data.system import NO_MODEL, ood_sentence, silent_notice
from osteon.errors import InputError, NotThisTaskError, UnknownLabelError, WeightsError
from osteon.geometry import axial_turn
from osteon.ops.hu_check import hu_faults, require_checks, trunk_faults
from osteon.ops.lesions import LesionOptions, grown
from osteon.ops.runs import smooth_scores, stretches
from osteon.ops.series_images import SeriesImages, SliceFrame, series_images, slice_step
from osteon.ops.skeleton import skeleton_of
from osteon.predict.predictor import Predictor, may_speak
from osteon.report.skeleton import (
    LEAST_CONTRAST_ML,
    REGION,
    bone_told,
    describe_skeleton,
    skeleton_masks,
    skeleton_notices,
    skeleton_region,
    skeleton_surfaces,
)
from osteon.systems.ct_metastasis import text
from osteon.systems.ct_metastasis.search import (
    LEAST_BONE_HU,
    ImageOptions,
    clean_maps,
    lesion_surfaces,
    map_series,
    measure_lesions,
)
from osteon.weights import MapOutput, Maps, find_card

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from osteon.data import RegionOod, Volume
    from osteon.geometry import Turn
    from osteon.predict.predictor import Scores
    from osteon.systems.ct_metastasis.options import Options
    from osteon.systems.ct_metastasis.search import CleanMaps, Segmenter, TrunkSearch
    from osteon.systems.ct_metastasis.text import Lesion
    from osteon.weights import ModelCard, OperatingPoint

__all__ = [
    "DEFAULT_SEGMENTER",
    "DEFAULT_SLICE_MODEL",
    "SLICE_TASK",
    "TASK",
    "ClassifiedSlices",
    "answer",
    "classify_slices",
    "network_images",
]

TASK = "ct_metastasis"
SLICE_TASK = "ct_metastasis_slices"
DEFAULT_SEGMENTER = "hybrid_attunetpp_small.phantom"
DEFAULT_SLICE_MODEL = "mobilenet_v2.trunk_phantom"
IMAGES_AT_ONCE = 64

THICK_SLICES_MM = 3.0
LEAST_BONE_MM3 = 1000.0
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
    """Read a CT of the trunk. The bone is found without a network; where no model may speak, it is all that is told.

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
    turn = _turn(volume)
    with clock.step("check the input"):
        faults = hu_faults(volume.array) or trunk_faults(volume)
        wanted = "a CT of the trunk in Hounsfield units"
        notices = tuple(require_checks(faults, wanted=wanted, force=options.force))
    if segmenter is None:
        card = _segmenter_card(options)
        if may_speak(card, volume, demo_on_patient=options.demo_on_patient):
            with clock.step("load model"):
                segmenter = Predictor.load(card, device=options.device)
                classifier, told = _load_classifier(volume, options)
                notices = (*notices, *told)
        else:
            notices = (*notices, silent_notice(card.name))
    with clock.step("prepare slices", progress, "preparing the slices"):
        images = network_images(turn.array(volume.array), turn.grid(volume.grid).spacing_mm, segmenter, options)
    with clock.step("bone mask", progress, "bone"):
        skeleton = skeleton_of(volume)
    masks = skeleton_masks(skeleton, volume)
    bone_mm3 = np.count_nonzero(skeleton.bone) * volume.grid.voxel_volume_mm3
    if bone_mm3 < LEAST_BONE_MM3 and not options.force:
        raise _no_bone("less than 1 ml is as dense as bone and shaped like it")
    notices = (*notices, *skeleton_notices(skeleton, masks))
    series = _Series(volume, turn, images, masks, skeleton.implant)
    if segmenter is not None:
        return _assessed(series, options, segmenter, classifier, notices, clock, progress)
    return replace(
        _bone_alone(series, clock),
        headline=f"{NO_MODEL} {bone_told(masks[0])}",
        notices=(*notices, *_notices_of_slices(volume, images, seen=False)),
        configuration=_options_told(options),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Series:
    """A CT with the bone that was found in it without a network."""

    volume: Volume
    turn: Turn
    images: SeriesImages
    masks: tuple[Mask, ...]
    implant: NDArray[np.bool_]

    @property
    def array(self) -> NDArray[np.int16] | NDArray[np.float32]:
        """HU with rows to the back and columns to the left."""
        return self.turn.array(self.volume.array)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Of ``array``."""
        return self.turn.grid(self.volume.grid).spacing_mm

    def on_images(self, mask: NDArray[Any]) -> NDArray[np.bool_]:
        """A mask of the volume on the images."""
        turned, frame = self.turn.array(mask), self.images.frame
        return np.stack(
            [frame.images((turned[k] > 0).astype(np.uint8)[None] * np.uint8(255))[0] >= 128 for k in self.images.slices]
        )


def _bone_alone(series: _Series, clock: Clock) -> Answer:
    """What is told where no lesion is: the bone."""
    with clock.step("surfaces"):
        surfaces = skeleton_surfaces(series.masks)
    return Answer(
        task=TASK,
        headline="",
        status="not_assessed",
        findings=tuple(describe_skeleton(series.masks)),
        regions=skeleton_region(series.masks[0]),
        masks=named(series.masks),
        surfaces=named(surfaces),
        seconds=clock.seconds,
        detail=text.LesionReading(),
    )


def _assessed(
    series: _Series,
    options: Options,
    segmenter: Segmenter,
    classifier: Predictor | None,
    notices: tuple[Notice, ...],
    clock: Clock,
    progress: Progress,
) -> Answer:
    """What the models say of a series; of one that is out of distribution the bone, unless more is asked for."""
    own = series.on_images(series.masks[0].array)
    with clock.step("classify slices"):
        slices = classify_slices(series.images, own, classifier, progress)
    lesion_options, ood = _lesion_options(segmenter.card, options), slices.ood
    if ood is not None and ood.is_ood and not options.report_ood:
        found = replace(
            _bone_alone(series, clock),
            headline=f"{ood_sentence('the series', ood, report_ood=False)} {bone_told(series.masks[0])}",
            status="abstained",
            notices=tuple(_notices_of_slices(series.volume, series.images, seen=False)),
            detail=text.LesionReading(slices.withheld()),
        )
    else:
        found = _lesions(series, lesion_options, segmenter, slices, own, clock, progress)
        if ood is not None and ood.is_ood:
            found = replace(found, headline=f"{found.headline} {ood_sentence('the series', ood, report_ood=True)}")
    told = text.ood_notices(ood, report_ood=options.report_ood)
    return replace(
        found,
        regions=tuple(replace(one, ood=ood) for one in found.regions),
        models=(segmenter.use(), *(() if classifier is None else (classifier.use(),))),
        notices=(*notices, *told, *found.notices),
        configuration=_configuration(options, lesion_options, series.images, segmenter, classifier),
    )


def _lesions(
    series: _Series,
    lesion_options: LesionOptions,
    segmenter: Segmenter,
    slices: ClassifiedSlices,
    own: NDArray[np.bool_],
    clock: Clock,
    progress: Progress,
) -> Answer:
    """Lesions outlined, measured and listed; ``own`` is the bone on the images."""
    volume, turn, images, spacing_mm = series.volume, series.turn, series.images, series.spacing_mm
    implant = series.on_images(series.implant)
    with clock.step("segment"):
        size_step = segmenter.card.image.size_step if segmenter.card else 16
        maps = map_series(images, segmenter, size_step=size_step, progress=progress)
    progress("lesions", 0, 2)
    with clock.step("find lesions"):
        clean = clean_maps(images, maps, own, implant, options=lesion_options)
    progress("lesions", 1, 2)
    with clock.step("outline and measure"):
        lesions = np.zeros(volume.grid.shape, dtype=np.uint8)
        search = measure_lesions(
            series.array,
            images,
            clean,
            spacing_mm=spacing_mm,
            implant=turn.array(series.implant),
            lesions_out=turn.array(lesions),
            options=lesion_options,
            to_head=bool(volume.grid.directions[0, 2] > 0),
        )
        bone = replace(series.masks[0], array=np.maximum(series.masks[0].array, np.minimum(lesions, np.uint8(1))))
    progress("lesions", 2, 2)
    scores = _scores(images, clean, search, slices, lesion_options, spacing_mm)
    skeleton = (bone, *series.masks[1:])
    with clock.step("surfaces"):
        surfaces = (
            *skeleton_surfaces(skeleton),
            *lesion_surfaces(turn.array(lesions), search.lesions, grid=turn.grid(volume.grid), progress=progress),
        )
    labels = text.lesion_labels(search, volume)
    told, findings = text.describe(search, labels, volume, turn=turn)
    masks = list(skeleton)
    if told:
        masks.append(Mask(lesions, volume.grid, labels=labels, name=text.LESION_MASK))
    return Answer(
        task=TASK,
        headline=text.headline(told, least_mm3=lesion_options.min_volume_mm3, not_listed=search.too_small),
        status="positive" if told else "negative",
        findings=(*findings, *describe_skeleton(skeleton, tail=" Lesions are included." if told else "")),
        regions=skeleton_region(bone),
        masks=named(masks),
        surfaces=named(surfaces),
        notices=tuple(_notices(series, clean, search, told, scores, lesion_options)),
        seconds=clock.seconds,
        detail=text.LesionReading(
            (scores,) if scores.slices.size else (),
            lesions=told,
            reference_bone=search.reference_bone,
            not_listed=search.too_small,
        ),
    )


def network_images(
    array: NDArray[np.int16] | NDArray[np.float32],
    spacing_mm: tuple[float, float, float],
    segmenter: Segmenter | None,
    options: Options,
) -> SeriesImages:
    """The images of a series as the segmenter's card wants them; None stands for the defaults.

    Raises:
        InputError: no HU, values that are not numbers.
        NotThisTaskError: no bone, and it is not forced.
    """
    card = segmenter.card if segmenter else None
    made = ImageOptions() if card is None else card.image.parameters_of(ImageOptions, name=card.name)
    size_step, step = card.image.size_step if card else 16, slice_step(spacing_mm[0], pixel_mm=made.pixel_mm)
    images = series_images(
        array, spacing_mm, window_hu=made.window_hu, pixel_mm=made.pixel_mm, size_step=size_step, step=step
    )
    if float(images.highest_hu.max()) < BONE_SEEN_HU and not options.force:
        raise _no_bone(f"no voxel reaches {BONE_SEEN_HU:.0f} HU")
    return images


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


def _segmenter_card(options: Options) -> ModelCard:
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
    return card


def _load_classifier(volume: Volume, options: Options) -> tuple[Predictor | None, tuple[Notice, ...]]:
    """The slice classifier, where one is installed and may speak."""
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
    if not may_speak(card, volume, demo_on_patient=options.demo_on_patient):
        return None, (silent_notice(card.name),)
    return Predictor.load(card, device=options.device), ()


def _lesion_options(card: ModelCard | None, options: Options) -> LesionOptions:
    """Thresholds and least volume of the card; a threshold among the options takes precedence for lesions."""
    maps = {each.name: each for each in card.maps.maps} if card else {}
    lesion, bone = (maps.get(name, MapOutput(name)) for name in ("lesion", "bone"))
    threshold = options.threshold if options.threshold is not None else lesion.threshold
    plain = LesionOptions(threshold=threshold, bone_threshold=bone.threshold)
    return plain if lesion.least_mm3 is None else replace(plain, min_volume_mm3=lesion.least_mm3)


@dataclass(frozen=True, slots=True, eq=False)
class ClassifiedSlices:
    """What the classifier says of the images that hold bone; with no classifier only which those are."""

    images: SeriesImages
    at: NDArray[np.int64]
    shown: NDArray[np.bool_]
    found: Scores | None = None
    smoothed: NDArray[np.float32] | None = None
    point: OperatingPoint | None = None
    ood: RegionOod | None = None

    def scores(self) -> SliceScores:
        """Of the classifier alone.

        Raises:
            WeightsError: there is none.
        """
        if self.found is None or self.smoothed is None or self.point is None:
            raise WeightsError("no classifier scored the slices")
        return SliceScores(
            region=REGION,
            slices=self.images.slices[self.at],
            probability=self.found.positive,
            smoothed=self.smoothed[self.at],
            threshold=self.point.threshold,
            runs=_runs((self.smoothed >= np.float32(self.point.threshold)) & self.shown, self.images),
            source="classifier",
            spread=self.found.positive_spread,
            distance=self.found.distance,
        )

    def withheld(self) -> tuple[SliceScores]:
        """The scores of a series that is out of distribution: runs are kept, and not reported."""
        found = self.scores()
        return (replace(found, runs=(), withheld_runs=found.runs),)


def classify_slices(
    images: SeriesImages, bone: NDArray[np.bool_], classifier: Predictor | None, progress: Progress
) -> ClassifiedSlices:
    """Scores of the slices that hold bone, and whether they are out of distribution; bone is on the images."""
    shown = bone.any(axis=(1, 2)) & (images.highest_hu >= LEAST_BONE_HU)
    at = np.flatnonzero(shown)
    if classifier is None or not at.size:
        return ClassifiedSlices(images, at, shown)
    point = classifier.operating_point()
    found = classifier.scores(_blocks(images, at, classifier.size), progress=progress, total=int(at.size))
    probability = np.zeros(shown.shape, dtype=np.float32)
    probability[at] = found.positive
    smoothed = smooth_scores(probability, present=shown, sigma=point.gaussian_sigma_slices, median=point.median_slices)
    return ClassifiedSlices(images, at, shown, found, smoothed, point, classifier.ood(found.distance))


def _scores(
    images: SeriesImages,
    clean: CleanMaps,
    search: TrunkSearch,
    slices: ClassifiedSlices,
    options: LesionOptions,
    spacing_mm: tuple[float, float, float],
) -> SliceScores:
    """Scores of the slices that hold bone, by outlines and, if there is one, by the classifier.

    Without a classifier the highest of the lesion map stands in for its probability.
    """
    areas = np.zeros(int(images.slices[-1]) + 1, dtype=np.float32)
    for one in search.lesions:
        first, stop = one.shape.start[0], min(one.shape.stop[0], areas.size)
        areas[first:stop] += one.shape.areas[: stop - first] * spacing_mm[1] * spacing_mm[2]
    at, area_mm2 = slices.at, areas[images.slices]
    outlined = area_mm2 >= options.slice_area_mm2
    if slices.found is not None:
        return replace(slices.scores(), by_segmentation=outlined[at], lesion_area_mm2=area_mm2[at])
    near = grown(clean.bone, options.near_bone_mm / images.pixel_mm)
    peak = np.where(near, clean.maps.lesion, np.uint8(0)).max(axis=(1, 2)).astype(np.float32) / np.float32(255)
    return SliceScores(
        region=REGION,
        slices=images.slices[at],
        probability=peak[at],
        smoothed=peak[at],
        threshold=options.threshold,
        runs=_runs(outlined & slices.shown, images),
        source="segmentation",
        by_segmentation=outlined[at],
        lesion_area_mm2=area_mm2[at],
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


def _notices(
    series: _Series,
    clean: CleanMaps,
    search: TrunkSearch,
    lesions: tuple[Lesion, ...],
    scores: SliceScores,
    options: LesionOptions,
) -> Iterator[Notice]:
    images = series.images
    yield from _notices_of_slices(series.volume, images)
    yield from text.slices_notice(scores)
    if len(series.masks) > 1:
        yield text.metal_notice(lesions)
    if clean.contrast_ml >= LEAST_CONTRAST_ML:
        where = images.slices[np.flatnonzero(clean.contrast_images)]
        said = (
            f"The network took {clean.contrast_ml:.0f} ml for bone or lesion that is even inside and has no cortex, "
            f"as vessels, bowel or bladder filled with contrast agent are (slices {where[0] + 1} to {where[-1] + 1}): "
            "it was left out."
        )
        yield Notice("contrast-left-out", said, level="warning")
    if search.too_small:
        found = "one was" if search.too_small == 1 else f"{search.too_small} were"
        said = f"Lesions smaller than {options.min_volume_mm3:.0f} mm3 are not listed; {found} outlined."
        yield Notice("small-lesions", said)
    if clean.lesions_left_out:
        said = f"More than 255 lesions were found: {clean.lesions_left_out} of the smallest are not listed."
        yield Notice("too-many-lesions", said, level="warning")
    if lesions and search.reference_bone is None:
        said = "Too little cancellous bone outside lesions was seen: none could be classified as lytic or sclerotic."
        yield Notice("no-reference-bone", said, level="warning")


def _notices_of_slices(volume: Volume, images: SeriesImages, *, seen: bool = True) -> Iterator[Notice]:
    """What the slices themselves do not let one see; ``seen``: a network saw them."""
    slice_mm = volume.grid.spacing_mm[0]
    step = int(images.slices[1] - images.slices[0]) if images.slices.size > 1 else 1
    if volume.grid.shape[0] == 1:
        said = (
            "The series holds a single slice: what is outlined lies in it, but volumes are area times slice thickness, "
            "diameters are those of the slice, and nothing is known of what is above and below."
        )
        yield Notice("single-slice", said, level="warning")
    elif slice_mm > THICK_SLICES_MM:
        said = (
            f"Slices are {slice_mm:.1f} mm apart: lesions below {2 * slice_mm:.0f} mm may be missed or measured "
            "wrongly, and volumes and diameters along the slice axis are good to a slice at best."
        )
        yield Notice("thick-slices", said, level="warning")
    if step > 1 and seen:
        said = (
            f"Slices are {slice_mm:.2f} mm apart, closer than the pixels of the network ({images.pixel_mm:.2f} mm): "
            f"it was shown every {_ORDINALS.get(step, f'{step}th')} slice, and its maps are linear between them."
        )
        yield Notice("slices-taken", said)


_ORDINALS = {2: "second", 3: "third"}


def _options_told(options: Options) -> dict[str, object]:
    return {
        "force": options.force,
        "report_ood": options.report_ood,
        "demo_on_patient": options.demo_on_patient,
        "model": options.model or DEFAULT_SEGMENTER,
    }


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
        **_options_told(options),
        "slice_model": None if classifier is None else classifier.name,
        "lesions": asdict(lesion_options),
        "lesion_connectivity": 26,
        "probability": "mean of the upper half of the lesion map inside the lesion",
        "threshold_source": chosen or next((each.source for each in maps if each.name == "lesion"), ""),
        "window_hu": list(images.window_hu),
        "pixel_mm": images.pixel_mm,
        "images": list(images.grey.shape),
    }
