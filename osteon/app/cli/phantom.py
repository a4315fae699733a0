"""``osteon phantom``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer

from osteon.app.cli.dataset import told_skipped
from osteon.app.cli.phantom_cohort import WantedCohort
from osteon.app.cli.phantom_femur import Intermediate, femur, make_femur_cohort
from osteon.app.cli.phantom_slide import make_slide_cohort, slide
from osteon.app.cli.phantom_trunk import make_trunk_cohort, trunk
from osteon.app.cli.progress import shown_progress
from osteon.app.cli.terminal import say

__all__ = ["build"]


class Coverage(StrEnum):
    """What the middle of the scan shows."""

    HIP = "hip"
    FEMUR = "femur"
    KNEE = "knee"
    TIBIA = "tibia"
    FEET = "feet"


class Preset(StrEnum):
    """How fine the scans of a cohort are."""

    TINY = "tiny"
    COARSE = "coarse"
    FINE = "fine"


class Task(StrEnum):
    """What a cohort is made for."""

    OSTEOSARCOMA = "ct_osteosarcoma"
    METASTASIS = "ct_metastasis"
    HISTOLOGY = "histology"
    FEMUR = "mri_femur"


class Metal(StrEnum):
    """An implant."""

    NAIL = "nail"
    PROSTHESIS = "prosthesis"


def build() -> typer.Typer:
    """The verb and what may follow it."""
    group = typer.Typer(name="phantom", help="Synthetic patients with exact truth. They stand for no real one.")

    group.command("ct")(_ct)
    group.command("trunk")(trunk)
    group.command("slide")(slide)
    group.command("femur")(femur)
    group.command("cohort")(_cohort)
    return group


def _ct(
    out: Path = typer.Option(..., "-o", "--out", help="The folder to make: dicom/ and truth/ in it."),
    seed: int = typer.Option(1, min=0, help="Another seed makes another patient."),
    lesion: bool = typer.Option(True, help="With an osteosarcoma-like lesion, or healthy."),
    coverage: Coverage | None = typer.Option(
        None, help="What the middle of the scan shows; default: as the seed has it."
    ),
    age: float | None = typer.Option(None, min=4, max=95, help="Age in years; below 16 with growth plates."),
    metal: Metal | None = typer.Option(None, help="An implant in one leg."),
    slices: int | None = typer.Option(None, min=3, max=3000, help="Number of slices."),
    size: int | None = typer.Option(None, min=64, max=1024, help="Rows and columns of a slice."),
    spacing: float | None = typer.Option(None, min=0.3, max=10, help="Distance between slices in millimetres."),
    tilt: float = typer.Option(0.0, min=-30, max=30, help="Gantry tilt in degrees."),
    noise: float | None = typer.Option(None, min=0, max=200, help="Standard deviation of the noise in HU."),
    touching: bool = typer.Option(False, "--touching", help="The thighs touch."),
    arms: bool = typer.Option(False, "--arms", help="Hands and forearms lie in the field."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
) -> None:
    """Write a synthetic CT of the legs as a DICOM series, its truth beside it."""
    from osteon_phantoms.patient import phantom_spec, write_phantom

    wanted = {
        "coverage": coverage.value if coverage else None,
        "age_years": age,
        "noise_hu": noise,
        "gantry_tilt_degrees": tilt,
        "touching": touching or None,
        "arms": arms or None,
        "metal": metal.value if metal else None,
    }
    spec = phantom_spec(
        seed,
        with_lesion=lesion,
        size=size,
        slices=slices,
        slice_step_mm=spacing,
        changes={name: value for name, value in wanted.items() if value is not None},
    )
    with shown_progress(quiet=quiet) as progress:
        series = write_phantom(spec, out, progress=progress)
    say(f"series {series}")
    say(f"truth  {out / 'truth'}")


def _cohort(
    out: Path = typer.Option(..., "-o", "--out", help="The data set folder to make, or to go on with."),
    task: Task = typer.Option(
        Task.OSTEOSARCOMA,
        help="Legs with osteosarcoma, trunks with bone metastases in the layout of BM-Seg, tiles of slides, or MR of "
        "lesions of the femur.",
    ),
    patients: int = typer.Option(96, min=1, max=9999, help="How many; of legs every second one has a tumour."),
    seed: int = typer.Option(1, min=0, help="Another seed makes other patients and another test part."),
    preset: Preset = typer.Option(Preset.COARSE, help="Grid of the scans: tiny (tests), coarse, or fine."),
    test: float = typer.Option(
        0.25, min=0, max=0.9, help="Share of the patients marked as test; 0 marks nobody (nested cross-validation)."
    ),
    size: int | None = typer.Option(
        None,
        min=16,
        max=1024,
        help="Rows and columns of a picture; 256 of legs, 224 of trunks, 1024 of tiles, 320 of MR slices.",
    ),
    planes: str | None = typer.Option(None, help="Legs: planes of the pictures, with commas; default all three."),
    every: int | None = typer.Option(None, min=1, help="Legs: use each so-manieth slice of a leg and plane."),
    most: int | None = typer.Option(
        None, min=0, help="Legs: at most so many pictures of a leg and plane, evenly spaced (24); 0: all."
    ),
    faint: float | None = typer.Option(
        None, min=0, help="Legs: leave pictures out that show less tumour than this (60), in mm2."
    ),
    healthy: float | None = typer.Option(
        None, min=0, max=1, help="Trunks: share of the patients without metastases; 0 to segment, 0.5 to classify."
    ),
    lesion_slices: int | None = typer.Option(
        None, min=0, help="Trunks: at most so many slices with a lesion of a patient, at random (70)."
    ),
    normal_slices: int | None = typer.Option(
        None, min=0, help="Trunks: at most so many slices without one; 0, or 70 when some patients are healthy."
    ),
    slides: int | None = typer.Option(None, min=1, max=50, help="Histology: slides of a patient (3)."),
    tiles: int | None = typer.Option(None, min=1, max=50, help="Histology: tiles of a class and slide (3)."),
    intermediate: Intermediate | None = typer.Option(
        None, help="MR: lesions that are neither benign nor malignant; default: leave-out."
    ),
    pictures: Path | None = typer.Option(None, help="MR: a folder for the whole slices, their masks and labels.csv."),
    workers: int = typer.Option(2, min=1, max=64, help="Processes."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
) -> None:
    """Make a synthetic study as a data set: legs with osteosarcoma, trunks, tiles of slides, or MR of the femur."""
    special: dict[Task, dict[str, object]] = {
        Task.OSTEOSARCOMA: {"--planes": planes, "--every": every, "--most": most, "--faint": faint},
        Task.METASTASIS: {"--healthy": healthy, "--lesion-slices": lesion_slices, "--normal-slices": normal_slices},
        Task.HISTOLOGY: {"--slides": slides, "--tiles": tiles},
        Task.FEMUR: {"--intermediate": intermediate, "--pictures": pictures},
    }
    foreign = [options for other, options in special.items() if other is not task]
    given = [name for options in foreign for name, value in options.items() if value is not None]
    if given:
        raise typer.BadParameter(f"{', '.join(given)} has no meaning for --task {task.value}: leave it out")
    wanted = WantedCohort(out, patients, seed, test or None, workers, quiet)
    if task is Task.HISTOLOGY:
        make_slide_cohort(wanted, size=size, slides=slides, tiles=tiles)
    elif task is Task.FEMUR:
        make_femur_cohort(wanted, size=size, intermediate=intermediate, pictures=pictures)
    elif task is Task.METASTASIS:
        make_trunk_cohort(
            wanted, preset.value, size=size, healthy=healthy, lesion_slices=lesion_slices, normal_slices=normal_slices
        )
    else:
        _leg_cohort(wanted, preset, size=size, planes=planes, every=every, most=most, faint=faint)


def _leg_cohort(
    wanted: WantedCohort,
    preset: Preset,
    *,
    size: int | None,
    planes: str | None,
    every: int | None,
    most: int | None,
    faint: float | None,
) -> None:
    """Make the data set of legs and tell what was made."""
    from osteon.systems.ct_osteosarcoma.dataset import BuildOptions
    from osteon_phantoms.cohorts.legs import build_phantom_cohort

    options = BuildOptions(
        planes=tuple(name.strip() for name in (planes or "axial,sagittal,coronal").split(",") if name.strip()),
        every=every or 1,
        most=(24 if most is None else most) or None,
        size=size or 256,
        faint_mm2=60.0 if faint is None else faint,
    )
    with shown_progress(quiet=wanted.quiet) as progress:
        built = build_phantom_cohort(
            wanted.out,
            patients=wanted.patients,
            seed=wanted.seed,
            preset=preset.value,
            test=wanted.test,
            options=options,
            workers=wanted.workers,
            progress=progress,
        )
    told_skipped(built, wanted.out)
