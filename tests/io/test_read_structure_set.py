"""Contours of DICOM RT Structure Sets as masks: every kind of contour, the series that they are of, damaged files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import DataElement, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian

from osteon.data import Notice, Series, Source, Volume
from osteon.errors import GeometryMismatchError, InputError, OsteonError, UnsupportedError
from osteon.geometry import Grid
from osteon.io import open_volume, read_mask_volume
from osteon.io.dicom.structure_set import read_structure_set, rois_of
from osteon.ops.polygons import patches
from tests.structure_sets import Drawn, on_slice, saved, square, structure_set

if TYPE_CHECKING:
    Make = Callable[..., Source]

TURN = np.deg2rad(23.0)
GRID = Grid.from_axes(  # oblique, rows and columns of different size
    shape=(9, 24, 20),
    spacing_mm=(2.5, 0.9, 0.7),
    directions=[(0, -np.sin(TURN), np.cos(TURN)), (0, np.cos(TURN), np.sin(TURN)), (1, 0, 0)],
    origin_lps_mm=(-30.25, 12.5, -410.0),
)


def read(path: Path, **given: object) -> tuple[NDArray[np.bool_], list[Notice]]:
    told: list[Notice] = []
    mask = read_mask_volume(path, **{"like": GRID, "tell": told.append, **given})  # type: ignore[arg-type]
    return mask, [notice for notice in told if notice.code != "structure-set-series-unknown"]


def drawn(tmp_path: Path, *contours: Drawn, **given: object) -> tuple[NDArray[np.bool_], list[Notice]]:
    return read(saved(tmp_path / "rt.dcm", structure_set({"GTV": contours})), **given)


def block(index: int, corners: tuple[float, float, float, float], **given: object) -> Drawn:
    return on_slice(GRID, index, square(*corners), **given)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------ what is inside


def test_voxels_are_inside_where_their_centres_are(tmp_path: Path) -> None:
    mask, told = drawn(tmp_path, block(2, (3.5, 4.5, 7.5, 9.5)), block(3, (3.4, 4.6, 7.6, 9.4)))
    expected = np.zeros(GRID.shape, np.bool_)
    expected[2:4, 4:8, 5:10] = True
    assert np.array_equal(mask, expected)
    assert told == []


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_holes_islands_and_several_contours_of_a_slice(tmp_path: Path, kind: str) -> None:
    mask, told = drawn(
        tmp_path,
        *(
            block(2, corners, kind=kind)
            for corners in (
                (5.5, 5.5, 8.5, 8.5),  # an island, a hole, the whole, and another one beside it: in any order
                (3.5, 3.5, 10.5, 10.5),
                (1.5, 1.5, 12.5, 12.5),
                (14.5, 2.5, 16.5, 4.5),
            )
        ),
    )
    assert mask.sum() == 11 * 11 - 7 * 7 + 3 * 3 + 2 * 2
    assert mask[2, 7, 7]
    assert not mask[2, 4, 4]
    assert told == []


def test_a_channel_leads_to_a_hole(tmp_path: Path) -> None:
    outer, inner = square(1.5, 1.5, 10.5, 10.5), square(3.5, 3.5, 8.5, 8.5)
    for turned in (inner, inner[::-1]):
        mask, told = drawn(tmp_path, on_slice(GRID, 4, [*outer, outer[0], *turned, turned[0]]))
        assert mask.sum() == 81 - 25
    assert told == []


def test_a_closed_contour_may_name_its_first_point_again(tmp_path: Path) -> None:
    corners = square(1.5, 1.5, 4.5, 4.5)
    mask, told = drawn(tmp_path, on_slice(GRID, 0, [*corners, corners[0]]), block(0, (1.5, 1.5, 4.5, 4.5)))
    assert mask.sum() == 9
    assert [notice.code for notice in told] == ["contours-twice"]


@pytest.mark.parametrize(
    ("contours", "voxels", "code", "words"),
    [
        ([block(2, (1.5, 1.5, 6.5, 6.5))] * 2, 25, "contours-twice", r"drawn twice, counted once: 1 \(slice 3\)"),
        ([block(2, (1.5, 1.5, 6.5, 6.5)), block(2, (4.5, 4.5, 8.5, 8.5))], 25 + 16 - 8, "contours-overlap", r"slice 3"),
        (
            [on_slice(GRID, 1, [(1.5, 1.5), (7.5, 7.5), (7.5, 1.5), (1.5, 7.5)])],
            18,
            "contours-cross-themselves",
            "even-",
        ),
        ([block(2, (1.5, 1.5, 6.5, 6.5)), block(3, (2.1, 2.1, 2.9, 2.9))], 25, "contours-too-small", r"\(slice 4\)"),
        ([block(2, (-6.5, 1.5, 1.5, 3.5))], 4, "contours-outside-image", r"by up to 5\.4 mm, cut at its edge: 1\."),
        (
            [block(2, (1.5, 1.5, 3.5, 3.5)), block(4, (1.5, 1.5, 3.5, 3.5))],
            8,
            "contours-with-gaps",
            "on slice 4, between",
        ),
        (
            [block(index, (1.5, 1.5, 3.5, 3.5)) for index in (0, 2, 4, 6)],
            16,
            "contours-with-gaps",
            "every second slice only; the 3 slices between",
        ),
        (
            [
                block(2, (1.5, 1.5, 3.5, 3.5)),
                block(2, (0, 0, 9, 9), kind="POINT"),
                block(3, (0, 0, 9, 9), kind="OPEN_PLANAR"),
            ],
            4,
            "contours-left-out",
            r"left out: 2 \(1 OPEN_PLANAR, 1 POINT\)",
        ),
        (
            [block(2, (1.5, 1.5, 3.5, 3.5)), on_slice(GRID, 3, [(1, 1), (5, 5)])],
            4,
            "contours-left-out",
            "fewer than three points",
        ),
    ],
)
def test_what_is_odd_is_told(contours: list[Drawn], voxels: int, code: str, words: str, tmp_path: Path) -> None:
    mask, told = drawn(tmp_path, *contours)
    assert [notice.code for notice in told] == [code]
    assert re.search(words, told[0].text)
    assert "ROI 1 GTV of rt.dcm" in told[0].text
    assert abs(int(mask.sum()) - voxels) <= (4 if code == "contours-cross-themselves" else 0)


def test_every_contour_of_closedplanar_xor_counts(tmp_path: Path) -> None:
    twice = [block(2, (1.5, 1.5, 6.5, 6.5), kind="CLOSEDPLANAR_XOR")] * 2
    across = block(2, (10.5, 1.5, 14.5, 6.5), kind="CLOSEDPLANAR_XOR")
    mask, told = drawn(tmp_path, *twice, across, block(2, (12.5, 1.5, 16.5, 6.5), kind="CLOSEDPLANAR_XOR"))
    assert mask.sum() == 4 * 5
    assert told == []


def test_two_bodies_apart_have_no_gap(tmp_path: Path) -> None:
    mask, told = drawn(tmp_path, block(1, (1.5, 1.5, 3.5, 3.5)), block(5, (9.5, 9.5, 12.5, 12.5)))
    assert mask.sum() == 4 + 9
    assert told == []


# ------------------------------------------------------------------------------------------------------------- places


def test_a_contour_may_be_off_its_slice_by_rounding_only(tmp_path: Path) -> None:
    mask, _ = drawn(tmp_path, on_slice(GRID, 3.19, square(1.5, 1.5, 3.5, 3.5)))
    assert mask[3].sum() == mask.sum() == 4
    between = [on_slice(GRID, 3.4, square(1.5, 1.5, 3.5, 3.5)), block(2, (1.5, 1.5, 3.5, 3.5))]
    with pytest.raises(
        GeometryMismatchError, match=r"1 of 2 contours .* \(2\.5 mm apart\): they are 1 mm off, and 0\.5 mm"
    ):
        drawn(tmp_path, *between)
    with pytest.raises(
        GeometryMismatchError, match=r"beyond the first or last slice of the CT: they are 5, 2\.5 mm off"
    ):
        drawn(tmp_path, block(10, (1.5, 1.5, 3.5, 3.5)), block(-1, (1.5, 1.5, 3.5, 3.5)))


def test_contours_of_another_plane_are_refused(tmp_path: Path) -> None:
    corners = np.array([(1.0, 4.0, 4.0), (6.0, 4.0, 4.0), (6.0, 4.0, 9.0), (1.0, 4.0, 9.0)])
    with pytest.raises(GeometryMismatchError, match=r"reaches from slice 2\.00 to 7\.00"):
        drawn(tmp_path, Drawn(GRID.to_lps_mm(corners)))


# --------------------------------------------------------------------------------------------------------------- ROIs


def two(tmp_path: Path) -> Path:
    rois = {"GTV_Mass": [block(2, (1.5, 1.5, 6.5, 6.5))], "GTV_Edema": [block(2, (4.5, 4.5, 9.5, 9.5))], "empty": []}
    return saved(tmp_path / "rt.dcm", structure_set(rois))


@pytest.mark.parametrize(
    ("labels", "voxels"),
    [((1,), 25), (("GTV_Edema",), 25), (("gtv_mass",), 25), ((), 46), ((1, "GTV_Edema"), 46)],
)
def test_a_roi_is_chosen_by_number_or_name(labels: tuple[int | str, ...], voxels: int, tmp_path: Path) -> None:
    mask, told = read(two(tmp_path), labels=labels)
    assert mask.sum() == voxels  # several count together; they may overlap
    assert told == []


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, r"several ROIs with contours: say which one .*: 1 GTV_Mass, 2 GTV_Edema$"),
        ((4,), r"no ROI 4: it has 1 GTV_Mass, 2 GTV_Edema, 3 empty"),
        (("bone",), r"no ROI bone: it has"),
        (("empty",), r"ROI 3 empty of rt.dcm is empty: ROIs with contours are 1 GTV_Mass, 2 GTV_Edema"),
    ],
)
def test_the_names_are_listed_when_it_is_not_known_which(
    labels: tuple[int | str, ...] | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        read(two(tmp_path), labels=labels)


def test_names_that_are_there_twice_need_the_number(tmp_path: Path) -> None:
    dataset = structure_set({"a": [block(2, (1.5, 1.5, 6.5, 6.5))], "b": [block(3, (1.5, 1.5, 6.5, 6.5))]})
    dataset.StructureSetROISequence[1].ROIName = "a"
    path = saved(tmp_path / "rt.dcm", dataset)
    with pytest.raises(InputError, match="2 ROIs named a: it has 1 a, 2 a"):
        read(path, labels=("a",))
    assert read(path, labels=(2,))[0][3].sum() == 25


def test_one_roi_with_contours_needs_no_choice(tmp_path: Path) -> None:
    path = saved(tmp_path / "rt.dcm", structure_set({"empty": [], "GTV": [block(2, (1.5, 1.5, 6.5, 6.5))]}))
    assert read(path)[0].sum() == 25


def test_what_encloses_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no contours: its ROIs are 1 empty"):
        read(saved(tmp_path / "rt.dcm", structure_set({"empty": []})))
    with pytest.raises(InputError, match=r"ROI 1 GTV of rt\.dcm has no closed contour, only 1 POINT"):
        drawn(tmp_path, block(2, (1.5, 1.5, 6.5, 6.5), kind="POINT"))


# --------------------------------------------------------------------------------------------------------- the series


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory, make_ct_series: Make) -> Volume:
    values = np.arange(GRID.shape[1] * GRID.shape[2], dtype=np.int16).tobytes()
    folder = tmp_path_factory.mktemp("series") / "ct"
    make_ct_series(folder, GRID, PixelData=values)
    return open_volume(folder)


def source_of(volume: Volume) -> Source:
    assert volume.source is not None
    return volume.source


def test_contours_of_the_series_are_read_without_a_notice(series: Volume, tmp_path: Path) -> None:
    source = source_of(series)
    ours: Series = source.series
    contours = [block(index, (1.5, 1.5, 6.5, 6.5), source=source) for index in (2, 3)]
    dataset = structure_set({"GTV": contours}, series=ours.uid, frame_of_reference=ours.frame_of_reference_uid)
    told: list[Notice] = []
    mask = read_mask_volume(saved(tmp_path / "rt.dcm", dataset), like=series.grid, source=source, tell=told.append)
    assert mask[2:4].sum() == mask.sum() == 50
    assert told == []


def test_what_cannot_be_checked_is_told(tmp_path: Path) -> None:
    told: list[Notice] = []
    path = saved(tmp_path / "rt.dcm", structure_set({"GTV": [block(2, (1.5, 1.5, 6.5, 6.5))]}))
    read_mask_volume(path, like=GRID, tell=told.append)
    assert [(notice.code, notice.level) for notice in told] == [("structure-set-series-unknown", "warning")]


def test_contours_of_another_series_name_both(series: Volume, tmp_path: Path) -> None:
    source = source_of(series)
    ours, frame = source.series, source.series.frame_of_reference_uid
    named = block(2, (1.5, 1.5, 6.5, 6.5), source=source)
    plain = block(2, (1.5, 1.5, 6.5, 6.5))
    foreign = Drawn(plain.points_lps_mm, image="1.2.9.9")
    wrong = Drawn(block(3, (1.5, 1.5, 6.5, 6.5)).points_lps_mm, image=named.image)

    def attempt(*contours: Drawn, of: str = "", frame_of_reference: str = frame) -> None:
        dataset = structure_set({"GTV": contours}, series=of, frame_of_reference=frame_of_reference)
        read_mask_volume(saved(tmp_path / "rt.dcm", dataset), like=series.grid, source=source)

    attempt(named, plain)
    attempt(plain, of=ours.uid)
    attempt(plain)
    with pytest.raises(InputError, match=rf"drawn on the series 1\.2\.8, the series that is read is {ours.uid}"):
        attempt(plain, of="1.2.8")
    with pytest.raises(InputError, match=rf"drawn on the series 1\.2\.8, the series that is read is {ours.uid}"):
        attempt(foreign, of="1.2.8")
    with pytest.raises(InputError, match="drawn on images of another series"):
        attempt(foreign)
    with pytest.raises(InputError, match=r"on slice 3 of the CT, but names an image of another series \(1\.2\.9\.9\)"):
        attempt(named, foreign)
    with pytest.raises(InputError, match="on slice 4 of the CT by its coordinates, but names the image of slice 3"):
        attempt(wrong)
    with pytest.raises(InputError, match=rf"in the Frame of Reference 1\.2\.7, the CT is in {frame}"):
        attempt(named, of=ours.uid, frame_of_reference="1.2.7")


# --------------------------------------------------------------------------------------------------- hostile and rare


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_every_encoding_is_read_and_long_contours_too(syntax: str, tmp_path: Path) -> None:
    angle = np.linspace(0, 2 * np.pi, 3000, endpoint=False)  # 64 KiB of text, which DS has no room for
    ring = np.column_stack([11 + 8.2 * np.sin(angle), 9 + 8.2 * np.cos(angle)])
    dataset = structure_set({"GTV": [on_slice(GRID, 2, ring), block(3, (3.5, 3.5, 9.5, 9.5))]})
    with pytest.warns(UserWarning, match="64 kByte"):
        path = saved(tmp_path / "rt.dcm", dataset, syntax=syntax)
    mask, told = read(path)
    row, column = np.mgrid[: GRID.shape[1], : GRID.shape[2]]
    assert np.array_equal(mask[2], np.hypot(row - 11, column - 9) < 8.2)
    assert mask[3].sum() == 36
    assert told == []


def _set(dataset: Dataset, **values: object) -> None:
    item = dataset.ROIContourSequence[0].ContourSequence[0]
    for keyword, value in values.items():
        element = DataElement(tag_for_keyword(keyword) or 0, dictionary_VR(keyword), None)
        element._value = value  # not looked at
        item[keyword] = element


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda ds: _set(ds, NumberOfContourPoints=7), "has 4 points and says 7"),
        (lambda ds: _set(ds, ContourData=["1", "2", "3", "4"]), "coordinates of a contour .* are damaged"),
        (lambda ds: _set(ds, ContourData=["1e300"] * 12), "beyond all places"),
        (lambda ds: _set(ds, ContourOffsetVector=["1", "0", "0"]), "is to be shifted"),
        (lambda ds: _set(ds, ContourGeometricType="ZZ\x1b[31m"), r"only 1 ZZ\[31m: it encloses"),
        (lambda ds: delattr(ds.ROIContourSequence[0], "ReferencedROINumber"), "damaged RT Structure Set.*AttributeE"),
        (lambda ds: setattr(ds.ROIContourSequence[0], "ReferencedROINumber", 9), "contours of ROI 9 which it does not"),
        (lambda ds: ds.ROIContourSequence.append(ds.ROIContourSequence[0]), "contours of ROI 1 twice"),
        (lambda ds: ds.StructureSetROISequence.append(Dataset()), "damaged RT Structure Set"),
        (lambda ds: setattr(ds, "StructureSetROISequence", []), "contours of ROI 1 which it does not describe"),
    ],
)
def test_a_damaged_structure_set_is_one_clear_error(
    edit: Callable[[Dataset], object], message: str, tmp_path: Path
) -> None:
    dataset = structure_set({"GTV": [block(2, (1.5, 1.5, 6.5, 6.5))]})
    with pytest.raises(OsteonError, match=message) as caught:
        read(saved(tmp_path / "rt.dcm", dataset, edit=edit))
    assert "ZZPATIENT" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("text", [b"nan", b"inf", b"x.yz", b"1e999", b"", b"1" * 99])
def test_numbers_that_are_none_are_damage(text: bytes, tmp_path: Path) -> None:
    path = saved(tmp_path / "rt.dcm", structure_set({"GTV": [block(2, (1.5, 1.5, 6.5, 6.5))]}))
    item = dcmread(path).ROIContourSequence[0].ContourSequence[0]
    old = b"\\".join(str(value).encode() for value in item.ContourData)
    new = (text + b"\\" + old.split(b"\\", maxsplit=1)[1])[: len(old)].ljust(len(old))
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new if len(text) < 9 else (b"1" * 99 + old)[: len(old)]))
    with pytest.raises(InputError, match=r"rt\.dcm"):
        read(path)


def test_too_many_points_and_items_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = two(tmp_path)
    monkeypatch.setattr("osteon.io.dicom.contours.CONTOUR_POINTS", 6)
    assert read(path, labels=(1,))[0].any()
    with pytest.raises(InputError, match="have more than 6 points"):
        read(path, labels=())
    monkeypatch.setattr("osteon.io.dicom.contours.CONTOUR_PIXELS", 80)
    monkeypatch.setattr("osteon.io.dicom.contours.CONTOUR_POINTS", 60)
    assert read(path, labels=(1,))[0].any()
    with pytest.raises(InputError, match="have more than 80 pixels"):
        read(path, labels=())
    monkeypatch.setattr("osteon.io.dicom.structure_set.CONTOUR_ITEMS", 6)
    with pytest.raises(InputError, match=r"holds 7 items, at most 6 are read \(OSTEON_LIMIT_FACTOR allows more\)"):
        read(path, labels=(1,))
    monkeypatch.setattr("osteon.io.dicom.structure_set.HEADER_BYTES", 100)
    with pytest.raises(InputError, match="more than 0 MiB"):
        read(path, labels=(1,))


def test_other_masks_are_chosen_by_the_same_words(tmp_path: Path) -> None:
    import nibabel

    path = tmp_path / "mask.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), path)
    with pytest.raises(InputError, match="has no names: say with numbers which of its values count, not 'GTV'"):
        read(path, labels=("GTV",))


# ------------------------------------------------------------------------------------------------------- a real patient


@pytest.fixture(scope="module")
def thigh(shared_data: Path) -> tuple[Volume, Path]:
    folder = shared_data / "sarcoma_mr_dicom" / "STS_001_thigh_T1"
    return open_volume(folder, modality="MR"), folder / "RTSTRUCT_1-1.dcm"


def _off_outline(points: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance of (row, column) points from the edges between pixels inside and outside, in pixels."""
    rings = [np.array(ring) - 0.5 for patch in patches(inside) for ring in (patch.outer, *patch.holes)]
    low = np.concatenate([np.minimum(ring[:-1], ring[1:]) for ring in rings])
    high = np.concatenate([np.maximum(ring[:-1], ring[1:]) for ring in rings])
    return np.asarray(np.linalg.norm(points[:, None] - np.clip(points[:, None], low, high), axis=2).min(axis=1))


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["GTV_Mass", "GTV_Edema"])
def test_a_real_tumour_has_the_volume_of_its_polygons(thigh: tuple[Volume, Path], name: str) -> None:
    volume, path = thigh
    told: list[Notice] = []
    mask = read_mask_volume(path, like=volume.grid, labels=(name,), source=volume.source, tell=told.append, image="MR")
    assert told == []
    (roi,) = [roi for roi in rois_of(dcmread(path)) if roi.name == name]
    polygons_mm3, drawn_slices = 0.0, set()
    for item in roi.contours:
        points = np.array(item.ContourData, dtype=np.float64).reshape(-1, 3)
        # area of a plane polygon in space, from cross products of its corners
        normal = np.cross(points - points[0], np.roll(points, -1, axis=0) - points[0]).sum(axis=0)
        polygons_mm3 += float(np.linalg.norm(normal)) / 2 * volume.grid.spacing_mm[0]
        places = volume.grid.to_vox(points)
        index = round(float(places[:, 0].mean()))
        drawn_slices.add(index)
        assert np.abs(places[:, 0] - index).max() < 0.001
        assert _off_outline(places[:, 1:], mask[index]).max() <= 0.5
    assert set(np.flatnonzero(mask.any(axis=(1, 2)))) == drawn_slices
    assert mask.sum() * volume.grid.voxel_volume_mm3 == pytest.approx(polygons_mm3, rel=0.001)


@pytest.mark.shared_data
def test_the_real_structure_set_is_of_its_own_series_only(
    thigh: tuple[Volume, Path], series: Volume, shared_data: Path
) -> None:
    volume, path = thigh
    with pytest.raises(InputError, match="1 GTV_Mass, 2 GTV_Edema"):
        read_structure_set(path, like=volume.grid, labels=None, source=volume.source, tell=print, image="MR")
    with pytest.raises(InputError, match=r"Frame of Reference|drawn on"):
        read_structure_set(path, like=series.grid, labels=(1,), source=series.source, tell=print, image="CT")


def test_unsupported_is_unsupported(tmp_path: Path) -> None:
    dataset = structure_set({"GTV": [block(2, (1.5, 1.5, 6.5, 6.5))]})
    with pytest.raises(UnsupportedError, match="Contour Offset Vector"):
        read(saved(tmp_path / "rt.dcm", dataset, edit=lambda ds: _set(ds, ContourOffsetVector=["0", "0", "1"])))
