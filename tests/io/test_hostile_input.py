"""Hostile input: each file ends in a result or in one clear error, in little memory and time."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
import threading
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon.errors import InputError, OsteonError
from osteon.geometry import Grid
from osteon.io import limits
from osteon.io.choose import choose_series
from osteon.io.find import find_images
from osteon.io.image import load_radiograph, read_image, read_mask_image
from osteon.io.mask import read_mask_volume
from osteon.io.nifti import load_nifti
from osteon.io.settings_file import read_settings_file
from osteon.io.slide import open_slide
from osteon.io.split_file import read_split
from osteon.io.volume import load_volume, open_volume
from osteon.weights.card import read_card
from tests.hostile_files import BOMB_MIB, CASES, ct, fragments, nifti, series, tiff

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GRID = Grid.from_axes(shape=(5, 16, 16), spacing_mm=(2, 1, 1))

EXPECTED = {
    "frames_200_million": r"2e\+08 frames, which its 88 bytes",
    "frames_1e308": r"1e\+308 frames, which its 88 bytes",
    "age_of_400_digits": "",
    "age_of_5000_digits": "",
    "native_syntax_over_fragments": "pixels are not compressed, but they are",
    "deep_sequence_in_multi_frame": "functional groups cannot be read",
    "deflate_bomb": "goes on behind its pixels",
    "nifti_broken_gzip_in_a_dicom_folder": "",
    "nifti_unknown_unit": "header is damaged",
    "nifti_offset_infinite": "not a readable NIfTI file",
    "nifti_values_beyond_float32": r"-1000 to 1e\+39, beyond what 32 bits can hold",
    "nifti_negative_dimension_as_image": "truncated or damaged",
    "tiff_strip_of_no_rows": "without a row or a column",
    "tiff_tile_of_no_width": "without a row or a column",
    "tiff_two_widths": "damaged or truncated TIFF",
    "tiff_bits_of_two": "",
    "tiff_directories_in_a_circle": "directories form a circle",
    "tiff_resolution_unit_list": "damaged or truncated TIFF",
    "zip_member_without_a_name": "damaged zip archive",
    "zip_lzma_damaged": "damaged zip archive",
    "zip_name_not_utf8": "damaged zip archive",
    "split_nested_100000": "not a valid JSON text",
    "card_nested_100000": "cannot be read",
    "card_whole_number_of_6000_digits": "cannot be read",
    "settings_yaml_nested": "nested too deep",
    "settings_yaml_no_date": "a date that cannot be",
    "settings_toml_nested": "nested too deep",
    "settings_toml_whole_number_of_5000_digits": "a number or a date that cannot be",
    "mask_seg_of_wrong_length": r"BytesLengthException at \(0008,0016\)",
    "png_bomb": "would decode to 7.63 GiB",
    "mask_seg_deflate_bomb": "goes on behind its pixels",
    "positions_of_two_lengths": r"ct_2.dcm: its Image Position \(Patient\) \(0020,0032\) has 2 values instead of 3",
}
"""What is said of each case that is only read; "" where there is a result."""


def _read(what: str, path: Path) -> None:
    if what in {"find", "read", "volume"}:
        with find_images(path) as found:
            entry = choose_series(found, modality="CT")
            load_volume(entry, modality="CT" if entry.kind == "nifti" else "")
    elif what == "image":
        read_image(path, frame=0)
    elif what == "slide":
        open_slide(path, microns_per_pixel=1).read(0, 0, 0, 50, 50)
    elif what == "mask":
        read_mask_volume(path, like=GRID)
    else:
        reader: Callable[[Path], object] = {"split": read_split, "card": read_card, "settings": read_settings_file}[
            what
        ]
        reader(path)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_hostile_file_gives_a_result_or_a_clear_error(name: str, tmp_path: Path) -> None:
    what, path = CASES[name](tmp_path)
    if not EXPECTED[name]:
        _read(what, path)
        return
    with pytest.raises(OsteonError, match=EXPECTED[name]) as caught:
        _read(what, path)
    assert "ZZPATIENT" not in str(caught.value)
    assert "ZZIDENT77" not in str(caught.value)


def test_every_other_case_is_one_that_is_read_and_written() -> None:
    written = {"mixed_study_uids", "private_sop_class", "pixel_spacing_1e_30", "written_number_of_wrong_length"}
    assert set(CASES) - set(EXPECTED) == written | {"written_whole_number_inf", "written_deep_sequence"}


LOOK = """
import sys, time
from osteon.io.find import find_images
import osteon.io.dicom.series
from pathlib import Path
began = time.process_time()
with find_images(Path(sys.argv[1])) as found:
    count = found.n_files
