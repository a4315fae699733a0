"""The tables of the metastasis thesis: measured, published, and published as it must be; its claims, tested; the page.

References:
    Spec bone-metastasis, sections 3 to 5 and 8.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.metrics.segmentation import image_dice, pixel_counts
from osteon.metrics.text import PERCENT
from osteon.report.blocks import Table
from osteon.report.charts import FoldDots, OutlinedImage, draw_folds, draw_outlines
from osteon.study import page, tables
from osteon.study.plan import PlannedRun, fold_weights, labelled, member_run
from osteon.study.protocol import Results, StudyProtocol, StudySection
from osteon.study.published import read_published
from osteon.systems.ct_metastasis.recipe import SEGMENTER, SLICES
from osteon.systems.ct_metastasis.study_rows import (
    CLASSIFIERS,
    LESION_LABEL,
    LITERAL,
    NESTED,
    SEGMENTERS,
    plan_metastasis,
)
from osteon.train.objectives.segment import SEGMENT, predicted_lesions
from osteon.train.performance import compare_runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from osteon.data import Manifest, Predictions
    from osteon.metrics.bootstrap import Resampling
    from osteon.report.blocks import Picture
    from osteon.study.plan import Study
    from osteon.systems.ct_metastasis.study_rows import SegmenterRow
    from osteon.train.counts import SegmentCounts
    from osteon.train.pixels import Pixels

__all__ = [
    "STUDY",
    "classification_comparisons",
    "classification_tables",
    "classifier_rows",
    "segmentation_comparisons",
    "segmentation_tables",
    "segmenter_rows",
]


_SEGMENTED: Final = tables.measure_heads("f1", "dice", "iou", "accuracy", "specificity", "sensitivity", "precision")
_SEGMENT_LINES: Final = (
    (tables.MEAN_OF_FOLDS, tables.over_folds),
    ("all test images", tables.over_patients),
)
_SEGMENT_RECORD: Final = (
    *("mean", "t_low", "t_high", "folds", "all_images", "bootstrap_low", "bootstrap_high", "patients"),
    *("published", "published_corrected"),
)

_CLASSIFIED: Final = {
    **tables.measure_heads("accuracy", "f1", "sensitivity", "precision", "specificity", "auc"),
    "sensitivity": "Recall",
}
_CLASSIFY_RECORD: Final = (
    *("measured", "bootstrap_low", "bootstrap_high", "patients", "images", "published", "published_corrected"),
)
_JOINED: Final = "classify_vit_tiny_resnext50"
_BEST_SINGLE: Final = "classify_vit_tiny"
_PAPER_SEGMENTS: Final = ("image_size", "batch", "epochs", "rates", "loss", "lesion_weight", "bone_weight")
_PAPER_CLASSIFIES: Final = ("image_size", "batch", "epochs", "learning_rate", "configuration", "augmentation")

_SHOWN = 5
_FOLD = 0


# -------------------------------------------------------------------------------------------------- lesions, chapter 4


def segmenter_rows(
    counted: Mapping[str, SegmentCounts], states: Mapping[str, str], resampling: Resampling | None = None
) -> dict[str, tables.ResultRow]:
    """Every method of chapter 4 by name of its run, with what it comes to."""
    published = read_published(__package__)
    return {
        row.run: tables.ResultRow(
            (row.title,),
            row.run,
            tables.evaluate_masks(counted[row.run], resampling=resampling) if row.run in counted else None,
            states.get(row.run, "not run"),
            published.row(row.published) if row.published else None,
        )
        for row in SEGMENTERS
    }


def segmentation_tables(rows: Mapping[str, tables.ResultRow], notes: tuple[str, ...] = ()) -> tuple[Table, ...]:
    """Tables 4.1 to 4.4."""
    titles = {"table4_1": "Table 4.1: the hybrid and its baselines", "table4_2": "Table 4.2: sequential networks"}
    made = []
    for name, title in titles.items():
        shown = [rows[row.run] for row in _rows_of(name)]
        is_wrong = any(row.published and row.published.corrected for row in shown)
        remarks = (
            *_warnings(name, rows),
            *_said("how_segmented", "other_images", *(["exchanged"] if is_wrong else [])),
        )
        layout = tables.ResultTable(
            name=name, title=title, heads=("Method",), measures=_SEGMENTED, lines=_SEGMENT_LINES, record=_SEGMENT_RECORD
        )
        made.append(
            tables.result_table(layout, shown, (*remarks, *_said("which_baseline"), *_undefined(shown), *notes))
        )
    of_folds = (*_warnings("table4_3", rows), *_said("folds", "other_folds"), *notes)
    return (*made, _folds_table(rows, of_folds), _ablation(rows, notes))


def _said(*names: str) -> tuple[str, ...]:
    return read_published(__package__).said(*names)


def _rows_of(table: str) -> list[SegmenterRow]:
    return [row for row in SEGMENTERS if table in row.tables]


def _warnings(table: str, rows: Mapping[str, tables.ResultRow]) -> tuple[str, ...]:
    is_shown = any(row.run == LITERAL for row in _rows_of(table))
    return _said("literal_warning") if is_shown and rows[LITERAL].measured is not None else ()


def _undefined(rows: Sequence[tables.ResultRow]) -> tuple[str, ...]:
    """Folds that are missing from a mean, as precision has no value where nothing is predicted."""
    found = [
        f"{row.heads[0]} {head} {row.measured[key].over_folds.undefined_folds}"
        for row in rows
        if row.measured is not None
        for key, head in _SEGMENTED.items()
        if row.measured[key].over_folds.undefined_folds
    ]
    words = "Folds without a value (nothing was predicted) are left out of a mean"
    return (f"{words}: {', '.join(found)}.",) if found else ()


def _folds_table(rows: Mapping[str, tables.ResultRow], notes: tuple[str, ...]) -> Table:
    """Table 4.3: F1 of each fold."""
    published = read_published(__package__).tables["table4_3"]
    count = max((len(row.measured["f1"].by_fold) for row in rows.values() if row.measured), default=5)
    lines: list[tuple[str, ...]] = []
    records = []
    for method in _rows_of("table4_3"):
        row, beside = rows[method.run], published.get(method.published)
        found = row.measured["f1"] if row.measured else None
        if found is None:
            lines.append((method.title, row.state, *[""] * (count + 2)))
        else:
            spread = PERCENT.number(found.over_folds.standard_deviation)
            values = map(PERCENT.number, found.by_fold)
            lines.append((method.title, "measured", *values, tables.over_folds(found, PERCENT), spread))
        folds = [beside.marked(f"fold {number + 1}") if beside else "" for number in range(count)]
        if beside:
            lines.append(("", "published", *folds, beside.marked("mean"), ""))
        records += [
            {
                "method": method.title,
                "run": method.run,
                "fold": number + 1,
                "f1": found.by_fold[number] if found else None,
                "published": float(text) / 100 if text else None,
            }
            for number, text in enumerate(folds)
        ]
    heads = ("Method", "What", *(f"Fold {number + 1}" for number in range(count)), "Mean", "SD")
    return Table("table4_3", "Table 4.3: F1 of each fold", heads, tuple(lines), notes=notes, records=tuple(records))


def _ablation(rows: Mapping[str, tables.ResultRow], notes: tuple[str, ...]) -> Table:
    """Table 4.4: modified block, dual decoder, ensemble, one after the other."""
    published = read_published(__package__).tables["table4_4"]
    shown = []
    for method in _rows_of("table4_4"):
        row, switches = rows[method.run], method.switches or ""
        ticks = tuple("yes" if name in switches.split() else "" for name in ("MB", "DD", "EN"))
        extra = {"switches": switches}
        shown.append(
            tables.ResultRow((method.title, *ticks), row.run, row.measured, row.state, published[switches], extra)
        )
    layout = tables.ResultTable(
        name="table4_4",
        title="Table 4.4: ablation",
        heads=("Method", "MB", "DD", "EN"),
        measures={key: _SEGMENTED[key] for key in ("f1", "dice", "iou")},
        lines=_SEGMENT_LINES,
        record=_SEGMENT_RECORD,
    )
    return tables.result_table(layout, shown, (*_said("how_segmented", "other_images", "switches"), *notes))


def segmentation_comparisons(
    counted: Mapping[str, SegmentCounts], notes: tuple[str, ...] = (), resampling: Resampling | None = None
) -> Table:
    """What the thesis claims to be better, tested on the same folds and patients; F1."""
    titles = {row.run: row.title for row in SEGMENTERS}
    contrasts = []
    for claim in read_published(__package__).facts["claims"]:
        one, two = claim.get("run", ""), claim.get("reference", "")
        if one in counted and two in counted:
            found = tables.compare_masks(counted[one], counted[two], resampling=resampling)
            contrasts.append(
                tables.Contrast(f"{titles[one]} minus {titles[two]}", one, two, found, f"+{claim['points'][0]}")
            )
    return tables.contrast_table(
        "comparisons4",
        "Comparisons: what the thesis claims to be better, F1 of all test images in points",
        contrasts,
        (*tables.PAIRED_NOTES, "Published: the thesis's own difference; it gives no test.", *notes),
    )


# --------------------------------------------------------------------------------------------------- slices, chapter 5


def classifier_rows(
    predictions: Mapping[str, Predictions], states: Mapping[str, str], resampling: Resampling | None = None
) -> dict[str, tables.ResultRow]:
    """Every model of chapter 5 by name of its run, and the baselines without images that there are."""
    published = read_published(__package__)
    evaluated = {
        run: tables.evaluate_classifier(table, _CLASSIFIED, resampling=resampling) for run, table in predictions.items()
    }
    rows = {
        row.run: tables.ResultRow(
            (row.published,),
            row.run,
            evaluated.get(row.run),
            states.get(row.run, "not run"),
            published.row(row.published),
        )
        for row in CLASSIFIERS
    }
    trivial = {name: words for name, words in tables.TRIVIAL.items() if name in evaluated}
    return rows | {
        name: tables.ResultRow((words,), name, evaluated[name], extra=None) for name, words in trivial.items()
    }


def classification_tables(
    rows: Mapping[str, tables.ResultRow], predictions: Mapping[str, Predictions], notes: tuple[str, ...] = ()
) -> tuple[Table, ...]:
    """Tables 5.1 and 5.2, and the confusion matrices."""
    titles = {
        "table5_1": "Table 5.1: single classifiers of slices",
        "table5_2": "Table 5.2: the joined classifier and its parts",
    }
    made, remarks = [], _said("how_classified", "other_slices", "misprinted")
    for name, title in titles.items():
        shown = [rows[row.run] for row in CLASSIFIERS if name in row.tables]
        shown += [rows[run] for run in tables.TRIVIAL if run in rows]
        layout = tables.ResultTable(
            name=name,
            title=title,
            heads=("Model",),
            measures=_CLASSIFIED,
            lines=(("measured", tables.over_patients),),
            record=_CLASSIFY_RECORD,
        )
        made.append(tables.result_table(layout, shown, (*remarks, *notes)))
    return (*made, _matrices(rows, predictions, notes))


def _matrices(
    rows: Mapping[str, tables.ResultRow], predictions: Mapping[str, Predictions], notes: tuple[str, ...]
) -> Table:
    """True and false predictions of each model, and the matrix that follows from the thesis's figure 5.7."""
    lines: list[tuple[str, ...]] = []
    records = []
    for row in CLASSIFIERS:
        if row.run in predictions:
            counts = tables.predicted_counts(predictions[row.run])
            lines.append((row.published, "measured", *map(str, counts.values())))
            records.append({"model": row.published, "run": row.run, **counts})
        else:
            lines.append((row.published, rows[row.run].state, *[""] * 4))
    named = read_published(__package__).facts["matrix"]
    tp, tn = named["true_positive"], named["true_negative"]
    misses, alarms = named["positives"] - tp, named["negatives"] - tn
    lines.append((named["model"], "thesis", str(tp), f"{misses} (worked out)", f"{alarms} (worked out)", str(tn)))
    records.append({"model": named["model"], "run": "thesis", "tp": tp, "fn": misses, "fp": alarms, "tn": tn})
    heads = (
        "Model",
        "What",
        "True positives",
        "False negatives",
        "False positives",
        "True negatives",
    )
    remark = "Slices of the test part; predicted from a probability of 0.5 on."
    return Table(
        "confusion5", "Confusion matrices", heads, tuple(lines), notes=(remark, *notes), records=tuple(records)
    )


