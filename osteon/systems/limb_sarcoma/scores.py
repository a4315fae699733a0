"""What outlines are worth in three dimensions, patient by patient, beside masks that never look at the image.

Networks and blind masks are scored on the same crops, those of the data set's margins: the voxels outside are of
nobody. Every patient is scored by the fold that tests them, whose network and blind masks learnt from others; scans of
another data set by the folds that neither learnt from their patients nor chose an epoch by them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.data.options import Progress, silent
from osteon.errors import InputError
from osteon.io.table import csv_text, plain_cell
from osteon.metrics.blind_masks import BlindEllipsoid, MeanMask
from osteon.metrics.folds import holm
from osteon.metrics.segmentation import PixelCounts, pixel_counts, pooled
from osteon.metrics.subgroups import UNKNOWN
from osteon.metrics.volume_agreement import VolumeAgreement, median_of_patients, volume_agreement
from osteon.train.objectives.segment import Evaluator
from osteon.train.views import view_slices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from osteon.data import Manifest, Split
    from osteon.metrics.bootstrap import BootstrapInterval, Resampling
    from osteon.train.pixels import Pixels
    from osteon.train.settings import SegmentSettings

__all__ = [
    "BLIND",
    "MEASURES",
    "PIXEL_MEASURES",
    "BlindMask",
    "LimbCrop",
    "ScanScore",
    "by_patient",
    "fitted_blind_masks",
    "limb_crops",
    "median_gains",
    "medians",
    "modalities",
    "patients_by",
    "pooled_pixels",
    "predicted_tumour",
    "read_scores",
    "score_blind_masks",
    "score_networks",
    "scores_text",
]

BLIND: Final = ("ellipsoid", "mean mask")
"""The methods that never look at the image."""

MEASURES: Final = ("dice", "surface_dice", "hd95_mm", "volume_error", "lesion_sensitivity")
"""Of ``VolumeAgreement``: larger is better, but of HD95 smaller, and of the volume error nearer to 0."""

PIXEL_MEASURES: Final = ("precision", "sensitivity", "specificity", "iou", "f1")
"""Of the metastasis thesis, over the pixels of all crops together."""

_VOLUMES: Final = ("true_ml", "predicted_ml")
_PIXELS: Final = ("hits", "extra", "missed", "clear")

BlindMask = BlindEllipsoid | MeanMask
"""Both have ``mask(shape)``."""


_SIZES: Final = ("small", "medium", "large")
_OWN: Final = frozenset({"slice", "position", "view", "pixel_mm", "slice_mm", "pixels", "lesion_pixels", "modality"})
"""Columns of the manifest that are of slices, not of patients."""


@dataclass(frozen=True, slots=True, eq=False)
class LimbCrop:
    """The images of one scan, from the lowest slice to the highest, and the part of them that is scored.

    Attributes:
        modality: "mr" or "ct".
        rows: of the manifest, (slices,).
        part: rows and columns of the images.
        spacing_mm: of the voxels.
    """

    patient: str
    series: str
    modality: str
    rows: NDArray[np.int64] = field(repr=False)
    part: tuple[slice, slice]
    spacing_mm: tuple[float, float, float]

    def cut(self, images: NDArray[Any]) -> NDArray[Any]:
        """Images or masks of ``rows``, (slices, row, column), within the part."""
        return images[(slice(None), *self.part)]


@dataclass(frozen=True, slots=True)
class ScanScore:
    """How well one method outlined the tumour of one scan.

    Attributes:
        modality: "mr" or "ct".
        method: "ellipsoid", "mean mask", or name of a network.
        fold: whose network or fitted mask it is.
        pixels: of the crop: true and predicted, predicted alone, true alone, neither.
    """

    patient: str
    series: str
    modality: str
    fold: int
    method: str
    agreement: VolumeAgreement
    pixels: tuple[int, int, int, int]


def limb_crops(manifest: Manifest, pixels: Pixels) -> tuple[LimbCrop, ...]:
    """The scans of a data set, sorted by patient.

    Raises:
        InputError: the manifest lacks what ``osteon dataset limb_sarcoma`` writes, or the slices of a scan have gaps.
    """
    scans: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for index, row in enumerate(manifest.rows):
        number = row.extra.get("slice", "")
        if not number.isdecimal() or not {"pixel_mm", "slice_mm"} <= set(row.extra):
            raise InputError(f"{row.image} has no slice, pixel_mm or slice_mm: make the data set with osteon dataset")
        scans[row.patient, row.series].append((int(number), index))
    found = []
    for (patient, series), slices in sorted(scans.items()):
        numbers, rows = zip(*sorted(slices), strict=True)
        if numbers != tuple(range(numbers[0], numbers[0] + len(numbers))):
            raise InputError(f"the slices of a scan of {patient} have gaps: make the data set again")
        extra = manifest.rows[rows[0]].extra
        view = np.array([0.0, 1.0, 0.0, 1.0]) if pixels.views is None else pixels.views[rows[0]]
        spacing_mm = (float(extra["slice_mm"]), float(extra["pixel_mm"]), float(extra["pixel_mm"]))
        part = view_slices(view, (pixels.size, pixels.size))
        modality = extra.get("modality", "mr")
        found.append(LimbCrop(patient, series, modality, np.array(rows, dtype=np.int64), part, spacing_mm))
    return tuple(found)


def fitted_blind_masks(
    manifest: Manifest, pixels: Pixels, split: Split, fold: int, *, modality: str
) -> dict[str, BlindMask]:
    """Each of ``BLIND``, fitted on the crops of a modality of all who are not tested in a fold.

    Raises:
        InputError: as ``limb_crops``, or of another split.
    """
    tested = set(split.rows(manifest, fold).test.tolist())
    others = [
        crop.cut(pixels.masks["lesion"][crop.rows])
        for crop in limb_crops(manifest, pixels)
        if crop.modality == modality and crop.rows[0] not in tested
    ]
    return dict(zip(BLIND, (BlindEllipsoid.fitted(others), MeanMask.fitted(others)), strict=True))


def score_blind_masks(
    manifest: Manifest,
    pixels: Pixels,
    split: Split,
    *,
    folds: Iterable[int] | None = None,
    on: tuple[Manifest, Pixels] | None = None,
) -> tuple[ScanScore, ...]:
    """The blind masks of each fold on the scans that it tests, or on those of another data set (``on``).

    Raises:
        InputError: as ``limb_crops``, or of another split.
    """
    scores, scanned = [], on or (manifest, pixels)
    for fold in range(len(split.folds)) if folds is None else folds:
        blind = {
            modality: fitted_blind_masks(manifest, pixels, split, fold, modality=modality)
            for modality in sorted({crop.modality for crop in limb_crops(*scanned)})
        }
        for crop in _unseen(limb_crops(*scanned), split, fold):
            true = crop.cut(scanned[1].masks["lesion"][crop.rows])
            own = blind[crop.modality].items()
            scores += [_score(crop, fold, name, true, each.mask(true.shape)) for name, each in own]
    return tuple(scores)


def score_networks(
    manifest: Manifest,
    pixels: Pixels,
    split: Split,
    settings: SegmentSettings,
    networks: Mapping[int, nn.Module],
    *,
    method: str,
    progress: Progress = silent,
) -> tuple[ScanScore, ...]:
    """The networks of a run, each on the scans whose patients its fold tests, at the threshold of the settings.

    Args:
        manifest: the data set, or another one: patients whom no fold knows are scored by the networks of all.
        pixels: of it, as ``SEGMENT.load`` gives them.
        split: that the run was trained on.
        settings: of the run.
        networks: by fold; those of folds that are not done are left out.
        method: name of the network in the scores.
        progress: called at every block of slices.

    Raises:
        InputError: as ``limb_crops``.
    """
    scores = []
    for fold in sorted(networks):
        evaluate = Evaluator([networks[fold]], settings, manifest, pixels, "cpu", progress)
        for crop in _unseen(limb_crops(manifest, pixels), split, fold):
            predicted = crop.cut(predicted_tumour(evaluate, crop.rows))
            scores.append(_score(crop, fold, method, crop.cut(pixels.masks["lesion"][crop.rows]), predicted))
    return tuple(scores)


def predicted_tumour(evaluate: Evaluator, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """What networks predict as tumour in images of a manifest, (images, row, column), at the settings' threshold."""
    lesion, limit = evaluate.settings.outputs.index("lesion"), np.float32(evaluate.settings.threshold)
    return np.concatenate([maps[:, lesion] >= limit for _, maps in evaluate.maps(rows, "scans")])


