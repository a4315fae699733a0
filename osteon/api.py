"""What a program may use: stable, typed, documented. Everything else of osteon may change between versions.

Example:
    >>> import osteon
    >>> osteon.systems()["ct_osteosarcoma"]
    'CT of the legs: tumour probability a slice, extent, bone in 3D'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    from osteon.reading import Reading

__all__ = ["Case", "CaseMask", "Findings", "open", "read", "systems"]


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
    progress: Progress = silent,
    **options: object,
) -> Case:
    """Read one study or slide in memory; no file is written.

    Args:
        path: as :func:`open`.
        task: stem of a system (:func:`systems`); None for the one that fits the image best.
        series_uid: the series to read; None for the best one.
        microns_per_pixel: of a slide whose file does not say it.
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

    asked = CaseOptions(series_uid=series_uid, task=task, options=options, microns_per_pixel=microns_per_pixel)
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
            InputError: the image says neither how large a pixel is nor where it lies.
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
        return f"Case({self.answer.task}: {self.headline})"

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
