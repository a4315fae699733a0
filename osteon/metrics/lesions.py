"""Lesions found and missed: which predicted lesion is which true one, how many are found, how many are false.

A lesion is a connected piece of a mask in 3D; voxels that share a corner are connected (26 neighbours) unless asked
otherwise. A predicted and a true lesion are the same when the rule of ``Matching`` says so, pair by pair:

* one true lesion may be found by several predicted ones (it broke up), and counts once;
* one predicted lesion may find several true ones (they grew together), and each of them counts;
* a predicted lesion that is the same as no true one is a false positive; it may lie on a mimic, if those are marked.

Lesions and scans of one patient are alike: intervals draw patients.

References:
    Chakraborty 2017, doi:10.1201/9781351228190 (free-response studies).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Matching", "ScanLesions", "label_lesions", "match_lesions"]

_RULES = ("iou", "covered", "centre")
_NEIGHBOURS = (6, 18, 26)
_MM3_A_ML = 1000.0


@dataclass(frozen=True, slots=True)
class Matching:
    """When a predicted and a true lesion are the same.

    Attributes:
        rule: "iou": their shared voxels are at least ``least`` of all voxels of both; "covered": at least ``least`` of
            the true lesion's voxels are in the predicted one; "centre": their centres of mass are at most ``most_mm``
            apart. With "iou" and "covered" they share at least one voxel.
        least: share, 0 to 1.
        most_mm: distance, 0 or more.

    Raises:
        UnknownLabelError: no such rule.
        InputError: a number out of range.
    """

    rule: Literal["iou", "covered", "centre"] = "iou"
    least: float = 0.1
    most_mm: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what is no rule."""
        if self.rule not in _RULES:
            raise UnknownLabelError(f"lesions cannot be matched by {self.rule!r}: {nearest_names(self.rule, _RULES)}")
        if not 0 <= self.least <= 1 or not (math.isfinite(self.most_mm) and self.most_mm >= 0):
            raise InputError(
                f"lesions were to share {self.least} or lie {self.most_mm} mm apart; give 0 to 1, and 0 mm or more"
            )

    @property
    def words(self) -> str:
        """The rule as a person reads it.

        Example:
            >>> Matching().words
            'intersection over union of at least 0.1'
        """
        if self.rule == "centre":
            return f"centres at most {self.most_mm:g} mm apart"
        shared = "intersection over union" if self.rule == "iou" else "share of the true lesion that is covered"
        return f"{shared} of at least {self.least:g}" if self.least > 0 else "at least one voxel in common"


@dataclass(frozen=True, slots=True, eq=False)
class ScanLesions:
    """The lesions of one scan, matched.

    Attributes:
        patient: whose scan it is.
        true_ml: (t,) volume of each true lesion.
        true_probability: (t,) largest probability of the predicted lesions that are the same; -inf where there is none.
        predicted_ml: (p,) volume of each predicted lesion.
        predicted_probability: (p,) 0 to 1.
        is_hit: (p,) bool, whether it is the same as a true lesion.
        is_on_mimic: (p,) bool, whether it is no hit and shares a voxel with a mimic.
        mimic_probability: (m,) for each mimic the largest probability of the false positives on it; -inf for none.
    """

    patient: str
    true_ml: NDArray[np.float64] = field(repr=False)
    true_probability: NDArray[np.float64] = field(repr=False)
    predicted_ml: NDArray[np.float64] = field(repr=False)
    predicted_probability: NDArray[np.float64] = field(repr=False)
    is_hit: NDArray[np.bool_] = field(repr=False)
    is_on_mimic: NDArray[np.bool_] = field(repr=False)
    mimic_probability: NDArray[np.float64] = field(repr=False)

    @property
    def true_mm(self) -> NDArray[np.float64]:
        """(t,) diameter of a ball of the volume of each true lesion."""
        return np.asarray(np.cbrt(self.true_ml * (6 * _MM3_A_ML / math.pi)))


def label_lesions(mask: ArrayLike, *, neighbours: int = 26) -> NDArray[np.int32]:
    """The connected pieces of a mask.

    Args:
        mask: (slice, row, column) bool.
        neighbours: 6 share a face with a voxel, 18 an edge, 26 a corner.

    Returns:
        Of the same shape; 0 outside, 1 and so on in the pieces.

    Raises:
        InputError: no bool volume, or another number of neighbours.

    Example:
        >>> diagonal = np.eye(2, dtype=bool)[None]
        >>> label_lesions(diagonal).max(), label_lesions(diagonal, neighbours=6).max()
        (np.int32(1), np.int32(2))
    """
    import cc3d

    inside = np.asarray(mask)
    if inside.ndim != 3 or inside.dtype != np.bool_:
        raise InputError(
            f"a mask of shape {inside.shape} and type {inside.dtype} was given; (slice, row, column) bool is needed"
        )
    if neighbours not in _NEIGHBOURS:
        raise InputError(f"{neighbours} neighbours of a voxel were asked for; there are 6, 18 or 26")
    return np.asarray(cc3d.connected_components(inside, connectivity=neighbours), dtype=np.int32)