def classification_comparisons(
    predictions: Mapping[str, Predictions], notes: tuple[str, ...] = (), resampling: Resampling | None = None
) -> Table:
    """Whether the joined classifier beats its parts, and ViT-Tiny the other single models, as the thesis claims."""
    published = read_published(__package__)
    names = {row.run: row.published for row in CLASSIFIERS}
    claims = [(_JOINED, other) for other in ("classify_resnext50", _BEST_SINGLE)]
    claims += [(_BEST_SINGLE, run) for run in names if run not in (_BEST_SINGLE, _JOINED)]
    contrasts = []
    for one, two in claims:
        if one in predictions and two in predictions:
            found = compare_runs(predictions[one], predictions[two], name="f1", resampling=resampling)
            f1 = [row.numbers("f1")[0] for row in map(published.row, (names[one], names[two])) if row]
            beside = f"{100 * (f1[0] - f1[1]):+.2f}"
            contrasts.append(tables.Contrast(f"{names[one]} minus {names[two]}", one, two, found, beside))
    return tables.contrast_table(
        "comparisons5",
        "Comparisons: what the thesis claims to be better, F1 of slices in points",
        contrasts,
        (tables.PAIRED_NOTES[0], "Holm adjusts p for the number of rows. Published: the thesis gives no test.", *notes),
        folds=False,
    )


