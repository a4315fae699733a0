"""The data set of the metastasis study: axial slices of CT series with a mask of the bone and one of the lesions.

The folders ``image``, ``bone mask`` and ``lesion mask`` are those of the public set BM-Seg: the same file name in each.
A series is done when its file ``cases/NAME.json`` is there, which is written last. Of real series a table says which,
whose, and which files mark lesions and bone.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from osteon.curation.splits import NORMAL, UNKNOWN_PATIENTS_WARNING
from osteon.data.manifest import PATIENT_KNOWN
from osteon.data.system import MadeDataset
from osteon.errors import GeometryMismatchError, InputError
from osteon.geometry import axial_turn
from osteon.io import load_volume, read_mask_volume
from osteon.io.image import write_png8
from osteon.io.table import whole_number
from osteon.ops.series_images import PIXEL_MM, slice_frame, windowed
from osteon.train.datasets.case_builder import (
    CaseMaker,
    SeriesCase,
    build_cases,
    build_labelled,
    file_state,
    folder_name,
    known_fields,
)
from osteon.train.datasets.series_index import (
    ABOUT,
    check_about,
    listed_series,
    read_series_table,
    refuse_warnings,
    series_fields,
)
from osteon.train.run_folder import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import ImageRow, LabelledImage, LabelledStudy, Manifest, Volume
    from osteon.data.options import Progress
    from osteon.geometry import Grid
    from osteon.io import SeriesEntry
    from osteon.ops.series_images import SliceFrame
    from osteon.systems.ct_metastasis.options import LabelledOptions

__all__ = [
    "MAKER",
    "METASTASIS",
    "NORMAL",
    "MaskedSeries",
    "OpenedTrunk",
    "TrunkOptions",
    "build_masked",
    "make_labelled",
    "mask_notes",
    "read_masks",
]

METASTASIS: Final = "metastasis"
IMAGE, BONE, LESION = "image", "bone mask", "lesion mask"
FOLDERS: Final = (IMAGE, BONE, LESION, "cases")
COLUMNS: Final = ("series", *ABOUT, "label", "lesion_mask", "bone_mask", "lesion_labels", "bone_labels")
_HALF: Final = 128
_SLICES_A_PATIENT: Final = 70
"""The published set has as many slices of a CT at most (thesis, L1184)."""
_SEXES: Final = {"F": "Women", "M": "Men", "O": "Others", "": "Patients whose sex is not known"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkOptions:
    """Which slices become pictures, and how.

    Attributes:
        lesion_slices: at most this many slices with a lesion of a series, drawn at random; None for all.
        normal_slices: at most this many slices without one; None for all, 0 for none.
        size: rows and columns of a picture.
        pixel_mm: side of a pixel.
        need_bone: leave series out whose bone is not marked; else their pictures have no bone mask.
        seed: another seed draws other slices.

    Raises:
        InputError: a number below its range, or no slice at all.
    """

    lesion_slices: int | None = _SLICES_A_PATIENT
    normal_slices: int | None = 0
    size: int = 224
    pixel_mm: float = PIXEL_MM
    need_bone: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse what makes no picture."""
        wanted = (self.lesion_slices, self.normal_slices)
        if any(count is not None and count < 0 for count in wanted) or wanted == (0, 0):
            raise InputError("a data set needs slices with a lesion, or without one: ask for at least one of them")
        if self.size < 16 or not self.pixel_mm > 0 or self.seed < 0:
            raise InputError("pictures need at least 16 pixels, a pixel above 0 mm and a seed of at least 0")


