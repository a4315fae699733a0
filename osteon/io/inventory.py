"""What was found in a folder, a zip or a file, before anything is decoded."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from osteon.data.system import Header
from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from tempfile import TemporaryDirectory
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from osteon.data import Notice, Patient, Series, Study
    from osteon.geometry import Grid
    from osteon.io.frame import Frame

__all__ = ["Inventory", "Progress", "SeriesEntry", "SkippedFile", "Stack", "require_memory"]


Progress: TypeAlias = Callable[[str, int, int], None]
"""Called as ``progress(step, done, total)``, always from the thread that asked for the work."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Frames in slice order and the grid they fill.

    Attributes:
        frames: one per slice.
        grid: of the volume after loading (for a sheared stack: the grid the slices are resampled onto).
        shift_vox: (slices, 2) float64, how far each slice is moved along (rows, columns) of the grid, in voxels, all
            at least 0; None when no slice moves.
    """

    frames: tuple[Frame, ...] = field(repr=False)
    grid: Grid
    shift_vox: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that is no part of any series.

    Attributes:
        path: of the file.
        reason: why, in words.
        damaged: a DICOM or NIfTI file that should have been readable; False for other kinds of file.
    """

    path: Path = field(repr=False)
    reason: str
    damaged: bool


@dataclass(frozen=True, slots=True, eq=False)
class SeriesEntry:
    """One series, fit to be read as a volume or not.

    Attributes:
        kind: "dicom", "nifti" or "picture".
        series: what it is.
        patient: whose.
        study: of which visit.
        location: the file or folder the user named.
        n_images: image planes found, those left out of the volume included.
        grid: of the volume, or None when it cannot be read as one.
        problem: why it cannot be read as a volume; None when it can.
        unsupported: the problem is osteon's: the series may be sound, but there is no decoder for it.
        reasons: facts for or against choosing it, in words.
        notices: what the volume leaves out or corrects.
        image_type: of its first image, upper case.
        kernel: convolution kernel, or "".
        thickness_mm: nominal slice thickness, or None.
        stack: frames in slice order; None when there is a problem or the file is not DICOM.
        path: of a NIfTI file or a picture, else None.
        part: which part of its series it is, as "echo-2"; "" when it is all of it.
    """

    kind: str
    series: Series
    patient: Patient
    study: Study
    location: Path = field(repr=False)
    n_images: int
    grid: Grid | None = None
    problem: str | None = None
    unsupported: bool = False
    reasons: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()
    image_type: tuple[str, ...] = ()
    kernel: str = ""
    thickness_mm: float | None = None
    stack: Stack | None = field(default=None, repr=False)
    path: Path | None = field(default=None, repr=False)
    part: str = ""

    @property
    def name(self) -> str:
        """How a person names it: the UID, and the part after a #."""
        return f"{self.series.uid}#{self.part}" if self.part else self.series.uid

    @property
    def header(self) -> Header:
        """What routing may look at."""
        return Header(
            kind="picture" if self.kind == "picture" else "volume",
            modality=self.series.modality,
            body_part=self.series.body_part,
            age_years=self.patient.age_years,
            spacing_mm=None if self.grid is None or not self.grid.is_in_mm else self.grid.spacing_mm,
            shape=() if self.grid is None else self.grid.shape,
        )

    @property
    def geometry(self) -> str:
        """Shape, spacing and origin in one line; "no volume" when there is a problem."""
        return "no volume" if self.grid is None else str(self.grid)

    @property
    def summary(self) -> str:
        """Modality, images, geometry and UID in one line, without patient text."""
        modality = self.series.modality or "unknown modality"
        images = f"{self.n_images} image{'s' if self.n_images != 1 else ''}"
        return f"{modality}, {images}, {self.problem or self.geometry}, series {self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Inventory:
    """All series under one path; a context manager that removes what was unpacked.

    Attributes:
        location: what the user named.
        entries: one per series, in a stable order.
        skipped: files that are no part of a series, with the reason.
        n_files: files looked at.

    Example:
        >>> from pathlib import Path
        >>> with Inventory(location=Path("empty"), entries=(), skipped=(), n_files=0) as inventory:
        ...     len(inventory.entries)
        0
    """

    location: Path = field(repr=False)
    entries: tuple[SeriesEntry, ...]
    skipped: tuple[SkippedFile, ...]
    n_files: int
    unpacked: TemporaryDirectory[str] | None = field(default=None, repr=False)

    @property
    def damaged(self) -> tuple[SkippedFile, ...]:
        """Files that look like images but cannot be read."""
        return tuple(item for item in self.skipped if item.damaged)

    def close(self) -> None:
        """Remove the temporary folder of an unpacked archive; the input itself is never touched."""
        if self.unpacked is not None:
            self.unpacked.cleanup()

    def __enter__(self) -> Self:
        """Nothing happens on entry."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


GIB: Final = 1024**3
BYTES_A_VOXEL: Final = 2


def require_memory(shape: Sequence[int], *, what: str) -> None:
    """Raise when a volume of int16 is larger than the memory that is free.

    Args:
        shape: (slice, row, column).
        what: names the input in the message.

    Raises:
        InputError: it is.

    Example:
        >>> require_memory((2, 3, 4), what="the series")
    """
    import psutil

    needed, free = math.prod(int(n) for n in shape) * BYTES_A_VOXEL, int(psutil.virtual_memory().available)
    if needed > free:
        size = " x ".join(str(n) for n in shape)
        raise InputError(
            f"{what} says that it holds {size} voxels: that needs {needed / GIB:.1f} GiB, {free / GIB:.1f} GiB of "
            "memory are free; if that size is right, use a larger machine or a part of the series"
        )
