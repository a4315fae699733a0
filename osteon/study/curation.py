"""What a person may choose of a curation, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.curation.conflicts import Conflict, Dropped, Rule
    from osteon.curation.leakage import LeakageReport
    from osteon.curation.near_duplicates import DuplicateGroup, PatientMatch
    from osteon.curation.quality import Quality
    from osteon.data import Manifest

__all__ = ["CurateOptions", "Curation", "DuplicatePair", "FoldDrop"]


@dataclass(frozen=True, slots=True)
class CurateOptions:
    """What a person may choose.

    Attributes:
        threshold: least cosine of a label conflict.
        rule: "review" hands conflicts to a person; "drop-healthy" also lists what the paper would drop from training.
        near: least cosine of near duplicates.
        positive: the label that "drop-healthy" keeps.
        backbone: whose vectors.
        skip_unreadable: go on without images that cannot be read.
        cache: folder of vectors and quality; None keeps one beside the report, ``<report>.cache``.
        shown: at most so many groups a section of the contact sheet.
    """

    threshold: float = 0.95
    rule: Rule = "review"
    near: float = 0.995
    positive: str = "tumour"
    backbone: str = "mobilenet_v2.imagenet"
    skip_unreadable: bool = False
    cache: Path | None = None
    shown: int = 200


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
