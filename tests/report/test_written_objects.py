"""Every DICOM object is written by itself: one that cannot be written is named, the others stand."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest

from osteon.data import Answer, Finding, Label, Mask
from osteon.errors import OutputError, UnknownLabelError
from osteon.io.volume import open_volume
from osteon.labels import concept
from osteon.report.result import write_dicom_objects, write_plain_masks
from tests.hostile_files import ct, item, nested, series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from osteon.data import Volume

ALL = {"seg.dcm", "seg_tumour.dcm", "sr.dcm", "bone_stl.dcm", "report_pdf.dcm", "rtstruct.dcm"}
SLICE = {
    0x00180050: (b"DS", b"2"),
    0x00200013: (b"IS", b"1"),
    0x00080020: (b"DA", b"20200304"),
    0x00080030: (b"TM", b"101112"),
    0x00080050: (b"SH", b""),
    0x00080090: (b"PN", b""),
    0x00100030: (b"DA", b"19800203"),
    0x00100040: (b"CS", b"F"),
    0x00200010: (b"SH", b"7"),
    0x00201040: (b"LO", b""),
}


def _case(folder: Path, change: Callable[[int], dict[int, tuple[bytes, bytes]]] = lambda _: {}) -> Volume:
    (folder / "ct").mkdir()
    series(folder / "ct", lambda i: ct(i, more=SLICE | change(i)))
    return open_volume(folder / "ct")


def _answer(volume: Volume) -> Answer:
    masks = {}
    for name, kind in (("bone", "bone"), ("tumour", "lesion")):
        label = Label(value=1, name=name, category=concept("tissue"), kind=concept(kind))
        array = (volume.array > 100).astype(np.uint8)
        masks[name] = Mask(array=array, grid=volume.grid, labels=(label,), name=name)
    finding = Finding(
        identifier="f1", tracking_uid="2.25.7", kind=concept("bone"), statement="Bone.", segment=("bone", 1)
    )
    return Answer("ct_osteosarcoma", "Nothing.", masks=masks, contoured=("bone", "tumour"), findings=(finding,))


def _result(folder: Path, volume: Volume) -> tuple[set[str], tuple[str, ...]]:
    """The names of what was written, and what was not, in words."""
    out = folder / "result"
    out.mkdir()
    (out / "report.pdf").write_bytes(b"%PDF-1.4\n%%EOF\n")
    (out / "bone.stl").write_bytes(bytes(80) + struct.pack("<I", 1) + bytes(50))
    skipped = write_dicom_objects(out, _answer(volume), volume)
    if skipped:
        write_plain_masks(out, _answer(volume), volume)
    return {path.name for path in out.iterdir()} - {"report.pdf", "bone.stl"}, skipped


def test_a_sound_series_becomes_all_objects(tmp_path: Path) -> None:
    assert _result(tmp_path, _case(tmp_path)) == (ALL, ())


def test_contours_are_of_the_masks_that_the_system_names(tmp_path: Path) -> None:
    volume = _case(tmp_path)
    answer = _answer(volume)
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.4\n%%EOF\n")
    write_dicom_objects(tmp_path, replace(answer, contoured=()), volume)
    assert not (tmp_path / "rtstruct.dcm").exists()
    write_dicom_objects(tmp_path, replace(answer, contoured=("tumour",)), volume)
    (roi,) = pydicom.dcmread(tmp_path / "rtstruct.dcm").StructureSetROISequence
    assert roi.ROIName == "tumour"
    with pytest.raises(UnknownLabelError, match="mask tumor were asked for: did you mean 'tumour'"):
        replace(answer, contoured=("tumor",))


@pytest.mark.parametrize(
    "element",
    [
        {0x00189306: (b"FD", b"\0\0\x80?")},
        {0x00181150: (b"IS", b"inf")},
        {0x00181151: (b"US", b"\1\2\3")},
        {0x00101030: (b"DS", b"1e999")},
        {0x00081140: (b"SQ", item(b"\x08\x00\x55\x11UL\x02\0\1\0"))},
        {0x00081140: (b"SQ", item(nested(60)))},
    ],
)
def test_a_value_of_another_type_costs_no_object(element: dict[int, tuple[bytes, bytes]], tmp_path: Path) -> None:
    assert _result(tmp_path, _case(tmp_path, lambda _: element)) == (ALL, ())
    assert pydicom.dcmread(tmp_path / "result" / "seg.dcm").PatientID == "ZZIDENT77"


@pytest.mark.parametrize(
    "change",
    [
        lambda _: {0x00081140: (b"SQ", item(nested(1500)))},
        lambda i: {0x0020000D: (b"UI", b"1.2.3.1.%d" % (i + 1))},
        lambda _: {0x00080016: (b"UI", b"1.3.12.2.1107.5.9.1")},
        lambda _: {0x00200052: (b"UI", b"")},
    ],
    ids=["deep sequence", "several studies", "private SOP class", "no frame of reference"],
)
def test_what_no_object_can_refer_to_leaves_every_mask(
    change: Callable[[int], dict[int, tuple[bytes, bytes]]], tmp_path: Path
) -> None:
    written, skipped = _result(tmp_path, _case(tmp_path, change))
    for name, mask in (("seg.dcm", "bone.nii.gz"), ("seg_tumour.dcm", "tumour.nii.gz")):
        assert (name in written) != (mask in written)
    assert (written >= ALL) == (not skipped)
    said = " ".join(skipped)
    assert all(name in said for name in ALL - written) or "No DICOM objects were written" in said
    assert not [name for name in written if name.endswith(".part")]
    assert "ZZPATIENT" not in said
    assert "ZZIDENT77" not in said


@pytest.mark.parametrize(
    ("module", "function", "name", "error"),
    [
        ("seg", "write_segmentation", "seg.dcm", RecursionError()),
        ("seg", "write_segmentation", "seg_tumour.dcm", KeyError("x")),
        ("sr", "write_report_sr", "sr.dcm", OverflowError()),
        ("rtstruct", "write_structure_set", "rtstruct.dcm", ZeroDivisionError()),
        ("encapsulated", "write_encapsulated_stl", "bone_stl.dcm", AttributeError("a")),
        ("encapsulated", "write_encapsulated_pdf", "report_pdf.dcm", TypeError()),
    ],
)
def test_one_object_that_fails_is_named_and_the_rest_stands(
    module: str, function: str, name: str, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = _case(tmp_path)
    loaded = pytest.importorskip(f"osteon.io.dicom.{module}")
    write = getattr(loaded, function)

    def fail(path: Path, *args: object, **kwargs: object) -> None:
        if path.name == name:
            path.write_bytes(b"half")
            raise error
        write(path, *args, **kwargs)

    monkeypatch.setattr(loaded, function, fail)
    written, skipped = _result(tmp_path, volume)
    mask = {"seg.dcm": "bone", "seg_tumour.dcm": "tumour"}.get(name)
    left = {f"{mask}.nii.gz", f"{mask}.labels.json"} if mask else set()
    assert written == (ALL - {name}) | left
    assert len(skipped) == 1
    assert name in skipped[0]
    assert type(error).__name__ in skipped[0]


def test_a_full_disk_is_not_a_fault_of_one_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = _case(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pydicom.Dataset, "save_as", full)
    with pytest.raises(OutputError, match=r"seg.dcm cannot be written \(No space left on device\)"):
        _result(tmp_path, volume)


def test_headers_that_are_gone_leave_every_mask(tmp_path: Path) -> None:
    volume = _case(tmp_path)
    for path in (tmp_path / "ct").iterdir():
        path.unlink()
    written, skipped = _result(tmp_path, volume)
    assert {"bone.nii.gz", "tumour.nii.gz"} <= written
    assert not [name for name in written if name.endswith(".dcm")]
    assert "No DICOM objects were written" in skipped[0]
