"""The comparison of frozen networks on tiles: each patient by what the others taught, differences by patient."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from osteon.data import ImageRow, Manifest
from osteon.data.slide import TILE_CLASSES
from osteon.metrics.bootstrap import Resampling
from osteon.study.protocol import Choices
from osteon.systems.histology.study import plan_histology
from osteon.systems.histology.study_folds import linear_probability

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[3] / "scripts" / "tile_backbones.py"))
COLOURS = ((230, 220, 240), (190, 120, 170), (90, 50, 140))


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """Four patients with tiles of all classes, which their colours tell."""
    folder, random, rows = tmp_path_factory.mktemp("tiles"), np.random.default_rng(0), []
    for number in range(24):
        label = number % 3
        picture = np.clip(np.array(COLOURS[label]) + random.normal(0, 12, (64, 64, 3)), 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(folder / f"{number}.png"), picture[..., ::-1])
        rows.append(ImageRow(image=f"{number}.png", patient=f"P{number // 6}", label=TILE_CLASSES[label]))
    found: tuple[Any, ...] = SCRIPT["compare_backbones"](
        Manifest(folder, tuple(rows)),
        pixels=64,
        architectures=("efficientnet_lite0",),
        resampling=Resampling(repeats=100),
    )
    return found


def test_colours_are_told_apart_and_differences_are_those_of_the_rows(compared: tuple[Any, ...]) -> None:
    first, second, floor = compared
    assert (floor.architecture, floor.differences) == ("the commonest class", {})
    assert floor.accuracy.value == pytest.approx(1 / 3)
    assert (first.architecture, second.architecture) == ("mobilenet_v2", "efficientnet_lite0")
    assert first.accuracy.value > 0.9
    assert (first.differences, first.p_holm) == ({}, {})
    assert set(second.differences) == {"accuracy", "tumour_accuracy", "tumour_auc"} == set(second.p_holm)
    for measure, difference in second.differences.items():
        one, other = getattr(second, measure), getattr(first, measure)
        assert difference.value == pytest.approx(one.value - other.value)
        assert difference.low <= difference.value <= difference.high
        assert one.patients == 4
    assert min(second.p_holm.values()) >= 2 / 2**4, "four patients can tell no more"
    assert max(one.patient_told for one in compared[:2]) < 0.7, "these patients have no look of their own"


def test_the_table_has_a_row_for_each(compared: tuple[Any, ...]) -> None:
    lines = SCRIPT["table"](compared)
    assert len({line.count("|") for line in lines}) == 1
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| mobilenet_v2",
        "| efficientnet_lite0",
        "| the commonest class",
    ]


def test_a_class_that_the_other_patients_do_not_have_is_never_predicted() -> None:
    values, truth = np.eye(6)[:, :3] + np.arange(6)[:, None], np.array([0, 0, 1, 1, 2, 2])
    folds = tuple(np.array(rows) for rows in ([0, 1], [2, 3], [4, 5]))
    found = linear_probability(values, truth, folds)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert all(found[row, truth[row]] == 0 for row in range(6))
    alone = linear_probability(values[:4], truth[:4], folds[:2])
    assert alone.tolist() == [[0, 1], [0, 1], [1, 0], [1, 0]]


def test_the_study_takes_them_by_name_with_their_weights() -> None:
    (row,) = plan_histology(Choices(only=("networks",), networks=("efficientnet_lite1",)))
    assert (row.settings.architecture, row.settings.pretrained) == ("efficientnet_lite1_tiles", "embedded")
    assert row.name == "efficientnet_lite1-none"
