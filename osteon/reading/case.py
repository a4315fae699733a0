"""One case, volume, radiograph or slide, from file to Answer and to a result folder, there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import time
import weakref
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osteon.data import Notice, Slide
from osteon.data.options import SWITCHES, Progress, choices, make_options, silent
from osteon.data.system import Header
from osteon.errors import InputError, OutputError, UsageError, nearest_names
from osteon.io import choose_series, find_images, load_image
from osteon.io.choose import other_series
from osteon.io.inventory import PICTURE
from osteon.io.slide import is_slide, open_slide
from osteon.io.whole_file import part_name, remove_leftovers
from osteon.report import Run, file_records, result_document, write_result
from osteon.systems.registry import READERS, best_system, reader
from osteon.weights import find_card

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from osteon.data import Answer, Image
    from osteon.data.system import System
    from osteon.io import Inventory

__all__ = ["CaseOptions", "CaseResult", "Progress", "Reading", "new_result", "read", "read_case", "require_free"]


_WITH_A_FOLDER = ".mrxs"

_RESULT_MARK = "findings.json"
"""The file that makes a folder a result."""

_ELSEWHERE = "choose another folder with -o"

_ADVICE = {
    errno.ENOSPC: f"the disk is full: free some space or {_ELSEWHERE}",
    errno.EDQUOT: f"the disk quota is used up: free some space or {_ELSEWHERE}",
    errno.EFBIG: f"a file grew larger than this account may write: {_ELSEWHERE}",
    errno.EACCES: f"it is not writable for this account: {_ELSEWHERE}",
    errno.EPERM: f"it is not writable for this account: {_ELSEWHERE}",
    errno.EROFS: f"it is on a read-only disk: {_ELSEWHERE}",
    errno.ENOTDIR: f"a part of the path is a file, not a folder: {_ELSEWHERE}",
    errno.EEXIST: f"a part of the path is a file, not a folder: {_ELSEWHERE}",
    errno.ENAMETOOLONG: f"its name is too long: {_ELSEWHERE}",
    errno.ENOTEMPTY: f"something was put there meanwhile: {_ELSEWHERE}",
}


@dataclass(frozen=True, slots=True)
class CaseOptions:
    """What a person may choose about one reading.

    Attributes:
        series_uid: the series to read; None for the best one.
        task: stem of the system; None for the one that fits the image.
        replace: whether an earlier result at the same place may be replaced.
        options: of the system, by name; what it does not have is refused.
        seeds: of a synthetic patient, for the record.
        microns_per_pixel: of a slide whose file does not say it.
        rtstruct: whether every mask becomes contours of an RT Structure Set too.
        command: as it was typed, for the record; without names of files and folders, which may name a patient.
    """

    series_uid: str | None = None
    task: str | None = None
    replace: bool = False
    options: Mapping[str, object] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    microns_per_pixel: float | None = None
    rtstruct: bool = False
    command: str = ""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What was read and where it is.

    Attributes:
        folder: the result folder.
        answer: of the system.
        findings: content of findings.json.
        notices: of reading, of the system and of writing.
        skipped: parts of the result that could not be made, in words; the result is valid without them.
    """

    folder: Path
    answer: Answer
    findings: Mapping[str, object]
    notices: tuple[Notice, ...]
    skipped: tuple[str, ...] = ()


