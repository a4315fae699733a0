"""Pictures of the study of limb sarcomas: outlines of the best, the median and the worst patient, volumes, pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.report.charts import (
    OutlinedImage,
    PointGroup,
    draw_agreement,
    draw_joint_curves,
    draw_outlines,
)
from osteon.study import page
from osteon.systems.limb_sarcoma.scores import BLIND, by_patient, fitted_blind_masks, limb_crops, predicted_tumour
from osteon.systems.limb_sarcoma.study_rows import PAIRS
from osteon.systems.limb_sarcoma.study_tables import NAMES, scored_networks
from osteon.train.objectives.segment import SEGMENT, Evaluator, kept_network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from osteon.report.blocks import Picture
    from osteon.study.plan import RunState, Study
    from osteon.systems.limb_sarcoma.scores import ScanScore

__all__ = ["draw_pairs", "draw_patients", "draw_volumes"]

_SHOWN: Final = 4
"""Networks in a picture, at most."""


def draw_pairs(study: Study) -> list[Picture]:
    """Learning curves of the same network with one decoder and with two, in one panel, where both have begun.

    Raises:
        OutputError: a picture cannot be written.
    """
    runs, pictures = {run.plan.name: run for run in study.runs}, []
    for pair in PAIRS:
        curves, words = page.training_curves([runs[name] for name in pair if name in runs])
        if {curve.panel for curve in curves} == set(pair):
            path = study.figures / f"pair-{pair[0]}.png"
            pictures.append(draw_joint_curves(path, curves, measure=words, mark=study.mark))
    return pictures


def draw_volumes(study: Study, scores: Sequence[ScanScore], *, stem: str = "") -> list[Picture]:
    """Predicted over true volume of each patient, the blind ellipsoid first; ``stem`` ends the name of the file.

    Raises:
        OutputError: the picture cannot be written.
    """
    found, groups = by_patient(scores), []
    for method in (BLIND[0], *scored_networks(scores)[:_SHOWN]):
        patients = found.get(method, {}).values()
        true, predicted = (np.array([one[name] for one in patients]) for name in ("true_ml", "predicted_ml"))
        groups.append(PointGroup(NAMES[method], true, predicted))
    title = "Volume of the tumour, predicted over true"
    return [draw_agreement(study.figures / f"volumes{stem}.png", title, "ml", groups, mark=study.mark)]


def draw_patients(study: Study, scores: Sequence[ScanScore], *, stem: str = "") -> list[Picture]:
    """The slice with the most tumour of the best, the median and the worst patient, outlined by several methods.

    The scores are of one modality; ``stem`` ends the name of the file. The patients are those of the first network of
    the study that has scored somebody; each is predicted by the networks of the fold that tests them, and by the blind
    ellipsoid fitted on the others.

    Raises:
        InputError: an image is not there any more.
        WeightsError: a network is not there any more.
        OutputError: the picture cannot be written.
    """
    networks = scored_networks(scores)
    if not networks:
        return []
    found = by_patient(scores)
    ranked = sorted(found[networks[0]], key=lambda who: (found[networks[0]][who]["dice"], who))
    chosen = dict.fromkeys((ranked[-1], ranked[(len(ranked) - 1) // 2], ranked[0]))  # one patient is all three
    words = dict(zip(chosen, ("best", "median", "worst"), strict=False))
    runs = {run.plan.name: run for run in study.runs}
    shown = [name for name in networks if chosen.keys() <= found[name].keys()][:_SHOWN]
    rows = []
    for who, place in words.items():
        scan = next(each for each in scores if (each.patient, each.method) == (who, networks[0]))
        dice = {NAMES[name]: f"Dice of the scan {found[name][who]['dice']:.2f}" for name in (BLIND[0], *shown)}
        rows.append(_row(study, [runs[name] for name in shown], scan, f"{place}: {who}", dice))
    caption = (
        f"The slice with the most tumour of the patients in whom {NAMES[networks[0]]} reaches its best, median and "
        "worst Dice, within their margins; each by the networks of the fold that tests them."
    )
    path = study.figures / f"patients{stem}.png"
    title = "Outlines of the best, the median and the worst patient"
    return [draw_outlines(path, title, rows, caption=caption, mark=study.mark)]


def _row(study: Study, runs: Sequence[RunState], scan: ScanScore, name: str, dice: Mapping[str, str]) -> OutlinedImage:
    """The slice with the most tumour of a scan, with what the networks of a fold and the ellipsoid predict there."""
    place, split, fold = study.place, study.place.splits["folds"], scan.fold
    seen = [
        SEGMENT.load(place.manifest, run.plan.settings, place.cache, skip_unreadable=place.skip_unreadable)
        for run in runs
    ]
    wanted = scan.patient, scan.series
    crop = next(each for each in limb_crops(place.manifest, seen[0]) if (each.patient, each.series) == wanted)
    outlined = crop.cut(seen[0].masks["lesion"][crop.rows])
    index = int(np.argmax(outlined.sum(axis=(1, 2))))
    rows = crop.rows[index : index + 1]
    blind = fitted_blind_masks(place.manifest, seen[0], split, fold, modality=crop.modality)[BLIND[0]]
    predicted = {NAMES[BLIND[0]]: _square(blind.mask(outlined.shape)[index])}
    for run, pixels in zip(runs, seen, strict=True):
        network, settings = kept_network(run.plan.settings, run.folds[fold].weights), run.plan.settings
        evaluate = Evaluator([network], settings, place.manifest, pixels, "cpu")
        predicted[NAMES[run.plan.name]] = _square(crop.cut(predicted_tumour(evaluate, rows))[0])
    image = crop.cut(seen[0].crops(rows))[0]
    return OutlinedImage(name, _square(image), _square(outlined[index]), predicted, dice)


def _square(image: NDArray[Any]) -> NDArray[Any]:
    """An image (row, column) in the middle of a square of 0: the panels of all rows are of one height."""
    side = max(image.shape)
    ahead = [(side - length) // 2 for length in image.shape]
    return np.pad(image, [(a, side - length - a) for a, length in zip(ahead, image.shape, strict=True)])
