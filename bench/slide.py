"""Histology slides: osteon's way to classify tiles against plain torch; reading beside inference; memory of a slide.

Run ``python -m bench.slide [--only tiles|overlap|memory] [--quick] [--threads N] [--json FILE]`` on a machine that does
nothing else. Both sides take turns in one process with the same number of threads, so that a busy minute meets both;
memory is that of a fresh process.

* tiles: MobileNetV2 on tiles of 224 x 224 against eager torch at its best batch size and memory layout; in float32 (at
  least 2x, probabilities equal within 0.001) and in bfloat16 where the CPU has it (at least 3.5x, classes equal).
* overlap: tiles a second of a pyramidal TIFF (JPEG, 20 x 20 mm) read, flagged and classified, against the same tiles
  classified from memory; at least 0.85 of it.
* memory: a synthetic slide of 40,000 x 40,000 pixels, drawn where it is read, to the whole answer; below 2 GiB.
  ``--slide FILE`` measures a slide of yours instead.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.measuring import Row, Timed, own_peak_mb, print_head, print_rows, write_rows
from bench.segmenter import in_turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import nn

    from osteon.data.slide import Slide, TilePlan
    from osteon.predict.predictor import Predictor

PARTS = ("tiles", "overlap", "memory")
SHIPPED = "mobilenet_v2_tiles.demo"
SIDE, QUICK_SIDE = 40_000, 6_000
TILES, QUICK_TILES = 256, 16
BATCHES = (1, 2, 4, 8, 16, 32, 64)
TARGETS = {"float32": 2.0, "bfloat16": 3.5}
MOST_DIFFERENT = 1e-3
LEAST_OVERLAP = 0.85
MOST_MB = 2 * 1024
MICRONS = 2.0  # of the written pyramid's first level: its second, 4 um, is what tiles are read from


def texture(rows: int) -> NDArray[np.uint8]:
    """(rows, rows, 3): a drawn piece of tissue at 2 um, mirrored until it fills the slide."""
    from osteon_phantoms.slides.slide import make_slide
    from osteon_phantoms.slides.spec import SlideSpec

    drawn = min(rows, 1_024)
    size = 4 * drawn
    slide = make_slide(SlideSpec(seed=3, size=(size, size), tissue_share=0.9, tumour_share=0.7))
    piece = slide.read(2, 0, 0, drawn, drawn)
    return np.pad(piece, ((0, rows - drawn), (0, rows - drawn), (0, 0)), mode="symmetric")


def plan_of(slide: Slide) -> TilePlan:
    """Cells of a slide, as ``osteon read`` plans them."""
    from osteon.ops.tile_plan import plan_tiles, slide_size_um, slide_thumbnail
    from osteon.ops.tissue import tissue_mask

    picture, um = slide_thumbnail(slide)
    return plan_tiles(slide_size_um(slide), tissue_mask(picture, um_per_pixel=sum(um) / 2), um)


def tiles_of(pixels: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """(count, 224, 224, 3): tiles of 1,024 um, taken at random places of a texture."""
    import cv2

    width = round(1024 / MICRONS)
    rng = np.random.default_rng(1)
    corners = rng.integers(0, len(pixels) - width + 1, size=(count, 2))
    cut = [pixels[row : row + width, column : column + width] for row, column in corners]
    return np.stack([cv2.resize(one, (224, 224), interpolation=cv2.INTER_AREA) for one in cut])


def plain_probabilities(network: nn.Module, tiles: NDArray[np.uint8], batch: int, layout: str) -> NDArray[np.float32]:
    """What a person would write: batches through eager torch, softmax."""
    import torch

    form = torch.channels_last if layout == "channels last" else torch.contiguous_format
    network = network.to(memory_format=form)  # type: ignore[call-overload]  # torch's stub knows dtypes only
    found = []
    with torch.inference_mode():
        for start in range(0, len(tiles), batch):
            images = torch.from_numpy(tiles[start : start + batch]).permute(0, 3, 1, 2).float() / 255
            found.append(torch.softmax(network(images.contiguous(memory_format=form)), dim=1).numpy())
    return np.concatenate(found)


def bench_tiles(network: nn.Module, tiles: NDArray[np.uint8], *, rounds: int, threads: int) -> list[Row]:
    """The same tiles through the same network, in both precisions."""
    from osteon.data import TILE_CLASSES
    from osteon.errors import BackendError
    from osteon.predict.predictor import Predictor
    from osteon.systems.histology.detail import Tiles, tile_input
    from osteon.weights import Classes

    some = tiles[: max(BATCHES)]
    ways = [(batch, layout) for batch in BATCHES for layout in ("channels first", "channels last")]
    plain_probabilities(network, some[:1], 1, "channels first")
    alone = in_turns({f"{way}": partial(plain_probabilities, network, some, *way) for way in ways}, rounds=rounds)
    batch, layout = min(ways, key=lambda way: alone[f"{way}"].seconds)
    works: dict[str, Callable[[], Any]] = {"eager": partial(plain_probabilities, network, tiles, batch, layout)}
    for precision in TARGETS:
        try:
            classifier = Predictor.from_networks(
                network,
                name=SHIPPED,
                inputs={"image": tile_input(Tiles(1024.0, pixels=tiles.shape[1]))},
                output=Classes(TILE_CLASSES),
                runtime="openvino",
                precision=precision,
                threads=threads,
            )
            classifier.scores(tiles[:2])
        except BackendError as error:
            print(f"left out: {error}")
            continue
        works[precision] = partial(_probability, classifier, tiles)
    taken = in_turns(works, rounds=rounds)
    theirs = taken.pop("eager")
    rows = []
    for precision, ours in taken.items():
        furthest = float(np.abs(ours.result - theirs.result).max())
        differing = int(np.count_nonzero(ours.result.argmax(axis=1) != theirs.result.argmax(axis=1)))
        shares = np.bincount(theirs.result.argmax(axis=1), minlength=3)
        print(f"{precision}: probabilities differ by at most {furthest:.5f}; tiles of each class {shares}")
        is_equal = differing == 0 and (precision != "float32" or furthest <= MOST_DIFFERENT)
        step, against = f"{len(tiles)} tiles 224 px, {precision}", f"torch eager, batch {batch}, {layout}"
        target = TARGETS[precision]
        rows.append(Row.of(step, against, ours, theirs, target=target, differing=differing, equal=is_equal))
    return rows


def _probability(classifier: Predictor, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    return classifier.scores(tiles).probability


def bench_overlap(classifier: Predictor, pixels: NDArray[np.uint8], *, rounds: int) -> list[Row]:
    """A slide on the disk, in the page cache, against its tiles in memory."""
    from osteon.io.slide import open_slide
    from osteon.io.slide.pyramid import write_pyramid
    from osteon.ops.tissue import tile_flags
    from osteon.predict.engines.openvino import usable_cores
    from osteon.systems.histology.read import read_tiles

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "slide.tif"
        write_pyramid(path, pixels, microns_per_pixel=MICRONS)
        slide = open_slide(path)
        try:
            plan = plan_of(slide)
            read = partial(read_tiles, slide, plan, evaluate=tile_flags, threads=usable_cores())
            held = [block.tiles for block in read()]
            count = sum(len(block) for block in held)

            def from_memory() -> NDArray[np.float32]:
                return np.concatenate([scores["probability"] for scores in classifier.run(held)])

            def from_slide() -> NDArray[np.float32]:
                blocks = (block.tiles for block in read())
                return np.concatenate([scores["probability"] for scores in classifier.run(blocks)])

            from_memory()
            reading = in_turns({"read": lambda: sum(len(block.tiles) for block in read())}, rounds=1)["read"]
            taken = in_turns({"slide": from_slide, "memory": from_memory}, rounds=rounds)
        finally:
            slide.close()
    ours, theirs = taken["slide"], taken["memory"]
    print(
        f"{count} tiles: {count / ours.seconds:.0f} a second of the slide, {count / theirs.seconds:.0f} from memory; ",
        end="",
    )
    print(f"reading and flagging alone {count / reading.seconds:.0f}")
    differing = int(np.count_nonzero(ours.result != theirs.result))
    step, against = f"{count} tiles read and classified", f"classified alone, {classifier.runtime}"
    return [Row.of(step, against, ours, theirs, target=LEAST_OVERLAP, differing=differing)]


def bench_memory(side: int, path: Path | None) -> list[Row]:
    """Largest memory of a process that answers a slide, from its first import on."""
    command = [sys.executable, "-m", "bench.slide", "--side", str(side)]
    command += [] if path is None else ["--slide", str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{found['tiles']} tiles; " + ", ".join(f"{name} {value:.1f} s" for name, value in found["steps"].items()))
    name = f"slide {side} x {side}, drawn as read" if path is None else path.name
    ours, limit = Timed(None, found["seconds"], found["peak_mb"]), Timed(None, 0.0, float(MOST_MB))
    row = Row.of(name, f"memory: {MOST_MB} MiB", ours, limit)
    # a row of memory: the ratio is that of megabytes, not of seconds
    return [
        Row(
            step=row.step,
            against=row.against,
            seconds=row.seconds,
            ratio=MOST_MB / row.peak_mb,
            peak_mb=row.peak_mb,
            target_ratio=1.0,
            equal=None,
            against_seconds=0.0,
            against_peak_mb=MOST_MB,
        )
    ]


def _answer(side: int, path: Path | None) -> None:
    """Answer a slide and print what it took; the work of the fresh process."""
    start = time.perf_counter()
    from osteon.io.slide import open_slide
    from osteon.systems.histology.detail import SlideReading
    from osteon.systems.histology.options import Options
    from osteon.systems.histology.read import answer as read_slide
    from osteon_phantoms.slides.slide import make_slide
    from osteon_phantoms.slides.spec import SlideSpec

    slide = make_slide(SlideSpec(seed=2, size=(side, side))) if path is None else open_slide(path)
    answer = read_slide(slide, Options(device="cpu", report_ood=True))
    slide.close()
    seconds = time.perf_counter() - start
    tiles = int(answer.detail_as(SlideReading).map.plan.is_tissue.sum())
    print(json.dumps({"seconds": seconds, "peak_mb": own_peak_mb(), "tiles": tiles, "steps": dict(answer.seconds)}))


def run(options: argparse.Namespace) -> list[Row]:
    """The rows that were asked for, printed as they are measured."""
    import torch

    from osteon.predict.predictor import Predictor
    from osteon.weights import find_card, load_networks

    if options.threads:
        torch.set_num_threads(options.threads)
    threads = options.threads or torch.get_num_threads()
    parts = [options.only] if options.only else list(PARTS)
    rounds = 1 if options.quick else options.rounds
    side = QUICK_SIDE if options.quick else SIDE
    rows: list[Row] = []

    def add(more: list[Row]) -> None:
        print_rows(more)
        rows.extend(more)

    print(f"{threads} threads, {rounds} rounds, model {options.model}", flush=True)
    card = find_card(options.model)
    pixels = texture(side // 4) if set(parts) & {"tiles", "overlap"} else np.empty((0, 0, 3), np.uint8)
    print_head()
    if "tiles" in parts:
        tiles = tiles_of(pixels, QUICK_TILES if options.quick else TILES)
        add(bench_tiles(load_networks(card)[0], tiles, rounds=rounds, threads=threads))
    if "overlap" in parts:
        for precision in TARGETS if options.both else ("auto",):
            classifier = Predictor.load(card, device="cpu", precision=precision, threads=threads)
            add(bench_overlap(classifier, pixels, rounds=rounds))
    if "memory" in parts:
        add(bench_memory(side, options.slide))
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; returns 1 when a target was missed, but never with --quick, whose sizes mean nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that the bench runs")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is taken")
    parser.add_argument("--threads", type=int, default=0, help="of torch and OpenVINO; 0: as torch chooses")
    parser.add_argument("--model", default=SHIPPED, help="a card of tiles")
    parser.add_argument("--both", action="store_true", help="overlap in float32 and bfloat16, not as the card allows")
    parser.add_argument("--slide", type=Path, help="measure the memory of this slide")
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.side:
        _answer(options.side, options.slide)
        return 0
    rows = run(options)
    if options.json:
        write_rows(rows, options.json)
    return 0 if options.quick or all(row.reached and row.equal is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
