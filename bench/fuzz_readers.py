"""Damaged files, given to every reader: each must end in a result or in one clear error.

Run ``python -m bench.fuzz_readers [--inputs N] [--seed S] [--only KIND] [--json FILE]``; 20,000 inputs take some five
minutes of one processor. Sound files of every kind are made first; an input is one of them, changed by a mutator that
depends on seed and number alone, so that ``--seed S --from NUMBER --inputs 1`` makes it again. Readers run in a child
process within limits of memory and time; a child that ends, hangs or speaks of the patient is counted as "other".
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FULL_INPUTS: Final = 20_000
SECONDS_EACH: Final = 10
ADDRESS_SPACE: Final = 6 * 2**30
NAME: Final = "ZZPATIENT"
PNG: Final = b"\x89PNG\r\n\x1a\n"
INTERESTING: Final = (0, 1, -1, 2**15, -(2**15), 2**16 - 1, 2**31 - 1, -(2**31), 2**32 - 1, 348, 10**9)
TEXTS: Final = (
    b"1e308",
    b"-1e308",
    b"nan",
    b"inf",
    b"1e-30",
    b"9" * 400,
    b"[" * 3000,
    b'"',
    b"\\",
    b"\xff\xfe",
    b"-",
    b"0",
)


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the inputs of one kind."""

    kind: str
    inputs: int
    results: int
    clear_errors: int
    others: int
    seconds: float


# ------------------------------------------------------------------------------------------------------------ seeds


def make_seeds(folder: Path) -> None:
    """Sound files of every kind, in a folder each; nobody's."""
    from osteon.data import Label, Mask, Patient, Volume
    from osteon.geometry import Grid
    from osteon.io.dicom.write_series import write_ct_series
    from osteon.labels import concept

    grid = Grid.from_axes(shape=(4, 40, 36), spacing_mm=(2, 1, 1))
    values = np.random.default_rng(1).integers(-1000, 1500, grid.shape).astype(np.int16)
    volume = Volume(array=values, grid=grid, modality="CT", unit="HU")
    write_ct_series(volume, folder / "ct", patient=Patient(identifier="ZZIDENT", name=f"{NAME}^A"))
    _recoded(folder)
    label = Label(value=1, name="bone", category=concept("tissue"), kind=concept("bone"))
    mask = Mask(array=(values > 300).astype(np.uint8), grid=grid, labels=(label,), name="bone")
    _masks(folder, mask)
    _nifti(folder, volume)
    _pictures(folder)
    _tables(folder)


def _recoded(folder: Path) -> None:
    """The CT series in other transfer syntaxes, as a zip, and as one multi-frame file."""
    import zipfile

    import pydicom
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

    files = sorted((folder / "ct").iterdir())
    for name, syntax in (("rle", RLELossless), ("j2k", JPEG2000Lossless), ("implicit", ImplicitVRLittleEndian),
                         ("deflated", DeflatedExplicitVRLittleEndian)):  # fmt: skip
        (folder / name).mkdir()
        for file in files:
            image = pydicom.dcmread(file)
            if name in {"rle", "j2k"}:
                image.compress(syntax, generate_instance_uid=False)
            image.file_meta.TransferSyntaxUID = syntax
            image.save_as(folder / name / file.name, implicit_vr=name == "implicit", little_endian=True)
    import imagecodecs
    from pydicom.encaps import encapsulate

    for name, syntax, encode in (
        ("jpegls", "1.2.840.10008.1.2.4.80", imagecodecs.jpegls_encode),
        ("jpeg", "1.2.840.10008.1.2.4.70", imagecodecs.ljpeg_encode),
        ("htj2k", "1.2.840.10008.1.2.4.201", imagecodecs.htj2k_encode),
    ):
        (folder / name).mkdir()
        for file in files:
            image = pydicom.dcmread(file)
            image.PixelData = encapsulate([encode(image.pixel_array.astype(np.uint16))])
            image["PixelData"].VR = "OB"
            image.file_meta.TransferSyntaxUID = syntax
            image.save_as(folder / name / file.name)
    (folder / "joined").mkdir()
    for number, file in enumerate(files):
        image = pydicom.dcmread(file)
        image.SeriesInstanceUID += f".{number // 2}"
        image.save_as(folder / "joined" / file.name)
    (folder / "zip").mkdir()
    with zipfile.ZipFile(folder / "zip" / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, f"DICOM/{file.name}")
    (folder / "multiframe").mkdir()
    images = [pydicom.dcmread(file) for file in files]
    whole = images[0]
    groups = []
    for image in images:
        place, turn, measures = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        place.ImagePositionPatient, turn.ImageOrientationPatient = (
            image.ImagePositionPatient,
            image.ImageOrientationPatient,
        )
        measures.PixelSpacing, measures.SliceThickness = image.PixelSpacing, 2
        group = pydicom.Dataset()
        group.PlanePositionSequence, group.PlaneOrientationSequence = [place], [turn]
        group.PixelMeasuresSequence = [measures]
        groups.append(group)
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    whole.NumberOfFrames, whole.PerFrameFunctionalGroupsSequence = len(images), groups
    whole.SharedFunctionalGroupsSequence = [pydicom.Dataset()]
    whole.PixelData = b"".join(image.PixelData for image in images)
    whole.save_as(folder / "multiframe" / "a.dcm")


