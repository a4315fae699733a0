"""The data set of the CT study: every leg of every series as axial, sagittal and coronal pictures, with a manifest.

A series is done when its folder ``images/NAME`` is there: it appears in one step, with its rows beside its pictures.
What was stopped goes on where it was; what is done with the same options is not made again.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import uuid
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.data import ImageRow, Manifest
from osteon.errors import BackendError, InputError, OsteonError, OutputError
from osteon.inference.options import Progress, silent
from osteon.io.image import write_png16
from osteon.io.table import write_manifest
from osteon.io.whole_file import whole_file
from osteon.ops.legs import find_legs
from osteon.training.datasets.cohort_table import write_cohort
from osteon.training.datasets.leg_pictures import (
    BuildOptions,
    LegPicture,
    SliceLabels,
    TruthMask,
    TumourBoxes,
    leg_pictures,
)
from osteon.training.run_folder import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from osteon.data import Volume
    from osteon.ops.legs import Leg

__all__ = ["BuildOptions", "BuiltDataset", "Case", "OpenedCase", "SkippedCase", "build_dataset"]

DATASET_MARK: Final = "dataset.json"
"""The file that makes a folder a data set of a builder."""

ROWS: Final = "rows.json"
FORMAT: Final = 1
STEP: Final = "making the images"
LOOK_EVERY_S: Final = 0.5
"""How often a run in processes looks whether it shall stop."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenedCase:
    """A series in memory: the volume, and what is known about tumours in it."""

    volume: Volume
    labels: TruthMask | TumourBoxes | SliceLabels


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One series that is to become pictures. Empty fields are taken from the file where it says them.

    Attributes:
        name: unique in the data set; names its folder.
        patient: whose; never taken from the file.
        open: gives the series; called in another process when there are several, so it must pickle.
        fingerprint: changes when what ``open`` gives changes.
        study: examination.
        series: series.
        centre: where it was taken.
        scanner: with what.
        sex: "F", "M", "O" or "".
        age_years: or None.
        split: "train", "test" or "".
        extra: further columns.
    """

    name: str
    patient: str = field(repr=False)
    open: Callable[[], OpenedCase] = field(repr=False)
    fingerprint: str = field(repr=False)
    study: str = ""
    series: str = ""
    centre: str = ""
    scanner: str = ""
    sex: str = ""
    age_years: float | None = None
    split: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SkippedCase:
    """A series that gave no pictures, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class BuiltDataset:
    """What was made.

    Attributes:
        manifest: as written.
        skipped: series without pictures.
        made: how many series were made now; the others were there.
    """

    manifest: Manifest
    skipped: tuple[SkippedCase, ...]
    made: int


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
    listed = list(cases)
    names = [case.name for case in listed]
    if not listed or len({_folder_name(name) for name in names}) != len(names):
        raise InputError(f"a data set needs series of different names, found {len(names)} of {len(set(names))} names")
    options = options or BuildOptions()
    _prepare(out)
    document = {"format": FORMAT, "options": asdict(options), **(about or {})}
    _write_json(out / DATASET_MARK, {**document, "complete": False})
    missing = [case for case in listed if _read_rows(case, out, options) is None]
    failed = _make_all(missing, out, options, workers=workers, progress=progress or silent)
    rows: list[ImageRow] = []
    skipped: list[SkippedCase] = []
    for case in listed:
        done = _read_rows(case, out, options)
        rows += done[0] if done else []
        reason = failed.get(case.name) or (done[1] if done else "")
        skipped += [SkippedCase(case.name, reason)] if reason else []
    if not rows:
        first = f"; the first: {skipped[0].reason}" if skipped else ""
        raise InputError(f"not one picture could be made of {len(listed)} series{first}")
    manifest = write_manifest(Manifest(out, tuple(rows)), out / "manifest.csv")
    notes = [f"{len(skipped)} of {len(listed)} series were left out." for _ in skipped[:1]]
    write_cohort(manifest, out, notes=[*notes, *(f"* {item.name}: {item.reason}" for item in skipped)])
    _write_json(out / DATASET_MARK, {**document, "complete": True, "skipped": [asdict(item) for item in skipped]})
    return BuiltDataset(manifest, tuple(skipped), len(missing))


