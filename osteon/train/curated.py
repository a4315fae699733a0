"""Vectors of all images of a data set, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.data.options import Progress, silent
from osteon.errors import OutputError
from osteon.io.whole_file import whole_file
from osteon.predict.embedder import load_embedder
from osteon.train.pixels import load_pixels, pixels_key
from osteon.weights.backbone import describe_backbone

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Manifest
    from osteon.predict.predictor import Predictor
    from osteon.train.pixels import Pixels
    from osteon.weights.backbone import Backbone

__all__ = ["EMBEDDED_SIZE", "dataset_vectors"]

EMBEDDED_SIZE = 224
"""Rows and columns of an image as it is embedded."""

_BLOCK = 1024  # images that an interrupted call loses at most
_AT_ONCE = 64


def dataset_vectors(
    manifest: Manifest, cache: Path, *, progress: Progress = silent, backbone: str = "mobilenet_v2.imagenet"
) -> NDArray[np.float32]:
    """Vectors of all images by a network with ImageNet weights, made once and kept in the cache.

    The key of the kept file holds names, lengths and times of the images and the hash of the weights: a changed image
    or other weights make the vectors again. Labels mean nothing here. An interrupted call goes on where it stopped.

    Args:
        manifest: its images are in ``manifest.folder``.
        cache: folder for the decoded images and the vectors; made when it is not there.
        progress: called at every block of images.
        backbone: one of ``osteon.weights.backbone.backbone_names()``.

    Returns:
        (images, 1280), read-only, mapped from the file. The row of an image that cannot be read is all 0: see
        ``osteon.curation.conflicts.has_direction``.

    Raises:
        InputError: no image can be read.
        OutputError: the cache cannot be written.
        UnknownLabelError: no such backbone.
        BackendError: what runs the network, or the package of its weights, is not installed.
    """
    known = describe_backbone(backbone)
    file = cache / f"vectors-{pixels_key(manifest, EMBEDDED_SIZE)}-{known.sha256[:16]}.npy"
    if not file.exists():
        pixels = load_pixels(manifest, size=EMBEDDED_SIZE, cache=cache, skip_unreadable=True, progress=progress)
        _embed_all(file, pixels, known, progress)
    return np.asarray(_kept(file))


def _embed_all(file: Path, pixels: Pixels, backbone: Backbone, progress: Progress) -> None:
    """Blocks are files of their own until all are there; two processes at it write the same."""
    total, dimensions = len(pixels.values), backbone.size
    starts = range(0, total, _BLOCK)
    parts = {start: file.with_name(f"{file.stem}.{start}.part.npy") for start in starts}
    embedder: Predictor | None = None
    progress("embedding images", 0, total)
    for start, part in parts.items():
        rows = np.arange(start, min(start + _BLOCK, total))
        if not part.exists():
            embedder = embedder or load_embedder(backbone.name)
            readable = pixels.usable(rows)
            block = np.zeros((len(rows), dimensions), dtype=np.float32)
            crops = (pixels.crops(readable[at : at + _AT_ONCE]) for at in range(0, len(readable), _AT_ONCE))
            block[readable - start] = embedder.embed(crops, progress=_from(start, total, progress))
            with whole_file(part) as work, work.open("wb") as stream:
                np.save(stream, block)
        progress("embedding images", int(rows[-1]) + 1, total)
    with whole_file(file) as work:
        vectors = np.lib.format.open_memmap(work, mode="w+", dtype=np.float32, shape=(total, dimensions))
        for start, part in parts.items():
            block = _kept(part)
            vectors[start : start + len(block)] = block
        vectors.flush()
        del vectors
    for part in parts.values():
        part.unlink(missing_ok=True)


def _from(start: int, total: int, progress: Progress) -> Progress:
    """Count what is done of a block after what was done before it."""
    return lambda step, done, _: progress(step, start + done, total)


def _kept(file: Path) -> NDArray[np.float32]:
    try:
        kept: NDArray[np.float32] = np.load(file, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise OutputError(f"the kept vectors {file.name} cannot be read back: delete that file, start again") from error
    return kept
