"""Images a second of the training loader against images a second of the training step.

Run ``python -m bench.loader [--images N] [--threads N] [--workers N] [--json FILE]`` on a machine that does nothing
else; some minutes. Images are 16-bit PNG of 256 x 256, read once into the mapped cache as ``osteon train`` does;
what is timed is an epoch of its loader, with the paper's augmentation (CA) and without (C), and the same number of
images through forward, backward and Adam. The ratio must be at least 1.5: the network must not wait for its images.

One thread each is the hardest fair case: more threads make the step faster and not the loader, which then wants
``--workers`` (``osteon train --set workers=N``), as the step on a GPU does.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.measuring import Row, Timed, print_head, print_rows, timed, write_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from osteon.data import Manifest
    from osteon.train.pixels import Pixels

TARGET_RATIO = 1.5
SIZES, CONFIGURATIONS, NETWORKS = (128, 256), ("C", "CA"), ("mobilenet_v2", "densenet_small")
IMAGES, BATCH, ROUNDS = 256, 16, 3
_PICTURE = 256


def make_images(folder: Path, count: int) -> Manifest:
    """A data set of noisy 16-bit PNG, which the decoder cannot cheat on."""
    from skimage.io import imsave

    from osteon.data import ImageRow, Manifest

    random = np.random.default_rng(1)
    rows = []
    for number in range(count):
        name = f"{number:05}.png"
        picture = random.normal(20_000, 4_000, (_PICTURE, _PICTURE)).clip(0, 65_535).astype(np.uint16)
        imsave(folder / name, picture, check_contrast=False)
        rows.append(ImageRow(image=name, patient=f"P{number % 50}", label="tumour" if number % 2 else "healthy"))
    return Manifest(folder, tuple(rows))


def epoch_of_loader(pixels: Pixels, configuration: str, *, workers: int) -> Callable[[], int]:
    """One epoch of the loader that ``osteon train`` builds; gives the number of images. Every call is another epoch."""
    from osteon.train.augmentation import PaperAugmentation
    from osteon.train.images import EpochOrder, ImageSet, image_loader

    count = len(pixels.values)
    labels = (np.arange(count) % 2).astype(np.int64)
    augment = PaperAugmentation(size=pixels.size, seed=1) if "A" in configuration else None
    order = EpochOrder(np.arange(count), labels, seed=1)
    loader = image_loader(ImageSet(pixels, labels, augment=augment), order, batch=BATCH, workers=workers)

    def work() -> int:
        order.set_epoch(order.epoch + 1)
        return sum(len(images) for images, _, _ in loader)

    work()  # workers start, files are mapped
    return work


def epoch_of_steps(network: str, size: int, count: int) -> Callable[[], int]:
    """As many images through forward, backward and Adam; gives their number."""
    import torch

    from osteon.nets import build_network
    from osteon.weights.backbone import pretrained_network

    torch.manual_seed(1)
    # weights as osteon train begins with them by default
    model = pretrained_network(network) if network == "mobilenet_v2" else build_network(network)
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-5)
    images, labels = torch.rand(BATCH, 1, size, size), torch.arange(BATCH) % 2

    def work() -> int:
        done = 0
        while done < count:
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimiser.step()
            done += BATCH
        return done

    work()
    return work


def run(*, images: int, threads: int, workers: int) -> list[Row]:
    """All lines of the table: seconds are those of ``images`` images."""
    import torch

    from osteon.train.pixels import load_pixels

    if threads:
        torch.set_num_threads(threads)
    print(f"{images} images in batches of {BATCH}, {torch.get_num_threads()} threads, {workers} workers", flush=True)
    print_head()
    table = []
    with tempfile.TemporaryDirectory() as temporary:
        manifest = make_images(Path(temporary), images)
        for size in SIZES:
            pixels = load_pixels(manifest, size=size, cache=Path(temporary) / "cache")
            epochs = {name: epoch_of_loader(pixels, name, workers=workers) for name in CONFIGURATIONS}
            for network in NETWORKS:
                table += _compared(network, size, epochs, images)
                print_rows(table[-len(epochs) :])
    return table


def _compared(network: str, size: int, epochs: dict[str, Callable[[], int]], images: int) -> list[Row]:
    """A line for each configuration. Sides take turns, so that a busy minute of the machine meets both."""
    steps = epoch_of_steps(network, size, images)
    rounds = [(timed(steps), {name: timed(work) for name, work in epochs.items()}) for _ in range(ROUNDS)]
    rows = []
    for name in epochs:
        loader, step = _middle([by_name[name] for _, by_name in rounds]), _middle([taken for taken, _ in rounds])
        equal = loader.result == images and step.result >= images
        label = f"loader, {name}, {size} x {size}"
        rows.append(Row.of(label, f"training step, {network}", loader, step, target=TARGET_RATIO, equal=equal))
    return rows


def _middle(taken: list[Timed[int]]) -> Timed[int]:
    """The median of several rounds by its seconds."""
    return sorted(taken, key=lambda one: one.seconds)[len(taken) // 2]


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; returns 1 when images were lost or a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=IMAGES, help="a round; a multiple of 16")
    parser.add_argument("--threads", type=int, default=1, help="of torch; 0 leaves them as they are")
    parser.add_argument("--workers", type=int, default=0, help="loader processes")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args(arguments)
    rows = run(images=options.images, threads=options.threads, workers=options.workers)
    if options.json:
        write_rows(rows, options.json)
    return 0 if all(row.equal and row.reached for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
