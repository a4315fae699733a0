"""The published values of the thesis: every entry of published.json against arithmetic and against the spec.

Nothing is corrected by hand: a row is read otherwise only where no confusion matrix can give it as it stands, and one
can when two columns are exchanged (or exchanged and one number left out).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from osteon.metrics.confusion_space import matrix_fits, parse_published
from osteon.metrics.consistency import Classes, Consistency, check
from osteon.study.published import PublishedRow, read_published

PUBLISHED = read_published("osteon.systems.ct_metastasis")
SEGMENTED = ("f1", "dice", "iou", "accuracy", "specificity", "sensitivity", "precision")
CLASSIFIED = ("accuracy", "f1", "sensitivity", "precision")
FOLDS_POINTS = 0.06
"""Percentage points by which means of ratios over five folds miss the rules that one matrix obeys."""
TEST_POINTS = 0.02
"""Percentage points by which the rows of chapter 5 miss them: some of its numbers were cut off, not rounded."""
MATRIX = PUBLISHED.facts["matrix"]
CLASSES = Classes(positives=MATRIX["positives"], negatives=MATRIX["negatives"])

# specs/bone-metastasis.md, 5.1 and 5.2: corrected sensitivity, specificity; None where the row stands
SEGMENTED_AS_THEY_MUST_BE = {
    "Unet": ("78.75", "99.46"),
    "AttUnet": ("79.20", "99.44"),
    "Unet++": ("79.41", "99.46"),
    "AttUnet++": None,
    "Hybrid-AttUnet++": ("81.88", "99.53"),
    "EH-AttUnet++": None,
    "Sequential (Unet, AttUnet)": ("74.54", "99.50"),
    "Sequential (Unet, Unet++)": ("75.14", "99.49"),
    "Sequential (Unet, AttUnet++)": ("76.33", "99.45"),
}
# 5.6: sensitivity, precision, specificity
CLASSIFIED_AS_THEY_MUST_BE = {
    "ResNeXt50": ("70.69", "92.32", 93.7),
    "DenseNet201": ("66.39", "93.35", 94.9),
    "EfficientNet": ("65.34", "93.92", 95.5),
    "Inception V3": ("about 70.71", "90.37", 91.9),
    "ViT Small": ("72.76", "85.16", 86.4),
    "ViT Tiny": ("81.40", "92.44", 92.88),
    "DeiT Small": ("54.88", "88.75", 92.6),
    "DeiT Tiny": ("48.80", "88.03", 92.9),
}


def value(row: PublishedRow, measure: str) -> float:
    return row.numbers(measure)[0]


def read(
    rates: Mapping[str, str], pair: tuple[str, str], points: float, classes: Classes | None = None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """What the two columns of a pair must be, and why; nothing where the row can be true as it stands."""

    def checked(texts: Mapping[str, str]) -> Consistency:
        return check(classes=classes, allowance_points=points, **dict(texts))

    found = checked(rates)
    if found.possible:
        return {}, ()
    first, second = pair
    sizes = f" (of {classes.positives} abnormal and {classes.negatives} normal images)" if classes else ""
    why = tuple(f"As published it cannot be{sizes}: {violation.message}." for violation in found.violations[:1])
    exchanged = {**rates, first: rates[second], second: rates[first]}
    if checked(exchanged).possible:
        words = (
            f"With {first} {exchanged[first]} and {second} {exchanged[second]} a confusion matrix gives the whole row."
        )
        return {first: exchanged[first], second: exchanged[second]}, (*why, words)
    for lost, kept in ((first, second), (second, first)):
        fit = checked({name: text for name, text in exchanged.items() if name != lost})
        if fit.possible and fit.matrix is not None:
            tp, fn, fp, _ = fit.matrix
            meant = f"{100 * tp / {'sensitivity': tp + fn, 'precision': tp + fp}[lost]:.2f}"
            words = f"{exchanged[lost]} is a misprint: with {kept} {exchanged[kept]} the rest asks for {lost} {meant}."
            return {lost: f"about {meant}", kept: exchanged[kept]}, (*why, words)
    return {}, (*why, "No exchange of columns makes it fit.")


def finding_of(where: str) -> tuple[str, ...]:
    return next(row for row in PUBLISHED.checks[0].rows if row[0] == where)


def test_the_printed_text_is_the_specs() -> None:
    tables = PUBLISHED.tables
    unet, ensemble = tables["table4_1"]["Unet"], tables["table4_2"]["EH-AttUnet++"]
    assert " ".join(unet.values[name] for name in SEGMENTED) == "79.46 72.26 65.93 98.91 78.75 99.46 80.22"
    assert ensemble.values == tables["table4_1"]["EH-AttUnet++"].values
    assert tables["table5_1"]["Inception V3"].values["precision"] == "45.17"
    assert tuple(tables["table4_3"]["EH-AttUnet++"].values.values()) == (
        "84.19",
        "83.49",
        "83",
        "83.96",
        "83.69",
        "83.67",
    )
    assert tables["table4_4"]["MB"].values == {"f1": "80.27", "dice": "72.63", "iou": "67.06"}
    assert tables["table5_1"]["ViT Tiny"].values == tables["table5_2"]["ViT Tiny"].values


@pytest.mark.parametrize("table", ["table4_1", "table4_2"])
def test_a_segmentation_row_is_corrected_only_where_arithmetic_asks_for_it(table: str) -> None:
    for name, row in PUBLISHED.tables[table].items():
        rates = {key: row.values[key] for key in ("f1", "accuracy", "specificity", "sensitivity", "precision")}
        corrected, reasons = read(rates, ("specificity", "sensitivity"), FOLDS_POINTS)
        assert row.corrected == corrected
        wanted = SEGMENTED_AS_THEY_MUST_BE[name]
        assert corrected == ({} if wanted is None else {"sensitivity": wanted[0], "specificity": wanted[1]})
        finding = " ".join(reasons) or "A confusion matrix gives the whole row."
        words = f"specificity {row.values['specificity']}, sensitivity {row.values['sensitivity']}"
        assert finding_of(f"4.{table[-1]} {name}")[1:] == (words, "NO" if reasons else "yes", finding)
        sensitivity, precision = value(row, "sensitivity"), value(row, "precision")
        harmonic = 2 * sensitivity * precision / (sensitivity + precision)
        assert value(row, "f1") == pytest.approx(harmonic, abs=6e-4), "F1 = 2PR / (P + R) as corrected"
        as_published = row.numbers("sensitivity", corrected=False)[0]
        wrong = 2 * as_published * precision / (as_published + precision)
        assert (abs(value(row, "f1") - wrong) > 0.05) == (wanted is not None)
        assert value(row, "iou") == pytest.approx(value(row, "f1") / (2 - value(row, "f1")), abs=6e-4)


@pytest.mark.parametrize("table", ["table5_1", "table5_2"])
def test_a_classification_row_is_corrected_only_where_arithmetic_asks_for_it(table: str) -> None:
    positives, negatives = MATRIX["positives"], MATRIX["negatives"]
    for name, row in PUBLISHED.tables[table].items():
        corrected, reasons = read(row.values, ("sensitivity", "precision"), TEST_POINTS, CLASSES)
        meant = {key: corrected.get(key, text) for key, text in row.values.items()}
        given = {key: text for key, text in meant.items() if not text.startswith("about")}
        fit = check(classes=CLASSES, allowance_points=TEST_POINTS, **given).matrix
        assert fit is not None
        assert row.corrected == {**corrected, "specificity": f"{100 * fit[3] / (fit[3] + fit[2]):.2f}"}
        finding = " ".join(reasons) or "A confusion matrix gives the whole row."
        words = f"sensitivity {row.values['sensitivity']}, precision {row.values['precision']}"
        assert finding_of(f"5.{table[-1]} {name}")[1:] == (words, "NO" if reasons else "yes", finding)
        if name in CLASSIFIED_AS_THEY_MUST_BE:
            sensitivity, precision, specificity = CLASSIFIED_AS_THEY_MUST_BE[name]
            assert corrected == {"sensitivity": sensitivity, "precision": precision}
            assert float(row.corrected["specificity"]) == pytest.approx(specificity, abs=0.06)
        right = value(row, "sensitivity") * positives + value(row, "specificity") * negatives
        assert value(row, "accuracy") == pytest.approx(right / (positives + negatives), abs=2e-4)
    assert not (set(PUBLISHED.tables["table5_2"]["ViT Tiny + ResNeXt50"].corrected) - {"specificity"})


def test_the_test_set_is_reconstructed_from_two_counts_and_a_row() -> None:
    assert (MATRIX["positives"], MATRIX["negatives"]) == (6225, 5816)
    row = PUBLISHED.tables["table5_2"][MATRIX["model"]]
    tp, tn = MATRIX["true_positive"], MATRIX["true_negative"]
    wanted = parse_published(row.values, allowance_points=0.005)
    # by trying every matrix in a wide box, exactly and with plain floats
    fits, plain = [], []
    for fn in range(1200, 1350):
        for fp in range(80, 160):
            if matrix_fits((tp, fn, fp, tn), wanted):
                fits.append((fn, fp))
            rates = ((tp + tn) / (tp + tn + fp + fn), 2 * tp / (2 * tp + fp + fn), tp / (tp + fn), tp / (tp + fp))
            published = [100 * number for key in CLASSIFIED for number in row.numbers(key, corrected=False)]
            if all(abs(100 * rate - number) <= 0.01 + 1e-9 for rate, number in zip(rates, published, strict=True)):
                plain.append((fn, fp))
    assert fits == plain == [(1273, 122)]
    assert (MATRIX["positives"] - tp, MATRIX["negatives"] - tn) == (1273, 122)
    found = finding_of("figure 5.7")
    assert "FN 1273, FP 122" in found[3]
    assert "6225 abnormal and 5816 normal images, 12041 in all: 15.1 % of 79533" in found[3]
    assert round(100 * 12041 / MATRIX["images"], 1) == 15.1


def test_means_over_folds_are_means_and_their_spread_is_the_specs() -> None:
    deviations = {"Unet": 1.24, "AttUnet++": 2.77, "EH-AttUnet++": 0.46}
    misses = []
    for model, row in PUBLISHED.tables["table4_3"].items():
        *folds, mean = map(float, row.values.values())
        misses.append(abs(np.mean(folds) - mean))
        if model in deviations:
            assert np.std(folds, ddof=1) == pytest.approx(deviations[model], abs=0.006)
        published = PUBLISHED.row(model)
        assert published is not None
        assert row.values["mean"] == published.values["f1"]
    assert f"up to {max(misses):.3f}" in finding_of("4.3")[3]


def test_claimed_gains_that_the_tables_do_not_give_are_named() -> None:
    titles = {"f1": "F1", "dice": "Dice", "iou": "IoU"}
    wrong = {}
    for claim in PUBLISHED.facts["claims"]:
        rows = [PUBLISHED.tables["table4_4"].get(claim[key]) or PUBLISHED.row(claim[key]) for key in ("of", "over")]
        assert all(rows)
        points = {
            key: round(100 * (better - worse), 2)
            for key in titles
            for better, worse in [[row.numbers(key, corrected=False)[0] for row in rows if row]]
        }
        said = dict(zip(titles, claim["points"], strict=True))
        differs = {key: f"{points[key]:.2f}" for key, text in said.items() if abs(points[key] - float(text)) > 0.0101}
        words, gains = (", ".join(f"{titles[key]} +{text}" for key, text in texts.items()) for texts in (said, differs))
        finding = f"The tables give {gains}." if differs else "The tables' own differences."
        row = finding_of(f"text: {claim['of']} over {claim['over'] or 'the baseline'}")
        assert row[1:] == (words, "NO" if differs else "yes", finding)
        if differs:
            wrong[claim["of"], claim["over"]] = differs
    assert wrong == {
        ("Hybrid-AttUnet++", "AttUnet++"): {"iou": "17.42"},
        ("MB DD", "MB"): {"dice": "3.07", "iou": "2.83"},
        ("MB DD EN", "MB DD"): {"f1": "1.40", "dice": "1.35", "iou": "2.03"},
    }


def test_who_is_best_is_said_wrongly_twice() -> None:
    single = PUBLISHED.tables["table5_1"]
    *others, joined = PUBLISHED.tables["table5_2"].values()
    beaten = [row.title for row in others if value(row, "sensitivity") > value(joined, "sensitivity")]
    assert beaten == ["ViT Tiny"]
    assert finding_of(f"text: {joined.title} better than both on all four measures")[2:] == (
        "NO",
        f"Not on recall: {joined.title} 79.55, ViT Tiny 81.40.",
    )
    best = {key: max(single.values(), key=lambda row: value(row, key)).title for key in ("sensitivity", "precision")}
    assert best == {"sensitivity": "ViT Tiny", "precision": "EfficientNet"}
    assert finding_of("text: EfficientNet has the best recall")[2] == "NO"


def test_every_check_is_a_row_and_a_record() -> None:
    (table,) = PUBLISHED.checks
    assert len(table.rows) == 10 + 11 + 3 + 11 + 2
    assert [record["can_be_true"] for record in table.records] == [row[2] == "yes" for row in table.rows]
    rows = [row for name in ("table4_1", "table4_2") for row in PUBLISHED.tables[name].values()]
    misses = [abs(value(row, "iou") - value(row, "f1") / (2 - value(row, "f1"))) for row in rows]
    assert f"up to {100 * max(misses):.2f} points" in finding_of("4.1, 4.2")[3]
    assert f"Allowed: {FOLDS_POINTS} points where means over folds are published, {TEST_POINTS} in" in table.notes[1]
