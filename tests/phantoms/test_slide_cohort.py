"""A made-up study of slides: who is in it, and tiles whose class is what the map says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from osteon.data.slide import TILE_CLASSES
from osteon.errors import InputError
from osteon.io.table import read_manifest
from osteon_phantoms.cohorts.slide import SlideStudy, build_slide_cohort
from osteon_phantoms.slide import make_slide
from osteon_phantoms.slide_cohort import TileOptions, draw_places, slide_cohort

SMALL = TileOptions(pixels=128, slides=2, tiles=2, jpeg=None)


def test_a_longer_cohort_begins_with_the_shorter_one() -> None:
    people = slide_cohort(9, seed=3)
    assert slide_cohort(4, seed=3) == people[:4]
    assert slide_cohort(4, seed=4) != people[:4]
    assert len({person.slides[0].stain for person in people}) == 9
    assert len({person.slides[0].habit for person in people}) == 9
    assert len({slide.seed for person in people for slide in person.slides}) == 27
    for person in people:
        assert len({slide.habit for slide in person.slides}) == 1
        strengths = [slide.stain.haematoxylin for slide in person.slides]
        assert max(strengths) / min(strengths) < 1.3


def test_tiles_are_of_their_class_and_lie_apart() -> None:
    spec = slide_cohort(1, seed=5, options=SMALL)[0].slides[0]
    slide = make_slide(spec)
    places = draw_places(slide, SMALL)
    assert draw_places(make_slide(spec), SMALL) == places
    assert {place.label for place in places} == set(TILE_CLASSES)
    side = SMALL.pixels
    for place in places:
        rows, columns = np.mgrid[place.row : place.row + side, place.column : place.column + side]
        seen = slide.class_at(rows, columns)
        tissue = seen > 0
        assert (seen == TILE_CLASSES.index(place.label) + 1)[tissue].mean() == pytest.approx(place.share, abs=0.04)
        assert tissue.mean() == pytest.approx(place.tissue, abs=0.04)
        assert place.share >= 0.9
        assert place.tissue >= 0.3
    for index, place in enumerate(places):
        for other in places[:index]:
            assert max(abs(place.row - other.row), abs(place.column - other.column)) >= side / 2


def test_the_data_set_is_what_was_drawn(tmp_path: Path) -> None:
    import cv2

    built = build_slide_cohort(tmp_path / "tiles", SlideStudy(patients=2, seed=2, test=0.5), options=SMALL)
    manifest = read_manifest(tmp_path / "tiles" / "manifest.csv")
    assert manifest.labels == tuple(sorted(TILE_CLASSES))
    assert manifest.patients == ("H0001", "H0002")
    assert {row.split for row in manifest.rows} == {"train", "test"}
    for patient in manifest.patients:
        assert {row.label for row in manifest.rows if row.patient == patient} == set(TILE_CLASSES)
    row = manifest.rows[-1]
    assert float(row.text("microns_per_pixel")) == pytest.approx(8)
    assert row.text("synthetic") == "yes"
    stored = cv2.imread(str(tmp_path / "tiles" / row.image))
    assert stored is not None
    spec = slide_cohort(2, seed=2, options=SMALL)[1].slides[int(row.text("slide")[-1]) - 1]
    drawn = make_slide(spec).read(0, int(row.text("row")), int(row.text("column")), 128, 128)
    np.testing.assert_array_equal(stored[:, :, ::-1], drawn)
    again = build_slide_cohort(tmp_path / "tiles", SlideStudy(patients=2, seed=2, test=0.5), options=SMALL)
    assert (built.made, again.made) == (2, 0)


def test_what_is_no_cohort_is_refused() -> None:
    with pytest.raises(InputError, match="1 to 9999 patients, found 0"):
        slide_cohort(0)
    with pytest.raises(InputError, match=r"pixels of 0\.1 to 8 um"):
        TileOptions(pixels=8)
    with pytest.raises(InputError, match="1 to 50 slides"):
        TileOptions(slides=0)
    with pytest.raises(InputError, match="JPEG qualities"):
        TileOptions(jpeg=(90, 80))