def _unseen(crops: Sequence[LimbCrop], split: Split, fold: int) -> list[LimbCrop]:
    """Scans of patients from whom a fold did not learn and by whom it did not choose."""
    part = split.folds[fold]
    return [crop for crop in crops if crop.patient not in {*part.train, *part.validation}]


def medians(
    scores: Iterable[ScanScore], *, resampling: Resampling | None = None
) -> dict[str, dict[str, BootstrapInterval]]:
    """Of each method, the median over patients of each of ``MEASURES``, with its interval."""
    found: dict[str, dict[str, BootstrapInterval]] = {}
    for method, patients in by_patient(scores).items():
        found[method] = {
            name: median_of_patients([values[name] for values in patients.values()], resampling=resampling)
            for name in MEASURES
        }
    return found


def median_gains(
    scores: Iterable[ScanScore],
    pairs: Sequence[tuple[str, str]],
    *,
    measure: str = "dice",
    resampling: Resampling | None = None,
) -> tuple[tuple[BootstrapInterval, float], ...]:
    """Median of the paired differences, first minus second method, over patients that both scored, and Holm's p.

    Raises:
        InputError: two methods that share no patient.

    Returns:
        For each pair the median with its interval and p, and p after Holm's correction over all pairs.
    """
    by_method, found = by_patient(scores), []
    for one, two in pairs:
        first, second = by_method.get(one, {}), by_method.get(two, {})
        shared = [first[who][measure] - second[who][measure] for who in sorted(first.keys() & second.keys())]
        if not shared:
            raise InputError(f"{one} and {two} were scored on no patient both: score them on the same folds")
        found.append(median_of_patients(shared, against_zero=True, resampling=resampling))
    adjusted = holm([each.p_value if each.p_value is not None else np.nan for each in found]).tolist()
    return tuple(zip(found, adjusted, strict=True))