def match_lesions(
    truth: ArrayLike,
    predicted: ArrayLike,
    *,
    spacing_mm: tuple[float, float, float],
    patient: str,
    probability: ArrayLike | None = None,
    mimics: ArrayLike | None = None,
    matching: Matching | None = None,
) -> ScanLesions:
    """Match the lesions of a scan.

    Args:
        truth: (slice, row, column) bool, or labels of lesions from 1 on, 0 outside, as ``label_lesions`` gives them.
        predicted: of the same shape, likewise.
        spacing_mm: of the voxels.
        patient: whose scan it is.
        probability: of each predicted lesion (p,), in the order of the labels; or a map of the shape of the masks,
            whose mean over a lesion is its probability; None is 1 for all.
        mimics: of the same shape as the truth, bool or labels: what looks like a lesion and is none.
        matching: the rule; by default an intersection over union of at least 0.1.

    Raises:
        InputError: shapes differ, labels are no counting numbers, or probabilities are not 0 to 1, one a lesion.

    Example:
        >>> scan = np.zeros((1, 4, 8), dtype=bool)
        >>> scan[0, 1:3, 1:4] = True
        >>> found = match_lesions(scan, np.roll(scan, 1, axis=2), spacing_mm=(5.0, 1.0, 1.0), patient="p")
        >>> found.is_hit.tolist(), found.true_ml.tolist()
        ([True], [0.03])
    """
    how = matching or Matching()
    true, called = _labels(truth, "the truth"), _labels(predicted, "the prediction")
    if true.shape != called.shape:
        raise InputError(f"lesions of {true.shape} and {called.shape} cannot be matched: bring them to one grid")
    voxel_ml = math.prod(spacing_mm) / _MM3_A_ML
    true_voxels, called_voxels = _voxels(true), _voxels(called)
    shared = _shared(true, called, true_voxels.size, called_voxels.size)
    if how.rule == "centre":
        apart = _centres(true, true_voxels, spacing_mm)[:, None] - _centres(called, called_voxels, spacing_mm)[None]
        same = np.linalg.norm(apart, axis=2) <= how.most_mm
    else:
        whole = true_voxels[:, None] + (called_voxels[None] - shared if how.rule == "iou" else 0)
        same = (shared > 0) & (shared >= how.least * whole)
    chance = _probabilities(probability, called, called_voxels)
    is_hit = same.any(axis=0)
    is_on_mimic, mimic_probability = _on_mimics(mimics, called, is_hit, chance)
    return ScanLesions(
        patient=patient,
        true_ml=np.asarray(true_voxels * voxel_ml, dtype=np.float64),
        true_probability=np.where(same, chance[None], -np.inf).max(axis=1, initial=-np.inf),
        predicted_ml=np.asarray(called_voxels * voxel_ml, dtype=np.float64),
        predicted_probability=chance,
        is_hit=is_hit,
        is_on_mimic=is_on_mimic,
        mimic_probability=mimic_probability,
    )


def _labels(lesions: ArrayLike, words: str) -> NDArray[np.int32]:
    given = np.asarray(lesions)
    if given.dtype == np.bool_:
        return label_lesions(given)
    if given.ndim != 3 or not np.issubdtype(given.dtype, np.integer) or (given.size and int(given.min()) < 0):
        raise InputError(
            f"{words} has the shape {given.shape} and the type {given.dtype}; give a mask "
            "(slice, row, column) of bool, or labels from 0 on"
        )
    return given.astype(np.int32)


def _voxels(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Voxels of each label; every label up to the largest must occur."""
    counts = np.bincount(labels.ravel(), minlength=1)[1:]
    if not counts.all():
        raise InputError(
            f"label {int(np.flatnonzero(counts == 0)[0]) + 1} of {counts.size} has no voxel: count them without gaps"
        )
    return counts.astype(np.int64)


def _shared(one: NDArray[np.int32], two: NDArray[np.int32], ones: int, twos: int) -> NDArray[np.int64]:
    """Shared voxels (ones, twos) of each pair of labels."""
    both = (one > 0) & (two > 0)
    pairs = (one[both].astype(np.int64) - 1) * twos + (two[both] - 1)
    return np.bincount(pairs, minlength=ones * twos).reshape(ones, twos).astype(np.int64)


def _centres(
    labels: NDArray[np.int32], voxels: NDArray[np.int64], spacing_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Centres of mass (n, 3) in mm."""
    places = np.nonzero(labels)
    which = labels[places] - 1
    sums = [np.bincount(which, weights=axis, minlength=voxels.size) for axis in places]
    return np.stack(sums, axis=1) / voxels[:, None] * spacing_mm


def _probabilities(
    given: ArrayLike | None, labels: NDArray[np.int32], voxels: NDArray[np.int64]
) -> NDArray[np.float64]:
    if given is None:
        return np.ones(voxels.size)
    values = np.asarray(given)
    if values.shape == labels.shape:
        sums = np.bincount(labels.ravel(), weights=values.ravel(), minlength=voxels.size + 1)[1:]
        values = sums / voxels
    if values.shape != voxels.shape:
        raise InputError(
            f"probabilities of {values.shape} were given for {voxels.size} predicted lesions; give one each, or a map"
        )
    if not ((values >= 0) & (values <= 1 + 1e-6)).all():
        raise InputError("a probability of a lesion lies outside 0 to 1, or is no number")
    return np.minimum(values.astype(np.float64), 1.0)


def _on_mimics(
    mimics: ArrayLike | None, called: NDArray[np.int32], is_hit: NDArray[np.bool_], chance: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which false positives touch a mimic, and the largest probability on each mimic."""
    if mimics is None:
        return np.zeros(is_hit.size, dtype=bool), np.empty(0)
    labels = _labels(mimics, "the mask of mimics")
    if labels.shape != called.shape:
        raise InputError(
            f"mimics of {labels.shape} cannot be laid over lesions of {called.shape}: bring them to one grid"
        )
    touches = _shared(labels, called, _voxels(labels).size, is_hit.size) > 0
    touches &= ~is_hit[None]
    return np.asarray(touches.any(axis=0)), np.where(touches, chance[None], -np.inf).max(axis=1, initial=-np.inf)
