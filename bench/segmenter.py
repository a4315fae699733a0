"""Segmentation of bone metastases: osteon's way to run Hybrid-AttUNet++ against plain torch; a whole series; training.

Run ``python -m bench.segmenter [--only networks|series|training|limb] [--quick] [--threads N] [--json FILE]`` on a
machine that does nothing else. Both sides take turns in one process with the same number of threads, so that a busy
minute meets both; the memory of the whole series is that of a fresh process for each side.

* networks: eight slices of a phantom at 224 x 224 and 512 x 512 through the full Hybrid-AttUNet++, trained for a
  moment, against eager torch at its best batch size. Equal when the Dice of both masks is at least 0.999.
* series: DICOM folder of 512 x 512 x 600 to lesions, bone and surfaces (``ct_metastasis``), against the plain loop.
* training: a step of Hybrid-AttUNet++ (two decoders) against one of AttUNet++ (one); the ratio must be at least
  1 / 1.6. A step of small networks at 96 x 96 in the layout of the engine against one with the channels first.
* limb: forty slices at 192 x 192 with their neighbours through the shipped model of limbs, against its networks in
  eager torch, slice by slice.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.measuring import Row, Timed, own_peak_mb, print_head, print_rows, timed, write_rows
from bench.segmenter_recipe import grey_slices, plain_loop, plain_maps, series_phantom, slice_inputs, trained, written

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from torch import nn

    from osteon.predict.predictor import Predictor

PARTS = ("networks", "series", "training", "limb")
ARCHITECTURE, SHIPPED = "hybrid_attunetpp", "hybrid_attunetpp_small.phantom"
SIZES, QUICK_SIZES = (224, 512), (64,)
FULL, QUICK = (600, 512, 512), (24, 128, 128)
BATCH, BATCHES = 8, (1, 2, 4, 8)
TARGETS = {"float32": 1.8, "bfloat16": 2.5}
LEAST_DICE = 0.999
MOST_MB = 3 * 1024
SIDES = ("osteon", "plain")
LIMB, LIMB_SLICES, LIMB_SIZE = "efficientnet_lite0_unet16.limb", 40, 192
SMALL, SMALL_SIZE = ("unet_small", "efficientnet_lite0_unet"), 96


def in_turns(works: Mapping[str, Callable[[], Any]], *, rounds: int) -> dict[str, Timed[Any]]:
    """Every work once a round, so that a busy minute of the machine meets all; medians."""
    each: dict[str, list[Timed[Any]]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            each[name].append(timed(work))
    return {
        name: Timed(
            taken[-1].result, statistics.median(one.seconds for one in taken), max(one.peak_mb for one in taken)
        )
        for name, taken in each.items()
    }


def bench_networks(network: nn.Module, size: int, *, rounds: int, threads: int) -> list[Row]:
    """Eight slices of one size, in both precisions."""
    from osteon.errors import BackendError
    from osteon.predict.predictor import Predictor
    from osteon.weights import mask_difference

    images, _ = grey_slices(BATCH, size)
    plain_maps(network, images[:1], 1)
    alone = in_turns({str(batch): partial(plain_maps, network, images, batch) for batch in BATCHES}, rounds=1)
    best = min(alone, key=lambda batch: alone[batch].seconds)
    works: dict[str, Callable[[], Any]] = {"eager": partial(plain_maps, network, images, int(best))}
    for precision in TARGETS:
        try:
            segmenter = Predictor.from_networks(
                network,
                name=ARCHITECTURE,
                inputs=slice_inputs(),
                runtime="openvino",
                precision=precision,
                threads=threads,
            )
            segmenter.maps(images[:1])
        except BackendError as error:
            print(f"left out: {error}")
            continue
        works[precision] = partial(_stacked, segmenter, images)
    taken = in_turns(works, rounds=rounds)
    theirs = taken.pop("eager")
    rows = []
    for precision, ours in taken.items():
        dice = 1 - mask_difference(ours.result, theirs.result, thresholds=[0.5, 0.5])
        sizes = " + ".join(str(int((theirs.result[:, index] >= 0.5).sum())) for index in range(2))
        print(f"{size} px, {precision}: Dice {dice:.5f} of masks with {sizes} pixels of lesion and bone")
        step = f"{BATCH} slices {size} px, {precision}"
        against = f"torch eager float32, batch {best}"
        target = TARGETS[precision]
        rows.append(Row.of(step, against, ours, theirs, target=target, equal=dice >= LEAST_DICE))
    return rows


def _stacked(segmenter: Predictor, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.stack(list(segmenter.maps(images).values()), axis=1)


def bench_limb(*, slices: int, size: int, rounds: int, threads: int) -> list[Row]:
    """A series through the shipped model of limbs, which is the mean of its networks."""
    import torch

    from osteon.ops.series_images import with_neighbours
    from osteon.predict.predictor import Predictor
    from osteon.weights import find_card, load_networks, mask_difference

    card = find_card(LIMB)
    images = with_neighbours(grey_slices(slices, size)[0], card.image.neighbours)
    segmenter = Predictor.load(card, device="cpu", precision="float32", threads=threads)
    networks = [network.eval() for network in load_networks(card)]

    def eager() -> NDArray[np.float32]:
        with torch.inference_mode():
            each = [torch.from_numpy(image[None].astype(np.float32) / 255) for image in images]
            maps = [torch.stack([network(one).sigmoid() for network in networks]).mean(dim=0) for one in each]
        return torch.cat(maps).numpy()

    segmenter.maps(images[:1])
    taken = in_turns({"osteon": partial(_stacked, segmenter, images), "eager": eager}, rounds=rounds)
    ours, theirs = taken["osteon"], taken["eager"]
    dice = 1 - mask_difference(ours.result, theirs.result, thresholds=[0.5])
    print(f"limb: Dice {dice:.5f} of masks with {int((theirs.result >= 0.5).sum())} pixels")
    step = f"{slices} slices {size} px, {len(networks)} networks of limbs"
    return [Row.of(step, "torch eager, slice by slice", ours, theirs, target=2.0, equal=dice >= LEAST_DICE)]


def bench_training(*, size: int, batch: int, rounds: int) -> list[Row]:
    """One step of each network as the engine takes it: forward, the loss of its maps, backward, Adam."""
    from osteon.train.engine import keep_freed_memory

    keep_freed_memory()
    works = {name: training_step(name, size=size, batch=batch) for name in (ARCHITECTURE, "attunetpp")}
    for work in works.values():
        work()
    taken = in_turns(works, rounds=rounds)
    ours, theirs = taken[ARCHITECTURE], taken["attunetpp"]
    step = f"step of {batch}, {size} px, two decoders"
    rows = [Row.of(step, "step of attunetpp, one decoder", ours, theirs, target=round(1 / 1.6, 3))]
    small = min(size, SMALL_SIZE)
    for name in SMALL:
        laid = {each: training_step(name, size=small, batch=batch, layout=each) for each in ("engine", "first")}
        for work in laid.values():
            work()
        taken = in_turns(laid, rounds=max(rounds, 5))
        step = f"step of {batch}, {small} px, {name}"
        rows.append(Row.of(step, "channels first in memory", taken["engine"], taken["first"], target=1.15))
    return rows


def training_step(name: str, *, size: int, batch: int, layout: str = "engine") -> Callable[[], None]:
    """A step that can be repeated, with images as the engine lays them ("engine") or with the channels first."""
    import torch

    from osteon.nets import build_network
    from osteon.nets.segmenter_description import SEGMENTERS
    from osteon.systems.ct_metastasis.recipe import SEGMENTER
    from osteon.train.images import in_channels
    from osteon.train.losses import map_loss, map_weights

    torch.manual_seed(1)
    network = build_network(name).train()
    outputs: tuple[str, ...] = SEGMENTERS[name].outputs
    settings = SEGMENTER.settings({"architecture": name})
    weights = map_weights(settings, outputs)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    drawn = torch.rand(batch, 1, size, size)
    images = in_channels(drawn, 3) if layout == "engine" else drawn.expand(-1, 3, -1, -1)
    masks = (torch.rand(batch, len(outputs), size, size) > 0.9).float()

    def work() -> None:
        optimiser.zero_grad()
        map_loss(network(images), masks, settings, weights).backward()
        optimiser.step()

    return work


def osteon_series(folder: Path, model: str, threads: int) -> Mapping[str, float]:
    """DICOM folder to the answer of ``ct_metastasis``; gives the seconds of its steps.

    Without the classifier of whole slices, which the plain loop has not either. Surfaces and measurements are made all
    the same.
    """
    from osteon.io import open_volume
    from osteon.predict.predictor import Predictor
    from osteon.systems.ct_metastasis.options import Options
    from osteon.systems.ct_metastasis.read import answer
    from osteon.systems.ct_metastasis.text import LesionReading
    from osteon.weights import find_card

    del threads  # osteon takes the cores that it may use
    start = time.perf_counter()
    volume = open_volume(folder, modality="CT")
    read = time.perf_counter() - start
    segmenter = Predictor.load(find_card(model), device="cpu")
    loaded = time.perf_counter() - start - read
    found = answer(volume, Options(device="cpu"), segmenter=segmenter)
    lesions = len(found.detail_as(LesionReading).lesions)
    return {"read DICOM": read, "load model": loaded, **found.seconds, "lesions": float(lesions)}


def plain_series(folder: Path, model: str, threads: int) -> Mapping[str, float]:
    """The same by the plain loop with the same weights."""
    import torch

    from osteon.weights import find_card, load_networks

    if threads:
        torch.set_num_threads(threads)
    found = plain_loop(folder, list(load_networks(find_card(model))))
    return {"lesions": float(found.count)}


def bench_series(shape: tuple[int, int, int], *, model: str, steps: int, threads: int) -> list[Row]:
    """The whole series, each side in a fresh process: time from the first import on, and largest memory."""
    from bench.ct_series import make_series
    from osteon.nets import network_names

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "series"
        make_series(series_phantom(shape), folder)
        if model in network_names(task="segmentation"):
            model = str(written(Path(scratch), model, steps=steps))
        print(f"model: {Path(model).name}")
        warm = _fresh("osteon", folder, model, threads)  # compiles what is compiled once on a machine
        print(f"first run, compiled code and network made: {warm['seconds']:.1f} s (not counted below)")
        ours, theirs = (_fresh(side, folder, model, threads) for side in SIDES)
    for side, one in zip(SIDES, (ours, theirs), strict=True):
        parts = ", ".join(f"{name} {value:.1f}" for name, value in one["steps"].items())
        print(f"{side}: {one['seconds']:.1f} s; {parts}")
    row = Row.of(
        f"series {shape[1]} x {shape[2]} x {shape[0]}",
        "plain slice loop, eager",
        Timed(None, ours["seconds"], ours["peak_mb"]),
        Timed(None, theirs["seconds"], theirs["peak_mb"]),
        target=3.0,
    )
    memory = replace(row, step="its memory", against=f"{MOST_MB} MiB", ratio=MOST_MB / row.peak_mb, target_ratio=1.0)
    return [row, memory]


def _fresh(side: str, folder: Path, model: str, threads: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.segmenter", "--side", side, "--folder", str(folder), "--model", model]
    command += ["--threads", str(threads)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _run_side(side: str, folder: Path, model: str, threads: int) -> None:
    start = time.perf_counter()
    steps = {"osteon": osteon_series, "plain": plain_series}[side](folder, model, threads)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak_mb": own_peak_mb(), "steps": steps}))


def run(options: argparse.Namespace) -> list[Row]:
    """The rows that were asked for, printed as they are measured."""
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    threads = options.threads or torch.get_num_threads()
    parts = [options.only] if options.only else list(PARTS)
    rounds = 1 if options.quick else options.rounds
    steps = 15 if options.quick else options.steps
    rows: list[Row] = []

    def add(more: list[Row]) -> None:
        print_rows(more)
        rows.extend(more)

    print(f"{threads} threads, {rounds} rounds", flush=True)
    print_head()
    if "networks" in parts:
        network = trained(ARCHITECTURE, steps=steps)
        sizes = (options.size,) if options.size else SIZES
        for size in QUICK_SIZES if options.quick else sizes:
            add(bench_networks(network, size, rounds=rounds, threads=threads))
    if "series" in parts:
        add(bench_series(QUICK if options.quick else FULL, model=options.model, steps=steps, threads=options.threads))
    if "training" in parts:
        size, batch = (32, 2) if options.quick else (options.training_size, BATCH)
        add(bench_training(size=size, batch=batch, rounds=rounds))
    if "limb" in parts:
        slices, size = (3, 64) if options.quick else (LIMB_SLICES, LIMB_SIZE)
        add(bench_limb(slices=slices, size=size, rounds=rounds, threads=threads))
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; returns 1 when a target was missed, but never with --quick, whose sizes mean nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that the bench runs")
    parser.add_argument("--size", type=int, choices=SIZES, help="of the networks' slices: one of the two sizes")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is taken")
    parser.add_argument("--threads", type=int, default=0, help="of torch and OpenVINO; 0: as torch chooses")
    parser.add_argument("--steps", type=int, default=150, help="of training before the masks are compared")
    parser.add_argument("--training-size", type=int, default=224, help="rows and columns of a training step")
    parser.add_argument(
        "--model", default=SHIPPED, help="of the series: a card, or an architecture to train for a moment"
    )
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.side:
        _run_side(options.side, options.folder, options.model, options.threads)
        return 0
    rows = run(options)
    if options.json:
        write_rows(rows, options.json)
    return 0 if options.quick or all(row.reached and row.equal is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
