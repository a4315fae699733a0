"""One door: folders of any layout, files, zips; what is not an image is counted."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from osteon.errors import InputError
from osteon.io import choose_series, find_images, load_volume, open_volume
from osteon.io.find import UnpackLimits, unpack_zip

Make = Callable[..., Path]


def test_nested_folder_with_junk(make_series: Make, body: NDArray[np.int16]) -> None:
    folder = make_series("study/deep/er")
    root = folder.parents[1]
    (root / "README.txt").write_text("no image")
    (root / "empty").touch()
    (root / "short").write_bytes(b"\0" * 128 + b"DICM")
    (root / "DICOMDIR").write_bytes(dicomdir())
    (root / "inner.zip").write_bytes(b"PK\x03\x04 and so on")
    with find_images(root) as inventory:
        assert inventory.n_files == 11
        assert len(inventory.entries) == 1
        reasons = {item.path.name: item.reason for item in inventory.skipped}
        assert set(reasons) == {"README.txt", "empty", "short", "DICOMDIR", "inner.zip"}
        assert "directory" in reasons["DICOMDIR"]
        assert "archive" in reasons["inner.zip"]
        assert [item.path.name for item in inventory.damaged] == ["short"]
        volume = load_volume(choose_series(inventory))
    assert np.array_equal(volume.array, body - 1024)
    assert volume.source is not None
    assert any(notice.code == "damaged-files" for notice in volume.source.notices)


def dicomdir() -> bytes:
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = "1.2.3", "1.2.840.10008.1.2.1"
    ds = pydicom.Dataset()
    ds.file_meta, ds.preamble, ds.FileSetID = meta, b"\0" * 128, "TEST"
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_files_without_preamble_are_dicom(make_series: Make, body: NDArray[np.int16]) -> None:
    def bare(data: bytes, index: int) -> bytes:
        # only the data set, as old writers left it
        return data[data.index(b"\x08\x00\x08\x00CS") :]

    assert np.array_equal(open_volume(make_series(file_edit=bare)).array, body - 1024)


def test_single_file(make_series: Make) -> None:
    folder = make_series()
    assert open_volume(folder / "image0000").grid.shape == (1, 10, 8)


@pytest.mark.parametrize(
    ("content", "message"),
    [({}, "the folder is empty"), ({"a.txt": b"x"}, "no images in 1 files"), ({"a": b"\0" * 128 + b"DICM"}, "damaged")],
)
def test_nothing_to_read(tmp_path: Path, content: dict[str, bytes], message: str) -> None:
    folder = tmp_path / "input"
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        open_volume(folder)


def test_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_images(tmp_path / "nowhere")


def test_dicom_without_pixels_is_skipped(make_series: Make) -> None:
    folder = make_series()
    ds = pydicom.dcmread(folder / "image0000")
    del ds.PixelData
    ds.Modality = "SR"
    ds.save_as(folder / "report")
    with find_images(folder) as inventory:
        assert [item.reason for item in inventory.skipped] == ["DICOM without pixels (SR)"]


def zipped(folder: Path, path: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, str(Path("STUDY") / file.name))
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_zip_gives_the_same_volume_and_leaves_nothing(
    make_series: Make,
    tmp_path: Path,
    body: NDArray[np.int16],
    method: int,
) -> None:
    path = zipped(make_series(), tmp_path / "study.dat", method)
    with find_images(path) as inventory:
        assert inventory.unpacked is not None
        unpacked = Path(inventory.unpacked.name)
        assert np.array_equal(load_volume(choose_series(inventory)).array, body - 1024)
        assert unpacked.is_dir()
    assert not unpacked.exists()
    volume = open_volume(path)
    assert volume.source is not None
    assert volume.source.location == path
    assert not volume.source.slices[0].path.exists()


def archive_of(path: Path, *members: tuple[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "C:\\evil", "..\\evil", "C:evil"])
def test_zip_that_points_outside_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    path = archive_of(tmp_path / "in" / "a.zip", ("fine", b"x"), (name, b"x"))
    with pytest.raises(InputError, match="points outside"):
        find_images(path)
    assert not list(tmp_path.rglob("evil"))


def test_zip_with_a_link_is_refused(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.zip", ("link", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777)
    with pytest.raises(InputError, match="link"):
        find_images(path)


def test_zip_bombs_are_refused(tmp_path: Path) -> None:
    limits = UnpackLimits(files=3, total_bytes=10_000, ratio=50, ratio_from_bytes=1000)
    cases = {
        "files": [(f"f{n}", b"x") for n in range(4)],
        "GiB allowed": [("big", os.urandom(11_000))],
        "zip bomb": [("zeros", bytes(9_000))],
    }
    for message, members in cases.items():
        with pytest.raises(InputError, match=message):
            unpack_zip(archive_of(tmp_path / "a.zip", *members), limits=limits)
    # the default limits catch the classical bomb
    with pytest.raises(InputError, match="zip bomb"):
        find_images(archive_of(tmp_path / "b.zip", ("zeros", bytes(80 * 1024**2))))


def test_zip_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    data = archive_of(tmp_path / "a.zip", ("zeros", bytes(100_000))).read_bytes()
    lie = data.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    (tmp_path / "lie.zip").write_bytes(lie)
    with pytest.raises(InputError, match=r"damaged|bomb"):
        find_images(tmp_path / "lie.zip")


def test_damaged_zip(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.zip", ("one", os.urandom(5000)))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="damaged zip"):
        find_images(path)


def test_zip_in_a_zip_is_not_followed(make_series: Make, tmp_path: Path) -> None:
    inner = zipped(make_series(), tmp_path / "inner.zip")
    outer = archive_of(tmp_path / "outer.zip", ("inner.zip", inner.read_bytes()))
    with pytest.raises(InputError, match="archives are not opened twice"):
        open_volume(outer)
