"""The walk over DICOM elements agrees with pydicom, whatever the encoding."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from osteon.io.dicom.elements import read_elements
from osteon.io.dicom.header import WANTED, age_in_years, numbers, text

SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"]


def sample(syntax: str, *, undefined: bool, private_bytes: int = 0) -> bytes:
    """A header with nested sequences, private data and text before the pixels."""
    ds = Dataset()
    ds.file_meta, ds.preamble = FileMetaDataset(), b"\0" * 128
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3.4"
    inner, outer = Dataset(), Dataset()
    inner.CodeValue, inner.SeriesInstanceUID = "113100", "9.9.9"  # a wanted tag, but not at the top level
    outer.PurposeOfReferenceCodeSequence = [inner, Dataset()]
    ds.ReferencedImageSequence = Sequence([outer, outer])
    ds.SourceImageSequence = Sequence([])
    for element in (ds["ReferencedImageSequence"], ds["SourceImageSequence"], outer["PurposeOfReferenceCodeSequence"]):
        element.is_undefined_length = undefined
    for item in (*ds.ReferencedImageSequence, inner):
        item.is_undefined_length_sequence_item = undefined
    if private_bytes:
        ds.add_new(0x00090010, "LO", "MAKER")
        ds.add_new(0x00091010, "OB", bytes(private_bytes))
    ds.SeriesInstanceUID, ds.Modality, ds.Rows, ds.Columns = "1.2.3", "CT", 2, 3
    ds.ImagePositionPatient = [1.5, -2, 3]
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 1
    ds.PixelData = bytes(range(12))
    ds["PixelData"].VR = "OW"
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("private_bytes", [0, 40_000, 700_000])
def test_every_encoding(tmp_path: Path, syntax: str, undefined: bool, private_bytes: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(sample(syntax, undefined=undefined, private_bytes=private_bytes))
    found = read_elements(path, wanted=WANTED)
    assert found is not None
    assert found.damage is None
    assert found.transfer_syntax == syntax
    assert text(found.values[0x0020000E]) == "1.2.3"
    assert numbers(found.values[0x00200032]) == (1.5, -2.0, 3.0)
    assert found.pixel_length == 12
    assert int.from_bytes(found.values[0x00280010], "little" if found.little_endian else "big") == 2
    if not syntax.endswith(".99"):
        assert path.read_bytes()[found.pixel_offset :] == bytes(range(12))


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(0, 700), syntax=st.sampled_from(SYNTAXES), undefined=st.booleans())
def test_a_cut_file_is_said_to_be_damaged_or_no_dicom(
    tmp_path_factory: pytest.TempPathFactory,
    cut: int,
    syntax: str,
    undefined: bool,
) -> None:
    whole = sample(syntax, undefined=undefined)
    path = tmp_path_factory.getbasetemp() / "cut"
    path.write_bytes(whole[: min(cut, len(whole) - 13)])
    found = read_elements(path, wanted=WANTED)
    # a cut between two elements leaves a valid data set without pixels
    assert found is None or found.damage is not None or found.pixel_offset < 0


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300), place=st.integers(0, 600))
def test_random_bytes_never_break_the_walk(tmp_path_factory: pytest.TempPathFactory, data: bytes, place: int) -> None:
    whole = bytearray(sample(SYNTAXES[place % 3], undefined=True))
    whole[place : place + len(data)] = data
    path = tmp_path_factory.getbasetemp() / "random"
    path.write_bytes(whole)
    read_elements(path, wanted=WANTED)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("character_set", [None, b"", b"  "])
def test_text_of_no_declared_alphabet(encoding: str, character_set: bytes | None) -> None:
    assert text("Müller^Jörg".encode(encoding), character_set) == "Müller^Jörg"


def implicit(tag: tuple[int, int], value: bytes) -> bytes:
    return struct.pack("<HHI", *tag, len(value) + len(value) % 2) + value + b"\0" * (len(value) % 2)


@pytest.mark.parametrize("syntax", SYNTAXES[:2])
@pytest.mark.parametrize("head", ["implicit meta", "no head", "no head, another first tag"])
def test_heads_of_old_converters_are_read_as_pydicom_reads_them(tmp_path: Path, syntax: str, head: str) -> None:
    data = sample(syntax, undefined=False)
    start = 132 + 12 + int.from_bytes(data[140:144], "little")
    body = data[start:]
    if head == "implicit meta":
        meta = implicit((2, 2), b"1.2.840.10008.5.1.4.1.1.2") + implicit((2, 0x10), syntax.encode())
        body = bytes(128) + b"DICM" + implicit((2, 0), struct.pack("<I", len(meta))) + meta + body
    elif head == "no head, another first tag":
        first = struct.pack("<HH2sH", 8, 1, b"UL", 4) if syntax == SYNTAXES[1] else struct.pack("<HHI", 8, 1, 4)
        body = first + bytes(4) + body
    path = tmp_path / "file"
    path.write_bytes(body)
    found = read_elements(path, wanted=WANTED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = pydicom.dcmread(path, force=True)
    assert found is not None
    assert found.damage is None
    assert text(found.values[0x0020000E]) == expected.SeriesInstanceUID == "1.2.3"
    assert body[found.pixel_offset :][: found.pixel_length] == expected.PixelData


@pytest.mark.parametrize(
    "data", [b"\x08\x00 plain text that begins so, and goes on for some time.", bytes(400), b"\x08\0" * 99]
)
def test_other_files_that_begin_likewise_are_no_dicom(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert read_elements(path, wanted=WANTED) is None


def test_text_of_other_alphabets(tmp_path: Path) -> None:
    assert text("Grüß".encode("latin-1"), b"ISO_IR 100") == "Grüß"
    assert text("Ωmega".encode(), b"ISO_IR 192 ") == "Ωmega"
    assert text(b"\xff\xfe", None) != ""


@pytest.mark.parametrize(
    ("age", "birth", "study", "years"),
    [
        ("012Y", "", "", 12),
        ("018M", "", "", 1.5),
        ("026W", "", "", 26 * 7 / 365.25),
        ("010D", "", "", 10 / 365.25),
        ("", "20000101", "20120102", 12),
        ("000Y", "20000101", "20120102", 12),
        ("junk", "", "20120102", None),
        ("", "20130101", "20120102", None),
    ],
)
def test_age(age: str, birth: str, study: str, years: float | None) -> None:
    found = age_in_years(age, birth_date=birth, study_date=study)
    assert found == (None if years is None else pytest.approx(years, abs=0.01))


@pytest.mark.shared_data
def test_real_headers_agree_with_pydicom(shared_data: Path) -> None:
    folders = ["nema_wg04_dicom", "totalseg_ct/example_ct_dicom", "vhf_pelvis_5slice_ct", "pymskt_knee_mri_dicom"]
    checked = 0
    for folder in folders:
        for path in (shared_data / folder).rglob("*"):
            if not path.is_file():
                continue
            found = read_elements(path, wanted=WANTED)
            if found is None:
                assert path.suffix != ".dcm"
                continue
            ds = pydicom.dcmread(path, stop_before_pixels=True)
            mine = {tag: value for tag, value in found.values.items() if tag >> 16 != 2}
            theirs = {tag: ds.get_item(tag).value or b"" for tag in WANTED if tag in ds and tag >> 16 != 2}
            # pydicom has made text of the character set already
            assert mine.pop(0x00080005, None) is None or theirs.pop(0x00080005)
            assert mine == theirs
            checked += 1
    assert checked == 24 + 20 + 5 + 24
