"""The tables of the histology study and its page, written anew from what is done so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.report.results_page import ResultsPage, Section, write_results_page
from osteon.study.page import SYNTHETIC, write_tables
from osteon.systems.histology.study_baselines import colour_numbers, tile_baselines
from osteon.systems.histology.study_pictures import histology_pictures
from osteon.systems.histology.study_run import kept_features
from osteon.systems.histology.study_tables import FEW_PATIENTS, LEAKS, SELECTED, histology_tables, judge_row
from osteon.train.run_data import is_synthetic, synthetic_words
from osteon.train.tiles.pictures import load_tiles, seen_tiles

if TYPE_CHECKING:
    from osteon.metrics.bootstrap import Resampling
    from osteon.report.tables import Table
    from osteon.systems.histology.study_run import HistologyStudy
    from osteon.systems.histology.study_tables import Judged

__all__ = ["TITLE", "write_histology"]

TITLE = "Histology: non-tumour, non-viable and viable tumour by transfer learning"


def write_histology(study: HistologyStudy, *, resampling: Resampling | None = None) -> tuple[Table, ...]:
    """Write tables, index.html and the pictures into the study's folder.

    Returns:
        The tables, as written.

    Raises:
        InputError: a tile cannot be read.
        OutputError: a file cannot be written.
    """
    candidates = [
        judge_row(study, run, protocol, resampling=resampling) for run in study.runs for protocol in run.protocols
    ]
    judged = [one for one in candidates if one is not None]
    settings = study.runs[0].settings
    colours = colour_numbers(seen_tiles(load_tiles(study.manifest, pixels=settings.pixels).rgb))
    patients = study.manifest.column("patient")
    baselines = tile_baselines(study.labels, patients, colours, kept_features(study), settings)
    notes = _notes(study)
    tables = histology_tables(study, judged, baselines, notes)
    links = write_tables(study.folder, tables)
    figures = study.folder / "figures"
    figures.mkdir(exist_ok=True)
    mark = "SYNTHETIC DATA" if is_synthetic(study.manifest) else ""
    pictures = histology_pictures(study, judged, figures, mark=mark)
    sections = (
        Section("Who has which class", tables=tables[:2]),
        Section("Judged", pictures=pictures[:2], tables=tables[2:5]),
        Section("The paper's grids", pictures=pictures[2:], tables=tables[5:7]),
        Section("What the paper prints", tables=tables[7:]),
    )
    page = ResultsPage(
        title=TITLE,
        lead=_lead(study, judged),
        warnings=tuple(
            note for note in (*notes, LEAKS, SELECTED) if note.startswith(("SYNTHETIC", "FAILED", "WARN", "Only"))
        ),
        sections=sections,
        links=links,
    )
    write_results_page(study.folder / "index.html", page)
    return tables


def _lead(study: HistologyStudy, judged: list[Judged]) -> str:
    planned = sum(len(run.protocols) for run in study.runs)
    done = sum(study.done(run, protocol) is not None for run in study.runs for protocol in run.protocols)
    best = [one for one in judged if one.protocol == "patient"]
    if not best:
        return f"{done} of {planned} planned rows are complete; none is judged by patient yet."
    values = [f"{100 * one.intervals['accuracy',].value:.1f}" for one in best]
    low, high = min(values, key=float), max(values, key=float)
    said = f"is {low} %" if low == high else f"lies from {low} to {high} %"
    return (
        f"{done} of {planned} planned rows are complete. By patient, with rate and epochs chosen within the training "
        f"patients, accuracy {said}."
    )


def _notes(study: HistologyStudy) -> tuple[str, ...]:
    """Sentences that every table carries."""
    people, tiles = len(study.manifest.patients), len(study.manifest)
    settings = study.runs[0].settings
    notes = list((SYNTHETIC,) if is_synthetic(study.manifest) else synthetic_words(study.manifest))
    folds = study.planned["patient"]
    how = "each patient left out once" if folds == people else f"{folds} folds of patients"
    notes.append(
        f"{tiles} tiles of {people} patients; {how}; probability: mean of {settings.repeats} heads. The paper: 1,144 "
        "tiles of 50 patients, divided by tile."
    )
    if people < FEW_PATIENTS:
        notes.append(
            f"Only {people} patients: the interval is made of {people} clusters and is hardly one. Read it as the "
            "spread between these patients."
        )
    bases = {run.settings.architecture: run.settings.pretrained for run in study.runs}
    random = [name.removesuffix("_tiles") for name, source in bases.items() if source == "none"]
    if random:
        notes.append(
            f"The base is random, not of ImageNet, in: {', '.join(random)}. The paper's all began from ImageNet."
        )
    if set(bases) == {"mobilenet_v2_tiles"}:
        notes.append(
            "MobileNetV2 alone: weights of the other three are not shipped (--pretrained hub fetches them, "
            "--pretrained none shows what a random base gives)."
        )
    notes += [f"FAILED: {error}" for error in study.errors]
    waiting = sum(study.done(run, protocol) is None for run in study.runs for protocol in run.protocols)
    if waiting:
        notes.append(f"{waiting} row(s) are not complete yet: --resume goes on.")
    return tuple(notes)
