"""The public layout of BM-Seg: folders ``image``, ``bone mask`` and ``lesion mask`` with the same file name in each.

Patients are known from their folders (below ``image``, or around the three folders) or from ``patients.csv``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from osteon.errors import InputError
from osteon.systems.ct_metastasis.dataset import BONE, IMAGE, LESION
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

__all__ = ["bm_seg_cases", "bm_seg_roots"]

_KINDS: Final = (IMAGE, BONE, LESION)


def bm_seg_roots(source: Path) -> dict[str, Path]:
    """Patient -> the folder that holds their three folders; "" for a folder of many patients; nothing for none."""
    place = inner_folder(source)
    if _is_root(place):
        return {"": place}
    inside = {folder.name: folder for folder in subfolders(place) if _kinds(folder)}
    return inside if any(_is_root(folder) for folder in inside.values()) else {}


def bm_seg_cases(
    source: Path, table: PatientsTable, *, need_bone: bool = True, own_patients: bool = False
) -> FoundPictures:
    """The patients of a set in the public layout.

    Args:
        source: folder of the set, or one around it.
        table: of patients; may be empty.
        need_bone: whether bone masks are asked for.
        own_patients: take an image for a patient of its own where nothing tells the patient.

    Raises:
        InputError: another layout, a folder that is missing as a whole, or patients that nothing tells.
    """
    roots = bm_seg_roots(source)
    if not roots:
        raise InputError(
            f"{source.name} has no folders {', '.join(map(repr, _KINDS))}: name the folder that holds them"
        )
    if need_bone and not any(BONE in _kinds(root) for root in roots.values()):
        raise InputError(f"{source.name} has no folder 'bone mask': give it, or say that no bone is needed (--no-bone)")
    placed: list[PlacedPicture] = []
    skipped: list[SkippedCase] = []
    seen: set[str] = set()
    for patient, root in roots.items():
        pictures, lonely = _pictures(root, patient)
        skipped += lonely
        for path, file in pictures.items():
            seen.add(path)
            if isinstance(file, PictureFile):
                placed.append(PlacedPicture(file, path, path.split("/")[0] if "/" in path else ""))
            else:
                skipped.append(file)
    skipped += [SkippedCase(name, NO_SUCH_IMAGE) for name in table.unseen(seen)]
    return found_pictures(source.name, placed, table, skipped=skipped, own_patients=own_patients)


def _is_root(folder: Path) -> bool:
    return {IMAGE, LESION} <= _kinds(folder).keys()


def _kinds(folder: Path) -> dict[str, Path]:
    """Which of the three folders are there; case, dashes and a plural do not matter."""
    return {plain_name(inside.name): inside for inside in subfolders(folder) if plain_name(inside.name) in _KINDS}


def _pictures(root: Path, patient: str) -> tuple[dict[str, PictureFile | SkippedCase], list[SkippedCase]]:
    """Images of one set of folders by path, each with its masks or why it cannot be used; and masks without one."""
    kinds = _kinds(root)
    found = {kind: pictures_below(kinds.get(kind)) for kind in _KINDS}
    around = f"{patient}/" if patient else ""
    pictures: dict[str, PictureFile | SkippedCase] = {}
    for key, images in found[IMAGE].items():
        path, name = f"{around}{key}", f"{around}{kinds[IMAGE].name}/{key}{images[0].suffix}"
        bones, lesions = (found[kind].get(key, []) for kind in (BONE, LESION))
        if max(map(len, (images, bones, lesions))) > 1:
            pictures[path] = SkippedCase(name, "several images or masks have its name with other endings: keep one")
            continue
        pictures[path] = PictureFile(
            name=name,
            target="/".join(folder_name(part) for part in path.split("/")),
            image=images[0],
            lesion=lesions[0] if lesions else None,
            bone=bones[0] if bones else None,
        )
    lonely = [
        SkippedCase(f"{around}{kinds[kind].name}/{key}{masks[0].suffix}", "it is a mask without an image of that name")
        for kind in (BONE, LESION)
        for key, masks in found[kind].items()
        if key not in found[IMAGE]
    ]
    return pictures, lonely
