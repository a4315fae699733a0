"""``osteon phantom slide``, and the cohort of ``osteon phantom cohort --task histology``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from osteon.app.cli.dataset import told_skipped
from osteon.app.cli.progress import shown_progress
from osteon.app.cli.terminal import say

if TYPE_CHECKING:
    from osteon.app.cli.phantom_cohort import WantedCohort

__all__ = ["make_slide_cohort", "slide"]


def slide(
    out: Path = typer.Option(..., "-o", "--out", help="The folder to make: slide.tif and truth/ in it."),
    seed: int = typer.Option(1, min=0, help="Another seed makes another slide, stain and tumour."),
    size: int = typer.Option(8192, min=64, max=400_000, help="Rows and columns."),
    microns: float = typer.Option(0.5, min=0.1, max=8, help="Width of a pixel in um."),
    necrosis: float = typer.Option(0.5, min=0, max=1, help="Share of the tumour that is dead."),
    tumour: float = typer.Option(0.6, min=0, max=1, help="Share of the tissue that is tumour, alive or dead."),
    tissue: float = typer.Option(0.7, min=0, max=1, help="Share of the slide that is tissue."),
    region: float | None = typer.Option(
        None, min=100, max=20_000, help="Usual width of a region in um; default: a sixth of the slide, at least 400."
    ),
    pens: int = typer.Option(0, min=0, max=20, help="Strokes of a marker."),
    folds: int = typer.Option(0, min=0, max=20, help="Folds of the section."),
    blurs: int = typer.Option(0, min=0, max=20, help="Places out of focus."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
) -> None:
    """Write a synthetic H&E slide of an osteosarcoma as a pyramidal TIFF, the exact class of every place beside it."""
    import numpy as np

    from osteon.reading.folder import new_result, require_free
    from osteon_phantoms.files import write_slide_phantom
    from osteon_phantoms.slide import make_slide
    from osteon_phantoms.slide_spec import SlideSpec, random_habit, random_stain

    require_free(out, replace=False)
    generator = np.random.default_rng(seed)
    spec = SlideSpec(
        seed=seed,
        size=(size, size),
        microns_per_pixel=microns,
        tissue_share=tissue,
        tumour_share=tumour,
        necrosis_fraction=necrosis,
        region_um=min(2500.0, max(400.0, size * microns / 6)) if region is None else region,
        stain=random_stain(generator),
        habit=random_habit(generator),
        pens=pens,
        folds=folds,
        blurs=blurs,
    )
    drawn = make_slide(spec)
    with shown_progress(quiet=quiet) as progress, new_result(out, replace=False) as work:
        write_slide_phantom(drawn, work, progress=progress)
    fraction = drawn.true_necrosis().fraction
    say(f"slide  {out / 'slide.tif'}")
    say(f"truth  {out / 'truth'}")
    say("no tumour" if fraction is None else f"necrosis {100 * fraction:.1f} % of the tumour")


def make_slide_cohort(wanted: WantedCohort, *, size: int | None, slides: int | None, tiles: int | None) -> None:
    """Make the data set of tiles and tell what was made."""
    from osteon_phantoms.cohorts.slide import SlideStudy, build_slide_cohort
    from osteon_phantoms.slide_cohort import TileOptions

    study = SlideStudy(patients=wanted.patients, seed=wanted.seed, test=wanted.test)
    options = TileOptions(pixels=size or 1024, slides=slides or 3, tiles=tiles or 3)
    with shown_progress(quiet=wanted.quiet) as progress:
        built = build_slide_cohort(wanted.out, study, options=options, workers=wanted.workers, progress=progress)
    told_skipped(built, wanted.out, what="patients")
