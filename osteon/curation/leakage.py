"""What a split lets through: people, studies and images in two parts of a fold, and unequal parts.

A split by patient can leak all the same: one person under two ids, one image filed twice, a centre that sent tumours
only. Every question is asked of every fold and answered with counts and one sentence for a person.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.curation.conflicts import has_direction
from osteon.curation.near_duplicates import PatientMatch, match_patients
from osteon.curation.pairs import chosen_rows, similar_pairs
from osteon.data.manifest import PARTS
from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from osteon.data import Manifest, Split

__all__ = ["Association", "FoldLeaks", "LeakageReport", "PartCounts", "association", "audit_split"]

CONFOUNDERS = ("centre", "scanner", "sex", "plane")
"""Columns that a network may learn instead of the disease."""

STRONG, CERTAIN = 0.3, 0.05
"""Cramér's V from which on, and p-value below which, an association is warned of."""

_NONE = -1


@dataclass(frozen=True, slots=True)
class Association:
    """How strongly a column predicts the label, over patients.

    Attributes:
        column: of the manifest.
        cramers_v: 0 (nothing) to 1 (the column determines the label), corrected for bias.
        p_value: of Pearson's chi-squared test; of drawn tables where patients are few.
        patients: for whom the column is known.
        values: that occur.
    """

    column: str
    cramers_v: float
    p_value: float
    patients: int
    values: int

    @property
    def warns(self) -> bool:
        """Whether it is strong and unlikely to be chance."""
        return self.cramers_v >= STRONG and self.p_value < CERTAIN


@dataclass(frozen=True, slots=True)
class PartCounts:
    """Patients and images in a part of a fold, and images by label and centre, "" where that is not known."""

    part: str
    patients: int
    images: int
    labels: dict[str, int]
    centres: dict[str, int]

    def document(self) -> dict[str, Any]:
        """All but its name."""
        return {name: value for name, value in asdict(self).items() if name != "part"}


@dataclass(frozen=True, slots=True)
class FoldLeaks:
    """What crosses the borders of one fold.

    Attributes:
        fold: number, from 0.
        parts: what is in each part.
        patients: ids with images in two parts.
        studies: studies with images in two parts.
        exact: pairs of equal images in two parts.
        near: pairs of nearly equal images in two parts, equal ones not counted.
        one_person: pairs of ids that may be one person and lie in two parts.
    """

    fold: int
    parts: tuple[PartCounts, ...] = field(repr=False)
    patients: int
    studies: int
    exact: int
    near: int
    one_person: int

    @property
    def leaks(self) -> bool:
        """Whether anything crosses."""
        return any((self.patients, self.studies, self.exact, self.near, self.one_person))


@dataclass(frozen=True, slots=True)
class LeakageReport:
    """An audit of a split.

    Attributes:
        folds: one entry a fold.
        associations: of columns with the label.
        compared: "pixels and vectors", "pixels", "vectors" or "names only": what images were compared by.
        warnings: sentences, the worst first; none when nothing was found.
    """

    folds: tuple[FoldLeaks, ...]
    associations: tuple[Association, ...]
    compared: str
    warnings: tuple[str, ...]

    @property
    def headline(self) -> str:
        """The finding in one sentence."""
        leaking = sum(fold.leaks for fold in self.folds)
        found = f"{leaking} of {len(self.folds)} fold(s) leak" if leaking else "nothing found in two parts of a fold"
        return f"Leakage audit: {found} (compared by {self.compared})."

    def document(self) -> dict[str, Any]:
        """As JSON holds it, for splits.json and summary.json."""
        return {
            "compared": self.compared,
            "warnings": list(self.warnings),
            "folds": [
                {
                    **{name: getattr(fold, name) for name in ("fold", *_CROSSINGS)},
                    "parts": {counts.part: counts.document() for counts in fold.parts},
                }
                for fold in self.folds
            ],
            "associations": [asdict(found) for found in self.associations],
        }


_CROSSINGS = ("patients", "studies", "exact", "near", "one_person")


@dataclass(frozen=True, slots=True, eq=False)
class _Links:
    """What should not be in two parts: rows of one content (a number; -1 unknown), pairs of rows, of patients."""

    contents: NDArray[np.int64]
    near: NDArray[np.int64]
    matches: tuple[PatientMatch, ...]


