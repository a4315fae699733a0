"""``osteon phantom femur``, and the cohort of ``osteon phantom cohort --task mri_femur``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import typer

from osteon.app.cli.dataset import told_skipped
from osteon.app.cli.progress import shown_progress
from osteon.app.cli.terminal import say

if TYPE_CHECKING:
    from osteon.app.cli.phantom_cohort import WantedCohort

__all__ = ["Intermediate", "femur", "make_femur_cohort"]


class Look(StrEnum):
    """What the lesion looks like."""

    BENIGN = "benign"
    INTERMEDIATE = "intermediate"
    MALIGNANT = "malignant"
    NONE = "none"


class Plane(StrEnum):
    """Of the slices."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


class Intermediate(StrEnum):
    """What becomes of lesions that are neither benign nor malignant."""

    LEAVE_OUT = "leave-out"
    BENIGN = "benign"


def femur(
    out: Path = typer.Option(..., "-o", "--out", help="The folder to make: dicom/ and truth/ in it."),
    seed: int = typer.Option(1, min=0, help="Another seed makes another patient and lesion."),
    look: Look = typer.Option(Look.MALIGNANT, help="Of the lesion; none for a healthy femur."),
    plane: Plane = typer.Option(Plane.CORONAL, help="Of the slices."),
    sequences: str = typer.Option("t1,t2,stir,t1_contrast", help="A series each, with commas."),
    slices: int = typer.Option(15, min=1, max=200, help="Of a series, about the middle of the lesion."),
    size: int = typer.Option(320, min=16, max=1024, help="Rows and columns."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
) -> None:
    """Write a synthetic MR of a femur with a bone lesion as DICOM series, its truth beside them."""
    from dataclasses import replace

    import numpy as np

    from osteon.errors import UnknownLabelError, nearest_names
    from osteon.reading.folder import new_result, require_free
    from osteon_phantoms.femur_mr_spec import KINDS, SequenceName, random_femur_mr_spec
    from osteon_phantoms.mr_files import write_femur_mr

    known = get_args(SequenceName)
    wanted: list[SequenceName] = []
    for name in sequences.split(","):
        if name.strip() not in known:
            raise UnknownLabelError(f"no sequence {name.strip()!r}: {nearest_names(name.strip(), known)}")
        wanted.append(name.strip())  # type: ignore[arg-type]  # it is one of them
    require_free(out, replace=False)
    wanted_look = None if look is Look.NONE else next(name for name in KINDS if name == look.value)
    drawn = random_femur_mr_spec(np.random.default_rng(seed), look=wanted_look, size=size)
    spec = replace(drawn, seed=seed, plane=plane.value, slices=slices, off_centre_mm=(0.0, 0.0, 0.0))
    with shown_progress(quiet=quiet) as progress, new_result(out, replace=False) as work:
        write_femur_mr(spec, work, sequences=wanted, progress=progress)
    say(f"series {out / 'dicom'}")
    say(f"truth  {out / 'truth'}")
    if spec.lesion is not None:
        say(f"{spec.lesion.look}: {spec.lesion.kind}, {spec.lesion.size_mm:.0f} mm")


def make_femur_cohort(
    wanted: WantedCohort, *, size: int | None, intermediate: Intermediate | None, pictures: Path | None
) -> None:
    """Make the data set of lesions, and the whole slices where they are wanted; tell what was made."""
    from osteon.systems.mri_femur.dataset import FemurOptions, without_intermediates
    from osteon_phantoms.cohorts.femur_mr import FemurMrStudy, build_femur_mr_cohort, write_femur_slices

    study = FemurMrStudy(patients=wanted.patients, seed=wanted.seed, test=wanted.test, size=size or 320)
    options = FemurOptions(intermediate="benign" if intermediate is Intermediate.BENIGN else "leave-out")
    with shown_progress(quiet=wanted.quiet) as progress:
        if pictures is not None:
            write_femur_slices(pictures, study, progress=progress)
        built = build_femur_mr_cohort(wanted.out, study, options=options, workers=wanted.workers, progress=progress)
    if pictures is not None:
        say(f"slices   {pictures / 'labels.csv'}")
    made = without_intermediates(built)
    for line in made.lines:
        say(line)
    told_skipped(made.built, wanted.out, what="images or patients")
