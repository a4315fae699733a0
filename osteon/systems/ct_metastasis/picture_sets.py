"""Pictures of slices as a person has them, checked and written as a data set of the metastasis study.

Two layouts are known. That of BM-Seg: folders ``image``, ``bone mask`` and ``lesion mask`` with the same file name in
each; patients are known from their folders (below ``image``, or around the three folders) or from ``patients.csv``.
That of the classification set: Normal/PATIENT/..., Abnormal/PATIENT/{normal,metastatic} slices/...; the two kinds of
slices of a metastatic patient may also lie around the patients (thesis, L1102, leaves it open).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.curation.splits import NORMAL
from osteon.data.system import MadeDataset
from osteon.errors import InputError, UsageError
from osteon.io.image import read_image, read_mask_image, write_png8, write_png16
from osteon.systems.ct_metastasis.dataset import (
    BONE,
    FOLDERS,
    IMAGE,
    LESION,
    METASTASIS,
    TrunkOptions,
    build_masked,
    mask_notes,
)
from osteon.train.datasets.case_builder import (
    CaseMaker,
    SkippedCase,
    build_cases,
    folder_name,
    item_by_item,
    known_fields,
)
from osteon.train.datasets.patients_table import NO_SUCH_IMAGE
from osteon.train.datasets.pictures import (
    PictureFile,
    PlacedPicture,
    found_pictures,
    inner_folder,
    patients_of,
    pictures_below,
    plain_name,
    subfolders,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data.options import Progress
    from osteon.systems.ct_metastasis.options import DatasetOptions
    from osteon.train.datasets.patients_table import PatientsTable
    from osteon.train.datasets.pictures import FoundPictures, PictureCase

__all__ = ["make_dataset"]

_KINDS: Final = (IMAGE, BONE, LESION)
_OF: Final = {NORMAL: "healthy patient", METASTASIS: "metastatic patient"}
_HEALTHY: Final = ("normal", "healthy")
_ILL: Final = ("abnormal", "metastatic", "metastasi", "metastase", "infected")
"""First word of a folder's name, without a plural."""
_FULL_8: Final = 255


def make_dataset(source: Path, out: Path, options: DatasetOptions, workers: int, progress: Progress) -> MadeDataset:
    """Recognise a source and make the data set of it.

    Three are known: CT series with a table of masks; the public layout of BM-Seg; the classification set.

    Raises:
        InputError: none of the three, or it cannot be used.
        OutputError: cannot be written.
        BackendError: a process was ended from outside.
    """
    slices = TrunkOptions(
        lesion_slices=_how_many(options.lesion_slices),
        normal_slices=_how_many(options.normal_slices),
        size=options.size,
        need_bone=options.bone,
        seed=options.seed,
    )
    if options.masks is not None:
        return build_masked(source, options.masks, out, slices, workers=workers, progress=progress)
    if not source.is_dir():
        raise InputError(f"no folder {source.name}: give the folder of a data set, or CT series with --masks TABLE")
    table = patients_of(source, options.patients)
    if len(_classes(source)) == 2:
        what, found = "pictures of slices, normal and with metastases", _slice_folders(source, table, options)
    elif roots := _roots(source):
        what, found = "pictures of slices with masks (layout of BM-Seg)", _bm_seg(source, roots, table, options)
    else:
        raise InputError(
            f"{source.name} is none of: folders image, bone mask and lesion mask (BM-Seg); folders Normal and "
            "Abnormal; CT series, which need --masks TABLE"
        )
    about = {"what": what, "warnings": list(found.warnings)}
    asked = PictureOptions(need_bone=options.bone)
    built = build_cases(
        found.cases, out, _MAKER, options=asked, workers=workers, progress=progress, about=about, skipped=found.skipped
    )
    return MadeDataset(built, (f"source   {what}", *(f"! {warning}" for warning in found.warnings)))


def _how_many(text: str) -> int | None:
    """A number, or None for "all".

    Raises:
        UsageError: neither.
    """
    if text.strip().lower() == "all":
        return None
    if not text.strip().isdecimal():
        raise UsageError(f"{text!r} is neither a number from 0 nor all")
    return int(text)


# ----------------------------------------------------------------------------------------------------- layout of BM-Seg


def _roots(source: Path) -> dict[str, Path]:
    """Patient -> the folder that holds their three folders; "" for a folder of many patients; nothing for none."""
    place = inner_folder(source)
    if _is_root(place):
        return {"": place}
    inside = {folder.name: folder for folder in subfolders(place) if _kinds(folder)}
    return inside if any(_is_root(folder) for folder in inside.values()) else {}


