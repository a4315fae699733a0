"""What the metastasis thesis prints, and what it must mean: columns that were exchanged, a misprint, a wrong gain.

Nothing is corrected by hand: a row is read otherwise only where no confusion matrix can give it as it stands, and one
can when two columns are exchanged (or exchanged and one number left out). ``printed_checks`` says what was held against
arithmetic, that which holds too.

References:
    Spec bone-metastasis, sections 1.3, 4.1, 5 and 8.1 (3, 4, 5, 12).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from osteon.errors import InputError
from osteon.metrics.confusion_space import matrix_fits
from osteon.metrics.consistency import Classes, check
from osteon.metrics.printed import read_printed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from osteon.metrics.consistency import Consistency

__all__ = [
    "CLASSIFIED",
    "DAGGER",
    "FOLDS_POINTS",
    "SEGMENTED",
    "TEST_POINTS",
    "PrintedCheck",
    "PrintedRow",
    "claimed_gains",
    "classified_rows",
    "fold_rows",
    "printed_ablation",
    "printed_checks",
    "printed_document",
    "reconstructed_classes",
    "segmented_rows",
]

SEGMENTED = ("f1", "dice", "iou", "accuracy", "specificity", "sensitivity", "precision")
"""Measures of tables 4.1 and 4.2, in the order of their columns."""

CLASSIFIED = ("accuracy", "f1", "sensitivity", "precision")
"""Measures of tables 5.1 and 5.2, in the order of their columns; the thesis calls sensitivity recall."""

FOLDS_POINTS = 0.06
"""Percentage points by which means of ratios over five folds miss the rules that one matrix obeys."""

DAGGER = "†"
"""Marks a printed number that cannot be."""

_CUT_POINTS = 0.005
TEST_POINTS = 0.02
"""Percentage points by which the rows of chapter 5 miss them: some of its numbers were cut off, not rounded."""

_NAMES = {"f1": "F1", "dice": "Dice", "iou": "IoU"}
_RATES = ("f1", "accuracy", "specificity", "sensitivity", "precision")


@dataclass(frozen=True, slots=True)
class PrintedCheck:
    """Something printed that was held against arithmetic.

    Attributes:
        where: table and row, or "text".
        printed: what stands there.
        holds: whether it can be true.
        finding: what was found, one or two sentences.
    """

    where: str
    printed: str
    holds: bool
    finding: str


@dataclass(frozen=True, slots=True)
class PrintedRow:
    """A row of a printed table.

    Attributes:
        model: as the thesis names it.
        printed: measure -> text, as it stands in the table.
        corrected: measure -> text as it must be, only where that differs; "about" before what was worked out.
        reasons: why, in sentences; empty when the row can be true as it stands.
        specificity: percent, worked out from the reconstructed test set; "" where it is not known (table 5).
    """

    model: str
    printed: Mapping[str, str]
    corrected: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    specificity: str = ""

    def marked(self, measure: str) -> str:
        """What is printed, with a dagger where it cannot be."""
        return f"{self.printed[measure]}{DAGGER if measure in self.corrected else ''}"

    def value(self, measure: str) -> float:
        """The corrected value as a share; what was printed where nothing had to be corrected."""
        return float(self.corrected.get(measure, self.printed[measure]).removeprefix("about ")) / 100


@cache
def printed_document() -> dict[str, Any]:
    """The tables as they stand in the thesis, texts with their decimals."""
    text = files("osteon.systems.ct_metastasis").joinpath("published.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@cache
def segmented_rows(table: str) -> tuple[PrintedRow, ...]:
    """Rows of "table4_1" or "table4_2", read as they must be.

    Example:
        >>> row = segmented_rows("table4_1")[0]
        >>> row.printed["sensitivity"], row.corrected["sensitivity"], row.corrected["specificity"]
        ('99.46', '78.75', '99.46')
    """
    rows = []
    for entry in printed_document()["segmentation"][table]:
        printed = dict(zip(SEGMENTED, entry["values"], strict=True))
        rates = {name: printed[name] for name in _RATES}
        corrected, reasons = _read(rates, ("specificity", "sensitivity"), allowance_points=FOLDS_POINTS)
        rows.append(PrintedRow(entry["model"], printed, corrected, reasons))
    return tuple(rows)


@cache
def classified_rows(table: str) -> tuple[PrintedRow, ...]:
    """Rows of "table5_1" or "table5_2", read as they must be, with the specificity that follows.

    Example:
        >>> row = classified_rows("table5_1")[3]
        >>> row.model, row.corrected, row.specificity
        ('Inception V3', {'sensitivity': 'about 70.71', 'precision': '90.37'}, '91.94')
    """
    rows = []
    classes = reconstructed_classes()
    for entry in printed_document()["classification"][table]:
        printed = dict(zip(CLASSIFIED, entry["values"], strict=True))
        corrected, reasons = _read(printed, ("sensitivity", "precision"), allowance_points=TEST_POINTS, classes=classes)
        meant = {name: corrected.get(name, text) for name, text in printed.items()}
        given = {name: text for name, text in meant.items() if not text.startswith("about")}
        found = _check(given, TEST_POINTS, classes)
        specificity = ""
        if found.matrix is not None:
            _, _, fp, tn = found.matrix
            specificity = f"{100 * tn / (tn + fp):.2f}"
        rows.append(PrintedRow(entry["model"], printed, corrected, reasons, specificity))
    return tuple(rows)


@cache
def reconstructed_classes() -> Classes:
    """Sizes of the test set of chapter 5, from two printed counts and the row they belong to.

    The thesis names the true negatives and the true positives of its hybrid; one number of misses and one of false
    alarms give the four printed rates (its precision was cut off, not rounded: half a unit of the last decimal more
    is allowed).

    Raises:
        InputError: the printed values do not settle it.

    Example:
        >>> found = reconstructed_classes()
        >>> found.positives, found.negatives
        (6225, 5816)
    """
    document = printed_document()["classification"]
    named = document["matrix"]
    tp, tn = named["true_positive"], named["true_negative"]
    row = next(entry for entry in document["table5_2"] if entry["model"] == named["model"])
    wanted = read_printed(dict(zip(CLASSIFIED, row["values"], strict=True)), allowance_points=_CUT_POINTS)
    recall, precision = wanted["sensitivity"], wanted["precision"]
    misses = range(int(tp / recall.high) - tp, int(tp / recall.low) - tp + 2)
    alarms = range(int(tp / precision.high) - tp, int(tp / precision.low) - tp + 2)
    fits = [(fn, fp) for fn in misses for fp in alarms if matrix_fits((tp, fn, fp, tn), wanted)]
    if len(fits) != 1:
        raise InputError(f"{len(fits)} confusion matrices fit the printed row of {named['model']}; one was expected")
    fn, fp = fits[0]
    return Classes(positives=tp + fn, negatives=tn + fp)


def printed_checks() -> tuple[PrintedCheck, ...]:
    """All that was held against arithmetic: rows, IoU, means over folds, the test set, claims of the text."""
    checks = []
    tables = (
        *((f"4.{number}", segmented_rows(f"table4_{number}")) for number in (1, 2)),
        *((f"5.{number}", classified_rows(f"table5_{number}")) for number in (1, 2)),
    )
    for number, rows in tables:
        for row in rows:
            pair = ("specificity", "sensitivity") if number.startswith("4") else ("sensitivity", "precision")
            words = ", ".join(f"{name} {row.printed[name]}" for name in pair)
            finding = " ".join(row.reasons) or "A confusion matrix gives the whole row."
            checks.append(PrintedCheck(f"{number} {row.model}", words, not row.reasons, finding))
    checks += [_iou_check(), _means_check(), _classes_check()]
    for (of, over), (said, wrong) in claimed_gains().items():
        finding = f"The tables give {_gains(wrong)}." if wrong else "The tables' own differences."
        checks.append(PrintedCheck(f"text: {of} over {over or 'the baseline'}", _gains(said), not wrong, finding))
    return (*checks, *_claims_of_the_best())


def _gains(points: Mapping[str, str]) -> str:
    return ", ".join(f"{_NAMES[name]} +{text}" for name, text in points.items())


def _iou_check() -> PrintedCheck:
    """Pooled IoU is F1 / (2 - F1): the measures were pooled, and per-image Dice is another thing than F1."""
    rows = [*segmented_rows("table4_1"), *segmented_rows("table4_2")]
    misses = [abs(row.value("iou") - row.value("f1") / (2 - row.value("f1"))) for row in rows]
    return PrintedCheck(
        "4.1, 4.2",
        "F1, IoU",
        max(misses) * 100 <= FOLDS_POINTS,
        f"IoU = F1 / (2 - F1) in all rows up to {100 * max(misses):.2f} points: both are pooled over pixels; Dice, the "
        "mean over images, differs from F1.",
    )


def _means_check() -> PrintedCheck:
    f1 = {row.model: row.printed["f1"] for row in (*segmented_rows("table4_1"), *segmented_rows("table4_2"))}
    misses = [abs(sum(map(float, folds)) / len(folds) - float(mean)) for folds, mean in fold_rows().values()]
    same = all(mean == f1[model] for model, (_, mean) in fold_rows().items())
    return PrintedCheck(
        "4.3",
        "means over folds",
        same and max(misses) <= 0.0101,
        f"They are the means of the five folds up to {max(misses):.3f}, and the F1 of tables 4.1 and 4.2. No fold of "
        "Hybrid-AttUnet++ is printed.",
    )


def _classes_check() -> PrintedCheck:
    named = printed_document()["classification"]["matrix"]
    found = reconstructed_classes()
    sizes = (found.positives or 0, found.negatives or 0)
    misses = sizes[0] - named["true_positive"], sizes[1] - named["true_negative"]
    return PrintedCheck(
        "figure 5.7",
        f"TN {named['true_negative']}, TP {named['true_positive']}",
        holds=True,
        finding=f"With the row of table 5.2 one matrix only is possible: FN {misses[0]}, FP {misses[1]}. The test set "
        f"had {sizes[0]} abnormal and {sizes[1]} normal images, {sum(sizes)} in all: "
        f"{100 * sum(sizes) / named['images']:.1f} % of {named['images']}, not 20 %.",
    )


def _claims_of_the_best() -> tuple[PrintedCheck, ...]:
    """Two sentences of the text about who is best, against the corrected rows."""
    single = {row.model: row for row in classified_rows("table5_1")}
    joined = classified_rows("table5_2")[-1]
    others = [row for row in classified_rows("table5_2") if row is not joined]
    lost = [f"{row.model} {100 * row.value('sensitivity'):.2f}" for row in others if _beats(row, joined, "sensitivity")]
    recalls = sorted(single.values(), key=lambda row: row.value("sensitivity"), reverse=True)
    precisions = sorted(single.values(), key=lambda row: row.value("precision"), reverse=True)
    return (
        PrintedCheck(
            f"text: {joined.model} better than both on all four measures",
            f"recall {joined.printed['sensitivity']}",
            not lost,
            f"Not on recall: {joined.model} {100 * joined.value('sensitivity'):.2f}, {', '.join(lost)}.",
        ),
        PrintedCheck(
            "text: EfficientNet has the best recall",
            f"recall {single['EfficientNet'].printed['sensitivity']}",
            recalls[0].model == "EfficientNet",
            f"The best recall of the single models is that of {recalls[0].model} "
            f"({100 * recalls[0].value('sensitivity'):.2f}); {precisions[0].model} has the best precision "
            f"({100 * precisions[0].value('precision'):.2f}).",
        ),
    )


def _beats(one: PrintedRow, other: PrintedRow, measure: str) -> bool:
    return one.value(measure) > other.value(measure)


def fold_rows() -> dict[str, tuple[tuple[str, ...], str]]:
    """Table 4.3: model -> texts of its folds, text of its mean."""
    return {
        entry["model"]: (tuple(entry["folds"]), entry["mean"])
        for entry in printed_document()["segmentation"]["table4_3"]
    }


def printed_ablation() -> dict[str, tuple[str, dict[str, str]]]:
    """Table 4.4: switches ("", "MB", "MB DD", "MB DD EN") -> model, measure -> text."""
    return {
        entry["switches"]: (entry["model"], dict(zip(SEGMENTED[:3], entry["values"], strict=True)))
        for entry in printed_document()["segmentation"]["table4_4"]
    }


def claimed_gains() -> dict[tuple[str, str], tuple[dict[str, str], dict[str, str]]]:
    """Gains that the text claims: (model, other model) -> measure -> text; and those that differ from the tables.

    A claim is in order when it is the difference of the printed values, 0.01 either way, as both were rounded.

    Example:
        >>> claimed_gains()["Hybrid-AttUnet++", "AttUnet++"][1]
        {'iou': '17.42'}
    """
    document = printed_document()["segmentation"]
    values = {
        entry["model"]: dict(zip(SEGMENTED, entry["values"], strict=True))
        for table in ("table4_1", "table4_2")
        for entry in document[table]
    }
    steps = {switches: row for switches, (_, row) in printed_ablation().items()}
    found = {}
    for key, rows in (("claimed", values), ("claimed_ablation", steps)):
        for entry in document[key]:
            said = dict(zip(SEGMENTED[:3], entry["points"], strict=True))
            found[entry["of"], entry["over"]] = (said, _wrong(said, rows[entry["of"]], rows[entry["over"]]))
    return found


def _wrong(said: Mapping[str, str], better: Mapping[str, str], worse: Mapping[str, str]) -> dict[str, str]:
    """Differences that are not what is said."""
    wrong = {}
    for name, text in said.items():
        points = round(float(better[name]) - float(worse[name]), 2)
        if abs(points - float(text)) > 0.0101:
            wrong[name] = f"{points:.2f}"
    return wrong


def _check(rates: Mapping[str, str], allowance_points: float, classes: Classes | None) -> Consistency:
    return check(classes=classes, allowance_points=allowance_points, **dict(rates))


def _read(
    rates: Mapping[str, str], pair: tuple[str, str], *, allowance_points: float, classes: Classes | None = None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """What the two columns of a pair must be, and why; nothing where the row can be true as it stands."""
    found = _check(rates, allowance_points, classes)
    if found.possible:
        return {}, ()
    first, second = pair
    sizes = f" (of {classes.positives} abnormal and {classes.negatives} normal images)" if classes else ""
    why = tuple(f"As printed it cannot be{sizes}: {violation.message}." for violation in found.violations[:1])
    exchanged = {**rates, first: rates[second], second: rates[first]}
    if _check(exchanged, allowance_points, classes).possible:
        return {first: exchanged[first], second: exchanged[second]}, (
            *why,
            f"With {first} {exchanged[first]} and {second} {exchanged[second]} a confusion matrix gives the whole row.",
        )
    for lost, kept in ((first, second), (second, first)):
        fit = _check({name: text for name, text in exchanged.items() if name != lost}, allowance_points, classes)
        if fit.possible and fit.matrix is not None:
            meant = _rate(lost, fit.matrix)
            misprint = (
                f"{exchanged[lost]} is a misprint: with {kept} {exchanged[kept]} the rest asks for {lost} {meant}."
            )
            return {lost: f"about {meant}", kept: exchanged[kept]}, (*why, misprint)
    return {}, (*why, "No exchange of columns makes it fit.")


def _rate(name: str, matrix: tuple[int, int, int, int]) -> str:
    tp, fn, fp, tn = matrix
    part, whole = {"sensitivity": (tp, tp + fn), "precision": (tp, tp + fp), "specificity": (tn, tn + fp)}[name]
    return f"{100 * part / whole:.2f}"
