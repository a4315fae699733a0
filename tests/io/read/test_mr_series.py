"""MR: every plane, several echoes, mosaics, no pixel size; pictures; and real knees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from osteon.data import Radiograph
from osteon.errors import InputError, UnsupportedError
from osteon.io import choose_series, find_images, load_volume, open_image, open_volume
from osteon.io.image import load_radiograph, read_image

MakeSeries = Callable[..., Path]

AXIAL = ((1, 0, 0, 0, 1, 0), (0.0, 0.0, 2.0), [(0, 0, 1), (0, 1, 0), (1, 0, 0)])
SAGITTAL = ((0, 1, 0, 0, 0, -1), (-2.0, 0.0, 0.0), [(-1, 0, 0), (0, 0, -1), (0, 1, 0)])
CORONAL = ((1, 0, 0, 0, 0, -1), (0.0, 2.0, 0.0), [(0, 1, 0), (0, 0, -1), (1, 0, 0)])
OBLIQUE = ((0.8, 0.6, 0, -0.6, 0.8, 0), (0.0, 0.0, 2.0), [(0, 0, 1), (-0.6, 0.8, 0), (0.8, 0.6, 0)])


@pytest.mark.parametrize(("orientation", "step", "axes"), [AXIAL, SAGITTAL, CORONAL, OBLIQUE])
@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.70"]
)
def test_every_plane_in_every_syntax(
    make_series: MakeSeries,
    body: NDArray[np.int16],
    orientation: tuple[float, ...],
    step: tuple[float, ...],
    axes: list[tuple[float, ...]],
    syntax: str,
) -> None:
    folder = make_series(modality="MR", slope=None, orientation=orientation, step=step, syntax=syntax)
    volume = open_volume(folder, modality="MR")
    assert (volume.modality, volume.unit, volume.grid.is_in_mm) == ("MR", "", True)
    assert np.array_equal(volume.array, body)
    assert np.allclose(volume.grid.directions, axes)
    assert volume.grid.spacing_mm == pytest.approx((2.0, 1.5, 1.0))
    assert np.allclose(volume.grid.origin_lps_mm, (-10, 20, -300))


def echoes(ds: Dataset, index: int) -> None:
    """Two images of every place: TE 80 and TE 20."""
    ds.ImagePositionPatient = [-10, 20, -300 + 2 * (index // 2)]
    ds.EchoTime = (80, 20)[index % 2]
    ds.EchoNumbers = (2, 1)[index % 2]


def test_several_echoes_are_choices(make_series: MakeSeries, body: NDArray[np.int16]) -> None:
    folder = make_series(modality="MR", slope=None, edit=echoes, series_uid="1.2.7")
    with find_images(folder) as inventory:
        assert [entry.name for entry in inventory.entries] == ["1.2.7#echo-1", "1.2.7#echo-2"]
        words = r"2 echoes of the same places.*--series 1\.2\.7#echo-1 \(echo 1 of 2, TE 20 ms\).*#echo-2 .*TE 80 ms"
        for asked in (None, "1.2.7"):
            with pytest.raises(InputError, match=words):
                choose_series(inventory, modality="MR", series_uid=asked)
        chosen = choose_series(inventory, modality="MR", series_uid="1.2.7#echo-2")
        volume = load_volume(chosen)
        assert np.array_equal(volume.array, body[::2])
        assert volume.source is not None
        assert volume.source.series.uid == "1.2.7"
        assert "echo 2 of 2, TE 80 ms" in volume.source.notices[0].text
        with pytest.raises(InputError, match="not here"):
            choose_series(inventory, modality="MR", series_uid="1.2.7#echo-3")


def test_echo_numbers_tell_apart_what_echo_times_do_not(make_series: MakeSeries) -> None:
    def edit(ds: Dataset, index: int) -> None:
        echoes(ds, index)
        del ds.EchoTime

    with find_images(make_series(modality="MR", slope=None, edit=edit)) as inventory:
        assert [entry.reasons for entry in inventory.entries] == [
            ("echo 1 of 2, echo number 1",),
            ("echo 2 of 2, echo number 2",),
        ]


def test_echo_times_that_differ_by_place_are_one_series(make_series: MakeSeries, body: NDArray[np.int16]) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.EchoTime = 20 + index / 100

    assert np.array_equal(open_volume(make_series(modality="MR", slope=None, edit=edit), modality="MR").array, body)


def test_a_ct_has_no_echoes(make_series: MakeSeries) -> None:
    with find_images(make_series(edit=echoes)) as inventory:
        assert [entry.part for entry in inventory.entries] == [""]


def test_a_mosaic_is_refused(make_series: MakeSeries) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]

    folder = make_series(modality="MR", slope=None, edit=edit)
    with pytest.raises(InputError, match=r"6 of its 6 images are mosaics.*dcm2niix"):
        open_volume(folder, modality="MR")


def test_without_a_pixel_size_nothing_is_in_millimetres(make_series: MakeSeries, body: NDArray[np.int16]) -> None:
    def edit(ds: Dataset, index: int) -> None:
        del ds.PixelSpacing

    volume = open_volume(make_series(modality="MR", slope=None, edit=edit), modality="MR")
    assert not volume.grid.is_in_mm
    assert np.array_equal(volume.array, body)
    assert volume.source is not None
    assert "no-pixel-size" in {notice.code for notice in volume.source.notices}

    def bare(ds: Dataset, index: int) -> None:
        del ds.PixelSpacing, ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.SliceThickness

    single = open_volume(make_series("one", stored=body[:1], modality="MR", slope=None, edit=bare), modality="MR")
    assert not single.grid.is_in_mm
    assert np.array_equal(single.array, body[:1])
    with pytest.raises(InputError, match="no Pixel Spacing"):  # a CT must know its size
        open_volume(make_series("ct", edit=edit))

    def lost(ds: Dataset, index: int) -> None:
        bare(ds, index)

    with pytest.raises(InputError, match="no Image Position"):
        open_volume(make_series("several", modality="MR", slope=None, edit=lost), modality="MR")


def test_nifti_is_what_it_was_asked_for_as(tmp_path: Path, body: NDArray[np.int16]) -> None:
    affine = np.diag([1.0, 1.5, 2.0, 1.0])
    nib.save(nib.Nifti1Image(np.asarray(body.transpose(2, 1, 0)), affine), tmp_path / "knee.nii.gz")
    volume = open_volume(tmp_path / "knee.nii.gz", modality="MR")
    assert (volume.modality, volume.unit, volume.grid.is_in_mm) == ("MR", "", True)
    assert np.array_equal(volume.array, body)
    assert volume.grid.spacing_mm == pytest.approx((2.0, 1.5, 1.0))


@pytest.mark.parametrize(("suffix", "kind"), [("png", np.uint8), ("png", np.uint16), ("jpg", np.uint8)])
def test_a_picture_has_neither_modality_nor_millimetres(tmp_path: Path, suffix: str, kind: type[Any]) -> None:
    grey = np.tile(np.linspace(0, np.iinfo(kind).max, 40), (30, 1)).astype(kind)
    path = tmp_path / f"slice.{suffix}"
    assert cv2.imwrite(str(path), grey)
    image = open_image(path)
    assert isinstance(image, Radiograph)
    assert (image.modality, image.unit, image.grid.is_in_mm, image.spacing_mm) == ("", "", False, None)
    assert image.grid.shape == (1, 30, 40)
    assert np.abs(image.pixels - grey.astype(float)).max() <= (3 if suffix == "jpg" else 0)
    assert np.array_equal(image.scaled(), read_image(path))
    assert image.source is not None
    assert image.source.kind == "picture"
    assert "picture-without-scale" in {notice.code for notice in image.source.notices}
    with pytest.raises(InputError, match=r"asked for a CT series, found 1 picture series"):
        open_volume(path)
    with pytest.raises(InputError, match="found no images"):  # beside other files it is not a series
        open_volume(tmp_path, modality="")


def test_pictures_that_are_none_say_so(tmp_path: Path) -> None:
    colour = np.zeros((30, 40, 3), np.uint8)
    colour[:, :20, 2] = 200
    assert cv2.imwrite(str(tmp_path / "colour.png"), colour)
    with pytest.raises(InputError, match="is a colour picture"):
        open_image(tmp_path / "colour.png")
    assert cv2.imwrite(str(tmp_path / "grey.png"), np.repeat(np.arange(1200, dtype=np.uint8).reshape(30, 40, 1), 3, 2))
    assert open_image(tmp_path / "grey.png", kind="radiograph").source is not None
    data = (tmp_path / "grey.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="truncated"):
        open_image(tmp_path / "cut.png")
    assert cv2.imwrite(str(tmp_path / "black.png"), np.zeros((30, 40), np.uint8))
    with pytest.raises(InputError, match="every pixel has the value 0"):
        open_image(tmp_path / "black.png")


def test_low_is_white_the_same_for_a_series_and_a_data_set(make_series: MakeSeries, body: NDArray[np.int16]) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.PhotometricInterpretation = "MONOCHROME1"

    folder = make_series(stored=body[:1], modality="MR", slope=None, edit=edit)
    volume = open_volume(folder, modality="MR")
    assert np.array_equal(volume.array, int(body[:1].min()) + int(body[:1].max()) - body[:1].astype(np.int64))
    (path,) = (file for file in folder.rglob("*") if file.is_file())
    assert np.array_equal(load_radiograph(path).pixels, volume.array[0])


def test_another_modality_is_taken_where_there_is_none_of_the_first(make_series: MakeSeries) -> None:
    with find_images(make_series()) as inventory:
        assert choose_series(inventory, modality="MR", also=("CT", "")).series.modality == "CT"
        with pytest.raises(InputError, match=r"asked for an MR or PT series, found 1 CT series.*give an MR or PT"):
            choose_series(inventory, modality="MR", also=("PT",))


def test_what_was_drawn_belongs_to_one_series(make_series: MakeSeries, tmp_path: Path) -> None:
    make_series("study/t1", modality="MR", slope=None, series_uid="1.2.1")
    make_series("study/t2", modality="MR", slope=None, series_uid="1.2.2")
    with find_images(tmp_path / "study") as inventory:
        assert choose_series(inventory, modality="MR").series.uid == "1.2.1"
        with pytest.raises(
            InputError, match=r"belongs to one series, found 2; say which with --series UID.*series 1\.2\.2"
        ):
            choose_series(inventory, modality="MR", is_marked=True)
        assert choose_series(inventory, modality="MR", series_uid="1.2.2", is_marked=True).series.uid == "1.2.2"


def test_a_colour_mr_image_is_refused(make_series: MakeSeries, body: NDArray[np.int16]) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit, ds.PixelRepresentation = 7, 0
        ds.PixelData = np.repeat(body[index].astype(np.uint8)[..., None], 3, axis=2).tobytes()

    with pytest.raises((InputError, UnsupportedError), match="in colour"):
        open_volume(make_series(modality="MR", slope=None, edit=edit), modality="MR")


@pytest.mark.shared_data
@pytest.mark.parametrize("code", ["UNC", "RLE", "JPLL", "JLSL", "JLSN", "J2KR", "J2KI", "JPLY"])
def test_a_real_knee_in_eight_syntaxes(shared_data: Path, code: str) -> None:
    import pydicom

    folder = shared_data / "nema_wg04_dicom"
    volume = open_volume(folder / f"MR3_{code}.dcm", modality="MR")
    header = pydicom.dcmread(folder / "MR3_UNC.dcm")
    assert volume.modality == "MR"
    assert volume.grid.is_in_mm
    assert volume.grid.shape == (1, header.Rows, header.Columns)
    assert volume.grid.spacing_mm == pytest.approx((header.SliceThickness, *header.PixelSpacing))
    column, row = np.reshape([float(v) for v in header.ImageOrientationPatient], (2, 3))
    assert np.allclose(volume.grid.directions[1:], [row, column], atol=1e-4)
    assert np.allclose(volume.grid.origin_lps_mm, [float(v) for v in header.ImagePositionPatient])
    plain = open_volume(folder / "MR3_UNC.dcm", modality="MR")
    assert np.array_equal(plain.array[0], header.pixel_array)
    if code in {"UNC", "RLE", "JPLL", "JLSL", "J2KR"}:
        assert np.array_equal(volume.array, plain.array)


@pytest.mark.shared_data
def test_a_real_sagittal_knee_in_big_endian(shared_data: Path) -> None:
    folder = shared_data / "pymskt_knee_mri_dicom"
    with find_images(folder) as inventory:
        entry = choose_series(inventory, modality="MR")
        assert entry.part == ""
        assert "24 sagittal slices" in entry.reasons[0]
        volume = load_volume(entry)
    assert volume.grid.is_in_mm
    assert volume.grid.shape == (24, 256, 256)
    assert volume.grid.spacing_mm == pytest.approx((4, 0.625, 0.625), abs=1e-3)
    assert abs(volume.grid.directions[0, 0]) > 0.9  # slices follow one another from side to side
    assert volume.grid.directions[1, 2] < -0.9  # rows run to the feet
    assert volume.source is not None
    assert volume.source.patient.age_years is None  # born and seen on the first day of the year 1, says the anonymiser