class Reading:
    """One case that was read and is not yet written. It holds its files open until it is closed or forgotten.

    Attributes:
        system: that read it.
        image: that was read.
        answer: of the system.
    """

    def __init__(self, system: System, image: Image, answer: Answer, run: Run, files: ExitStack) -> None:
        """Keep what was read; ``files`` are closed with it."""
        self.system, self.image, self.answer = system, image, answer
        self._run = run
        self._close = weakref.finalize(self, files.close)

    def __repr__(self) -> str:
        """The task and no more: neither names nor identifiers."""
        return f"Reading({self.system.stem})"

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What was chosen, corrected and warned of, by the reader and by the system."""
        source = self.image.source
        return (*(source.notices if source else ()), *self.answer.notices)

    def document(self) -> dict[str, Any]:
        """The content of findings.json.

        Raises:
            OutputError: a number is NaN or infinite.
        """
        return result_document(self.answer, self.image, self.system.report(), run=self._run)

    def close(self) -> None:
        """Close the files and remove what was unpacked for the reading."""
        self._close()

    def write(self, result: Path, *, replace: bool = False, progress: Progress = silent) -> CaseResult:
        """Leave one result folder, whole or not at all.

        Raises:
            OutputError: it cannot be written there.
        """
        with new_result(result, replace=replace) as work:
            report = self.system.report()
            written = write_result(work, self.answer, self.image, report, run=self._run, progress=progress)
        notices = (*self.notices, *written.answer.notices[len(self.answer.notices) :])
        return CaseResult(result, written.answer, written.findings, notices, written.skipped)


def read_case(path: Path, result: Path, *, options: CaseOptions, progress: Progress | None = None) -> CaseResult:
    """Read one study and leave one result folder, whole or not at all: the function behind ``osteon read``.

    Args:
        path: as :func:`read` takes it.
        result: the folder to be.
        options: what to read and how.
        progress: called at every step.

    Raises:
        OutputError: the result cannot be written there; checked before anything is read.
        UsageError: an option that the system does not have.
        InputError: the input cannot be used.
        NotThisTaskError: the image is not what the task is made for.
        OsteonError: anything else that stops the reading; what was there before is untouched.
    """
    tell = progress or silent
    _check_values(options.options)
    require_free(result, replace=options.replace)
    # os.path, because pathlib ends in an error on links that go round
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(result)):
        raise OutputError(
            f"the folder {result.name} holds the images that were to be read: choose another folder with -o"
        )
    reading = read(path, options=options, progress=tell)
    try:
        return reading.write(result, replace=options.replace, progress=tell)
    finally:
        reading.close()


def read(path: Path, *, options: CaseOptions, progress: Progress = silent) -> Reading:
    """Read one study and write nothing.

    Args:
        path: a DICOM folder or file, a zip, NIfTI; a slide. A picture (PNG, JPEG) needs the task: only a person knows
            what it shows.
        options: what to read and how.
        progress: called at every step.

    Raises:
        UsageError: an option that the system does not have.
        InputError: the input cannot be used.
        NotThisTaskError: the image is not what the task is made for.
        OsteonError: anything else that stops the reading.
    """
    named = reader(options.task) if options.task is not None else None
    # a wrong option or model is reported before the images are read
    _check_values(options.options)
    if named is not None:
        _options(named, options.options)
    model = options.options.get("model")
    if model is not None:
        find_card(str(model))
    start = time.perf_counter()
    with ExitStack() as files:
        image, header, paths, others = _open(path, named, options, files, progress)
        seconds = {"read images": time.perf_counter() - start}
        chosen = named or best_system(header)
        own = _options(chosen, options.options)
        try:
            answer = _with_reading(chosen.read(image, own, progress), image)
        except InputError as error:
            # which series it was, and where else to look, is what the task cannot say
            if not others:
                raise
            raise type(error)(f"{error}. {others}") from error
        asked = [
            Notice(f"asked-{name}", words, "warning") for name, words in SWITCHES.items() if getattr(own, name, False)
        ]
        answer = replace(answer, notices=(*answer.notices, *asked))
        if options.rtstruct:
            answer = _with_contours(answer, image)
        drawn = [value for each in fields(own) if isinstance(value := getattr(own, each.name), Path)]
        run = Run(
            task=chosen.stem,
            device=answer.models[0].device if answer.models else "cpu",
            inputs=file_records([*paths, *drawn], patient=getattr(image.source, "patient", None)),
            seconds=seconds,
            seeds=options.seeds,
            command=options.command,
        )
        return Reading(chosen, image, answer, run, files.pop_all())


def _with_reading(answer: Answer, image: Image) -> Answer:
    """The answer with what its headline must say of reading: that a large part of the images was not read."""
    told = [notice.headline for notice in (image.source.notices if image.source else ()) if notice.headline]
    return replace(answer, headline=" ".join([answer.headline, *told])) if told else answer


def _with_contours(answer: Answer, image: Image) -> Answer:
    """The answer with contours of every mask, or with a word on why there are none."""
    masks = tuple(name for name, mask in answer.masks.items() if mask.labels)
    source = None if isinstance(image, Slide) else image.source
    is_placed = not isinstance(image, Slide) and image.grid.is_in_mm
    if masks and is_placed and source is not None and source.kind == "dicom":
        return replace(answer, contoured=masks)
    why = "there is no mask" if not masks else "the images are not DICOM or do not say how large a pixel is"
    words = f"An RT Structure Set was asked for (--rtstruct) and not written: {why}."
    return replace(answer, notices=(*answer.notices, Notice("no-structure-set", words, "warning")))


def _options(chosen: System, given: Mapping[str, object]) -> Any:  # noqa: ANN401 - the system's own type
    """The options of a system; what only others have is refused.

    Raises:
        UsageError: an option that it does not have, or a value that it does not take.
    """
    own = {each.name for each in choices(chosen.options)}
    for name in given:
        having = {each.stem: one for each in READERS.values() for one in choices(each.options) if one.name == name}
        if name not in own and having:
            flag = next(iter(having.values())).flag
            raise UsageError(
                f"{chosen.stem} has no option {flag}, which is of {', '.join(having)}: leave it out, or choose with "
                "--task"
            )
    return make_options(chosen.options, given)


def _check_values(given: Mapping[str, object]) -> None:
    """Refuse what no system takes, before it is known which one will read.

    Raises:
        UsageError: no such option, or a value that it does not take.
    """
    known = {one.name: one for each in READERS.values() for one in choices(each.options)}
    for name, value in given.items():
        if name not in known:
            raise UsageError(f"no option {name!r}: {nearest_names(name, known)}")
        known[name].checked(value)


def _open(
    path: Path, named: System | None, options: CaseOptions, files: ExitStack, progress: Progress
) -> tuple[Image, Header, list[Path], str]:
    """The image, what routing may look at, the files that it came from, and which other series are there."""
    is_there = path.is_file() or path.is_dir()  # what is neither, as a pipe, would be waited for
    if "slide" in named.reads if named is not None else is_there and is_slide(path):
        if path.exists() and not is_there:
            raise InputError(f"{path.name} is neither a file nor a folder: give a slide")
        progress("opening the slide", 0, 1)
        slide = open_slide(path, microns_per_pixel=options.microns_per_pixel)
        files.callback(slide.close)
        progress("opening the slide", 1, 1)
        return slide, Header(kind="slide"), _slide_files(path), ""
    if options.microns_per_pixel is not None:
        raise InputError(
            f"--microns {options.microns_per_pixel:g} was given for {path.name}, which is not a slide: leave it out, "
            "or name a task that reads slides for a picture of a slide"
        )
    inventory = files.enter_context(find_images(path, progress=progress))
    modalities = (
        tuple(dict.fromkeys(name for each in READERS.values() for name in each.modalities[:1]))
        if named is None
        else named.modalities
    )
    # options with which a person marks a place in one image
    marks = {each.name for one in READERS.values() for each in choices(one.options) if each.marks}
    try:
        entry = choose_series(
            inventory,
            modality=modalities[0],
            series_uid=options.series_uid,
            also=modalities[1:],
            is_marked=any(options.options.get(name) is not None for name in marks),
        )
    except InputError as error:
        readers = _readers(inventory)
        if not readers:
            raise
        raise type(error)(f"{error}. {readers}") from error
    asked, also_ct = (modalities[0], "CT" in modalities) if named else ("", False)
    image = load_image(entry, modality=asked, or_ct=also_ct, progress=progress)
    source = image.source
    paths = [] if source is None else sorted({image.path for image in source.slices}) or [source.location]
    return image, replace(entry.header, modality=image.modality), paths, other_series(inventory, entry)


def _readers(inventory: Inventory) -> str:
    """Which tasks read the pictures and radiographs that were found, as sentences; "" where there are none."""
    told = []
    if any(entry.kind == "picture" for entry in inventory.entries) or any(
        item.reason == PICTURE for item in inventory.skipped
    ):
        tasks = [each.stem for each in READERS.values() if each.accepts(Header(kind="picture")).score > 0]
        told.append(
            f"A picture is read when it is named itself, with a task that can read it: {', '.join(tasks)} (--task)"
        )
    for modality in sorted({entry.series.modality for entry in inventory.entries if entry.is_film}):
        tasks = [
            each.stem
            for each in READERS.values()
            if each.accepts(Header(kind="radiograph", modality=modality)).score > 0
        ]
        readers = f"read by {', '.join(tasks)} (--task)" if tasks else "no task of this version reads radiographs"
        told.append(f"{modality or 'A secondary capture'} is a radiograph: {readers}")
    return ". ".join(told)


def _slide_files(path: Path) -> list[Path]:
    """All files of a slide: of a folder, and of a format that keeps its pixels in one beside its file."""
    pixels = path.with_suffix("")
    folders = [path] if path.is_dir() else [pixels] if path.suffix.lower() == _WITH_A_FOLDER and pixels.is_dir() else []
    inside = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
    return inside if path.is_dir() else [path, *inside]


def require_free(result: Path, *, replace: bool) -> None:
    """Raise unless a result may and can be written at this path.

    A folder is made beside it and removed again: that the disk refuses is learnt now, not after the work.

    Args:
        result: the folder to be.
        replace: whether an earlier result there may be replaced. Anything else is never replaced.

    Raises:
        OutputError: something is there that must not be lost, or nothing can be written there.
    """
    with _explained(result):
        _require_free(result, replace=replace)
        _remove_empty(_make_folders(_beside(result, "part")))


def _require_free(result: Path, *, replace: bool) -> None:
    if not result.exists() and not result.is_symlink():
        return
    if not result.is_dir():
        raise OutputError(
            f"the result was to be the folder {result.name}, but a file of that name is there: {_ELSEWHERE}"
        )
    # the result takes the place of the folder; neither a shell in it nor a mount would follow
    if Path.cwd().is_relative_to(result.resolve()):
        raise OutputError(
            f"the result was to be the current folder or one above it: {_ELSEWHERE}, as a new folder here"
        )
    if result.is_mount():
        raise OutputError(f"the folder {result.name} is a mount point: name a folder below it with -o")
    if not any(result.iterdir()):
        return
    if not (result / _RESULT_MARK).is_file():
        raise OutputError(f"the folder {result.name} is not empty and holds no osteon result: {_ELSEWHERE}")
    if not replace:
        raise OutputError(f"the folder {result.name} already holds a result: {_ELSEWHERE}, or add --replace")


@contextmanager
def new_result(result: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside ``result`` that takes its place when the block ends well.

    When the block raises, or the program is interrupted, the temporary folder is removed and what was at
    ``result`` before is untouched.

    Args:
        result: the folder to be; its parents are made. A link to a folder is followed.
        replace: as :func:`require_free`.

    Yields:
        The folder to write into.

    Raises:
        OutputError: the place is taken, not writable, or the disk is full.
    """
    require_free(result, replace=replace)
    result = result.resolve()
    remove_leftovers(result.parent)
    work = _beside(result, "part")
    made: list[Path] = []
    try:
        with _explained(result):
            made = _make_folders(work)
        with _explained(result, known_only=True):
            yield work
        with _explained(result):
            _require_free(result, replace=replace)
            _put_in_place(work, result)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        _remove_empty(made)


