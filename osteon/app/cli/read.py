"""``osteon read``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from osteon.app.cli.choices import Bone, Device, Roi
from osteon.app.cli.failure import EXIT_SKIPPED
from osteon.app.cli.progress import shown_progress
from osteon.app.cli.show import announce
from osteon.app.cli.terminal import say

if TYPE_CHECKING:
    from osteon.reading import CaseResult, SlideResult

__all__ = ["register", "tell"]

_BOX = typer.Option(
    None,
    metavar="R0,C0,R1,C1",
    help="MRI: the lesion's box on its slice, rows and columns counted from 0, R1 and C1 the first outside.",
)
_MASK = typer.Option(
    None, help="MRI: the lesion's outline in place of a box: PNG of the slice, NIfTI or DICOM SEG of the series."
)
_SLICE = typer.Option(None, "--slice", metavar="N", help="MRI: slice of the box or mask, counted from 1.")


def register(program: typer.Typer) -> None:
    """Add the verb."""

    @program.command()
    def read(
        study: Path = typer.Argument(
            ..., help="A DICOM folder (any layout), a zip of one, a DICOM or NIfTI file; a slide, or a picture of one."
        ),
        out: Path | None = typer.Option(None, "-o", "--out", help="The result folder. Default: NAME-result here."),
        series: str | None = typer.Option(
            None, help="Series Instance UID to read; default: the best one, with reasons."
        ),
        task: str | None = typer.Option(
            None,
            help="System to run: ct_osteosarcoma (legs), ct_metastasis (trunk), mri_femur (a marked lesion) or "
            "histology (slides); default: for a CT that of the legs, for MR mri_femur, for a slide histology.",
        ),
        microns: float | None = typer.Option(
            None, min=0.01, max=100.0, help="Micrometres a pixel, of a slide or tile whose file does not say it."
        ),
        box: str | None = _BOX,
        mask: Path | None = _MASK,
        slice_number: int | None = _SLICE,
        device: Device = typer.Option(Device.AUTO, help="Where the network runs."),
        model: str | None = typer.Option(None, help="Name or folder of a model card."),
        threshold: float | None = typer.Option(
            None,
            min=0.0,
            max=1.0,
            help="Probability that counts as tumour, of a slice (legs) or a pixel (trunk); default: that of the card.",
        ),
        roi: Roi = typer.Option(
            Roi.SERIES, help="How legs are found: through the series, or the paper's slice-wise recipe."
        ),
        bone: Bone = typer.Option(
            Bone.FINE, help="Bone mask: fine (joints stay open), or the paper's chain in voxels or millimetres."
        ),
        force: bool = typer.Option(
            False, "--force", help="Answer even if the image is not what the task was made for."
        ),
        report_unlike: bool = typer.Option(
            False,
            "--report-unlike",
            help="Report tumour even where the image is unlike anything the model was trained on.",
        ),
        replace: bool = typer.Option(False, "--replace", help="Replace an earlier result at the same place."),
        as_json: bool = typer.Option(False, "--json", help="Print findings.json to stdout and nothing else."),
        quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
    ) -> None:
        """Read one study or slide: what was found, how sure it is, report and objects, all in one result folder."""
        from osteon.data.options import SystemOptions
        from osteon.reading import CaseOptions, read_study

        options = CaseOptions(
            series_uid=series,
            task=task,
            replace=replace,
            microns_per_pixel=microns,
            system=SystemOptions(
                device=device.value,
                model=model,
                force=force,
                roi=roi.value,
                bone=bone.value,
                threshold=threshold,
                report_unlike=report_unlike,
                box=None if box is None else _box(box),
                mask=mask,
                slice_number=slice_number,
            ),
        )
        result = out if out is not None else Path(f"{_plain_name(study) or 'study'}-result")
        with shown_progress(quiet=quiet or as_json) as progress:
            case = read_study(study, result, options=options, progress=progress)
        tell(case, as_json=as_json)


def _box(text: str) -> tuple[int, int, int, int]:
    """Four whole numbers."""
    try:
        top, left, bottom, right = (int(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no box: give four whole numbers R0,C0,R1,C1, as 120,80,180,150", param_hint="--box"
        ) from error
    return top, left, bottom, right


def _plain_name(study: Path) -> str:
    """The name without the ending of an image file; a folder named by a UID keeps its dots."""
    return re.sub(
        r"\.(zip|dcm|nii|nii\.gz|svs|ndpi|mrxs|scn|bif|tiff?|jpe?g|png|bmp)$",
        "",
        study.name.lstrip("."),
        flags=re.IGNORECASE,
    )


def tell(case: CaseResult | SlideResult, *, as_json: bool) -> None:
    """Print what was found and where the result is; leave with code 3 when parts were skipped."""
    if as_json:
        typer.echo(json.dumps(case.findings, indent=2))
    else:
        say(case.answer.headline)
        for notice in case.notices:
            say(f"{'! ' if notice.level == 'warning' else '- '}{notice.text}")
        typer.echo("")
        announce(case.folder)
    if case.skipped:
        raise typer.Exit(EXIT_SKIPPED)
