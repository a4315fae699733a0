"""The study of limb sarcomas: networks trained fold by fold, scored in 3-D by patient beside masks that never look.

Scores of a fold are kept beside its network (``volumes.csv``; of a further data set ``volumes-HASH.csv``): a page that
is written again reads them back. What is there is shown, whether all folds are done or not; a comparison takes the
patients that both methods scored. The slice study is a part of its own (``study_slices``).
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from osteon.errors import InputError
from osteon.study import page
from osteon.study.plan import PlannedRun
from osteon.study.protocol import Results, StudyProtocol, StudySection
from osteon.systems.limb_sarcoma.scores import (
    modalities,
    patients_by,
    read_scores,
    score_blind_masks,
    score_networks,
    scores_text,
)
from osteon.systems.limb_sarcoma.study_pictures import draw_pairs, draw_patients, draw_volumes
from osteon.systems.limb_sarcoma.study_rows import NETWORKS, OUTLINES, SLICES_PART, plan_limbs
from osteon.systems.limb_sarcoma.study_slices import slice_sections
from osteon.systems.limb_sarcoma.study_tables import (
    agreement_table,
    gain_table,
    outline_table,
    pair_table,
    patient_table,
    pixel_table,
    scored_networks,
    subgroup_table,
)
from osteon.train.objectives.segment import SEGMENT, kept_network
from osteon.train.run_folder import digest, read_document, write_document, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osteon.data import Manifest
    from osteon.metrics.bootstrap import Resampling
    from osteon.report.blocks import Table
    from osteon.study.plan import RunState, Study
    from osteon.systems.limb_sarcoma.scores import ScanScore
    from osteon.train.pixels import Pixels

__all__ = ["STUDY", "limb_scores", "outline_tables"]

_FORMAT: Final = 2
"""Of kept scores: those of another are made again."""

_ALSO: Final = (
    "Scans of a further data set, each by the networks of the folds that neither learnt from the patient nor chose an "
    "epoch by them. Where nothing is cut around the tumour the blind masks have nothing to go by: they show what "
    "cutting gives away."
)


def limb_scores(study: Study, *, on: Manifest | None = None) -> tuple[ScanScore, ...]:
    """Scores of the blind masks on all folds, and of every network on the folds that are done.

    Args:
        study: of the runs.
        on: a further data set whose scans are scored in place of the study's own.

    Raises:
        InputError: the data set is of another kind, or an image is not there any more.
        WeightsError: a network is not there any more.
        OutputError: scores cannot be kept.
    """
    place, split = study.place, study.place.splits["folds"]
    scores: list[ScanScore] = []
    for run in _outlining(study):
        scanned = _pixels(study, run, on)
        if not scores:
            whole = None if on is None else (on, scanned)
            scores += score_blind_masks(place.manifest, _pixels(study, run, None), split, on=whole)
        for fold in run.folds:
            if fold.state == "done":
                scores += _kept(study, run, fold.fold, on or place.manifest, scanned)
    return tuple(scores)


def outline_tables(
    study: Study, scores: Sequence[ScanScore], *, notes: tuple[str, ...] = (), resampling: Resampling | None = None
) -> tuple[Table, ...]:
    """Everything that is known of the outlines of the study's own data set."""
    runs = {run.plan.name: run for run in _outlining(study)}
    scored = scored_networks(scores)
    states = {
        row.run: row.lacks(study.manifest) or (runs[row.run].word if row.run in runs else "not run")
        for row in NETWORKS
        if row.run not in scored and (row.run in runs or not row.is_full)
    }
    return (
        outline_table(scores, states, notes, resampling),
        gain_table(scores, notes, resampling),
        pair_table(scores, runs, notes, resampling),
        pixel_table(scores, notes, resampling),
        agreement_table(scores, notes, resampling),
        subgroup_table(scores, patients_by(study.manifest, scores), notes, resampling),
        patient_table(scores, notes),
    )


def _outlining(study: Study) -> list[RunState]:
    return [run for run in study.runs if run.plan.table == OUTLINES]


