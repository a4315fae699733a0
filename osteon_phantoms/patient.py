"""Synthetic patients: specified, made, written as DICOM, and read like any other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from osteon.data.options import silent
from osteon.reading.folder import new_result, require_free

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from osteon.data.options import Progress
    from osteon_phantoms import LegSpec

__all__ = ["demo_spec", "phantom_spec", "write_phantom"]


def phantom_spec(
    seed: int,
    *,
    with_lesion: bool = True,
    slices: int | None = None,
    size: int | None = None,
    slice_step_mm: float | None = None,
    changes: Mapping[str, object] | None = None,
) -> LegSpec:
    """A patient as the seed draws one, with what the caller wants otherwise.

    Args:
        seed: decides who, where and how; also the seed of the picture.
        with_lesion: with one osteosarcoma-like lesion, or healthy.
        slices: number of slices.
        size: rows and columns; the field of view stays.
        slice_step_mm: distance between slices.
        changes: fields of ``LegSpec`` to replace.

    Raises:
        InputError: a number outside its range.
    """
    import numpy as np

    from osteon_phantoms import random_leg_spec

    spec = random_leg_spec(np.random.default_rng(seed), with_lesion=with_lesion, size="full")
    count, rows, columns = spec.shape
    step_mm, row_mm, column_mm = spec.spacing_mm
    wanted = size or rows
    fields: dict[str, Any] = {
        **(changes or {}),
        "seed": seed,
        "shape": (slices or count, wanted, size or columns),
        "spacing_mm": (slice_step_mm or step_mm, row_mm * rows / wanted, column_mm * columns / (size or columns)),
    }
    return replace(spec, **fields)


def demo_spec(seed: int) -> LegSpec:
    """The patient of the demo: an adolescent, both knees, one tumour of the distal femur; the seed decides the rest."""
    from osteon_phantoms import LesionSpec

    drawn = phantom_spec(seed).lesions[0]
    lesion = LesionSpec(
        leg=drawn.leg,
        size_mm=max(drawn.size_mm, 60.0),
        matrix=drawn.matrix,
        breach=max(drawn.breach, 0.5),
        periosteal=drawn.periosteal,
        soft_tissue_mass=max(drawn.soft_tissue_mass, 0.5),
        mineralisation=drawn.mineralisation,
        direction_degrees=drawn.direction_degrees,
    )
    plain = {"coverage": "knee", "patient_position": "HFS", "table": "curved", "age_years": 15.0, "lesions": (lesion,)}
    without = {
        "touching": False,
        "amputee": None,
        "arms": False,
        "metal": None,
        "gantry_tilt_degrees": 0.0,
        "benign": (),
    }
    return phantom_spec(seed, changes={"legs": "both", **plain, **without})


def write_phantom(spec: LegSpec, folder: Path, *, replace_old: bool = False, progress: Progress | None = None) -> Path:
    """Make a synthetic patient and write it to a folder, whole or not at all.

    Returns:
        The folder of the DICOM series.

    Raises:
        OutputError: the folder is taken or cannot be written.
        InputError: the specification asks for what cannot be made.
    """
    from osteon_phantoms import make_leg_ct
    from osteon_phantoms.files import write_leg_phantom

    tell = progress or silent
    require_free(folder, replace=replace_old)
    tell("making a synthetic patient", 0, 2)
    phantom = make_leg_ct(spec)
    tell("making a synthetic patient", 1, 2)
    with new_result(folder, replace=replace_old) as work:
        write_leg_phantom(phantom, work)
    tell("making a synthetic patient", 2, 2)
    return folder / "dicom"
