"""What a DICOM radiograph says beside its pixels, and how folders of films are found and opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from osteon.data import Radiograph
from osteon.errors import InputError
from osteon.io import choose_series, find_images, open_image, open_volume
from osteon.io.image import load_radiograph
from tests.film_files import codes, notices, written

GREY = np.arange(12, dtype=np.uint16).reshape(3, 4)
SECONDARY = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return tmp_path / "film.dcm"


@pytest.mark.parametrize(
    ("attributes", "spacing", "plane", "said"),
    [
        ({}, None, "", set()),
        ({"ImagerPixelSpacing": ["0.15", "0.14"]}, (0.15, 0.14), "detector", set()),
        ({"ImagerPixelSpacing": ["0.15", "0.14"], "PixelSpacing": ["0.15", "0.14"]}, (0.15, 0.14), "detector", set()),
        ({"ImagerPixelSpacing": ["0.143", "0.143"], "PixelSpacing": ["0.14302", "0.14298"]}, (0.143, 0.143), "detector",
         set()),
        ({"ImagerPixelSpacing": ["0.15", "0.15"], "PixelSpacing": ["0.12", "0.12"]}, (0.12, 0.12), "calibrated", set()),
        ({"PixelSpacing": ["0.12", "0.12"], "PixelSpacingCalibrationType": "FIDUCIAL"}, (0.12, 0.12), "calibrated",
         set()),
        ({"ImagerPixelSpacing": ["0.2", "0.2"], "PixelSpacing": ["0.2", "0.2"],
          "PixelSpacingCalibrationType": "GEOMETRY"}, (0.2, 0.2), "calibrated", set()),
        ({"PixelSpacing": ["0.12", "0.12"]}, (0.12, 0.12), "detector", {"spacing-not-calibrated"}),
        ({"ImagerPixelSpacing": ["0.15", "0.3"], "EstimatedRadiographicMagnificationFactor": "1.5"}, (0.1, 0.2),
         "calibrated", {"spacing-magnification"}),
        ({"ImagerPixelSpacing": ["0.15", "0.15"], "EstimatedRadiographicMagnificationFactor": "1"}, (0.15, 0.15),
         "detector", set()),
        ({"ImagerPixelSpacing": ["0.15", "0.15"], "EstimatedRadiographicMagnificationFactor": "0"}, (0.15, 0.15),
         "detector", {"magnification-broken"}),
        ({"ImagerPixelSpacing": ["0.15", "0.15"], "PixelSpacing": ["0.1", "0.1"],
          "EstimatedRadiographicMagnificationFactor": "1.5"}, (0.1, 0.1), "calibrated", set()),
        ({"NominalScannedPixelSpacing": ["0.3", "0.3"], "sop_class": SECONDARY, "Modality": "OT"}, (0.3, 0.3),
         "detector", set()),
        ({"PixelSpacing": ["0", "0"]}, None, "", {"spacing-broken"}),
        ({"PixelSpacing": ["-0.1", "0.1"]}, None, "", {"spacing-broken"}),
        ({"PixelSpacing": "0.1"}, None, "", {"spacing-broken"}),
        ({"PixelSpacing": "0.1", "ImagerPixelSpacing": ["0.15", "0.15"]}, (0.15, 0.15), "detector", {"spacing-broken"}),
    ],
)  # fmt: skip
def test_spacing(
    film: Path, attributes: dict[str, Any], spacing: tuple[float, float] | None, plane: str, said: set[str]
) -> None:
    image = load_radiograph(written(film, GREY, **attributes))
    assert image.spacing_mm == (None if spacing is None else pytest.approx(spacing))
    assert image.spacing_plane == plane
    assert notices(image) - {"voi-missing"} == said


@pytest.mark.parametrize(
    ("attributes", "view", "said"),
    [
        ({"ViewPosition": "AP"}, "AP", set()),
        ({"ViewCodeSequence": codes("399348003", "SCT", "antero-posterior")}, "AP", set()),
        ({"ViewCodeSequence": codes("R-40888", "SRT", "postero-anterior")}, "PA", set()),
        ({"ViewCodeSequence": codes("399067008", "SCT", "lateral")}, "LATERAL", set()),
        ({"ViewCodeSequence": codes("1", "99LOCAL", "special")}, "", set()),
        ({"ViewPosition": "LL", "ViewCodeSequence": codes("399067008", "SCT", "lateral")}, "LL", set()),
        ({"ViewPosition": "PA", "ViewCodeSequence": codes("399348003", "SCT", "ap")}, "PA", {"view-contradicts"}),
    ],
)
def test_view(film: Path, attributes: dict[str, Any], view: str, said: set[str]) -> None:
    image = load_radiograph(written(film, GREY, **attributes))
    assert image.view == view
    assert notices(image) - {"voi-missing"} == said


@pytest.mark.parametrize(
    ("attributes", "side", "said"),
    [
        ({"ImageLaterality": "L"}, "L", set()),
        ({"Laterality": "R"}, "R", set()),
        ({"ImageLaterality": "B", "Laterality": ""}, "B", set()),
        ({"ImageLaterality": "U", "Laterality": "R"}, "R", set()),
        ({"ImageLaterality": "L", "Laterality": "R"}, "L", {"laterality-contradicts"}),
        ({"ImageLaterality": "X1", "Laterality": "R"}, "R", {"laterality-broken"}),
        ({"Laterality": "LEFT"}, "L", set()),
    ],
)
def test_side(film: Path, attributes: dict[str, Any], side: str, said: set[str]) -> None:
    image = load_radiograph(written(film, GREY, **attributes))
    assert image.laterality == side
    assert image.source is not None
    assert image.source.series.laterality == side
    assert notices(image) - {"voi-missing"} == said


def test_patient_age_and_body_part(film: Path) -> None:
    dates = {"PatientBirthDate": "20100101", "StudyDate": "20200701"}
    source = load_radiograph(written(film, GREY, BodyPartExamined="KNEE", PatientAge="018M", **dates)).source
    assert source is not None
    assert (source.patient.age_years, source.series.body_part) == (1.5, "KNEE")
    assert "age-contradicts" in {notice.code for notice in source.notices}
    region = codes("30021000", "SCT", "Lower leg")
    source = load_radiograph(written(film, GREY, AnatomicRegionSequence=region, PatientAge="010Y", **dates)).source
    assert source is not None
    assert (source.patient.age_years, source.series.body_part) == (10, "LOWER LEG")
    assert "age-contradicts" not in {notice.code for notice in source.notices}
    source = load_radiograph(written(film, GREY, **dates)).source
    assert source is not None
    assert source.patient.age_years == pytest.approx(10.5, abs=0.01)


@pytest.mark.parametrize(
    ("sop_class", "modality", "is_film"),
    [
        ("1.2.840.10008.5.1.4.1.1.1", "CR", True),
        ("1.2.840.10008.5.1.4.1.1.1.1", "DX", True),
        ("1.2.840.10008.5.1.4.1.1.1.1", "", True),
        ("1.2.840.10008.5.1.4.1.1.12.1", "XA", True),
        ("1.2.840.10008.5.1.4.1.1.12.2", "RF", True),
        (SECONDARY, "OT", True),
        (SECONDARY, "DX", True),
        (SECONDARY, "MR", False),
        ("1.2.840.10008.5.1.4.1.1.4", "MR", False),
        ("1.2.840.10008.5.1.4.1.1.6.1", "US", False),
    ],
)
def test_what_is_a_film(film: Path, sop_class: str, modality: str, is_film: bool) -> None:
    written(film, GREY, sop_class=sop_class, Modality=modality, ViewPosition="AP")
    with find_images(film) as inventory:
        (entry,) = inventory.entries
    assert entry.is_film == is_film
    assert (entry.header.kind == "radiograph") == is_film
    assert (load_radiograph(film).full_scale == 1.0) == is_film  # a slice keeps the values of its scanner
    if is_film:
        assert (entry.header.view, entry.header.shape) == ("AP", (1, 3, 4))


def test_a_film_is_opened_as_a_radiograph(film: Path) -> None:
    written(film, GREY, Modality="DX", WindowCenter="6", WindowWidth="12", SeriesInstanceUID=None)
    image = open_image(film)
    assert isinstance(image, Radiograph)
    assert np.array_equal(image.pixels, load_radiograph(film).pixels)
    assert image.source is not None
    assert image.source.location == film
    assert {"series-chosen", "uid-made"} <= notices(image)
    assert "A radiograph (DX) of 3 x 4 pixels." in image.source.notices[0].text
    with pytest.raises(InputError, match="DX images are projections"):
        open_volume(film, modality="DX")
    with pytest.raises(InputError, match="was to be opened as a volume"):
        open_image(film, kind="volume")


def test_several_films_of_a_series_are_to_be_named(tmp_path: Path) -> None:
    for number in (1, 2):
        written(tmp_path / f"{number}.dcm", GREY, SOPInstanceUID=f"1.2.{number}")
    with find_images(tmp_path) as inventory:
        (entry,) = inventory.entries
        assert (entry.is_film, entry.grid, entry.n_images) == (True, None, 2)
        with pytest.raises(InputError, match="one of them is read where its file is named"):
            choose_series(inventory, modality="CR")
    assert isinstance(open_image(tmp_path / "1.dcm"), Radiograph)


def test_a_volume_is_taken_before_a_film(tmp_path: Path) -> None:
    written(tmp_path / "film.dcm", GREY, SeriesInstanceUID="1.2.1")
    for number in range(3):
        written(
            tmp_path / f"{number}.dcm", GREY + np.uint16(number), sop_class="1.2.840.10008.5.1.4.1.1.4", Modality="MR",
            SOPInstanceUID=f"1.2.9.{number}", SeriesInstanceUID="1.2.2", ImagePositionPatient=[0, 0, 3 * number],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PixelSpacing=["1", "1"], SliceThickness="3",
            FrameOfReferenceUID="1.2.8", ImageType=["DERIVED", "SECONDARY"],
        )  # fmt: skip
    with find_images(tmp_path) as inventory:
        assert choose_series(inventory, modality=None).series.uid == "1.2.2"
