"""Give whole CT stacks of limbs, which say neither HU nor mm, the place and the grey values of the cut scans they hold.

    python scripts/whole_limbs.py ../shared/data/sarcoma_ct_uncropped ../shared/data/sarcoma_ct_mr/volumes -o WHOLE
    osteon dataset limb_sarcoma WHOLE -o DATASET --modality ct --whole --size 256
    osteon study limb_sarcoma --data CT -o STUDY --resume --also DATASET

A stack (NAME.npz, ``ct`` (slice, row, column) uint8) and the cut CT of the same patient (NAME_CT.nii.gz) are of one
examination. Slices of the cut scan are looked for in the stack (normalised cross-correlation at the same size of
pixels): where all of them are found in one column, at even steps, the distance of the stack's slices and its place
follow from the scan. Anything else is refused.

Grey values were stretched slice by slice, so that a step of grey is 7 to 16 HU. Air is -1000 HU in all slices; the
other anchor is the median of the body, whose HU are taken from the cut scan where a slice is in it and from the median
of these slices elsewhere. What is printed says how far off the HU of soft tissue are in the end, noise of the scan
included. The mask is the one of the cut scan: that of the stack may hold more than the tumour.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from osteon.errors import InputError
from osteon.geometry import Grid, axial_turn
from osteon.io import open_volume, read_mask_volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOOKED_FOR = 9
LEAST_CORRELATION = 0.9
MOST_OFF = 0.75
AIR_HU, BODY_HU = -1000.0, -300.0
WINDOW_HU = (-150.0, 200.0)


@dataclass(frozen=True, slots=True)
class Place:
    """Where slice 0 and pixel (0, 0) of a cut scan are in a stack.

    Attributes:
        first: slice of the stack, with a fraction.
        step: slices of the stack a slice of the scan.
        row: of the stack.
        column: likewise.
        correlation: the smallest of the slices that were looked for.
    """

    first: float
    step: float
    row: int
    column: int
    correlation: float


def find_place(stack: NDArray[np.uint8], hu: NDArray[Any]) -> Place:
    """Where a cut scan (slice, row, column) in HU is in a stack of the same examination.

    Raises:
        InputError: its slices are not all found, in one column and at even steps.
    """
    wanted = np.unique(np.linspace(1, len(hu) - 2, LOOKED_FOR).round().astype(int))
    found = []
    for index in wanted:
        one = np.clip(hu[index], -1000, 1500).astype(np.float32)
        best = max(
            (float(scores.max()), slices, np.unravel_index(int(scores.argmax()), scores.shape))
            for slices, scores in enumerate(
                cv2.matchTemplate(each.astype(np.float32), one, cv2.TM_CCOEFF_NORMED) for each in stack
            )
        )
        found.append((best[0], best[1], *map(int, best[2])))
    correlation, slices, rows, columns = (np.array(each) for each in zip(*found, strict=True))
    step, first = np.polyfit(wanted, slices, 1)
    off = np.abs(first + step * wanted - slices).max()
    spread = max(np.ptp(rows), np.ptp(columns))
    if correlation.min() < LEAST_CORRELATION or off > MOST_OFF or spread > 1 or step <= 0:
        raise InputError(
            f"the scan is not found in the stack: correlations from {correlation.min():.2f}, slices up to {off:.1f} "
            f"off a line, places {spread} pixels apart"
        )
    row, column = (int(np.median(each)) for each in (rows, columns))
    return Place(float(first), float(step), row, column, float(correlation.min()))


def between(values: NDArray[Any], place: Place, slices: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Slices of a stack that are within the scan, and what the scan is there, linear between its own slices."""
    at = (np.arange(slices) - place.first) / place.step
    inside = np.flatnonzero((at >= 0) & (at <= len(values) - 1))
    low = np.minimum(at[inside].astype(int), len(values) - 2)
    part = (at[inside] - low)[:, None, None].astype(np.float32)
    return inside, values[low].astype(np.float32) * (1 - part) + values[low + 1].astype(np.float32) * part


