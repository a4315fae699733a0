"""From a run of segmenters to a model folder: networks as shipped, thresholds from validation, what was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from osteon.data.options import Progress, silent
from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.metrics.bootstrap import Resampling
from osteon.train.card_text import CardWords, complete_words
from osteon.train.counts import ThresholdSweep, judge_counts
from osteon.train.model_folder import check_target, model_name, place_model, smooth_patterns
from osteon.train.objectives.segment import SEGMENT
from osteon.train.run_data import is_synthetic, synthetic_share
from osteon.train.segmentation.card import SegmentFacts, segment_card
from osteon.weights import MapOutput, write_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.train.counts import SegmentCounts
    from osteon.train.pixels import Pixels
    from osteon.train.recipe import Recipe
    from osteon.train.run_data import RunData
    from osteon.train.segmentation.members import SegmentMember
    from osteon.train.settings import SegmentSettings
    from osteon.weights import ModelCard

__all__ = ["MAP_POINTS", "SegmentExport", "export_segmenters"]

MAP_POINTS = ("f1", "half")
"""How thresholds are chosen: the largest pooled F1 of the validation parts, or one half."""

_GOLDEN_SIZE = 64
_GOLDEN_IMAGES = 2
_LOOSEST_MASKS = 0.1
_WORDS = {
    "f1": "F1",
    "dice": "mean Dice of images",
    "iou": "IoU",
    "accuracy": "accuracy",
    "specificity": "specificity",
    "sensitivity": "sensitivity",
    "precision": "precision",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentExport:
    """How a model is made from a run of segmenters.

    Attributes:
        name: ``architecture.tag``; "" takes the tag from the folder's name.
        words: version, statement, licence, intended use, exclusions.
        folds: whose networks become members; None takes all that are done.
        operating_point: one of ``MAP_POINTS``.
        threshold: a number for the lesions instead.
        least_mm3: smaller lesions are not listed, chosen by who made the model; None leaves it to the reading.
        golden: "images" keeps parts of two validation images in the folder for everyone who gets the model, "pattern"
            made-up ones; "auto" takes images only where all are synthetic.
        half: whether weights are stored as float16.
        device: "auto", "cpu" or "cuda".
        resampling: of the intervals.
        cache: folder for decoded images, or None.
    """

    name: str = ""
    words: CardWords = field(default_factory=CardWords)
    folds: tuple[int, ...] | None = None
    operating_point: str = "f1"
    threshold: float | None = None
    least_mm3: float | None = None
    golden: str = "auto"
    half: bool = True
    device: str = "auto"
    resampling: Resampling = field(default_factory=Resampling)
    cache: Path | None = None


def export_segmenters(
    data: RunData,
    out: Path,
    recipe: Recipe[SegmentSettings],
    *,
    options: SegmentExport | None = None,
    progress: Progress = silent,
) -> ModelCard:
    """Make a model folder of a run of segmenters; it is there whole and proven, or not at all.

    Args:
        data: of ``open_run``.
        out: the model folder itself; a model that lies there is replaced.
        recipe: of the run's task.
        options: which folds, thresholds, words.
        progress: told about images decoded and judged.

    Returns:
        The card as read back.

    Raises:
        InputError: no fold is done, a name or an option cannot be, an image is unreadable, or ``out`` holds other
            things than a model.
        UnknownLabelError: no such operating point.
        WeightsError: weights are missing or damaged, or the model does not reproduce itself.
        OutputError: the folder cannot be written.
        BackendError: the device is not at hand.
    """
    from osteon.train.engine import choose_device
    from osteon.train.segmentation.members import half_mask_difference, load_segment_members, tested

    chosen = options or SegmentExport()
    settings = data.run.settings
    name = model_name(chosen.name, settings.architecture, out)
    check_target(out)
    folds = data.run.members(chosen.folds)
    device = choose_device(replace(settings, device=chosen.device, devices=1, precision="32"))
    pixels = SEGMENT.load(
        data.manifest,
        settings,
        chosen.cache,
        skip_unreadable=bool(data.run.document.get("skip_unreadable", False)),
        progress=progress,
    )
    members = load_segment_members(data, folds, pixels, device=device, half=chosen.half, progress=progress)
    maps = _maps(members, chosen)
    thresholds = {each.name: each.threshold for each in maps}
    counts, is_mean = tested(data, members, pixels, thresholds, device=device, progress=progress)
    images, golden = _golden(data, members, pixels, wanted=chosen.golden)
    rough = half_mask_difference(members, pixels, list(thresholds.values()), channels=settings.channels)
    facts = SegmentFacts(
        maps=maps,
        results=_results(data, counts, thresholds, is_mean=is_mean, members=len(members), resampling=chosen.resampling),
        golden=golden,
        bfloat16_mask_tolerance=_tolerance(rough),
        is_half=chosen.half,
        is_demo=is_synthetic(data.manifest),
    )
    words = complete_words(chosen.words, data.manifest, is_demo=facts.is_demo, elsewhere=recipe.elsewhere)
    inputs = {"image": recipe.card_input(settings, data.manifest)}
    card = segment_card(name, data, members, words=words, facts=facts, inputs=inputs)
    networks = [member.network for member in members]
    return place_model(out, lambda parent: write_model(parent, card, networks, golden={"image": images}))


def _maps(members: Sequence[SegmentMember], chosen: SegmentExport) -> tuple[MapOutput, ...]:
    """A threshold for each map, by the validation parts of all members together."""
    if chosen.operating_point not in MAP_POINTS:
        near = nearest_names(chosen.operating_point, MAP_POINTS)
        raise UnknownLabelError(f"no operating point {chosen.operating_point!r} of maps: {near}")
    if chosen.threshold is not None and not 0 < chosen.threshold < 1:
        raise InputError(f"the threshold {chosen.threshold} cannot be: it lies between 0 and 1")
    if chosen.least_mm3 is not None and not chosen.least_mm3 > 0:
        raise InputError(f"lesions of at least {chosen.least_mm3} mm3 were to be listed; give a volume above 0")
    found = []
    for index, sweep in enumerate(members[0].sweeps):
        whole = ThresholdSweep.summed([member.sweeps[index] for member in members])
        if chosen.threshold is not None and sweep.output == "lesion":
            found.append(MapOutput(sweep.output, chosen.threshold, "chosen by who made the model"))
        elif chosen.operating_point == "half":
            found.append(MapOutput(sweep.output, 0.5, "0.5, not chosen on data"))
        else:
            best = whole.best
            value = whole.f1[int(np.argmin(np.abs(whole.thresholds - best)))]
            words = f"largest F1 over all pixels of the validation parts of {len(members)} fold(s): {value:.4f}"
            found.append(MapOutput(sweep.output, best, words))
    return tuple(
        msgspec.structs.replace(each, least_mm3=chosen.least_mm3) if each.name == "lesion" else each for each in found
    )


def _results(
    data: RunData,
    counts: SegmentCounts,
    thresholds: dict[str, float],
    *,
    is_mean: bool,
    members: int,
    resampling: Resampling,
) -> list[dict[str, Any]]:
    """The paper's measures on the test parts, as the card keeps them."""
    who = "by the mean of all networks" if is_mean and members > 1 else "each judged by a network that never saw it"
    results = []
    for output, threshold in thresholds.items():
        judged = judge_counts(counts, output=output, resampling=resampling)
        images = len(np.unique(counts.of(part="test", output=output).image))
        for name, found in judged.items():
            has_limits = not math.isnan(found.low)
            results.append(
                {
                    "metric": f"{_WORDS[name]}, {output}, pixels, probability >= {threshold:g}"
                    if name != "dice"
                    else f"{_WORDS[name]}, {output}, probability >= {threshold:g}",
                    "value": None if math.isnan(found.value) else found.value,
                    "interval": [found.low, found.high] if has_limits else None,
                    "interval_method": "patient bootstrap, percentile" if has_limits else "",
                    "data": f"test part of {data.split.scheme} folds, {who}",
                    "patients": found.patients,
                    "images": images,
                    "is_synthetic": synthetic_share(data.manifest) > 0,
                }
            )
    return results