# --------------------------------------------------------------------------------------------------------------- notes


def _segment_notes(study: Study) -> tuple[str, ...]:
    """Sentences that every table of chapter 4 carries."""
    runs = study.trained("segment")
    if not runs:
        return ()
    images, split = labelled(study.manifest, LESION_LABEL), study.place.splits["folds"]
    divided = page.division_note(f"{len(images)} images with a lesion of {len(images.patients)} patients", split)
    settings = runs[0].plan.settings
    other = page.other_settings(
        settings, SEGMENTER.settings({"architecture": settings.architecture}), _PAPER_SEGMENTS, source="thesis"
    )
    nested = [run.plan.members for run in runs if isinstance(run.plan, PlannedRun) and run.plan.kind == "nested"]
    notes = (
        *page.data_notes(study.manifest),
        *split.warnings,
        f"{divided} The thesis: 1,517 images of 23 patients, and no word of folds by patient.",
        *(warning for found in study.counts.values() for warning in found.warnings),
        *([f"Other than in the thesis: {'; '.join(other)}."] if other else []),
        *(f"The nested ensemble has {members} members a fold (thesis: 5)." for members in nested),
        *page.state_notes(study, runs),
    )
    return tuple(dict.fromkeys(notes))


def _classify_notes(study: Study) -> tuple[str, ...]:
    """Sentences that every table of chapter 5 carries."""
    runs = study.trained("classify")
    if not runs:
        return ()
    holdout = study.place.splits["holdout"]
    rows, fold = holdout.rows(study.manifest, 0), holdout.folds[0]
    settings = runs[0].plan.settings
    paper = SLICES.settings({"architecture": settings.architecture, "strategy": "scratch"})
    other = page.other_settings(settings, paper, _PAPER_CLASSIFIES, source="thesis")
    weights = "random weights" if settings.pretrained == "none" else "other weights"
    began = f"The thesis's classifiers began with weights of ImageNet, as far as it says; these began with {weights}."
    divided = (
        f"One division by patient: {len(rows.train)} images of {len(fold.train)} patients to learn from, "
        f"{len(rows.validation)} of {len(fold.validation)} to choose the epoch by, {len(rows.test)} of "
        f"{len(fold.test)} to evaluate on. There are no folds, so no spread over trainings."
    )
    notes = (
        *page.data_notes(study.manifest),
        divided,
        *([f"Other than in the thesis: {'; '.join(other)}."] if other else []),
        *([began] if settings.pretrained != "hub" else []),
        *page.state_notes(study, runs),
    )
    return tuple(dict.fromkeys(notes))