def audit_split(
    manifest: Manifest,
    split: Split,
    *,
    vectors: ArrayLike | None = None,
    hashes: Sequence[str] | None = None,
    threshold: float = 0.995,
) -> LeakageReport:
    """Ask of every fold what is in two of its parts.

    Args:
        manifest: the images.
        split: of the manifest.
        vectors: (images, d), for near duplicates and for people under two ids; rows all 0 are left out. None asks
            neither, unless there are hashes; ids that differ only in spelling are looked for in any case.
        hashes: (images,) of decoded pixels, "" where not known.
        threshold: least cosine of near duplicates.

    Raises:
        InputError: the split is of another manifest, numbers that do not fit, or as ``similar_pairs``.

    Example:
        >>> from pathlib import Path
        >>> from osteon.data import Fold, ImageRow, Manifest, Split
        >>> rows = [ImageRow(image=f"{n}.png", patient=p, label="tumour") for n, p in enumerate("aabc")]
        >>> split = Split("holdout", "image", (Fold(("0.png",), ("1.png", "2.png"), ("3.png",)),), seed=1)
        >>> audit_split(Manifest(Path(), tuple(rows)), split).folds[0].patients
        1
    """
    for name, values in (("vectors", vectors), ("hashes", hashes)):
        if values is not None and len(np.asarray(values)) != len(manifest):
            raise InputError(f"{len(np.asarray(values))} {name} were given for {len(manifest)} images: give one each")
    links = _find_links(manifest, split, vectors, hashes, threshold)
    folds = tuple(_fold(manifest, split, number, links) for number in range(len(split.folds)))
    associations = tuple(
        found for found in (association(manifest, column) for column in CONFOUNDERS) if found is not None
    )
    known = [name for name, values in (("pixels", hashes), ("vectors", vectors)) if values is not None]
    compared = " and ".join(known) or "names only"
    return LeakageReport(folds, associations, compared, _warnings(split, folds, associations))


def association(manifest: Manifest, column: str) -> Association | None:
    """How strongly a column tells which labels a patient has, over patients: images of one patient are not independent.

    A patient's value is that of most of the images; patients without one are left out.

    Returns:
        Cramér's V with the correction for bias, or None where the column or the labels do not vary.

    Raises:
        UnknownLabelError: no such column.

    References:
        Bergsma 2013, doi:10.1016/j.jkss.2012.10.002
    """
    from scipy.stats import PermutationMethod, chi2_contingency
    from scipy.stats.contingency import expected_freq

    labels: dict[str, set[str]] = {}
    values: dict[str, Counter[str]] = {}
    for row in manifest.rows:
        if value := row.text(column):
            labels.setdefault(row.patient, set()).add(row.label)
            values.setdefault(row.patient, Counter())[value] += 1
    pairs = Counter((values[who].most_common(1)[0][0], repr(sorted(seen))) for who, seen in labels.items())
    rows, columns = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
    if len(rows) < 2 or len(columns) < 2:
        return None
    table = np.array([[pairs[row, column_] for column_ in columns] for row in rows])
    total = int(table.sum())
    # few patients: the tables that chance would give are drawn instead of trusting the limit for many
    drawn = (
        PermutationMethod(n_resamples=4999, rng=np.random.default_rng(1)) if expected_freq(table).min() < 5 else None
    )
    tested = chi2_contingency(table, correction=False, method=drawn)
    high, wide = len(rows), len(columns)
    phi2 = max(0.0, float(tested.statistic) / total - (high - 1) * (wide - 1) / max(1, total - 1))
    fair = [size - (size - 1) ** 2 / max(1, total - 1) for size in (high, wide)]
    room = min(fair) - 1
    strength = min(1.0, float(np.sqrt(phi2 / room))) if room > 0 else 0.0
    return Association(column, strength, float(tested.pvalue), total, high)


def _find_links(
    manifest: Manifest, split: Split, vectors: ArrayLike | None, hashes: Sequence[str] | None, threshold: float
) -> _Links:
    patients = manifest.column("patient")
    contents = np.full(len(manifest), _NONE)
    if hashes is not None:
        codes: dict[str, int] = {}
        contents = np.array([codes.setdefault(value, len(codes)) if value else _NONE for value in hashes])
    if vectors is None:
        matches = match_patients(patients, hashes=hashes if hashes is not None else [""] * len(manifest))
        return _Links(contents, np.empty((0, 2), np.int64), matches)
    table = np.asarray(vectors)
    rows = np.flatnonzero(has_direction(table))
    matches = match_patients(
        patients[rows],
        vectors=chosen_rows(table, rows),
        hashes=None if hashes is None else [hashes[row] for row in rows.tolist()],
        threshold=threshold,
    )
    if split.unit == "patient":
        # a blank slice that a patient has a thousand times is compared once
        names = [(patients[row], contents[row] if contents[row] != _NONE else -2 - row) for row in rows.tolist()]
        rows = np.array(sorted({name: row for row, name in zip(rows.tolist(), names, strict=True)}.values()), np.int64)
    # a patient who is in one part cannot leak into another: only a split by image asks for pairs of one patient
    across = None if split.unit == "image" else patients[rows]
    found = similar_pairs(chosen_rows(table, rows), threshold=threshold, across=across)
    near = np.column_stack([rows[found.first], rows[found.second]]).astype(np.int64)
    same = (contents[near[:, 0]] == contents[near[:, 1]]) & (contents[near[:, 0]] != _NONE)
    return _Links(contents, near[~same], matches)


