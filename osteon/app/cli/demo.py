"""``osteon demo``."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from osteon.app.cli.read import tell
from osteon.app.cli.terminal import say, shown_progress

__all__ = ["demo"]


def demo(
    out: Path = typer.Option(Path("demo-result"), "-o", "--out", help="The result folder."),
    seed: int = typer.Option(1, min=0, help="Another seed makes another patient."),
    replace: bool = typer.Option(False, "--replace", help="Replace an earlier result in the same folder."),
    prepare: bool = typer.Option(
        False, "--prepare", help="Read a coarse patient and keep nothing: what is compiled on first use is ready then."
    ),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
) -> None:
    """Make a synthetic patient as a DICOM series, read it, and leave the full result folder."""
    from osteon.reading import CaseOptions, read_case, require_free
    from osteon_phantoms import demo_spec, make_leg_ct
    from osteon_phantoms.files import write_ct_phantom

    if not prepare:
        require_free(out, replace=replace)
        say(f"A synthetic patient (seed {seed}) is made and read; it stands for no real one.")
    options = CaseOptions(
        task="ct_osteosarcoma", replace=replace, seeds={"phantom": seed}, command=f"osteon demo --seed {seed}"
    )
    with shown_progress(quiet=quiet) as progress, TemporaryDirectory(prefix="osteon-demo-") as work:
        progress("making a synthetic patient", 0, 1)
        spec = demo_spec(seed, coarse=prepare)
        patient = write_ct_phantom(make_leg_ct(spec), Path(work) / f"synthetic-patient-{seed}")
        progress("making a synthetic patient", 1, 1)
        result = Path(work) / "result" if prepare else out
        case = read_case(patient.dicom, result, options=options, progress=progress)
    if not prepare:
        tell(case, as_json=False)
