"""All that curation looks for in one data set, together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from osteon.curation.conflicts import find_conflicts, has_direction, resolve_conflicts
from osteon.curation.leakage import audit_split
from osteon.curation.near_duplicates import find_duplicates, match_patients
from osteon.curation.pairs import similar_pairs
from osteon.data.options import Progress, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.curation.conflicts import Conflict, Dropped
    from osteon.curation.leakage import LeakageReport
    from osteon.curation.near_duplicates import DuplicateGroup, PatientMatch
    from osteon.curation.options import CurateOptions
    from osteon.curation.quality import Quality
    from osteon.data import Manifest, Split

__all__ = ["Curation", "DuplicatePair", "FoldDrop", "curate"]


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two images of two patients, the same or nearly so."""

    kind: Literal["exact", "near"]
    first: int
    second: int
    cosine: float


@dataclass(frozen=True, slots=True)
class FoldDrop:
    """An image that the paper's rule leaves out of the training part of a fold; fold -1 where nothing is split yet."""

    fold: int
    dropped: Dropped


@dataclass(frozen=True, slots=True, eq=False)
class Curation:
    """What was found.

    Attributes:
        manifest: that was looked at.
        options: as chosen.
        quality: one entry an image; None where it cannot be read.
        unreadable: (row, reason).
        conflicts: pairs alike with different labels, the most alike first; the test part is left out.
        drops: of the rule "drop-healthy".
        groups: of exact and near duplicates, those across patients first.
        duplicates: pairs of two patients.
        matches: patient ids that may be one person.
        leakage: audit of splits.json, or None without one.
        notes: sentences on what was left out and why.
    """

    manifest: Manifest = field(repr=False)
    options: CurateOptions
    quality: tuple[Quality | None, ...] = field(repr=False)
    unreadable: tuple[tuple[int, str], ...] = field(repr=False)
    conflicts: tuple[Conflict, ...] = field(repr=False)
    drops: tuple[FoldDrop, ...] = field(repr=False)
    groups: tuple[DuplicateGroup, ...] = field(repr=False)
    duplicates: tuple[DuplicatePair, ...] = field(repr=False)
    matches: tuple[PatientMatch, ...] = field(repr=False)
    leakage: LeakageReport | None
    notes: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {
            "images": len(self.manifest),
            "patients": len(self.manifest.patients),
            "unreadable": len(self.unreadable),
            "conflicts": len(self.conflicts),
            "conflicts_within_a_patient": sum(conflict.same_patient for conflict in self.conflicts),
            "dropped_by_rule": len({drop.dropped.row for drop in self.drops}),
            "duplicate_groups": len(self.groups),
            "duplicate_groups_across_patients": sum(group.across_patients for group in self.groups),
            "duplicate_pairs_across_patients": len(self.duplicates),
            "patients_that_may_be_one": len(self.matches),
            "quality": sum(bool(quality and quality.reasons) for quality in self.quality),
        }