def _pixels(study: Study, run: RunState, on: Manifest | None) -> Pixels:
    """Images and masks as a run is shown them; those of a further data set at the size that they have."""
    place, settings = study.place, run.plan.settings
    if on is None:
        return SEGMENT.load(place.manifest, settings, place.cache, skip_unreadable=place.skip_unreadable)
    kinds = [{row.extra.get("modality", "") for row in each.rows} for each in (place.manifest, on)]
    if kinds[0] != kinds[1]:
        told = [" and ".join(sorted(kind)).upper() for kind in kinds]
        raise InputError(f"the study is of {told[0]}, {on.folder.name} holds {told[1]}: name a data set of the same")
    sides = {row.extra.get("pixels", "") for row in on.rows}
    if len(sides) != 1 or not (text := sides.pop()).isdecimal():
        raise InputError(f"{on.folder.name} has images of several sizes, or says none: make it with osteon dataset")
    settings = replace(settings, image_size=math.isqrt(int(text)), crop=0)
    return SEGMENT.load(on, settings, place.cache, skip_unreadable=place.skip_unreadable)


def _kept(study: Study, run: RunState, fold: int, scanned: Manifest, pixels: Pixels) -> tuple[ScanScore, ...]:
    """Scores of a network on the scans that it may be asked about, read back where they were made of these weights."""
    settings, file, own = run.plan.settings, run.folds[fold].weights, study.manifest.sha256
    weights = hashlib.sha256(file.read_bytes()).hexdigest()
    identity = digest([_FORMAT, weights, settings.threshold, scanned.sha256, run.plan.name])
    table = file.parent / ("volumes.csv" if scanned.sha256 == own else f"volumes-{scanned.sha256[:12]}.csv")
    notes = table.with_suffix(".json")
    if notes.exists() and table.exists() and read_document(notes).get("identity") == identity:
        return read_scores(csv.DictReader(io.StringIO(table.read_text("utf-8"))))
    network = {fold: kept_network(settings, file)}
    scores = score_networks(scanned, pixels, study.place.splits["folds"], settings, network, method=run.plan.name)
    write_text(table, scores_text(scores))
    write_document(notes, {"identity": identity})
    return scores


def _results(study: Study, resampling: Resampling | None) -> Results:
    split = study.place.splits["folds"]
    images = f"{len(study.manifest)} slices of {len(study.manifest.patients)} patients"
    notes = (
        *page.data_notes(study.manifest),
        *split.warnings,
        page.division_note(images, split),
        *page.state_notes(study, study.runs),
    )
    outlining = _outlining(study)
    slices = [run for run in study.runs if run.plan.table == SLICES_PART]
    sections = _outline_sections(study, outlining, notes, resampling) if outlining else []
    if slices:
        sections += slice_sections(study, slices, notes, resampling)
    return Results(
        sections=tuple(sections),
        warnings=page.shown_warnings(study, notes),
        done=sum(not run.pending for run in study.runs),
        planned=len(study.runs),
    )


def _outline_sections(
    study: Study, outlining: Sequence[RunState], notes: tuple[str, ...], resampling: Resampling | None
) -> list[StudySection]:
    """Tables and pictures of outlines, of each modality apart; then those of further data sets, and learning curves."""
    sections, scores = [], limb_scores(study)
    known = modalities(scores)
    for modality in known:
        own = [each for each in scores if each.modality == modality]
        found = outline_tables(study, own, notes=notes, resampling=resampling)
        where = f" on {modality.upper()}" if len(known) > 1 else ""
        tables = tuple(
            replace(each, name=f"{each.name}-{modality}", title=f"{each.title}{where}") if where else each
            for each in found
        )
        stem = f"-{modality}" if where else ""
        sections += [
            StudySection(f"Outlines of tumours{where}", tables[:2], tuple(draw_patients(study, own, stem=stem))),
            StudySection(f"Does the second decoder help?{where}", tables[2:3]),
            StudySection(f"Pixels and volumes{where}", tables[3:5], tuple(draw_volumes(study, own, stem=stem))),
            StudySection(f"Patients{where}", tables[5:]),
        ]
    for number, other in enumerate(study.also, start=1):
        seen = limb_scores(study, on=other)
        title = f"Scans of {other.folder.absolute().name}"
        table = outline_table(seen, {}, (_ALSO, *notes), resampling, name=f"also{number}", title=title)
        sections.append(StudySection(title, (table,)))
    curves = (*page.draw_trainings(study, outlining), *draw_pairs(study))
    return [*sections, StudySection("Learning curves", (), curves)]


STUDY: Final = StudyProtocol(
    stem="limb_sarcoma",
    title="Sarcoma of a limb: outlines by networks, beside masks that never look",
    takes=frozenset({"strategies", "architecture", "pretrained", "classifier_values", "skip_unreadable", "also"}),
    instead="choose networks with --only and settings with --set",
    kinds=(PlannedRun,),
    plan=plan_limbs,
    results=_results,
)