status = Path("/proc/self/status").read_text()
print(time.process_time() - began, count, int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""


def test_looking_at_a_folder_of_bombs_takes_little_time_and_memory(tmp_path: Path) -> None:
    for name in (
        "deflate_bomb",
        "frames_200_million",
        "mask_seg_deflate_bomb",
        "png_bomb",
        "tiff_directories_in_a_circle",
    ):
        (tmp_path / name).mkdir()
        CASES[name](tmp_path / name)
    done = subprocess.run([sys.executable, "-c", LOOK, str(tmp_path)], capture_output=True, text=True, check=True)
    seconds, files, peak_mb = map(float, done.stdout.split())
    assert seconds < files
    assert peak_mb < BOMB_MIB * 0.9


# ------------------------------------------------------------------------------------- one bad file in a good folder


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.nii.gz", gzip.compress(bytes(1000))[:10] + b"\xff" * 40),
        ("a.nii.gz", gzip.compress(bytes(10))),
        ("a.nii", b"\x5c\x01\0\0" + b"\xff" * 700),
        (
            "a.dcm",
            ct(
                9,
                more={0x0020000E: (b"UI", b"1.2.3.9"), 0x00280008: (b"IS", b"9" * 400)},
                pixels=fragments(bytes(64)),
                syntax=b"1.2.840.10008.1.2.5",
            ),
        ),
        ("a.dcm", ct(9, more={0x0020000E: (b"UI", b"1.2.3.9"), 0x00101010: (b"AS", b"9" * 5000 + b"Y")})),
        ("a.dcm", ct(9, more={0x0020000E: (b"UI", b"1.2.3.9"), 0x00200011: (b"IS", b"1e999")})),
        ("a.dcm", ct(9, more={0x0020000E: (b"UI", b"1.2.3.9"), 0x00280030: (b"DS", b"1e999\\nan")})),
    ],
    ids=["gzip", "short gzip", "NIfTI", "position", "age", "number", "spacing"],
)
def test_one_bad_file_does_not_stop_its_folder(name: str, data: bytes, tmp_path: Path) -> None:
    series(tmp_path, ct)
    (tmp_path / name).write_bytes(data)
    with find_images(tmp_path) as found:
        entry = choose_series(found, modality="CT", series_uid="1.2.3.2")
        assert load_volume(entry).array.shape == (5, 16, 16)
        assert found.n_files == 6


def test_a_reader_that_raises_anything_damages_only_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series(tmp_path, ct)
    (tmp_path / "other").write_bytes(b"other")

    def refuse(path: Path) -> bool:
        raise ZeroDivisionError(path.name)

    monkeypatch.setattr("osteon.io.find.is_zip", refuse)
    with find_images(tmp_path) as found:
        assert [(file.path.name, file.damaged) for file in found.skipped] == [("other", True)]
        assert "ZeroDivisionError" in found.skipped[0].reason
        assert len(found.entries) == 1


# ----------------------------------------------------------------------------------------------------------- deflated


def _deflated(change: Callable[[bytes], bytes], **how: object) -> bytes:
    plain = ct(syntax=b"1.2.840.10008.1.2.1.99", **how)  # type: ignore[arg-type]
    at = plain.index(b"\x08\0\x16\0UI", 132)
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return plain[:at] + engine.compress(change(plain[at:])) + engine.flush()