def _masks(folder: Path, mask: Any) -> None:  # noqa: ANN401 - a Mask
    from osteon.io.dicom.derived import DerivedSeries
    from osteon.io.dicom.rtstruct import write_structure_set
    from osteon.io.dicom.seg import write_segmentation
    from osteon.io.nifti import write_mask_nifti
    from osteon.io.volume import open_volume

    volume = open_volume(folder / "ct")
    if volume.source is None:
        raise RuntimeError("a volume from files has a source")
    for name in ("seg", "rtstruct", "mask_nifti"):
        (folder / name).mkdir()
    series = DerivedSeries(number=9001, description="bone")
    place: dict[str, Any] = {"source": volume.source, "grid_of_source": volume.grid}
    write_segmentation(folder / "seg" / "a.dcm", mask, algorithm=("a", "1"), series=series, **place)
    write_structure_set(folder / "rtstruct" / "a.dcm", [(mask, ("a", "1"))], series=series, **place)
    write_mask_nifti(folder / "mask_nifti" / "a.nii.gz", mask)
    (folder / "mask_nifti" / "a.labels.json").unlink()
    for syntax in ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"):
        _label_map(folder, mask.array, syntax)
    _nrrd(folder, mask)


def _label_map(folder: Path, array: Any, syntax: str) -> None:  # noqa: ANN401 - an array
    """A label map of the CT series, plain or compressed."""
    import highdicom
    import pydicom
    from pydicom.sr.codedict import codes

    images = sorted(map(pydicom.dcmread, (folder / "ct").iterdir()), key=lambda one: float(one.ImagePositionPatient[2]))
    for image in images:
        for name in ("StudyID", "StudyTime", "AccessionNumber", "ReferringPhysicianName"):
            setattr(image, name, "")
    by_hand = highdicom.seg.SegmentAlgorithmTypeValues.MANUAL
    what = highdicom.seg.SegmentDescription(1, "bone", codes.SCT.Tissue, codes.SCT.Bone, by_hand)
    uids = [highdicom.UID() for _ in range(2)]
    name = "labelmap" if syntax == "1.2.840.10008.1.2.1" else "labelmap_j2k"
    (folder / name).mkdir()
    highdicom.seg.Segmentation(
        images, array, "LABELMAP", [what], uids[0], 100, uids[1], 1, "m", "n", "1", "2", transfer_syntax_uid=syntax
    ).save_as(folder / name / "a.dcm")


def _nrrd(folder: Path, mask: Any) -> None:  # noqa: ANN401 - a Mask
    """The mask as 3D Slicer writes it, the fastest axis first, packed and as text."""
    import gzip

    vectors = " ".join("({})".format(",".join(map(str, mask.grid.affine[:3, axis]))) for axis in (2, 1, 0))
    head = (
        f"NRRD0004\ntype: unsigned char\ndimension: 3\nspace: left-posterior-superior\n"
        f"sizes: {' '.join(map(str, mask.grid.shape[::-1]))}\nspace directions: {vectors}\nkinds: domain domain domain"
        f"\nendian: little\nspace origin: ({','.join(map(str, mask.grid.origin_lps_mm))})\nSegment0_LabelValue:=1\n"
    )
    data = np.ascontiguousarray(mask.array)
    text = " ".join(map(str, data.ravel().tolist())).encode()
    for name, encoding, body in (("nrrd", "gzip", gzip.compress(data.tobytes())), ("nrrd_text", "ascii", text)):
        (folder / name).mkdir()
        (folder / name / "a.nrrd").write_bytes(f"{head}encoding: {encoding}\n\n".encode() + body)


