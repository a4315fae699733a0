"""``osteon dataset``: from labelled series to a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from osteon.app.cli.failure import EXIT_SKIPPED
from osteon.app.cli.progress import shown_progress
from osteon.app.cli.terminal import say

if TYPE_CHECKING:
    from osteon.train.datasets.case_builder import BuiltDataset

__all__ = ["build", "how_many", "told_femur", "told_skipped", "wanted_planes"]


def build() -> typer.Typer:
    """The verb and what may follow it."""
    group = typer.Typer(name="dataset", help="Data sets to train on, from labelled series or pictures.")

    group.command("ct_osteosarcoma")(_ct_osteosarcoma)
    group.command("ct_metastasis")(_ct_metastasis)
    group.command("histology")(_histology)
    group.command("mri_femur")(_mri_femur)
    return group


def wanted_planes(text: str) -> tuple[str, ...]:
    """Names between commas."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def how_many(text: str) -> int | None:
    """A number, or None for "all".

    Raises:
        typer.BadParameter: neither.
    """
    if text.strip().lower() == "all":
        return None
    if not text.strip().isdecimal():
        raise typer.BadParameter(f"{text!r} is neither a number from 0 nor all")
    return int(text)


def told_skipped(built: BuiltDataset, out: Path, *, what: str = "series") -> None:
    """Print what was made and what was left out; leave with code 3 when something was."""
    manifest = built.manifest
    counts = ", ".join(f"{sum(row.label == label for row in manifest.rows)} {label}" for label in manifest.labels)
    say(f"{len(manifest)} images of {len(manifest.patients)} patients: {counts}")
    say(f"manifest {out / 'manifest.csv'}")
    say(f"cohort   {out / 'cohort.md'}")
    for item in built.skipped:
        say(f"! {item.name} left out: {item.reason}")
    if built.skipped:
        say(f"{len(built.skipped)} {what} left out")
        raise typer.Exit(EXIT_SKIPPED)


