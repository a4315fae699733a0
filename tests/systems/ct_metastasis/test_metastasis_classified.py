"""Tables 5.1 and 5.2 from synthetic predictions: measured beside published and corrected values, matrices, claims."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from sklearn import metrics

from osteon.data import Predictions
from osteon.metrics.bootstrap import Resampling, patient_bootstrap
from osteon.systems.ct_metastasis.study import classification_comparisons, classification_tables, classifier_rows
from osteon.systems.ct_metastasis.study_rows import CLASSIFIERS

FEW = Resampling(repeats=60, seed=1)


def synthetic(shift: float, seed: int = 0) -> Predictions:
    """Validation rows, and a test part of twelve patients with five slices each."""
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(16), 5)
    truth = (np.arange(80) % 5 < 1 + patient % 3).astype(np.int64)
    margin = generator.normal(size=80) + shift * (2 * truth - 1)
    return Predictions(
        image=np.array([f"{i}.png" for i in range(80)]),
        patient=np.array([f"P{p}" for p in patient]),
        series=np.full(80, ""),
        truth=truth,
        logits=np.stack([np.zeros(80), margin], axis=1).astype(np.float32),
        fold=np.zeros(80, dtype=np.int64),
        part=np.where(patient < 4, "validation", "test"),
        temperature=np.ones(80),
        classes=("normal", "metastasis"),
        positive="metastasis",
    )


@pytest.fixture(scope="module")
def predictions() -> Mapping[str, Predictions]:
    return {row.run: synthetic(0.4 + 0.1 * number, number) for number, row in enumerate(CLASSIFIERS)}


def test_measures_are_scikit_learns_on_the_test_part_alone(predictions: Mapping[str, Predictions]) -> None:
    table = predictions["classify_vit_tiny"]
    found = classifier_rows({"classify_vit_tiny": table}, {}, FEW)["classify_vit_tiny"].measured
    assert found is not None
    test = table.of(part="test")
    predicted = test.probability >= 0.5
    assert found["f1"].over_patients.value == pytest.approx(metrics.f1_score(test.is_positive, predicted))
    assert found["sensitivity"].over_patients.value == pytest.approx(metrics.recall_score(test.is_positive, predicted))
    assert found["specificity"].over_patients.value == pytest.approx(
        metrics.recall_score(~test.is_positive, ~predicted)
    )
    assert found["precision"].over_patients.value == pytest.approx(metrics.precision_score(test.is_positive, predicted))
    assert found["auc"].over_patients.value == pytest.approx(metrics.roc_auc_score(test.is_positive, test.probability))
    assert (found["accuracy"].over_patients.patients, found["accuracy"].over_patients.images) == (12, 60)
    alone = patient_bootstrap("f1", test.is_positive, test.probability, test.patient, resampling=FEW)
    assert (found["f1"].over_patients.low, found["f1"].over_patients.high) == (alone.low, alone.high)


def test_printed_and_corrected_values_stand_below_the_measured_ones(predictions: Mapping[str, Predictions]) -> None:
    lost = {name: table for name, table in predictions.items() if name != "classify_deit_tiny"}
    models = classifier_rows(lost, {"classify_deit_tiny": "failed"}, FEW)
    single, joined, matrices = classification_tables(models, lost, ("A note.",))
    rows = {row[0]: number for number, row in enumerate(single.rows) if row[0]}
    assert list(rows) == [
        "ResNeXt50",
        "DenseNet201",
        "EfficientNet",
        "Inception V3",
        "ViT Small",
        "ViT Tiny",
        "DeiT Small",
        "DeiT Tiny",
    ]
    inception = rows["Inception V3"]
    assert single.rows[inception + 1][2:] == ("80.96", "79.34", "90.37†", "45.17†", "", "")
    assert single.rows[inception + 2][2:] == ("", "", "about 70.71", "90.37", "91.94", "")
    assert single.rows[rows["DeiT Tiny"]][1] == "failed"
    assert [row[0] for row in joined.rows if row[0]] == ["ResNeXt50", "ViT Tiny", "ViT Tiny + ResNeXt50"]
    assert joined.rows[-2][2:6] == ("88.41", "87.65", "79.55", "97.59"), "no dagger: this row can be"
    assert matrices.rows[-1] == (
        "ViT Tiny + ResNeXt50",
        "thesis",
        "4952",
        "1273 (worked out)",
        "122 (worked out)",
        "5694",
    )
    assert sum(map(int, matrices.rows[0][2:])) == 60
    assert all("A note." in table.notes for table in (single, joined, matrices))
    record = next(r for r in single.records if (r["run"], r["measure"]) == ("classify_resnext50", "specificity"))
    assert (record["published"], record["published_corrected"]) == (None, pytest.approx(0.9371))


def test_claims_of_the_best_are_tested(predictions: Mapping[str, Predictions]) -> None:
    table = classification_comparisons(predictions, resampling=FEW)
    assert len(table.rows) == 9
    published = {row[0]: row[-1] for row in table.rows}
    assert published["ViT Tiny + ResNeXt50 minus ViT Tiny"] == "+1.08"
    assert published["ViT Tiny + ResNeXt50 minus ResNeXt50"] == "+7.57"
    assert published["ViT Tiny minus ResNeXt50"] == "+6.49"
    assert classification_comparisons({}, resampling=FEW).rows == ()