def _nifti(folder: Path, volume: Any) -> None:  # noqa: ANN401 - a Volume
    import nibabel

    image = nibabel.Nifti1Image(volume.array.transpose(2, 1, 0), np.diag([-1.0, -1.0, 2.0, 1.0]))
    for name, kind, file in (
        ("nifti", np.int16, "a.nii"),
        ("nifti_gz", np.float64, "a.nii.gz"),
        ("nifti_2", np.int16, "a.nii"),
    ):
        (folder / name).mkdir()
        maker = nibabel.Nifti2Image if name == "nifti_2" else nibabel.Nifti1Image
        nibabel.save(maker(np.asarray(image.dataobj).astype(kind), image.affine), folder / name / file)


def _pictures(folder: Path) -> None:
    import cv2

    from osteon.io.slide.pyramid import PyramidOptions, write_pyramid

    random = np.random.default_rng(2)
    colour = cv2.GaussianBlur(random.integers(0, 255, (180, 200, 3)).astype(np.uint8), (0, 0), 3)
    grey = colour[:, :, 0]
    for name in ("tiff_jpeg", "tiff_deflate", "slide_png", "radiograph_png", "radiograph_jpeg", "mask_png", "pages"):
        (folder / name).mkdir()
    small = PyramidOptions(tile=64, smallest=64)
    write_pyramid(folder / "tiff_jpeg" / "a.tif", colour, microns_per_pixel=0.5, options=small)
    lossless = PyramidOptions(tile=64, smallest=64, compression="deflate")
    write_pyramid(folder / "tiff_deflate" / "a.tif", colour, microns_per_pixel=0.5, options=lossless)
    cv2.imwrite(str(folder / "slide_png" / "a.png"), colour)
    cv2.imwrite(str(folder / "radiograph_png" / "a.png"), grey.astype(np.uint16) * 257)
    _turned_jpeg(folder / "radiograph_jpeg" / "a.jpg", grey)
    cv2.imwritemulti(str(folder / "pages" / "a.tif"), [grey, grey[:50]])
    cv2.imwrite(str(folder / "mask_png" / "a.png"), np.uint8(255) * (grey > 127))


