"""MRI of the femur: is the lesion that a person marked benign or malignant.

The steps are those of the paper (spec mri-femur, section 2): a rectangle around the tumour, binarised and cleaned, its
box with a margin brought to the size of the network. What the paper only wishes for is added: a calibrated probability,
a prediction set, a word on whether the image is like those of training, and a heat map. The lesion is not looked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from osteon.data import Answer, ClassProbabilities, HeatMap, Notice, Region, SliceReading, SliceScores, named
from osteon.data.options import Progress, silent
from osteon.data.provenance import Clock
from osteon.data.system import silent_notice
from osteon.errors import InputError, UnknownLabelError, WeightsError
from osteon.io import parse_labels, read_mask_volume
from osteon.io.image import is_picture, read_mask_image
from osteon.ops import mr_region
from osteon.ops.hu_check import require_checks
from osteon.predict.predictor import Predictor, may_speak, set_names
from osteon.systems.mri_femur import text
from osteon.weights import OperatingPoint, find_card

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import RegionOod, Volume
    from osteon.ops.mr_region import MrRegion
    from osteon.predict.predictor import Scores
    from osteon.systems.mri_femur.options import Options
    from osteon.weights import ModelCard


__all__ = ["CROP_FUNCTION", "DEFAULT_MODEL", "TASK", "answer", "mark_lesion", "region_options"]


TASK = "mri_femur"
DEFAULT_MODEL = "mobilenet_v2.femur_mr_phantom"
CROP_FUNCTION = "osteon.ops.mr_region.lesion_crop"
"""What the card of a model names as its preprocessing; its parameters are margin_px, opening_px, closing_px, masked."""

EVEN_ODDS = OperatingPoint(0.5, 0.0, 1, "even odds: the card names no threshold")

_BOX_TEXTS = "--box R0,C0,R1,C1 (first row and column inside, first row and column outside, counted from 0)"
_MASK_TEXTS = "--mask FILE (a PNG of the slice, or a NIfTI, DICOM SEG or RTSTRUCT of the series)"


def answer(
    volume: Volume, options: Options, progress: Progress = silent, *, classifier: Predictor | None = None
) -> Answer:
    """Evaluate one marked lesion.

    Args:
        volume: MR, one slice or a series of any plane.
        options: box or mask, slice number, device, model, threshold, report_ood.
        progress: called at every step.
        classifier: a model at hand; None for the one that the options name.

    Raises:
        NotThisTaskError: the image is not an MRI, and it is not forced.
        InputError: no lesion is marked, the mark does not fit the image, or the slice shows nothing.
        UnknownLabelError: the model is not installed.
        WeightsError: it is of another task, was changed, or does not reproduce its golden output.
        BackendError: the device or runtime is not at hand.
    """
    clock = Clock()
    checked = require_checks(text.modality_faults(volume), wanted="an MRI", force=options.force)
    with clock.step("find the lesion"):
        mark = mark_lesion(volume, options)
    card = _card(options) if classifier is None else classifier.card
    if classifier is None and may_speak(card, volume, demo_on_patient=options.demo_on_patient):
        with clock.step("load model"):
            classifier = Predictor.load(_card(options), device=options.device)
    size = card.image.rows if card else classifier.size[0] if classifier else 0
    chosen, index = region_options(card, size=size), mark.slice_index
    with clock.step("outline"):
        image = mr_region.normalise(volume.array[index])
        if mark.mask is not None:
            region = mr_region.lesion_of_mask(mark.mask, options=chosen)
        elif mark.box is not None:
            region = mr_region.lesion_in_box(image, mark.box, options=chosen)
        else:
            raise InputError("the lesion is marked by neither a box nor a mask: give one of them")
        crop = mr_region.lesion_crop(image, region, options=chosen)
    said = None if classifier is None else _said(classifier, crop, region, volume, index, options, clock, progress)
    present = np.zeros(volume.grid.shape[0], dtype=np.bool_)
    present[index] = True
    tracking = text.lesion_uid(region, volume, slice_index=index)
    mask = text.lesion_mask(region, volume, slice_index=index, tracking=tracking, is_drawn=mark.mask is not None)
    common = Answer(
        task=TASK,
        headline=text.silent_headline(region, volume, slice_index=index),
        regions=(Region(text.REGION, text.box_on_slice(region.window, index), present),),
        masks={} if mask is None else named((mask,)),
        notices=(*checked, *text.modality_notices(volume), *mark.notices, *text.region_notices(region, volume)),
        configuration=_configuration(options, chosen, region, mark, None if said is None else said.point),
        seconds=clock.seconds,
        detail=SliceReading(),
    )
    if said is None or classifier is None:
        finding = text.describe(region, common.headline, volume, slice_index=index, tracking=tracking)
        told = silent_notice(card.name if card else "of nobody")
        return replace(common, findings=(finding,), notices=(*common.notices, told))
    scores, ood = said.scores, said.ood
    headline = text.headline(scores, volume, ood=ood, is_withheld=said.is_withheld)
    probability = None if said.is_withheld else float(scores.probability[0])
    return replace(
        common,
        headline=headline,
        status="abstained" if said.is_withheld else "positive" if scores.runs else "negative",
        findings=(
            text.describe(region, headline, volume, slice_index=index, tracking=tracking, probability=probability),
        ),
        regions=tuple(replace(one, ood=ood) for one in common.regions),
        classes=None if said.is_withheld else _classes(scores),
        models=(classifier.use(),),
        notices=(*common.notices, *text.ood_notices(ood, report_ood=options.report_ood), *said.told),
        detail=SliceReading((scores,), said.heat_maps),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """What a model says of the lesion."""

    scores: SliceScores
    point: OperatingPoint
    ood: RegionOod | None
    is_withheld: bool
    heat_maps: tuple[HeatMap, ...]
    told: tuple[Notice, ...]


def _said(
    classifier: Predictor,
    crop: NDArray[np.float32],
    region: MrRegion,
    volume: Volume,
    index: int,
    options: Options,
    clock: Clock,
    progress: Progress,
) -> _Said:
    with clock.step("classify"):
        found = classifier.scores(crop[None], progress=progress)
    point = classifier.operating_point(options.threshold, default=EVEN_ODDS)
    ood = classifier.ood(found.distance)
    is_withheld = ood is not None and ood.is_ood and not options.report_ood
    scores = _scores(classifier, found, index, point, is_withheld=is_withheld)
    with clock.step("heat map", progress, "heat map"):
        heat_maps, told = _heat_map(classifier, crop, region, volume, scores)
    return _Said(scores, point, ood, is_withheld, heat_maps, told)


def region_options(card: ModelCard | None, *, size: int) -> mr_region.RegionOptions:
    """How the crops of a model are made: what its card says, else the defaults.

    Raises:
        WeightsError: its crops are made by another function.
    """
    if card is None:
        return mr_region.RegionOptions(size=size)
    made = card.image.preprocessing
    if made.function != CROP_FUNCTION:
        raise WeightsError(
            f"{card.name} takes crops of {made.function}; {TASK} makes them with {CROP_FUNCTION}: choose a model "
            "of this task (osteon models list)"
        )
    said, plain = made.parameters, mr_region.RegionOptions()
    return mr_region.RegionOptions(
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
    if card.task != TASK or set(classes.names) != {text.BENIGN, text.MALIGNANT} or classes.positive != text.MALIGNANT:
        raise WeightsError(
            f"{TASK} needs a model that tells {text.BENIGN} from {text.MALIGNANT}, but {card.name} is of task "
            f"{card.task} with the classes {', '.join(classes.names)}: name another one with --model (`osteon models "
            "list` shows them)"
        )
    return card


def _scores(
    classifier: Predictor, found: Scores, index: int, point: OperatingPoint, *, is_withheld: bool
) -> SliceScores:
    runs = ((index, index + 1),) if float(found.positive[0]) >= point.threshold else ()
    sets, limits = found.pair_sets, classifier.limits
    return SliceScores(
        region=text.REGION,
        slices=np.array([index], dtype=np.int64),
        probability=found.positive,
        smoothed=found.positive,
        threshold=point.threshold,
        runs=() if is_withheld else runs,
        withheld_runs=runs if is_withheld else (),
        spread=found.positive_spread,
        distance=found.distance,
        sets=() if sets is None else set_names(sets, negative=text.BENIGN, positive=text.MALIGNANT),
        error_rate=None if limits is None or limits.sets is None else limits.sets.alpha,
    )


def _classes(scores: SliceScores) -> ClassProbabilities:
    """The same as probabilities of two classes."""
    malignant = float(scores.probability[0])
    sets = {
        "either": (text.BENIGN, text.MALIGNANT),
        "neither": (),
        text.BENIGN: (text.BENIGN,),
        text.MALIGNANT: (text.MALIGNANT,),
    }
    kept = sets[scores.sets[0]] if scores.sets else None
    return ClassProbabilities((text.BENIGN, text.MALIGNANT), (1 - malignant, malignant), kept, scores.error_rate)


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
    return (HeatMap(text.REGION, index, crop, heat[0], extent_mm, bool(scores.runs), members),), ()


def _configuration(
    options: Options, chosen: mr_region.RegionOptions, region: MrRegion, mark: _LesionMark, point: OperatingPoint | None
) -> dict[str, object]:
    return {
        "model": options.model or DEFAULT_MODEL,
        "threshold": point and point.threshold,
        "threshold_source": point and point.source,
        "force": options.force,
        "report_ood": options.report_ood,
        "demo_on_patient": options.demo_on_patient,
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


@dataclass(frozen=True, slots=True, eq=False)
class _LesionMark:
    """One lesion on one slice, as a person marked it: a box or a mask.

    Attributes:
        slice_index: into the volume.
        box: that was drawn; None of a mask.
        mask: (row, column) bool of the slice, one connected part; None of a box.
        notices: what was chosen.
    """

    slice_index: int
    box: mr_region.PlaneBox | None = None
    mask: NDArray[np.bool_] | None = field(default=None, repr=False)
    notices: tuple[Notice, ...] = ()


def mark_lesion(volume: Volume, options: Options) -> _LesionMark:
    """Find the slice and the lesion that are meant; nothing is guessed.

    A box on a series of several slices needs the slice's number. A mask of the series finds its slice itself: that on
    which it marks the largest area.

    Args:
        volume: that was read.
        options: box, mask and slice number.

    Raises:
        InputError: neither box nor mask, or both; no such slice; a box that is empty or reaches outside the image; a
            mask that cannot be read, marks nothing or is of another size.
        GeometryMismatchError: a mask on another grid.
    """
    slices, rows, columns = volume.grid.shape
    if options.box is None and options.mask is None:
        number = f", with --slice N (1 to {slices})" if slices > 1 else ""
        raise InputError(
            "there is no lesion box: this task evaluates one lesion on one slice, and a person says where it is. Give "
            f"{_BOX_TEXTS}{number}, or {_MASK_TEXTS}. The image has {rows} rows and {columns} columns"
            f"{f' on each of {slices} slices' if slices > 1 else ''}"
        )
    if options.box is not None and options.mask is not None:
        raise InputError("--box and --mask were both given, and both say where the lesion is: give one of them")
    if options.slice_number is not None and not 1 <= options.slice_number <= slices:
        raise InputError(
            f"--slice {options.slice_number} was asked for; the series has {slices} "
            f"slice{'s' if slices > 1 else ''}, counted from 1"
        )
    if options.mask is not None:
        return _mask(volume, options.mask, options.slice_number, options.mask_label or "")
    if options.mask_label is not None:
        raise InputError("--mask-label says which part of a mask is meant, and there is no --mask: leave it out")
    box = mr_region.PlaneBox(*(options.box or ()))
    mr_region.box_with_margin(box, (rows, columns), margin_px=0)
    return _LesionMark(_slice(volume, options.slice_number, "a box"), box)


def _slice(volume: Volume, number: int | None, drawn: str) -> int:
    slices = volume.grid.shape[0]
    if number is None and slices > 1:
        raise InputError(f"{drawn} is on one slice, the series has {slices}: say which with --slice N (1 to {slices})")
    return 0 if number is None else number - 1


def _mask(volume: Volume, path: Path, number: int | None, label: str) -> _LesionMark:
    try:
        flat = is_picture(path)
    except OSError as error:
        raise InputError(f"the mask {path.name} cannot be read: {error.strerror or type(error).__name__}") from error
    if flat:
        if label:
            raise InputError(f"the mask {path.name} is a picture, which has no labels: leave --mask-label out")
        index = _slice(volume, number, "a mask that is a picture")
        return _marked(read_mask_image(path, shape=volume.grid.shape[1:]), index, path)
    if not volume.grid.is_in_mm:
        raise InputError(
            f"the mask {path.name} has a place in the patient, the image has none: give the mask as a PNG of "
            f"{volume.grid.shape[1]} x {volume.grid.shape[2]} pixels"
        )
    told: list[Notice] = []
    whole = read_mask_volume(
        path, like=volume.grid, labels=parse_labels(label), image="image", source=volume.source, tell=told.append
    )
    areas = np.count_nonzero(whole, axis=(1, 2))
    seen = np.flatnonzero(areas)
    if not seen.size:
        raise InputError(f"the mask {path.name} marks no lesion: every voxel of it is 0")
    index = int(np.argmax(areas)) if number is None else number - 1
    if not areas[index]:
        raise InputError(
            f"the mask {path.name} marks nothing on slice {index + 1}; it marks slices {seen[0] + 1} to {seen[-1] + 1}"
        )
    words = (
        f"The mask marks {seen.size} slices; slice {index + 1}, on which it marks the largest area, was evaluated. "
        "Another one is chosen with --slice."
    )
    if number is None and seen.size > 1:
        told.append(Notice("slice-chosen", words))
    return _marked(whole[index], index, path, tuple(told))


def _marked(mask: NDArray[np.bool_], index: int, path: Path, told: tuple[Notice, ...] = ()) -> _LesionMark:
    """One connected part of what is marked on a slice."""
    part, count = mr_region.largest_part(mask)
    if not count:
        raise InputError(f"the mask {path.name} marks no lesion: every pixel of it is 0")
    if count > 1:
        words = f"The mask marks {count} separate parts on slice {index + 1}; the largest was evaluated."
        told = (*told, Notice("largest-part", words, "warning"))
    return _LesionMark(index, mask=part, notices=told)
