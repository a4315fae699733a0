"""Tables 4.1 to 4.4 of the metastasis thesis: measured, printed, and printed as it must be; and its claims, tested."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from osteon.report.tables import Table
from osteon.study.comparison import PAIRED_NOTES, Contrast, contrast_rows
from osteon.study.wording import percent, percent_range
from osteon.systems.ct_metastasis.published import (
    DAGGER,
    FOLDS_POINTS,
    SEGMENTED,
    TEST_POINTS,
    PrintedRow,
    claimed_gains,
    fold_rows,
    printed_ablation,
    printed_checks,
    segmented_rows,
)
from osteon.systems.ct_metastasis.study_evaluation import compare_masks, judge_masks
from osteon.systems.ct_metastasis.study_rows import CLAIMS, LITERAL, SEGMENTERS, WHICH_BASELINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from osteon.metrics.bootstrap import Resampling
    from osteon.systems.ct_metastasis.study_evaluation import MaskMeasured
    from osteon.systems.ct_metastasis.study_rows import SegmenterRow
    from osteon.train.segmentation.counts import SegmentCounts

__all__ = ["LITERAL_WARNING", "checks_table", "segmentation_comparisons", "segmentation_tables"]

LITERAL_WARNING = (
    "LEAKS: in the literal ensemble all members but one were trained on the images they are judged on. The row shows "
    "what the sentence of the thesis gives when it is taken at its word; it is no result."
)
_HEADS = {
    "f1": "F1",
    "dice": "Dice",
    "iou": "IoU",
    "accuracy": "Accuracy",
    "specificity": "Specificity",
    "sensitivity": "Sensitivity",
    "precision": "Precision",
}
_HOW_MEASURED = (
    "Percent, of the lesion map, pixels called from a probability of 0.5 on. F1 to precision are pooled over pixels, "
    "Dice is the mean over images (1 where both masks are empty). Mean of folds: 95 % Student's t over the folds (with "
    "* where it leaves 0 to 100). All test images together: 95 % patient bootstrap."
)
_NOT_THE_SAME = (
    "The printed values were measured on the thesis's own images (23 patients, folds not by patient as far as it says) "
    "and are no target here."
)
_AS_IT_MUST_BE = (
    f"{DAGGER} cannot be as printed: specificity and sensitivity stand exchanged, as the checks of the printed values "
    "show."
)


def segmentation_tables(
    counted: Mapping[str, SegmentCounts],
    states: Mapping[str, str],
    *,
    notes: tuple[str, ...] = (),
    resampling: Resampling | None = None,
) -> tuple[Table, ...]:
    """Tables 4.1 to 4.4.

    Args:
        counted: by run that has ended, the lesion map of the test parts of all folds.
        states: word by run for those that have not, as "failed"; "not run" where there is none.
        notes: sentences for every table.
        resampling: of the patient bootstrap.
    """
    judged = {name: judge_masks(found, resampling=resampling) for name, found in counted.items()}
    titles = {"table4_1": "Table 4.1: the hybrid and its baselines", "table4_2": "Table 4.2: sequential networks"}
    tables = [
        _methods_table(name, title, judged, states, warnings=_warnings(name, judged), notes=notes)
        for name, title in titles.items()
    ]
    return (
        *tables,
        _folds_table(judged, states, warnings=_warnings("table4_3", judged), notes=notes),
        _ablation_table(judged, states, notes=notes),
    )


def _rows_of(table: str) -> list[SegmenterRow]:
    return [row for row in SEGMENTERS if table in row.tables]


def _warnings(table: str, judged: Mapping[str, object]) -> tuple[str, ...]:
    return (LITERAL_WARNING,) if LITERAL in judged and any(row.run == LITERAL for row in _rows_of(table)) else ()


def _methods_table(
    name: str,
    title: str,
    judged: Mapping[str, Mapping[str, MaskMeasured]],
    states: Mapping[str, str],
    *,
    warnings: tuple[str, ...],
    notes: tuple[str, ...],
) -> Table:
    printed = {row.model: row for row in segmented_rows(name)}
    rows: list[tuple[str, ...]] = []
    records: list[dict[str, object]] = []
    for row in _rows_of(name):
        rows += _method_lines(row, SEGMENTED, judged.get(row.run), states, printed.get(row.printed))
        records += [_record(row, key, judged.get(row.run), printed.get(row.printed)) for key in SEGMENTED]
    remarks = [*warnings, _HOW_MEASURED, _NOT_THE_SAME]
    remarks += [_AS_IT_MUST_BE] if any(row.corrected for row in printed.values()) else []
    remarks += [WHICH_BASELINE, *_undefined(name, judged)]
    heads = ("Method", "What", *(_HEADS[key] for key in SEGMENTED))
    return Table(name, title, heads, tuple(rows), notes=(*remarks, *notes), records=tuple(records))


def _undefined(table: str, judged: Mapping[str, Mapping[str, MaskMeasured]]) -> tuple[str, ...]:
    """Folds that are missing from a mean, as precision has no value where nothing is called."""
    found = [
        f"{row.title} {_HEADS[key]} {judged[row.run][key].over_folds.undefined_folds}"
        for row in _rows_of(table)
        if row.run in judged
        for key in SEGMENTED
        if judged[row.run][key].over_folds.undefined_folds
    ]
    words = "Folds without a value (nothing was called) are left out of a mean"
    return (f"{words}: {', '.join(found)}.",) if found else ()


def _method_lines(
    row: SegmenterRow,
    measures: Iterable[str],
    found: Mapping[str, MaskMeasured] | None,
    states: Mapping[str, str],
    printed: PrintedRow | None,
) -> list[tuple[str, ...]]:
    """The lines of a method: measured in two ways, printed, printed as it must be."""
    keys = tuple(measures)
    if found is None:
        lines = [(row.title, states.get(row.run, "not run"), *("" for _ in keys))]
    else:
        lines = [
            (row.title, f"mean of {found[keys[0]].over_folds.folds} folds", *(_over_folds(found[key]) for key in keys)),
            ("", "all test images", *(_over_patients(found[key]) for key in keys)),
        ]
    if printed:
        lines.append(("", "printed", *(printed.marked(key) for key in keys)))
        if printed.corrected:
            lines.append(("", "printed, as it must be", *(printed.corrected.get(key, "") for key in keys)))
    return lines


def _over_folds(measured: MaskMeasured) -> str:
    found = measured.over_folds
    return f"{percent(found.mean)} ({percent_range(found.low, found.high)}{'*' if found.leaves_range else ''})"


def _over_patients(measured: MaskMeasured) -> str:
    found = measured.over_patients
    return f"{percent(found.value)} ({percent_range(found.low, found.high)})"


def _record(
    row: SegmenterRow, key: str, judged: Mapping[str, MaskMeasured] | None, printed: PrintedRow | None
) -> dict[str, object]:
    one = judged[key] if judged else None
    return {
        "method": row.title,
        "run": row.run,
        "measure": key,
        "mean": one.over_folds.mean if one else None,
        "t_low": one.over_folds.low if one else None,
        "t_high": one.over_folds.high if one else None,
        "folds": one.over_folds.folds if one else None,
        "all_images": one.over_patients.value if one else None,
        "bootstrap_low": one.over_patients.low if one else None,
        "bootstrap_high": one.over_patients.high if one else None,
        "patients": one.over_patients.patients if one else None,
        "printed": float(printed.printed[key]) / 100 if printed else None,
        "printed_as_it_must_be": printed.value(key) if printed else None,
    }


def _folds_table(
    judged: Mapping[str, Mapping[str, MaskMeasured]],
    states: Mapping[str, str],
    *,
    warnings: tuple[str, ...],
    notes: tuple[str, ...],
) -> Table:
    """Table 4.3: F1 of each fold."""
    printed = fold_rows()
    numbers = sorted({fold for found in judged.values() for fold in found["f1"].by_fold}) or list(range(5))
    rows: list[tuple[str, ...]] = []
    records: list[dict[str, object]] = []
    for row in _rows_of("table4_3"):
        found = judged.get(row.run)
        texts, mean = printed.get(row.printed, ((), ""))
        if found is None:
            rows.append((row.title, states.get(row.run, "not run"), *("" for _ in numbers), "", ""))
        else:
            over = found["f1"].over_folds
            values = [percent(found["f1"].by_fold.get(fold, math.nan)) for fold in numbers]
            spread = percent(over.standard_deviation)
            rows.append((row.title, "measured", *values, _over_folds(found["f1"]), spread))
        if texts:
            shown = (*texts[: len(numbers)], *("" for _ in numbers[len(texts) :]))
            rows.append(("", "printed", *shown, mean, ""))
        for place, fold in enumerate(numbers):
            records.append(
                {
                    "method": row.title,
                    "run": row.run,
                    "fold": fold + 1,
                    "f1": found["f1"].by_fold.get(fold) if found else None,
                    "printed": float(texts[place]) / 100 if place < len(texts) else None,
                }
            )
    remarks = (
        *warnings,
        "Percent, pooled over the pixels of the fold's test part; mean with 95 % Student's t; SD with n - 1.",
        "The printed folds are other images: only their spread can be held beside this.",
    )
    heads = ("Method", "What", *(f"Fold {fold + 1}" for fold in numbers), "Mean", "SD")
    title = "Table 4.3: F1 of each fold"
    return Table("table4_3", title, heads, tuple(rows), notes=(*remarks, *notes), records=tuple(records))


def _ablation_table(
    judged: Mapping[str, Mapping[str, MaskMeasured]], states: Mapping[str, str], *, notes: tuple[str, ...]
) -> Table:
    """Table 4.4: modified block, dual decoder, ensemble, one after the other."""
    keys = SEGMENTED[:3]
    printed = {switches: PrintedRow(model, values) for switches, (model, values) in printed_ablation().items()}
    rows: list[tuple[str, ...]] = []
    records: list[dict[str, object]] = []
    for row in _rows_of("table4_4"):
        ticks = tuple("yes" if name in (row.switches or "").split() else "" for name in ("MB", "DD", "EN"))
        lines = _method_lines(row, keys, judged.get(row.run), states, printed[row.switches or ""])
        for place, (title, what, *cells) in enumerate(lines):
            rows.append((title, *(ticks if place == 0 else ("", "", "")), what, *cells))
        for key in keys:
            record = _record(row, key, judged.get(row.run), printed[row.switches or ""])
            records.append({**record, "switches": row.switches or ""})
    remarks = (
        _HOW_MEASURED,
        _NOT_THE_SAME,
        "MB: residual block with normalisation; DD: second decoder for the bone; EN: ensemble, here the nested one.",
    )
    heads = ("Method", "MB", "DD", "EN", "What", *(_HEADS[key] for key in keys))
    title = "Table 4.4: ablation"
    return Table("table4_4", title, heads, tuple(rows), notes=(*remarks, *notes), records=tuple(records))


def segmentation_comparisons(
    counted: Mapping[str, SegmentCounts],
    *,
    notes: tuple[str, ...] = (),
    resampling: Resampling | None = None,
) -> Table:
    """What the thesis claims to be better, tested on the same folds and patients; F1."""
    by_run = {row.run: row for row in SEGMENTERS}
    contrasts = []
    for one, two in CLAIMS:
        if one in counted and two in counted:
            found = compare_masks(counted[one], counted[two], resampling=resampling)
            better, worse = by_run[one], by_run[two]
            words = f"{better.title} minus {worse.title}"
            claimed = _claimed(better, worse)
            contrasts.append(Contrast(words, one, two, found.over_patients, found.over_folds, claimed))
    rows, records = contrast_rows(contrasts, in_points=True)
    printed = [entry.printed for entry in contrasts]
    return Table(
        "comparisons4",
        "Comparisons: what the thesis claims to be better, F1 of all test images in points",
        (
            "Claim",
            "Difference",
            "Patient bootstrap 95 %",
            "p",
            "p (Holm)",
            "Corrected t over folds 95 %",
            "p",
            "printed",
        ),
        tuple((*row, f"+{text}" if text else "") for row, text in zip(rows, printed, strict=True)),
        notes=(*PAIRED_NOTES, "Printed: the thesis's own difference; it gives no test.", *notes),
        records=tuple(
            {**record, "printed_points": float(text) if text else None}
            for record, text in zip(records, printed, strict=True)
        ),
    )


def _claimed(better: SegmenterRow, worse: SegmenterRow) -> str:
    """F1 that the tables of the thesis have one above the other, in points."""
    said = claimed_gains()
    pair = (better.printed, worse.printed)
    if pair not in said or not all(pair):
        pair = (better.switches or "", worse.switches or "")
    if pair not in said:
        return ""
    claim, right = said[pair]
    return right.get("f1", claim["f1"])


def checks_table() -> Table:
    """What the thesis prints, held against arithmetic: the reason for every entry that is read otherwise."""
    checks = printed_checks()
    return Table(
        "printed",
        "The printed values, held against arithmetic",
        ("Where", "Printed", "Can be true", "Finding"),
        tuple((entry.where, entry.printed, "yes" if entry.holds else "NO", entry.finding) for entry in checks),
        notes=(
            "Facts of the thesis alone; no image is needed.",
            f"Allowed: {FOLDS_POINTS} points where means over folds are printed, {TEST_POINTS} in chapter 5.",
        ),
        records=tuple(
            {"where": entry.where, "printed": entry.printed, "can_be_true": entry.holds, "finding": entry.finding}
            for entry in checks
        ),
    )
