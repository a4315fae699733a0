"""The segmenters of a run as they will be shipped, and what exactly those predict on the images of their folds.

Weights are rounded to the stored precision first, so that whatever is measured is measured with what is shipped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import torch

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.data.manifest import FoldRows
from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.nets import build_network
from osteon.nets.segmenter_description import SEGMENTERS, SEQUENCES
from osteon.ops.series_images import with_neighbours
from osteon.predict.out_of_distribution import FoldMaterial, fit_limits
from osteon.predict.predictor import Predictor
from osteon.train.counts import SegmentCounts, ThresholdSweep, evaluate_counts
from osteon.train.engine import choose_device
from osteon.train.export.card import MADE_UP, Member, Shipped, shows_pattern, smooth_patterns
from osteon.train.export.limits import reference_rows, region_names, require_references
from osteon.train.images import in_channels
from osteon.train.objectives.segment import SEGMENT, Evaluator, kept_network, learnt_rows
from osteon.train.run import synthetic_share
from osteon.weights import Golden, MapOutput, Maps, MeasuredResult, mask_difference, round_to_half

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from osteon.data.options import Progress
    from osteon.train.export.card import ExportOptions
    from osteon.train.pixels import Pixels
    from osteon.train.run import RunData
    from osteon.train.run_folder import FoldResult
    from osteon.train.settings import SegmentSettings
    from osteon.weights import ImageInput, Precision

__all__ = ["MAP_POINTS", "MapMember", "ship_segmenters", "stored_network"]

MAP_POINTS = ("f1", "half")
"""How thresholds are chosen: the largest pooled F1 of the validation parts, or one half."""

_TOLERANCE = 3e-4
"""Largest difference of a golden probability in float32: engines add in another order, and forty layers pass it on."""

_LOOKED_AT = 64
"""Validation images of a member on which the effect of bfloat16 is measured."""

_BLOCK = 32
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


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MapMember(Member):
    """A segmenter, of the registry's shape, with a sweep of its validation part for each map; its rows can be read.

    ``has_learnt``: from its validation part too, so that nothing may be chosen on it. ``material``: what limits are
    fitted on; None when they were not asked for.
    """

    sweeps: tuple[ThresholdSweep, ...] = field(repr=False)
    has_learnt: bool = False
    material: FoldMaterial | None = field(default=None, repr=False)

    def fitted(self) -> dict[str, Any]:
        """As of ``Member``."""
        if self.has_learnt:
            return {"training_f1_of_validation_part": self.fold.monitored}
        thresholds = {sweep.output: sweep.best for sweep in self.sweeps}
        return {"validation_f1": self.fold.monitored, "thresholds_best_on_validation": thresholds}


def ship_segmenters(
    data: RunData,
    folds: Sequence[FoldResult],
    *,
    inputs: Mapping[str, ImageInput],
    options: ExportOptions,
    progress: Progress,
) -> Shipped:
    """Load and measure the networks of these folds, which are done; raises as ``export_run``."""
    settings, manifest = data.run.settings, data.manifest
    require_references(options.references)
    device = choose_device(replace(settings, device=options.device, devices=1, precision="32"))
    skip = bool(data.run.document.get("skip_unreadable", False))
    pixels = SEGMENT.load(manifest, settings, options.cache, skip_unreadable=skip, progress=progress)
    evaluate = Evaluator((), settings, manifest, pixels, device, progress)
    members = [_member(data, fold, evaluate, inputs=inputs, options=options) for fold in folds]
    materials = [member.material for member in members if member.material is not None]
    maps = _maps(members, options)
    thresholds = {each.name: each.threshold for each in maps}
    counts, is_mean = _tested(members, evaluate, thresholds)
    images, golden = _golden(data, members[0], pixels, wanted=options.golden)
    # what masks may differ by in bfloat16: twice what validation images showed; nothing is said where that is too much
    bounds: dict[Precision, float] = {}
    if options.bfloat16:
        rough = round(2 * _half_mask_difference(members, evaluate, tuple(thresholds.values())) + 0.01, 4)
        bounds = {"bfloat16": rough} if rough <= _LOOSEST_MASKS else {}
    who = (
        "by the mean of all networks"
        if is_mean and len(members) > 1
        else "each evaluated by a network that never saw it"
    )
    about = {"data": f"test part of {data.split.scheme} folds, {who}", "is_synthetic": synthetic_share(manifest) > 0}
    results = [
        one
        for name, threshold in thresholds.items()
        for one in _results(counts, name, threshold, options=options, about=about)
    ]
    return Shipped(
        members=members,
        output=Maps(maps),
        golden=Golden(golden, {"float32": _TOLERANCE}, bounds),
        images=images,
        results=results,
        answers=_answers(settings, members),
        warnings=_map_warnings(members, maps),
        limits=fit_limits(materials, seed=settings.seed) if materials else None,
    )


def stored_network(settings: SegmentSettings, fold: FoldResult) -> nn.Module:
    """The network of a fold in the shape that a model folder holds: heads that training left out give 0.

    Raises:
        WeightsError: the weights are missing or damaged.
        InputError: a pair that hands the bone on softly, or a network of another package, which a model folder cannot
            say.
    """
    if settings.architecture in SEGMENTERS and SEGMENTERS[settings.architecture].package:
        raise InputError(
            f"{settings.architecture} is a reference for studies; a model folder holds osteon's own networks only: "
            "train another"
        )
    if settings.architecture in SEQUENCES and settings.pair_mask != "hard":
        raise InputError(
            f"{settings.architecture} was trained with pair_mask {settings.pair_mask}; a model folder holds pairs with "
            "pair_mask hard only: train it so"
        )
    kept = kept_network(settings, fold.weights)
    network = build_network(settings.architecture, in_channels=settings.input_channels)
    missing = network.load_state_dict(kept.state_dict(), strict=False).missing_keys
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name in missing:
                value.zero_()
    return network.eval()


def _member(
    data: RunData,
    fold: FoldResult,
    evaluate: Evaluator,
    *,
    inputs: Mapping[str, ImageInput],
    options: ExportOptions,
) -> MapMember:
    """The network of a fold, loaded, rounded and measured on its validation part."""
    network = stored_network(data.run.settings, fold)
    if options.half:
        round_to_half(network)
    rows, usable = data.split.rows(data.manifest, fold.fold), evaluate.pixels.usable
    kept = learnt_rows(FoldRows(usable(rows.train), usable(rows.validation), usable(rows.test)), data.run.settings)
    own, threshold = replace(evaluate, networks=[network]), data.run.settings.threshold
    _, sweeps = own.evaluated(kept.validation, fold=fold.fold, part="validation", threshold=threshold)
    network.cpu()
    has_learnt = bool(data.run.settings.joins_validation)
    member = MapMember(fold=fold, network=network, rows=kept, sweeps=sweeps, has_learnt=has_learnt)
    return replace(member, material=_material(member, own, inputs, options.references)) if options.trust else member


def _material(
    member: MapMember, evaluate: Evaluator, inputs: Mapping[str, ImageInput], references: int
) -> FoldMaterial:
    """What the middle of a network says of images that it has learnt from, and of some that it has never seen.

    Those are of the validation part, or where that was learnt from of the test part: no mask of it is looked at.
    """
    rows, manifest, pixels = member.rows, evaluate.manifest, evaluate.pixels
    learnt = reference_rows(rows.train, references, seed=evaluate.settings.seed, fold=member.fold.fold)
    new = rows.test if member.has_learnt else rows.validation
    about: dict[str, Any] = {"name": evaluate.settings.architecture, "inputs": inputs}
    predictor = Predictor.from_networks(member.network, **about, device=evaluate.device, runtime="torch")

    def looks(some: NDArray[np.int64], what: str) -> NDArray[np.float32]:
        blocks = (_bytes(pixels, some[start : start + _BLOCK]) for start in range(0, len(some), _BLOCK))
        step = f"fold {member.fold.fold}: {what}"
        parts = predictor.run(blocks, total=len(some), progress=lambda _, *done: evaluate.progress(step, *done))
        return np.concatenate([part["layers"] for part in parts])[:, 0]

    return FoldMaterial(
        train_layers=looks(learnt, "training images"),
        validation_layers=looks(new, "other images"),
        patients=manifest.column("patient")[new],
        regions=region_names(manifest, new),
    )


def _bytes(pixels: Pixels, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Images as a model takes them: (n, row, column), or (n, slice, row, column) where it sees neighbours."""
    shown = np.rint(pixels.shown(rows) * 255).astype(np.uint8)
    return shown[:, 0] if pixels.around is None else shown


