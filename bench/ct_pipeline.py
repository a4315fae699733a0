"""The CT job of the paper, step by step: osteon against what a person would write with the usual libraries.

Run ``python -m bench.ct_pipeline [--quick] [--json FILE]``. Both sides run in one process on the same 512x512x300
phantom series; the memory of the whole job is that of a fresh process for each side.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import ct_recipe
from bench.ct_series import make_series, phantom_legs
from bench.measuring import Row, Timed, own_peak_mb, print_head, print_rows, timed, write_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from osteon.data import Surface, Volume
    from osteon.geometry import Box, Grid

FULL, QUICK = (300, 512, 512), (40, 128, 128)


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What the whole job leaves: crops and surfaces."""

    crops: list[NDArray[np.float32]] = field(repr=False)
    surfaces: list[Any] = field(repr=False)


def osteon_job(folder: Path) -> Job:
    """DICOM folder to crops and smoothed bone surfaces, as osteon reads a case (without the network)."""
    from osteon.io import open_volume
    from osteon.ops.bone import segment_bone
    from osteon.ops.crops import leg_crops
    from osteon.ops.legs import find_legs

    volume = open_volume(folder, modality="CT")
    job = Job([], [])
    for leg in find_legs(volume).legs:
        keep = leg.mask()
        job.crops.append(leg_crops(volume.array, leg.box, leg.present, keep=keep))
        bone = segment_bone(volume.array[leg.box.slices], spacing_mm=volume.grid.spacing_mm, keep=keep)
        job.surfaces.append(_surface(bone.mask, volume.grid.crop(leg.box.start, leg.box.stop)))
    return job


def _surface(mask: NDArray[np.bool_], grid: Grid) -> Surface:
    from osteon.mesh import extract_surface, smooth_taubin

    return smooth_taubin(extract_surface(mask, grid))


def plain_job(folder: Path, opener: Callable[..., NDArray[np.int16]] = ct_recipe.open_with_skimage) -> Job:
    """The same job by the plain recipe."""
    array, spacing_mm = ct_recipe.read_folder(folder)
    legs = ct_recipe.leg_parts(array, opener=opener)
    job = Job([], [])
    for box, present in zip(legs.boxes, legs.present, strict=True):
        if box is None:
            continue
        job.crops.append(ct_recipe.leg_crops(array, box, present))
        mask = _plain_bone(array[:, box[0] : box[1], box[2] : box[3]], spacing_mm)
        job.surfaces.append(ct_recipe.bone_surface(mask, spacing_mm=spacing_mm))
    return job


def _plain_bone(
    crop: NDArray[np.int16], spacing_mm: tuple[float, float, float], centres: tuple[float, ...] | None = None
) -> NDArray[np.bool_]:
    bright, _ = ct_recipe.brightest_cluster(ct_recipe.smooth(crop), starts=1, centres=centres)
    return ct_recipe.bone_mask(bright, voxel_mm3=float(np.prod(spacing_mm)))


def cv2_job(folder: Path) -> Job:
    """The plain recipe with only the opening given to OpenCV."""
    return plain_job(folder, opener=ct_recipe.open_with_cv2)


SIDES: dict[str, Callable[[Path], Job]] = {"osteon": osteon_job, "plain": plain_job, "plain+cv2": cv2_job}


def bench_reading(folder: Path, runs: int) -> tuple[Volume, list[Row]]:
    """DICOM folder to volume."""
    import SimpleITK

    from osteon.io import open_volume

    def with_simpleitk() -> NDArray[Any]:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        return np.asarray(SimpleITK.GetArrayFromImage(reader.Execute()))

    ours = timed(lambda: open_volume(folder, modality="CT"), runs=runs)
    theirs = timed(lambda: ct_recipe.read_folder(folder)[0], runs=runs)
    itk = timed(with_simpleitk, runs=runs)
    array = ours.result.array
    rows = [
        Row.of("DICOM folder", "plain pydicom loop", ours, theirs, target=3, differing=_differ(array, theirs.result)),
        Row.of("DICOM folder", "SimpleITK", ours, itk, differing=_differ(array, itk.result)),
    ]
    return ours.result, rows


def _differ(first: NDArray[Any], second: NDArray[Any]) -> int:
    return int(np.count_nonzero(first != second)) if first.shape == second.shape else max(first.size, second.size)


def _box_of(box: Box) -> tuple[int, int, int, int]:
    return box.start[1], box.stop[1], box.start[2], box.stop[2]