def _turned_jpeg(file: Path, grey: Any) -> None:  # noqa: ANN401 - an array
    """With an EXIF block, which the reader follows."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(grey).save(file, quality=95, exif=exif)


def _tables(folder: Path) -> None:
    from importlib.resources import files

    from osteon.data import Fold, ImageRow, Manifest, Predictions, Split
    from osteon.io.predictions_file import write_predictions
    from osteon.io.split_file import write_split
    from osteon.io.table import write_manifest

    for name in ("split", "manifest", "manifest_parquet", "predictions", "card", "settings_toml", "settings_yaml"):
        (folder / name).mkdir()
    fold = Fold(train=("a", "b"), validation=("c",), test=("d",))
    write_split(
        Split(scheme="nested", unit="patient", folds=(fold,), seed=1, manifest_sha256="0" * 64), folder / "split"
    )
    rows = tuple(ImageRow(image=f"{n}.png", patient=f"p{n}", label="ab"[n % 2], age_years=5.0 * n) for n in range(8))
    for name, file in (("manifest", "manifest.csv"), ("manifest_parquet", "manifest.parquet")):
        write_manifest(Manifest(folder / name, rows), folder / name / file)
    texts = {name: np.array(["x", "y"]) for name in ("patient", "series", "image")}
    numbers = {"truth": np.array([0, 1]), "fold": np.array([0, 0]), "logits": np.zeros((2, 2), np.float32)}
    write_predictions(
        Predictions(
            **texts,
            **numbers,
            part=np.array(["test", "test"]),
            temperature=np.ones(2),
            classes=("a", "b"),
            positive="b",
        ),
        folder / "predictions" / "a.parquet",
    )
    card = files("osteon.weights").joinpath("cards", "mobilenet_v2.phantom", "card.json").read_bytes()
    (folder / "card" / "card.json").write_bytes(card)
    (folder / "settings_toml" / "a.toml").write_text("batch = 8\nlearning_rate = 1e-5\npatience = 5\n", "utf-8")
    (folder / "settings_yaml" / "a.yaml").write_text("batch: 8\nlearning_rate: 0.00001\nseed: 3\n", "utf-8")


# ---------------------------------------------------------------------------------------------------------- readers


def _series(path: Path) -> None:
    from osteon.io.choose import choose_series
    from osteon.io.find import find_images
    from osteon.io.volume import load_image

    with find_images(path) as found:
        load_image(choose_series(found, modality="CT"), modality="CT" if path.suffix in {".nii", ".gz"} else "")


def _written(path: Path) -> None:
    """A series that is read, and the objects that refer to it."""
    from osteon.data import Answer, Label, Mask
    from osteon.io.volume import open_volume
    from osteon.labels import concept
    from osteon.report.result import write_dicom_objects

    volume = open_volume(path)
    label = Label(value=1, name="bone", category=concept("tissue"), kind=concept("bone"))
    mask = Mask(array=(volume.array > 300).astype(np.uint8), grid=volume.grid, labels=(label,), name="bone")
    answer = Answer("ct_osteosarcoma", "None.", masks={"bone": mask}, contoured=("bone",))
    with tempfile.TemporaryDirectory(prefix="osteon-fuzz-") as out:
        (Path(out) / "report.pdf").write_bytes(b"%PDF-1.4\n%%EOF\n")
        told = write_dicom_objects(Path(out), answer, volume)
    if any(NAME in text for text in told):
        raise AssertionError("a reason names the patient")


def _mask(path: Path) -> None:
    from osteon.geometry import Grid
    from osteon.io.mask import read_mask_volume

    read_mask_volume(path, like=Grid.from_axes(shape=(4, 40, 36), spacing_mm=(2, 1, 1)))


def _slide(path: Path) -> None:
    from osteon.io.slide import is_slide, open_slide

    is_slide(path)
    slide = open_slide(path, microns_per_pixel=0.5)
    try:
        for level in range(len(slide.levels)):
            slide.read(level, 0, 0, 120, 120)
    finally:
        slide.close()


def _picture(path: Path) -> None:
    from osteon.io.image import load_radiograph

    _series_or_error(path)
    load_radiograph(path)


def _page(path: Path) -> None:
    from osteon.io.image import load_radiograph

    load_radiograph(path, frame=1)


def _series_or_error(path: Path) -> None:
    from osteon.io.find import find_images

    find_images(path).close()


def _mask_picture(path: Path) -> None:
    from osteon.io.image import read_mask_image

    read_mask_image(path)


def _split(path: Path) -> None:
    from osteon.io.split_file import read_split

    read_split(path)


def _manifest(path: Path) -> None:
    from osteon.io.table import read_manifest

    read_manifest(path)


def _predictions(path: Path) -> None:
    from osteon.io.predictions_file import read_predictions

    read_predictions(path)


def _card(path: Path) -> None:
    from osteon.weights.card import read_card

    read_card(path)


def _settings(path: Path) -> None:
    from osteon.io.settings_file import read_settings_file
    from osteon.systems.registry import recipe

    recipe("ct_osteosarcoma").settings(read_settings_file(path))


READERS: Final[dict[str, tuple[str, Callable[[Path], None]]]] = {
    "CT series, explicit VR": ("ct", _series),
    "CT series, implicit VR": ("implicit", _series),
    "CT series, deflated": ("deflated", _series),
    "CT series, RLE": ("rle", _series),
    "CT series, JPEG 2000": ("j2k", _series),
    "CT series, JPEG-LS": ("jpegls", _series),
    "CT series, JPEG lossless": ("jpeg", _series),
    "CT series, HTJ2K": ("htj2k", _series),
    "CT series, multi-frame": ("multiframe", _series),
    "CT series, read and written": ("ct", _written),
    "zip of a CT series": ("zip", _series),
    "NIfTI": ("nifti", _series),
    "NIfTI, gzip": ("nifti_gz", _series),
    "NIfTI-2": ("nifti_2", _series),
    "mask, DICOM SEG": ("seg", _mask),
    "mask, DICOM RTSTRUCT": ("rtstruct", _mask),
    "mask, DICOM label map": ("labelmap", _mask),
    "mask, DICOM label map, JPEG 2000": ("labelmap_j2k", _mask),
    "mask, NIfTI": ("mask_nifti", _mask),
    "mask, NRRD, gzip": ("nrrd", _mask),
    "mask, NRRD, text": ("nrrd_text", _mask),
    "mask, PNG": ("mask_png", _mask_picture),
    "slide, TIFF of JPEG": ("tiff_jpeg", _slide),
    "slide, TIFF of deflate": ("tiff_deflate", _slide),
    "slide, PNG": ("slide_png", _slide),
    "radiograph, PNG": ("radiograph_png", _picture),
    "radiograph, JPEG": ("radiograph_jpeg", _picture),
    "radiograph, TIFF of pages": ("pages", _page),
    "two CT series of one scan": ("joined", _series),
    "manifest, CSV": ("manifest", _manifest),
    "manifest, Parquet": ("manifest_parquet", _manifest),
    "predictions": ("predictions", _predictions),
    "split": ("split", _split),
    "model card": ("card", _card),
    "settings, TOML": ("settings_toml", _settings),
    "settings, YAML": ("settings_yaml", _settings),
}
"""Kind of input: the folder of its seed, and what reads it (the whole folder where it reads a series)."""

WHOLE_FOLDERS: Final = frozenset(
    {"ct", "implicit", "deflated", "rle", "j2k", "jpegls", "jpeg", "htj2k", "multiframe", "joined"}
)


# ---------------------------------------------------------------------------------------------------------- mutator


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """The bytes with one to six changes, most of them where headers are; half of the PNG keep true check sums."""
    changed = bytearray(data)
    for _ in range(1 if random.random() < 0.5 else int(random.integers(2, 7))):
        reach = len(changed) if random.random() < 0.4 else min(len(changed), 2048)
        at = int(random.integers(0, max(1, reach)))
        count = int(random.integers(1, 1 << int(random.integers(1, 9))))
        match int(random.integers(0, 8)):
            case 0:
                changed[at : at + 1] = bytes(
                    [(changed[at] if at < len(changed) else 0) ^ 1 << int(random.integers(0, 8))]
                )
            case 1:
                changed[at : at + count] = random.bytes(count)
            case 2:
                width = int(random.choice([1, 2, 4, 8]))
                value = int(random.choice(INTERESTING)) & (1 << 8 * width) - 1
                changed[at : at + width] = value.to_bytes(width, "little" if random.random() < 0.7 else "big")
            case 3:
                del changed[at : at + count]
            case 4:
                changed[at:at] = changed[at : at + count]
            case 5:
                start = int(random.integers(0, max(1, len(changed))))
                changed[at : at + count] = changed[start : start + count]
            case 6:
                text = TEXTS[int(random.integers(0, len(TEXTS)))]
                changed[at : at + (len(text) if random.random() < 0.5 else 0)] = text
            case _:
                if random.random() < 0.3:
                    del changed[at + 1 :]
    return _checked_png(bytes(changed)) if data.startswith(PNG) and random.random() < 0.5 else bytes(changed)


def _checked_png(data: bytes) -> bytes:
    """A PNG with the check sum of each chunk made true again, as far as its chunks can be followed."""
    changed, at = bytearray(data), len(PNG)
    while at + 12 <= len(changed):
        end = at + 8 + int.from_bytes(changed[at : at + 4], "big")
        changed[end : end + 4] = zlib.crc32(bytes(changed[at + 4 : end])).to_bytes(4, "big")
        at = end + 4
    return bytes(changed)


def make_input(seeds: Path, work: Path, kind: str, random: np.random.Generator) -> Path:
    """An input of a kind in an empty folder; what its reader is given."""
    folder, _ = READERS[kind]
    files = sorted((seeds / folder).iterdir())
    hurt = {int(number) for number in random.integers(0, len(files), 1 if random.random() < 0.7 else len(files))}
    for number, file in enumerate(files):
        data = file.read_bytes()
        (work / file.name).write_bytes(mutated(data, random) if number in hurt else data)
    return work if folder in WHOLE_FOLDERS else work / files[0].name


# ------------------------------------------------------------------------------------------------------------ child


class _TooLongError(BaseException):
    """The time of an input is over."""


def _stop(*_: object) -> None:
    raise _TooLongError


def child(seeds: Path, kinds: list[str], seed: int, numbers: range) -> None:
    """Read inputs and print a line about each: its number, "result", "clear" or "other", and what was raised."""
    import resource

    from osteon.errors import OsteonError

    warnings.simplefilter("ignore")
    os.environ.pop("OSTEON_DEBUG", None)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    signal.signal(signal.SIGALRM, _stop)
    for number in numbers:
        kind = kinds[number % len(kinds)]
        with tempfile.TemporaryDirectory(prefix="osteon-fuzz-") as work:
            path = make_input(seeds, Path(work), kind, np.random.default_rng([seed, number]))
            outcome, detail = "result", ""
            signal.alarm(SECONDS_EACH)
            try:
                READERS[kind][1](path)
            except OsteonError as error:
                outcome, detail = ("other", "names the patient") if NAME in str(error) else ("clear", "")
            except _TooLongError:
                outcome, detail = "other", f"no end within {SECONDS_EACH} s"
            except Exception as error:  # noqa: BLE001 - what is counted here
                outcome, detail = "other", f"{type(error).__name__} in {_own_place(error)}"
            finally:
                signal.alarm(0)
        print(json.dumps([number, outcome, detail]), flush=True)


def _own_place(error: BaseException) -> str:
    """The last line of osteon that an error passed."""
    import traceback

    own = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "/osteon/" in frame.filename.replace("\\", "/")
    ]
    own = [frame for frame in own if "site-packages" not in frame.filename]
    return f"{own[-1].filename.rsplit('/osteon/', maxsplit=1)[-1]}:{own[-1].lineno}" if own else "?"


# ----------------------------------------------------------------------------------------------------------- parent


def run(kinds: list[str], *, inputs: int, seed: int, first: int) -> tuple[list[Tally], list[str]]:
    """The table, and a line about each "other"."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    seconds: Counter[str] = Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="osteon-fuzz-") as folder:
        make_seeds(Path(folder))
        began = time.perf_counter()
        for number, outcome, detail in _outcomes(Path(folder), kinds, seed, range(first, first + inputs)):
            kind = kinds[number % len(kinds)]
            counts[kind][outcome] += 1
            now = time.perf_counter()
            seconds[kind] += now - began  # type: ignore[assignment]
            began = now
            if outcome == "other":
                faults.append(f"{kind}, seed {seed}, number {number}: {detail}")
                print(f"  {faults[-1]}", flush=True)
    table = [
        Tally(kind, sum(found.values()), found["result"], found["clear"], found["other"], round(seconds[kind], 1))
        for kind, found in counts.items()
    ]
    return table, faults


