"""A DICOM series becomes a Volume: order, values, geometry, source."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from osteon.data import Volume
from osteon.errors import InputError
from osteon.io import choose_series, find_images, load_volume, open_volume

Make = Callable[..., Path]


def codes(volume: Volume) -> set[str]:
    assert volume.source is not None
    return {notice.code for notice in volume.source.notices}


def test_slices_are_ordered_by_position_and_scaled(make_series: Make, body: NDArray[np.int16]) -> None:
    volume = open_volume(make_series())
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, body - 1024)
    assert volume.grid.shape == (6, 10, 8)
    assert volume.grid.spacing_mm == pytest.approx((2.0, 1.5, 1.0))
    assert volume.grid.to_lps_mm([5, 3, 2]).tolist() == pytest.approx([-8.0, 24.5, -290.0])
    assert (volume.modality, volume.unit) == ("CT", "HU")


def test_source_names_every_slice_in_volume_order(make_series: Make) -> None:
    folder = make_series()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    volume = open_volume(folder)
    source = volume.source
    assert source is not None
    for index, item in enumerate(source.slices):
        ds = pydicom.dcmread(item.path)
        assert ds.SOPInstanceUID == item.sop_instance_uid
        assert ds.ImagePositionPatient[2] == -300 + 2 * index
    assert source.patient.age_years == pytest.approx(10.5, abs=0.01)
    assert (source.patient.identifier, source.patient.sex) == ("P1", "F")
    assert "Test" not in repr(source)
    assert "P1" not in repr(source)
    assert before == {path: path.read_bytes() for path in folder.iterdir()}, "the input was changed"


def test_progress_and_workers(make_series: Make, body: NDArray[np.int16]) -> None:
    seen: list[tuple[str, int, int]] = []
    with find_images(make_series(), progress=lambda *args: seen.append(args)) as inventory:
        volume = load_volume(choose_series(inventory), progress=lambda *args: seen.append(args), workers=3)
    assert np.array_equal(volume.array, body - 1024)
    assert ("scan", 6, 6) in seen
    assert ("decode", 6, 6) in seen


def test_positions_rounded_to_a_tenth_are_one_regular_series(make_series: Make) -> None:
    def rounded(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [0, 0, round(index * 1.25 + 0.01, 1)]

    volume = open_volume(make_series(edit=rounded))
    assert volume.grid.spacing_mm[0] == pytest.approx(1.25, abs=0.02)


def test_missing_slices_are_refused_with_the_place(make_series: Make) -> None:
    folder = make_series()
    for path in folder.iterdir():
        if pydicom.dcmread(path).ImagePositionPatient[2] == -294:
            path.unlink()
    with pytest.raises(InputError, match=r"1 slice is missing.*-296\.00 and -292\.00 mm"):
        open_volume(folder)


def placed(places: Sequence[float]) -> Callable[[Dataset, int], None]:
    """Slices at these places, their values rising with the place: what interpolation gives is known everywhere."""

    def edit(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [0, 0, places[index]]
        ds.PixelData = np.full((4, 4), round(100 * places[index]), np.int16).tobytes()

    return edit


@pytest.mark.parametrize(
    "places",
    [
        [*np.arange(0, 15, 1.5), *np.arange(14.5, 30, 1.5)],  # one gap is odd: 1 mm among 1.5
        [*np.arange(0, 12, 1.5), *np.arange(12.5, 20, 1.5)],  # one of 2 mm
        [*np.arange(0, 50, 5), *np.arange(50, 100, 10), *np.arange(100, 150, 5)],  # dense about the joints
        [index + 0.07 * index**2 for index in range(6)],  # growing
    ],
)
def test_slices_at_unequal_distances_are_interpolated_at_their_places(make_series: Make, places: list[float]) -> None:
    stored = np.zeros((len(places), 4, 4), np.int16)
    volume = open_volume(make_series(stored=stored, edit=placed(places), intercept=0))
    z = volume.grid.to_lps_mm([(index, 0, 0) for index in range(volume.grid.shape[0])])[:, 2]
    assert (z[0], z[-1]) == (pytest.approx(places[0]), pytest.approx(places[-1]))
    # linear interpolation of a linear truth gives the truth, to the rounding of whole numbers
    assert np.abs(volume.array[:, 2, 2] - 100 * z).max() <= 1
    assert "variable-spacing-resampled" in codes(volume)
    assert volume.source is not None
    assert len(volume.source.slices) == len(places)


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([0, 2, 4, 10, 12, 14, 16], r"2 slices are missing.*4\.00 and 10\.00"),
        ([0, 2, 4, 8, 10, 14, 16, 18], "2 slices are missing"),
        ([0, 0.7, 2, 2.7, 4, 4.7, 6, 6.7, 8, 8.7], "4 slices are missing|irregular"),  # shuffled series
    ],
)
def test_holes_and_shuffled_series_are_refused(make_series: Make, places: list[float], message: str) -> None:
    stored = np.zeros((len(places), 4, 4), np.int16)
    with pytest.raises(InputError, match=message):
        open_volume(make_series(stored=stored, edit=placed(places)))


@pytest.mark.parametrize("tags", [("RescaleSlope", "RescaleIntercept"), ("RescaleIntercept",)])
def test_a_scale_that_some_slices_lost_is_refused(make_series: Make, tags: tuple[str, ...]) -> None:
    def edit(ds: Dataset, index: int) -> None:
        for tag in tags if index in (2, 3) else ():
            delattr(ds, tag)

    with pytest.raises(InputError, match=r"Rescale Slope and Intercept .* missing on 2 of 6 slices .* 1 and -1024"):
        open_volume(make_series(edit=edit))


def test_a_ct_in_another_unit_is_refused(make_series: Make) -> None:
    with pytest.raises(InputError, match=r"Rescale Type \(0028,1054\) is Z_EFF"):
        open_volume(make_series(edit=lambda ds, _: setattr(ds, "RescaleType", "Z_EFF")))


def test_the_orientation_of_most_slices_counts_where_digits_differ(make_series: Make) -> None:
    def edit(ds: Dataset, index: int) -> None:
        if index % 3 == 1:
            ds.ImageOrientationPatient = ["1", "0.000001", "0", "-0.000001", "1", "0"]

    volume = open_volume(make_series(edit=edit))
    assert volume.grid.directions[2].tolist() == [1, 0, 0]
    assert "orientation-of-most-slices" in codes(volume)


def test_oblique_axes_are_kept_without_resampling(make_series: Make, body: NDArray[np.int16]) -> None:
    angle = np.deg2rad(25)
    row = np.array([np.cos(angle), np.sin(angle), 0])
    column = np.array([-np.sin(angle) * 0.6, np.cos(angle) * 0.6, 0.8])
    normal = np.cross(row, column)
    volume = open_volume(make_series(orientation=(*row, *column), step=tuple(3 * normal)))
    assert np.array_equal(volume.array, body - 1024)
    assert np.allclose(volume.grid.directions, [normal, column, row])
    assert np.allclose(
        volume.grid.to_lps_mm([2, 1, 4]), np.array([-10, 20, -300]) + 6 * normal + 1.5 * column + 4 * row
    )
    assert "oblique-axes" in codes(volume)


def test_feet_first_and_mirrored_planes_keep_their_axes(make_series: Make, body: NDArray[np.int16]) -> None:
    # columns run to the patient's right: the normal points to the feet, so the slices come in falling z
    volume = open_volume(make_series(orientation=(-1, 0, 0, 0, 1, 0)))
    assert np.array_equal(volume.array, body[::-1] - 1024)
    assert volume.grid.to_lps_mm([0, 0, 0]).tolist() == pytest.approx([-10, 20, -290])
    assert volume.grid.directions[0].tolist() == [0, 0, -1]


@pytest.mark.parametrize(
    ("orientation", "message"),
    [
        ((1, 0, 0, 0, 0.9, 0), "unit vectors"),
        ((1, 0, 0, 0.6, 0.8, 0), "right angles"),
        ((1, 0, 0, 0, 0, 1), "two different images|contradict|tags"),
    ],
)
def test_wrong_orientation_tags_are_refused(make_series: Make, orientation: tuple[float, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_volume(make_series(orientation=orientation))


@pytest.mark.parametrize(
    ("spacing", "message"),
    [
        (b"NaN\\1 ", "NaN"),
        (b"0\\1 ", "positive"),
        (b"-1\\1", "positive"),
        (b"a\\b ", "not a number"),
        (b"", "no Pixel Spacing"),
    ],
)
def test_broken_spacing_is_refused(make_series: Make, spacing: bytes, message: str) -> None:
    def patch(data: bytes, index: int) -> bytes:
        start = data.index(b"\x28\x00\x30\x00DS") + 6
        length = int.from_bytes(data[start : start + 2], "little")
        return data[:start] + len(spacing).to_bytes(2, "little") + spacing + data[start + 2 + length :]

    with pytest.raises(InputError, match=message):
        open_volume(make_series(file_edit=patch))


def test_missing_position_is_refused(make_series: Make) -> None:
    def edit(ds: Dataset, index: int) -> None:
        del ds.ImagePositionPatient

    with pytest.raises(InputError, match="no Image Position"):
        open_volume(make_series(edit=edit))


def test_positions_win_over_spacing_between_slices(make_series: Make) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.SpacingBetweenSlices = 5

    volume = open_volume(make_series(edit=edit))
    assert volume.grid.spacing_mm[0] == pytest.approx(2.0)
    assert "slice-spacing-from-positions" in codes(volume)


def test_sideways_jumps_are_refused(make_series: Make) -> None:
    def edit(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [3.0 * (index % 2), 0, 2.0 * index]

    with pytest.raises(InputError, match="sideways"):
        open_volume(make_series(edit=edit))


def test_single_slice_uses_its_thickness(make_series: Make, body: NDArray[np.int16]) -> None:
    folder = make_series(stored=body[:1])
    volume = open_volume(next(folder.iterdir()))
    assert volume.grid.spacing_mm == pytest.approx((2.0, 1.5, 1.0))
    assert "single-slice" in codes(volume)
    with pytest.raises(InputError, match="Slice Thickness"):
        open_volume(make_series("thin", stored=body[:1], thickness=None))


def test_three_slices_load(make_series: Make, body: NDArray[np.int16]) -> None:
    assert open_volume(make_series(stored=body[:3])).grid.shape == (3, 10, 8)


def test_constant_image_is_refused(make_series: Make, body: NDArray[np.int16]) -> None:
    with pytest.raises(InputError, match="every voxel has the value -1019"):
        open_volume(make_series(stored=np.full_like(body, 5)))


def _blob(points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """A smooth truth in patient space."""
    x, y, z = np.moveaxis(points_mm, -1, 0)
    return np.asarray(
        1000 + 8 * x - 5 * y + 3 * z + 200 * np.exp(-((x - 4) ** 2 + (y - 30) ** 2 + (z + 10) ** 2) / 400)
    )


@pytest.mark.parametrize("degrees", [-18.0, 11.0])
@pytest.mark.parametrize("turned", [False, True])
def test_gantry_tilt_is_corrected_in_both_senses(make_series: Make, degrees: float, turned: bool) -> None:
    angle = np.deg2rad(degrees)
    row = np.array([1.0, 0, 0])
    column = np.array([0, np.cos(angle), np.sin(angle)])
    if turned:  # the shear then runs along the columns of the image
        row, column = column, row
    origin, step = np.array([-10.0, 20.0, -30.0]), np.array([0.0, 0.0, 4.0])
    index = np.indices((12, 24, 20)).transpose(1, 2, 3, 0)
    spacing = (1.5, 1.0)
    points = origin + index[..., :1] * step + index[..., 1:2] * spacing[0] * column + index[..., 2:] * spacing[1] * row
    stored = np.rint(_blob(points)).astype(np.int16)
    volume = open_volume(
        make_series(stored=stored, orientation=(*row, *column), origin=tuple(origin), step=tuple(step), intercept=0),
    )
    assert "gantry-tilt-corrected" in codes(volume)
    assert volume.grid.spacing_mm[0] == pytest.approx(4 * np.cos(angle), rel=1e-5)
    truth = _blob(volume.grid.to_lps_mm(np.indices(volume.grid.shape).transpose(1, 2, 3, 0)))
    covered = volume.array != -1024
    assert covered.sum() >= (stored.shape[0] * 23 * 19)
    # rounding twice is 1, the bend of the blob between neighbours below 1
    assert np.abs(volume.array - truth)[covered].max() < 2.0


def test_half_the_pixels_of_a_tilted_slice_are_not_lost(make_series: Make, body: NDArray[np.int16]) -> None:
    volume = open_volume(make_series(step=(0, 1.5, 4.0), stored=np.repeat(body, 1, axis=0)))
    # one row a slice: whole pixels move, nothing is blurred
    assert volume.grid.shape == (6, 15, 8)
    for index in range(6):
        assert np.array_equal(volume.array[index, index : index + 10], body[index] - 1024)


def test_three_thousand_slices(make_series: Make, tmp_path: Path) -> None:
    count = 3000
    stored = np.arange(16, dtype=np.int16).reshape(1, 4, 4)
    template = next(make_series(stored=stored, origin=(0, 0, 1000.5), step=(0, 0, 1)).iterdir()).read_bytes()
    assert template.count(b"1000.5") == 1
    pixels = stored.tobytes()
    assert template.endswith(pixels)
    for index in range(count):
        place = f"{index * 0.5:06.1f}".encode()
        values = (stored + index).astype(np.int16).tobytes()
        (tmp_path / "many").mkdir(exist_ok=True)
        data = template.replace(b"1000.5", place)[: -len(pixels)] + values
        (tmp_path / "many" / f"{(index * 7919) % count}").write_bytes(data)
    tracemalloc.start()
    volume = open_volume(tmp_path / "many")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(volume.array, stored + np.arange(count)[:, None, None] - 1024)
    # headers are kept while reading: a few kilobytes a slice
    assert peak < count * 12_000
