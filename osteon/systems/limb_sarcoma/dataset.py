"""The data set of the limb study: axial slices of MR T1 or CT with the outline of the tumour, cut by drawn margins.

What is opened are series with a mask of the tumour: those that a table names, or every ``NAME.nii.gz`` of a folder that
has a ``NAME_mask.nii.gz`` beside it, where a name is PATIENT_MR_T1 or PATIENT_CT. The slices from the first to the last
margin along the body are written as pictures that reach as far in their plane as margins ever do; the column ``view``
says what of them is shown where a network is evaluated, and a training draws it anew. ``margins.json`` keeps what was
drawn. On CT bone is outlined too, without a network (``osteon.ops.skeleton``): the second map of networks that have
one. A series is done when its file ``cases/NAME.json`` is there, which is written last.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from osteon.curation.splits import NORMAL
from osteon.data.system import MadeDataset
from osteon.errors import InputError, NotThisTaskError
from osteon.io import load_volume, parse_labels, read_mask_volume
from osteon.io.image import write_png8
from osteon.io.table import read_rows
from osteon.ops.series_images import slice_frame
from osteon.ops.skeleton import skeleton_of
from osteon.systems.limb_sarcoma.margins import MARGINS_NAME, Margins, cut_box, tumour_box
from osteon.systems.limb_sarcoma.prepare import PIXEL_MM, prepare_limb
from osteon.train.datasets.case_builder import (
    CaseMaker,
    SeriesCase,
    SkippedCase,
    build_cases,
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
from osteon.train.run_folder import digest, make_folder
from osteon.train.views import view_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Manifest, Volume
    from osteon.data.options import Progress
    from osteon.io import SeriesEntry
    from osteon.ops.series_images import SliceFrame
    from osteon.systems.limb_sarcoma.margins import Box
    from osteon.systems.limb_sarcoma.options import DatasetOptions
    from osteon.systems.limb_sarcoma.prepare import Modality

__all__ = ["TUMOUR", "LimbOptions", "OutlinedLimb", "make_dataset", "outlined_beside", "read_outlined"]

TUMOUR: Final = "tumour"
COLUMNS: Final = ("series", *ABOUT, "tumour_mask", "tumour_labels")
_NAME: Final = re.compile(r"(?P<patient>.+?)_(?P<modality>CT|MR)(_[A-Za-z0-9]+)?", re.IGNORECASE)
_MASK_ENDS: Final = ("_mask.nii", "_mask.nii.gz")
_PATIENTS_NAME: Final = "patients.csv"
_WHOLE: Final = "whole"
_HALF: Final = 128
_MODALITIES: Final[Mapping[str, tuple[Modality, ...]]] = {"mr": ("mr",), "ct": ("ct",), "both": ("mr", "ct")}
_BONES: Final = "bones"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimbOptions:
    """How slices become pictures.

    Attributes:
        modality: "mr", "ct" or "both".
        largest_mm: margin within which pictures hold pixels; None for whole slices.
        size: rows and columns of a picture.

    Raises:
        InputError: a size that networks cannot halve four times.
    """

    modality: Literal["mr", "ct", "both"] = "mr"
    largest_mm: float | None = 50.0
    size: int = 160

    def __post_init__(self) -> None:
        """Refuse what no network takes."""
        if self.size < 32 or self.size % 16:
            raise InputError(f"pictures of {self.size} pixels were asked for; 32 or more, a multiple of 16, are needed")


@dataclass(frozen=True, slots=True)
class OutlinedLimb:
    """A series and the file that outlines its tumour.

    Attributes:
        series: Series Instance UID, name of the folder of its files, or of its NIfTI file.
        about: what is known of it: columns of ``ABOUT`` that are filled.
        mask: the file.
        labels: of the mask, as ``read_mask_volume`` takes them.
        extra: what else is known of the patient.
        modality: "mr" or "ct", where its name says so.
    """

    series: str
    about: Mapping[str, str]
    mask: Path
    labels: tuple[int | str, ...] | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    modality: Literal["mr", "ct", ""] = ""


@dataclass(frozen=True, slots=True, eq=False)
class _OpenedLimb:
    """A series in memory, the tumour on its grid, and its margins; None: nothing is cut."""

    volume: Volume
    modality: Modality
    tumour: NDArray[np.bool_] = field(repr=False)
    margins_mm: tuple[float, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class _Pictures:
    """Slices of a series in the frame of its pictures.

    Attributes:
        first: index of the first slice.
        grey: (slices, row, column) uint8.
        tumour: of the same shape, bool.
        bone: of the same shape, bool; None where it is not outlined.
        view: as of ``osteon.train.views``.
        slice_mm: distance of slices.
    """

    first: int
    grey: NDArray[np.uint8] = field(repr=False)
    tumour: NDArray[np.bool_] = field(repr=False)
    bone: NDArray[np.bool_] | None = field(repr=False)
    view: tuple[float, float, float, float]
    slice_mm: float


def make_dataset(source: Path, out: Path, options: DatasetOptions, workers: int, progress: Progress) -> MadeDataset:
    """Make a data set of series with the outline of a tumour.

    Raises:
        InputError: nothing with an outline, a table that cannot be read, or margins that do not fit.
        OutputError: cannot be written.
    """
    if options.whole and options.margins is not None:
        raise InputError("--whole cuts nothing and --margins says where to cut: leave one of them out")
    asked = LimbOptions(
        modality=options.modality,
        largest_mm=None if options.whole else float(options.margin),
        size=options.size,
    )
    found, skipped = outlined_beside(source, options.modality) if options.masks is None else ([], [])
    listed = found if options.masks is None else read_outlined(options.masks)
    margins = None if options.whole else _margins(listed, options)
    if margins is not None:
        asked = replace(asked, largest_mm=margins.largest_mm)
    case_of = partial(_case, modality=options.modality, margins=margins)
    twice = "a series is named twice: keep one row of each"
    what = " and ".join(_MODALITIES[options.modality]).upper()
    about = {"what": f"{what} of limbs with the tumour outlined"}
    with listed_series(source, listed, case_of, twice=twice, progress=progress) as (cases, _):
        built = build_cases(
            cases, out, _MAKER, options=asked, workers=workers, progress=progress, about=about, skipped=skipped
        )
    if margins is None:
        return MadeDataset(built, ("margins  whole stacks, nothing is cut",))
    margins.write(out / MARGINS_NAME)
    return MadeDataset(built, (f"margins  0 to {margins.largest_mm:g} mm a side: {out / MARGINS_NAME}",))


def outlined_beside(source: Path, modality: str) -> tuple[list[OutlinedLimb], list[SkippedCase]]:
    """Volumes of a folder that have a mask beside them, sorted by name; masks whose volume is missing.

    What is known of patients is in ``patients.csv``, in the folder or in the one above it.

    Raises:
        InputError: no folder, or not one such volume.
    """
    if not source.is_dir():
        raise InputError(f"no folder {source.name}: give the folder of the volumes and masks, or name --masks")
    tables = (folder / _PATIENTS_NAME for folder in (source, source.absolute().parent))
    known = _patients(next((file for file in tables if file.is_file()), None))
    found, skipped, others = [], [], Counter[str]()
    for mask in sorted(path for path in source.rglob("*") if path.name.lower().endswith(_MASK_ENDS)):
        stem, _, ending = mask.name.rpartition("_")
        name = _NAME.fullmatch(stem)
        if name is None:
            skipped.append(SkippedCase(mask.name, "its name is not that of a patient and a modality, as P1_MR_T1"))
        elif name["modality"].lower() not in _MODALITIES[modality]:
            others[name["modality"].upper()] += 1
        elif not (volume := mask.with_name(stem + ending.removeprefix("mask"))).is_file():
            skipped.append(SkippedCase(mask.name, f"there is no volume {volume.name} beside it"))
        else:
            about = {"patient": name["patient"], **{c: v for c, v in known(name["patient"]).items() if c in ABOUT}}
            extra = {c: v for c, v in known(name["patient"]).items() if c not in ABOUT}
            kind: Modality = "ct" if name["modality"].lower() == "ct" else "mr"
            found.append(OutlinedLimb(volume.name, about, mask, extra=extra, modality=kind))
    if not found:
        wanted = _MODALITIES[modality][0].upper()
        told = ", ".join(f"{count} of {kind}" for kind, count in others.items())
        raise InputError(
            f"{source.name} has no {wanted} with a mask beside it, as P1_{wanted}.nii.gz with P1_{wanted}_mask.nii.gz"
            f"{f'; it has {told}: --modality' if told else ''}. Or name a table with --masks"
        )
    return found, skipped


def read_outlined(file: Path) -> list[OutlinedLimb]:
    """Read a table of series and masks.

    Its columns: ``series`` (Series Instance UID, name of the folder of its files, or of its NIfTI file), ``patient``,
    ``tumour_mask`` (a file, from the table's folder); and as far as they are known ``tumour_labels`` (numbers with
    spaces, a name, or all), centre, scanner, sex, age_years, split, kind.

    Raises:
        InputError: with the number of the row, counted below the header.
    """
    found = []
    for number, line in read_series_table(file, COLUMNS):
        about = {column: line[column] for column in ABOUT if line.get(column)}
        check_about(number, about)
        if not line.get("tumour_mask"):
            raise InputError(f"{file.name}: row {number} lacks its tumour_mask: fill it")
        labels = parse_labels(line.get("tumour_labels", ""))
        found.append(OutlinedLimb(line["series"], about, file.parent / line["tumour_mask"], labels))
    return found


def _patients(file: Path | None) -> Any:  # noqa: ANN401 - a function of a name
    """What a table with the column ``patient`` says of each; nothing where there is no such table."""
    if file is None:
        return lambda _: {}
    header, lines, _ = read_rows(file)
    if "patient" not in header:
        return lambda _: {}
    of = {
        line["patient"]: {column: text for column, text in line.items() if text and column != "patient"}
        for line in lines
    }
    return lambda patient: of.get(patient, {})


def _margins(listed: list[OutlinedLimb], options: DatasetOptions) -> Margins:
    """Those of a file, or drawn ones.

    Raises:
        InputError: the file lacks a patient.
    """
    patients = {item.about["patient"] for item in listed}
    if options.margins is None:
        return Margins.drawn(patients, largest_mm=float(options.margin), seed=options.seed)
    found = Margins.read(options.margins)
    missing = sorted(patients - set(found.of))
    if missing:
        raise InputError(f"{options.margins.name} lacks the margins of {len(missing)} patients of {len(patients)}")
    return replace(found, of={who: found.of[who] for who in patients})


def _case(
    name: str, item: OutlinedLimb, entry: SeriesEntry, *, modality: str, margins: Margins | None
) -> SeriesCase[_OpenedLimb]:
    """A series as a case.

    Raises:
        InputError: nothing says whether it is MR or CT.
    """
    told = item.modality or entry.series.modality.lower()
    if modality == "both" and told not in _MODALITIES[modality]:
        raise InputError(f"{item.series}: neither its file nor its name says MR or CT: make each with --modality")
    kind: Modality = "ct" if (told if modality == "both" else modality) == "ct" else "mr"
    sides = None if margins is None else margins.of[item.about["patient"]]
    known = series_fields(item.about, entry)
    return SeriesCase(
        name=f"{name}-{kind}",
        open=partial(_open, entry, item, kind, sides),
        fingerprint=digest([repr((entry.series.uid, entry.n_images, item)), file_state(item.mask), sides]),
        **{**known, "extra": {**known["extra"], **item.extra}},
    )


def _open(
    entry: SeriesEntry, item: OutlinedLimb, modality: Modality, margins_mm: tuple[float, ...] | None
) -> _OpenedLimb:
    """Load a series with its mask; top level, so that another process can do it.

    Raises:
        InputError, UnsupportedError, GeometryMismatchError: another modality, or a series or mask that cannot be used.
    """
    asked = modality.upper()
    if entry.series.modality not in (asked, ""):
        raise NotThisTaskError(f"{asked} was asked for, the series is {entry.series.modality}: --modality")
    volume = load_volume(entry, modality=asked)
    tumour = read_mask_volume(
        item.mask, like=volume.grid, labels=item.labels, image=asked, source=volume.source, tell=refuse_warnings
    )
    return _OpenedLimb(volume, modality, tumour, margins_mm)


def _rows(
    case: SeriesCase[_OpenedLimb], opened: _OpenedLimb, out: Path, options: LimbOptions
) -> Iterator[dict[str, object]]:
    """Write the pictures of a series and give their rows."""
    pictures, stem = _pictures(opened, options), folder_name(case.name)
    if pictures.bone is not None:
        make_folder(out / _BONES)
    for folder in ("images", "masks", _BONES):  # what a run that was stopped left
        for path in (out / folder).glob(f"{stem}_*.png"):
            path.unlink()
    known = known_fields(case, opened.volume.source)
    for index, (grey, tumour) in enumerate(zip(pictures.grey, pictures.tumour, strict=True)):
        name = f"{stem}_{pictures.first + index:04}.png"
        write_png8(out / "images" / name, grey)
        write_png8(out / "masks" / name, tumour)
        if pictures.bone is not None:
            write_png8(out / _BONES / name, pictures.bone[index])
        extra = {
            "slice": str(pictures.first + index),
            "position": f"{(index + 0.5) / len(pictures.grey):.4f}",
            "view": view_text(pictures.view),
            "pixel_mm": f"{PIXEL_MM:.6f}",
            "slice_mm": f"{pictures.slice_mm:.4f}",
            "pixels": str(tumour.size),
            "lesion_pixels": str(np.count_nonzero(tumour)),
            "modality": opened.modality,
        }
        yield {
            "image": f"images/{name}",
            "label": TUMOUR if tumour.any() else NORMAL,
            "plane": "axial",
            "lesion_mask": f"masks/{name}",
            "bone_mask": "" if pictures.bone is None else f"{_BONES}/{name}",
            **known,
            "extra": {**case.extra, **extra},
        }


def _pictures(opened: _OpenedLimb, options: LimbOptions) -> _Pictures:
    """The slices within the margins, in a frame around the tumour with the largest margin."""
    limb = prepare_limb(opened.volume, opened.modality)
    tumour = limb.placed(opened.tumour)
    bone = limb.placed(skeleton_of(opened.volume).bone) if opened.modality == "ct" else None
    box, shape, spacing = tumour_box(tumour), limb.grid.shape, limb.grid.spacing_mm
    cut: Box = ((0, shape[0]), (0, shape[1]), (0, shape[2]))
    wide = cut
    if opened.margins_mm is not None and options.largest_mm is not None:
        cut = cut_box(box, opened.margins_mm, spacing_mm=spacing, shape=shape)
        wide = cut_box(box, (options.largest_mm,) * 6, spacing_mm=spacing, shape=shape)
    part = tuple(slice(*side) for side in (cut[0], *wide[1:]))
    grey, tumour = limb.grey[part], tumour[part]
    frame = slice_frame(
        (grey.shape[1], grey.shape[2]), spacing[1:], pixel_mm=PIXEL_MM, size=(options.size, options.size)
    )
    view = _view(frame, cut[1:], wide[1:])
    framed = None if bone is None else _framed(bone[part], frame)
    return _Pictures(cut[0][0], frame.images(grey), _framed(tumour, frame), framed, view, spacing[0])


def _framed(mask: NDArray[np.bool_], frame: SliceFrame) -> NDArray[np.bool_]:
    return np.asarray(frame.images(mask.astype(np.uint8) * np.uint8(255)) >= _HALF)


def _view(
    frame: SliceFrame, cut: tuple[tuple[int, int], ...], wide: tuple[tuple[int, int], ...]
) -> tuple[float, float, float, float]:
    """Where the cut is in a picture, as parts of its sides.

    Raises:
        InputError: it is larger than the picture.
    """
    sides: list[float] = []
    for (start, stop), (origin, _), source, scaled, size in zip(
        cut, wide, frame.source, frame.scaled, frame.size, strict=True
    ):
        # as SliceFrame places it: both cut and padded around the centre
        shared = min(size, scaled)
        ahead = (size - shared) // 2 - (scaled - shared) // 2
        ends = [(edge - origin) * scaled / source + ahead for edge in (start, stop)]
        if ends[0] < 0 or ends[1] > size:
            wanted = int(np.ceil(max(scaled, ends[1] - ends[0]) / 16) * 16)
            raise InputError(
                f"what is to be shown of it is larger than a picture of {size} pixels ({size * PIXEL_MM:.0f} mm): "
                f"--size {wanted}"
            )
        sides += [min(max(edge / size, 0.0), 1.0) for edge in ends]
    return sides[0], sides[1], sides[2], sides[3]


def _notes(manifest: Manifest) -> list[str]:
    """Sentences for the cohort table."""
    counts = [sum(row.patient == patient for row in manifest.rows) for patient in manifest.patients]
    return [
        f"Slices of a patient: {min(counts)} to {max(counts)}, median {np.median(counts):g}.",
        "Scans that were cut around a tumour tell where it is: print the blind masks beside every result.",
    ]


_MAKER: Final = CaseMaker(
    rows=_rows, folders=("images", "masks", "cases"), notes=_notes, empty="it has no slice within its margins"
)