def curate(
    manifest: Manifest,
    split: Split | None,
    vectors: NDArray[np.float32],
    *,
    options: CurateOptions,
    quality: tuple[Quality | None, ...],
    unreadable: tuple[tuple[int, str], ...],
    notes: tuple[str, ...] = (),
    progress: Progress = silent,
) -> Curation:
    """Look for label conflicts, duplicates within and across patients, ids of one person, and leakage.

    Args:
        manifest: of the data set.
        split: of it, or None.
        vectors: (images, d); the row of an image that cannot be read is all 0.
        options: what to look for.
        quality: one entry an image; None where it cannot be read.
        unreadable: (row, reason).
        notes: sentences that come first.
        progress: told about blocks of pairs.

    Raises:
        InputError: the threshold is so low that nearly everything is a pair.
        UnknownLabelError: no image has the label that "drop-healthy" keeps.
    """
    labels, patients, images = (manifest.column(name) for name in ("label", "patient", "image"))
    hashes = [entry.pixel_hash if entry else "" for entry in quality]
    usable = has_direction(vectors)
    among = usable & ~_test_rows(manifest, split)
    conflicts = find_conflicts(
        vectors, labels, patients, images, threshold=options.threshold, among=among, progress=progress
    )
    rows = np.flatnonzero(usable)
    known = vectors if len(rows) == len(vectors) else vectors[rows]
    named = [hashes[row] for row in rows.tolist()]
    groups = find_duplicates(patients[rows], vectors=known, hashes=named, threshold=options.near)
    pairs = similar_pairs(known, threshold=options.near, across=patients[rows], most=1_000_000, progress=progress)
    kinds: list[DuplicatePair] = [
        DuplicatePair("exact" if hashes[one] == hashes[other] else "near", one, other, cosine)
        for one, other, cosine in zip(
            rows[pairs.first].tolist(), rows[pairs.second].tolist(), pairs.cosine.tolist(), strict=True
        )
    ]
    kinds.sort(key=lambda pair: (pair.kind != "exact", -pair.cosine, pair.first, pair.second))
    leakage = None
    if split is not None:
        leakage = audit_split(manifest, split, vectors=vectors, hashes=hashes, threshold=options.near)
    return Curation(
        manifest=manifest,
        options=options,
        quality=quality,
        unreadable=unreadable,
        conflicts=conflicts,
        drops=_drops(manifest, split, conflicts, options),
        groups=tuple(
            type(group)(tuple(int(rows[row]) for row in group.rows), group.patients, group.exact, group.least_cosine)
            for group in groups
        ),
        duplicates=tuple(kinds),
        matches=match_patients(patients[rows], vectors=known, hashes=named, threshold=options.near),
        leakage=leakage,
        notes=(*notes, *_notes(manifest, split, among, usable)),
    )


def _test_rows(manifest: Manifest, split: Split | None) -> NDArray[np.bool_]:
    """The fixed test part: conflicts there are nobody's business, or the labels would be judged by the model."""
    test = manifest.column("split") == "test"
    if split is not None and split.scheme == "holdout":
        test = test.copy()
        test[split.rows(manifest, 0).test] = True
    return np.asarray(test)


def _drops(
    manifest: Manifest, split: Split | None, conflicts: tuple[Conflict, ...], options: CurateOptions
) -> tuple[FoldDrop, ...]:
    if options.rule != "drop-healthy":
        return ()
    labels = np.where(manifest.truth(options.positive), "positive", "healthy")
    binary = [
        type(conflict)(
            conflict.first,
            conflict.second,
            conflict.images,
            (str(labels[conflict.first]), str(labels[conflict.second])),
            conflict.patients,
            conflict.cosine,
        )
        for conflict in conflicts
        if labels[conflict.first] != labels[conflict.second]
    ]
    parts = {-1: np.flatnonzero(~_test_rows(manifest, None))}
    if split is not None:
        parts = {number: split.rows(manifest, number).train for number in range(len(split.folds))}
    drops = []
    for fold, train in parts.items():
        trainable = np.zeros(len(manifest), dtype=np.bool_)
        trainable[train] = True
        done = resolve_conflicts(binary, labels, rule="drop-healthy", trainable=trainable)
        drops += [FoldDrop(fold, dropped) for dropped in done.dropped]
    return tuple(drops)


def _notes(
    manifest: Manifest, split: Split | None, among: NDArray[np.bool_], usable: NDArray[np.bool_]
) -> tuple[str, ...]:
    notes = []
    if left := int((usable & ~among).sum()):
        notes.append(f"{left} images of the test part were not searched for label conflicts.")
    if split is None:
        notes.append("The data set is not split yet (no splits.json): leakage between parts was not looked at.")
    elif split.scheme == "nested":
        notes.append("Every patient is judged in one fold of this split: conflicts were searched among all images.")
    if unreadable := int((~usable).sum()):
        notes.append(f"{unreadable} of {len(manifest)} images cannot be read and were compared with nothing.")
    return tuple(notes)
