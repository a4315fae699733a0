"""``osteon phantom``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer

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


class Metal(StrEnum):
    """An implant."""

    NAIL = "nail"
    PROSTHESIS = "prosthesis"


def build() -> typer.Typer:
    """The verb and what may follow it."""
    group = typer.Typer(name="phantom", help="Synthetic patients with exact truth. They stand for no real one.")

    @group.callback()
    def _group() -> None:
        """Keep ``ct`` a word of its own while it is the only one."""

    group.command("ct")(_ct)
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
