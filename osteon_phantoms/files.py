"""A synthetic patient as files: DICOM series or a slide, and the truth beside them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.errors import InputError, OutputError
from osteon.io.dicom.write_series import (
    CtSeriesInfo,
    MrSeriesInfo,
    planes_of,
    seeded_uid,
    write_ct_series,
    write_mr_series,
)
from osteon.io.image import write_colour, write_png8
from osteon.io.nifti import write_mask_nifti
from osteon_phantoms.spec import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from osteon_phantoms.ct import CtSpec
    from osteon_phantoms.femur.spec import FemurMrSpec
    from osteon_phantoms.phantom import Finding, Phantom
    from osteon_phantoms.slides.slide import PhantomSlide

__all__ = ["WrittenPhantom", "write_ct_phantom", "write_femur_mr", "write_slide_phantom"]

_SLIDE_COLOURS: Final = ((255, 255, 255), (126, 150, 176), (214, 164, 56), (178, 24, 56))
_MAP_SIDE: Final = 4096
_MAP_UM: Final = 8.0


@dataclass(frozen=True, slots=True)
class WrittenPhantom:
    """Where a CT was written.

    Attributes:
        folder: holds all of it.
        sop_instance_uids: one a slice, in slice order.
    """

    folder: Path
    sop_instance_uids: tuple[str, ...]

    @property
    def dicom(self) -> Path:
        """The series."""
        return self.folder / "dicom"


def write_ct_phantom(phantom: Phantom[Any], folder: Path, *, shuffled_names: bool = False) -> WrittenPhantom:
    """Write ``dicom/*.dcm``, ``truth/*.nii.gz``, ``truth/truth.json`` and a README that says synthetic.

    Args:
        phantom: what ``make_leg_ct`` or ``make_trunk`` gave.
        folder: must be empty or not there.
        shuffled_names: file names that say nothing about the order of the slices.

    Raises:
        OutputError: the folder holds something or cannot be written.
    """
    _require_empty(folder)
    spec: CtSpec = phantom.spec
    planes = phantom.planes or planes_of(phantom.volume)
    info = CtSeriesInfo(
        # the same choices give the same UIDs, other choices give others
        uid_seed=f"osteon {spec.title} phantom {seeded_uid(json.dumps(asdict(spec), sort_keys=True))}",
        body_part=spec.body_part,
        patient_position=spec.patient_position,
        laterality=spec.laterality,
        tilt_degrees=spec.tilt_degrees,
    )
    order = np.random.default_rng([spec.seed, 99]).permutation(len(planes.array))
    names = [f"IM{number:06d}" for number in order * 7 + 13] if shuffled_names else None
    uids = write_ct_series(planes, folder / "dicom", patient=phantom.patient, info=info, file_names=names)
    _write_truth(folder, phantom, spec.title, _truth(phantom, () if phantom.planes else uids))
    return WrittenPhantom(folder, uids)


def write_femur_mr(
    spec: FemurMrSpec,
    folder: Path,
    *,
    sequences: Sequence[str] | None = None,
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
        UnknownLabelError: no such sequence.
        OutputError: the folder holds something or cannot be written.
    """
    from osteon_phantoms.femur.painter import make_femur_mr
    from osteon_phantoms.femur.physics import SEQUENCES

    wanted = list(sequences) if sequences is not None else [spec.sequence]
    if not wanted or len(set(wanted)) != len(wanted):
        raise InputError(f"a study has one or more different sequences, found {', '.join(wanted) or 'none'}")
    specs = [replace(spec, sequence=name) for name in wanted]  # type: ignore[arg-type]  # it checks itself
    _require_empty(folder)
    for number, asked in enumerate(specs, start=1):
        name, made, taken = asked.sequence, make_femur_mr(asked), SEQUENCES[asked.sequence]
        info = MrSeriesInfo(
            uid_seed=f"osteon femur MR phantom {spec.seed} {spec.plane} {json.dumps(asdict(spec), sort_keys=True)}",
            series_number=number,
            **asdict(taken) | {"description": f"SYNTHETIC {taken.description} {spec.plane}"},
            field_tesla=spec.field_tesla,
            slice_mm=spec.slice_mm,
            laterality=spec.side[0].upper(),
        )
        write_mr_series(made.volume, folder / "dicom" / name, patient=made.patient, info=info)
        if progress is not None:
            progress("drawing series", number, len(wanted))
    boxes: dict[str, list[int]] = {}
    for index, plane in enumerate(made.masks["lesion"].array):
        rows, columns = plane.any(axis=1).nonzero()[0], plane.any(axis=0).nonzero()[0]
        if rows.size:
            boxes[str(index)] = [int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1]
    more = {
        "spec": asdict(spec),
        "look": "" if spec.lesion is None else spec.lesion.look,
        "diameter_mm": round(sum(lesion.diameter_mm for lesion in made.lesions), 1),
        "boxes_by_slice": boxes,
        "sequences": wanted,
    }
    _write_truth(folder, made, "mr", {**_truth(made, ()), **more})


def write_slide_phantom(
    slide: PhantomSlide, folder: Path, *, progress: Callable[[str, int, int], None] | None = None
) -> None:
    """Write ``slide.tif``, the maps of its classes, ``truth/truth.json`` and a README that says synthetic.

    Args:
        slide: what ``make_slide`` gave.
        folder: must be empty or not there.
        progress: called at the rows of the slide.

    Raises:
        OutputError: the folder holds something or cannot be written.
        MissingPackageError: the extra "slides" is not installed.
    """
    from osteon.io.slide.pyramid import write_pyramid
    from osteon_phantoms.slides.slide import PIXEL_CLASSES

    _require_empty(folder)
    step_um = max(_MAP_UM, max(slide.spec.size) * slide.spec.microns_per_pixel / _MAP_SIDE)
    classes, true = slide.true_map(step_um=step_um), slide.true_necrosis()
    document = {
        "synthetic": "made by osteon's phantoms; nobody's tissue",
        "spec": asdict(slide.spec),
        "classes": dict(enumerate(PIXEL_CLASSES)),
        "map_microns_per_pixel": step_um,
        "necrosis_fraction": true.fraction,
        "area_mm2": dict(true.area_mm2),
    }
    with _explained(folder):
        (folder / "truth").mkdir(parents=True)
        write_png8(folder / "truth" / "classes.png", classes)
        write_colour(folder / "truth" / "colours.png", np.array(_SLIDE_COLOURS, np.uint8)[classes])
        _write_texts(folder, document, "slide", slide.spec.seed)
    write_pyramid(folder / "slide.tif", slide, progress=progress)


def _truth(phantom: Phantom[Any], uids: Sequence[str]) -> dict[str, object]:
    """What is true about a phantom; ``uids`` of its slices, where they are those of the volume."""
    grid = phantom.volume.grid
    return {
        "synthetic": "made by osteon's phantoms; not a patient",
        "spec": asdict(phantom.spec),
        "grid": {"shape": list(grid.shape), "affine_lps_mm": grid.affine.tolist(), "index_order": "slice, row, column"},
        **{
            "labels" if name == "truth" else name: {str(label.value): label.name for label in mask.labels}
            for name, mask in phantom.masks.items()
        },
        "lesions": [{"number": k, **_entry(one, phantom, uids)} for k, one in enumerate(phantom.lesions, start=1)],
        "mimics": [_entry(mimic, phantom, uids) for mimic in phantom.mimics],
    }


def _entry(finding: Finding, phantom: Phantom[Any], uids: Sequence[str]) -> dict[str, object]:
    entry: dict[str, object] = {**asdict(finding.spec), "structure": finding.structure}
    if finding.centre_lps_mm is not None:
        entry["centre_lps_mm"] = np.round(finding.centre_lps_mm, 2).tolist()
    if not finding.label:
        return entry
    entry |= {"label": finding.label, "diameter_mm": round(finding.diameter_mm, 1)}
    if finding.structure:
        entry |= {"volume_ml": round(finding.volume_ml, 3), "slices": [], "sop_instance_uids": []}
    if finding.box is not None:
        low, high = finding.box.bounds_lps_mm(phantom.volume.grid)
        entry |= {
            "slices": [finding.slices[0], finding.slices[-1]],
            "sop_instance_uids": [uids[k] for k in finding.slices] if uids else [],
            "box_lps_mm": {"low": np.round(low, 3).tolist(), "high": np.round(high, 3).tolist()},
        }
    return entry


def _write_truth(folder: Path, phantom: Phantom[Any], kind: str, document: Mapping[str, object]) -> None:
    with _explained(folder):
        (folder / "truth").mkdir()
        for name, mask in phantom.masks.items():
            write_mask_nifti(folder / "truth" / f"{name}.nii.gz", mask)
        _write_texts(folder, document, kind, phantom.spec.seed)


def _write_texts(folder: Path, document: Mapping[str, object], kind: str, seed: int) -> None:
    (folder / "truth" / "truth.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    text = "\n".join(table("readme")[kind]).format(seed=seed)
    (folder / "README.txt").write_text(text + "\n", encoding="utf-8")


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"the truth of a phantom could not be written to {folder}: {error.strerror}") from error


def _require_empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"a phantom was to be written to {folder}, but that folder is not empty: name another one")
