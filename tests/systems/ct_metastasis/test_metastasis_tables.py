"""Tables 4.1 to 4.4 from synthetic counts: what stands where, with which warnings; and the tests of the claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from osteon.errors import InputError
from osteon.metrics.bootstrap import Resampling
from osteon.metrics.folds import corrected_t_test, fold_interval
from osteon.metrics.segmentation import PixelCounts, pooled
from osteon.report.blocks import Table, table_csv, table_markdown
from osteon.study.tables import compare_masks, evaluate_masks
from osteon.systems.ct_metastasis.study import segmentation_comparisons, segmentation_tables, segmenter_rows
from osteon.systems.ct_metastasis.study_rows import LITERAL, NESTED, SEGMENTERS
from osteon.train.counts import SegmentCounts

FEW = Resampling(repeats=60, seed=1)


def synthetic(share: float, seed: int = 0) -> SegmentCounts:
    """Five folds of two patients with three images each; a method that finds about this share of 100 pixels."""
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(10), 3)
    found = generator.binomial(100, np.clip(share + 0.05 * generator.normal(size=10)[patient], 0.02, 0.98))
    extra = generator.binomial(40, 1 - share, 30)
    return SegmentCounts(
        image=np.array([f"{n}.png" for n in range(30)]),
        patient=np.array([f"P{p}" for p in patient]),
        fold=(patient // 2).astype(np.int64),
        part=np.full(30, "test"),
        output=np.full(30, "lesion"),
        counts=PixelCounts(found, extra, 100 - found, 4096 - 100 - extra),
    )


@pytest.fixture(scope="module")
def counted() -> Mapping[str, SegmentCounts]:
    return {row.run: synthetic(0.6 + 0.02 * number, number) for number, row in enumerate(SEGMENTERS)}


@pytest.fixture(scope="module")
def tables(counted: Mapping[str, SegmentCounts]) -> Mapping[str, Table]:
    return {table.name: table for table in segmentation_tables(segmenter_rows(counted, {}, FEW), ("A note.",))}


def _block(table: Table, title: str) -> list[tuple[str, ...]]:
    """The lines of one method."""
    start = next(number for number, row in enumerate(table.rows) if row[0] == title)
    rest = table.rows[start + 1 :]
    stop = next((number for number, row in enumerate(rest) if row[0]), len(rest))
    return [table.rows[start], *rest[:stop]]


def test_a_method_stands_in_two_measured_lines_above_what_is_printed(
    counted: Mapping[str, SegmentCounts], tables: Mapping[str, Table]
) -> None:
    lines = _block(tables["table4_1"], "Unet")
    assert [line[1] for line in lines] == ["mean of 5 folds", "all test images", "published", "published, corrected"]
    assert lines[2][2:] == ("79.46", "72.26", "65.93", "98.91", "78.75†", "99.46†", "80.22")
    assert lines[3][2:] == ("", "", "", "", "99.46", "78.75", "")
    found = counted["unet"]
    whole = pooled(found.counts, found.patient, resampling=FEW)["f1"]
    assert lines[1][2] == f"{100 * whole.value:.2f} ({100 * whole.low:.2f} to {100 * whole.high:.2f})"
    by_fold = []
    for fold in range(5):
        tp, fp, fn, _ = found.counts.table[found.fold == fold].sum(axis=0)
        by_fold.append(2 * tp / (2 * tp + fp + fn))
    over = fold_interval(by_fold)
    assert lines[0][2] == f"{100 * over.mean:.2f} ({100 * over.low:.2f} to {100 * over.high:.2f})"
    evaluated = evaluate_masks(found, resampling=FEW)["f1"]
    assert list(evaluated.by_fold) == pytest.approx(by_fold)
    assert [line[1] for line in _block(tables["table4_1"], "AttUnet++")][-1] == "published", (
        "this row stands as published"
    )
    assert [line[1] for line in _block(tables["table4_1"], "Unet++, plain block")] == [
        "mean of 5 folds",
        "all test images",
    ]


def test_every_row_of_every_table_is_there(tables: Mapping[str, Table]) -> None:
    titles = {name: [row[0] for row in table.rows if row[0]] for name, table in tables.items()}
    assert titles["table4_2"] == [
        "Sequential (Unet, AttUnet)",
        "Sequential (Unet, Unet++)",
        "Sequential (Unet, AttUnet++)",
        "EH-AttUnet++, nested",
        "EH-AttUnet++, literal (LEAKS)",
    ]
    assert len(titles["table4_3"]) == len(SEGMENTERS)
    assert titles["table4_4"] == ["AttUnet++", "AttUnet++ with MB", "Hybrid-AttUnet++", "EH-AttUnet++, nested"]
    ticks = [row[1:4] for row in tables["table4_4"].rows if row[0]]
    assert ticks == [("", "", ""), ("yes", "", ""), ("yes", "yes", ""), ("yes", "yes", "yes")]
    assert _block(tables["table4_4"], "AttUnet++ with MB")[2][4:] == ("published", "80.27", "72.63", "67.06")
    folds = _block(tables["table4_3"], "EH-AttUnet++, nested")
    assert folds[1] == ("", "published", "84.19", "83.49", "83", "83.96", "83.69", "83.67", "")


def test_warnings_and_notes_are_inside_every_file(tables: Mapping[str, Table]) -> None:
    for name, table in tables.items():
        assert "* A note." in table_markdown(table)
        assert "# A note." in table_csv(table)
        assert ("LEAKS: in the literal ensemble" in table_markdown(table)) == (name != "table4_4")
    assert "stands for which published row" in table_markdown(tables["table4_1"])


def test_runs_that_are_missing_have_a_word_and_tables_stay_whole(counted: Mapping[str, SegmentCounts]) -> None:
    some = {name: found for name, found in counted.items() if name in {"unet", "attunet"}}
    tables = segmentation_tables(segmenter_rows(some, {"unetpp": "failed"}, FEW))
    assert _block(tables[0], "Unet++")[0][1] == "failed"
    assert _block(tables[0], "Hybrid-AttUnet++")[0][1] == "not run"
    assert _block(tables[0], "Hybrid-AttUnet++")[1][1] == "published"
    assert not any("LEAKS:" in note for table in tables for note in table.notes)
    empty = segmentation_tables(segmenter_rows({}, {}, FEW))
    assert [len(table.rows) > 0 for table in empty] == [True] * 4
    assert segmentation_comparisons({}, resampling=FEW).rows == ()


def test_the_claims_of_the_thesis_are_tested_in_pairs(counted: Mapping[str, SegmentCounts]) -> None:
    table = segmentation_comparisons(counted, resampling=FEW)
    assert len(table.rows) == 10
    published = {row[0]: row[-1] for row in table.rows}
    assert published["Hybrid-AttUnet++ minus AttUnet++"] == "+13.49"
    assert published["AttUnet++ with MB minus AttUnet++"] == "+11.49"
    assert published["Hybrid-AttUnet++ minus AttUnet++ with MB"] == "+2.0"
    assert published["EH-AttUnet++, nested minus Hybrid-AttUnet++"] == "+1.40"
    assert published["EH-AttUnet++, nested minus Sequential (Unet, Unet++)"] == "+6.13"
    assert LITERAL not in {record["run"] for record in table.records}
    record = next(r for r in table.records if (r["run"], r["reference"]) == (NESTED, "hybrid_attunetpp"))
    one, two = (evaluate_masks(counted[name], resampling=FEW)["f1"] for name in (NESTED, "hybrid_attunetpp"))
    assert record["difference"] == pytest.approx(one.over_patients.value - two.over_patients.value)
    test = corrected_t_test(one.by_fold, two.by_fold)
    assert record["p_corrected_t"] == pytest.approx(test.p_value)
    assert all(r["p_holm"] >= r["p_bootstrap"] for r in table.records)  # type: ignore[operator]


def test_folds_without_a_value_are_named(counted: Mapping[str, SegmentCounts]) -> None:
    found = counted["unet"]
    nothing = PixelCounts(*(column.copy() for column in found.counts.table.T))
    silent = found.fold == 2
    nothing.false_negative[silent] += nothing.true_positive[silent]
    nothing.true_negative[silent] += nothing.false_positive[silent]
    nothing.true_positive[silent] = nothing.false_positive[silent] = 0
    table = segmentation_tables(segmenter_rows({"unet": replace(found, counts=nothing)}, {}, FEW))[0]
    assert any(note.endswith("left out of a mean: Unet Precision 1.") for note in table.notes)


def test_pairs_need_the_same_images_in_any_order(counted: Mapping[str, SegmentCounts]) -> None:
    one, two = counted["unet"], counted["attunet"]
    shuffled = two.where(np.random.default_rng(1).permutation(30))
    same = compare_masks(one, two, resampling=FEW).over_patients
    assert compare_masks(one, shuffled, resampling=FEW).over_patients == same
    with pytest.raises(InputError, match="same images"):
        compare_masks(one, two.where(np.arange(29)), resampling=FEW)