def _ct_osteosarcoma(
    series: Path = typer.Argument(..., help="A folder with the series (DICOM in any layout, NIfTI), or a zip of one."),
    labels: Path = typer.Option(
        ...,
        "--labels",
        help="CSV: series, patient, and boxes (slice_first ... column_last), or slice and label, or label healthy. "
        "Voxels are counted from 0 as osteon read counts them; last is inside.",
    ),
    out: Path = typer.Option(..., "-o", "--out", help="The data set folder to make, or to go on with."),
    planes: str = typer.Option("axial,sagittal,coronal", help="Planes of the pictures, with commas."),
    every: int = typer.Option(1, min=1, help="Use each so-manieth slice of a leg and plane."),
    most: int = typer.Option(0, min=0, help="At most so many pictures of a leg and plane, evenly spaced; 0: all."),
    size: int = typer.Option(256, min=16, max=1024, help="Rows and columns of a picture."),
    workers: int = typer.Option(1, min=1, max=64, help="Processes."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
) -> None:
    """Cut labelled CT series of the legs into pictures, patients kept together, with manifest and cohort table."""
    from osteon.systems.ct_osteosarcoma.dataset import BuildOptions
    from osteon.systems.ct_osteosarcoma.labelled_series import build_labelled

    options = BuildOptions(planes=wanted_planes(planes), every=every, most=most or None, size=size)
    with shown_progress(quiet=quiet) as progress:
        built, unused = build_labelled(series, labels, out, options=options, workers=workers, progress=progress)
    if unused:
        say(f"- {unused} series there are not in {labels.name}: not used")
    told_skipped(built, out)


def _ct_metastasis(
    source: Path = typer.Argument(
        ...,
        help="A folder: image, bone mask, lesion mask (BM-Seg); or Normal, Abnormal (slices of patients); or CT series "
        "(DICOM, NIfTI, or a zip), which need --masks.",
    ),
    out: Path = typer.Option(..., "-o", "--out", help="The data set folder to make, or to go on with."),
    masks: Path | None = typer.Option(
        None,
        "--masks",
        help="For CT series, a CSV: series, patient, lesion_mask and bone_mask (NIfTI or DICOM SEG), or label normal.",
    ),
    patients: Path | None = typer.Option(
        None, help="For pictures, a CSV: FILE, PATIENT, SEX, AGE. Default: patients.csv in the source."
    ),
    own_patients: bool = typer.Option(
        False, "--own-patients", help="Take each picture for a patient of its own. Leaks: results will be too good."
    ),
    bone: bool = typer.Option(True, help="Bone masks are needed; --no-bone takes what has none."),
    drop_normal: bool = typer.Option(
        False, "--drop-normal", help="Of Abnormal, leave the normal slices of metastatic patients out."
    ),
    lesion_slices: str = typer.Option(
        "70", help="Of a CT series, at most so many slices with a lesion, drawn at random; or all."
    ),
    normal_slices: str = typer.Option("0", help="Of a CT series, at most so many slices without one; or all."),
    size: int = typer.Option(224, min=16, max=1024, help="Of a CT series, rows and columns of a picture."),
    seed: int = typer.Option(1, min=0, help="Another seed draws other slices."),
    workers: int = typer.Option(1, min=1, max=64, help="Processes."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
) -> None:
    """Make a data set of bone metastases: slices, bone and lesion masks, patients kept together, cohort table."""
    from osteon.systems.ct_metastasis.dataset import TrunkOptions
    from osteon.systems.ct_metastasis.source import SourceOptions, build_from_source

    slices = TrunkOptions(
        lesion_slices=how_many(lesion_slices),
        normal_slices=how_many(normal_slices),
        size=size,
        need_bone=bone,
        seed=seed,
    )
    options = SourceOptions(
        masks=masks,
        patients=patients,
        own_patients=own_patients,
        normal_of_metastatic=not drop_normal,
        slices=slices,
    )
    with shown_progress(quiet=quiet) as progress:
        made = build_from_source(source, out, options, workers=workers, progress=progress)
    say(f"source   {made.what}")
    for warning in made.warnings:
        say(f"! {warning}")
    if made.unused:
        say(f"- {made.unused} series there are not in {masks.name if masks else 'the table'}: not used")
    told_skipped(made.built, out, what="series" if masks else "images, masks or patients")


def _mri_femur(
    source: Path = typer.Argument(
        ..., help="A folder of MR slices (pictures, DICOM, NIfTI slices) with the masks of their lesions."
    ),
    out: Path = typer.Option(..., "-o", "--out", help="The data set folder to make, or to go on with."),
    labels: Path | None = typer.Option(
        None,
        help="CSV: image, patient, label (benign, intermediate, malignant), and mask or box (R0,C0,R1,C1). Default: "
        "labels.csv in the folder.",
    ),
    intermediate: str = typer.Option("leave-out", help="What becomes of intermediate lesions: leave-out or benign."),
    margin: int = typer.Option(20, min=0, max=500, help="Pixels around the lesion's box."),
    masked: bool = typer.Option(False, "--masked", help="Show nothing outside the lesion's region."),
    size: int = typer.Option(224, min=16, max=1024, help="Rows and columns of a crop."),
    workers: int = typer.Option(1, min=1, max=64, help="Processes."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
) -> None:
    """Cut the lesions of MR slices of the femur out as crops, patients kept together, with manifest and cohort."""
    from osteon.ops.mr_region import RegionOptions
    from osteon.systems.mri_femur.dataset import FemurOptions
    from osteon.systems.mri_femur.source import build_from_table

    region = RegionOptions(margin_px=margin, masked=masked, size=size)
    options = FemurOptions(region=region, intermediate=intermediate)  # type: ignore[arg-type]  # it checks the word
    with shown_progress(quiet=quiet) as progress:
        built = build_from_table(source, out, labels=labels, options=options, workers=workers, progress=progress)
    told_femur(built, out)


def told_femur(built: BuiltDataset, out: Path) -> None:
    """As ``told_skipped``; lesions that were left out because they are intermediate are counted, and are no fault."""
    from dataclasses import replace

    from osteon.systems.mri_femur.dataset import intermediates, is_intermediate

    count = intermediates(built)
    if count:
        say(f"- {count} images of intermediate lesions left out (--intermediate benign keeps them)")
    kept = tuple(item for item in built.skipped if not is_intermediate(item))
    told_skipped(replace(built, skipped=kept), out, what="images or patients")


def _histology(
    source: Path = typer.Argument(
        ..., help="A folder of tiles named Class___Case-3-SLIDE-X-Y.jpg, or of folders of the classes."
    ),
    out: Path = typer.Option(..., "-o", "--out", help="The data set folder to make, or to go on with."),
    microns: float | None = typer.Option(
        None,
        "--microns",
        help="Micrometres per pixel of all tiles, where neither the files nor the table say it; 1.0 for the public "
        "osteosarcoma tiles.",
    ),
    patients: Path | None = typer.Option(
        None,
        help="CSV: FILE, PATIENT, STUDY, microns_per_pixel, where names do not tell. Default: patients.csv in the "
        "source.",
    ),
    own_patients: bool = typer.Option(
        False, "--own-patients", help="Take each tile for a patient of its own. Leaks: results will be too good."
    ),
    workers: int = typer.Option(1, min=1, max=64, help="Processes."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
) -> None:
    """Make a data set of H&E tiles: class, patient and slide from names, folders or a table; patients kept together."""
    from osteon.systems.histology.dataset import TileOptions, build_tiles

    with shown_progress(quiet=quiet) as progress:
        built = build_tiles(
            source,
            out,
            TileOptions(microns_per_pixel=microns),
            patients=patients,
            own_patients=own_patients,
            workers=workers,
            progress=progress,
        )
    told_skipped(built, out, what="tiles or patients")