def patients_by(manifest: Manifest, scores: Sequence[ScanScore]) -> dict[str, dict[str, frozenset[str]]]:
    """Column -> group -> patients: thirds by the volume of the tumour, and what the manifest says of patients."""
    volumes = {who: values["true_ml"] for who, values in by_patient(scores).get(BLIND[0], {}).items()}
    limits = np.quantile(list(volumes.values()), (1 / 3, 2 / 3))
    words = (f"up to {limits[0]:.0f} ml", f"{limits[0]:.0f} to {limits[1]:.0f} ml", f"above {limits[1]:.0f} ml")
    sizes: dict[str, set[str]] = {f"{name}, {told}": set() for name, told in zip(_SIZES, words, strict=True)}
    for who, volume in volumes.items():
        list(sizes.values())[int(np.searchsorted(limits, volume, side="left"))].add(who)
    columns: dict[str, dict[str, set[str]]] = {"size": sizes}
    for column in sorted({name for row in manifest.rows for name in row.extra} - _OWN):
        groups: dict[str, set[str]] = defaultdict(set)
        for row in manifest.rows:
            groups[row.extra.get(column, "") or UNKNOWN].add(row.patient)
        if len(groups) > 1:
            columns[column] = {name: groups[name] for name in sorted(groups, key=lambda name: (name == UNKNOWN, name))}
    return {name: {group: frozenset(who) for group, who in groups.items()} for name, groups in columns.items()}


def pooled_pixels(
    scores: Iterable[ScanScore], *, resampling: Resampling | None = None
) -> dict[str, dict[str, BootstrapInterval]]:
    """Of each method, each of ``PIXEL_MEASURES`` over the pixels of all crops together; intervals draw patients."""
    by_method: dict[str, list[ScanScore]] = defaultdict(list)
    for each in scores:
        by_method[each.method].append(each)
    found = {}
    for method, scans in by_method.items():
        counts = PixelCounts(*np.array([each.pixels for each in scans], dtype=np.int64).T)
        patients = [each.patient for each in scans]
        found[method] = pooled(counts, patients, measures=PIXEL_MEASURES, resampling=resampling)
    return found


def scores_text(scores: Iterable[ScanScore]) -> str:
    """The scores as CSV, a line a scan and method."""
    names = [entry.name for entry in fields(VolumeAgreement)]
    lines = [
        [
            *(each.patient, each.series, each.modality, each.fold, each.method),
            *(asdict(each.agreement)[name] for name in names),
            *each.pixels,
        ]
        for each in scores
    ]
    return csv_text(["patient", "series", "modality", "fold", "method", *names, *_PIXELS], lines)


def read_scores(rows: Iterable[Mapping[str, str]]) -> tuple[ScanScore, ...]:
    """What ``scores_text`` gave, row by row.

    Raises:
        KeyError or ValueError: it holds something else.
    """
    return tuple(
        ScanScore(
            plain_cell(row["patient"]),
            plain_cell(row["series"]),
            plain_cell(row["modality"]),
            int(row["fold"]),
            plain_cell(row["method"]),
            VolumeAgreement(
                **{entry.name: float(row[entry.name]) for entry in fields(VolumeAgreement) if entry.type == "float"},
                lesions=int(row["lesions"]),
                found=int(row["found"]),
            ),
            (int(row["hits"]), int(row["extra"]), int(row["missed"]), int(row["clear"])),
        )
        for row in rows
    )


def _score(crop: LimbCrop, fold: int, method: str, true: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> ScanScore:
    agreement = volume_agreement(true, predicted, spacing_mm=crop.spacing_mm)
    hits, extra, missed, clear = pixel_counts(true, predicted).table.sum(axis=0).tolist()
    about = crop.patient, crop.series, crop.modality, fold, method
    return ScanScore(*about, agreement, (hits, extra, missed, clear))


def modalities(scores: Iterable[ScanScore]) -> list[str]:
    """Those of the scans, MR first."""
    return sorted({each.modality for each in scores}, reverse=True)


def by_patient(scores: Iterable[ScanScore]) -> dict[str, dict[str, dict[str, float]]]:
    """Method -> patient -> each of ``MEASURES`` and both volumes; of a patient with several scans their mean."""
    scans: dict[str, dict[str, list[VolumeAgreement]]] = defaultdict(lambda: defaultdict(list))
    for each in scores:
        scans[each.method][each.patient].append(each.agreement)
    return {
        method: {
            patient: {name: float(np.mean([getattr(one, name) for one in found])) for name in (*MEASURES, *_VOLUMES)}
            for patient, found in patients.items()
        }
        for method, patients in scans.items()
    }
