"""A Mask as NIfTI, with the meaning of its labels beside it: what an input without DICOM headers gets.

The one door between LPS and NIfTI's RAS for masks: x and y change their sign, and the array is stored column first.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.data import Label, Mask
from osteon.errors import InputError, OutputError
from osteon.geometry import Grid
from osteon.labels import Concept

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["labels_path", "read_mask_nifti", "write_mask_nifti"]

SCHEMA: Final = "osteon-labels/1"
LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
SUFFIXES: Final = (".nii.gz", ".nii")
SCANNER_SPACE: Final = 1


def labels_path(path: Path) -> Path:
    """Where the label table of a NIfTI mask lies: ``bone.nii.gz`` has ``bone.labels.json``.

    Raises:
        InputError: the name ends neither in .nii nor in .nii.gz.
    """
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return path.with_name(path.name.removesuffix(suffix) + ".labels.json")
    raise InputError(f"a NIfTI file ends in .nii or .nii.gz, found {path.name}")


def write_mask_nifti(path: Path, mask: Mask) -> None:
    """Write a Mask as NIfTI-1 (uint8, RAS millimetres) and its labels as JSON beside it.

    Args:
        path: ends in .nii or .nii.gz.
        mask: on any grid.

    Raises:
        InputError: the name has another ending.
        OutputError: the place cannot be written.
    """
    import nibabel

    table = labels_path(path)
    affine = LPS_TO_RAS @ mask.grid.affine[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(mask.array.transpose(2, 1, 0), affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=SCANNER_SPACE)
    image.set_qform(affine, code=SCANNER_SPACE)
    document = {"schema": SCHEMA, "name": mask.name, "labels": [asdict(label) for label in mask.labels]}
    try:
        nibabel.save(image, path)
        table.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        message = f"asked to write {path.name}, found {type(error).__name__}: choose a folder that can be written"
        raise OutputError(message) from error


def read_mask_nifti(path: Path) -> Mask:
    """Read what ``write_mask_nifti`` wrote.

    Args:
        path: the NIfTI file; its label table must lie beside it.

    Raises:
        InputError: a file is missing or is not such a mask.
    """
    import nibabel

    table = labels_path(path)
    try:
        image = nibabel.load(path)
        document = json.loads(table.read_text(encoding="utf-8"))
        labels = tuple(_label(item) for item in document["labels"])
        name = str(document["name"])
    except (OSError, nibabel.filebasedimages.ImageFileError, ValueError, KeyError, TypeError) as error:
        message = (
            f"asked to read the mask {path.name} and its labels {table.name}, found {type(error).__name__}: "
            "give a mask that osteon wrote, with its table"
        )
        raise InputError(message) from error
    if image.get_data_dtype() != np.uint8 or len(image.shape) != 3:
        raise InputError(f"a mask is a 3D image of type uint8, found {image.get_data_dtype()} of shape {image.shape}")
    array = np.asarray(image.dataobj, dtype=np.uint8).transpose(2, 1, 0)
    affine = (LPS_TO_RAS @ image.affine)[:, [2, 1, 0, 3]]
    return Mask(array=array, grid=Grid(shape=array.shape, affine=affine), labels=labels, name=name)


def _label(item: Mapping[str, Any]) -> Label:
    concepts = {
        key: None if item[key] is None else Concept(**item[key]) for key in ("category", "kind", "site", "laterality")
    }
    colour = tuple(int(value) for value in item["colour"])
    return Label(**{**item, **concepts, "colour": colour})