def bench_legs(volume: Volume, runs: int) -> tuple[list[Box], list[Row]]:
    """Opening to crops: the recipe itself, and the legs followed through the series."""
    from osteon.ops.crops import leg_crops
    from osteon.ops.legs import find_legs, paper_legs

    array = np.asarray(volume.array, dtype=np.int16)

    def by_recipe() -> tuple[NDArray[np.uint8], list[Box], list[NDArray[np.float32]]]:
        found = paper_legs(array)
        boxes = [box for box in found.boxes if box is not None]
        present = [area > 0 for area in found.area_pixels if area.any()]
        return found.labels, boxes, [leg_crops(array, b, p) for b, p in zip(boxes, present, strict=True)]

    def by_series() -> list[NDArray[np.float32]]:
        return [leg_crops(array, leg.box, leg.present, keep=leg.mask()) for leg in find_legs(volume).legs]

    def plainly(opener: Callable[..., NDArray[np.int16]]) -> tuple[NDArray[np.uint8], list[NDArray[np.float32]]]:
        legs = ct_recipe.leg_parts(array, opener=opener)
        pairs = zip(legs.boxes, legs.present, strict=True)
        return legs.labels, [ct_recipe.leg_crops(array, box, present) for box, present in pairs if box is not None]

    ours = timed(by_recipe, runs=runs)
    series = timed(by_series, runs=runs)
    skimage = timed(lambda: plainly(ct_recipe.open_with_skimage))
    cv2 = timed(lambda: plainly(ct_recipe.open_with_cv2))
    labels, boxes, crops = ours.result
    rows = []
    for against, other, target in (("plain scikit-image", skimage, 60), ("plain, opening by cv2", cv2, None)):
        differing = _differ(labels, other.result[0])
        differing += sum(_differ(a, b) for a, b in zip(crops, other.result[1], strict=True))
        rows.append(Row.of("leg ROI, the recipe", against, ours, other, target=target, differing=differing))
        rows.append(Row.of("leg ROI, followed through", against, series, other, target=target))
    return boxes, rows


def bench_bone(volume: Volume, boxes: list[Box], runs: int) -> tuple[NDArray[np.bool_], Grid, list[Row]]:
    """Gaussian to bone mask of every leg, on the same boxes.

    Scikit-learn's k-means ends where its start leads it, so its masks differ by that alone. Whether they are equal is
    asked of the plain chain begun at osteon's cluster means: the best partition stays, a worse one would move away.
    """
    from osteon.ops.bone import segment_bone

    crops = [np.ascontiguousarray(volume.array[box.slices], dtype=np.int16) for box in boxes]
    spacing_mm = volume.grid.spacing_mm
    ours = timed(lambda: [segment_bone(crop, spacing_mm=spacing_mm) for crop in crops], runs=runs)
    theirs = timed(lambda: [_plain_bone(crop, spacing_mm) for crop in crops])
    differing = sum(_differ(a.mask, b) for a, b in zip(ours.result, theirs.result, strict=True))
    begun = [_plain_bone(c, spacing_mm, centres=a.centres_hu) for a, c in zip(ours.result, crops, strict=True)]
    equal = all(np.array_equal(a.mask, b) for a, b in zip(ours.result, begun, strict=True))
    against = "scipy + scikit-learn, one start"
    rows = [Row.of("bone mask", against, ours, theirs, target=8, differing=differing, equal=equal)]
    mask = ours.result[0].mask
    rows.append(_closing_row(mask, runs))
    return mask, volume.grid.crop(boxes[0].start, boxes[0].stop), rows


def _closing_row(mask: NDArray[np.bool_], runs: int) -> Row:
    """The ball closing alone, against SimpleITK, whose ball is another shape."""
    import SimpleITK

    from osteon.ops.closing import ball_rows, close_ball

    image = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
    itk = timed(
        lambda: SimpleITK.GetArrayFromImage(
            SimpleITK.BinaryMorphologicalClosing(image, (3, 3, 3), SimpleITK.sitkBall, 1)
        )
    )
    ours = timed(lambda: close_ball(mask, ball_rows(3)), runs=runs)
    differing = _differ(ours.result, itk.result > 0)
    return Row.of("closing with ball 3", "SimpleITK (its ball differs)", ours, itk, differing=differing)


def bench_surface(mask: NDArray[np.bool_], grid: Grid, runs: int) -> list[Row]:
    """Surface and Taubin smoothing of one leg.

    Scikit-image divides ambiguous cubes in another way, and smoothing spreads that a little. Counted are smoothed
    vertices that are more than 0.05 mm off; equal means fewer than one in fifty, and none by a voxel.
    """
    from scipy.spatial import cKDTree

    ours = timed(lambda: _surface(mask, grid), runs=runs)
    theirs = timed(lambda: ct_recipe.bone_surface(mask, spacing_mm=grid.spacing_mm), runs=runs)
    # the plain vertices count from the corner of the padded mask
    plain_mm = theirs.result[0] - np.asarray(grid.spacing_mm)
    own_mm = grid.to_vox(ours.result.vertices_lps_mm) * grid.spacing_mm
    distance_mm, _ = cKDTree(plain_mm).query(own_mm)
    differing = int(np.count_nonzero(distance_mm > 0.05))
    equal = differing <= len(own_mm) / 50 and bool(np.max(distance_mm) < max(grid.spacing_mm))
    against = "scikit-image + PyVista"
    return [Row.of("surface + Taubin", against, ours, theirs, target=2, differing=differing, equal=equal)]