def test_an_honest_deflated_series_is_read_whatever_follows_its_pixels(tmp_path: Path) -> None:
    trailing = b"\xfc\xff\xfc\xffOB\0\0\x00\x10\0\0" + bytes(4096)
    for index in range(5):
        plain = ct(index, syntax=b"1.2.840.10008.1.2.1.99")
        at = plain.index(b"\x08\0\x16\0UI", 132)
        engine = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = plain[:at] + engine.compress(plain[at:] + trailing) + engine.flush()
        (tmp_path / f"{index}.dcm").write_bytes(data)
    volume = open_volume(tmp_path)
    assert volume.array.shape == (5, 16, 16)
    assert volume.array[3, 15, 15] == 255


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        # a long private element before the pixels, one that never ends, and pixels that say to be enormous
        (
            lambda plain: plain[:-524] + b"\x09\0\x01\0UN\0\0" + (2**28).to_bytes(4, "little") + bytes(2**28),
            "header does not end",
        ),
        (lambda plain: plain[:-516] + (2**27).to_bytes(4, "little") + bytes(2**27), "would inflate to"),
    ],
)
def test_deflated_headers_and_pixels_are_measured(
    change: Callable[[bytes], bytes], reason: str, tmp_path: Path
) -> None:
    (tmp_path / "a.dcm").write_bytes(_deflated(change))
    with find_images(tmp_path) as found, pytest.raises(InputError, match=reason):
        choose_series(found, modality="CT")


def test_the_limits_are_raised_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CASES["png_bomb"](tmp_path)
    monkeypatch.setenv(limits.VARIABLE, "1000")
    with pytest.raises(InputError, match="damaged"):  # its pixels are not there
        read_image(tmp_path / "a.png")
    assert limits.limit(limits.FRAMES) == 100_000_000
    for wrong in ("0.5", "none", "nan", "1e9"):
        monkeypatch.setenv(limits.VARIABLE, wrong)
        with pytest.raises(InputError, match="must be a number from 1 to 1000"):
            limits.limit(1)


def test_pictures_of_other_formats_are_measured_too(tmp_path: Path) -> None:
    tiff(tmp_path / "a.img", {256: (4, 1, 60000), 257: (4, 1, 60000), 278: (4, 1, 60000)})
    with pytest.raises(InputError, match=r"would decode to 3.35 GiB|damaged"):
        load_radiograph(tmp_path / "a.img")


def test_every_page_that_is_decoded_is_measured(tmp_path: Path) -> None:
    file = tiff(tmp_path / "a.img", {})
    second = tiff(tmp_path / "b.img", {256: (4, 1, 60000), 257: (4, 1, 60000), 278: (4, 1, 60000)}).read_bytes()
    data = bytearray(file.read_bytes())
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    (other,) = struct.unpack_from("<I", second, 4)
    (entries,) = struct.unpack_from("<H", second, other)
    struct.pack_into("<I", data, start + 2 + 12 * count, len(data))  # the next directory
    file.write_bytes(bytes(data) + second[other : other + 2 + 12 * entries + 4])
    with pytest.raises(InputError, match=r"would decode to 3.35 GiB|would decode to 10.1 GiB"):
        load_radiograph(file)


@pytest.mark.parametrize("frames", [b"3", b"100000", b"9999999"])
def test_more_compressed_frames_than_bytes_are_damage(frames: bytes, tmp_path: Path) -> None:
    data = ct(syntax=b"1.2.840.10008.1.2.5", more={0x00280008: (b"IS", frames)}, pixels=fragments(bytes(8)))
    (tmp_path / "a.dcm").write_bytes(data)
    with find_images(tmp_path) as found:
        assert found.entries[0].n_images <= 3
        assert found.entries[0].problem


