"""The tables of the metastasis study and its page, written anew from what is done so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.report.results_page import ResultsPage, Section, write_results_page
from osteon.study.page import SYNTHETIC, shown_warnings, state_notes, write_tables
from osteon.study.segment_jobs import lesion_images
from osteon.systems.ct_metastasis.study import TITLE
from osteon.systems.ct_metastasis.study_classified import classification_comparisons, classification_tables
from osteon.systems.ct_metastasis.study_pictures import classify_pictures, segment_pictures
from osteon.systems.ct_metastasis.study_rows import LITERAL
from osteon.systems.ct_metastasis.study_tables import (
    LITERAL_WARNING,
    checks_table,
    segmentation_comparisons,
    segmentation_tables,
)
from osteon.train.baselines import fields_only, majority_class
from osteon.train.fold_job import classes_of
from osteon.train.run_data import is_synthetic, synthetic_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from osteon.data import Manifest, Predictions, Split
    from osteon.metrics.bootstrap import Resampling
    from osteon.report.tables import Table
    from osteon.study.page import FoldState
    from osteon.study.run import Study
    from osteon.train.segmentation.settings import SegmentSettings

__all__ = ["write_metastasis"]

_PAPER_SEGMENTS = ("image_size", "batch", "epochs", "rates", "loss", "lesion_weight", "bone_weight")
_PAPER_CLASSIFIES = ("image_size", "batch", "epochs", "learning_rate", "configuration", "augmentation")
_PRETRAINED = "The thesis's classifiers began with weights of ImageNet, as far as it says; these began with {words}."


def write_metastasis(study: Study, *, resampling: Resampling | None = None) -> tuple[Table, ...]:
    """Write tables, comparisons, index.html and the pictures into the study's folder.

    Returns:
        The tables, as written.

    Raises:
        OutputError: a file cannot be written.
    """
    counted = {run.plan.name: run.counts for run in study.segmenters}
    lesions = {name: found for name, found in counted.items() if found is not None}
    segment_notes, classify_notes = _segment_notes(study), _classify_notes(study)
    predictions = dict(study.predictions)
    if study.holdout is not None and predictions:
        predictions |= _trivial(study, study.holdout)
    chapter4: tuple[Table, ...] = ()
    chapter5: tuple[Table, ...] = ()
    if study.segmenters:
        states = {run.plan.name: _word(run.folds) for run in study.segmenters}
        chapter4 = (
            *segmentation_tables(lesions, states, notes=segment_notes, resampling=resampling),
            segmentation_comparisons(lesions, notes=segment_notes, resampling=resampling),
        )
    if study.runs:
        states = {run.plan.name: _word(run.folds) for run in study.runs}
        chapter5 = (
            *classification_tables(predictions, states, notes=classify_notes, resampling=resampling),
            classification_comparisons(predictions, notes=classify_notes, resampling=resampling),
        )
    tables = (*chapter4, *chapter5, checks_table())
    links = write_tables(study.folder, tables)
    figures = study.folder / "figures"
    figures.mkdir(exist_ok=True)
    mark = "SYNTHETIC DATA" if is_synthetic(study.manifest) else ""
    sections = []
    if chapter4:
        pictures = segment_pictures(study, lesions, figures, mark, resampling)
        sections += [
            Section("Lesions, pixel by pixel (chapter 4)", pictures=pictures),
            Section("Tables 4.1 to 4.4", tables=chapter4[:4]),
            _comparisons("Comparisons of chapter 4", chapter4[4:]),
        ]
    if chapter5:
        pictures = classify_pictures(study, predictions, figures, mark, resampling)
        sections += [
            Section("Slices with a metastasis or none (chapter 5)", pictures=pictures),
            Section("Tables 5.1 and 5.2", tables=chapter5[:3]),
            _comparisons("Comparisons of chapter 5", chapter5[3:]),
        ]
    sections.append(Section("What the thesis prints", tables=tables[-1:]))
    warnings = shown_warnings(study, (*segment_notes, *classify_notes))
    if LITERAL in lesions:
        warnings += (LITERAL_WARNING,)
    page = ResultsPage(
        title=TITLE,
        lead=_lead(study),
        warnings=tuple(dict.fromkeys(warnings)),
        sections=tuple(sections),
        links=links,
    )
    write_results_page(study.folder / "index.html", page)
    return tables


def _word(folds: Iterable[FoldState]) -> str:
    """How far a run is that has no result."""
    states = {fold.state for fold in folds}
    return "failed" if "failed" in states else "not trained yet"


def _lead(study: Study) -> str:
    done = len(study.predictions) + sum(run.counts is not None for run in study.segmenters)
    planned = len(study.runs) + len(study.segmenters)
    return f"{done} of {planned} planned rows are complete{'.' if done else ': nothing to show yet.'}"


def _data_words(manifest: Manifest) -> tuple[str, ...]:
    return (SYNTHETIC,) if is_synthetic(manifest) else synthetic_words(manifest)


def _segment_notes(study: Study) -> tuple[str, ...]:
    """Sentences that every table of chapter 4 carries."""
    if not study.segmenters:
        return ()
    images, split = lesion_images(study.manifest), study.split
    going_round = "the validation part" if split.scheme == "holdout" else "the test part"
    notes = [
        *_data_words(study.manifest),
        *split.warnings,
        (
            f"{len(images)} images with a lesion of {len(images.patients)} patients; {len(split.folds)} folds by "
            f"{split.unit}, {split.scheme}: {going_round} goes round. The thesis: 1,517 images of 23 patients, and no "
            "word of folds by patient."
        ),
        *(found for run in study.segmenters if run.counts is not None for found in run.counts.warnings),
        *_other_settings(study.segmenters[0].plan.settings),
    ]
    nested = [run.plan.members for run in study.segmenters if run.plan.kind == "nested"]
    if nested:
        notes.append(f"The nested ensemble has {nested[0]} members a fold (thesis: 5).")
    return tuple(dict.fromkeys((*notes, *state_notes(study, [fold for run in study.segmenters for fold in run.folds]))))


def _other_settings(settings: SegmentSettings) -> tuple[str, ...]:
    paper = type(settings)(architecture=settings.architecture)
    found = [
        f"{name} {getattr(settings, name)} (thesis: {getattr(paper, name)})"
        for name in _PAPER_SEGMENTS
        if getattr(settings, name) != getattr(paper, name)
    ]
    return (f"Other than in the thesis: {'; '.join(found)}.",) if found else ()


def _classify_notes(study: Study) -> tuple[str, ...]:
    """Sentences that every table of chapter 5 carries."""
    if not study.runs or study.holdout is None:
        return ()
    rows = study.holdout.rows(study.manifest, 0)
    fold = study.holdout.folds[0]
    notes = [
        *_data_words(study.manifest),
        (
            f"One division by patient: {len(rows.train)} images of {len(fold.train)} patients to learn from, "
            f"{len(rows.validation)} of {len(fold.validation)} to choose the epoch by, {len(rows.test)} of "
            f"{len(fold.test)} to judge by. There are no folds, so no spread over trainings."
        ),
    ]
    settings = study.runs[0].plan.settings
    paper = type(settings)(task=settings.task, architecture=settings.architecture, strategy="scratch")
    other = [
        f"{name} {getattr(settings, name)} (thesis: {getattr(paper, name)})"
        for name in _PAPER_CLASSIFIES
        if getattr(settings, name) != getattr(paper, name)
    ]
    notes += [f"Other than in the thesis: {'; '.join(other)}."] if other else []
    if settings.pretrained != "hub":
        words = "random weights" if settings.pretrained == "none" else "other weights"
        notes.append(_PRETRAINED.format(words=words))
    return tuple(dict.fromkeys((*notes, *state_notes(study, [fold for run in study.runs for fold in run.folds]))))


def _trivial(study: Study, holdout: Split) -> dict[str, Predictions]:
    """The baselines that look at no image."""
    positive = study.runs[0].plan.settings.positive
    classes = classes_of(study.manifest, positive)
    found = {
        "majority": majority_class(study.manifest, holdout, classes=classes, positive=positive),
        "fields": fields_only(study.manifest, holdout, classes=classes, positive=positive),
    }
    return {name: table for name, table in found.items() if table is not None}


def _comparisons(title: str, tables: tuple[Table, ...]) -> Section:
    if any(table.rows for table in tables):
        return Section(title, tables=tables)
    return Section(title, ("No two rows that the thesis compares are complete: there is nothing to compare.",))
