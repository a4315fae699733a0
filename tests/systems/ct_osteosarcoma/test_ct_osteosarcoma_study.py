"""The protocol: which runs are planned, and tables that stand beside the published ones and say what cannot be."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from osteon.data import Predictions
from osteon.errors import UnknownLabelError
from osteon.metrics.bootstrap import Resampling
from osteon.report.blocks import Table
from osteon.study.plan import PlannedRun
from osteon.study.protocol import Choices
from osteon.study.published import read_published
from osteon.systems.ct_osteosarcoma.study import plan_runs, study_tables
from osteon.train.performance import evaluate_folds

FEW = Resampling(repeats=100, seed=1)


def _predictions(shift: float) -> Predictions:
    """Four folds of ten patients with two images each, evaluated once; a larger shift parts the classes better."""
    generator = np.random.default_rng(4)
    patient = np.repeat(np.arange(40), 2)
    truth = patient // 4 % 2
    margin = generator.normal(size=80) + shift * (2 * truth - 1)
    return Predictions(
        image=np.array([f"{i}.png" for i in range(80)]),
        patient=np.array([f"P{p}" for p in patient]),
        series=np.full(80, ""),
        truth=truth.astype(np.int64),
        logits=np.stack([np.zeros(80), margin], axis=1).astype(np.float32),
        fold=(patient % 4).astype(np.int64),
        part=np.full(80, "test"),
        temperature=np.ones(80),
        classes=("healthy", "tumour"),
        positive="tumour",
    )


def _tables(
    runs: tuple[PlannedRun, ...], predictions: dict[str, Predictions], notes: tuple[str, ...] = ()
) -> tuple[Table, ...]:
    evaluated = {name: evaluate_folds(table, resampling=FEW) for name, table in predictions.items()}
    return study_tables(runs, evaluated, predictions, notes, FEW)


def test_the_whole_study_is_four_baselines_and_eighteen_runs() -> None:
    runs = plan_runs(Choices())
    assert [run.name for run in runs[:4]] == [
        "baseline-densenet121",
        "baseline-densenet169",
        "baseline-resnet18",
        "baseline-resnet50",
    ]
    assert all(
        (run.settings.strategy, run.settings.epochs, run.settings.loss) == ("scratch", 15, "cross_entropy")
        for run in runs[:4]
    )
    rest = {(run.settings.configuration, run.settings.strategy): run for run in runs[4:]}
    assert len(rest) == 18
    assert rest["FAE", "g-lf"].settings.loss == "focal"
    assert rest["FAE", "g-lf"].settings.augments
    assert rest["CE", "ft"].settings.curates
    assert not rest["C", "ft"].settings.curates
    assert rest["CA", "lp-ft"].settings.epochs == 75


def test_parts_are_chosen_by_name_and_settings_reach_every_run() -> None:
    options = Choices(
        only=("CAE", "baselines"),
        strategies=("ft",),
        networks=("densenet_small",),
        values={"image_size": 64, "epochs": "7"},
        baseline_values={"learning_rate": 1e-3, "epochs": 3},
    )
    baseline, run = plan_runs(options)
    assert (baseline.name, baseline.settings.epochs, baseline.settings.image_size) == ("baseline-densenet_small", 3, 64)
    assert (run.name, run.settings.image_size, run.settings.epochs) == ("CAE-ft", 64, 7)
    with pytest.raises(UnknownLabelError, match="no part 'CEA'"):
        plan_runs(Choices(only=("CEA",)))
    with pytest.raises(UnknownLabelError, match="'lp-ft'"):
        plan_runs(Choices(strategies=("lp_ft",)))


def test_published_values_are_those_of_the_spec() -> None:
    tables = read_published("osteon.systems.ct_osteosarcoma").tables
    rows = {**tables["table1"], **tables["table3"]}
    published = {(name, key): row.interval(key) for name, row in rows.items() for key in row.values}
    assert len(published) == (4 + 18) * 3
    assert published["CAE-ft", "auc"] == (0.948, 0.930, 0.966)
    assert published["CA-lp-ft", "tnr"] == (0.863, 0.646, 1.081)
    assert published["baseline-resnet50", "tpr"] == (0.452, 0.306, 0.599)
    best = {"auc": "CA-ft", "tpr": "FAE-ft", "tnr": "CA-ft"}
    for key, name in best.items():
        assert max((found[0], run) for (run, k), found in published.items() if k == key and found)[1] == name


def test_tables_stand_beside_the_printed_values_and_name_the_impossible_ones() -> None:
    runs = plan_runs(Choices(only=("C", "CA"), strategies=("ft", "lp-ft")))
    predictions = {run.name: _predictions(0.3 * number) for number, run in enumerate(runs)}
    predictions["majority"] = replace(_predictions(0), logits=np.tile(np.array([1, 0], np.float32), (80, 1)))
    lost = {name: table for name, table in predictions.items() if name != "C-lp-ft"}
    table1, table2, table3, comparisons = _tables(runs, lost, ("A note.",))
    assert [row[1] for row in table1.rows[:4]] == ["not run"] * 4
    assert table1.rows[4][0] == "majority class"
    assert table1.rows[0][2] == "0.828 (0.765 to 0.892)"
    assert len(table2.rows) == 6
    assert table2.rows[4] == ("CAE", "yes", "", "yes", "yes")

    rows = {(row[0], row[1]): row for row in table3.rows}
    assert rows["C", "LP-FT"][2] == "failed"
    assert rows["CAE", "FT"][2] == "not run"
    assert rows["CA", "LP-FT"][3] == "0.905 (0.810 to 1.001)"
    measured = evaluate_folds(lost["CA-ft"], resampling=FEW)["auc"]
    assert rows["CA", "FT"][2].startswith(f"{measured.over_folds.mean:.3f} (folds {measured.over_folds.low:.3f} to ")
    assert f"patients {measured.over_patients.low:.3f} to {measured.over_patients.high:.3f})" in rows["CA", "FT"][2]
    impossible = next(note for note in table3.notes if "cannot be a range" in note)
    assert "CA LP-FT AUC 0.905 (0.810 to 1.001)" in impossible
    assert "CA LP-FT TNR (specificity) 0.863 (0.646 to 1.081)" in impossible
    assert impossible.count("CA LP-FT") == 2
    assert impossible.count("to 1.0") == 2
    assert "A note." in table3.notes
    assert any("leaves 0 to 1" in note for note in table3.notes) == any(
        "*" in cell for row in table3.rows for cell in row
    )

    record = next(r for r in table3.records if (r["run"], r["measure"]) == ("CA-ft", "auc"))
    assert record["mean"] == measured.over_folds.mean
    assert record["patients"] == 40
    assert [row[0] for row in comparisons.rows] == ["CA-ft", "CA-lp-ft"]
    assert comparisons.title.endswith("run C-ft"), "without CAE-ft the first run is the reference"


def test_a_study_without_results_still_has_its_tables() -> None:
    tables = _tables(plan_runs(Choices(only=("C",))), {})
    assert all(row[2] == "failed" for row in tables[2].rows[:1])
    assert tables[3].rows == ()
    assert all(math.isnan(record["mean"]) if record["mean"] is not None else True for record in tables[2].records)  # type: ignore[arg-type]