def _fold(manifest: Manifest, split: Split, number: int, links: _Links) -> FoldLeaks:
    found = split.rows(manifest, number)
    part = np.full(len(manifest), _NONE)
    for code, name in enumerate(PARTS):
        part[getattr(found, name)] = code
    homes: dict[str, set[int]] = {}
    studies: dict[str, set[int]] = {}
    for row, code in zip(manifest.rows, part.tolist(), strict=True):
        if code != _NONE:
            homes.setdefault(row.patient, set()).add(code)
            if row.study:
                studies.setdefault(row.study, set()).add(code)
    shared = sum(
        len(homes.get(match.first, set()) | homes.get(match.second, set())) > 1
        and match.first in homes
        and match.second in homes
        for match in links.matches
    )
    return FoldLeaks(
        fold=number,
        parts=tuple(_counts(manifest, name, getattr(found, name)) for name in PARTS),
        patients=sum(len(codes) > 1 for codes in homes.values()),
        studies=sum(len(codes) > 1 for codes in studies.values()),
        exact=_equal_crossing(links.contents, part),
        near=_crossing(links.near, part),
        one_person=shared,
    )


def _crossing(pairs: NDArray[np.int64], part: NDArray[np.int64]) -> int:
    one, other = part[pairs[:, 0]], part[pairs[:, 1]]
    return int(((one != other) & (one != _NONE) & (other != _NONE)).sum())


def _equal_crossing(contents: NDArray[np.int64], part: NDArray[np.int64]) -> int:
    """Pairs of equal images in two parts, counted without naming each: a content may occur thousands of times."""
    inside = (contents != _NONE) & (part != _NONE)
    if not inside.any():
        return 0
    counts = np.zeros((int(contents.max()) + 1, len(PARTS)), np.int64)
    np.add.at(counts, (contents[inside], part[inside]), 1)
    return int((counts.sum(axis=1) ** 2 - (counts**2).sum(axis=1)).sum() // 2)


def _counts(manifest: Manifest, part: str, rows: NDArray[np.int64]) -> PartCounts:
    chosen = [manifest.rows[row] for row in rows.tolist()]
    return PartCounts(
        part=part,
        patients=len({row.patient for row in chosen}),
        images=len(chosen),
        labels=dict(sorted(Counter(row.label for row in chosen).items())),
        centres=dict(sorted(Counter(row.centre for row in chosen).items())),
    )


def _warnings(split: Split, folds: Sequence[FoldLeaks], associations: Sequence[Association]) -> tuple[str, ...]:
    words = {
        "patients": "patient(s) with images in two parts",
        "one_person": "pair(s) of patient ids in two parts that may be one person",
        "studies": "studies with images in two parts",
        "exact": "pair(s) of equal images in two parts",
        "near": "pair(s) of nearly equal images in two parts",
    }
    found: list[str] = []
    if split.unit == "image":
        found += split.warnings or ("Divided by image, not by patient: results will be too good for new patients.",)
    for name, phrase in words.items():
        counts = [getattr(fold, name) for fold in folds]
        if any(counts):
            found.append(f"LEAK: {max(counts)} {phrase} (the worst of {len(folds)} fold(s)).")
    found += [
        f"The {each.column} predicts the label (Cramér's V {each.cramers_v:.2f}, p {each.p_value:.2g}, "
        f"{each.patients} patients): a network may learn the {each.column} instead."
        for each in associations
        if each.warns
    ]
    for fold in folds:
        centres = [set(counts.centres) - {""} for counts in fold.parts]
        strange = centres[2] - centres[0]
        if strange and centres[0]:
            found.append(
                f"Fold {fold.fold} is evaluated on images of {len(strange)} centre(s) that it never learnt from."
            )
    return tuple(found)
