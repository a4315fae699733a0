"""The named door from NIfTI: RAS millimetres and (i, j, k) indices become LPS and (slice, row, column).

NIfTI carries no patient, no modality and no unit of intensity. A volume is taken as CT when it holds air, or when the
user says so.
"""

from __future__ import annotations

import gzip
import json
import math
import struct
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.data import Mask, Notice, Series, Volume
from osteon.errors import InputError, ThirdParty
from osteon.geometry import Grid
from osteon.io.dicom.decode import AIR_AT_MOST_HU
from osteon.io.inventory import SeriesEntry, require_memory
from osteon.io.limits import HEADER_BYTES, VARIABLE, limit
from osteon.io.whole_file import whole_file, write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.io.inventory import Progress

__all__ = ["is_nifti_name", "load_nifti", "nifti_entry", "nifti_voxels", "open_nifti", "write_mask_nifti"]


MILLIMETRES: Final[dict[str, float]] = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}
NIFTI_2_BYTES: Final = 540
"""Of the header of NIfTI-2; that of NIfTI-1 has 348."""

LARGEST_FLOAT32: Final = float(np.finfo(np.float32).max)
RAS_TO_LPS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])


def is_nifti_name(path: Path) -> bool:
    """Whether the name is that of a NIfTI file."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def nifti_entry(path: Path, *, location: Path) -> SeriesEntry:
    """What a NIfTI file holds, from its header.

    Returns:
        An entry whose ``problem`` says when it is not a volume (four dimensions, sheared, no geometry).

    Raises:
        InputError: it is damaged.
    """
    grid, problem = None, None
    notices: tuple[Notice, ...] = ()
    image = open_nifti(path)
    planes = int(image.shape[2]) if len(image.shape) > 2 else 1
    with ThirdParty(f"{path.name}: its header is damaged; send it again"):
        try:
            grid, notices = _grid(image)
        except InputError as error:
            problem = str(error)
    return SeriesEntry(
        kind="nifti",
        series=Series(uid=path.name, modality=""),
        location=location,
        n_images=planes,
        grid=grid,
        problem=problem,
        notices=notices,
        path=path,
    )


def load_nifti(
    entry: SeriesEntry, *, modality: str = "", or_ct: bool = False, progress: Progress | None = None
) -> Volume:
    """Read the voxels of a NIfTI file.

    Args:
        entry: from ``nifti_entry``.
        modality: what the user says it is; "" lets the values decide between CT and nothing.
        or_ct: whether values that no other modality has make it a CT all the same.
        progress: called as ``progress("decode", done, total)``.

    Returns:
        int16 when all values are whole and fit, else float32, on a Grid in LPS.

    Raises:
        InputError: a problem of the entry, values that are not CT numbers, NaN, one value everywhere, damaged data.
    """
    array, grid, (low, high) = nifti_voxels(entry)
    name = entry.series.uid
    if progress is not None:
        progress("decode", 1, 1)
    if low == high:
        raise InputError(f"{name}: every voxel has the value {low:g}; it shows nothing")
    if not modality or (or_ct and low <= AIR_AT_MOST_HU):
        if low > AIR_AT_MOST_HU:
            raise InputError(
                f"{name}: asked for a CT, but NIfTI does not name its modality and the values ({low:g} to "
                f"{high:g}) do not look like Hounsfield units (nothing at or below {AIR_AT_MOST_HU}). If it is a CT of "
                "tissue only, say so by naming the task (--task; modality='CT' in Python); otherwise give a CT"
            )
        modality = "CT"
        text = (
            f"NIfTI does not name the modality; values from {low:g} to {high:g} were taken as CT in Hounsfield units."
        )
        notices: tuple[Notice, ...] = (Notice("modality-from-values", text, "warning"),)
    else:
        notices = (
            Notice("modality-from-user", f"NIfTI does not name the modality; it was read as {modality}, as asked."),
        )
    source = entry.source(notices=notices, modality=modality)
    return Volume(array=array, grid=grid, modality=modality, unit="HU" if modality == "CT" else "", source=source)


def nifti_voxels(entry: SeriesEntry) -> tuple[NDArray[np.int16] | NDArray[np.float32], Grid, tuple[float, float]]:
    """The voxels of a NIfTI file whatever they mean, as of a mask.

    Returns:
        (slice, row, column) int16 when all values are whole and fit, else float32; their Grid in LPS; and
        their smallest and largest value.

    Raises:
        InputError: a problem of the entry, NaN, damaged data.
    """
    if entry.path is None or entry.grid is None:
        raise InputError(f"the file cannot be read as a volume: {entry.problem or 'it is not NIfTI'}")
    array, low, high = _values(open_nifti(entry.path), entry.path)
    return array, entry.grid, (low, high)


def open_nifti(path: Path) -> Any:  # noqa: ANN401 - nibabel has no types
    """A NIfTI file as nibabel's image, its voxels not read.

    Raises:
        InputError: damaged, or not NIfTI.
    """
    import nibabel

    with ThirdParty(f"{path.name}: not a readable NIfTI file (damaged or truncated?); send it again"):
        _require_short_header(path)
        image = nibabel.load(path)
    if not isinstance(image, (nibabel.Nifti1Image, nibabel.Nifti2Image)):
        raise InputError(f"{path.name}: not a NIfTI-1 or NIfTI-2 file")
    if min(image.shape, default=0) < 0:
        raise InputError(f"{path.name}: truncated or damaged, its header gives the shape {image.shape}; send it again")
    return image


def _require_short_header(path: Path) -> None:
    """Refuse a file whose voxels begin so late that what is before them, which nibabel reads, fills the memory."""
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        head = file.read(NIFTI_2_BYTES).ljust(NIFTI_2_BYTES, b"\0")
    for order in "<>":
        (size,) = struct.unpack_from(f"{order}i", head)
        starts = {348: (f"{order}f", 108), NIFTI_2_BYTES: (f"{order}q", 168)}
        if size in starts:
            (start,) = struct.unpack_from(starts[size][0], head, starts[size][1])
            if limit(HEADER_BYTES) < start < math.inf:
                raise InputError(
                    f"{path.name}: its voxels would begin {start:.3g} bytes into the file, behind more than any header "
                    f"holds ({VARIABLE} allows more); send it again"
                )


def _grid(image: Any) -> tuple[Grid, tuple[Notice, ...]]:  # noqa: ANN401 - nibabel has no types
    """Shape (slice, row, column) and LPS affine.

    The sform is used when it is set, else the qform (as the standard advises for images in scanner space). With neither
    the orientation is not known and nothing is guessed.
    """
    name = f"{image.get_filename()}".rsplit("/", maxsplit=1)[-1]
    shape = tuple(int(n) for n in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3:
        raise InputError(
            f"{name}: needs one volume of three dimensions, found shape {image.shape}; extract one volume first"
        )
    affine, code = image.get_sform(coded=True)
    notices: tuple[Notice, ...] = ()
    qform, q_code = image.get_qform(coded=True)
    if not code:
        affine, code = qform, q_code
    elif q_code and not np.allclose(affine, qform, atol=1e-2):
        text = "The file's two geometries (sform, qform) differ; the sform was used."
        notices = (Notice("sform-over-qform", text, "warning"),)
    if not code or affine is None:
        raise InputError(f"{name}: has neither an sform nor a qform: how it is in the patient is not known")
    unit = image.header.get_xyzt_units()[0]
    if unit not in MILLIMETRES:
        raise InputError(f"{name}: has an unknown unit of length ({unit})")
    scale = MILLIMETRES[unit]
    if scale != 1.0:
        text = f"The file counts in {unit}s; its geometry was converted to millimetres."
        notices = (*notices, Notice("unit-converted", text))
    lps = RAS_TO_LPS @ np.asarray(affine, dtype=np.float64)
    lps[:3] *= scale
    # columns of the affine follow (i, j, k) = (column, row, slice): reverse them
    lps[:3, :3] = lps[:3, 2::-1]
    try:
        grid = Grid(shape=(shape[2], shape[1], shape[0]), affine=lps)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    return grid, notices


def _values(
    image: Any,  # noqa: ANN401 - nibabel has no types
    path: Path,
) -> tuple[NDArray[np.int16] | NDArray[np.float32], float, float]:
    """(slice, row, column) voxels with their smallest and largest value, read slice by slice.

    The file is a stream of slices, so neither a gzip nor double precision costs more memory than the volume itself.
    """
    kind = image.dataobj.dtype
    slope, intercept = float(image.dataobj.slope), float(image.dataobj.inter)
    if kind.kind not in "iuf":
        raise InputError(f"{path.name}: holds {kind} voxels, which are not intensities")
    columns, rows, slices = (int(n) for n in image.shape[:3])
    require_memory((slices, rows, columns), what=path.name)
    array: NDArray[Any] = np.empty((slices, rows, columns), dtype=np.int16)
    low, high = math.inf, -math.inf
    damaged = ThirdParty(f"{path.name}: truncated or damaged, its voxels cannot be read; send it again")
    quiet = np.errstate(over="ignore", invalid="ignore")  # what does not fit is found below
    with damaged, quiet, image.file_map["image"].get_prepare_fileobj(mode="rb") as file:
        file.seek(int(image.dataobj.offset))
        for index in range(slices):
            data = file.read(rows * columns * kind.itemsize)
            plane = np.frombuffer(data, dtype=kind).reshape(rows, columns)
            if (slope, intercept) != (1.0, 0.0):
                plane = plane * slope + intercept
            bottom, top = float(plane.min()), float(plane.max())
            if array.dtype == np.int16 and not _fits_int16(plane, bottom, top):
                array = array.astype(np.float32)
            array[index] = plane
            # unlike min and max, these do not lose a NaN on the way
            low, high = float(np.minimum(low, bottom)), float(np.maximum(high, top))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"{path.name}: holds NaN or infinite voxels; replace them by air (-1024)")
    if max(-low, high) > LARGEST_FLOAT32:
        raise InputError(
            f"{path.name}: holds values from {low:g} to {high:g}, beyond what 32 bits can hold: its scale "
            f"(scl_slope {slope:g}) is damaged, or its values have no meaning"
        )
    return array, low, high


def _fits_int16(plane: NDArray[Any], bottom: float, top: float) -> bool:
    if not (bottom >= -32768 and top <= 32767):
        return False
    return plane.dtype.kind in "iu" or bool((plane == np.rint(plane)).all())


def write_mask_nifti(path: Path, mask: Mask) -> None:
    """Write a Mask as NIfTI-1 (uint8, RAS millimetres) and its labels as JSON beside it.

    Raises:
        InputError: the name ends neither in .nii nor in .nii.gz.
        OutputError: the place cannot be written.
    """
    import nibabel

    if not path.name.endswith((".nii", ".nii.gz")):
        raise InputError(f"a NIfTI file ends in .nii or .nii.gz, found {path.name}")
    table = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".labels.json")
    affine = RAS_TO_LPS @ mask.grid.affine[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(mask.array.transpose(2, 1, 0), affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)  # of the scanner
    image.set_qform(affine, code=1)
    document = {"schema": "osteon-labels/1", "name": mask.name, "labels": [asdict(label) for label in mask.labels]}
    with whole_file(path, suffix=path.name.removeprefix(path.name.removesuffix(".gz").removesuffix(".nii"))) as work:
        nibabel.save(image, work)
    write_whole(table, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
