"""A synthetic study of metastases as files in the layout of the public set."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from osteon.app.cli.phantom import Cohort, build_cohort
from osteon.io.table import read_manifest
from osteon.systems.ct_metastasis.options import LabelledOptions
from osteon_phantoms.study import TrunkStudy

if TYPE_CHECKING:
    from pathlib import Path

COHORT = Cohort(task="ct_metastasis", patients=8, seed=2, options=TrunkStudy(preset="tiny", healthy=0.25))
PICTURES = LabelledOptions(normal_slices=5)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trunks") / "set"
    built = build_cohort(COHORT, out, pictures=PICTURES).built
    assert not built.skipped
    return out


def rows_of(folder: Path) -> list[dict[str, Any]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_has_a_picture_with_its_masks_and_says_that_it_is_synthetic(dataset: Path) -> None:
    import cv2

    rows = rows_of(dataset)
    assert len(read_manifest(dataset).rows) == len(rows) > 40
    for row in rows:
        image, bone, lesion = (
            cv2.imread(str(dataset / row[name]), cv2.IMREAD_UNCHANGED) for name in ("image", "bone_mask", "lesion_mask")
        )
        assert image is not None
        assert bone is not None
        assert lesion is not None
        assert image.shape == bone.shape == lesion.shape == (224, 224)
        assert row["label"] == ("metastasis" if lesion.any() else "normal")
        # halves of pixels are rounded in either mask on its own
        assert ((lesion > 0) & (bone == 0)).sum() <= 2
        assert row["synthetic"] == "yes"
    assert "SYNTHETIC" in (dataset / "dataset.json").read_text("utf-8")


def test_the_healthy_give_normal_slices_only_and_the_ill_give_both(dataset: Path) -> None:
    rows = rows_of(dataset)
    labels: dict[str, set[str]] = {}
    for row in rows:
        labels.setdefault(row["patient"], set()).add(row["label"])
    assert len(labels) == 8
    assert sum(found == {"normal"} for found in labels.values()) == 2
    assert sum(found == {"normal", "metastasis"} for found in labels.values()) >= 5
    assert {row["split"] for row in rows} == {"train", "test"}
    assert all(len({row["split"] for row in rows if row["patient"] == name}) == 1 for name in labels)


def test_centres_ages_and_coverages_are_reported(dataset: Path) -> None:
    rows = rows_of(dataset)
    assert len({row["centre"] for row in rows}) == 4
    assert all(row["scanner"] and row["sex"] in "FM" and float(row["age_years"]) >= 18 for row in rows)
    assert {row["coverage"] for row in rows} <= {"thorax", "abdomen", "pelvis", "trunk"}
    assert all(row["position_mm"] for row in rows)


def test_the_share_of_lesion_pixels_is_of_the_order_of_the_public_set(dataset: Path) -> None:
    """2.7 % of the pixels there (derived), whose pictures may be cut closer about the body than 392 mm."""
    shares = [
        int(row["lesion_pixels"]) / int(row["pixels"]) for row in rows_of(dataset) if row["label"] == "metastasis"
    ]
    assert 0.001 < np.mean(shares) < 0.03


def test_the_same_study_is_not_made_again(dataset: Path) -> None:
    assert build_cohort(COHORT, dataset, pictures=PICTURES).built.made == 0
