"""A synthetic patient as files: the DICOM series, and the truth beside it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import OutputError
from osteon.io.dicom.write_ct import CtSeriesInfo, SlicePlanes, planes_of, seeded_uid, write_ct_series
from osteon.io.image import write_colour
from osteon.io.mask_image import write_png8
from osteon.io.nifti import write_mask_nifti

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from osteon_phantoms import LegPhantom, TrunkPhantom
    from osteon_phantoms.slide import PhantomSlide

__all__ = ["WrittenPhantom", "write_leg_phantom", "write_slide_phantom", "write_trunk_phantom"]

_README = """SYNTHETIC - this is not a patient.

Made by osteon's phantoms (a computer program) with seed {seed}. Every name, number and date in these files is invented.

dicom/             CT series, one file a slice
truth/truth.nii.gz labels on the upright grid (RAS affine, as NIfTI wants)
truth/truth.labels.json   the labels, coded
truth/truth.json   what the labels mean, and where each lesion is (LPS millimetres, SOP Instance UIDs)
"""

_BODY_PARTS = {"thorax": "CHEST", "abdomen": "ABDOMEN", "pelvis": "PELVIS", "trunk": "CHESTABDPELVIS"}

_TRUNK_README = """SYNTHETIC - this is not a patient.

Made by osteon's phantoms (a computer program) with seed {seed}. Every name, number and date in these files is invented.

