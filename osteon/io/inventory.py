"""What was found in a folder, a zip or a file, before anything is decoded."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from osteon.data import Patient, Source, Study
from osteon.data.system import Header
from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from tempfile import TemporaryDirectory
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from osteon.data import Notice, Series, SliceSource
    from osteon.geometry import Grid

__all__ = [
    "PICTURE",
    "Frame",
    "ImageUids",
    "Inventory",
    "PixelFormat",
    "Progress",
    "SeriesEntry",
    "SkippedFile",
    "Stack",
    "require_memory",
]


PICTURE: Final = "PNG or JPEG"
"""Why a picture in a folder is passed over."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called as ``progress(step, done, total)``, always from the thread that asked for the work."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Frames in slice order and the grid they fill."""

    frames: tuple[Frame, ...] = field(repr=False)  # one per slice, unless ``places_vox`` says where they are
    grid: Grid  # of the volume after loading (for a sheared stack: the grid the slices are resampled onto)
    # (slices, 2) float64, how far each slice is moved along (rows, columns) of the grid, in voxels, all at least 0;
    # None when no slice moves
    shift_vox: NDArray[np.float64] | None = None
    # (frames,) float64, where each frame is along the slices of the grid, in voxels, ascending; None when frame k is
    # slice k. Else the slices of the grid are interpolated between the frames.
    places_vox: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that is not part of any series."""

    path: Path = field(repr=False)  # of the file
    reason: str  # why, in words
    damaged: bool  # a DICOM or NIfTI file that should have been readable; False for other kinds of file


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SeriesEntry:
    """One series, fit to be read as a volume or not."""

    kind: str  # "dicom", "nifti" or "picture"
    series: Series  # what it is
    patient: Patient = field(default_factory=Patient)  # whose
    study: Study = field(default_factory=lambda: Study(uid=""))  # of which visit
    location: Path = field(repr=False)  # the file or folder the user named
    n_images: int  # image planes found, those left out of the volume included
    grid: Grid | None = None  # of the volume, or None when it cannot be read as one
    problem: str | None = None  # why it cannot be read as a volume; None when it can
    unsupported: bool = False  # the problem is osteon's: the series may be sound, but there is no decoder for it
    reasons: tuple[str, ...] = ()  # facts for or against choosing it, in words
    notices: tuple[Notice, ...] = ()  # what the volume leaves out or corrects
    image_type: tuple[str, ...] = ()  # of its first image, upper case
    kernel: str = ""  # convolution kernel, or ""
    thickness_mm: float | None = None  # nominal slice thickness, or None
    # frames in slice order; None when there is a problem or the file is not DICOM
    stack: Stack | None = field(default=None, repr=False)
    path: Path | None = field(default=None, repr=False)  # of a NIfTI file, a picture or a single film, else None
    is_film: bool = False  # DICOM radiographs: projections, with no place in the patient
    view: str = ""  # View Position of a film, or ""
    part: str = ""  # which part of its series it is, as "echo-2"; "" when it is all of it
    no_objects: str = ""  # why no DICOM object can refer to its images; "" when one can
    joined: tuple[SeriesEntry, ...] = field(default=(), repr=False)  # the series that continue each other in it

    @property
    def name(self) -> str:
        """How a person names it: the UID, and the part after a #."""
        return f"{self.series.uid}#{self.part}" if self.part else self.series.uid

    @property
    def header(self) -> Header:
        """What routing may look at."""
        return Header(
            kind="picture" if self.kind == "picture" else "radiograph" if self.is_film else "volume",
            modality=self.series.modality,
            body_part=self.series.body_part,
            view=self.view,
            age_years=self.patient.age_years,
            spacing_mm=None if self.grid is None or not self.grid.is_in_mm else self.grid.spacing_mm,
            shape=() if self.grid is None else self.grid.shape,
        )

    def source(
        self, *, notices: tuple[Notice, ...] = (), modality: str | None = None, slices: tuple[SliceSource, ...] = ()
    ) -> Source:
        """Where an image read from it came from; notices of reading it follow its own."""
        return Source(
            kind=self.kind,
            location=self.location,
            patient=self.patient,
            study=self.study,
            series=self.series if modality is None else replace(self.series, modality=modality),
            slices=slices,
            notices=self.notices + notices,
            no_objects=self.no_objects,
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

    Example:
        >>> from pathlib import Path
        >>> with Inventory(location=Path("empty"), entries=(), skipped=(), n_files=0) as inventory:
        ...     len(inventory.entries)
        0
    """

    location: Path = field(repr=False)  # what the user named
    entries: tuple[SeriesEntry, ...]  # one per series, in a stable order
    skipped: tuple[SkippedFile, ...]  # files that are not part of a series, with the reason
    n_files: int  # files looked at
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
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


GIB: Final = 1024**3
BYTES_A_VOXEL: Final = 2


def require_memory(shape: Sequence[int], *, what: str, voxel_bytes: int = BYTES_A_VOXEL) -> None:
    """Raise when a volume is larger than the memory that is free.

    Args:
        shape: (slice, row, column).
        what: names the input in the message.
        voxel_bytes: of a voxel; those of int16 unless said.

    Raises:
        InputError: it is.

    Example:
        >>> require_memory((2, 3, 4), what="the series")
    """
    import numpy as np
    import psutil

    needed, free = math.prod(int(n) for n in shape) * voxel_bytes, int(psutil.virtual_memory().available)
    has_room = needed <= free
    try:
        np.empty(max(0, needed) if has_room else 0, dtype=np.uint8)
    except MemoryError:  # the process is allowed less than is free
        has_room = False
    if not has_room:
        size = " x ".join(str(n) for n in shape)
        raise InputError(
            f"{what} says that it holds {size} voxels: that needs {needed / GIB:.1f} GiB, {free / GIB:.1f} GiB of "
            "memory are free; if that size is right, use a larger machine or a part of the series"
        )


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the numbers of a frame are stored."""

    rows: int  # of the frame
    columns: int  # of the frame
    samples: int  # per pixel; 1 is grey
    bits_allocated: int  # 8, 16 or 32
    bits_stored: int  # of these, used
    high_bit: int  # position of the highest used bit
    signed: bool  # two's complement
    transfer_syntax: str  # UID of the encoding
    is_float: bool = False  # IEEE numbers of 32 or 64 bits (Float or Double Float Pixel Data)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        return self.rows * self.columns * self.samples * self.bits_allocated // 8


@dataclass(frozen=True, slots=True)
class ImageUids:
    """The identifiers of an image as its file says them; "" where it does not."""

    study: str = ""
    series: str = ""
    instance: str = ""
    sop_class: str = ""
    frame_of_reference: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """A plane of pixels with its place, all numbers as the file says them; unreadable numbers are NaN."""

    path: Path = field(repr=False)  # the file
    number: int | None  # 1-based frame number of a multi-frame image, else None
    frames_in_file: int  # how many planes the file holds
    sop_instance_uid: str  # of the image
    pixels: PixelFormat  # storage format
    # byte where the pixel data begin in the file (deflated: in the inflated data set); -1 when there are none
    offset: int
    length: int  # bytes of the pixel data; -1 when encapsulated
    position: tuple[float, ...] | None  # Image Position (Patient), LPS mm, or None when absent
    orientation: tuple[float, ...] | None  # Image Orientation (Patient), six cosines, or None
    spacing: tuple[float, ...] | None  # Pixel Spacing, mm between (rows, columns), or None
    thickness: float | None  # Slice Thickness, mm, or None
    step: float | None  # Spacing Between Slices, mm, or None
    rescale: tuple[float, float] | None  # (slope, intercept); None when the file has none
    padding: tuple[int, int] | None  # smallest and largest stored value that means "no data", or None
    image_type: tuple[str, ...]  # upper case values of Image Type
    frame_of_reference_uid: str  # or ""
    # values that may tell two acquisitions of one place apart, in the order of ``dicom.header.SPLIT_KEYS``
    split_keys: tuple[str, ...]
    lossy: bool  # whether the pixels went through lossy compression
    damage: str | None = None  # why the pixels cannot be read, or None
    is_inverted: bool = False  # whether the lowest value is white (MONOCHROME1)
    modality: str = ""  # as "CT"
    rescale_type: str = ""  # unit after the rescale, as "HU", or ""
    uids: ImageUids = field(default_factory=ImageUids, repr=False)
