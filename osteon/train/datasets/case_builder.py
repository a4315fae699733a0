"""Cases made into a data set folder one by one: what was stopped goes on, what is done is not made again."""

from __future__ import annotations

import hashlib
import json
import re
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from osteon.data import ImageRow, Manifest
from osteon.data.manifest import PATIENT_KNOWN
from osteon.data.options import Progress, silent
from osteon.errors import BackendError, InputError, OsteonError, OutputError
from osteon.io.table import refuse_same_spelling, write_manifest
from osteon.io.whole_file import remove_leftovers
from osteon.train.datasets.cohort_table import write_cohort
from osteon.train.run_folder import digest, write_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from osteon.data import LabelledImage, LabelledStudy, Source

__all__ = [
    "DATASET_MARK",
    "BuiltDataset",
    "CaseMaker",
    "SeriesCase",
    "SkippedCase",
    "build_cases",
    "build_labelled",
    "file_state",
    "folder_name",
    "item_by_item",
    "known_fields",
    "no_notes",
]

DATASET_MARK: Final = "dataset.json"
"""The file that makes a folder a data set of a builder."""

FORMAT: Final = 1
STEP: Final = "making the images"
LOOK_EVERY_S: Final = 0.5
"""How often a run in processes looks whether it shall stop."""

Opened = TypeVar("Opened")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesCase(Generic[Opened]):
    """One series that is to become pictures. Empty fields are taken from the file where it says them.

    Attributes:
        name: unique in the data set; names its files.
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
    open: Callable[[], Opened] = field(repr=False)
    fingerprint: str = field(repr=False)
    study: str = ""
    series: str = ""
    centre: str = ""
    scanner: str = ""
    sex: str = ""
    age_years: float | None = None
    split: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


AnyCase = SeriesCase[Any]


@dataclass(frozen=True, slots=True)
class SkippedCase:
    """A series, or an image of one, that gave no picture, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class BuiltDataset:
    """The manifest as written, what is without pictures, and how many series were made now: the others were there."""

    manifest: Manifest
    skipped: tuple[SkippedCase, ...]
    made: int


