"""A made-up study of the femur on MR as a data set, or as the pictures and masks that one is made of."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon import __version__
from osteon.curation.splits import choose_test
from osteon.data.options import silent
from osteon.errors import OutputError
from osteon.io.mask_image import write_png8
from osteon.ops.mr_region import normalise
from osteon.systems.mri_femur.dataset import FemurCase, FemurOptions, FemurPicture, build_dataset
from osteon_phantoms.femur_mr import FEMUR_MR_LOOK, make_femur_mr
from osteon_phantoms.femur_mr_cohort import femur_mr_cohort

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data.options import Progress
    from osteon.train.datasets.case_builder import BuiltDataset, SkippedCase
    from osteon_phantoms.femur_mr_cohort import FemurMrPatient
    from osteon_phantoms.femur_mr_spec import FemurMrSpec

__all__ = ["FemurMrStudy", "build_femur_mr_cohort", "write_femur_slices"]

_ABOUT: Final = "SYNTHETIC - osteon phantoms. Not patients."
_COLUMNS: Final = (
    "image", "mask", "patient", "label", "plane", "centre", "sex", "age_years", "split", "sequence",
    "mm_per_pixel", "field_tesla", "kind", "size_mm", "synthetic",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FemurMrStudy:
    """Who is in a made-up study.

    Attributes:
        patients: how many.
        seed: of patients and test part.
        test: share of the patients of every look that the manifest marks as test; None marks nobody.
        size: rows and columns of a whole slice.
    """

    patients: int = 150
    seed: int = 1
    test: float | None = 0.25
    size: int = 320


def build_femur_mr_cohort(
    out: Path,
    study: FemurMrStudy | None = None,
    *,
    options: FemurOptions | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> BuiltDataset:
    """Make synthetic patients and the data set of their lesions, cut out by the exact mask as a person's would be.

    The manifest's extra columns: ``sequence``, ``mm_per_pixel``, ``field_tesla``, ``kind``, ``size_mm``, ``synthetic``,
    and those of the data set (``look``, ``box``, ...).

    Args:
        out: the folder to be, or an unfinished one to go on with.
        study: who is in it.
        options: how lesions are cut out, and what becomes of intermediate ones.
        workers: processes.
        progress: told about every patient.

    Raises:
        InputError: a number of patients that is no cohort.
        OutputError: cannot be written.
    """
    study = study or FemurMrStudy()
    people = femur_mr_cohort(study.patients, seed=study.seed, size=study.size)
    split = _split(people, study)
    cases = [
        FemurCase(
            name=person.patient_id,
            patient=person.patient_id,
            study=f"{person.patient_id}-1",
            series=f"{person.patient_id}-1-1",
            open=partial(_pictures, person),
            fingerprint=f"femur MR {FEMUR_MR_LOOK} {asdict(person.spec)}",
            centre=person.centre,
            scanner="synthetic",
            sex=person.spec.sex,
            age_years=person.spec.age_years,
            split=split[person.patient_id],
        )
        for person in people
    ]
    about = {"what": _ABOUT, "osteon": __version__, **asdict(study)}
    return build_dataset(cases, out, options, workers=workers, progress=progress, about=about)


def write_femur_slices(folder: Path, study: FemurMrStudy | None = None, *, progress: Progress | None = None) -> None:
    """Write whole slices and masks as pictures, and ``labels.csv``: what ``osteon dataset mri_femur`` takes.

    Intermediate lesions are among them.

    Args:
        folder: must be empty or not there.
        study: who is in it.
        progress: told about every patient.

    Raises:
        InputError: a number of patients that is no cohort.
        OutputError: the folder holds something or cannot be written.
    """
    study = study or FemurMrStudy()
    people = femur_mr_cohort(study.patients, seed=study.seed, size=study.size)
    split = _split(people, study)
    told = progress or silent
    try:
        if folder.exists() and any(folder.iterdir()):
            raise OutputError(f"slices were to be written to {folder.name}, but it is not empty: name another folder")
        for name in ("images", "masks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        rows = []
        for number, person in enumerate(people, start=1):
            picture, mask = _slice(person.spec)
            name = f"{person.patient_id}.png"
            write_png8(folder / "images" / name, np.rint(normalise(picture) * 255).astype(np.uint8))
            write_png8(folder / "masks" / name, mask)
            known = {"sex": person.spec.sex, "age_years": f"{person.spec.age_years:g}", "centre": person.centre}
            rows.append(
                {
                    "image": f"images/{name}",
                    "mask": f"masks/{name}",
                    "patient": person.patient_id,
                    "label": person.look,
                    "plane": person.spec.plane,
                    "split": split[person.patient_id],
                    **known,
                    **_extra(person.spec),
                }
            )
            told("drawing slices", number, len(people))
        with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        (folder / "README.txt").write_text(f"{_ABOUT}\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"slices cannot be written to {folder.name}: {error.strerror}; name another place") from error


def _split(people: tuple[FemurMrPatient, ...], study: FemurMrStudy) -> dict[str, str]:
    if study.test is None:
        return {person.patient_id: "" for person in people}
    strata = {person.patient_id: person.look for person in people}
    judged = choose_test(strata, share=study.test, seed=study.seed)
    return {name: "test" if name in judged else "train" for name in strata}


def _slice(spec: FemurMrSpec) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    made = make_femur_mr(spec)
    return np.asarray(made.volume.array[0], np.float32), made.lesion.array[0] > 0


def _pictures(person: FemurMrPatient) -> list[FemurPicture | SkippedCase]:
    """The one slice of a patient."""
    image, lesion = _slice(person.spec)
    extra = _extra(person.spec)
    return [
        FemurPicture(
            name=person.patient_id, look=person.look, image=image, lesion=lesion, plane=person.spec.plane, extra=extra
        )
    ]


def _extra(spec: FemurMrSpec) -> dict[str, str]:
    lesion = spec.lesion
    return {
        "sequence": spec.sequence,
        "mm_per_pixel": f"{spec.pixel_mm:.4g}",
        "field_tesla": f"{spec.field_tesla:g}",
        "kind": "" if lesion is None else lesion.kind,
        "size_mm": "" if lesion is None else f"{lesion.size_mm:.1f}",
        "synthetic": "yes",
    }