def _nrrd(**fields: str) -> bytes:
    """A mask on the grid, all of one label; fields of the header replaced."""
    head = {
        "type": "uchar",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "16 16 5",
        "space directions": "(1,0,0) (0,1,0) (0,0,2)",
        "space origin": "(0,0,0)",
        "encoding": "gzip",
    } | {name.replace("_", " "): value for name, value in fields.items()}
    body = b"300 " * 1280 if head["encoding"] == "ascii" else gzip.compress(bytes([1]) * 1280)
    return "\n".join(["NRRD0004", *(f"{name}: {value}" for name, value in head.items()), "", ""]).encode() + body


def test_a_sound_nrrd_mask_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_bytes(_nrrd())
    assert read_mask_volume(tmp_path / "a.nrrd", like=GRID).all()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": "double", "sizes": "60000 60000 60"}, r"that needs 1609\.\d GiB"),
        ({"sizes": "16 16 9999999999999"}, "GiB"),
        ({"sizes": "16 16 -5"}, "shape|no voxels"),
        ({"sizes": "16 16"}, "of 2 dimensions"),
        ({"sizes": "16 16 " + "9" * 5000}, r"damaged or truncated.*ValueError"),
        ({"sizes": "16 16 6"}, "damaged or truncated"),
        ({"space_directions": "(1,0,0) (0,1,0) (0,0)"}, "damaged or truncated"),
        ({"space_directions": "(1,0,0) (0,1,0) (0,0,1e300)"}, "voxel spacing|finite"),
        ({"space_origin": "(1e300,0,0)", "type": "uchar\nSegment0_LabelValue:=1"}, "mask a.nrrd and its CT"),
        ({"space_origin": "(nan,0,0)"}, "finite"),
        ({"space": "ZZPATIENT" * 9000}, "is not read"),
        ({"encoding": "ascii", "type": "double", "sizes": "16 16 6"}, "damaged or truncated"),
        ({"encoding": "ascii"}, "numbers that are not of its type"),
    ],
)
def test_a_hostile_nrrd_mask_is_one_clear_error(fields: dict[str, str], reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_bytes(_nrrd(**fields))
    with pytest.raises(OsteonError, match=reason) as caught:
        read_mask_volume(tmp_path / "a.nrrd", like=GRID)
    assert len(str(caught.value)) < 700


def test_series_that_cannot_be_compared_stay_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = {uid: {0x0020000E: (b"UI", uid), 0x00200052: (b"UI", b"1.2.3.3")} for uid in (b"1.2.3.2", b"1.2.3.9")}
    series(tmp_path, lambda i: ct(i, more=more[b"1.2.3.2" if i < 3 else b"1.2.3.9"]), slices=6)
    with find_images(tmp_path) as found:
        assert [entry.n_images for entry in found.entries] == [6]

    def refuse(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("osteon.io.dicom.join.distances_mm", refuse)
    with find_images(tmp_path) as found:
        assert [(entry.n_images, entry.problem) for entry in found.entries] == [(3, None), (3, None)]


@pytest.mark.parametrize("tag", [0x0020000D, 0x00200052, 0x00080018])
def test_a_broken_uid_does_not_put_the_patient_into_a_message(tag: int, tmp_path: Path) -> None:
    series(tmp_path, lambda i: ct(i, more={tag: (b"UI", b"1.2.ZZPATIENT^Anna")}))
    source = open_volume(tmp_path).source
    assert source is not None
    assert any("UID" in notice.text for notice in source.notices)
    assert not any("ZZPATIENT" in notice.text for notice in source.notices)
    assert "ZZPATIENT" not in source.no_objects


# -------------------------------------------------------------------------------------------------- pipes and devices


@pytest.mark.parametrize(
    "read",
    [
        find_images,
        lambda path: read_mask_volume(path, like=GRID),
        read_mask_image,
        load_radiograph,
        lambda path: open_slide(path, microns_per_pixel=1),
        read_settings_file,
        read_split,
        read_card,
    ],
)
@pytest.mark.parametrize("suffix", ["", ".nii.gz", ".nrrd", ".yaml", ".png"])
def test_a_pipe_is_refused_and_not_waited_for(read: Callable[[Path], object], suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"pipe{suffix}"
    os.mkfifo(path)
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            read(path)
        except OsteonError as error:
            errors.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(5)
    is_stuck = thread.is_alive()
    if is_stuck:  # let it go on
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    assert not is_stuck
    assert len(errors) == 1


# --------------------------------------------------------------------------------------------------- values and sizes


@pytest.mark.parametrize("slope", [1e300, -1e300])
def test_a_scale_beyond_float32_is_refused(slope: float, tmp_path: Path) -> None:
    series(tmp_path, lambda i: ct(i, more={0x00281053: (b"DS", f"{slope:g}".encode())}))
    with pytest.raises(InputError):
        open_volume(tmp_path)


@pytest.mark.parametrize("top", [3.4e38, 3.5e38, 1e300])
def test_doubles_are_kept_up_to_what_float32_holds(top: float, tmp_path: Path) -> None:
    values = np.linspace(-1000, top, 16 * 16 * 8).astype("<f8")
    path = nifti(tmp_path / "a.nii", kind=(64, 64), values=values.tobytes())
    with find_images(path) as found:
        if top < 3.41e38:
            assert np.isfinite(load_nifti(found.entries[0], modality="CT").array).all()
        else:
            with pytest.raises(InputError, match="beyond what 32 bits can hold"):
                load_nifti(found.entries[0], modality="CT")


def test_a_zip_of_a_member_that_lies_about_its_method_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("x", ct())
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[40:60] = b"\xff" * 20
    (tmp_path / "a.zip").write_bytes(bytes(data))
    with pytest.raises(InputError, match="damaged zip archive"):
        find_images(tmp_path / "a.zip")


@pytest.mark.parametrize("spacing", [b"1e-30\\1e-30", b"1\\1e-30", b"1e30\\1e30", b"1e-200\\1e-200"])
def test_a_spacing_that_no_scanner_has_is_refused(spacing: bytes, tmp_path: Path) -> None:
    series(tmp_path, lambda i: ct(i, more={0x00280030: (b"DS", spacing)}))
    with pytest.raises(InputError, match=r"voxel spacing must be (from 0.0001 to 1000 mm|positive)|finite"):
        open_volume(tmp_path)


def test_a_broken_header_does_not_put_the_patient_into_a_message(tmp_path: Path) -> None:
    """A length that runs over what follows makes the name a part of the Series Instance UID, and of the modality."""
    text = b"1.2.3.2 \x10\x00\x10\x00PN\x0e\x00ZZPATIENT^Anna" + b" " * 80
    long = ct(more={0x0020000E: (b"UI", text), 0x00080060: (b"CS", b"CT  \x70\0LO\4\0Make ZZPATIENT^Anna")})
    (tmp_path / "a.dcm").write_bytes(long[:-300])
    with find_images(tmp_path) as found, pytest.raises(InputError) as caught:
        choose_series(found, modality="CT")
    assert "ZZPATIENT" not in str(caught.value)


def test_what_is_before_the_voxels_of_a_nifti_is_measured(tmp_path: Path) -> None:
    def far(header: bytearray) -> None:
        struct.pack_into("<f", header, 108, 2e9)

    path = nifti(tmp_path / "a.nii.gz", edit=far, values=b"\1\0\0\0" + struct.pack("<ii", 2**31 - 32, 0))
    with find_images(path) as found:
        assert "would begin 2e+09 bytes into the file" in found.damaged[0].reason


def test_less_memory_than_is_free_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = nifti(tmp_path / "a.nii")

    def refuse(*_: object, **__: object) -> None:
        raise MemoryError

    with find_images(path) as found:
        monkeypatch.setattr(np, "empty", refuse)
        with pytest.raises(InputError, match="GiB of memory are free"):
            load_nifti(found.entries[0], modality="CT")
