"""MRI of the femur: is the lesion that a person marked benign or malignant.

The steps are those of the paper (spec mri-femur, section 2): a rectangle around the tumour, binarised and cleaned, its
box with a margin brought to the size of the network. What the paper only wishes for is added: a calibrated probability,
a prediction set, a word on whether the image is like those of training, and a heat map. The lesion is not looked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.data import Answer, ClassProbabilities, HeatMap, Region, SliceReading, SliceScores, named
from osteon.data.options import Progress, silent
from osteon.data.provenance import Clock
from osteon.errors import InputError, UnknownLabelError, WeightsError
from osteon.ops.mr_region import RegionOptions, lesion_crop, lesion_in_box, lesion_of_mask, normalise
from osteon.predict.predictor import Predictor
from osteon.predict.scores import set_names
from osteon.systems.mri_femur.mark import mark_lesion
from osteon.systems.mri_femur.text import (
    BENIGN,
    MALIGNANT,
    REGION,
    box_on_slice,
    describe,
    headline,
    lesion_mask,
    lesion_uid,
    modality_notices,
    region_notices,
    unlike_notices,
)
from osteon.weights import OperatingPoint, find_card

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data import Notice, Volume
    from osteon.ops.mr_region import MrRegion
    from osteon.predict.scores import Scores
    from osteon.systems.mri_femur.mark import LesionMark
    from osteon.systems.mri_femur.options import Options
    from osteon.weights import ModelCard

__all__ = ["CROP_FUNCTION", "DEFAULT_MODEL", "TASK", "answer", "read_lesion", "region_options"]

TASK = "mri_femur"
DEFAULT_MODEL = "mobilenet_v2.femur_mr_phantom"
CROP_FUNCTION = "osteon.ops.mr_region.lesion_crop"
"""What the card of a model names as its preprocessing; its parameters are margin_px, opening_px, closing_px, masked."""

EVEN_ODDS = OperatingPoint(0.5, 0.0, 1, "even odds: the card names no threshold")


def answer(volume: Volume, options: Options, progress: Progress = silent) -> Answer:
    """Judge one marked lesion.

    Args:
        volume: MR, one slice or a series of any plane; another modality is read with a warning.
        options: box or mask, slice number, device, model, threshold, report_unlike.
        progress: told about every step.

    Raises:
        InputError: no lesion is marked, or the mark does not fit the image.
        UnknownLabelError: the model is not installed.
        WeightsError: it is of another task, was changed, or does not reproduce its golden output.
        BackendError: the device or runtime is not at hand.
    """
    clock = Clock()
    with clock.step("find the lesion"):
        mark = mark_lesion(volume, options)
    with clock.step("load model"):
        classifier = Predictor.load(_card(options), device=options.device)
    return read_lesion(volume, mark, classifier, options, clock=clock, progress=progress)


def read_lesion(
    volume: Volume,
    mark: LesionMark,
    classifier: Predictor,
    options: Options,
    *,
    clock: Clock | None = None,
    progress: Progress = silent,
) -> Answer:
    """Judge a lesion with a model at hand.

    Args:
        volume: that was read.
        mark: where the lesion is.
        classifier: of a card of this task.
        options: threshold and report_unlike are used.
        clock: that counts already.
        progress: told about every step.

    Raises:
        InputError: the slice shows nothing, or holds values that are no numbers.
    """
    clock = clock or Clock()
    chosen, index = region_options(classifier.card, size=classifier.size[0]), mark.slice_index
    with clock.step("outline"):
        image = normalise(volume.array[index])
        region = _region(image, mark, chosen)
        crop = lesion_crop(image, region, options=chosen)
    with clock.step("classify"):
        found = classifier.scores(crop[None], progress=progress)
    point = classifier.operating_point(options.threshold, default=EVEN_ODDS)
    novelty = classifier.novelty(found.distance)
    is_withheld = novelty is not None and novelty.is_unlike and not options.report_unlike
    scores = _scores(classifier, found, index, point, is_withheld=is_withheld)
    progress("heat map", 0, 1)
    with clock.step("heat map"):
        heat_maps, told = _heat_map(classifier, crop, region, volume, scores)
    progress("heat map", 1, 1)
    present = np.zeros(volume.grid.shape[0], dtype=np.bool_)
    present[index] = True
    tracking = lesion_uid(region, volume, slice_index=index)
    mask = lesion_mask(region, volume, slice_index=index, tracking=tracking, is_drawn=mark.mask is not None)
    use = classifier.use()
    return Answer(
        task=TASK,
        headline=headline(scores, volume, novelty=novelty, is_withheld=is_withheld, is_demo=use.is_demo),
        status="abstained" if is_withheld else "positive" if scores.runs else "negative",
        findings=(describe(region, scores, volume, novelty=novelty, is_withheld=is_withheld, tracking=tracking),),
        regions=(Region(REGION, box_on_slice(region.window, index), present, novelty),),
        masks={} if mask is None else named((mask,)),
        classes=None if is_withheld else _classes(scores),
        models=(use,),
        notices=(
            *modality_notices(volume),
            *mark.notices,
            *region_notices(region, volume),
            *unlike_notices(novelty, report_unlike=options.report_unlike),
            *told,
        ),
        configuration=_configuration(options, chosen, region, mark, point),
        seconds=clock.seconds,
        detail=SliceReading((scores,), heat_maps),
    )


def region_options(card: ModelCard | None, *, size: int) -> RegionOptions:
    """How the crops of a model are made: what its card says, else the defaults.

    Raises:
        WeightsError: its crops are made by another function.
    """
    if card is None:
        return RegionOptions(size=size)
    made = card.image.preprocessing
    if made.function != CROP_FUNCTION:
        raise WeightsError(
            f"{card.name} takes crops of {made.function}; {TASK} makes them with {CROP_FUNCTION}: choose a model "
            "of this task (osteon models list)"
        )
    said, plain = made.parameters, RegionOptions()
    return RegionOptions(
        margin_px=int(str(said.get("margin_px", plain.margin_px))),
        opening_px=int(str(said.get("opening_px", plain.opening_px))),
        closing_px=int(str(said.get("closing_px", plain.closing_px))),
        masked=bool(said.get("masked", plain.masked)),
        size=size,
    )


def _card(options: Options) -> ModelCard:
    name = options.model or DEFAULT_MODEL
    try:
        card = find_card(name)
    except UnknownLabelError as error:
        raise UnknownLabelError(f"{TASK} needs a model of its task; name one with --model: {error}") from error
    classes = card.classes
    if card.task != TASK or set(classes.names) != {BENIGN, MALIGNANT} or classes.positive != MALIGNANT:
        raise WeightsError(
            f"{TASK} needs a model that tells {BENIGN} from {MALIGNANT}, but {card.name} is of task {card.task} with "
            f"the classes {', '.join(classes.names)}: name another one with --model "
            "(`osteon models list` shows them)"
        )
    return card


def _region(image: NDArray[np.float32], mark: LesionMark, options: RegionOptions) -> MrRegion:
    if mark.mask is not None:
        return lesion_of_mask(mark.mask, options=options)
    if mark.box is None:
        raise InputError("the lesion is marked by neither a box nor a mask: give one of them")
    return lesion_in_box(image, mark.box, options=options)


def _scores(
    classifier: Predictor, found: Scores, index: int, point: OperatingPoint, *, is_withheld: bool
) -> SliceScores:
    runs = ((index, index + 1),) if float(found.positive[0]) >= point.threshold else ()
    sets, limits = found.pair_sets, classifier.limits
    return SliceScores(
        region=REGION,
        slices=np.array([index], dtype=np.int64),
        probability=found.positive,
        smoothed=found.positive,
        threshold=point.threshold,
        runs=() if is_withheld else runs,
        withheld_runs=runs if is_withheld else (),
        spread=found.positive_spread,
        distance=found.distance,
        sets=() if sets is None else set_names(sets, negative=BENIGN, positive=MALIGNANT),
        error_rate=None if limits is None else limits.sets.alpha,
    )


def _classes(scores: SliceScores) -> ClassProbabilities:
    """The same as probabilities of two classes."""
    malignant = float(scores.probability[0])
    sets = {"either": (BENIGN, MALIGNANT), "neither": (), BENIGN: (BENIGN,), MALIGNANT: (MALIGNANT,)}
    kept = sets[scores.sets[0]] if scores.sets else None
    return ClassProbabilities((BENIGN, MALIGNANT), (1 - malignant, malignant), kept, scores.error_rate)


def _heat_map(
    classifier: Predictor, crop: NDArray[np.float32], region: MrRegion, volume: Volume, scores: SliceScores
) -> tuple[tuple[HeatMap, ...], tuple[Notice, ...]]:
    """Where the model saw malignant, the mean over members."""
    heat, told = classifier.heat_maps(crop[None])
    if heat is None:
        return (), told
    _, row_mm, column_mm = volume.grid.spacing_mm
    extent_mm = (region.window.height * row_mm, region.window.width * column_mm)
    index = int(scores.slices[0])
    members = len(classifier.card.members) if classifier.card else 1
    return (HeatMap(REGION, index, crop, heat[0], extent_mm, bool(scores.runs), members),), ()


def _configuration(
    options: Options, chosen: RegionOptions, region: MrRegion, mark: LesionMark, point: OperatingPoint
) -> dict[str, object]:
    return {
        "model": options.model or DEFAULT_MODEL,
        "threshold": point.threshold,
        "threshold_source": point.source,
        "report_unlike": options.report_unlike,
        "slice": mark.slice_index + 1,
        "marked_by": "box" if mark.mask is None else "mask",
        "drawn_box": str(region.drawn),
        "lesion_box": str(region.box),
        "window": str(region.window),
        "lesion_is": region.polarity or "drawn",
        "outline": {
            "steps": "binarise, largest region, opening, closing, fill" if mark.mask is None else "as drawn",
            "threshold": None if region.threshold is None else round(region.threshold, 6),
            "margin_px": chosen.margin_px,
            "opening_px": chosen.opening_px,
            "closing_px": chosen.closing_px,
            "multiplies_the_image": chosen.masked,
        },
        "normalisation": "1st and 99th percentile of the slice to 0 and 1; uneven brightness is not corrected",
        "crop_pixels": chosen.size,
    }
