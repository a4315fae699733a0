"""From a run to a model folder: networks as shipped, what they were measured to be worth, and what is open."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.data.options import Progress, silent
from osteon.errors import InputError
from osteon.metrics.bootstrap import Resampling
from osteon.predict.out_of_distribution import BANK_VECTORS
from osteon.train.card_text import CardFacts, CardWords, classifier_card, complete_words
from osteon.train.export_results import choose_point, class_results, half_point, test_results, validation_points
from osteon.train.model_folder import CLAIM_NAME, check_target, model_name, place_model, smooth_patterns
from osteon.train.objectives.classify import CLASSIFY
from osteon.train.run_data import is_synthetic, synthetic_share
from osteon.train.settings import HeadSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.train.members import Member
    from osteon.train.pixels import Pixels
    from osteon.train.recipe import Recipe
    from osteon.train.run_data import RunData
    from osteon.train.tile_features import SeenTiles
    from osteon.weights import Limits, ModelCard

__all__ = ["CLAIM_NAME", "ExportOptions", "export_run"]

_GOLDEN_EACH = 2
_MADE_UP = "made-up patterns; no image of the data set is in this folder"
_FEWEST_REFERENCES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How a model is made from a run.

    Attributes:
        name: ``architecture.tag``; "" takes the tag from the folder's name.
        words: version, statement, licence, intended use, exclusions.
        folds: whose networks become members; None takes all that are done.
        operating_point: one of ``POINTS``; all but "paper" are fixed on validation.
        threshold: a number instead.
        trust: whether novelty and prediction sets are fitted.
        references: training images of each member that novelty is measured against; they make up most of the folder.
        error_rate: of the prediction sets.
        golden: "images" keeps four validation images in the folder for everyone who gets the model, "pattern" made-up
            ones; "auto" takes images only where all are synthetic.
        half: whether weights are stored as float16.
        device: "auto", "cpu" or "cuda".
        resampling: of the intervals.
        cache: folder for decoded images, or None.
    """

    name: str = ""
    words: CardWords = field(default_factory=CardWords)
    folds: tuple[int, ...] | None = None
    operating_point: str = "paper"
    threshold: float | None = None
    trust: bool = True
    references: int = BANK_VECTORS
    error_rate: float = 0.1
    golden: str = "auto"
    half: bool = True
    device: str = "auto"
    resampling: Resampling = field(default_factory=Resampling)
    cache: Path | None = None


