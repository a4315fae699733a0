"""The data set of the metastasis study: axial slices of CT series with a mask of the bone and one of the lesions.

The folders ``image``, ``bone mask`` and ``lesion mask`` are those of the public set BM-Seg: the same file name in each.
A series is done when its file ``cases/NAME.json`` is there, which is written last.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from osteon.curation.splits import NORMAL, PATIENT_KNOWN, UNKNOWN_PATIENTS_WARNING
from osteon.errors import GeometryMismatchError, InputError, OsteonError, OutputError
from osteon.geometry import axial_turn
from osteon.io.image import write_png8
from osteon.ops.series_images import PIXEL_MM, slice_frame, windowed
from osteon.train.datasets.case_builder import (
    BuiltDataset,
    CaseMaker,
    SeriesCase,
    build_cases,
    case_key,
    folder_name,
    known_fields,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import ImageRow, LabelledImage, LabelledStudy, Manifest, Volume
    from osteon.data.options import Progress
    from osteon.geometry import Grid
    from osteon.ops.series_images import SliceFrame

__all__ = ["METASTASIS", "NORMAL", "OpenedTrunk", "TrunkCase", "TrunkOptions", "build_dataset", "build_labelled_study"]

METASTASIS: Final = "metastasis"
IMAGE, BONE, LESION = "image", "bone mask", "lesion mask"
FOLDERS: Final = (IMAGE, BONE, LESION, "cases")
_HALF: Final = 128
_SLICES_A_PATIENT: Final = 70
"""The published set has as many slices of a CT at most (thesis, L1184)."""
_SEXES: Final = {"F": "Women", "M": "Men", "O": "Others", "": "Patients whose sex is not known"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkOptions:
    """Which slices become pictures, and how.

    Attributes:
        lesion_slices: at most so many slices with a lesion of a series, drawn at random; None for all.
        normal_slices: at most so many slices without one; None for all, 0 for none.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkCase(SeriesCase[OpenedTrunk]):
    """One series of the trunk."""


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


def build_dataset(
    cases: Iterable[TrunkCase],
    out: Path,
    options: TrunkOptions | None = None,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    about: Mapping[str, object] | None = None,
) -> BuiltDataset:
    """Make a data set folder: pictures, masks, ``manifest.csv``, the cohort table, ``dataset.json`` that says how.

    A picture shows "metastasis" when its lesion mask has a pixel, else "normal". Slices whose lesion is lost in the
    picture, being smaller than half a pixel or outside its frame, are neither and are left out.

    Args:
        cases: the series; their order is that of the manifest.
        out: new, empty, or an earlier data set of this builder: series that are complete there are kept.
        options: which slices.
        workers: processes; 1 works in this one.
        progress: told about every series; called often, so that it may stop the work.
        about: what else ``dataset.json`` shall say.

    Returns:
        The manifest and the series that were left out.

    Raises:
        InputError: two cases of one name, none, or no picture in the end.
        OutputError: the folder holds something else, or cannot be written.
        BackendError: a process was ended from outside.
    """
    return build_cases(
        cases, out, _MAKER, options=options or TrunkOptions(), workers=workers, progress=progress, about=about
    )


def build_labelled_study(
    study: LabelledStudy, out: Path, options: TrunkOptions, *, workers: int = 1, progress: Progress | None = None
) -> BuiltDataset:
    """As ``build_dataset``, of volumes with the masks "lesion" and "bone"."""
    cases = [replace(case, open=partial(_open_labelled, case.open)) for case in study.cases]
    return build_dataset(cases, out, options, workers=workers, progress=progress, about=study.about)


def _open_labelled(open_images: Callable[[], Iterable[LabelledImage]]) -> OpenedTrunk:
    (image,) = open_images()
    return OpenedTrunk(cast("Volume", image.image), image.masks["lesion"], image.masks["bone"])


def make_case(case: TrunkCase, out: Path, options: TrunkOptions) -> str:
    """Make the pictures of one series; gives the reason when it could not be read, else "".

    Raises:
        OutputError: cannot be written.
    """
    stem = folder_name(case.name)
    try:
        opened = case.open()
        if opened.bone is None and options.need_bone:
            raise InputError("its bone is not marked: give a bone mask, or say that none is needed")
        pictures = _pictures(opened, options)
    except OutputError:
        raise
    except OsteonError as error:
        return str(error)
    chosen = _draw(pictures, options, case.name)
    try:
        _forget(out, stem)
        rows = [_write(case, opened, pictures, int(index), out, options) for index in chosen]
    except OSError as error:
        raise OutputError(f"the pictures of a series cannot be written: {error.strerror}; free the disk") from error
    reason = "" if rows else "it has no slice of the kinds that were asked for"
    write_json(out / rows_file(stem), {"key": case_key(case, options), "reason": reason, "rows": rows})
    return ""


def rows_file(stem: str) -> str:
    """Where the rows of a case are kept."""
    return f"cases/{stem}.json"


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
    case: TrunkCase, opened: OpenedTrunk, pictures: _Pictures, index: int, out: Path, options: TrunkOptions
) -> dict[str, object]:
    """Write a picture and its masks; gives its row as JSON keeps it."""
    name = f"{folder_name(case.name)}_{index:04}.png"
    lesion = pictures.lesion[index]
    write_png8(out / IMAGE / name, pictures.frame.images(windowed(pictures.hu[index])[None])[0])
    write_png8(out / LESION / name, lesion)
    extra = {
        "slice": str(index),
        "position_mm": f"{_height_mm(pictures.grid, index):.2f}",
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


def _height_mm(grid: Grid, index: int) -> float:
    """Of the middle of a slice above the origin of the patient's coordinates."""
    _, rows, columns = grid.shape
    return float(grid.to_lps_mm([index, (rows - 1) / 2, (columns - 1) / 2])[2])


def _forget(out: Path, stem: str) -> None:
    """Remove what an earlier run with other options made of a case."""
    (out / rows_file(stem)).unlink(missing_ok=True)
    ours = re.compile(re.escape(stem) + r"_\d+\.png")
    for folder in (IMAGE, BONE, LESION):
        for path in (out / folder).glob(f"{stem}_*.png"):
            if ours.fullmatch(path.name):
                path.unlink()


def mask_notes(manifest: Manifest) -> list[str]:
    """Sentences for the cohort table.

    Args:
        manifest: with the extra columns ``pixels``, ``lesion_pixels`` and perhaps ``bone_pixels`` of the builder.
    """
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


_MAKER: Final = CaseMaker(make=make_case, rows_file=rows_file, folders=FOLDERS, notes=mask_notes)
