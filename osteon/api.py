"""What a program may use: stable, typed, documented. Everything else of osteon may change between versions.

Example:
    >>> import osteon
    >>> osteon.systems()["ct_osteosarcoma"]
    'CT of the legs: tumour probability a slice, extent, bone in 3D'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from osteon._optional import require
from osteon.data.options import Progress, silent

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from osteon.data import Answer, Finding, Image, Mask, Notice, Surface
    from osteon.geometry import Grid
    from osteon.predict.predictor import Predictor
    from osteon.reading import Reading
    from osteon.weights import ModelCard

__all__ = [
    "Case",
    "CaseMask",
    "Evaluated",
    "Findings",
    "Model",
    "Trained",
    "evaluate",
    "load_model",
    "open",
    "read",
    "systems",
    "train",
]


def systems() -> dict[str, str]:
    """The systems by stem, each in one line."""
    from osteon.systems.registry import SYSTEMS

    return {stem: each.summary for stem, each in SYSTEMS.items()}


def open(  # noqa: A001 - as the builtin opens files, this opens images
    path: str | Path,
    *,
    kind: Literal["volume", "radiograph", "slide"] | None = None,
    series_uid: str | None = None,
    microns_per_pixel: float | None = None,
    progress: Progress | None = None,
) -> Image:
    """Open whatever a path holds.

    Args:
        path: DICOM folder or file, zip, NIfTI, a slide, a picture (PNG, JPEG).
        kind: what it is to be opened as; None lets the file say it.
        series_uid: the series to open; None for the best one.
        microns_per_pixel: of a slide whose file does not say it.
        progress: called as ``progress(step, done, total)``.

    Returns:
        A Volume (``array``: (slice, row, column) in the modality's unit; ``grid``: LPS millimetres), a Radiograph
        (``pixels``: (row, column)) or a Slide (``read(level, row, column, rows, columns)``; close it after use).

    Raises:
        InputError: the path holds no image that can be read; the message says why.
        UnsupportedError: no decoder for its encoding.
    """
    from osteon.io import open_image

    return open_image(path, kind=kind, series_uid=series_uid, microns_per_pixel=microns_per_pixel, progress=progress)


def read(
    path: str | Path,
    *,
    task: str | None = None,
    series_uid: str | None = None,
    microns_per_pixel: float | None = None,
    rtstruct: bool = False,
    progress: Progress = silent,
    **options: object,
) -> Case:
    """Read one study or slide in memory; no file is written.

    Args:
        path: as :func:`open`.
        task: stem of a system (:func:`systems`); None for the one that fits the image best.
        series_uid: the series to read; None for the best one.
        microns_per_pixel: of a slide whose file does not say it.
        rtstruct: whether :meth:`Case.write` also writes every mask as contours, an RT Structure Set.
        progress: called as ``progress(step, done, total)``.
        options: of the system, as the flags of ``osteon read``: ``device="cpu"``, ``box=(120, 80, 180, 150)``.

    Raises:
        UsageError: an option that the system does not have.
        InputError: the input cannot be used.
        NotThisTaskError: the image is not what the task is made for.
        OsteonError: anything else that stops the reading.
    """
    from osteon.reading import CaseOptions
    from osteon.reading import read as read_in_memory

    asked = CaseOptions(
        series_uid=series_uid, task=task, options=options, microns_per_pixel=microns_per_pixel, rtstruct=rtstruct
    )
    return Case(read_in_memory(Path(path), options=asked, progress=progress))


class Findings(Sequence["Finding"]):
    """The findings of a case in reading order; each is a value of ``osteon.data.Finding``."""

    def __init__(self, findings: Sequence[Finding], entries: Sequence[Mapping[str, Any]]) -> None:
        """Keep the values and what findings.json says of them."""
        self._findings, self._entries = tuple(findings), tuple(entries)

    @overload
    def __getitem__(self, index: int) -> Finding: ...

    @overload
    def __getitem__(self, index: slice) -> Findings: ...

    def __getitem__(self, index: int | slice) -> Finding | Findings:
        """One finding, or some of them."""
        if isinstance(index, slice):
            return Findings(self._findings[index], self._entries[index])
        return self._findings[index]

    def __len__(self) -> int:
        """How many."""
        return len(self._findings)

    def __repr__(self) -> str:
        """Their number and names."""
        return f"Findings({', '.join(finding.identifier for finding in self._findings)})"

    def to_dict(self) -> list[dict[str, Any]]:
        """The findings as findings.json has them: plain values, codes and units written out."""
        return [dict(entry) for entry in self._entries]

    def to_pandas(self) -> Any:  # noqa: ANN401 - a DataFrame; pandas is not needed for anything else
        """One row a finding, one column a measurement, named by what and in which unit.

        Raises:
            MissingPackageError: pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="for tables of findings")
        return pandas.DataFrame([_row(entry) for entry in self._entries])


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A finding without its nested parts; each measurement becomes a column."""
    row: dict[str, Any] = {
        "identifier": entry["identifier"],
        "kind": entry["kind"]["meaning"],
        "site": (entry["site"] or {}).get("meaning"),
        "laterality": (entry["laterality"] or {}).get("meaning"),
        "probability": entry["probability"],
        "is_abnormal": entry["is_abnormal"],
    }
    for each in entry["measurements"]:
        row[f"{each['concept']['meaning']} ({each['unit']['value']})"] = each["value"]
    return row


class CaseMask:
    """Labels of a case on the grid of its image.

    Attributes:
        array: (slice, row, column) uint8; 0 is background.
        grid: shape and affine, LPS millimetres.
        labels: name by value.
    """

    def __init__(self, mask: Mask) -> None:
        """Wrap a mask."""
        self._mask = mask
        self.array: NDArray[np.uint8] = mask.array
        self.grid: Grid = mask.grid
        self.labels: dict[int, str] = {label.value: label.name for label in mask.labels}

    def __repr__(self) -> str:
        """Name, size and labels."""
        size = " x ".join(map(str, self.array.shape))
        return f"CaseMask({self._mask.name}, {size}, {', '.join(self.labels.values()) or 'empty'})"

    def to_nifti(self, path: str | Path) -> None:
        """Write it as NIfTI, with the meaning of its labels beside it.

        Raises:
            OutputError: it cannot be written there.
            InputError: the image says neither how large a pixel is nor where it is.
        """
        from osteon.errors import InputError
        from osteon.io.nifti import write_mask_nifti

        if not self.grid.is_in_mm:
            raise InputError("the image has no millimetres, and NIfTI needs them: use array instead")
        write_mask_nifti(Path(path), self._mask)


class Case:
    """One study or slide that was read. Its files stay open until it is closed or forgotten.

    Attributes:
        image: that was read.
        answer: everything that the system says, as one value.
    """

    def __init__(self, reading: Reading) -> None:
        """Wrap a reading."""
        self._reading = reading

    def __repr__(self) -> str:
        """Task and headline; neither names nor identifiers."""
        demo = " (demo model)" if self.answer.is_demo else ""
        return f"Case({self.answer.task}{demo}: {self.headline})"

    def __enter__(self) -> Self:
        """The case itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    @property
    def image(self) -> Image:
        """That was read."""
        return self._reading.image

    @property
    def answer(self) -> Answer:
        """Everything that the system says, as one value."""
        return self._reading.answer

    @property
    def headline(self) -> str:
        """The first sentence of the report."""
        return self.answer.headline

    @property
    def findings(self) -> Findings:
        """In reading order."""
        return Findings(self.answer.findings, self.to_dict()["findings"])

    @property
    def masks(self) -> Mapping[str, CaseMask]:
        """By name, as "bone"."""
        return {name: CaseMask(mask) for name, mask in self.answer.masks.items()}

    @property
    def surfaces(self) -> Mapping[str, Surface]:
        """By name; triangles in LPS millimetres."""
        return self.answer.surfaces

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What was chosen, corrected and warned of."""
        return self._reading.notices

    def to_dict(self) -> dict[str, Any]:
        """The content of findings.json."""
        return self._reading.document()

    def write(self, folder: str | Path, *, replace: bool = False, progress: Progress = silent) -> Path:
        """Leave the result folder that ``osteon read`` leaves, whole or not at all.

        Args:
            folder: to be.
            replace: whether an earlier result there may be replaced.
            progress: called as ``progress(step, done, total)``.

        Raises:
            OutputError: it cannot be written there.
        """
        return self._reading.write(Path(folder), replace=replace, progress=progress).folder

    def close(self) -> None:
        """Close its files and remove what was unpacked; what was read stays."""
        self._reading.close()


class Model:
    """A model that was proven by its golden case and can be asked.

    Attributes:
        name: of its card.
        task: stem of the system that it belongs to.
        classes: that it tells apart; () where it gives something else.
        is_demo: whether it was trained on synthetic data only.
    """

    def __init__(self, predictor: Predictor, card: ModelCard, device: str) -> None:
        """Wrap a predictor with its card."""
        from osteon.weights import Classes

        self._predictor, self._card, self._device = predictor, card, device
        self.name, self.task, self.is_demo = card.name, card.task, card.is_demo
        self.classes = card.output.names if isinstance(card.output, Classes) else ()

    def __repr__(self) -> str:
        """Name and task."""
        return f"Model({self.name}, {self.task})"

    def predict(self, image: Image | NDArray[Any], *, progress: Progress = silent, **options: object) -> Any:  # noqa: ANN401
        """What the model says.

        Args:
            image: an image of ``osteon.open``: the model's system prepares it and answers; or an array (n, row, column)
                or (n, row, column, channel), prepared as the card says.
            progress: called as ``progress(step, done, total)``.
            options: of the system, for an image.

        Returns:
            An Answer for an image; for an array a mapping of arrays by name ("probability" of classes, maps by their
            names, "embedding").

        Raises:
            UsageError: an option that the system does not have.
            InputError: the image is not what the system reads, or an array of another shape.
        """
        import numpy as np

        if not isinstance(image, np.ndarray):
            from osteon.data.options import make_options
            from osteon.systems.registry import reader

            chosen = reader(self.task)
            asked = {"model": str(self._card.folder), "device": self._device, **options}
            return chosen.read(image, make_options(chosen.options, asked), progress)
        parts = list(self._predictor.run(image, progress=progress))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if parts[0][name] is not None}


def load_model(name: str | Path, *, device: str = "auto") -> Model:
    """Load a model: hashes are checked, and its golden case has to come out.

    Args:
        name: of a card (``osteon models list``), or the folder of one.
        device: "auto", "cpu" or "cuda".

    Raises:
        UnknownLabelError: there is no such model.
        WeightsError: files are missing or changed, or the golden case is not reproduced.
        BackendError: the device or engine is not at hand.
    """
    from osteon.predict.predictor import Predictor
    from osteon.weights import find_card

    card = find_card(str(name))
    return Model(Predictor.load(card, device=device), card, device)


@dataclass(frozen=True, repr=False)
class Trained:
    """A run of trainings.

    Attributes:
        folder: of the run; the same call goes on where it was stopped.
        failed: one sentence a fold that failed.
    """

    folder: Path
    failed: tuple[str, ...]

    def __repr__(self) -> str:
        """The name of the folder."""
        return f"Trained({self.folder.name}{', failed' if self.failed else ''})"


def train(
    task: str,
    data: str | Path,
    out: str | Path,
    *,
    split: str | Path | None = None,
    folds: Sequence[int] | None = None,
    progress: Progress = silent,
    **settings: object,
) -> Trained:
    """Train a network fold by fold, as ``osteon train``; an interrupted run goes on, bit for bit.

    Args:
        task: what is learnt.
        data: folder of a data set, or its manifest.
        out: folder of the run.
        split: another split file than that of the data set.
        folds: only these, from 0.
        progress: called as ``progress(step, done, total)``.
        settings: of the training, as ``epochs=3``.

    Raises:
        UnknownLabelError: no such task or setting.
        InputError: the data, or a folder that belongs to another run.
        BackendError: device or weights are not at hand.
    """
    from osteon.io.split_file import read_split
    from osteon.io.table import read_manifest
    from osteon.systems.registry import recipe
    from osteon.train.run import RunOptions, train_run

    wanted = recipe(task).settings(dict(settings))
    manifest = read_manifest(Path(data), positive=getattr(wanted, "positive", None))
    divided = read_split(Path(split) if split is not None else manifest.folder)
    asked = RunOptions(folds=None if folds is None else tuple(folds))
    run = train_run(manifest, divided, wanted, Path(out), options=asked, progress=progress)
    return Trained(run.folder, tuple(fold.error for fold in run.failed))


@dataclass(frozen=True, repr=False)
class Evaluated:
    """The numbers of a run on its test parts.

    Attributes:
        folder: with metrics.json, figures and report.html.
        metrics: the content of metrics.json.
    """

    folder: Path
    metrics: Mapping[str, Any]

    def __repr__(self) -> str:
        """The name of the folder."""
        return f"Evaluated({self.folder.name})"


def evaluate(
    run: str | Path,
    data: str | Path,
    *,
    out: str | Path | None = None,
    split: str | Path | None = None,
    by: Sequence[str] = (),
    repeats: int = 2000,
    seed: int = 1,
) -> Evaluated:
    """Evaluate a run on its test parts, as ``osteon evaluate``.

    Args:
        run: folder of a run.
        data: the data set that it was trained on.
        out: folder to write to; None for "evaluation" in that of the run.
        split: splits.json, when it is elsewhere.
        by: columns of the manifest for more subgroups; classifiers only.
        repeats: resamples of the patient bootstrap.
        seed: of the bootstrap.

    Raises:
        InputError: the run is not finished, or the data are others.
        OutputError: it cannot be written.
    """
    from osteon.metrics.bootstrap import Resampling
    from osteon.study.evaluate import evaluate_into
    from osteon.train.run import open_run

    opened = open_run(Path(run), Path(data), split=None if split is None else Path(split))
    resampling = Resampling(repeats=repeats, seed=seed)
    done = evaluate_into(opened, None if out is None else Path(out), by=by, resampling=resampling)
    return Evaluated(done.folder, done.document)