# ------------------------------------------------------------------------------------------------------------- results


def _results(study: Study, resampling: Resampling | None) -> Results:
    segment_notes, classify_notes = _segment_notes(study), _classify_notes(study)
    warnings = page.shown_warnings(study, (*segment_notes, *classify_notes))
    return Results(
        sections=(
            *(_chapter4(study, segment_notes, resampling) if segment_notes else ()),
            *(_chapter5(study, classify_notes, resampling) if classify_notes else ()),
            StudySection("Published values", read_published(__package__).checks),
        ),
        warnings=(*warnings, *(_said("literal_warning") if LITERAL in study.counts else ())),
        done=len(study.predictions) + len(study.counts),
        planned=len(study.runs),
    )


_NOTHING: Final = "No two rows that the thesis compares are complete: there is nothing to compare."


def _chapter4(study: Study, notes: tuple[str, ...], resampling: Resampling | None) -> tuple[StudySection, ...]:
    rows = segmenter_rows(study.counts, study.states, resampling)
    titles = {"f1": "F1 of lesions, pooled over pixels", "dice": "Dice of lesions, mean over images"}
    pictures = page.draw_measures(study, list(rows.values()), titles, whole=True)
    dots = _dots(rows)
    if dots:
        pictures.append(draw_folds(study.figures / "folds.png", "F1 of each fold", dots, mark=study.mark))
    pictures += _example_pictures(study)
    pictures += page.draw_trainings(study, study.trained("segment"), name="learning-segmenters")
    comparisons = segmentation_comparisons(study.counts, notes, resampling)
    return (
        StudySection("Lesions, pixel by pixel (chapter 4)", pictures=tuple(pictures)),
        StudySection("Tables 4.1 to 4.4", segmentation_tables(rows, notes)),
        StudySection("Comparisons of chapter 4", (comparisons,), empty=_NOTHING),
    )