def bench_network(count: int) -> list[Row]:
    """DenseNet121 on crops: OpenVINO as osteon runs it, against torch eager at its best batch size (4)."""
    import torch

    from osteon.nets import build_network
    from osteon.predict.predictor import Predictor, grey_crops

    torch.manual_seed(0)
    network = build_network("densenet121").eval()
    crops = np.random.default_rng(0).random((count, 256, 256), dtype=np.float32)

    def eager() -> NDArray[np.float32]:
        with torch.inference_mode():
            batches = [network(torch.from_numpy(crops[i : i + 4, None])) for i in range(0, count, 4)]
            return np.asarray(torch.softmax(torch.cat(batches), dim=1)[:, 1].numpy(), dtype=np.float32)

    theirs = timed(eager)
    rows = []
    for precision, tolerance, target in (("float32", 1e-4, 2.0), ("bfloat16", 0.005, None)):
        classifier = Predictor.from_networks(
            network, name="densenet121", inputs=grey_crops(256), runtime="openvino", precision=precision
        )
        classifier.scores(crops[:8])
        ours = timed(lambda one=classifier: one.scores(crops).positive)  # type: ignore[misc]
        differing = int(np.count_nonzero(np.abs(ours.result - theirs.result) > tolerance))
        name = f"{count} crops, DenseNet121, {precision}"
        rows.append(Row.of(name, "torch eager float32, batch 4", ours, theirs, target=target, differing=differing))
    return rows


def bench_whole(folder: Path, runs: int) -> list[Row]:
    """The whole job without the network; time in this process, memory in a fresh one for each side."""
    ours = timed(lambda: osteon_job(folder), runs=runs)
    rows = []
    own_peak = _peak_of("osteon", folder)
    for side, against, target in (
        ("plain", "the plain recipe", 25.0),
        ("plain+cv2", "the plain recipe, cv2 opening", 5.0),
    ):
        theirs = timed(lambda one=side: SIDES[one](folder))  # type: ignore[misc]
        rows.append(
            Row.of(
                "whole job without the network",
                against,
                Timed(ours.result, ours.seconds, own_peak),
                Timed(theirs.result, theirs.seconds, _peak_of(side, folder)),
                target=target,
            )
        )
    return rows


def _peak_of(side: str, folder: Path) -> float:
    """Largest memory of a fresh process that does one side's job, in MiB."""
    command = [sys.executable, "-m", "bench.ct_pipeline", "--side", side, "--folder", str(folder)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def _run_side(side: str, folder: Path) -> None:
    SIDES[side](folder)
    print(own_peak_mb())


def run(*, quick: bool, network: bool) -> list[Row]:
    """Every row of the bench, printed as it is measured."""
    runs = 1 if quick else 3
    rows: list[Row] = []

    def add(more: list[Row]) -> None:
        print_rows(more)
        rows.extend(more)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "series"
        make_series(phantom_legs(QUICK if quick else FULL), folder)
        start = time.perf_counter()
        osteon_job(folder)
        print(f"first run, compiled code loaded or made: {time.perf_counter() - start:.1f} s (not counted below)")
        print_head()
        volume, reading = bench_reading(folder, runs)
        add(reading)
        boxes, legs = bench_legs(volume, runs)
        add(legs)
        mask, grid, bone = bench_bone(volume, boxes, runs)
        add(bone)
        add(bench_surface(mask, grid, runs))
        add(bench_whole(folder, runs))
    if network:
        add(bench_network(8 if quick else 600))
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; returns 1 when a target was missed, but never with --quick, whose sizes mean nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--quick", action="store_true", help="a small series, to see that the bench runs")
    parser.add_argument("--no-network", action="store_true", help="leave out DenseNet121, two minutes of it torch's")
    parser.add_argument("--side", choices=sorted(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.side:
        _run_side(options.side, options.folder)
        return 0
    rows = run(quick=options.quick, network=not options.no_network)
    if options.json:
        write_rows(rows, options.json)
    return 0 if options.quick or all(row.reached and row.equal is not False for row in rows if row.target_ratio) else 1


if __name__ == "__main__":
    sys.exit(main())
