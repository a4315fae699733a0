"""What a model card says of outlines in 3-D: each patient by the network that never saw them, beside a floor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.metrics.volume_agreement import limits_of_agreement, median_of_patients
from osteon.systems.limb_sarcoma.scores import (
    BLIND,
    MEASURES,
    by_patient,
    median_gains,
    medians,
    modalities,
    patients_by,
    score_blind_masks,
    score_networks,
)
from osteon.train.objectives.segment import SEGMENT
from osteon.train.run import synthetic_share
from osteon.weights import MeasuredResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import nn

    from osteon.data import Manifest
    from osteon.metrics.bootstrap import BootstrapInterval, Resampling
    from osteon.systems.limb_sarcoma.scores import ScanScore
    from osteon.train.export.card import ExportOptions
    from osteon.train.run import RunData

__all__ = ["measured_outlines"]

_WORDS: Final = dict(
    zip(
        MEASURES, ("Dice", "surface Dice at 2 mm", "HD95 in mm", "volume error", "sensitivity for lesions"), strict=True
    )
)
_METHOD: Final = "patient bootstrap, percentile"
_OWN: Final = "network"


def measured_outlines(
    data: RunData, networks: Mapping[int, nn.Module], options: ExportOptions
) -> tuple[MeasuredResult, ...]:
    """Results of the networks of a run as they are shipped, of each modality apart, in 3-D within the drawn margins.

    Args:
        data: run, manifest, split.
        networks: by fold; patients of other folds are not in the results.
        options: of the export: resampling, cache.

    Returns:
        Medians over patients of Dice and the other measures, of Dice of the blind ellipsoid and of the gain over it;
        medians of Dice in groups; bias and limits of the ratio of volumes.
    """
    settings, manifest = data.run.settings, data.manifest
    pixels = SEGMENT.load(manifest, settings, options.cache)
    scores = [
        *score_blind_masks(manifest, pixels, data.split, folds=sorted(networks)),
        *score_networks(manifest, pixels, data.split, settings, networks, method=_OWN),
    ]
    found: list[MeasuredResult] = []
    for modality in modalities(scores):
        own = [each for each in scores if each.modality == modality]
        found += _of_modality(own, manifest, modality, options.resampling, data.split.scheme)
    return tuple(found)


def _of_modality(
    scores: Sequence[ScanScore], manifest: Manifest, modality: str, resampling: Resampling, scheme: str
) -> Iterator[MeasuredResult]:
    where = f"{modality.upper()}, 3-D, median of patients"
    images = sum(row.extra.get("modality", modality) == modality for row in manifest.rows)
    about: dict[str, Any] = {
        "data": f"test parts of {scheme} folds, each patient by a network that never saw them, within drawn margins",
        "is_synthetic": synthetic_share(manifest) > 0,
        "images": images,
    }

    def result(metric: str, one: BootstrapInterval) -> MeasuredResult:
        finite = all(map(math.isfinite, (one.low, one.high)))
        return MeasuredResult(
            metric=metric,
            value=one.value if math.isfinite(one.value) else None,
            interval=(one.low, one.high) if finite else None,
            interval_method=_METHOD if finite else "",
            patients=one.patients,
            **about,
        )

    every = medians(scores, resampling=resampling)
    for measure, words in _WORDS.items():
        yield result(f"{words}, {where}", every[_OWN][measure])
    yield result(f"Dice of a blind ellipsoid, {where}", every[BLIND[0]]["dice"])
    ((gain, _),) = median_gains(scores, [(_OWN, BLIND[0])], resampling=resampling)
    yield result(f"gain in Dice over a blind ellipsoid, {where}", gain)
    patients = by_patient(scores)[_OWN]
    for column, groups in patients_by(manifest, scores).items():
        for group, people in groups.items():
            dice = [patients[who]["dice"] for who in sorted(people & patients.keys())]
            if dice:
                yield result(f"Dice, {where}, {column}: {group}", median_of_patients(dice, resampling=resampling))
    ratios = [one["predicted_ml"] / one["true_ml"] for one in patients.values() if one["predicted_ml"] > 0]
    if ratios:
        limits = limits_of_agreement(np.log(ratios), resampling=resampling)
        told = {"bias": limits.bias, "lower limit of agreement": limits.low, "upper limit of agreement": limits.high}
        for name, one in told.items():
            low, high = (float(np.exp(value)) for value in (one.low, one.high))
            yield MeasuredResult(
                metric=f"predicted over true volume, {name}, {modality.upper()}, geometric, patients with an outline",
                value=float(np.exp(one.value)),
                interval=(low, high) if math.isfinite(low + high) else None,
                interval_method=_METHOD if math.isfinite(low + high) else "",
                patients=len(ratios),
                **about,
            )
