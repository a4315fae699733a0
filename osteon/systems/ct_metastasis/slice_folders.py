"""The layout of the classification set: Normal/PATIENT/..., Abnormal/PATIENT/{normal,metastatic} slices/...

The two kinds of slices of a metastatic patient may also lie around the patients (thesis, L1102, leaves it open).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from osteon.curation.splits import NORMAL
from osteon.errors import InputError
from osteon.systems.ct_metastasis.dataset import METASTASIS
from osteon.train.datasets.case_builder import SkippedCase, folder_name
from osteon.train.datasets.patients_table import NO_SUCH_IMAGE
from osteon.train.datasets.pictures import (
    PictureFile,
    PlacedPicture,
    found_pictures,
    inner_folder,
    pictures_below,
    plain_name,
    subfolders,
)

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.train.datasets.patients_table import PatientsTable
    from osteon.train.datasets.pictures import FoundPictures

__all__ = ["slice_folder_cases", "slice_folder_classes"]

_OF: Final = {NORMAL: "healthy patient", METASTASIS: "metastatic patient"}
_HEALTHY: Final = ("normal", "healthy")
_ILL: Final = ("abnormal", "metastatic", "metastasi", "metastase", "infected")
"""First word of a folder's name, without a plural."""


def slice_folder_classes(source: Path) -> dict[str, Path]:
    """The folders of healthy ("normal") and of metastatic patients ("metastasis"); fewer than two: another layout."""
    return {label: folder for folder in subfolders(inner_folder(source)) for label in [_label(folder.name)] if label}


def slice_folder_cases(
    source: Path, table: PatientsTable, *, normal_of_metastatic: bool = True, own_patients: bool = False
) -> FoundPictures:
    """The patients of a classification set.

    A slice is labelled by what it shows. Equal names of patients below Normal and Abnormal are two persons, because
    a healthy patient has no lesion in any slice; they are then told apart by the folder's name.

    Args:
        source: folder of the set, or one around it.
        table: of patients; may be empty.
        normal_of_metastatic: use the normal slices of metastatic patients.
        own_patients: take an image for a patient of its own where nothing tells the patient.

    Raises:
        InputError: another layout, or patients that nothing tells.
    """
    classes = slice_folder_classes(source)
    if len(classes) != 2:
        raise InputError(f"{source.name} has no folders 'Normal' and 'Abnormal': name the folder that holds them")
    placed: list[PlacedPicture] = []
    skipped: list[SkippedCase] = []
    seen: set[str] = set()
    for group, folder in classes.items():
        for key, path in ((key, path) for key, paths in pictures_below(folder).items() for path in paths):
            seen.add(key)
            label, inner = _slice_label(group, key)
            name = f"{folder.name}/{key}{path.suffix}"
            if not label:
                skipped.append(SkippedCase(name, "it lies in neither 'normal slices' nor 'metastatic slices'"))
            elif label == METASTASIS or group == NORMAL or normal_of_metastatic:
                target = "/".join(folder_name(part) for part in (group, *inner[:-1], label, inner[-1]))
                file = PictureFile(name=name, target=target, image=path, label=label, extra={"of": _OF[group]})
                placed.append(PlacedPicture(file, key, inner[0] if len(inner) > 1 else "", group))
    skipped += [SkippedCase(name, NO_SUCH_IMAGE) for name in table.unseen(seen)]
    return found_pictures(source.name, placed, table, skipped=skipped, own_patients=own_patients)


def _slice_label(group: str, key: str) -> tuple[str, tuple[str, ...]]:
    """What a slice shows, "" when no folder says it, and its path without the folder that says it."""
    parts = key.split("/")
    if group == NORMAL:
        return NORMAL, tuple(parts)
    for place, folder in enumerate(parts[:-1]):
        label = _label(folder)
        if label:
            return label, (*parts[:place], *parts[place + 1 :])
    return "", tuple(parts)


def _label(name: str) -> str:
    """The class that the name of a folder says."""
    first = plain_name(name).split(" ")[0].removesuffix("s")
    return METASTASIS if first in _ILL else NORMAL if first in _HEALTHY else ""
