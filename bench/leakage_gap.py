"""What leakage is worth: one model on one data set, divided by image and divided by patient.

Run ``python -m bench.leakage_gap DATASET CACHE [FIGURE.png]`` for the numbers of docs/concepts/leakage.md.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from osteon.curation.conflicts import has_direction
from osteon.errors import InputError
from osteon.io.table import read_manifest
from osteon.metrics.bootstrap import BootstrapInterval, paired_difference, patient_bootstrap
from osteon.train.curated import dataset_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data import Manifest
    from osteon.metrics.bootstrap import Resampling

__all__ = ["LeakageGap", "measure_gap"]


@dataclass(frozen=True, slots=True)
class LeakageGap:
    """AUC over images with intervals over patients.

    Attributes:
        by_image: folds of images.
        by_patient: folds of patients.
        gap: the first minus the second, on the same resampled patients.
    """

    by_image: BootstrapInterval
    by_patient: BootstrapInterval
    gap: BootstrapInterval


def measure_gap(
    manifest: Manifest,
    vectors: NDArray[np.float32],
    *,
    positive: str = "tumour",
    folds: int = 5,
    seed: int = 1,
    resampling: Resampling | None = None,
) -> LeakageGap:
    """Logistic regression on vectors, cross-validated twice: the divisions differ, nothing else does.

    Both divisions keep the share of the label in every fold, and classes weigh the same: otherwise a fold with many
    positive patients has a training part with few, its scores come out lower than those of the other folds, and the
    pooled AUC of the division by patient falls below chance without any leakage in the other.

    Args:
        manifest: the images.
        vectors: (images, d) of ``dataset_vectors``; images without one are left out.
        positive: the label to find.
        folds: of both divisions.
        seed: of both divisions.
        resampling: of the intervals.

    Raises:
        InputError: fewer patients than folds, or numbers that do not fit.
        UnknownLabelError: no image has the label.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(vectors) != len(manifest) or len(manifest.patients) < folds:
        raise InputError(
            f"{len(vectors)} vectors and {len(manifest.patients)} patients were given for {len(manifest)} images and "
            f"{folds} folds: give a vector an image and at least as many patients as folds"
        )
    usable = has_direction(vectors)
    table, truth, patients = vectors[usable], manifest.truth(positive)[usable], manifest.column("patient")[usable]
    divisions = (
        StratifiedKFold(folds, shuffle=True, random_state=seed).split(table, truth),
        StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(table, truth, patients),
    )
    scores = []
    for division in divisions:
        score = np.zeros(len(truth))
        for train, test in division:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300, class_weight="balanced"))
            score[test] = model.fit(table[train], truth[train]).decision_function(table[test])
        scores.append(score)
    by_image, by_patient = (patient_bootstrap("auc", truth, score, patients, resampling=resampling) for score in scores)
    gap = paired_difference("auc", truth, (scores[0], scores[1]), patients, resampling=resampling)
    return LeakageGap(by_image, by_patient, gap)


def _draw(found: LeakageGap, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 2.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, (each, colour) in enumerate(((found.by_patient, "#0a5c94"), (found.by_image, "#a84300"))):
        error = [[each.value - each.low], [each.high - each.value]]
        axes.errorbar(each.value, place, xerr=error, fmt="o", capsize=5, color=colour)
        axes.annotate(f"{each.value:.3f}", (each.value, place), (0, 8), textcoords="offset points", ha="center")
    axes.set_yticks((0, 1), ("divided by patient", "divided by image (leaks)"))
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(-0.5, 1.6), xlabel="ROC AUC over images, 95 % CI over patients (synthetic)")
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=110)


def main(words: list[str]) -> None:
    """Measure, print, and draw when a third word names a picture."""
    manifest = read_manifest(words[0])
    found = measure_gap(manifest, dataset_vectors(manifest, Path(words[1])))
    for name in ("by_image", "by_patient", "gap"):
        each = getattr(found, name)
        sys.stdout.write(f"{name:<12}{each.value:.3f} ({each.low:.3f} to {each.high:.3f})\n")
    if len(words) > 2:
        _draw(found, Path(words[2]))


if __name__ == "__main__":
    main(sys.argv[1:])