def _maps(members: Sequence[MapMember], chosen: ExportOptions) -> tuple[MapOutput, ...]:
    """A threshold for each map, by the validation parts of all members together; one half where they learnt from it."""
    has_learnt = any(member.has_learnt for member in members)
    point = chosen.operating_point or ("half" if has_learnt else "f1")
    if point not in MAP_POINTS:
        raise UnknownLabelError(f"no operating point {point!r} of maps: {nearest_names(point, MAP_POINTS)}")
    if point == "f1" and has_learnt:
        raise InputError(
            "the operating point f1 was asked for, but these networks learnt from their validation parts "
            "(joins_validation): no threshold can be chosen on them; leave it out for one half, or give a threshold"
        )
    if chosen.threshold is not None and not 0 < chosen.threshold < 1:
        raise InputError(f"the threshold {chosen.threshold} cannot be: it is between 0 and 1")
    if chosen.least_mm3 is not None and not chosen.least_mm3 > 0:
        raise InputError(f"lesions of at least {chosen.least_mm3} mm3 were to be listed; give a volume above 0")
    found = []
    for index, sweep in enumerate(members[0].sweeps):
        whole = ThresholdSweep.summed([member.sweeps[index] for member in members])
        if chosen.threshold is not None and sweep.output == "lesion":
            found.append(MapOutput(sweep.output, chosen.threshold, "chosen by who made the model"))
        elif point == "half":
            why = "0.5, not chosen on data" + (": the validation parts were learnt from" if has_learnt else "")
            found.append(MapOutput(sweep.output, 0.5, why))
        else:
            best = whole.best
            value = whole.f1[int(np.argmin(np.abs(whole.thresholds - best)))]
            words = f"largest F1 over all pixels of the validation parts of {len(members)} fold(s): {value:.4f}"
            found.append(MapOutput(sweep.output, best, words))
    return tuple(
        msgspec.structs.replace(each, least_mm3=chosen.least_mm3) if each.name == "lesion" else each for each in found
    )


