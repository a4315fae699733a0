"""Pictures of patients with masks, checked and written as a data set of the metastasis study."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.curation.splits import NORMAL
from osteon.errors import InputError, OsteonError, OutputError
from osteon.io.image import read_image, read_mask_image, write_png8, write_png16
from osteon.systems.ct_metastasis.dataset import BONE, FOLDERS, IMAGE, LESION, METASTASIS, mask_notes, rows_file
from osteon.train.datasets.case_builder import (
    AnyCase,
    CaseMaker,
    build_cases,
    case_key,
    folder_name,
    forget_pictures,
    known_fields,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data.options import Progress
    from osteon.train.datasets.case_builder import BuiltDataset, SkippedCase
    from osteon.train.datasets.pictures import PictureCase, PictureFile

__all__ = ["PictureOptions", "build_pictures"]

_FULL_8: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOptions:
    """What is asked of pictures.

    Attributes:
        need_bone: a picture without a bone mask is left out.
    """

    need_bone: bool = True


def build_pictures(
    cases: Sequence[PictureCase],
    out: Path,
    options: PictureOptions,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    about: Mapping[str, object] | None = None,
    skipped: Sequence[SkippedCase] = (),
) -> BuiltDataset:
    """Make the data set folder; as ``build_cases``."""
    maker = CaseMaker(make=make_pictures, rows_file=rows_file, folders=FOLDERS, notes=mask_notes, what="patients")
    return build_cases(
        cases, out, maker, options=options, workers=workers, progress=progress, about=about, skipped=skipped
    )


def make_pictures(case: PictureCase, out: Path, options: PictureOptions) -> str:
    """Write the pictures of a patient; one that cannot be used is left out by name.

    Raises:
        OutputError: cannot be written.
    """
    stem = folder_name(case.name)
    rows: list[dict[str, object]] = []
    left_out: list[dict[str, str]] = []
    try:
        forget_pictures(out, rows_file(stem), columns=("image", "lesion_mask", "bone_mask"))
        for item in case.open():
            try:
                rows.append(_write(case, item, out, options))
            except OutputError:
                raise
            except OsteonError as error:
                left_out.append({"name": item.name, "reason": str(error)})
    except OSError as error:
        raise OutputError(f"the pictures of a patient cannot be written: {error.strerror}; free the disk") from error
    key = case_key(case, options)
    write_json(out / rows_file(stem), {"key": key, "reason": "", "rows": rows, "left_out": left_out})
    return ""


def _write(case: AnyCase, item: PictureFile, out: Path, options: PictureOptions) -> dict[str, object]:
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
