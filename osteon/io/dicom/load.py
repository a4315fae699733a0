"""Decode the frames of a stack in parallel, straight into the volume's memory."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from osteon.data import Notice, SliceSource, Volume
from osteon.data.phantom_mark import has_grey_mark, mark_grey
from osteon.errors import InputError
from osteon.io.dicom.decode import AIR_AT_MOST_HU, AIR_HU, RangeError, is_whole, stored_values, to_float32, to_int16
from osteon.io.dicom.resample import interpolate_slices, shift_plane
from osteon.io.inventory import require_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.io.inventory import Frame, Progress, SeriesEntry, Stack

__all__ = ["load_series"]


MAX_WORKERS = 8

MOST_SCALES = 4
"""More different scales are those of a scanner that scales every slice by itself."""

SHIFTED_HU = 700.0
"""Air of two slices differs by less; a lost intercept shifts it by 1000 or 1024."""


_Range: TypeAlias = tuple[float, float, int]
"""What decoding saw: smallest and largest value, and how many pixels held no data."""


def load_series(entry: SeriesEntry, *, progress: Progress | None = None, workers: int | None = None) -> Volume:
    """Decode a DICOM series.

    Args:
        entry: a series with a stack.
        progress: called as ``progress("decode", done, total)`` from this thread.
        workers: threads; default one per usable processor, at most 8.

    Returns:
        int16 when every value is a whole number that fits, else float32. In CT, pixels without data are air.

    Raises:
        InputError: no stack, truncated or damaged pixels, every voxel of one value.
        UnsupportedError: no decoder.
    """
    stack = entry.stack
    if stack is None:
        raise InputError(f"the series cannot be read as a volume: {entry.problem or 'it holds no images'}")
    slices = len(stack.frames) if stack.places_vox is None else len(stack.frames) + stack.grid.shape[0]
    require_memory((slices, *stack.grid.shape[1:]), what="the series")
    is_ct = entry.series.modality in {"CT", ""}
    decoded = None
    if all(is_whole(frame) for frame in stack.frames):
        with suppress(RangeError):
            decoded = _decode(stack, np.dtype(np.int16), is_ct=is_ct, progress=progress, workers=workers)
    if decoded is None:
        decoded = _decode(stack, np.dtype(np.float32), is_ct=is_ct, progress=progress, workers=workers)
    array, (low, high, empty) = decoded
    if low == high:
        raise InputError(f"every voxel has the value {low:g}: the series shows nothing; choose another one")
    if not np.isfinite((low, high)).all():
        raise InputError("the rescale of the series gives NaN or infinite values: Rescale Slope or Intercept is broken")
    if is_ct:
        _require_hu(array, stack, low)
    if not is_ct and all(frame.is_inverted for frame in stack.frames):
        _invert(array, low + high)
    if stack.places_vox is not None:
        array = interpolate_slices(array, stack.places_vox, stack.grid.shape[0])
    images = tuple(SliceSource(frame.sop_instance_uid, frame.path, frame.number) for frame in stack.frames)
    return Volume(
        array=array,
        grid=stack.grid,
        modality=entry.series.modality,
        unit="HU" if entry.series.modality == "CT" else "",
        source=entry.source(notices=_value_notices(stack, empty, is_ct=is_ct), slices=images),
    )


def _require_hu(array: NDArray[Any], stack: Stack, low: float) -> None:
    """Raise where the values themselves show that they are not on one scale of Hounsfield units.

    Raises:
        InputError: the Rescale Type leaves the unit open and nothing is air, or slices of another rescale are shifted.
    """
    if low > AIR_AT_MOST_HU and any(frame.rescale_type == "US" for frame in stack.frames):
        raise InputError(
            f"Rescale Type (0028,1054) is US, unspecified, and the lowest value is {low:g}: these are not Hounsfield "
            "units (air is near -1000); choose the series of the CT in HU"
        )
    slices: dict[tuple[float, float] | None, list[float]] = {}
    for index, frame in enumerate(stack.frames):
        slices.setdefault(frame.rescale, []).append(float(array[index].min()))
    if not 1 < len(slices) <= min(MOST_SCALES, len(stack.frames) // 2):
        return
    lowest = {rescale: float(np.median(values)) for rescale, values in slices.items()}
    if max(lowest.values()) - min(lowest.values()) > SHIFTED_HU:
        listed = "; ".join(
            f"slope and intercept {' and '.join(f'{part:g}' for part in rescale or ())} on {len(slices[rescale])} "
            f"slices, lowest value {value:g}"
            for rescale, value in lowest.items()
        )
        raise InputError(
            f"Rescale Slope and Intercept (0028,1053 and 0028,1052) differ between slices, and so does what air is: "
            f"{listed}; the values are not on one scale, export the series again"
        )


def _decode(
    stack: Stack, kind: np.dtype[Any], *, is_ct: bool, progress: Progress | None, workers: int | None
) -> tuple[Any, _Range]:
    """All frames into one array of the asked type."""
    array = np.empty((len(stack.frames), *stack.grid.shape[1:]), dtype=kind)
    total = len(stack.frames)
    threads = workers or min(MAX_WORKERS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
    # a few chunks a thread: the overhead of a task is paid rarely, and the progress still moves
    size = max(1, min(16, total // (4 * threads)))
    chunks = [range(start, min(start + size, total)) for start in range(0, total, size)]
    ranges: list[_Range] = []
    done = 0
    with ThreadPoolExecutor(max_workers=threads) as pool:
        jobs = {pool.submit(_decode_chunk, stack, chunk, array, is_ct=is_ct): len(chunk) for chunk in chunks}
        try:
            for job in as_completed(jobs):
                ranges.append(job.result())
                done += jobs[job]
                if progress is not None:
                    progress("decode", done, total)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return array, _joined(ranges)


def _joined(seen: list[_Range]) -> _Range:
    lows, highs, empty = zip(*seen, strict=True)
    return min(lows), max(highs), sum(empty)


def _decode_chunk(stack: Stack, chunk: range, array: NDArray[Any], *, is_ct: bool) -> _Range:
    return _joined([_decode_one(stack, index, array[index], is_ct=is_ct) for index in chunk])


def _decode_one(stack: Stack, index: int, out: NDArray[Any], *, is_ct: bool) -> _Range:
    """One frame into its slice."""
    frame = stack.frames[index]
    if stack.shift_vox is None:
        return _rescaled(frame, out, is_ct=is_ct)
    plane = np.empty((frame.pixels.rows, frame.pixels.columns), dtype=out.dtype)
    seen = _rescaled(frame, plane, is_ct=is_ct)
    down, right = (float(value) for value in stack.shift_vox[index])
    moved = shift_plane(plane, (down, right), shape=out.shape, fill=AIR_HU if is_ct else 0)
    out[...] = np.rint(moved, out=moved) if out.dtype == np.int16 else moved
    if out.dtype == np.int16 and has_grey_mark(plane[None]):  # a phantom stays one
        mark_grey(out)
    return seen


def _rescaled(frame: Frame, out: NDArray[Any], *, is_ct: bool) -> _Range:
    if out.dtype == np.int16:
        return to_int16(stored_values(frame, into=out), frame, out=out, is_ct=is_ct)
    return to_float32(stored_values(frame), frame, out=out, is_ct=is_ct)


def _invert(array: NDArray[Any], total: float) -> None:
    """Turn a series whose lowest value is white (MONOCHROME1) over, in place; ``total`` of its ends, which stay."""
    if array.dtype == np.int16:  # the results fit, so arithmetic modulo 2^16 gives them exactly
        total = (int(total) + 32768) % 65536 - 32768
    np.subtract(array.dtype.type(total), array, out=array)


def _value_notices(stack: Stack, empty: int, *, is_ct: bool) -> tuple[Notice, ...]:
    notices = []
    if is_ct and empty:
        share = 100 * empty / (len(stack.frames) * stack.frames[0].pixels.rows * stack.frames[0].pixels.columns)
        text = f"{share:.1f} % of the pixels are marked as holding no data; they count as air ({AIR_HU} HU)."
        notices.append(Notice("padding-is-air", text))
    if is_ct and any(frame.rescale is None for frame in stack.frames):
        text = "The images have no Rescale Slope and Intercept; their stored values were taken as Hounsfield units."
        notices.append(Notice("rescale-missing", text, "warning"))
    return tuple(notices)
