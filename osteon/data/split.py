"""How a data set is divided: folds of patients, each with parts to learn from, to choose by and to judge by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from osteon.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data.manifest import Manifest

__all__ = ["PARTS", "Fold", "FoldRows", "Split"]

PARTS = ("train", "validation", "test")
"""What a patient is used for in a fold: learning, choosing (epoch, temperature, threshold), judging."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One division. The members are patients, or images when the split's unit is the image.

    Attributes:
        train: to learn from.
        validation: to stop, calibrate and fix thresholds by.
        test: to judge by; touched once.

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
            raise InputError(f"{shared} patient(s) or image(s) are in two parts of one fold: what is judged was learnt")


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
        folds: at least one.
        seed: of the division.
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