@contextmanager
def _explained(result: Path, *, known_only: bool = False) -> Iterator[None]:
    """Turn what the system says of a place into advice."""
    try:
        yield
    except (OSError, OutputError) as error:
        # a writer names its file; what the system said is its cause
        said = error.__cause__ if isinstance(error, OutputError) else error
        if not isinstance(said, OSError):
            raise
        advice = _ADVICE.get(said.errno or 0)
        if advice is None and known_only:
            raise
        advice = advice or f"{said.strerror or type(said).__name__}: {_ELSEWHERE}"
        raise OutputError(f"the result folder {result.name[:80]} cannot be written: {advice}") from error


def _beside(result: Path, kind: str) -> Path:
    """A name beside the result that nobody else takes."""
    return result.absolute().parent / part_name(kind)


def _make_folders(path: Path) -> list[Path]:
    """Make a folder and its missing parents; gives those that were made, the deepest first."""
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    made: list[Path] = []
    try:
        for folder in reversed(missing):
            folder.mkdir(exist_ok=folder != path)
            made.insert(0, folder)
    except BaseException:
        _remove_empty(made)
        raise
    return made


def _remove_empty(folders: list[Path]) -> None:
    """Remove those that are empty, in this order."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _put_in_place(work: Path, result: Path) -> None:
    if not result.exists():
        os.replace(work, result)  # noqa: PTH105 - the one rename that makes the result visible
        return
    old = _beside(result, "old")
    result.rename(old)
    try:
        work.rename(result)
    except BaseException:  # an interruption too must not cost the earlier result
        if not result.exists():
            old.rename(result)
        raise
    shutil.rmtree(old, ignore_errors=True)