def export_run(
    data: RunData,
    out: Path,
    recipe: Recipe[Any],
    *,
    options: ExportOptions | None = None,
    progress: Progress = silent,
) -> ModelCard:
    """Make a model folder of a run; it is there whole and proven, or not at all.

    Args:
        data: of ``osteon.train.run_data.open_run``.
        out: the model folder itself; a model that lies there is replaced.
        recipe: of the run's task.
        options: which folds, operating point, words.
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
    from osteon.train.members import load_members
    from osteon.train.tile_features import load_seen
    from osteon.weights import write_model

    chosen = options or ExportOptions()
    settings = data.run.settings
    name = model_name(chosen.name, settings.architecture, out)
    check_target(out)
    folds = data.run.members(chosen.folds)
    is_head = isinstance(settings, HeadSettings)
    device = (
        chosen.device if is_head else choose_device(replace(settings, device=chosen.device, devices=1, precision="32"))
    )
    skip = bool(data.run.document.get("skip_unreadable", False))
    inputs = {"image": recipe.card_input(settings, data.manifest)}
    pixels = (
        load_seen(data.manifest, settings, skip_unreadable=skip, progress=progress)
        if is_head
        else CLASSIFY.load(data.manifest, settings, chosen.cache, skip_unreadable=skip, progress=progress)
    )
    if not _FEWEST_REFERENCES <= chosen.references <= BANK_VECTORS:
        raise InputError(
            f"{chosen.references} reference images were asked for; give {_FEWEST_REFERENCES} to {BANK_VECTORS}"
        )
    with_trust = chosen.trust and (is_head or len(data.run.classes) == 2)
    members = load_members(
        data,
        folds,
        pixels,
        inputs=inputs,
        device=device,
        half=chosen.half,
        bank=(len(data.manifest) if is_head else chosen.references) if with_trust else 0,
        progress=progress,
    )
    predictions = [member.predictions for member in members]
    points, validation = validation_points(data.manifest, predictions)
    point = (
        half_point(chosen.threshold)
        if is_head
        else choose_point(points, validation, wanted=chosen.operating_point, threshold=chosen.threshold)
    )
    made_up = synthetic_share(data.manifest) > 0
    results = test_results(
        data.manifest,
        predictions,
        scheme=data.split.scheme,
        point=point,
        resampling=chosen.resampling,
        is_synthetic=made_up,
    )
    if is_head:
        results += class_results(predictions, resampling=chosen.resampling, is_synthetic=made_up)
    is_demo = is_synthetic(data.manifest)
    crops, golden = _golden(data, members, pixels, wanted=chosen.golden)
    facts = CardFacts(
        point=None if is_head else point,
        points=points,
        results=results,
        golden=golden,
        is_half=chosen.half,
        is_demo=is_demo,
    )
    words = complete_words(chosen.words, data.manifest, is_demo=is_demo, elsewhere=recipe.elsewhere)
    card = classifier_card(name, data, members, words=words, facts=facts, inputs=inputs)
    fit = _tile_limits if is_head else _limits
    limits = fit(members, settings.seed, chosen) if with_trust else None
    networks = [member.network for member in members]
    return place_model(out, lambda parent: write_model(parent, card, networks, golden={"image": crops}, limits=limits))


def _limits(members: Sequence[Member], seed: int, options: ExportOptions) -> Limits | None:
    from osteon.predict.out_of_distribution import fit_limits

    material = [member.material for member in members if member.material is not None]
    return fit_limits(material, error_rate=options.error_rate, seed=seed) if len(material) == len(members) else None


def _tile_limits(members: Sequence[Member], seed: int, options: ExportOptions) -> Limits | None:
    """Each member's validation tiles against the space of its training tiles; the space that ships is of them all."""
    from osteon.train.tile_limits import HeldOut, feature_space, fit_tile_limits

    found = [member.material for member in members if member.material is not None]
    held_out = HeldOut(
        distance=np.concatenate([feature_space(one.train_features).distance(one.validation_features) for one in found]),
        probability=np.concatenate([one.probability for one in found]),
        truth=np.concatenate([one.truth for one in found]),
        patients=np.concatenate([one.patients for one in found]),
    )
    learnt = np.unique(np.concatenate([one.train_features for one in found]), axis=0)
    return fit_tile_limits(learnt, held_out, error_rate=options.error_rate, seed=seed, members=len(members))


def _golden(
    data: RunData, members: Sequence[Member], pixels: Pixels | SeenTiles, *, wanted: str
) -> tuple[NDArray[Any], str]:
    """Crops that every member must reproduce, (n, size, size), and what they show."""
    if wanted not in {"auto", "images", "pattern"}:
        raise InputError(f"golden {wanted!r} cannot be; choose auto, images or pattern")
    if wanted == "pattern" or (wanted == "auto" and not is_synthetic(data.manifest)):
        if pixels.values.ndim == 4:
            return np.rint(255 * smooth_patterns(pixels.size, colours=3)).astype(np.uint8), _MADE_UP
        return smooth_patterns(pixels.size), _MADE_UP
    table = members[0].predictions.of(part="validation")
    number = {row.image: index for index, row in enumerate(data.manifest.rows)}
    # images about which the network is least sure: a saturated probability would hide a difference
    order = np.argsort(np.abs(table.probability - 0.5), kind="stable")
    picked = [index for kind in (True, False) for index in order[table.is_positive[order] == kind][:_GOLDEN_EACH]]
    rows = np.array([number[str(table.image[index])] for index in picked])
    positive = data.run.settings.positive
    return pixels.crops(rows), f"validation images of fold {members[0].fold.fold}: with {positive} and without"
