"""What a person has of bone metastases: which of three layouts it is, and the data set made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from osteon.errors import InputError
from osteon.systems.ct_metastasis.bm_seg import bm_seg_cases, bm_seg_roots
from osteon.systems.ct_metastasis.dataset import TrunkOptions
from osteon.systems.ct_metastasis.masked_series import build_masked
from osteon.systems.ct_metastasis.picture_set import PictureOptions, build_pictures
from osteon.systems.ct_metastasis.slice_folders import slice_folder_cases, slice_folder_classes
from osteon.train.datasets.patients_table import PatientsTable, read_patients
from osteon.train.datasets.pictures import inner_folder

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data.options import Progress
    from osteon.train.datasets.case_builder import BuiltDataset

__all__ = ["MadeDataset", "SourceOptions", "build_from_source"]

PATIENTS: Final = "patients.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What is known beside the source, and what is asked of it.

    Attributes:
        masks: table of CT series and their masks; None: the source is no series.
        patients: table of patients; None: ``patients.csv`` in the source, if it is there.
        own_patients: take every image for a patient of its own where nothing tells the patient.
        normal_of_metastatic: use the normal slices of metastatic patients (classification set).
        slices: of CT series; ``need_bone`` holds for all.
    """

    masks: Path | None = None
    patients: Path | None = None
    own_patients: bool = False
    normal_of_metastatic: bool = True
    slices: TrunkOptions = field(default_factory=TrunkOptions)


@dataclass(frozen=True, slots=True)
class MadeDataset:
    """A data set and where it came from.

    Attributes:
        built: what was made.
        what: of the source, as "CT series with masks".
        warnings: what must be known of any result.
        unused: series that the table does not name.
    """

    built: BuiltDataset
    what: str
    warnings: tuple[str, ...] = ()
    unused: int = 0


def build_from_source(
    source: Path,
    out: Path,
    options: SourceOptions,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> MadeDataset:
    """Recognise a source and make the data set of it.

    Three are known: CT series with a table of masks; the public layout of BM-Seg (``image``, ``bone mask``, ``lesion
    mask``); the classification set (``Normal``, ``Abnormal``).

    Args:
        source: folder (or a zip of CT series).
        out: the data set folder.
        options: what is known and asked.
        workers: processes.
        progress: told about every step.

    Raises:
        InputError: none of the three, or it cannot be used.
        OutputError: cannot be written.
        BackendError: a process was ended from outside.
    """
    if options.masks is not None:
        built, unused = build_masked(
            source, options.masks, out, options=options.slices, workers=workers, progress=progress
        )
        return MadeDataset(built, "CT series with masks", unused=unused)
    if not source.is_dir():
        raise InputError(f"no folder {source.name}: give the folder of a data set, or CT series with --masks TABLE")
    table = _table(source, options.patients)
    need_bone = options.slices.need_bone
    if len(slice_folder_classes(source)) == 2:
        what = "pictures of slices, normal and with metastases"
        found = slice_folder_cases(
            source, table, normal_of_metastatic=options.normal_of_metastatic, own_patients=options.own_patients
        )
    elif bm_seg_roots(source):
        what = "pictures of slices with masks (layout of BM-Seg)"
        found = bm_seg_cases(source, table, need_bone=need_bone, own_patients=options.own_patients)
    else:
        raise InputError(
            f"{source.name} is none of: folders image, bone mask and lesion mask (BM-Seg); folders Normal and "
            "Abnormal; CT series, which need --masks TABLE"
        )
    about = {"what": what, "warnings": list(found.warnings)}
    pictures = PictureOptions(need_bone=need_bone)
    built = build_pictures(
        found.cases, out, pictures, workers=workers, progress=progress, about=about, skipped=found.skipped
    )
    return MadeDataset(built, what, found.warnings)


def _table(source: Path, patients: Path | None) -> PatientsTable:
    """The table that was named, or the one that lies in the source."""
    if patients is not None:
        return read_patients(patients)
    beside = {path for folder in (source, inner_folder(source)) for path in folder.iterdir()}
    found = sorted(path for path in beside if path.name.lower() == PATIENTS)
    return read_patients(found[0]) if found else PatientsTable()