def _dots(rows: Mapping[str, tables.ResultRow]) -> list[FoldDots]:
    published = read_published(__package__).tables["table4_3"]
    dots = []
    for method in SEGMENTERS:
        measured, beside = rows[method.run].measured, published.get(method.published)
        if measured is not None:
            names = [name for name in beside.values if name.startswith("fold")] if beside else []
            folds = tuple(beside.numbers(name)[0] for name in names) if beside else ()
            dots.append(FoldDots(method.title, measured["f1"].by_fold, folds))
    return dots


def _chapter5(study: Study, notes: tuple[str, ...], resampling: Resampling | None) -> tuple[StudySection, ...]:
    predictions = dict(study.predictions)
    if predictions:
        predictions |= page.trivial_predictions(study, study.place.splits["holdout"])
    rows = classifier_rows(predictions, study.states, resampling)
    titles = {"f1": "F1 of slices", "sensitivity": "Recall of slices", "auc": "ROC AUC of slices"}
    shown = [row for row in rows.values() if row.run not in tables.TRIVIAL]
    pictures = page.draw_measures(study, shown, titles, file="slices-{}", folds=False, whole=True)
    pictures += page.draw_trainings(study, study.trained("classify"), name="learning-classifiers")
    comparisons = classification_comparisons(predictions, notes, resampling)
    return (
        StudySection("Slices with a metastasis or none (chapter 5)", pictures=tuple(pictures)),
        StudySection("Tables 5.1 and 5.2", classification_tables(rows, predictions, notes)),
        StudySection("Comparisons of chapter 5", (comparisons,), empty=_NOTHING),
    )


