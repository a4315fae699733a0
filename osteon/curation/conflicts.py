"""Images that look alike and are labelled differently, and the two things that may be done about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.curation.options import RULES
from osteon.curation.pairs import similar_pairs
from osteon.errors import InputError, UnknownLabelError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from osteon.curation.options import Rule
    from osteon.curation.pairs import Progress
    from osteon.data import Manifest, Split

__all__ = [
    "Conflict",
    "Dropped",
    "Resolution",
    "conflict_drops",
    "find_conflicts",
    "has_direction",
    "resolve_conflicts",
]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two images that look alike and have different labels.

    Attributes:
        first: row of the one.
        second: row of the other, above ``first``.
        images: their names.
        labels: their labels.
        patients: whose they are.
        cosine: of their vectors.
    """

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
    """An image that a rule leaves out of training.

    Attributes:
        row: of the image.
        image: its name.
        reason: for a person: which image it is so like, and how that one is labelled.
        because: row of the most similar image of another label.
        cosine: with that one.
    """

    row: int
    image: str
    reason: str
    because: int
    cosine: float


@dataclass(frozen=True, slots=True, eq=False)
class Resolution:
    """What a rule made of conflicts.

    Attributes:
        rule: the rule.
        kept: (n,) False for the images it leaves out of training.
        dropped: those images, by row.
        review: conflicts the rule did not settle, the most similar first: a person must look at them.
    """

    rule: Rule
    kept: NDArray[np.bool_] = field(repr=False)
    dropped: tuple[Dropped, ...]
    review: tuple[Conflict, ...]


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
        most: conflicts before the search gives up: so many say that the threshold is too low for these vectors.
        progress: told about blocks of rows that are done.

    Returns:
        The conflicts, the most similar first.

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
    chosen = table if among is None else table[rows]
    found = similar_pairs(
        chosen, threshold=threshold, different=[labels[row] for row in rows.tolist()], most=most, progress=progress
    )
    conflicts = []
    for one, other, cosine in zip(rows[found.first].tolist(), rows[found.second].tolist(), found.cosine, strict=True):
        conflicts.append(
            Conflict(
                first=one,
                second=other,
                images=(str(ids[one]), str(ids[other])),
                labels=(str(labels[one]), str(labels[other])),
                patients=(str(patients[one]), str(patients[other])),
                cosine=float(cosine),
            )
        )
    return tuple(sorted(conflicts, key=_most_similar_first))


def resolve_conflicts(
    conflicts: Sequence[Conflict],
    labels: Sequence[str] | NDArray[np.str_],
    *,
    rule: Rule = "review",
    healthy: str = "healthy",
    trainable: NDArray[np.bool_] | None = None,
) -> Resolution:
    """Apply a rule to conflicts.

    ``review`` drops nothing. ``drop-healthy`` drops the healthy image of each pair whose images are both trainable: the
    labels of validation and test images must not steer training, and none of those images may disappear.

    Args:
        conflicts: of ``find_conflicts``.
        labels: (n,) of all images.
        rule: one of ``RULES``.
        healthy: the label of the image that is dropped.
        trainable: (n,) True for images of the training part; ``drop-healthy`` asks for it.

    Returns:
        What is kept, what is dropped and why, and what a person must look at.

    Raises:
        InputError: ``drop-healthy`` without ``trainable``, or numbers that do not fit.
        UnknownLabelError: no such rule, or no image has the label ``healthy``.

    References:
        specs/ct-osteosarcoma.md, section 4.
    """
    if rule not in RULES:
        raise UnknownLabelError(f"no rule {rule!r} for label conflicts: {nearest_names(rule, RULES)}")
    count = len(labels)
    if any(conflict.second >= count for conflict in conflicts):
        raise InputError(f"a conflict names a row above the {count} labels given: give the labels of all images")
    ordered = tuple(sorted(conflicts, key=_most_similar_first))
    kept = np.ones(count, bool)
    if rule == "review":
        return Resolution(rule, kept, (), ordered)
    if trainable is None or len(trainable) != count:
        raise InputError(
            f"drop-healthy was asked for without a mark for each of the {count} images: say which are trained on"
        )
    if conflicts and healthy not in (known := {str(label) for label in labels}):
        raise UnknownLabelError(f"no image is labelled {healthy!r}: {nearest_names(healthy, known)}")
    dropped: dict[int, Dropped] = {}
    review = []
    for conflict in ordered:
        sides = [side for side in (0, 1) if conflict.labels[side] == healthy]
        if len(sides) != 1 or not (trainable[conflict.first] and trainable[conflict.second]):
            review.append(conflict)
            continue
        mine, its = sides[0], 1 - sides[0]
        rows = (conflict.first, conflict.second)
        reason = (
            f"labelled {healthy}, but has cosine {conflict.cosine:.4f} with {conflict.images[its]}, "
            f"labelled {conflict.labels[its]}"
        )
        # the most similar pair comes first and gives the reason
        dropped.setdefault(rows[mine], Dropped(rows[mine], conflict.images[mine], reason, rows[its], conflict.cosine))
    kept[list(dropped)] = False
    return Resolution(rule, kept, tuple(dropped[row] for row in sorted(dropped)), tuple(review))


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

    Returns:
        Row indices, ascending.

    Raises:
        InputError: numbers that do not fit, or so many conflicts that the threshold says nothing.
        UnknownLabelError: no image has the label ``positive``.

    References:
        specs/ct-osteosarcoma.md, section 4.
    """
    if len(vectors) != len(manifest):
        raise InputError(f"{len(vectors)} vectors were given for {len(manifest)} images: embed this manifest again")
    rows = split.rows(manifest, fold).train
    known = np.asarray(vectors[rows])
    rows, known = rows[(usable := has_direction(known))], known[usable]
    labels = np.where(manifest.truth(positive)[rows], "positive", "healthy")
    patients, images = manifest.column("patient")[rows], manifest.column("image")[rows]
    found = find_conflicts(known, labels, patients, images, threshold=threshold)
    done = resolve_conflicts(
        found, labels, rule="drop-healthy", healthy="healthy", trainable=np.ones(len(rows), dtype=np.bool_)
    )
    return np.asarray(rows[~done.kept], dtype=np.int64)


def _most_similar_first(conflict: Conflict) -> tuple[float, int, int]:
    return -conflict.cosine, conflict.first, conflict.second