def no_notes(_: Manifest) -> Sequence[str]:
    """No sentence for the cohort table."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseMaker:
    """How one kind of data set is made; every function is top level, so that other processes can be told.

    Attributes:
        rows: writes the pictures of a case one by one and gives their rows as JSON keeps them, or what was left out.
            Arguments: case, what it opened as, data set folder, options.
        folders: that must be there.
        notes: sentences for the cohort table.
        what: of the things that are made, in the plural, for errors.
        pictures: what is written of one, for errors.
        columns: of the rows that name a file.
        empty: why a case gave no row; "" where what was left out says it.
    """

    rows: Callable[[Any, Any, Path, Any], Iterable[dict[str, object] | SkippedCase]]
    folders: tuple[str, ...]
    notes: Callable[[Manifest], Sequence[str]] = no_notes
    what: str = "series"
    pictures: str = "pictures of a series"
    columns: tuple[str, ...] = ("image",)
    empty: str = ""

    @staticmethod
    def file(case: AnyCase) -> str:
        """Where the rows of a case are kept, below the data set folder; written last."""
        return f"cases/{folder_name(case.name)}.json"


def build_cases(
    cases: Iterable[AnyCase],
    out: Path,
    maker: CaseMaker,
    *,
    options: Any,  # noqa: ANN401 - a dataclass of the maker's own
    workers: int = 1,
    progress: Progress | None = None,
    about: Mapping[str, object] | None = None,
    skipped: Sequence[SkippedCase] = (),
) -> BuiltDataset:
    """Make a data set folder: pictures, ``manifest.csv``, the cohort table, and ``dataset.json`` that says how.

    Args:
        cases: their order is that of the manifest.
        out: new, empty, or an earlier data set of a builder: cases that are complete there are kept.
        maker: what becomes of a case.
        options: a dataclass; which pictures.
        workers: processes; 1 works in this one.
        progress: called at every case; called often, so that it may stop the work.
        about: what else ``dataset.json`` shall say.
        skipped: what was left out before.

    Raises:
        InputError: two cases of one name, none, or no picture in the end.
        OutputError: the folder holds something else, or cannot be written.
        BackendError: a process was ended from outside.
    """
    listed = list(cases)
    names = [case.name for case in listed]
    if not listed or len({folder_name(name) for name in names}) != len(names):
        raise InputError(
            f"a data set needs {maker.what} of different names, found {len(names)} of {len(set(names))} names"
        )
    known = [case.patient for case in listed if case.extra.get(PATIENT_KNOWN) != "no"]
    refuse_same_spelling(known, where="the data set")
    _prepare(out, maker.folders)
    document = {"format": FORMAT, "options": asdict(options), **(about or {})}
    write_document(out / DATASET_MARK, {**document, "complete": False})
    missing = [case for case in listed if _read_rows(case, out, maker, options) is None]
    failed = _make_all(missing, out, maker, options, workers=workers, progress=progress or silent)
    rows: list[ImageRow] = []
    left_out = list(skipped)
    for case in listed:
        found, reasons = _read_rows(case, out, maker, options) or ([], [])
        rows += found
        reason = failed.get(case.name)
        left_out += [SkippedCase(case.name, reason)] if reason else reasons
    if not rows:
        first = f"; the first: {left_out[0].reason}" if left_out else ""
        raise InputError(f"not one picture could be made of {len(listed)} {maker.what}{first}")
    manifest = write_manifest(Manifest(out, tuple(rows)), out / "manifest.csv")
    write_cohort(manifest, out, notes=[*maker.notes(manifest), *_told(left_out, names, maker.what)])
    write_document(out / DATASET_MARK, {**document, "complete": True, "skipped": [asdict(item) for item in left_out]})
    return BuiltDataset(manifest, tuple(left_out), len(missing))


def _told(left_out: Sequence[SkippedCase], names: Sequence[str], what: str) -> list[str]:
    """What was left out, in sentences."""
    cases = sum(item.name in set(names) for item in left_out)
    told = [f"{cases} of {len(names)} {what} were left out."] if cases else []
    told += [f"{len(left_out) - cases} images or masks were left out."] if len(left_out) > cases else []
    return [*told, *(f"* {item.name}: {item.reason}" for item in left_out)]


def build_labelled(
    study: LabelledStudy,
    out: Path,
    maker: CaseMaker,
    options: Any,  # noqa: ANN401 - a dataclass of the maker's own
    opened: Callable[[Callable[[], Iterable[LabelledImage]]], object],
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> BuiltDataset:
    """As ``build_cases``, of images whose truth is known; ``opened`` opens them as the maker takes them."""
    cases = [replace(case, open=partial(opened, case.open)) for case in study.cases]
    return build_cases(cases, out, maker, options=options, workers=workers, progress=progress, about=study.about)


def item_by_item(
    write: Callable[[Any, Any, Path, Any], dict[str, object]],
    case: AnyCase,
    opened: Iterable[Any],
    out: Path,
    options: Any,  # noqa: ANN401 - a dataclass of the maker's own
) -> Iterator[dict[str, object] | SkippedCase]:
    """Rows of the items of a case; what cannot be used is left out by name and reason."""
    for item in opened:
        try:
            yield item if isinstance(item, SkippedCase) else write(case, item, out, options)
        except OutputError:
            raise
        except OsteonError as error:
            yield SkippedCase(item.name, str(error))


def _make_case(case: AnyCase, out: Path, maker: CaseMaker, options: Any) -> str:  # noqa: ANN401 - the maker's own
    """Make the files of a case, its rows last; gives the reason when another run may mend that it cannot, else ""."""
    rows: list[dict[str, object]] = []
    left_out: list[SkippedCase] = []
    try:
        opened = case.open()
    except OsteonError as error:
        return str(error)
    try:
        _forget_pictures(out, maker.file(case), maker.columns)
        for found in maker.rows(case, opened, out, options):
            if isinstance(found, SkippedCase):
                left_out.append(found)
            else:
                rows.append(found)
    except OutputError:
        raise
    except OsteonError as error:
        return str(error)
    except OSError as error:
        raise OutputError(f"the {maker.pictures} cannot be written: {error.strerror}; free the disk") from error
    document = {"key": _case_key(case, options), "reason": "" if rows else maker.empty, "rows": rows}
    told = {} if maker.empty else {"left_out": [asdict(item) for item in left_out]}
    write_document(out / maker.file(case), {**document, **told})
    return ""


def known_fields(case: AnyCase, source: Source | None) -> dict[str, object]:
    """What the rows of a case have in common: what the case says, else what its file says."""
    age_years = case.age_years if case.age_years is not None or source is None else source.patient.age_years
    return {
        "patient": case.patient,
        "study": case.study or (source.study.uid if source else ""),
        "series": case.series or (source.series.uid if source else ""),
        "split": case.split,
        "centre": case.centre,
        "scanner": case.scanner or (source.series.manufacturer if source else ""),
        "sex": case.sex or (source.patient.sex if source else ""),
        "age_years": age_years,
    }


def _case_key(case: AnyCase, options: Any) -> str:  # noqa: ANN401 - a dataclass of a maker's own
    """Of all that decides how the files of a case look."""
    told: list[object] = [case.fingerprint, case.patient, case.study, case.series, case.centre, case.scanner, case.sex]
    told += [case.age_years, case.split, dict(case.extra), asdict(options), FORMAT]
    return digest(told)


def _forget_pictures(out: Path, rows_file: str, columns: Sequence[str]) -> None:
    """Remove what an earlier run with other options made of a case: its rows, then the files that they name."""
    file = out / rows_file
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
    file.unlink()
    for row in rows:
        for column in columns:
            if row.get(column):
                (out / row[column]).unlink(missing_ok=True)


def folder_name(name: str) -> str:
    """A name that every file system takes; another one for every name."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", name).strip(".")[:80]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def file_state(path: Path | None) -> tuple[int, int, int] | None:
    """Length and times (of content, of any change) of a file, for fingerprints; None where there is none."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return found and (found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _prepare(out: Path, folders: Sequence[str]) -> None:
    """The folder, free of what an earlier run left half done."""
    try:
        if out.exists() and not out.is_dir():
            raise OutputError(f"the data set was to be the folder {out.name}, but a file of that name is there")
        if out.is_dir() and any(out.iterdir()) and not (out / DATASET_MARK).is_file():
            raise OutputError(f"the folder {out.name} is not empty and holds no data set of osteon: name another one")
        for folder in folders:
            (out / folder).mkdir(parents=True, exist_ok=True)
            remove_leftovers(out / folder, deep=True)
    except OSError as error:
        raise OutputError(
            f"the data set {out.name} cannot be written: {error.strerror}; name another folder"
        ) from error


def _make_all(
    cases: Sequence[AnyCase],
    out: Path,
    maker: CaseMaker,
    options: Any,  # noqa: ANN401 - a dataclass of the maker's own
    *,
    workers: int,
    progress: Progress,
) -> dict[str, str]:
    """Make the cases; gives the reasons of those that failed in a way that another run may mend."""
    progress(STEP, 0, len(cases))
    failed: dict[str, str] = {}
    if workers <= 1 or len(cases) <= 1:
        for number, case in enumerate(cases, start=1):
            failed[case.name] = _make_case(case, out, maker, options)
            progress(STEP, number, len(cases))
        return failed
    pool = ProcessPoolExecutor(
        max_workers=min(workers, len(cases)), mp_context=get_context("spawn"), initializer=_calm_worker
    )
    try:
        jobs: dict[Future[str], AnyCase] = {pool.submit(_make_case, case, out, maker, options): case for case in cases}
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
    """A worker ends its case when the program is interrupted; the program tells it when there is no next one."""
    import signal

    import cv2
    import numba

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    numba.set_num_threads(1)


def _read_rows(
    case: AnyCase,
    out: Path,
    maker: CaseMaker,
    options: Any,  # noqa: ANN401 - a dataclass of the maker's own
) -> tuple[list[ImageRow], list[SkippedCase]] | None:
    """Rows of a case that is done with these options and whose files are there, and what was left out; else None."""
    try:
        found = json.loads((out / maker.file(case)).read_text(encoding="utf-8"))
        named = [row[column] for row in found["rows"] for column in maker.columns if row.get(column)]
        if found["key"] != _case_key(case, options) or not all((out / name).is_file() for name in named):
            return None
        reasons = [SkippedCase(case.name, str(found["reason"]))] if found["reason"] else []
        reasons += [SkippedCase(**item) for item in found.get("left_out", [])]
        return [ImageRow(**row) for row in found["rows"]], reasons
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
