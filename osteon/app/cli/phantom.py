"""``osteon phantom``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer

from osteon.app.cli.dataset import told_skipped, wanted_planes
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


class Metal(StrEnum):
    """An implant."""

    NAIL = "nail"
    PROSTHESIS = "prosthesis"


def build() -> typer.Typer:
    """The verb and what may follow it."""
    group = typer.Typer(name="phantom", help="Synthetic patients with exact truth. They stand for no real one.")

    group.command("ct")(_ct)
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
    from osteon.reading.synthetic import phantom_spec, write_phantom

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
    patients: int = typer.Option(96, min=1, max=9999, help="How many patients; every second one has a tumour."),
    seed: int = typer.Option(1, min=0, help="Another seed makes other patients and another test part."),
    preset: Preset = typer.Option(Preset.COARSE, help="Grid of the scans: tiny (tests), coarse, or fine."),
    test: float = typer.Option(
        0.25, min=0, max=0.9, help="Share of the patients marked as test; 0 marks nobody (nested cross-validation)."
    ),
    planes: str = typer.Option("axial,sagittal,coronal", help="Planes of the pictures, with commas."),
    every: int = typer.Option(1, min=1, help="Use each so-manieth slice of a leg and plane."),
    most: int = typer.Option(24, min=0, help="At most so many pictures of a leg and plane, evenly spaced; 0: all."),
    size: int = typer.Option(256, min=16, max=1024, help="Rows and columns of a picture."),
    faint: float = typer.Option(60.0, min=0, help="Leave pictures out that show less tumour than this, in mm2."),
    workers: int = typer.Option(2, min=1, max=64, help="Processes."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
) -> None:
    """Make a synthetic study: patients with osteosarcoma and look-alikes from several centres, as a data set."""
    from osteon.studies.phantom_cohort import build_phantom_cohort
    from osteon.training.datasets.ct_osteosarcoma import BuildOptions

    options = BuildOptions(planes=wanted_planes(planes), every=every, most=most or None, size=size, faint_mm2=faint)
    with shown_progress(quiet=quiet) as progress:
        built = build_phantom_cohort(
            out,
            patients=patients,
            seed=seed,
            preset=preset.value,
            test=test or None,
            options=options,
            workers=workers,
            progress=progress,
        )
    told_skipped(built, out)
