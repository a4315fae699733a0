"""A synthetic MR of the femur as files: DICOM series, and the truth beside them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from osteon.errors import InputError, OutputError
from osteon.io.dicom.write_mr import MrSeriesInfo, write_mr_series
from osteon.io.nifti import write_mask_nifti
from osteon_phantoms.femur_mr import make_femur_mr
from osteon_phantoms.femur_mr_physics import SEQUENCES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from osteon_phantoms.femur_mr_spec import FemurMrSpec, SequenceName

__all__ = ["write_femur_mr"]

_README = """SYNTHETIC - this is not a patient.

Made by osteon's phantoms (a computer program) with seed {seed}. Every name, number and date in these files is invented.

dicom/SEQUENCE/            MR series of one study, one file a slice
truth/lesion.nii.gz        1 inside the lesion (RAS affine, as NIfTI wants); the same for all series
truth/lesion.labels.json   the label, coded
truth/truth.json           what the lesion is and where (LPS millimetres; --box of each slice)
"""


def write_femur_mr(
    spec: FemurMrSpec,
    folder: Path,
    *,
    sequences: Sequence[SequenceName] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Draw a femur in some sequences and write them as the series of one study.

    Args:
        spec: the patient; its own sequence is used where none are named.
        folder: must be empty or not there.
        sequences: of ``SEQUENCES``; each a series, ``dicom/t1`` and on.
        progress: told after every series.

    Raises:
        InputError: no sequence, or one twice.
        OutputError: the folder holds something or cannot be written.
    """
    wanted = list(sequences) if sequences is not None else [spec.sequence]
    if not wanted or len(set(wanted)) != len(wanted):
        raise InputError(f"a study has one or more different sequences, found {', '.join(wanted) or 'none'}")
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"a phantom was to be written to {folder}, but that folder is not empty: name another one")
    truth = folder / "truth"
    boxes: dict[str, list[int]] = {}
    for number, name in enumerate(wanted, start=1):
        made = make_femur_mr(replace(spec, sequence=name))
        taken = SEQUENCES[name]
        info = MrSeriesInfo(
            uid_seed=f"osteon femur MR phantom {spec.seed} {spec.plane} {json.dumps(asdict(spec), sort_keys=True)}",
            series_number=number,
            description=f"SYNTHETIC {taken.description} {spec.plane}",
            repetition_ms=taken.repetition_ms,
            echo_ms=taken.echo_ms,
            inversion_ms=taken.inversion_ms,
            is_fat_saturated=taken.is_fat_saturated,
            has_contrast=taken.has_contrast,
            field_tesla=spec.field_tesla,
            slice_mm=spec.slice_mm,
            laterality=spec.side[0].upper(),
        )
        write_mr_series(made.volume, folder / "dicom" / name, patient=made.patient, info=info)
        if progress is not None:
            progress("drawing series", number, len(wanted))
    for index, plane in enumerate(made.lesion.array):
        rows, columns = plane.any(axis=1).nonzero()[0], plane.any(axis=0).nonzero()[0]
        if rows.size:
            boxes[str(index)] = [int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1]
    document = {
        "synthetic": "made by osteon's phantoms; not a patient",
        "spec": asdict(spec),
        "look": made.look,
        "diameter_mm": round(made.diameter_mm, 1),
        "boxes_by_slice": boxes,
        "sequences": wanted,
    }
    try:
        truth.mkdir()
        write_mask_nifti(truth / "lesion.nii.gz", made.lesion)
        (truth / "truth.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        (folder / "README.txt").write_text(_README.format(seed=spec.seed), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the truth of a phantom could not be written to {truth}: {error.strerror}") from error