def _prepare(out: Path) -> None:
    """The folder, free of what an earlier run left half done."""
    try:
        if out.exists() and not out.is_dir():
            raise OutputError(f"the data set was to be the folder {out.name}, but a file of that name is there")
        if out.is_dir() and any(out.iterdir()) and not (out / DATASET_MARK).is_file():
            raise OutputError(f"the folder {out.name} is not empty and holds no data set of osteon: name another one")
        (out / "images").mkdir(parents=True, exist_ok=True)
        for left in (out / "images").glob(".osteon-*.part"):
            shutil.rmtree(left, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"the data set {out.name} cannot be written: {error.strerror}; name another place") from error


def _make_all(
    cases: Sequence[Case], out: Path, options: BuildOptions, *, workers: int, progress: Progress
) -> dict[str, str]:
    """Make the series; gives the reasons of those that failed in a way that another run may mend."""
    progress(STEP, 0, len(cases))
    failed: dict[str, str] = {}
    if workers <= 1 or len(cases) <= 1:
        for number, case in enumerate(cases, start=1):
            failed[case.name] = make_case(case, out, options)
            progress(STEP, number, len(cases))
        return failed
    pool = ProcessPoolExecutor(
        max_workers=min(workers, len(cases)), mp_context=get_context("spawn"), initializer=_calm_worker
    )
    try:
        jobs: dict[Future[str], Case] = {pool.submit(make_case, case, out, options): case for case in cases}
        pending = set(jobs)
        while pending:
            done, pending = wait(pending, timeout=LOOK_EVERY_S, return_when=FIRST_COMPLETED)
            failed |= {jobs[job].name: job.result() for job in done}
            progress(STEP, len(cases) - len(pending), len(cases))
    except BrokenProcessPool as error:
        raise BackendError(
            "a process that made images was ended from outside, perhaps for want of memory: the same command goes on "
            "where it was; use fewer --workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
    return failed


def _calm_worker() -> None:
    """A worker ends its series when the program is interrupted; the program tells it when there is no next one."""
    import signal

    import cv2
    import numba

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    numba.set_num_threads(1)


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
    target = images / _folder_name(case.name)
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
        _write_json(work / ROWS, {"key": _key(case, options), "reason": reason, "rows": rows})
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
    source = opened.volume.source
    area = "" if picture.tumour_mm2 is None else f"{picture.tumour_mm2:.1f}"
    age_years = case.age_years if case.age_years is not None or source is None else source.patient.age_years
    return {
        "image": path,
        "patient": case.patient,
        "label": picture.label,
        "study": case.study or (source.study.uid if source else ""),
        "series": case.series or (source.series.uid if source else ""),
        "plane": picture.plane,
        "split": case.split,
        "centre": case.centre,
        "scanner": case.scanner or (source.series.manufacturer if source else ""),
        "sex": case.sex or (source.patient.sex if source else ""),
        "age_years": age_years,
        "extra": {"leg": leg.side, "slice": str(picture.index), "tumour_mm2": area, **case.extra},
    }


def _read_rows(case: Case, out: Path, options: BuildOptions) -> tuple[list[ImageRow], str] | None:
    """Rows and reason of a series that is done with these options, else None."""
    try:
        found = json.loads((out / "images" / _folder_name(case.name) / ROWS).read_text(encoding="utf-8"))
        if found["key"] != _key(case, options):
            return None
        return [ImageRow(**row) for row in found["rows"]], str(found["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _key(case: Case, options: BuildOptions) -> str:
    """Of all that decides how the folder of a series looks."""
    told: list[object] = [case.fingerprint, case.patient, case.study, case.series, case.centre, case.scanner, case.sex]
    told += [case.age_years, case.split, dict(case.extra), asdict(options), FORMAT]
    return digest(told)


def _folder_name(name: str) -> str:
    """A name that every file system takes; another one for every name."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", name).strip(".")[:80]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _write_json(path: Path, document: Mapping[str, object]) -> None:
    with whole_file(path) as work:
        work.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
