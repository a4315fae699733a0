"""The data set of the CT study: every leg of every series as axial, sagittal and coronal pictures, with a manifest.

A series is done when its folder ``images/NAME`` is there: it appears in one step, with its rows beside its pictures.
What was stopped goes on where it was; what is done with the same options is not made again.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from osteon.errors import InputError, OsteonError, OutputError
from osteon.io.image import write_png16
from osteon.ops.legs import find_legs
from osteon.systems.ct_osteosarcoma.leg_pictures import (
    BuildOptions,
    LegPicture,
    SliceLabels,
    TruthMask,
    TumourBoxes,
    leg_pictures,
)
from osteon.train.datasets.case_builder import (
    BuiltDataset,
    CaseMaker,
    SeriesCase,
    SkippedCase,
    build_cases,
    case_key,
    folder_name,
    known_fields,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from osteon.data import LabelledImage, LabelledStudy, Volume
    from osteon.data.options import Progress
    from osteon.ops.legs import Leg

__all__ = ["BuildOptions", "BuiltDataset", "Case", "OpenedCase", "SkippedCase", "build_dataset", "build_labelled_study"]

ROWS: Final = "rows.json"


@dataclass(frozen=True, slots=True, eq=False)
class OpenedCase:
    """A series in memory: the volume, and what is known about tumours in it."""

    volume: Volume
    labels: TruthMask | TumourBoxes | SliceLabels


@dataclass(frozen=True, slots=True, kw_only=True)
class Case(SeriesCase[OpenedCase]):
    """One series of the legs."""


def build_dataset(
    cases: Iterable[Case],
    out: Path,
    *,
    options: BuildOptions | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    about: Mapping[str, object] | None = None,
) -> BuiltDataset:
    """Make a data set folder: pictures, ``manifest.csv``, the cohort table, and ``dataset.json`` that says how.

    Args:
        cases: the series; their order is that of the manifest.
        out: new, empty, or an earlier data set of this builder: series that are complete there are kept.
        options: which pictures.
        workers: processes; 1 works in this one.
        progress: told about every series; called often, so that it may stop the work.
        about: what else ``dataset.json`` shall say.

    Returns:
        The manifest and the series that were left out: those that cannot be read or do not look like legs.

    Raises:
        InputError: two cases of one name, none, or no picture in the end.
        OutputError: the folder holds something else, or cannot be written.
        BackendError: a process was ended from outside.
    """
    return build_cases(
        cases, out, _MAKER, options=options or BuildOptions(), workers=workers, progress=progress, about=about
    )


def build_labelled_study(
    study: LabelledStudy, out: Path, options: BuildOptions, *, workers: int = 1, progress: Progress | None = None
) -> BuiltDataset:
    """As ``build_dataset``, of volumes in which the mask "lesion" says where tumour is."""
    cases = [replace(case, open=partial(_open_labelled, case.open)) for case in study.cases]
    return build_dataset(cases, out, options=options, workers=workers, progress=progress, about=study.about)


def _open_labelled(open_images: Callable[[], Iterable[LabelledImage]]) -> OpenedCase:
    (image,) = open_images()
    return OpenedCase(cast("Volume", image.image), TruthMask(image.masks["lesion"] > 0))


def _rows_file(name: str) -> str:
    return f"images/{name}/{ROWS}"


def make_case(case: Case, out: Path, options: BuildOptions) -> str:
    """Make the folder of one series; gives the reason when it could not be read, else "".

    Raises:
        OutputError: cannot be written.
    """
    try:
        opened = case.open()
        legs = find_legs(opened.volume).legs
        shares = _shares(opened.labels, legs)
    except OutputError:
        raise
    except OsteonError as error:
        return str(error)
    images = out / "images"
    target = images / folder_name(case.name)
    work = images / f".osteon-{uuid.uuid4().hex[:12]}.part"
    try:
        work.mkdir()
        rows: list[dict[str, object]] = []
        for leg, labels in zip(legs, shares, strict=True):
            for picture in leg_pictures(opened.volume, leg, labels, options=options, only=len(legs) == 1):
                name = f"{leg.side}-{picture.plane}-{picture.index:04}.png"
                write_png16(work / name, picture.pixels)
                rows.append(_document(case, opened, leg, picture, f"images/{target.name}/{name}"))
        reason = "" if rows else "no picture could be labelled"
        write_json(work / ROWS, {"key": case_key(case, options), "reason": reason, "rows": rows})
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    except OSError as error:
        raise OutputError(f"the pictures of a series cannot be written: {error.strerror}; free the disk") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return ""


def _shares(
    labels: TruthMask | TumourBoxes | SliceLabels, legs: Sequence[Leg]
) -> list[TruthMask | TumourBoxes | SliceLabels]:
    """What each leg has of the labels: a box belongs to the leg in which most of it lies.

    Raises:
        InputError: a box outside every leg, or labelled slices of which leg is not said.
    """
    if isinstance(labels, SliceLabels):
        if len(legs) > 1 and any(not side for _, side in labels.tumour):
            raise InputError("its labelled slices show two legs: fill the column leg with left or right")
        return [labels for _ in legs]
    if isinstance(labels, TruthMask):
        return [labels for _ in legs]
    mine: list[list[Any]] = [[] for _ in legs]
    for box in labels.boxes:
        shared = [_shared_voxels(leg, box.start, box.stop) for leg in legs]
        if not max(shared):
            raise InputError(
                "a tumour box lies outside the legs: voxels are counted from 0 along slices, rows, columns"
            )
        mine[int(np.argmax(shared))].append(box)
    return [TumourBoxes(tuple(boxes)) for boxes in mine]


def _shared_voxels(leg: Leg, start: Sequence[int], stop: Sequence[int]) -> int:
    bounds = zip(start, stop, leg.box.start, leg.box.shape, strict=True)
    window = tuple(slice(max(a - low, 0), min(max(b - low, 0), count)) for a, b, low, count in bounds)
    return int(np.count_nonzero(leg.mask()[window]))


def _document(case: Case, opened: OpenedCase, leg: Leg, picture: LegPicture, path: str) -> dict[str, object]:
    """The row of a picture as JSON keeps it."""
    area = "" if picture.tumour_mm2 is None else f"{picture.tumour_mm2:.1f}"
    return {
        "image": path,
        "label": picture.label,
        "plane": picture.plane,
        **known_fields(case, opened.volume.source),
        "extra": {"leg": leg.side, "slice": str(picture.index), "tumour_mm2": area, **case.extra},
    }


_MAKER: Final = CaseMaker(make=make_case, rows_file=_rows_file, folders=("images",))