def _outcomes(seeds: Path, kinds: list[str], seed: int, numbers: range) -> Iterator[tuple[int, str, str]]:
    """What the children say; one that is silent too long or ends is counted and followed by another."""
    at = numbers.start
    while at < numbers.stop:
        which = ["--seed", str(seed), "--from", str(at), "--inputs", str(numbers.stop - at)]
        only = [word for kind in kinds for word in ("--only", kind)]
        command = [sys.executable, "-m", "bench.fuzz_readers", "--child", str(seeds), *which, *only]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            if process.stdout is None:
                raise RuntimeError("a child has an output")
            while at < numbers.stop:
                ready, _, _ = select.select([process.stdout], [], [], 3 * SECONDS_EACH + 20)
                line = process.stdout.readline() if ready else b""
                if not line:
                    process.kill()
                    yield at, "other", f"the process ended with {process.wait()}" if ready else "no end, killed"
                    at += 1
                    break
                number, outcome, detail = json.loads(line)
                yield number, outcome, detail
                at = number + 1


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; returns 1 when an input ended in something else than a result or a clear error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=FULL_INPUTS, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="of the mutator")
    parser.add_argument("--from", type=int, default=0, dest="first", help="number of the first input")
    parser.add_argument("--only", choices=READERS, action="append", help="one kind; may be given again; all by default")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    kinds = options.only or list(READERS)
    if options.child:
        child(options.child, kinds, options.seed, range(options.first, options.first + options.inputs))
        return 0
    table, faults = run(kinds, inputs=options.inputs, seed=options.seed, first=options.first)
    sums = {each.name: sum(getattr(row, each.name) for row in table) for each in fields(Tally)[1:]}
    total = Tally(kind="all", **sums)
    print("| kind | inputs | results | clear errors | others | s |\n|---|---|---|---|---|---|")
    for row in (*table, total):
        print(f"| {row.kind} | {row.inputs} | {row.results} | {row.clear_errors} | {row.others} | {row.seconds:.0f} |")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        document = {"seed": options.seed, "rows": [asdict(row) for row in (*table, total)], "faults": faults}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
