"""A data set as a table: one row an image, patients kept apart by name; and how it is divided into folds."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["MASKS", "PARTS", "PATIENT_KNOWN", "PLANES", "Fold", "FoldRows", "ImageRow", "Manifest", "Split"]

MASKS = ("bone_mask", "lesion_mask")
"""Fields that name a mask of the image."""

PLANES = ("axial", "sagittal", "coronal")
"""Planes a row may name; "" says that none is known."""

PATIENT_KNOWN = "patient_known"
"""Extra column of a manifest: "no" where the patient is only a name for one image whose patient nobody knows."""

PARTS = ("train", "validation", "test")
"""What a patient is used for in a fold: learning, choosing (epoch, temperature, threshold), testing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRow:
    """One image of a data set. An empty text says that the field is not known.

    Attributes:
        image: path of the file, relative to the manifest's folder, with forward slashes; unique in a manifest.
        patient: whose; the unit of every split and interval. Never empty.
        label: class of the image, as "tumour". Never empty.
        plane: one of ``PLANES`` or "".
        split: "train", "test" or "": a part fixed by whoever made the data set.
        sex: "F", "M", "O" or "".
        age_years: at the examination, or None.
        bone_mask: path of the mask of the bone, as ``image``; not 0 is inside.
        extra: columns that osteon does not know, kept as text.
    """

    image: str
    patient: str
    label: str
    study: str = ""
    series: str = ""
    plane: str = ""
    split: str = ""
    centre: str = ""
    scanner: str = ""
    sex: str = ""
    age_years: float | None = None
    bone_mask: str = ""
    lesion_mask: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)

    def text(self, column: str) -> str:
        """A field or an extra column as text; "" where it is not known.

        Raises:
            UnknownLabelError: neither this row nor its type has such a column.
        """
        if column in self.extra:
            return self.extra[column]
        if column not in _COLUMNS:
            raise UnknownLabelError(f"no column {column!r}: {nearest_names(column, [*_COLUMNS, *self.extra])}")
        value = getattr(self, column)
        return "" if value is None else str(value)


_COLUMNS = tuple(entry.name for entry in fields(ImageRow) if entry.name != "extra")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A table of images.

    Attributes:
        folder: what the image paths are relative to.
        sha256: of the manifest file, hexadecimal; "" when it was never written.

    Raises:
        InputError: no rows, an image listed twice, or a row without patient or label.
    """

    folder: Path
    rows: tuple[ImageRow, ...] = field(repr=False)
    sha256: str = ""

    def __post_init__(self) -> None:
        """Refuse a table that cannot be split or counted."""
        if not self.rows:
            raise InputError("a manifest without a single image: it needs at least one row")
        seen: set[str] = set()
        for number, row in enumerate(self.rows, start=1):
            if not (row.image and row.patient and row.label):
                raise InputError(
                    f"row {number} of the manifest lacks its image, patient or label: fill all three (nan, NA, "
                    "None and null are empty)"
                )
            if row.image in seen:
                raise InputError(f"row {number} of the manifest lists an image that an earlier row lists: keep one")
            seen.add(row.image)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.rows)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that occur, sorted."""
        return tuple(sorted({row.label for row in self.rows}))

    @property
    def patients(self) -> tuple[str, ...]:
        """The patients that occur, sorted."""
        return tuple(sorted({row.patient for row in self.rows}))

    def column(self, name: str) -> NDArray[np.str_]:
        """A column as text, shape (images,).

        Raises:
            UnknownLabelError: no such column.
        """
        return np.array([row.text(name) for row in self.rows])

    def truth(self, positive: str) -> NDArray[np.bool_]:
        """Whether each image has the label ``positive``, shape (images,).

        Raises:
            UnknownLabelError: no image has that label.
        """
        if positive not in self.labels:
            raise UnknownLabelError(f"no image has the label {positive!r}: {nearest_names(positive, self.labels)}")
        return np.array([row.label == positive for row in self.rows])

    def select(self, indices: Iterable[int] | NDArray[np.integer]) -> Manifest:
        """The rows of these indices, in their order; the hash of the file no longer holds and is dropped."""
        return Manifest(self.folder, tuple(self.rows[int(index)] for index in indices))


@dataclass(frozen=True, slots=True)
class Fold:
    """One division. The members are patients, or images when the split's unit is the image.

    Raises:
        InputError: a part is empty, or a member is in two parts.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse leakage."""
        for part in PARTS:
            if not getattr(self, part):
                raise InputError(f"a fold has nobody in its {part} part: fewer folds or more patients are needed")
        members = [*self.train, *self.validation, *self.test]
        if len(set(members)) != len(members):
            shared = len(members) - len(set(members))
            raise InputError(
                f"{shared} patient(s) or image(s) are in two parts of one fold: what is evaluated was learnt"
            )


@dataclass(frozen=True, slots=True)
class FoldRows:
    """Indices into a manifest's rows, ascending, for one fold."""

    train: NDArray[np.int64] = field(repr=False)
    validation: NDArray[np.int64] = field(repr=False)
    test: NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Split:
    """Folds of a data set.

    Attributes:
        scheme: "holdout" (one test part for all folds, the validation part goes round) or "nested" (the test part goes
            round; in each fold a validation part is cut from the rest).
        unit: "patient"; "image" exists only to repeat a paper, and leaks.
        stratify: column whose values are spread evenly, or "".
        manifest_sha256: of the manifest that was divided.
        warnings: sentences that go into every table made from this split.
    """

    scheme: Literal["holdout", "nested"]
    unit: Literal["patient", "image"]
    folds: tuple[Fold, ...] = field(repr=False)
    seed: int
    stratify: str = "label"
    manifest_sha256: str = ""
    warnings: tuple[str, ...] = ()

    def require_same(self, manifest: Manifest) -> None:
        """Refuse a manifest that is not the one that was divided; without both hashes nothing is known.

        Raises:
            InputError: it is another one.
        """
        if self.manifest_sha256 and manifest.sha256 and self.manifest_sha256 != manifest.sha256:
            raise InputError(
                "the split was made for another version of this manifest (its SHA-256 differs): run osteon split again"
            )

    def rows(self, manifest: Manifest, fold: int) -> FoldRows:
        """Which rows of a manifest are in which part of a fold; rows of nobody named are in none.

        Raises:
            InputError: the manifest is not the one that was divided, or a part has no image.
        """
        self.require_same(manifest)
        member = manifest.column("patient" if self.unit == "patient" else "image")
        parts = {}
        for part in PARTS:
            parts[part] = np.flatnonzero(np.isin(member, getattr(self.folds[fold], part))).astype(np.int64)
            if parts[part].size == 0:
                raise InputError(f"fold {fold} has no image in its {part} part: the manifest lacks its patients")
        return FoldRows(**parts)
