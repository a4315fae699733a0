"""The thesis's tables read as they must be: every marked entry, and nothing else, against the spec."""

from __future__ import annotations

import numpy as np
import pytest

from osteon.systems.ct_metastasis.published import (
    CLASSIFIED,
    SEGMENTED,
    PrintedRow,
    claimed_gains,
    classified_rows,
    fold_rows,
    printed_ablation,
    printed_checks,
    reconstructed_classes,
    segmented_rows,
)

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


def _row(table: str, model: str) -> PrintedRow:
    rows = segmented_rows(table) if table.startswith("table4") else classified_rows(table)
    return next(row for row in rows if row.model == model)


def test_the_printed_text_is_the_specs() -> None:
    unet, ensemble = _row("table4_1", "Unet"), _row("table4_2", "EH-AttUnet++")
    assert " ".join(unet.printed[name] for name in SEGMENTED) == "79.46 72.26 65.93 98.91 78.75 99.46 80.22"
    assert ensemble.printed == _row("table4_1", "EH-AttUnet++").printed
    assert _row("table5_1", "Inception V3").printed["precision"] == "45.17"
    assert fold_rows()["EH-AttUnet++"] == (("84.19", "83.49", "83", "83.96", "83.69"), "83.67")
    assert printed_ablation()["MB"] == ("AttUnet++", {"f1": "80.27", "dice": "72.63", "iou": "67.06"})


def test_seven_of_nine_segmentation_rows_have_two_columns_exchanged() -> None:
    rows = {row.model: row for table in ("table4_1", "table4_2") for row in segmented_rows(table)}
    assert set(rows) == set(SEGMENTED_AS_THEY_MUST_BE)
    for model, wanted in SEGMENTED_AS_THEY_MUST_BE.items():
        row = rows[model]
        assert row.corrected == ({} if wanted is None else {"sensitivity": wanted[0], "specificity": wanted[1]})
        assert bool(row.reasons) == bool(row.corrected)
        sensitivity, precision = row.value("sensitivity"), row.value("precision")
        harmonic = 2 * sensitivity * precision / (sensitivity + precision)
        assert row.value("f1") == pytest.approx(harmonic, abs=6e-4), "F1 = 2PR / (P + R) as corrected"
        as_printed = float(row.printed["sensitivity"]) / 100
        wrong = 2 * as_printed * precision / (as_printed + precision)
        assert (abs(row.value("f1") - wrong) > 0.05) == (wanted is not None)
        assert row.value("iou") == pytest.approx(row.value("f1") / (2 - row.value("f1")), abs=6e-4)


def test_every_row_of_table_5_1_is_exchanged_and_one_number_a_misprint() -> None:
    rows = {row.model: row for row in classified_rows("table5_1")}
    assert set(rows) == set(CLASSIFIED_AS_THEY_MUST_BE)
    classes = reconstructed_classes()
    positives, negatives = classes.positives or 0, classes.negatives or 0
    for model, (sensitivity, precision, specificity) in CLASSIFIED_AS_THEY_MUST_BE.items():
        row = rows[model]
        assert row.corrected == {"sensitivity": sensitivity, "precision": precision}
        assert float(row.specificity) == pytest.approx(specificity, abs=0.06)
        tp = row.value("sensitivity") * positives
        tn = float(row.specificity) / 100 * negatives
        assert row.value("accuracy") == pytest.approx((tp + tn) / (positives + negatives), abs=2e-4)
    assert any("45.17 is a misprint" in reason for reason in rows["Inception V3"].reasons)
    assert [bool(row.corrected) for row in classified_rows("table5_2")] == [True, True, False]
    assert _row("table5_2", "ViT Tiny + ResNeXt50").specificity == "97.90"
    assert rows["ViT Tiny"].printed == _row("table5_2", "ViT Tiny").printed


def test_the_test_set_is_reconstructed_from_two_counts_and_a_row() -> None:
    classes = reconstructed_classes()
    assert (classes.positives, classes.negatives) == (6225, 5816)
    # by trying every matrix in a wide box, with plain floats
    fits = []
    for fn in range(1200, 1350):
        for fp in range(80, 160):
            tp, tn = 4952, 5694
            rates = (
                (tp + tn) / (tp + tn + fp + fn),
                2 * tp / (2 * tp + fp + fn),
                tp / (tp + fn),
                tp / (tp + fp),
            )
            printed = (88.41, 87.65, 79.55, 97.59)
            if all(abs(100 * rate - text) <= 0.01 + 1e-9 for rate, text in zip(rates, printed, strict=True)):
                fits.append((fn, fp))
    assert fits == [(1273, 122)]


def test_means_over_folds_are_means_and_their_spread_is_the_specs() -> None:
    deviations = {"Unet": 1.24, "AttUnet++": 2.77, "EH-AttUnet++": 0.46}
    for model, (folds, mean) in fold_rows().items():
        values = np.array(folds, dtype=float)
        assert values.mean() == pytest.approx(float(mean), abs=0.0101)
        if model in deviations:
            assert values.std(ddof=1) == pytest.approx(deviations[model], abs=0.006)


def test_claimed_gains_that_the_tables_do_not_give_are_named() -> None:
    wrong = {pair: found for pair, (_, found) in claimed_gains().items() if found}
    assert wrong == {
        ("Hybrid-AttUnet++", "AttUnet++"): {"iou": "17.42"},
        ("MB DD", "MB"): {"dice": "3.07", "iou": "2.83"},
        ("MB DD EN", "MB DD"): {"f1": "1.40", "dice": "1.35", "iou": "2.03"},
    }


def test_the_list_of_checks_says_what_holds_too() -> None:
    checks = printed_checks()
    failed = {check.where for check in checks if not check.holds}
    assert len([where for where in failed if where.startswith(("4.1", "4.2"))]) == 7
    assert len([where for where in failed if where.startswith("5.")]) == 10
    assert "text: EfficientNet has the best recall" in failed
    assert "text: ViT Tiny + ResNeXt50 better than both on all four measures" in failed
    held = {check.where: check.finding for check in checks if check.holds}
    assert {"4.1, 4.2", "4.3", "figure 5.7"} <= set(held)
    assert "FN 1273, FP 122" in held["figure 5.7"]
    assert "6225 abnormal and 5816 normal images, 12041 in all" in held["figure 5.7"]
    assert all(name in CLASSIFIED for row in classified_rows("table5_1") for name in row.printed)
