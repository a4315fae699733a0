"""Masks of other programs: NRRD of 3D Slicer, fractional and label map segmentations, rounded grids."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

from osteon.errors import GeometryMismatchError, InputError, UnsupportedError
from osteon.geometry import Grid
from osteon.io import open_volume, read_mask_volume

Make = Callable[..., Path]

GRID = Grid.from_axes(
    shape=(5, 7, 6),
    spacing_mm=(3.0, 1.5, 0.8),
    directions=[(0, 0, -1), (0, 1, 0), (1, 0, 0)],
    origin_lps_mm=(9, -4, 50),
)


@pytest.fixture
def truth() -> NDArray[np.bool_]:
    array = np.zeros(GRID.shape, np.bool_)
    array[1:4, 2:6, 1:3] = True
    array[3, 5, 2] = False
    return array


def nrrd(
    values: NDArray[np.generic],
    grid: Grid,
    *,
    encoding: str = "gzip",
    space: str = "left-posterior-superior",
    more: str = "",
) -> bytes:
    """A file with the fastest axis first, as Slicer writes it; four dimensions are layers."""
    sign = np.array([1, 1, 1] if space.startswith("left") else [-1, -1, 1])
    vectors = [sign * grid.affine[:3, axis] for axis in (2, 1, 0)]
    told = ["none"] * (values.ndim - 3) + ["({})".format(",".join(f"{v:.17g}" for v in vector)) for vector in vectors]
    layers = values[None] if values.ndim == 3 else values
    data = np.ascontiguousarray(layers.transpose(1, 2, 3, 0)).astype(values.dtype)
    sizes = [*values.shape[:-3], *values.shape[:-4:-1]]
    body = {
        "raw": data.tobytes(),
        "gzip": gzip.compress(data.tobytes()),
        "bzip2": bz2.compress(data.tobytes()),
        "ascii": " ".join(map(str, data.ravel().tolist())).encode(),
    }[encoding]
    kind = {"uint8": "unsigned char", "int16": "short"}[values.dtype.name]
    origin = sign * grid.origin_lps_mm
    head = (
        f"NRRD0004\n# Complete NRRD file format specification at:\ntype: {kind}\ndimension: {values.ndim}\n"
        f"space: {space}\nsizes: {' '.join(map(str, sizes))}\nspace directions: {' '.join(told)}\nendian: little\n"
        f"encoding: {encoding}\nspace origin: ({','.join(f'{v:.17g}' for v in origin)})\n{more}\n"
    )
    return head.encode() + body


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
@pytest.mark.parametrize("space", ["left-posterior-superior", "right-anterior-superior"])
def test_nrrd(tmp_path: Path, truth: NDArray[np.bool_], encoding: str, space: str) -> None:
    path = tmp_path / "mask.nrrd"
    turned = Grid(shape=GRID.shape, affine=GRID.affine)
    path.write_bytes(nrrd(truth.astype(np.int16), turned, encoding=encoding, space=space))
    assert np.array_equal(read_mask_volume(path, like=GRID), truth)


def test_a_slicer_segmentation_covers_a_part_and_has_layers(tmp_path: Path, truth: NDArray[np.bool_]) -> None:
    part = GRID.crop((1, 2, 1), (4, 6, 5))
    layers = np.zeros((2, *part.shape), np.uint8)
    layers[0][truth[1:4, 2:6, 1:5]] = 1
    layers[1, 2, 3, 3] = 2
    path = tmp_path / "Segmentation.seg.nrrd"
    path.write_bytes(nrrd(layers, part, more="Segment0_LabelValue:=1\nSegment1_LabelValue:=2\n"))
    every = truth.copy()
    every[3, 5, 4] = True
    assert np.array_equal(read_mask_volume(path, like=GRID), every)
    assert np.array_equal(read_mask_volume(path, like=GRID, labels=(1,)), truth)
    elsewhere = Grid(shape=part.shape, affine=part.affine + np.array([[0, 0, 0, 0.3]] + [[0] * 4] * 3))
    path.write_bytes(nrrd(layers, elsewhere, more="Segment0_LabelValue:=1\n"))
    with pytest.raises(
        GeometryMismatchError, match=r"off by up to 0\.38 voxels \(0\.3 mm\), 0\.1 of a voxel is allowed"
    ):
        read_mask_volume(path, like=GRID)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:200], "not an NRRD file, or its header is cut off"),
        (lambda data: data[:-20], "damaged or truncated"),
        (lambda data: data.replace(b"encoding: gzip", b"encoding: zrl"), "encoded as zrl"),
        (lambda data: data.replace(b"space origin", b"space orient"), "has no field 'space origin'"),
        (lambda data: data.replace(b"sizes: 6 7 5", b"sizes: 6 7 9999999999"), "GiB"),
    ],
)
def test_broken_nrrd(tmp_path: Path, truth: NDArray[np.bool_], change: Callable[[bytes], bytes], message: str) -> None:
    path = tmp_path / "mask.nrrd"
    path.write_bytes(change(nrrd(truth.astype(np.uint8), GRID)))
    with pytest.raises((InputError, UnsupportedError), match=message):
        read_mask_volume(path, like=GRID)


@pytest.mark.parametrize(("shift_mm", "fits"), [(0.035, True), (0.07, True), (0.09, False), (0.5, False)])
def test_a_grid_may_be_off_by_a_tenth_of_a_voxel(
    tmp_path: Path, truth: NDArray[np.bool_], shift_mm: float, fits: bool
) -> None:
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ GRID.affine[:, [2, 1, 0, 3]]
    affine[0, 3] += shift_mm
    path = tmp_path / "mask.nii.gz"
    nibabel.save(nibabel.Nifti1Image(truth.astype(np.uint8).transpose(2, 1, 0), affine), path)
    if fits:
        assert np.array_equal(read_mask_volume(path, like=GRID), truth)
        return
    with pytest.raises(GeometryMismatchError, match=rf"\({shift_mm:g} mm\), 0\.1 of a voxel is allowed"):
        read_mask_volume(path, like=GRID)


@pytest.mark.parametrize(
    ("kind", "syntax"),
    [
        ("BINARY", "1.2.840.10008.1.2.1"),
        ("BINARY", "1.2.840.10008.1.2.1.99"),
        ("BINARY", "1.2.840.10008.1.2.4.90"),
        ("FRACTIONAL", "1.2.840.10008.1.2.1"),
        ("FRACTIONAL", "1.2.840.10008.1.2.5"),
        ("LABELMAP", "1.2.840.10008.1.2.1"),
        ("LABELMAP", "1.2.840.10008.1.2.5"),
        ("LABELMAP", "1.2.840.10008.1.2.4.90"),
        ("LABELMAP", "1.2.840.10008.1.2.4.80"),
    ],
)
def test_segmentations_of_every_kind(make_series: Make, tmp_path: Path, kind: str, syntax: str) -> None:
    folder = make_series(stored=np.arange(6 * 36 * 40, dtype=np.int16).reshape(6, 36, 40))
    images = sorted(map(pydicom.dcmread, folder.iterdir()), key=lambda ds: float(ds.ImagePositionPatient[2]))
    for image in images:
        for name in ("StudyID", "StudyTime", "AccessionNumber", "ReferringPhysicianName"):
            setattr(image, name, "")
    like = open_volume(folder).grid
    inside = np.zeros(like.shape, np.uint8)
    inside[1:4, 2:7, 3:6], inside[5, 1, 1] = 1, 1
    pixels = inside.astype(np.float32) if kind == "FRACTIONAL" else inside
    if kind == "FRACTIONAL":
        pixels[0, 0, 0], pixels[0, 0, 1] = 0.4, 0.6
    segment = hd.seg.SegmentDescription(
        1,
        "lesion",
        codes.SCT.MorphologicallyAbnormalStructure,
        codes.SCT.Lesion,
        hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    uid = hd.UID()
    given = {"fractional_type": "PROBABILITY"} if kind == "FRACTIONAL" else {}
    native = "1.2.840.10008.1.2.1"
    deflated = syntax.endswith(".99")
    seg = hd.seg.Segmentation(
        images, pixels, kind, [segment], uid, 100, hd.UID(), 1, "m", "n", "1", "2",
        transfer_syntax_uid=native if deflated else syntax, **given,
    )  # fmt: skip
    if deflated:
        seg.file_meta.TransferSyntaxUID = syntax
    seg.save_as(tmp_path / "mask.dcm")
    expected = inside != 0
    if kind == "FRACTIONAL":
        expected[0, 0, 1] = True
    assert np.array_equal(read_mask_volume(tmp_path / "mask.dcm", like=like), expected)


def test_what_is_not_a_mask_is_told_what_is(tmp_path: Path) -> None:
    path = tmp_path / "mask.mha"
    path.write_bytes(b"ObjectType = Image\n")
    with pytest.raises(InputError, match=r"NIfTI \(\.nii, \.nii\.gz\), NRRD \(\.nrrd, \.seg\.nrrd\), a DICOM Seg.* RT"):
        read_mask_volume(path, like=GRID)
