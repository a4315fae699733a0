"""What a data set with masks holds, in sentences: slices a patient, ages, and how much of the pictures is lesion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.curation.splits import PATIENT_KNOWN, UNKNOWN_PATIENTS_WARNING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osteon.data import ImageRow, Manifest

__all__ = ["mask_notes"]

_SEXES = {"F": "Women", "M": "Men", "O": "Others", "": "Patients whose sex is not known"}


def mask_notes(manifest: Manifest) -> list[str]:
    """Sentences for the cohort table.

    Args:
        manifest: with the extra columns ``pixels``, ``lesion_pixels`` and perhaps ``bone_pixels`` of the builder.
    """
    counts = [sum(row.patient == patient for row in manifest.rows) for patient in manifest.patients]
    told = [f"Slices of a patient: {min(counts)} to {max(counts)}, median {np.median(counts):g}."]
    told += _ages(manifest)
    if any(row.extra.get(PATIENT_KNOWN) == "no" for row in manifest.rows):
        told.append(UNKNOWN_PATIENTS_WARNING)
    for name, what in (("lesion_pixels", "Lesion"), ("bone_pixels", "Bone")):
        rows = [row for row in manifest.rows if row.extra.get(name) and row.extra.get("pixels")]
        if not rows:
            continue
        told.append(f"{what}: {_share(rows, name):.2%} of the pixels of {len(rows)} pictures with a mask of it.")
        shown = [row for row in rows if row.extra[name] != "0"]
        if name == "lesion_pixels" and 0 < len(shown) < len(rows):
            told.append(f"Lesion: {_share(shown, name):.2%} of the pixels of the {len(shown)} pictures that show one.")
    return told


def _share(rows: Sequence[ImageRow], name: str) -> float:
    return sum(int(row.extra[name]) for row in rows) / sum(int(row.extra["pixels"]) for row in rows)


def _ages(manifest: Manifest) -> list[str]:
    """Mean and standard deviation of the patients' ages by sex, a patient counting once."""
    first = {row.patient: row for row in reversed(manifest.rows)}
    told = []
    for sex, name in _SEXES.items():
        people = [row for row in first.values() if row.sex == sex]
        ages = [row.age_years for row in people if row.age_years is not None]
        if not people:
            continue
        if not ages:
            told.append(f"{name}: {len(people)}, ages not known.")
            continue
        spread = f" (SD {np.std(ages, ddof=1):.1f})" if len(ages) > 1 else ""
        known = "" if len(ages) == len(people) else f", known of {len(ages)}"
        told.append(f"{name}: {len(people)}, mean age {np.mean(ages):.1f} years{spread}{known}.")
    return told