@dataclass(frozen=True, slots=True, eq=False)
class OpenedTrunk:
    """A series in memory, with what is marked in it.

    Attributes:
        volume: CT in HU.
        lesion: (slice, row, column) bool or labels on the grid of the volume; not 0 is a lesion. All 0: none there.
        bone: as ``lesion``, of all bone, lesions in it included; None when it is not marked.
    """

    volume: Volume
    lesion: NDArray[Any] = field(repr=False)
    bone: NDArray[Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class _Pictures:
    """All slices of a series as pictures, from the feet to the head; (slices, size, size)."""

    grid: Grid
    hu: NDArray[Any] = field(repr=False)
    frame: SliceFrame
    lesion: NDArray[np.bool_] = field(repr=False)
    bone: NDArray[np.bool_] | None = field(repr=False)
    hidden: NDArray[np.bool_] = field(repr=False)
    """(slices,) a lesion is marked in the slice, and its picture does not show it: too small, or outside."""


def make_labelled(
    study: LabelledStudy, out: Path, options: LabelledOptions, workers: int, progress: Progress
) -> MadeDataset:
    """Make the data set of volumes with the masks "lesion" and "bone"."""
    normal = options.normal_slices
    if normal is None:
        normal = _SLICES_A_PATIENT if NORMAL in study.labels else 0
    asked = TrunkOptions(lesion_slices=options.lesion_slices, normal_slices=normal, size=options.size, seed=study.seed)
    return MadeDataset(build_labelled(study, out, MAKER, asked, _open_labelled, workers=workers, progress=progress))


def _open_labelled(open_images: Callable[[], Iterable[LabelledImage]]) -> OpenedTrunk:
    (image,) = open_images()
    return OpenedTrunk(cast("Volume", image.image), image.masks["lesion"], image.masks["bone"])


def _rows(
    case: SeriesCase[OpenedTrunk], opened: OpenedTrunk, out: Path, options: TrunkOptions
) -> Iterator[dict[str, object]]:
    """Write the pictures of a series and give their rows.

    A picture shows "metastasis" when its lesion mask has a pixel, else "normal". Slices whose lesion is lost in the
    picture, being smaller than half a pixel or outside its frame, are neither and are left out.
    """
    if opened.bone is None and options.need_bone:
        raise InputError("its bone is not marked: give a bone mask, or say that none is needed")
    pictures = _pictures(opened, options)
    stem = folder_name(case.name)
    ours = re.compile(re.escape(stem) + r"_\d+\.png")
    for folder in (IMAGE, BONE, LESION):  # what a run that was stopped left
        for path in (out / folder).glob(f"{stem}_*.png"):
            if ours.fullmatch(path.name):
                path.unlink()
    for index in _draw(pictures, options, case.name):
        yield _write(case, opened, pictures, int(index), out, options)


def _pictures(opened: OpenedTrunk, options: TrunkOptions) -> _Pictures:
    grid = opened.volume.grid
    for name, mask in (("lesion", opened.lesion), ("bone", opened.bone)):
        if mask is not None and mask.shape != grid.shape:
            raise GeometryMismatchError(f"the {name} mask has {mask.shape} voxels, its CT {grid.shape}: mark that CT")
    hu = opened.volume.array
    if hu.dtype.kind == "f" and not np.isfinite(hu).all():
        raise InputError("the CT holds NaN or infinite values: replace them by air (-1024)")
    turn = axial_turn(grid)
    turned = turn.grid(grid)
    frame = slice_frame(
        turned.shape[1:], turned.spacing_mm[1:], pixel_mm=options.pixel_mm, size=(options.size, options.size)
    )
    lesion, marked = _framed(turn.array(opened.lesion), frame)
    bone = None if opened.bone is None else _framed(turn.array(opened.bone), frame)[0]
    return _Pictures(turned, turn.array(hu), frame, lesion, bone, marked & ~lesion.any(axis=(1, 2)))


def _framed(mask: NDArray[Any], frame: SliceFrame) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Pictures of a mask, and which slices of it hold anything; an empty slice costs nothing."""
    marked = np.array([bool(one.any()) for one in mask])
    pictures = np.zeros((len(mask), *frame.size), dtype=np.bool_)
    for index in np.flatnonzero(marked):
        whole = (mask[index] != 0).astype(np.uint8) * np.uint8(255)
        pictures[index] = frame.images(whole[None])[0] >= _HALF
    return pictures, marked


def _draw(pictures: _Pictures, options: TrunkOptions, name: str) -> NDArray[np.int64]:
    """Slices to use, ascending: the same for the same seed and name, whatever other series there are."""
    generator = np.random.default_rng([options.seed, zlib.crc32(name.encode())])
    with_lesion = pictures.lesion.any(axis=(1, 2))
    chosen = []
    for found, most in (
        (np.flatnonzero(with_lesion), options.lesion_slices),
        (np.flatnonzero(~with_lesion & ~pictures.hidden), options.normal_slices),
    ):
        count = found.size if most is None else min(most, found.size)
        chosen.append(generator.permutation(found)[:count])
    return np.sort(np.concatenate(chosen))


def _write(
    case: SeriesCase[OpenedTrunk],
    opened: OpenedTrunk,
    pictures: _Pictures,
    index: int,
    out: Path,
    options: TrunkOptions,
) -> dict[str, object]:
    """Write a picture and its masks; gives its row as JSON keeps it."""
    name = f"{folder_name(case.name)}_{index:04}.png"
    lesion, (_, rows, columns) = pictures.lesion[index], pictures.grid.shape
    middle_lps_mm = pictures.grid.to_lps_mm([index, (rows - 1) / 2, (columns - 1) / 2])
    write_png8(out / IMAGE / name, pictures.frame.images(windowed(pictures.hu[index])[None])[0])
    write_png8(out / LESION / name, lesion)
    extra = {
        "slice": str(index),
        "position_mm": f"{middle_lps_mm[2]:.2f}",
        "pixel_mm": f"{options.pixel_mm:g}",
        "pixels": str(lesion.size),
        "lesion_pixels": str(np.count_nonzero(lesion)),
    }
    if pictures.bone is not None:
        write_png8(out / BONE / name, pictures.bone[index])
        extra["bone_pixels"] = str(np.count_nonzero(pictures.bone[index]))
    return {
        "image": f"{IMAGE}/{name}",
        "label": METASTASIS if lesion.any() else NORMAL,
        "plane": "axial",
        "lesion_mask": f"{LESION}/{name}",
        "bone_mask": "" if pictures.bone is None else f"{BONE}/{name}",
        **known_fields(case, opened.volume.source),
        "extra": {**extra, **case.extra},
    }


def mask_notes(manifest: Manifest) -> list[str]:
    """Sentences for the cohort table."""
    counts = [sum(row.patient == patient for row in manifest.rows) for patient in manifest.patients]
    told = [f"Slices of a patient: {min(counts)} to {max(counts)}, median {np.median(counts):g}."]
    told += _ages(manifest)
    if any(row.extra.get(PATIENT_KNOWN) == "no" for row in manifest.rows):
        told.append(UNKNOWN_PATIENTS_WARNING)
    for name, what in (("lesion_pixels", "Lesion"), ("bone_pixels", "Bone")):
        rows = [row for row in manifest.rows if row.extra.get(name) and row.extra.get("pixels")]
        if not rows:
            continue
        told.append(f"{what}: {_share(rows, name):.2%} of the pixels of {len(rows)} pictures with a mask of it.")
        shown = [row for row in rows if row.extra[name] != "0"]
        if name == "lesion_pixels" and 0 < len(shown) < len(rows):
            told.append(f"Lesion: {_share(shown, name):.2%} of the pixels of the {len(shown)} pictures that show one.")
    return told


def _share(rows: Sequence[ImageRow], name: str) -> float:
    return sum(int(row.extra[name]) for row in rows) / sum(int(row.extra["pixels"]) for row in rows)


def _ages(manifest: Manifest) -> list[str]:
    """Mean and standard deviation of the patients' ages by sex, a patient counting once."""
    first = {row.patient: row for row in reversed(manifest.rows)}
    told = []
    for sex, name in _SEXES.items():
        people = [row for row in first.values() if row.sex == sex]
        ages = [row.age_years for row in people if row.age_years is not None]
        if not people:
            continue
        if not ages:
            told.append(f"{name}: {len(people)}, ages not known.")
            continue
        spread = f" (SD {np.std(ages, ddof=1):.1f})" if len(ages) > 1 else ""
        known = "" if len(ages) == len(people) else f", known of {len(ages)}"
        told.append(f"{name}: {len(people)}, mean age {np.mean(ages):.1f} years{spread}{known}.")
    return told


MAKER: Final = CaseMaker(
    rows=_rows, folders=FOLDERS, notes=mask_notes, empty="it has no slice of the kinds that were asked for"
)


# ---------------------------------------------------------------------------------------------------- series with masks


@dataclass(frozen=True, slots=True)
class MaskedSeries:
    """A row of the table.

    Attributes:
        series: Series Instance UID, name of the folder of its files, or name of the NIfTI file.
        about: columns of ``ABOUT`` that are filled.
        lesion: file that marks the lesions; None: there is none.
        bone: file that marks the bone; None: it is not marked.
        lesion_labels: values or segment numbers that are lesions, none named for all of them; None: there is one.
        bone_labels: those that are bone.
    """

    series: str
    about: Mapping[str, str]
    lesion: Path | None
    bone: Path | None
    lesion_labels: tuple[int, ...] | None = None
    bone_labels: tuple[int, ...] | None = None


def read_masks(file: Path) -> tuple[MaskedSeries, ...]:
    """Read a table of series and masks.

    Every row names a ``series``, its ``patient`` and its ``lesion_mask`` (NIfTI, NRRD, DICOM SEG or RTSTRUCT, path from
    the table's folder), or has the ``label`` normal instead: no lesion in the series. Optional: ``bone_mask``;
    ``lesion_labels`` and ``bone_labels`` (values of the mask, segments or ROIs that count: numbers with spaces, or all;
    needed where a NIfTI mask holds more than 0 and 1 or a structure set several ROIs, and when one file marks both);
    centre, scanner, sex, age_years, split, kind.

    Raises:
        InputError: with the number of the row, counted below the header.
    """
    rows = read_series_table(file, COLUMNS)
    try:
        return tuple(_row(number, line, file.parent) for number, line in rows)
    except InputError as error:
        raise InputError(f"{file.name}: {error}") from error


def build_masked(
    series: Path, masks: Path, out: Path, options: TrunkOptions, *, workers: int = 1, progress: Progress | None = None
) -> MadeDataset:
    """Make a data set of CT series with masks.

    Raises:
        InputError: a table that cannot be read, or that names a series that is not there.
        OutputError: cannot be written.
    """
    what, listed = "CT series with masks", read_masks(masks)
    twice = f"{masks.name} names a series twice: keep one row of each"
    with listed_series(series, listed, _case, twice=twice, progress=progress) as (cases, others):
        about = {"what": what, "masks": masks.name}
        built = build_cases(cases, out, MAKER, options=options, workers=workers, progress=progress, about=about)
        masks_too = {path.resolve() for item in listed for path in (item.lesion, item.bone) if path}
        unused = sum(
            entry.series.modality in ("CT", "") and (entry.path is None or entry.path.resolve() not in masks_too)
            for entry in others
        )
    lines = [f"- {unused} series there are not in {masks.name}: not used"] if unused else []
    return MadeDataset(built, (f"source   {what}", *lines), items="series")


def open_masked(entry: SeriesEntry, item: MaskedSeries) -> OpenedTrunk:
    """Load a series with its masks; top level, so that another process can do it.

    Raises:
        InputError, UnsupportedError, GeometryMismatchError: no CT, or a series or mask that cannot be used.
    """
    if entry.series.modality not in ("CT", ""):
        raise InputError(f"a CT was asked for, the series is {entry.series.modality}")
    volume = load_volume(entry, modality="CT")
    read = partial(read_mask_volume, like=volume.grid, source=volume.source, tell=refuse_warnings)
    bone = None if item.bone is None else read(item.bone, labels=item.bone_labels)
    if item.lesion is None:
        return OpenedTrunk(volume, np.zeros(volume.grid.shape, dtype=np.bool_), bone)
    return OpenedTrunk(volume, read(item.lesion, labels=item.lesion_labels), bone)


def _row(number: int, line: Mapping[str, str], folder: Path) -> MaskedSeries:
    about = {column: line[column] for column in ABOUT if line.get(column)}
    check_about(number, about)
    label, lesion, bone = (line.get(column, "") for column in ("label", "lesion_mask", "bone_mask"))
    if label not in ("", NORMAL):
        raise InputError(f"row {number} has the label {label!r}: it must be empty, or normal where there is no lesion")
    if bool(lesion) == (label == NORMAL):
        raise InputError(f"row {number} must have either a lesion_mask or the label normal")
    lesions, bones = (_labels(number, column, line.get(column, "")) for column in ("lesion_labels", "bone_labels"))
    if lesion and lesion == bone and (lesions is None or bones is None):
        raise InputError(f"row {number} names one file for lesions and bone: fill lesion_labels and bone_labels")
    return MaskedSeries(
        series=line["series"],
        about=about,
        lesion=folder / lesion if lesion else None,
        bone=folder / bone if bone else None,
        lesion_labels=lesions,
        bone_labels=bones,
    )


def _labels(number: int, column: str, text: str) -> tuple[int, ...] | None:
    if not text or text == "all":
        return () if text else None
    words = [whole_number(word) for word in re.split(r"[\s|+]+", text)]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise InputError(
            f"row {number} has the {column} {text!r}: they must be numbers from 1 with spaces between, or all"
        )
    return tuple(sorted({int(word) for word in words}))


def _case(name: str, item: MaskedSeries, entry: SeriesEntry) -> SeriesCase[OpenedTrunk]:
    files = [file_state(path) for path in (item.lesion, item.bone)]
    return SeriesCase(
        name=name,
        open=partial(open_masked, entry, item),
        fingerprint=digest([repr((entry.series.uid, entry.n_images, item)), files]),
        **series_fields(item.about, entry),
    )