STUDY: Final = StudyProtocol(
    stem="ct_metastasis",
    title="Bone metastases on CT: segmentation of lesions and classification of slices",
    takes=frozenset({"pretrained", "classifier_values", "skip_unreadable"}),
    instead="choose its runs with --only",
    kinds=(PlannedRun,),
    plan=plan_metastasis,
    results=_results,
)


def _example_pictures(study: Study) -> list[Picture]:
    """What every method predicts on images of one fold's test part, and the ensemble's members on the same images.

    The images are chosen by the area of their lesions: the smallest, the largest, and some between, of different
    patients where there are enough. No method has a say in it.

    Raises:
        OutputError: a picture cannot be written.
        InputError: an image is not there any more.
        WeightsError: a network is not there any more.
    """
    counts = study.counts
    states = {run.plan.name: run for run in study.runs if run.plan.name in counts}
    shown = [row for row in SEGMENTERS if row.run in states and row.run != LITERAL]
    if not shown:
        return []
    manifest = _chosen(labelled(study.manifest, LESION_LABEL), counts[shown[0].run])
    pixels = SEGMENT.load(manifest, states[shown[0].run].plan.settings, None)
    predicted = {
        row.title: predicted_lesions(
            manifest, pixels, states[row.run].plan.settings, fold_weights(states[row.run], study.place, _FOLD)
        )
        for row in shown
    }
    where = f"Test images of fold {_FOLD + 1}, chosen by the area of their lesions alone."
    pictures = [_picture(study, "examples", "Predictions of the methods", manifest, pixels, predicted, where)]
    members = member_run(NESTED, study.place, _FOLD) if NESTED in states else None
    if members is not None:
        joined = next(row.title for row in shown if row.run == NESTED)
        by_member = {
            f"M{number + 1}": predicted_lesions(manifest, pixels, members.settings, [one.weights])
            for number, one in enumerate(members.folds)
        }
        by_member[joined] = predicted[joined]
        title = "The members of the nested ensemble, and their mean"
        words = f"{where} No member was trained on them."
        pictures.append(_picture(study, "members", title, manifest, pixels, by_member, words))
    return pictures


def _chosen(images: Manifest, counts: SegmentCounts) -> Manifest:
    """Images of the fold's test part from the smallest lesion to the largest."""
    test = counts.of(fold=_FOLD)
    areas = dict(
        zip(test.image.tolist(), (test.counts.true_positive + test.counts.false_negative).tolist(), strict=True)
    )
    rows = [number for number, row in enumerate(images.rows) if areas.get(row.image, 0) > 0]
    rows.sort(key=lambda number: (areas[images.rows[number].image], images.rows[number].image))
    picked: list[int] = []
    for place in np.linspace(0, len(rows) - 1, min(_SHOWN, len(rows))).round().astype(int).tolist():
        seen = {images.rows[number].patient for number in picked}
        near = sorted(rows, key=lambda number: abs(rows.index(number) - place))
        others = [number for number in near[: len(rows) // _SHOWN + 1] if images.rows[number].patient not in seen]
        free = [number for number in [*others, *near] if number not in picked]
        picked.append(free[0])
    return images.select(picked)


def _picture(
    study: Study,
    name: str,
    title: str,
    manifest: Manifest,
    pixels: Pixels,
    predicted: dict[str, NDArray[np.bool_]],
    caption: str,
) -> Picture:
    truth = np.asarray(pixels.masks["lesion"], dtype=bool)
    grey = pixels.crops(np.arange(len(manifest), dtype=np.int64))
    scores = {name: image_dice(pixel_counts(truth, masks)) for name, masks in predicted.items()}
    rows = [
        OutlinedImage(
            name=row.patient,
            image=grey[number],
            truth=truth[number],
            predicted={name: masks[number] for name, masks in predicted.items()},
            scores={name: f"F1 {100 * values[number]:.1f}" for name, values in scores.items()},
        )
        for number, row in enumerate(manifest.rows)
    ]
    return draw_outlines(study.figures / f"{name}.png", title, rows, caption=caption, mark=study.mark)
