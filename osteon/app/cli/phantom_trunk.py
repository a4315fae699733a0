"""``osteon phantom trunk``, and the cohort of ``osteon phantom cohort --task ct_metastasis``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from osteon.app.cli.dataset import told_skipped
from osteon.app.cli.progress import shown_progress
from osteon.app.cli.terminal import say

if TYPE_CHECKING:
    from osteon.app.cli.phantom_cohort import WantedCohort
    from osteon_phantoms.trunk_cohort import TrunkPreset

__all__ = ["make_trunk_cohort", "trunk"]


class Coverage(StrEnum):
    """What the slices show."""

    THORAX = "thorax"
    ABDOMEN = "abdomen"
    PELVIS = "pelvis"
    TRUNK = "trunk"


class Contrast(StrEnum):
    """Of the vessels."""

    NONE = "none"
    ARTERIAL = "arterial"
    VENOUS = "venous"


class Metal(StrEnum):
    """An implant."""

    SPINE_SCREWS = "spine_screws"
    HIP_PROSTHESIS = "hip_prosthesis"


def trunk(
    out: Path = typer.Option(..., "-o", "--out", help="The folder to make: dicom/ and truth/ in it."),
    seed: int = typer.Option(1, min=0, help="Another seed makes another patient."),
    lesions: bool = typer.Option(True, help="With bone metastases, or without."),
    mimics: bool = typer.Option(True, help="With look-alikes: bone islands, wear, fractures, haemangioma."),
    coverage: Coverage = typer.Option(Coverage.ABDOMEN, help="What the slices show."),
    contrast: Contrast | None = typer.Option(None, help="Of the vessels; default: as the seed has it."),
    metal: Metal | None = typer.Option(None, help="An implant."),
    size: int = typer.Option(512, min=16, max=1024, help="Rows and columns of a slice; the field of view is 400 mm."),
    spacing: float = typer.Option(3.0, min=0.3, max=20, help="Distance between slices in millimetres."),
    noise: float | None = typer.Option(None, min=0, max=200, help="Standard deviation of the noise in HU."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
) -> None:
    """Write a synthetic CT of the trunk with bone metastases as a DICOM series, its truth beside it."""
    from dataclasses import replace

    import numpy as np

    from osteon.reading.folder import new_result, require_free
    from osteon_phantoms.files import write_trunk_phantom
    from osteon_phantoms.trunk import make_trunk
    from osteon_phantoms.trunk_sampling import random_trunk_spec

    require_free(out, replace=False)
    drawn = random_trunk_spec(np.random.default_rng(seed), with_lesions=lesions, coverage=coverage.value)
    spec = replace(
        drawn,
        seed=seed,
        size=(size, size),
        pixel_mm=400 / size,
        slice_mm=spacing,
        contrast=contrast.value if contrast else drawn.contrast,
        metal=metal.value if metal else drawn.metal,
        noise_hu=drawn.noise_hu if noise is None else noise,
        mimics=drawn.mimics if mimics else (),
    )
    with shown_progress(quiet=quiet) as progress:
        progress("making the patient", 0, 2)
        phantom = make_trunk(spec)
        progress("writing the series", 1, 2)
        with new_result(out, replace=False) as work:
            write_trunk_phantom(phantom, work)
        progress("writing the series", 2, 2)
    say(f"series {out / 'dicom'}")
    say(f"truth  {out / 'truth'}")
    seen = [lesion for lesion in phantom.truth if lesion.volume_ml > 0]
    say(f"{len(seen)} metastases, {len(phantom.mimics)} look-alikes")


def make_trunk_cohort(
    wanted: WantedCohort,
    preset: TrunkPreset,
    *,
    size: int | None,
    healthy: float | None,
    lesion_slices: int | None,
    normal_slices: int | None,
) -> None:
    """Make the data set of trunks and tell what was made."""
    from osteon.systems.ct_metastasis.dataset import TrunkOptions
    from osteon_phantoms.cohorts.trunk import TrunkStudy, build_trunk_cohort

    well = healthy or 0.0
    study = TrunkStudy(patients=wanted.patients, seed=wanted.seed, preset=preset, healthy=well, test=wanted.test)
    options = TrunkOptions(
        lesion_slices=70 if lesion_slices is None else lesion_slices,
        normal_slices=normal_slices if normal_slices is not None else 70 if well else 0,
        size=size or 224,
        seed=wanted.seed,
    )
    with shown_progress(quiet=wanted.quiet) as progress:
        built = build_trunk_cohort(wanted.out, study, options=options, workers=wanted.workers, progress=progress)
    told_skipped(built, wanted.out)
