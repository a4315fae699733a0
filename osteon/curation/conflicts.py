"""Images that look alike and are labelled differently, and the two things that may be done about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.curation.pairs import chosen_rows, similar_pairs
from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from osteon.curation.pairs import Progress
    from osteon.data import Manifest, Split

__all__ = [
    "HEALTHY",
    "Conflict",
    "Dropped",
    "conflict_drops",
    "find_conflicts",
    "has_direction",
    "healthy_drops",
]

HEALTHY = "healthy"
"""Every label that is not the positive one, in the paper's rule."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two images, by row, the second above the first, that look alike and have different labels; and whose they are."""

    first: int
    second: int
    images: tuple[str, str]
    labels: tuple[str, str]
    patients: tuple[str, str] = field(repr=False)
    cosine: float

    @property
    def same_patient(self) -> bool:
        """Whether both are of one patient, as neighbouring slices at the end of a tumour are."""
        return self.patients[0] == self.patients[1]


@dataclass(frozen=True, slots=True)
class Dropped:
    """An image that the paper's rule leaves out, and the row and cosine of the most similar one of another label."""

    row: int
    image: str
    because: int
    cosine: float


def find_conflicts(
    vectors: ArrayLike,
    labels: Sequence[str] | NDArray[np.str_],
    patients: Sequence[str] | NDArray[np.str_],
    ids: Sequence[str] | NDArray[np.str_],
    *,
    threshold: float = 0.95,
    among: NDArray[np.bool_] | None = None,
    most: int = 200_000,
    progress: Progress | None = None,
) -> tuple[Conflict, ...]:
    """All pairs of images whose cosine is at least the threshold and whose labels differ.

    Args:
        vectors: (n, d), one an image.
        labels: (n,).
        patients: (n,); pairs of one patient count as well, they are the paper's common case.
        ids: (n,) names of the images.
        threshold: cosine, the paper's 0.95.
        among: (n,) True for images to look at; the test part is left out here. None for all.
        most: conflicts before the search gives up: this many say that the threshold is too low for these vectors.
        progress: told about blocks of rows that are done.

    Raises:
        InputError: as ``similar_pairs``, or numbers that do not fit.

    References:
        specs/ct-osteosarcoma.md, section 4.

    Example:
        >>> found = find_conflicts([[1, 0], [1, 0.1]], ["healthy", "tumour"], ["a", "a"], ["1.png", "2.png"])
        >>> found[0].labels, found[0].same_patient
        (('healthy', 'tumour'), True)
    """
    table = np.asarray(vectors)
    count = len(table)
    for name, values in (("labels", labels), ("patients", patients), ("image names", ids), ("marks", among)):
        if values is not None and len(values) != count:
            raise InputError(f"{len(values)} {name} were given for {count} vectors: give one for each")
    rows = np.arange(count) if among is None else np.flatnonzero(among)
    found = similar_pairs(
        chosen_rows(table, rows),
        threshold=threshold,
        different=[labels[row] for row in rows.tolist()],
        most=most,
        progress=progress,
    )
    conflicts = []
    for one, other, cosine in zip(rows[found.first].tolist(), rows[found.second].tolist(), found.cosine, strict=True):
        names, kinds, people = ((str(each[one]), str(each[other])) for each in (ids, labels, patients))
        conflicts.append(Conflict(one, other, names, kinds, people, float(cosine)))
    return tuple(sorted(conflicts, key=_most_similar_first))


def healthy_drops(conflicts: Sequence[Conflict], *, trainable: NDArray[np.bool_]) -> tuple[Dropped, ...]:
    """The paper's rule: of two training images alike, one labelled "healthy" and the other not, the healthy one goes.

    The labels of validation and test images must not decide what is trained on, and none of those images may disappear.

    Args:
        conflicts: of ``find_conflicts``.
        trainable: (n,) True for images of the training part.

    Raises:
        InputError: a mark is missing.

    References:
        specs/ct-osteosarcoma.md, section 4.
    """
    if any(conflict.second >= len(trainable) for conflict in conflicts):
        raise InputError(f"a conflict names a row above the {len(trainable)} marks given: say which are trained on")
    dropped: dict[int, Dropped] = {}
    for conflict in sorted(conflicts, key=_most_similar_first):  # the most similar pair gives the reason
        rows = (conflict.first, conflict.second)
        sides = [side for side in (0, 1) if conflict.labels[side] == HEALTHY]
        if len(sides) == 1 and trainable[list(rows)].all():
            mine, its = sides[0], 1 - sides[0]
            dropped.setdefault(rows[mine], Dropped(rows[mine], conflict.images[mine], rows[its], conflict.cosine))
    return tuple(dropped[row] for row in sorted(dropped))


def has_direction(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows can be compared, shape (n,): finite and not all 0, as those of unreadable images are.

    Example:
        >>> has_direction(np.array([[1, 0], [0, 0], [np.nan, 1]], np.float32))
        array([ True, False, False])
    """
    return np.asarray(np.isfinite(vectors).all(axis=1) & (vectors != 0).any(axis=1))


def conflict_drops(
    manifest: Manifest, split: Split, fold: int, vectors: NDArray[np.float32], *, positive: str, threshold: float = 0.95
) -> NDArray[np.int64]:
    """Rows that the paper's rule drops from the training part of a fold.

    Of two training images whose vectors reach the threshold, one positive and one not, the one that is not goes.
    Vectors of validation and test images are never looked at.

    Args:
        manifest: the images.
        split: of the manifest.
        fold: number, from 0.
        vectors: (images, d); rows all 0 or not finite (unreadable images) are left out.
        positive: the label that stays; every other label counts as healthy.
        threshold: least cosine.

    Raises:
        InputError: numbers that do not fit, or this many conflicts that the threshold says nothing.
        UnknownLabelError: no image has the label ``positive``.

    References:
        specs/ct-osteosarcoma.md, section 4.
    """
    if len(vectors) != len(manifest):
        raise InputError(f"{len(vectors)} vectors were given for {len(manifest)} images: embed this manifest again")
    rows = split.rows(manifest, fold).train
    known = np.asarray(vectors[rows])
    rows, known = rows[(usable := has_direction(known))], known[usable]
    labels = np.where(manifest.truth(positive)[rows], "positive", HEALTHY)
    patients, images = manifest.column("patient")[rows], manifest.column("image")[rows]
    found = find_conflicts(known, labels, patients, images, threshold=threshold)
    dropped = healthy_drops(found, trainable=np.ones(len(rows), dtype=np.bool_))
    return np.asarray(rows[[one.row for one in dropped]], dtype=np.int64)


def _most_similar_first(conflict: Conflict) -> tuple[float, int, int]:
    return -conflict.cosine, conflict.first, conflict.second