def _bm_seg(source: Path, roots: dict[str, Path], table: PatientsTable, options: DatasetOptions) -> FoundPictures:
    """The patients of a set in the public layout, from its ``_roots``."""
    if options.bone and not any(BONE in _kinds(root) for root in roots.values()):
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
    return found_pictures(source.name, placed, table, skipped=skipped, own_patients=options.own_patients)


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


# ------------------------------------------------------------------------------------------------- classification set


def _classes(source: Path) -> dict[str, Path]:
    """The folders of healthy ("normal") and of metastatic patients ("metastasis"); fewer than two: another layout."""
    return {label: folder for folder in subfolders(inner_folder(source)) for label in [_label(folder.name)] if label}


def _slice_folders(source: Path, table: PatientsTable, options: DatasetOptions) -> FoundPictures:
    """The patients of a classification set.

    A slice is labelled by what it shows. Equal names of patients below Normal and Abnormal are two persons, because
    a healthy patient has no lesion in any slice; they are then distinguished by the folder's name.
    """
    placed: list[PlacedPicture] = []
    skipped: list[SkippedCase] = []
    seen: set[str] = set()
    for group, folder in _classes(source).items():
        for key, path in ((key, path) for key, paths in pictures_below(folder).items() for path in paths):
            seen.add(key)
            label, inner = _slice_label(group, key)
            name = f"{folder.name}/{key}{path.suffix}"
            if not label:
                skipped.append(SkippedCase(name, "it is in neither 'normal slices' nor 'metastatic slices'"))
            elif label == METASTASIS or group == NORMAL or not options.drop_normal:
                target = "/".join(folder_name(part) for part in (group, *inner[:-1], label, inner[-1]))
                file = PictureFile(name=name, target=target, image=path, label=label, extra={"of": _OF[group]})
                placed.append(PlacedPicture(file, key, inner[0] if len(inner) > 1 else "", group))
    skipped += [SkippedCase(name, NO_SUCH_IMAGE) for name in table.unseen(seen)]
    return found_pictures(source.name, placed, table, skipped=skipped, own_patients=options.own_patients)


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


# ------------------------------------------------------------------------------------------------------------- writing


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOptions:
    """What is asked of pictures.

    Attributes:
        need_bone: a picture without a bone mask is left out.
    """

    need_bone: bool = True


def _write(case: PictureCase, item: PictureFile, out: Path, options: PictureOptions) -> dict[str, object]:
    """Check a picture and its masks, write them, and give its row as JSON keeps it."""
    grey = read_image(item.image)
    row: dict[str, object] = {"plane": "axial", **known_fields(case, None)}
    extra = {"file": item.name, **item.extra}
    for folder in {IMAGE, LESION, BONE}:
        (out / folder / item.target).parent.mkdir(parents=True, exist_ok=True)
    if item.lesion is None:
        if not item.label:
            raise InputError("it has no lesion mask: draw one, an empty one where there is no lesion")
        name = f"{IMAGE}/{item.target}{item.image.suffix.lower()}"
        shutil.copyfile(item.image, out / name)
        return {**row, "image": name, "label": item.label, "extra": {**case.extra, **extra}}
    if item.bone is None and options.need_bone:
        raise InputError("it has no bone mask: draw one, or say that none is needed")
    shape = (grey.shape[0], grey.shape[1])
    lesion = read_mask_image(item.lesion, shape=shape)
    bone = None if item.bone is None else read_mask_image(item.bone, shape=shape)
    name = f"{item.target}.png"
    _write_grey(out / IMAGE / name, grey)
    write_png8(out / LESION / name, lesion)
    extra |= {"pixels": str(lesion.size), "lesion_pixels": str(np.count_nonzero(lesion))}
    if bone is not None:
        write_png8(out / BONE / name, bone)
        extra["bone_pixels"] = str(np.count_nonzero(bone))
    return {
        **row,
        "image": f"{IMAGE}/{name}",
        "label": METASTASIS if lesion.any() else NORMAL,
        "lesion_mask": f"{LESION}/{name}",
        "bone_mask": "" if bone is None else f"{BONE}/{name}",
        "extra": {**case.extra, **extra},
    }


def _write_grey(path: Path, grey: NDArray[np.float32]) -> None:
    """In 8 bits where that loses nothing but the rounding of a colour, else in 16."""
    scaled = np.rint(grey * _FULL_8)
    if np.abs(scaled - grey * _FULL_8).max() < 0.5 * _FULL_8 / 65535:
        write_png8(path, scaled.astype(np.uint8))
    else:
        write_png16(path, grey)


_MAKER: Final = CaseMaker(
    rows=partial(item_by_item, _write),
    folders=FOLDERS,
    notes=mask_notes,
    what="patients",
    pictures="pictures of a patient",
    columns=("image", "lesion_mask", "bone_mask"),
)