def _map_warnings(members: Sequence[MapMember], maps: Sequence[MapOutput]) -> tuple[str, ...]:
    """A sentence for each map whose threshold leaves nothing of the validation parts positive, and on odd limits."""
    said = []
    if any(member.has_learnt and member.material is not None for member in members):
        said.append(
            "The limits of what is out of distribution are those of images of the test parts, since the validation "
            "parts were learnt from; their masks were not looked at. The rate of false alarms is not tested."
        )
    for index, each in enumerate(maps):
        whole = ThresholdSweep.summed([member.sweeps[index] for member in members])
        # of the sweep's thresholds the last one that is not above: what it leaves empty, the threshold does too
        at = max(0, int(np.searchsorted(whole.thresholds, each.threshold + 1e-6)) - 1)
        if not whole.table[at, :2].any():
            parts = "validation parts" + (" (learnt from)" if members[0].has_learnt else "")
            said.append(
                f"At the threshold {each.threshold:.4g} ({each.source}) the model predicts no pixel of the {parts} "
                f"positive in the map {each.name}: choose another --operating-point or --threshold."
            )
    return tuple(said)


def _tested(
    members: Sequence[MapMember], evaluate: Evaluator, thresholds: Mapping[str, float]
) -> tuple[SegmentCounts, bool]:
    """What the members predict on test parts that none of them has seen, and whether the mean of all was evaluated.

    Where all members have one test part, their mean is evaluated on it, as it is shipped. Where the test part goes
    round, each network is evaluated alone on its own.
    """
    is_shared = all(np.array_equal(member.rows.test, members[0].rows.test) for member in members)
    tables = []
    for team in [members] if is_shared else [[member] for member in members]:
        together = replace(evaluate, networks=[member.network for member in team])
        fold, rows = team[0].fold.fold, team[0].rows.test
        tables.append(together.evaluated(rows, fold=fold, part="test", threshold=thresholds)[0])
        for member in team:
            member.network.cpu()
    return SegmentCounts.joined(tables), is_shared