def _tolerance(measured: float) -> float | None:
    """What masks may differ by in bfloat16: twice what validation images showed; None where that is too much."""
    allowed = round(2 * measured + 0.01, 4)
    return allowed if allowed <= _LOOSEST_MASKS else None


def _golden(
    data: RunData, members: Sequence[SegmentMember], pixels: Pixels, *, wanted: str
) -> tuple[NDArray[np.uint8], str]:
    """Images that every member must reproduce, (n, 64, 64) where they are so large, and what they show."""
    if wanted not in {"auto", "images", "pattern"}:
        raise InputError(f"golden {wanted!r} cannot be; choose auto, images or pattern")
    size = min(_GOLDEN_SIZE, pixels.size)
    if wanted == "pattern" or (wanted == "auto" and not is_synthetic(data.manifest)):
        pictures = np.rint(smooth_patterns(size)[-_GOLDEN_IMAGES:] * 255).astype(np.uint8)
        return pictures, "made-up patterns; no image of the data set is in this folder"
    rows, lesion = members[0].rows.validation, pixels.masks["lesion"]
    areas = np.array([np.count_nonzero(lesion[row]) for row in rows])
    parts = []
    for row in rows[np.argsort(-areas, kind="stable")[:_GOLDEN_IMAGES]]:
        mask = lesion[row]
        centre = [int(places.mean()) for places in np.nonzero(mask)] if mask.any() else [pixels.size // 2] * 2
        top, left = (min(max(0, place - size // 2), pixels.size - size) for place in centre)
        parts.append(pixels.values[row, top : top + size, left : left + size])
    return np.stack(parts), f"parts of validation images of fold {members[0].fold.fold} with large lesions"
