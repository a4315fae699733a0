"""The data set of the histology study: tiles of H&E slides with their class, patient and slide.

The class is given by the name, ``Class___Case-3-A15-2939-11262_112.jpg`` as in the public osteosarcoma set, or by the
folder of a class. The patient and slide are given by such a name, else by ``patients.csv``, else by a folder.
"""

from __future__ import annotations

import operator
import re
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.curation.splits import UNKNOWN_PATIENTS_WARNING
from osteon.data.manifest import PATIENT_KNOWN
from osteon.data.slide import TILE_CLASSES
from osteon.data.system import MadeDataset
from osteon.errors import InputError
from osteon.io.image import write_colour
from osteon.io.slide import open_slide
from osteon.train.datasets.case_builder import (
    CaseMaker,
    SkippedCase,
    build_cases,
    build_labelled,
    folder_name,
    item_by_item,
    known_fields,
    no_notes,
)
from osteon.train.datasets.patients_table import NO_SUCH_IMAGE
from osteon.train.datasets.pictures import (
    PictureFile,
    PlacedPicture,
    found_pictures,
    inner_folder,
    patients_of,
    pictures_below,
    plain_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from osteon.data import LabelledImage, LabelledStudy, Manifest
    from osteon.data.options import Progress
    from osteon.systems.histology.options import DatasetOptions, LabelledOptions
    from osteon.train.datasets.case_builder import SeriesCase
    from osteon.train.datasets.patients_table import PatientsTable
    from osteon.train.datasets.pictures import FoundPictures, PictureCase

__all__ = ["MICRONS", "make_dataset", "make_labelled", "read_tile_name", "tile_class"]

MICRONS: Final = "microns_per_pixel"
"""Extra column of the manifest: of a tile as it is stored."""

SLIDE: Final = "slide"
TILES: Final = "tiles"

_NON_TUMOUR, _NON_VIABLE, _VIABLE = TILE_CLASSES
_CLASSES: Final = {
    "non tumour": _NON_TUMOUR,
    "nontumour": _NON_TUMOUR,
    "non viable": _NON_VIABLE,
    "nonviable": _NON_VIABLE,
    "viable": _VIABLE,
}
_NO_PATIENTS: Final = frozenset({"train", "training", "test", "testing", "val", "validation", "tile", "image"})
"""Folders that are named after a part or a kind, not after a patient."""

_BEFORE_THE_REST: Final = re.compile(r"(?P<kind>.+?)___(?P<rest>.+)")
_PLACE: Final = re.compile(r"(?P<patient>Case-\d+|P\d+)-(?P<slide>.+)-\d+-\d+(?:_\d+)?")
_PATTERN: Final = "Class___Case-NUMBER-SLIDE-X-Y.jpg with a class of Non-Tumor, Non-Viable-Tumor, Viable"


@dataclass(frozen=True, slots=True, kw_only=True)
class _TileOptions:
    """What is known of all tiles.

    Attributes:
        microns_per_pixel: of the stored tiles; None takes the column of that name in the table, or the file's own.
    """

    microns_per_pixel: float | None = None


@dataclass(frozen=True, slots=True)
class _TileName:
    """What the name of a tile tells; "" where it does not.

    Attributes:
        label: one of ``TILE_CLASSES``, "" where there is no class in the name, None where it is another class.
        patient: as "Case-3".
        slide: patient and slide, as "Case-3-A15".
    """

    label: str | None
    patient: str
    slide: str


def tile_class(name: str) -> str:
    """The class that a word means, as people write it; "" for none.

    Example:
        >>> [tile_class(name) for name in ("Non-Tumor", "Non-Viable-Tumor", "viable tumours", "Normal")]
        ['non_tumour', 'non_viable', 'viable', '']
    """
    plain = re.sub(r"tumou?rs?$", "tumour", plain_name(name))
    return _CLASSES.get(plain) or _CLASSES.get(plain.removesuffix(" tumour"), "")


def read_tile_name(stem: str) -> _TileName:
    """Class, patient and slide from the name of a tile, without its ending.

    The slide is what stands between the patient and the place, with the patient before it, for two patients may have
    an A15.

    Example:
        >>> read_tile_name("Viable___Case-48-P5-C14-54171-23668_115")
        _TileName(label='viable', patient='Case-48', slide='Case-48-P5-C14')
    """
    kind = _BEFORE_THE_REST.fullmatch(stem)
    label = (tile_class(kind["kind"]) or None) if kind else ""
    place = _PLACE.fullmatch(kind["rest"] if kind else stem)
    if place is None:
        return _TileName(label, "", "")
    return _TileName(label, place["patient"], f"{place['patient']}-{place['slide']}")


def make_dataset(source: Path, out: Path, options: DatasetOptions, workers: int, progress: Progress) -> MadeDataset:
    """Make a data set folder of tiles: copies, ``manifest.csv``, the cohort table, ``dataset.json`` that says how.

    Returns:
        The manifest (label, patient, study = slide, and the column ``microns_per_pixel``) and what was left out.

    Raises:
        InputError: no folder, no tile whose class and patient are known, or not one whose pixel size is known.
        OutputError: the folder holds something else, or cannot be written.
        BackendError: a process was ended from outside.
    """
    found = _tile_pictures(source, patients_of(source, options.patients), own_patients=options.own_patients)
    asked = _TileOptions(microns_per_pixel=options.microns)
    about = {"what": "tiles of H&E slides", "warnings": list(found.warnings)}
    built = build_cases(
        found.cases, out, _MAKER, options=asked, workers=workers, progress=progress, about=about, skipped=found.skipped
    )
    return MadeDataset(built)


def make_labelled(
    study: LabelledStudy, out: Path, options: LabelledOptions, workers: int, progress: Progress
) -> MadeDataset:
    """Make the data set of tiles in memory that have a class."""
    return MadeDataset(
        build_labelled(study, out, _LABELLED, options, operator.call, workers=workers, progress=progress)
    )


def _labelled_rows(
    case: SeriesCase[Iterable[LabelledImage]], opened: Iterable[LabelledImage], out: Path, options: LabelledOptions
) -> Iterator[dict[str, object]]:
    """Write the tiles of a patient, and give their rows."""
    del options
    stem = folder_name(case.name)
    for left in (out / TILES).glob(f"{stem}-*"):
        left.unlink()
    for one in opened:
        name = f"{TILES}/{stem}-{one.name}.{'png' if one.quality is None else 'jpg'}"
        write_colour(out / name, np.asarray(one.image), quality=one.quality or 90)
        known = {**known_fields(case, None), "study": one.study}
        yield {"image": name, "label": one.label, **known, "extra": {**one.columns, **case.extra}}


def _tile_pictures(source: Path, table: PatientsTable, *, own_patients: bool = False) -> FoundPictures:
    """The patients of a tile set.

    Raises:
        InputError: no folder, no picture in it, none whose class is known, or patients that nothing identifies.
    """
    if not source.is_dir():
        raise InputError(f"no folder {source.name}: give the folder of the tiles")
    root = source if tile_class(source.name) else inner_folder(source)
    pictures = [(key, path) for key, paths in pictures_below(root).items() for path in paths]
    if not pictures:
        raise InputError(f"no picture is in {source.name}: give a folder of tiles named {_PATTERN}")
    placed: list[PlacedPicture] = []
    skipped: list[SkippedCase] = []
    stems = [key for key, _ in pictures]
    for key, path in pictures:
        name = f"{key}{path.suffix}"
        told = read_tile_name(PurePosixPath(key).name)
        folders = [*([root.name] if tile_class(root.name) else []), *PurePosixPath(key).parts[:-1]]
        labels = {label for label in (told.label, *map(tile_class, folders)) if label}
        reason = _why_not(told, labels, doubled=stems.count(key) > 1)
        if reason:
            skipped.append(SkippedCase(name, reason))
            continue
        target = "/".join(folder_name(part) for part in key.split("/"))
        extra = {SLIDE: told.slide} if told.slide else {}
        file = PictureFile(name=name, target=target, image=path, label=labels.pop(), extra=extra)
        people = [part for part in folders if not tile_class(part) and plain_name(part) not in _NO_PATIENTS]
        folder = told.patient or (people[-1] if people else "")
        placed.append(PlacedPicture(file, key, folder))
    skipped += [SkippedCase(name, NO_SUCH_IMAGE) for name in table.unseen(stems)]
    return found_pictures(source.name, placed, table, skipped=skipped, own_patients=own_patients)


def _copied(case: PictureCase, item: PictureFile, out: Path, options: _TileOptions) -> dict[str, object]:
    """Look whether a tile can be read as a slide, copy it, and give its row as JSON keeps it."""
    asked = options.microns_per_pixel
    in_table = item.extra.get(MICRONS, "")
    if asked is None and in_table:
        try:
            asked = float(in_table)
        except ValueError as error:
            raise InputError(f"its {MICRONS} {in_table!r} in the table is not a number: correct it") from error
    slide = open_slide(item.image, microns_per_pixel=asked)
    try:
        microns = float(np.mean(slide.microns_per_pixel))
        level = slide.levels[0]
        for row in range(0, level.rows, 1024):  # damage shows where it is decoded
            slide.read(0, row, 0, min(1024, level.rows - row), level.columns)
    finally:
        slide.close()
    name = f"{TILES}/{item.target}{item.image.suffix.lower()}"
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(item.image, out / name)
    known = known_fields(case, None)
    extra = {key: text for key, text in {**case.extra, **item.extra}.items() if key not in (SLIDE, MICRONS)}
    size = {"rows": str(level.rows), "columns": str(level.columns), MICRONS: f"{microns:.6g}"}
    return {
        **known,
        "image": name,
        "label": item.label,
        "study": item.extra.get(SLIDE) or known["study"],
        "extra": {**extra, "file": item.name, **size},
    }


def _why_not(told: _TileName, labels: set[str], *, doubled: bool) -> str:
    """Why a picture is not a tile; "" where it is one."""
    if doubled:
        return "several tiles have its name with other endings: keep one"
    if told.label is None:
        return f"the class in its name is none of the three: name it {_PATTERN}"
    if not labels:
        return (
            f"neither its name nor its folder gives the class: name it {_PATTERN}, or put it into a folder of its class"
        )
    return "its name and its folders tell different classes: keep one" if len(labels) > 1 else ""


def _notes(manifest: Manifest) -> list[str]:
    """Sentences for the cohort table."""
    counts = [sum(row.patient == patient for row in manifest.rows) for patient in manifest.patients]
    told = [f"Tiles of a patient: {min(counts)} to {max(counts)}, median {np.median(counts):g}."]
    told.append(f"Microns per pixel: {', '.join(sorted({row.extra[MICRONS] for row in manifest.rows}))}.")
    of_patient: dict[str, set[str]] = {}
    for row in manifest.rows:
        of_patient.setdefault(row.patient, set()).add(row.label)
    partly = sum(len(labels) < len(manifest.labels) for labels in of_patient.values())
    if partly:
        told.append(
            f"{partly} of {len(of_patient)} patients have no tile of some class: class and patient are confounded, and "
            "a result by tile may distinguish patients instead of classes."
        )
    if any(row.extra.get(PATIENT_KNOWN) == "no" for row in manifest.rows):
        told.append(UNKNOWN_PATIENTS_WARNING)
    return told


_MAKER: Final = CaseMaker(
    rows=partial(item_by_item, _copied),
    folders=(TILES, "cases"),
    notes=_notes,
    what="patients",
    pictures="tiles of a patient",
)
_LABELLED: Final = replace(
    _MAKER, rows=_labelled_rows, notes=no_notes, empty="no slide has room for a tile of one class"
)