def _half_mask_difference(members: Sequence[MapMember], evaluate: Evaluator, thresholds: tuple[float, ...]) -> float:
    """Largest 1 - Dice between the masks of float32 and those of bfloat16, over members and maps.

    Measured on validation images of each member, evenly spread, on the CPU by torch's autocast.
    """
    worst = 0.0
    for member in members:
        rows = member.rows.validation
        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(_LOOKED_AT, len(rows))).astype(np.int64))]
        blocks: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        for start in range(0, len(chosen), 8):
            images = torch.from_numpy(evaluate.pixels.shown(chosen[start : start + 8]))
            with torch.inference_mode():
                shown = in_channels(images, evaluate.settings.input_channels)
                exact = member.network(shown).sigmoid()
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    rough = member.network(shown)
                blocks.append((rough.float().sigmoid().numpy(), exact.numpy()))
        rough_maps, exact_maps = (np.concatenate(maps) for maps in zip(*blocks, strict=True))
        worst = max(worst, mask_difference(rough_maps, exact_maps, thresholds=thresholds))
    return worst


def _results(
    counts: SegmentCounts, output: str, threshold: float, *, options: ExportOptions, about: dict[str, Any]
) -> list[MeasuredResult]:
    """The paper's measures of a map on the test parts, as the card keeps them."""
    images, results = len(np.unique(counts.of(part="test", output=output).image)), []
    for name, found in evaluate_counts(counts, output=output, resampling=options.resampling).items():
        pixels, has_limits = "" if name == "dice" else "pixels, ", not math.isnan(found.low)
        results.append(
            MeasuredResult(
                metric=f"{_WORDS[name]}, {output}, {pixels}probability >= {threshold:g}",
                value=None if math.isnan(found.value) else found.value,
                interval=(found.low, found.high) if has_limits else None,
                interval_method="patient bootstrap, percentile" if has_limits else "",
                patients=found.patients,
                images=images,
                **about,
            )
        )
    return results


def _golden(data: RunData, member: MapMember, pixels: Pixels, *, wanted: str) -> tuple[NDArray[np.uint8], str]:
    """Images that every member must reproduce, (n, 64, 64) where they are so large, and what they show.

    Of networks that see neighbours they are (n, slice, 64, 64).
    """
    size = min(_GOLDEN_SIZE, pixels.size)
    if shows_pattern(wanted, data.manifest):
        drawn = np.rint(smooth_patterns(size) * 255).astype(np.uint8)
        return with_neighbours(drawn, data.run.settings.neighbours)[-_GOLDEN_IMAGES:], MADE_UP
    rows, lesion = member.rows.validation, pixels.masks["lesion"]
    areas = np.array([np.count_nonzero(lesion[row]) for row in rows])
    parts = []
    for row in rows[np.argsort(-areas, kind="stable")[:_GOLDEN_IMAGES]]:
        mask = lesion[row]
        centre = [int(places.mean()) for places in np.nonzero(mask)] if mask.any() else [pixels.size // 2] * 2
        top, left = (min(max(0, place - size // 2), pixels.size - size) for place in centre)
        slices = row if pixels.around is None else pixels.around[row]
        parts.append(pixels.values[slices, ..., top : top + size, left : left + size])
    return np.stack(parts), f"parts of validation images of fold {member.fold.fold} with large lesions"


def _answers(settings: SegmentSettings, members: Sequence[MapMember]) -> dict[str, str]:
    """To the reporting items on which segmenters differ from other runs."""
    rates = ", ".join(f"{rate:g}" for rate in settings.rates)
    chosen = "the epoch with the largest pooled F1 of lesions on the validation part, of each fold on its own: epochs "
    if settings.selection == "last":
        chosen = "the last epoch of each fold: epochs "
    if settings.joins_validation:
        chosen = f"nothing, the validation parts were learnt from too; {chosen}"
    return {
        "kind": f"deep learning: convolutional networks ({settings.architecture}) that mark pixels of slices",
        "preprocessing": "8-bit slices, resized as a whole by area to "
        f"{settings.image_size} pixels square, divided by 255; masks resized and cut at one half",
        "model": f"{settings.architecture}, input {settings.input_channels} x {settings.image_size} x "
        f"{settings.image_size}{', neighbouring slices' if settings.neighbours else ''}, maps "
        f"{', '.join(settings.outputs)}; osteon models arch {settings.architecture} lists its layers",
        "training": f"loss {settings.loss}, lesion {settings.lesion_weight:g}, bone {settings.bone_weight:g}, batch "
        f"{settings.batch}, {settings.epochs} epochs, {settings.optimiser} at {rates}, "
        f"{'augmented' if settings.augments else 'not augmented'}, seed {settings.seed}",
        "choice": chosen + ", ".join(str(member.fold.best_epoch) for member in members),
        "ensemble": f"mean of the probabilities of {len(members)} networks" if len(members) > 1 else "none",
    }