dicom/                     CT series, one file a slice
truth/lesions.nii.gz       1, 2, ... a metastasis (RAS affine, as NIfTI wants)
truth/structures.nii.gz    bone by structure, marrow and lesions included
truth/*.labels.json        the labels, coded
truth/truth.json           every metastasis and every look-alike: where, what, how large (LPS millimetres)
"""


_SLIDE_README = """SYNTHETIC - this is nobody's tissue.

Made by osteon's phantoms (a computer program) with seed {seed}.

slide.tif            H&E-like slide, a pyramidal TIFF
truth/classes.png    the class of every place: 0 background, 1 non-tumour, 2 non-viable tumour, 3 viable tumour
truth/colours.png    the same to look at: white, grey-blue, ochre, crimson
truth/truth.json     areas, necrosis fraction, width of a pixel of the maps
"""

_SLIDE_COLOURS = ((255, 255, 255), (126, 150, 176), (214, 164, 56), (178, 24, 56))
_MAP_SIDE = 4096
_MAP_UM = 8.0


@dataclass(frozen=True, slots=True)
class WrittenPhantom:
    """Where a phantom was written.

    Attributes:
        folder: holds all of it.
        dicom: the series.
        truth_mask: NIfTI; of a trunk the lesions.
        truth_json: lesions.
        sop_instance_uids: one a slice, in slice order.
    """

    folder: Path
    dicom: Path
    truth_mask: Path
    truth_json: Path
    sop_instance_uids: tuple[str, ...]


def write_leg_phantom(phantom: LegPhantom, folder: Path, *, shuffled_names: bool = False) -> WrittenPhantom:
    """Write ``dicom/*.dcm``, ``truth/truth.nii.gz``, ``truth/truth.json`` and a README that says synthetic.

    Args:
        phantom: what ``make_leg_ct`` gave.
        folder: must be empty or not there.
        shuffled_names: file names that say nothing about the order of the slices.

    Raises:
        OutputError: the folder holds something or cannot be written.
    """
    _require_empty(folder)
    spec, stored = phantom.spec, phantom.acquisition
    planes = SlicePlanes(
        array=stored.array,
        positions_lps_mm=stored.positions_lps_mm,
        row_direction=stored.row_direction,
        column_direction=stored.column_direction,
        pixel_mm=stored.pixel_mm,
        thickness_mm=stored.step_mm,
    )
    info = CtSeriesInfo(
        uid_seed=f"osteon leg phantom {_digest(phantom)}",
        patient_position=spec.patient_position,
        laterality={"both": "B", "left": "L", "right": "R"}[spec.legs],
        tilt_degrees=stored.tilt_degrees,
    )
    names = _shuffled(len(stored.array), spec.seed) if shuffled_names else None
    uids = write_ct_series(planes, folder / "dicom", patient=phantom.patient, info=info, file_names=names)
    truth = folder / "truth"
    try:
        truth.mkdir()
        write_mask_nifti(truth / "truth.nii.gz", phantom.truth)
        (truth / "truth.json").write_text(json.dumps(_truth_document(phantom, uids), indent=2) + "\n", encoding="utf-8")
        (folder / "README.txt").write_text(_README.format(seed=spec.seed), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the truth of a phantom could not be written to {truth}: {error.strerror}") from error
    return WrittenPhantom(
        folder=folder,
        dicom=folder / "dicom",
        truth_mask=truth / "truth.nii.gz",
        truth_json=truth / "truth.json",
        sop_instance_uids=uids,
    )


def write_trunk_phantom(phantom: TrunkPhantom, folder: Path) -> WrittenPhantom:
    """Write ``dicom/*.dcm``, the masks of lesions and bone, ``truth/truth.json`` and a README that says synthetic.

    Args:
        phantom: what ``make_trunk`` gave.
        folder: must be empty or not there.

    Raises:
        OutputError: the folder holds something or cannot be written.
    """
    _require_empty(folder)
    spec = phantom.spec
    info = CtSeriesInfo(
        uid_seed=f"osteon trunk phantom {seeded_uid(json.dumps(asdict(spec), sort_keys=True))}",
        body_part=_BODY_PARTS[spec.coverage],
        patient_position=spec.patient_position,
        laterality="U",
    )
    uids = write_ct_series(planes_of(phantom.volume), folder / "dicom", patient=phantom.patient, info=info)
    truth = folder / "truth"
    try:
        truth.mkdir()
        write_mask_nifti(truth / "lesions.nii.gz", phantom.lesions)
        write_mask_nifti(truth / "structures.nii.gz", phantom.structures)
        (truth / "truth.json").write_text(json.dumps(_trunk_document(phantom, uids), indent=2) + "\n", encoding="utf-8")
        (folder / "README.txt").write_text(_TRUNK_README.format(seed=spec.seed), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the truth of a phantom could not be written to {truth}: {error.strerror}") from error
    return WrittenPhantom(
        folder=folder,
        dicom=folder / "dicom",
        truth_mask=truth / "lesions.nii.gz",
        truth_json=truth / "truth.json",
        sop_instance_uids=uids,
    )


def write_slide_phantom(
    slide: PhantomSlide, folder: Path, *, progress: Callable[[str, int, int], None] | None = None
) -> None:
    """Write ``slide.tif``, the maps of its classes, ``truth/truth.json`` and a README that says synthetic.

    Args:
        slide: what ``make_slide`` gave.
        folder: must be empty or not there.
        progress: told about the rows of the slide.

    Raises:
        OutputError: the folder holds something or cannot be written.
        MissingPackageError: the extra "slides" is not installed.
    """
    from osteon.io.slide.pyramid import write_pyramid
    from osteon_phantoms.slide import PIXEL_CLASSES

    _require_empty(folder)
    truth = folder / "truth"
    side_um = max(slide.spec.size) * slide.spec.microns_per_pixel
    step_um = max(_MAP_UM, side_um / _MAP_SIDE)
    classes, true = slide.true_map(step_um=step_um), slide.true_necrosis()
    document = {
        "synthetic": "made by osteon's phantoms; nobody's tissue",
        "spec": asdict(slide.spec),
        "classes": dict(enumerate(PIXEL_CLASSES)),
        "map_microns_per_pixel": step_um,
        "necrosis_fraction": true.fraction,
        "area_mm2": dict(true.area_mm2),
    }
    try:
        truth.mkdir(parents=True)
        write_png8(truth / "classes.png", classes)
        write_colour(truth / "colours.png", np.array(_SLIDE_COLOURS, np.uint8)[classes])
        (truth / "truth.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        (folder / "README.txt").write_text(_SLIDE_README.format(seed=slide.spec.seed), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the truth of a slide could not be written to {truth}: {error.strerror}") from error
    write_pyramid(folder / "slide.tif", slide, progress=progress)


def _trunk_document(phantom: TrunkPhantom, uids: tuple[str, ...]) -> dict[str, object]:
    grid = phantom.volume.grid
    lesions = [
        {
            "number": lesion.number,
            "bone": lesion.spec.bone,
            "structure": lesion.structure,
            "type": lesion.spec.type,
            "volume_ml": round(lesion.volume_ml, 3),
            "diameter_mm": round(lesion.diameter_mm, 1),
            "centre_lps_mm": None if lesion.centre_lps_mm is None else np.round(lesion.centre_lps_mm, 2).tolist(),
            "slices": [lesion.slices[0], lesion.slices[1] - 1] if lesion.volume_ml else [],
            "sop_instance_uids": list(uids[slice(*lesion.slices)]),
        }
        for lesion in phantom.truth
    ]
    mimics = [
        {**asdict(mimic.spec), "structure": mimic.structure, "centre_lps_mm": np.round(mimic.centre_lps_mm, 2).tolist()}
        for mimic in phantom.mimics
    ]
    return {
        "synthetic": "made by osteon's phantoms; not a patient",
        "spec": asdict(phantom.spec),
        "grid": {"shape": list(grid.shape), "affine_lps_mm": grid.affine.tolist(), "index_order": "slice, row, column"},
        "structures": {str(label.value): label.name for label in phantom.structures.labels},
        "lesions": lesions,
        "mimics": mimics,
    }


def _require_empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"a phantom was to be written to {folder}, but that folder is not empty: name another one")


def _digest(phantom: LegPhantom) -> str:
    """A name for a spec: the same choices give the same UIDs, other choices give others."""
    return seeded_uid(json.dumps(asdict(phantom.spec), sort_keys=True))


def _shuffled(count: int, seed: int) -> list[str]:
    order = np.random.default_rng([seed, 99]).permutation(count)
    return [f"IM{number:06d}" for number in order * 7 + 13]


def _truth_document(phantom: LegPhantom, uids: tuple[str, ...]) -> dict[str, object]:
    grid = phantom.truth.grid
    upright = phantom.acquisition.tilt_degrees == 0
    lesions = []
    for lesion in phantom.lesions:
        entry: dict[str, object] = {
            **asdict(lesion.spec),
            "label": lesion.label,
            "volume_ml": round(lesion.volume_ml, 3),
        }
        if lesion.box is not None:
            low, high = lesion.box.bounds_lps_mm(grid)
            entry["box_lps_mm"] = {"low": np.round(low, 3).tolist(), "high": np.round(high, 3).tolist()}
            entry["slices"] = [lesion.slices.start, lesion.slices.stop - 1]
            if upright:
                entry["sop_instance_uids"] = [uids[k] for k in lesion.slices]
        lesions.append(entry)
    present = {int(value) for plane in phantom.truth.array for value in np.flatnonzero(np.bincount(plane.ravel()))}
    return {
        "synthetic": "made by osteon's phantoms; not a patient",
        "spec": asdict(phantom.spec),
        "grid": {"shape": list(grid.shape), "affine_lps_mm": grid.affine.tolist(), "index_order": "slice, row, column"},
        "labels": {str(label.value): label.name for label in phantom.truth.labels if label.value in present},
        "lesions": lesions,
    }
