"""Bad input through the program: the exit code, what it says, and that nothing is left or changed."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from osteon.errors import OutputError
from osteon.reading import new_result

Make = Callable[..., Path]
Refused = Callable[..., str]
Run = Callable[..., SimpleNamespace]
Edit = Callable[[pydicom.Dataset, int], None]
MPEG2 = "1.2.840.10008.1.2.4.100"
JPEG_2000 = "1.2.840.10008.1.2.4.90"


def test_nothing_there(refused: Refused, tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "nowhere does not exist", "give a folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "asked for images", "the folder is empty", "give the folder that holds")


def test_no_images(refused: Refused, tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "letter.txt").write_text("Quux^Zelda")
    (folder / "deep" / "er" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "zero").touch()
    refused(folder, "found no images in 3 files", "neither DICOM nor NIfTI", "give a DICOM folder, a zip or a NIfTI")
    refused(folder / "letter.txt", "found no images in 1 files")


@pytest.mark.parametrize(
    ("cut", "words"),
    [
        (lambda data, index: data[:-100] if index == 2 else data, "ct_0003.dcm: .*pixels end before they should"),
        (
            lambda data, index: data[:900] if index == 2 else data,
            "1 file is damaged .*ct_0003.dcm: the file ends inside its header",
        ),
        (lambda data, _: data[:200], "no image could be read of 5 files; 5 files are damaged .first ct_0001.dcm"),
        (lambda data, index: data + bytes(500) if index == 2 else data, None),
    ],
    ids=["pixels", "header", "all", "tail"],
)
def test_truncated_files(
    make_study: Make, refused: Refused, cut: Callable[[bytes, int], bytes], words: str | None
) -> None:
    folder = make_study(raw=cut)
    if words is None:  # bytes after the pixels harm nobody: what is refused is the noise
        refused(folder, "asked for the legs of a CT")
    else:
        refused(folder, words, "send (it|them|the series) again")


def test_encoding_without_a_decoder(make_study: Make, refused: Refused) -> None:
    def encode(image: pydicom.Dataset, _: int) -> None:
        image.file_meta.TransferSyntaxUID = MPEG2
        image.PixelData = pydicom.encaps.encapsulate([b"\0\0\1\xb3" + bytes(60)])
        image["PixelData"].VR = "OB"

    refused(make_study(edit=encode), f"no decoder for transfer syntax {MPEG2}", "convert the series")


@pytest.mark.shared_data
def test_real_jpeg_of_twelve_bits(shared_data: Path, refused: Refused) -> None:
    found = sorted((shared_data / "nema_wg04_dicom").rglob("*"))
    assert found
    refused(shared_data / "nema_wg04_dicom", "give one|choose|convert|give a CT|no CT series|cannot be read")


@pytest.mark.parametrize("modality", ["DX", "CR", "MR", "US", "SEG", ""])
def test_another_modality(make_study: Make, refused: Refused, modality: str) -> None:
    def change(image: pydicom.Dataset, _: int) -> None:
        image.Modality = modality

    found = modality or "unnamed"
    count = rf"found 1 {found} series \(5 images\)"
    named = ("--task", "ct_osteosarcoma")
    refused(make_study("named", edit=change), "asked for a CT series", count, "give a CT", options=named)
    if modality == "MR":  # another system reads it, and needs to know where the lesion is
        refused(make_study("free", edit=change), "there is no lesion box", "--box R0,C0,R1,C1")
    else:
        refused(make_study("free", edit=change), "asked for a CT or MR series", count, "give a CT or MR")


def test_two_patients(make_study: Make, refused: Refused, tmp_path: Path) -> None:
    make_study("both/one")
    make_study("both/two", patient=("Roe^Richard", "MRN-2"), seed="other")
    told = refused(tmp_path / "both", "found images of 2 patients", "--series UID", "give one patient's folder")
    assert "roe" not in told.lower()
    uid = pydicom.dcmread(tmp_path / "both" / "two" / "ct_0001.dcm").SeriesInstanceUID
    assert uid in told
    refused(tmp_path / "both", "asked for the legs of a CT", options=("--series", uid))


def test_two_patients_under_one_uid(make_study: Make, refused: Refused, tmp_path: Path) -> None:
    make_study("both/one")
    make_study("both/two", patient=("Roe^Richard", "MRN-2"))
    told = refused(tmp_path / "both", "found images of 2 patients")
    uid = pydicom.dcmread(tmp_path / "both" / "two" / "ct_0001.dcm").SeriesInstanceUID
    assert "MRN-2" not in told
    refused(tmp_path / "both", "holds images of 2 patients", "one patient's folder", options=("--series", uid))


def test_slices_missing(make_study: Make, refused: Refused) -> None:
    folder = make_study(array=np.tile(np.arange(-1000, 1000, 125, dtype=np.int16).reshape(4, 4), (9, 1, 1)))
    for number in (4, 7):
        (folder / f"ct_000{number}.dcm").unlink()
    refused(folder, "2 slices are missing", "2.000 mm apart", "send the series again, or choose another")


def set_tag(keyword: str, value: object) -> Edit:
    def change(image: pydicom.Dataset, _: int) -> None:
        setattr(image, keyword, value)

    return change


def raw_text(old: bytes, new: bytes) -> Callable[[bytes, int], bytes]:
    """Replace a value by another of the same length, one that pydicom would not write."""
    assert len(old) == len(new)

    def change(data: bytes, _: int) -> bytes:
        assert data.count(old) == 1
        return data.replace(old, new)

    return change


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (set_tag("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]), "two unit vectors, found lengths 0.0000"),
        (set_tag("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]), "at right angles, found 0.00 degrees"),
        (set_tag("ImageOrientationPatient", [1, 0, 0, 0, 0, 1]), "1 position holds two different images"),
        (set_tag("ImageOrientationPatient", None), "no Image Orientation"),
        (set_tag("ImagePositionPatient", None), "no Image Position"),
        (set_tag("ImagePositionPatient", [0, 0, 0]), "1 position holds two different images"),
        (set_tag("PixelSpacing", None), "no Pixel Spacing"),
        (set_tag("PixelSpacing", [0, 1]), "pixel spacing must be positive, found 0 x 1 mm"),
        (set_tag("PixelSpacing", [-1, 1]), "pixel spacing must be positive, found -1 x 1 mm"),
    ],
)
def test_wrong_geometry(make_study: Make, refused: Refused, edit: Edit, words: str) -> None:
    refused(make_study(edit=edit), "no CT series can be read as a volume", words)


@pytest.mark.parametrize("value", [b"nan\\nan ", b"inf\\1   ", b"a\\\x1b[2J  ", b"1e999\\1 "])
def test_spacing_that_is_not_a_number(make_study: Make, refused: Refused, value: bytes) -> None:
    folder = make_study(edit=set_tag("PixelSpacing", ["0.12", "0.3"]), raw=raw_text(b"0.12\\0.3", value))
    refused(folder, "pixel spacing of the images holds NaN or something that is not a number")


def test_every_voxel_the_same(make_study: Make, refused: Refused) -> None:
    folder = make_study(array=np.full((4, 8, 8), 40, dtype=np.int16))
    refused(folder, "every voxel has the value 40: the series shows nothing", "choose another")


@pytest.mark.parametrize("slices", [1, 3])
def test_few_slices_of_nothing(make_study: Make, refused: Refused, slices: int) -> None:
    array = np.random.default_rng(0).integers(-1000, 1000, (slices, 32, 32)).astype(np.int16)
    refused(make_study(array=array), "legs")


def test_three_thousand_slices(make_study: Make, refused: Refused, tmp_path: Path) -> None:
    template = (
        make_study("one", edit=set_tag("ImagePositionPatient", [0, 0, "100000.5"])) / "ct_0001.dcm"
    ).read_bytes()
    many = tmp_path / "many"
    many.mkdir()
    head, place, tail = template.partition(b"100000.5")
    assert place
    for index in range(3000):
        (many / f"{index * 7919 % 3000}").write_bytes(head + f"{index * 0.5:08.1f}".encode() + tail)
    refused(many, "legs")


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "a/../../evil", "C:\\evil", "..\\evil"])
def test_zip_that_points_outside(refused: Refused, tmp_path: Path, name: str) -> None:
    archive = zipped(tmp_path / "in.zip", {"ok": b"x", name: b"evil"})
    refused(archive, "in.zip holds a file that points outside the archive", "is not opened")
    assert not list(tmp_path.parent.rglob("evil"))


def test_zip_with_a_link(refused: Refused, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(tmp_path / "in.zip", "holds a link or a device file", "not opened")


def test_zip_bombs(refused: Refused, tmp_path: Path) -> None:
    refused(zipped(tmp_path / "bomb.zip", {"zeros": bytes(100 * 2**20)}), "zip bomb", "by hand if you trust it")
    # an archive that lies: its directory says 100 bytes
    data = bytearray(zipped(tmp_path / "liar.zip", {"zeros": bytes(2**20)}).read_bytes())
    central = data.rindex(b"PK\x01\x02")
    data[central + 24 : central + 28] = struct.pack("<I", 100)
    (tmp_path / "liar.zip").write_bytes(data)
    refused(tmp_path / "liar.zip", "liar.zip .*(damaged|zip bomb)")


def test_damaged_and_empty_zips(make_study: Make, refused: Refused, tmp_path: Path) -> None:
    folder = make_study()
    whole = zipped(tmp_path / "good.zip", {path.name: path.read_bytes() for path in folder.iterdir()}).read_bytes()
    (tmp_path / "short.zip").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "short.zip", "short.zip is a damaged zip archive", "pack it again")
    refused(zipped(tmp_path / "empty.zip", {}), "empty")
    refused(tmp_path / "good.zip", "asked for the legs of a CT")
    locked = bytearray(whole)
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):
        at = -1
        while (at := locked.find(mark, at + 1)) >= 0:
            locked[at + (6 if mark[2] == 3 else 8)] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    refused(tmp_path / "locked.zip", "locked.zip is encrypted", "with its password")


def test_output_below_a_file(make_study: Make, refused: Refused, tmp_path: Path) -> None:
    folder = make_study()
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "result", tmp_path / "file" / "deep" / "result"):
        refused(folder, "result", "a file", "choose another", out=out)


@pytest.mark.parametrize(
    "out", ["/proc/result", "/sys/deep/result", "/dev/null", "/dev/null/result", "x" * 300, "/" + "y/" * 2100]
)
def test_output_where_nothing_can_be_made(make_study: Make, refused: Refused, tmp_path: Path, out: str) -> None:
    refused(make_study(), "result", "choose another", out=tmp_path / out)


def test_output_that_holds_something(make_study: Make, refused: Refused, tmp_path: Path) -> None:
    folder = make_study()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "findings.json").write_text("{}")
    refused(
        folder, "old already holds a result", "choose another folder with -o, or add --replace", out=tmp_path / "old"
    )
    # replacing is for a result that was made: this reading makes none
    refused(folder, "asked for the legs", out=tmp_path / "old", options=("--replace",))
    refused(folder, "study is not empty and holds no osteon result", "-o", out=folder)
    refused(folder, "study is not empty and holds no osteon result", out=folder, options=("--replace",))
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    refused(folder, "dangling", "choose another", out=tmp_path / "dangling")
    (tmp_path / "loop").symlink_to("loop")
    refused(folder, "loop", "choose another", out=tmp_path / "loop")


def test_replace_never_takes_the_input_with_it(make_study: Make, refused: Refused, tmp_path: Path) -> None:
    folder = make_study("old/dicom")
    (tmp_path / "old" / "findings.json").write_text("{}")
    refused(
        folder, "holds the images that were to be read", "choose another", out=tmp_path / "old", options=("--replace",)
    )


def test_output_at_the_place_of_the_user(
    make_study: Make, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    refused(make_study(), "current folder", "choose another", out=Path())


@pytest.mark.parametrize(
    ("name", "result"),
    [("1.2.840.10", "1.2.840.10-result"), ("a.b.NII.GZ", "a.b-result"), (".hidden", "hidden-result")],
)
def test_the_result_is_named_after_the_study(
    osteon: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, result: str
) -> None:
    (tmp_path / result).mkdir()
    (tmp_path / result / "findings.json").touch()
    monkeypatch.chdir(tmp_path)
    assert f"the folder {result} already holds a result" in osteon("read", name).err


def test_names_that_are_not_there(make_study: Make, refused: Refused, tmp_path: Path) -> None:
    folder = make_study()
    told = refused(folder, "series 1.2.3 is not here; found CT, 5 images", options=("--series", "1.2.3"))
    assert pydicom.dcmread(folder / "ct_0001.dcm").SeriesInstanceUID in told
    refused(folder, "no task 'ct_osteosarkoma': did you mean 'ct_osteosarcoma'", options=("--task", "ct_osteosarkoma"))
    refused(folder, "no task '': known: bone, ct_metastasis, ct_osteosarcoma", options=("--task", ""))
    refused(folder, "series  is not here", options=("--series", ""))


def test_a_gpu_that_is_not_there(study_of_legs: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused(study_of_legs, "cuda", "--device", options=("--device", "cuda"))


def test_models_that_cannot_be_used(study_of_legs: Path, refused: Refused, model_folder: Path, tmp_path: Path) -> None:
    refused(study_of_legs, "no model 'nobody.knows'", "known:", options=("--model", "nobody.knows"))
    refused(study_of_legs, "card", options=("--model", tmp_path / "nowhere"))
    shutil.copytree(model_folder, tmp_path / "changed")
    weights = tmp_path / "changed" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    refused(study_of_legs, "weights.safetensors", "changed|SHA-256", options=("--model", tmp_path / "changed"))
    weights.unlink()
    refused(
        study_of_legs,
        "weights.safetensors",
        "cannot be read",
        "fetch the model again",
        options=("--model", tmp_path / "changed"),
    )
    (tmp_path / "changed" / "card.json").write_text('{"name": "x", "files": 3}')
    refused(study_of_legs, "card", options=("--model", tmp_path / "changed"))
    (tmp_path / "changed" / "card.json").write_bytes(b"\xff\xfe{")
    refused(study_of_legs, "card", options=("--model", tmp_path / "changed"))


def test_not_a_leg(make_study: Make, refused: Refused) -> None:
    _, rows, columns = np.mgrid[0:12, 0:128, 0:128]
    body = (rows - 64) ** 2 / 40**2 + (columns - 64) ** 2 / 60**2 <= 1
    spine = (rows - 90) ** 2 + (columns - 64) ** 2 <= 10**2
    lungs = ((rows - 55) ** 2 + (np.abs(columns - 64) - 30) ** 2) <= 18**2
    array = np.where(lungs, -850, np.where(spine, 500, np.where(body, 40, -1000))).astype(np.int16)
    refused(
        make_study(array=array, spacing=(5.0, 3.0, 3.0)),
        "does not look like legs",
        "gas is inside the body",
        "Choose a series of the legs, or force",
    )


def put_raw(image: pydicom.Dataset, keyword: str, value: str) -> None:
    """Set an element to text that the standard forbids."""
    tag = pydicom.tag.Tag(pydicom.datadict.tag_for_keyword(keyword))
    kind, data = pydicom.datadict.dictionary_VR(tag), value.encode()
    image[tag] = pydicom.dataelem.RawDataElement(
        tag, kind, len(data), data, 0, is_implicit_VR=False, is_little_endian=True
    )


HOSTILE = {
    "uid": ("SeriesInstanceUID", "1.2.3\x1b[31m\x07"),
    "modality": ("Modality", "C\x1b[2JT"),
    "line": ("Modality", "CT\nerror: all is well"),
    "script": ("Modality", "<script>alert(1)</script>"),
    "direction": ("SeriesInstanceUID", "1.2.\u202e3"),
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.filterwarnings("ignore")
def test_hostile_text_in_a_message(make_study: Make, refused: Refused, case: str) -> None:
    keyword, value = HOSTILE[case]

    def change(image: pydicom.Dataset, _: int) -> None:
        image.SpecificCharacterSet = "ISO_IR 192"
        put_raw(image, keyword, value)
        image.PixelSpacing = None

    told = refused(make_study(edit=change), "CT")
    assert case == "script" or any(escape in told for escape in ("\\x", "\\u", "\\n"))


@pytest.mark.parametrize(
    "name", ["with space", "Bein \u00e4\u9aa8", "new\nline", "\x1b[31mred", "-dash", "dot.", "a'b\"c$(x)`", "nul\udcff"]
)
def test_folders_and_files_of_any_name(make_study: Make, refused: Refused, name: str) -> None:
    refused(make_study(f"x{name}", names=[f"{name}{k}" for k in range(5)]), "asked for the legs of a CT")
    spoiled = make_study(f"y{name}", names=[f"{name}{k}" for k in range(5)], raw=lambda data, k: data[:-5])
    refused(spoiled, "truncated")


def test_links_that_go_round(make_study: Make, refused: Refused, tmp_path: Path) -> None:
    folder = make_study()
    (folder / "up").symlink_to(tmp_path)
    (folder / "self").symlink_to("self")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "again").symlink_to(folder / "ct_0001.dcm")
    refused(folder, "asked for the legs of a CT")
    refused(folder / "self", "give a folder")
    refused(folder / "dangling", "give a folder")


@pytest.mark.timeout(20)
def test_what_is_not_a_file_is_not_waited_for(make_study: Make, refused: Refused, tmp_path: Path) -> None:
    folder = make_study()
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "terminal").symlink_to("/dev/tty")
    refused(folder, "asked for the legs of a CT")
    refused(folder / "pipe", "neither a folder nor a file; give a folder")
    refused(folder / "zero", "neither a folder nor a file; give a folder")
    os.mkfifo(tmp_path / "pipe.nii.gz")
    refused(tmp_path / "pipe.nii.gz", "neither a folder nor a file")


@pytest.fixture
def as_nobody(tmp_path: Path) -> Iterator[Path]:
    """A public folder, and an account that may not do everything."""
    if os.geteuid() != 0:
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="osteon-nobody-"))
    folder.chmod(0o777)
    os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(0)
        shutil.rmtree(folder)


def test_no_permission(osteon: Run, as_nobody: Path) -> None:
    folder = as_nobody / "study"
    folder.mkdir()
    (folder / "image").write_bytes(b"x")
    (folder / "image").chmod(0)
    ran = osteon("read", folder, "-o", as_nobody / "r", "--json")
    assert (ran.code, json.loads(ran.out)["status"]) == (1, "failed")
    assert "Permission denied" in ran.err
    folder.chmod(0)
    ran = osteon("read", folder, "-o", as_nobody / "r", "--json")
    assert (ran.code, json.loads(ran.out)["status"]) == (1, "failed")
    assert "Permission denied" in ran.err
    folder.chmod(0o700)
    closed = as_nobody / "closed"
    closed.mkdir(0o555)
    ran = osteon("read", folder, "-o", closed / "r", "--json")
    assert (ran.code, json.loads(ran.out)["status"]) == (1, "failed")
    assert "not writable for this account: choose another folder" in ran.err


def nifti(path: Path, array: NDArray[Any], *, affine: NDArray[Any] | None = None, raw: bytes | None = None) -> Path:
    import nibabel

    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    if raw is not None:
        path.write_bytes(raw)
    return path


def test_nifti_that_is_not_a_volume(refused: Refused, tmp_path: Path) -> None:
    box = np.random.default_rng(0).integers(-1000, 1000, (8, 8, 4)).astype(np.int16)
    sheared = np.eye(4)
    sheared[0, 1] = 0.3
    holes = box.astype(np.float32)
    holes[3, 3, 3] = np.nan
    say = "no CT series can be read as a volume"
    refused(nifti(tmp_path / "four.nii", np.stack([box, box], axis=-1)), say, "three dimensions", "extract one volume")
    refused(nifti(tmp_path / "two.nii", box[..., 0]), say, "three dimensions")
    refused(nifti(tmp_path / "sheared.nii.gz", box, affine=sheared), say, "sheared.nii.gz: .*(right angles|orthogonal)")
    refused(nifti(tmp_path / "nan.nii", holes), "nan.nii: holds NaN or infinite voxels; replace them by air")
    refused(nifti(tmp_path / "same.nii.gz", np.full_like(box, 7)), "every voxel has the value 7")
    refused(nifti(tmp_path / "labels.nii.gz", box & 3), "asked for a CT", "do not look like Hounsfield units", "--task")
    whole = nifti(tmp_path / "whole.nii", box).read_bytes()
    refused(nifti(tmp_path / "short.nii", box, raw=whole[:-50]), "short.nii: truncated or damaged.*send it again")
    refused(nifti(tmp_path / "head.nii", box, raw=whole[:200]), "head.nii: not a readable NIfTI file")
    refused(nifti(tmp_path / "text.nii.gz", box, raw=b"Quux^Zelda"), "text.nii.gz: not a readable NIfTI file")
    zipped_ = nifti(tmp_path / "whole.nii.gz", box).read_bytes()
    refused(nifti(tmp_path / "cut.nii.gz", box, raw=zipped_[:-80]), "cut.nii.gz: .*damaged")
    many = bytearray(whole)
    many[40:48] = struct.pack("<4h", 3, 32767, 32767, 32767)  # 64 TiB declared
    refused(nifti(tmp_path / "huge.nii", box, raw=bytes(many)), "huge.nii says that it holds 32767 x 32767", "GiB")
    many[40:48] = struct.pack("<4h", 3, -5, 8, 4)
    refused(nifti(tmp_path / "minus.nii", box, raw=bytes(many)), "minus.nii: ")
    many[40:48] = struct.pack("<4h", 3, 8, 8, 4)
    for name, number in (("lost.nii", float("nan")), ("flat.nii", 0.0)):  # the first element of the sform
        many[280:284] = struct.pack("<f", number)
        refused(nifti(tmp_path / name, box, raw=bytes(many)), f"{name}: ")


def huge(image: pydicom.Dataset, _: int) -> None:
    image.Rows = image.Columns = 65535


def huge_jpeg_2000(image: pydicom.Dataset, _: int) -> None:
    import imagecodecs

    huge(image, 0)
    data = imagecodecs.jpeg2k_encode(np.zeros((64, 64), np.uint16), level=0, codecformat="j2k", reversible=True)
    image.PixelData = pydicom.encaps.encapsulate([data])
    image["PixelData"].VR = "OB"
    image.file_meta.TransferSyntaxUID = JPEG_2000


def j2k_that_lies(image: pydicom.Dataset, index: int) -> None:
    import imagecodecs

    data = bytearray(
        imagecodecs.jpeg2k_encode(np.zeros((64, 64), np.uint16), level=0, codecformat="j2k", reversible=True)
    )
    side = struct.pack(">I", 65535)
    for at in (8, 12, 24, 28):  # image and tile size in the SIZ marker
        data[at : at + 4] = side
    image.PixelData = pydicom.encaps.encapsulate([bytes(data)])
    image["PixelData"].VR = "OB"
    image.file_meta.TransferSyntaxUID = JPEG_2000


def huge_frames(image: pydicom.Dataset, _: int) -> None:
    image.NumberOfFrames = 2_000_000_000


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (huge, "65535 x 65535 pixels, which no scanner makes"),
        (huge_jpeg_2000, "65535 x 65535 pixels, which no scanner makes"),
        (j2k_that_lies, "header says 12 x 12 pixels, the compressed image holds 65535 x 65535"),
        (huge_frames, "header says 2000000000 x 12 x 12 pixels .576000000000 bytes., it holds 288 bytes"),
    ],
)
def test_declared_sizes_cost_no_memory(make_study: Make, refused: Refused, edit: Edit, words: str) -> None:
    folder = make_study(edit=edit)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(folder, words, "send the series again")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_more_slices_than_memory(make_study: Make, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    refused(make_study(), "the series says that it holds 5 x 12 x 12 voxels", "memory are free", "larger machine")


def hostile_copy(study: Path, folder: Path) -> Path:
    """The series with markup, escape codes, line breaks and far too much in the text of its headers."""
    texts = {
        "PatientName": "Quux^<script>alert(1)</script>\x1b[2J\x07\n" + "W" * 20_000,
        "PatientID": "MRN-47110815</td>{{7*7}}\u202e" + "8" * 5_000,
        "PatientBirthDate": "19700102-or-so",
        "SeriesDescription": "<img src=x onerror=alert(1)>\r\nerror: all is lost",
        "StudyDescription": "a\0b & <b>",
        "Manufacturer": "'; DROP TABLE; --" + "-" * 30_000,
    }
    folder.mkdir()
    for number, path in enumerate(sorted(study.iterdir())):
        image = pydicom.dcmread(path)
        for keyword, value in texts.items():
            put_raw(image, keyword, value)
        image.save_as(folder / f"{number} \x1b[31m\u9aa8\n", enforce_file_format=True)
    return folder


@pytest.mark.filterwarnings("ignore")  # pydicom says what it thinks of these headers; the program keeps it to itself
def test_hostile_text_does_not_reach_terminal_or_page(
    osteon: Run, study_of_legs: Path, tmp_path: Path, temporary: Path, plain: Callable[[str], None]
) -> None:
    folder = hostile_copy(study_of_legs, tmp_path / "in put \u00e4")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    out = tmp_path / "deep" / ("\u00e4 \n" + "x" * 240)
    ran = osteon("read", folder, "-o", out)
    assert ran.code == 0, ran.err
    assert ran.err == ""
    plain(ran.out)
    page = (out / "report.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert all(c.isprintable() or c in "\n\t" for c in page)
    for name in ("findings.json", "run.json"):
        plain((out / name).read_text("utf-8"))
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([folder.name, "deep", "temporary"])
    assert list((tmp_path / "deep").iterdir()) == [out]
    assert list(temporary.iterdir()) == []


def test_three_slices_of_legs(osteon: Run, study_of_legs: Path, tmp_path: Path, plain: Callable[[str], None]) -> None:
    folder = tmp_path / "three"
    folder.mkdir()
    for path in sorted(study_of_legs.iterdir())[4:7]:
        shutil.copy(path, folder)
    ran = osteon("read", folder, "-o", tmp_path / "result", "--json")
    assert ran.code == 0, ran.err
    plain(ran.out)
    assert json.loads(ran.out)["source"]["images"] == 3


def test_a_disk_that_takes_no_more(study_of_legs: Path, refused: Refused, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        refused(
            study_of_legs,
            "result cannot be written: a file grew larger",
            "choose another",
            out=tmp_path / "a" / "result",
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_place_taken_meanwhile_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="already holds a result"), new_result(tmp_path / "r"):
        (tmp_path / "r").mkdir()
        (tmp_path / "r" / "findings.json").write_text("another program's")
    assert [path.name for path in tmp_path.rglob("*")] == ["r", "findings.json"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle(study_of_legs: Path, tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "temporary").mkdir()
    # a shell gives jobs in the background a Ctrl-C that does nothing; what a program ignores, its children ignore
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        program = subprocess.Popen(
            [sys.executable, "-m", "osteon", "read", study_of_legs, "-o", tmp_path / "deep" / "result"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "TMPDIR": str(tmp_path / "temporary"),
                "TORCHINDUCTOR_CACHE_DIR": str(tmp_path.parent / "inductor"),  # torch's own, where a model is converted
            },
        )
    finally:
        signal.signal(signal.SIGINT, before)
    while program.poll() is None and not list((tmp_path / "deep").glob(".osteon-*.part/views")):
        time.sleep(0.02)
    program.send_signal(number)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, out) == (128 + number, "")
    assert err == "interrupted: nothing half-written was left; the same command starts again\n"
    assert [path.name for path in tmp_path.rglob("*")] == ["temporary"]