def in_hu(stack: NDArray[np.uint8], hu: NDArray[Any], place: Place) -> tuple[NDArray[np.int16], float]:
    """A stack in HU, and the standard deviation of its error in the soft tissue of the cut scan."""
    inside, known = between(hu, place, len(stack))
    grey = stack[inside, place.row : place.row + hu.shape[1], place.column : place.column + hu.shape[2]]
    air = np.array([np.percentile(each, 5) for each in stack])
    body_hu = np.full(len(stack), np.nan)
    body_grey = np.array([_middle(each, low) for each, low in zip(stack, air, strict=True)])
    for index, shown, true in zip(inside, grey, known, strict=True):
        slope, offset = np.polyfit(shown[true > AIR_HU + 100].astype(float), true[true > AIR_HU + 100], 1)
        body_hu[index] = slope * body_grey[index] + offset
    body_hu = np.where(np.isnan(body_hu), np.nanmedian(body_hu), body_hu)
    slopes = (body_hu - AIR_HU) / np.maximum(body_grey - air, 1)
    values = (stack - air[:, None, None]) * slopes[:, None, None] + AIR_HU
    made = values[inside, place.row : place.row + hu.shape[1], place.column : place.column + hu.shape[2]]
    soft = (known >= WINDOW_HU[0]) & (known <= WINDOW_HU[1])
    return np.clip(np.rint(values), -1024, 3071).astype(np.int16), float((made - known)[soft].std())


def _middle(image: NDArray[np.uint8], air: float) -> float:
    """Median grey of a body: of what Otsu's threshold tells from air."""
    limit, _ = cv2.threshold(image, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    body = image[image > limit]
    return float(np.median(body)) if body.size else air + 1


def whole_grid(grid: Grid, place: Place, shape: tuple[int, ...]) -> Grid:
    """The grid of a stack, from that of the cut scan."""
    affine = grid.affine.copy()
    start = np.array([-place.first / place.step, -place.row, -place.column, 1.0])
    affine[:, 3] = grid.affine @ start
    affine[:3, 0] /= place.step
    return Grid(shape=(int(shape[0]), int(shape[1]), int(shape[2])), affine=affine)


def write_whole(name: str, stack: NDArray[np.uint8], volumes: Path, out: Path) -> str:
    """Write NAME_CT.nii.gz and its mask; gives a row of the table.

    Raises:
        InputError: as ``find_place``.
    """
    import nibabel

    volume = open_volume(volumes / f"{name}_CT.nii.gz", modality="CT")
    mask = read_mask_volume(volumes / f"{name}_CT_mask.nii.gz", like=volume.grid, image="CT")
    turn = axial_turn(volume.grid)
    hu, tumour, cut = turn.array(volume.array), turn.array(mask), turn.grid(volume.grid)
    place = find_place(stack, hu)
    values, error_hu = in_hu(stack, hu, place)
    inside, known = between(tumour.astype(np.float32), place, len(stack))
    placed = np.zeros(stack.shape, dtype=np.uint8)
    placed[inside, place.row : place.row + hu.shape[1], place.column : place.column + hu.shape[2]] = known >= 0.5
    grid = whole_grid(cut, place, stack.shape)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine[:, [2, 1, 0, 3]]
    for ending, array in (("CT", values), ("CT_mask", placed)):
        nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), affine), out / f"{name}_{ending}.nii.gz")
    kept_ml = placed.sum() * np.prod(grid.spacing_mm) / 1000
    true_ml = tumour.sum() * np.prod(cut.spacing_mm) / 1000
    numbers = (f"{grid.spacing_mm[0]:.2f}", f"{place.correlation:.3f}", f"{error_hu:.0f}", f"{true_ml:.0f}")
    return f"| {' | '.join((name, *numbers, f'{kept_ml:.0f}'))} |"


def main() -> None:
    """Write the scans and print how well they were placed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stacks", type=Path)
    parser.add_argument("volumes", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(
        "| patient | slices (mm) | smallest correlation | error of soft tissue (HU, SD) | tumour (ml) | placed (ml) |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for file in sorted(arguments.stacks.glob("*.npz")):
        with np.load(file) as held:
            print(write_whole(file.stem, held["ct"], arguments.volumes, arguments.out))


if __name__ == "__main__":
    main()
