"""Compare the networks with ImageNet weights as frozen embeddings of H&E tiles, each patient left out once.

    osteon dataset histology ../shared/data/osteosarcoma_he_tiles -o tiles --microns 1
    python scripts/tile_backbones.py tiles [--pixels 224] [--json FILE]

The pooled feature of a tile, then logistic regression with a plain ridge (each number scaled on the training patients):
nothing is chosen, so nothing is nested. Intervals are over patients; each network is compared with MobileNetV2 on the
same resampled patients, p values by Holm over the comparisons of a measure, and none smaller than so few patients can
give. The last column tells, divided by tile, how often the feature says whose tile it is: where class and patient are
confounded, that is what a high number may mean.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from osteon.data.slide import TILE_CLASSES
from osteon.io.table import read_manifest
from osteon.metrics.bootstrap import BootstrapInterval, Resampling, paired_difference, patient_bootstrap
from osteon.metrics.folds import holm
from osteon.metrics.multiclass import cluster_intervals
from osteon.metrics.text import Scale
from osteon.systems.histology.recipe import RECIPE
from osteon.systems.histology.study_folds import commonest_class, linear_probability, outer_folds, patient_by_class
from osteon.systems.histology.study_tables import TUMOUR
from osteon.train.tile_features import tile_labels, tile_table
from osteon.weights.backbone import embedded_architectures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data import Manifest

__all__ = ["Compared", "compare_backbones"]

REFERENCE, FLOOR = "mobilenet_v2", "the commonest class"
_SCALE, _AUC = Scale(100, 1, undefined=""), Scale(1, 3)
_RIGHT, _TUMOUR_RIGHT = ("accuracy",), ("accuracy", *TUMOUR)


@dataclass(frozen=True, slots=True)
class Compared:
    """A network, or the commonest class, on all tiles: of each patient by what the others taught.

    Attributes:
        accuracy: of three classes.
        tumour_accuracy: of tumour, viable or not, against none.
        tumour_auc: of the probability of tumour; the folds' scores are pooled.
        patient_told: share of tiles whose patient the feature tells, divided by tile; NaN of the floor.
        differences: by measure, this network minus the reference; empty of the reference.
        p_holm: by measure, adjusted over the networks.
    """

    architecture: str
    accuracy: BootstrapInterval
    tumour_accuracy: BootstrapInterval
    tumour_auc: BootstrapInterval
    patient_told: float
    differences: dict[str, BootstrapInterval]
    p_holm: dict[str, float]


def compare_backbones(
    manifest: Manifest,
    *,
    pixels: int = 224,
    architectures: tuple[str, ...] = (),
    resampling: Resampling | None = None,
) -> tuple[Compared, ...]:
    """The reference first, then the others, then the commonest class of the other patients.

    Args:
        manifest: of tiles, labelled with ``TILE_CLASSES``.
        pixels: rows and columns that the networks see of a tile.
        architectures: beside the reference; all with embedded weights where none is named.
        resampling: of patients.
    """
    how = resampling or Resampling()
    others = [name for name in architectures or embedded_architectures() if name != REFERENCE]
    labels, patients = tile_labels(manifest), manifest.column("patient")
    probability, told = {}, {}
    seed = RECIPE.settings().seed
    left_out = outer_folds(labels, patients, most=len(manifest), seed=seed)
    for name in (REFERENCE, *others):
        settings = RECIPE.settings({"architecture": f"{name}_tiles", "pixels": pixels})
        features = tile_table(manifest, settings).features
        probability[name] = linear_probability(features, labels, left_out)
        told[name] = _patient_told(features, labels, patients, seed=seed)
    probability[FLOOR], told[FLOOR] = np.eye(len(TILE_CLASSES))[commonest_class(labels, left_out)], float("nan")
    measured = {name: _differences(probability[name], probability[REFERENCE], labels, patients, how) for name in others}
    p_values = {key: [_p_value(measured[name][key]) for name in others] for key in _measures(labels)}
    adjusted = {key: holm(values) for key, values in p_values.items()}
    found = []
    for name, own in probability.items():
        rates = cluster_intervals(
            (_RIGHT, _TUMOUR_RIGHT), labels, own.argmax(axis=1), patients, classes=TILE_CLASSES, resampling=how
        )
        found.append(
            Compared(
                architecture=name,
                accuracy=rates[_RIGHT],
                tumour_accuracy=rates[_TUMOUR_RIGHT],
                tumour_auc=patient_bootstrap("auc", _is_tumour(labels), _tumour(own), patients, resampling=how),
                patient_told=told[name],
                differences=measured.get(name, {}),
                p_holm={key: float(values[others.index(name)]) for key, values in adjusted.items() if name in others},
            )
        )
    return tuple(found)


def _measures(labels: NDArray[np.int64]) -> tuple[str, ...]:
    """Those of the comparisons; an AUC needs both kinds of tiles."""
    return ("accuracy", "tumour_accuracy", *(("tumour_auc",) if 0 < _is_tumour(labels).sum() < labels.size else ()))


def _differences(
    own: NDArray[np.float64],
    reference: NDArray[np.float64],
    labels: NDArray[np.int64],
    patients: NDArray[np.str_],
    how: Resampling,
) -> dict[str, BootstrapInterval]:
    """A network minus the reference. Right or not is what "tpr" counts of cases that all are to be predicted right."""
    every, is_tumour = np.ones(labels.size, dtype=bool), _is_tumour(labels)

    def right(of: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(of.argmax(axis=1) == labels, dtype=np.float64)

    def tumour_right(of: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(_is_tumour(of.argmax(axis=1)) == is_tumour, dtype=np.float64)

    pairs = {
        "accuracy": ("tpr", every, (right(own), right(reference))),
        "tumour_accuracy": ("tpr", every, (tumour_right(own), tumour_right(reference))),
        "tumour_auc": ("auc", is_tumour, (_tumour(own), _tumour(reference))),
    }
    return {
        name: paired_difference(measure, truth, scores, patients, resampling=how)
        for name, (measure, truth, scores) in pairs.items()
        if name in _measures(labels)
    }


def _p_value(difference: BootstrapInterval) -> float:
    """That of the bootstrap, but never less than an exact test of so many patients can give; NaN where none was made.

    A few patients give a few resamples: the bootstrap's own p value may then be 0.001 and mean nothing. An exact paired
    test that exchanges the two networks patient by patient has 2 ** patients outcomes.
    """
    return float("nan") if difference.p_value is None else max(difference.p_value, 2 * 0.5**difference.patients)


def _is_tumour(classes: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.isin(classes, [TILE_CLASSES.index(name) for name in TUMOUR])


def _tumour(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(probability[:, [TILE_CLASSES.index(name) for name in TUMOUR]].sum(axis=1))


def _patient_told(
    features: NDArray[np.float32], labels: NDArray[np.int64], patients: NDArray[np.str_], *, seed: int
) -> float:
    people = np.unique(patients, return_inverse=True)[1].astype(np.int64)
    by_tile = outer_folds(labels, np.arange(labels.size).astype(str), most=10, seed=seed)
    return float((linear_probability(features, people, by_tile).argmax(axis=1) == people).mean())


def table(compared: tuple[Compared, ...]) -> list[str]:
    """Lines of Markdown."""
    columns = (
        "network",
        "accuracy, %",
        "tumour against none, %",
        "AUC of tumour",
        "AUC less MobileNetV2's",
        "p, Holm",
        "patient told by the feature, divided by tile, %",
    )
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for one in compared:
        change = one.differences.get("tumour_auc")
        cells = [
            one.architecture,
            *(_SCALE.estimate(each.value, each.low, each.high) for each in (one.accuracy, one.tumour_accuracy)),
            _AUC.estimate(one.tumour_auc.value, one.tumour_auc.low, one.tumour_auc.high),
            ""
            if change is None
            else f"{_AUC.signed(change.value)} ({_AUC.limits(change.low, change.high, signed=True)})",
            "" if change is None else f"{one.p_holm['tumour_auc']:.2f}",
            _SCALE.number(one.patient_told),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of a data set of tiles (osteon dataset histology)")
    parser.add_argument("--pixels", type=int, default=224, help="rows and columns that the networks see of a tile")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    options = parser.parse_args()
    manifest = read_manifest(options.data)
    compared = compare_backbones(manifest, pixels=options.pixels)
    people = patient_by_class(tile_labels(manifest), manifest.column("patient"))
    print(f"{len(manifest)} tiles of {len(people)} patients ({', '.join(TILE_CLASSES)}): {people}\n")
    print("\n".join(table(compared)))
    for one in compared:
        for measure, change in one.differences.items():
            print(
                f"{one.architecture} less {REFERENCE}, {measure}: {_AUC.signed(change.value)} "
                f"({_AUC.limits(change.low, change.high, signed=True)}), p {_p_value(change):.3f}, "
                f"Holm {one.p_holm[measure]:.3f}"
            )
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in compared], indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
