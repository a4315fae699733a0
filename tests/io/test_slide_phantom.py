"""A synthetic slide as files: what is read back is what was drawn, and the truth beside it is its truth."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from osteon.errors import InputError, OutputError
from osteon.io.image import write_colour
from osteon.io.slide import open_slide
from osteon_phantoms.files import write_slide_phantom
from osteon_phantoms.slides.slide import make_slide
from osteon_phantoms.slides.spec import SlideSpec


def test_the_files_are_the_slide_and_its_truth(tmp_path: Path) -> None:
    drawn = make_slide(SlideSpec(seed=6, size=(700, 600), microns_per_pixel=2, region_um=300, necrosis_fraction=0.7))
    write_slide_phantom(drawn, tmp_path / "made")
    stored = open_slide(tmp_path / "made" / "slide.tif")
    assert stored.source.is_synthetic
    assert stored.microns_per_pixel == pytest.approx((2, 2), rel=1e-4)
    difference = stored.read(0, 200, 100, 300, 300).astype(int) - drawn.read(0, 200, 100, 300, 300)
    assert np.abs(difference).mean() < 6  # JPEG
    stored.close()
    truth = json.loads((tmp_path / "made" / "truth" / "truth.json").read_text())
    assert truth["necrosis_fraction"] == pytest.approx(0.7, abs=5e-3)
    classes = cv2.imread(str(tmp_path / "made" / "truth" / "classes.png"), cv2.IMREAD_UNCHANGED)
    assert classes is not None
    np.testing.assert_array_equal(classes, drawn.true_map(step_um=truth["map_microns_per_pixel"]))
    counts = np.bincount(classes.ravel(), minlength=4)
    assert counts[2] / counts[2:].sum() == pytest.approx(truth["necrosis_fraction"], abs=0.01)
    assert truth["classes"]["2"] == "non_viable"
    assert "SYNTHETIC" in (tmp_path / "made" / "README.txt").read_text()
    with pytest.raises(OutputError, match="not empty"):
        write_slide_phantom(drawn, tmp_path / "made")


def test_a_colour_picture_is_what_was_given(tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    write_colour(tmp_path / "a.png", picture)
    stored = cv2.imread(str(tmp_path / "a.png"))
    assert stored is not None
    np.testing.assert_array_equal(stored[:, :, ::-1], picture)
    with pytest.raises(InputError, match=r"\.png or \.jpg from three colours"):
        write_colour(tmp_path / "a.bmp", picture)
    with pytest.raises(InputError, match=r"found \(5, 7\)"):
        write_colour(tmp_path / "a.png", picture[:, :, 0])
