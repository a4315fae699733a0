"""What curation means for training: vectors of all images, and the images that the paper's rule drops from a fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.curation.conflicts import find_conflicts, resolve_conflicts
from osteon.errors import InputError, OutputError
from osteon.inference.options import Progress, silent
from osteon.io.whole_file import whole_file
from osteon.training.pixels import load_pixels, pixels_key
from osteon.weights.backbone import read_backbone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Manifest, Split

__all__ = ["EMBEDDED_SIZE", "conflict_drops", "dataset_vectors", "has_direction"]

EMBEDDED_SIZE = 224
"""Rows and columns of an image as it is embedded."""

_BLOCK = 256  # images embedded between two words of progress


def dataset_vectors(manifest: Manifest, cache: Path, *, progress: Progress = silent) -> NDArray[np.float32]:
    """Vectors of all images by the MobileNetV2 that osteon ships, made once and kept in the cache.

    The key of the kept file holds names, lengths and times of the images and the hash of the weights: a changed image
    or other weights make the vectors again. Labels mean nothing here.

    Args:
        manifest: its images lie in ``manifest.folder``.
        cache: folder for the decoded images and the vectors; made when it is not there.
        progress: told about every block of images.

    Returns:
        (images, 1280), read-only, mapped from the file. The row of an image that cannot be read is all 0: see
        ``has_direction``.

    Raises:
        InputError: no image can be read.
        OutputError: the cache cannot be written.
        BackendError: torch or timm is not installed.
    """
    card = read_backbone("mobilenet_v2")
    file = cache / f"vectors-{pixels_key(manifest, EMBEDDED_SIZE)}-{card.weights.sha256[:16]}.npy"
    if not file.exists():
        pixels = load_pixels(manifest, size=EMBEDDED_SIZE, cache=cache, skip_unreadable=True, progress=progress)
        readable = pixels.usable(np.arange(len(manifest)))
        embed = _embedder()
        with whole_file(file) as work:
            shape = (len(manifest), card.feature_dimensions)
            vectors = np.lib.format.open_memmap(work, mode="w+", dtype=np.float32, shape=shape)
            progress("embedding images", 0, len(readable))
            for start in range(0, len(readable), _BLOCK):
                rows = readable[start : start + _BLOCK]
                vectors[rows] = embed(pixels.crops(rows))
                progress("embedding images", start + len(rows), len(readable))
            vectors.flush()
            del vectors
    try:
        kept: NDArray[np.float32] = np.load(file, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise OutputError(
            f"the kept vectors {file.name} cannot be read back: delete the file and start again"
        ) from error
    return kept


def _embedder() -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    import torch

    import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
    from osteon.nets.anatomy import pooled_features
    from osteon.weights.backbone import pretrained_network

    network = pretrained_network("mobilenet_v2", in_channels=1).eval()

    def embed(crops: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            parts = torch.from_numpy(crops)[:, None].split(32)
            return np.asarray(torch.cat([pooled_features(network, part) for part in parts]).numpy())

    return embed


def has_direction(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows can be compared, shape (n,): finite and not all 0, as those of unreadable images are.

    Example:
        >>> has_direction(np.array([[1, 0], [0, 0], [np.nan, 1]], np.float32))
        array([ True, False, False])
    """
    return np.asarray(np.isfinite(vectors).all(axis=1) & (vectors != 0).any(axis=1))


def conflict_drops(
    manifest: Manifest, split: Split, fold: int, vectors: NDArray[np.float32], *, positive: str, threshold: float = 0.95
) -> NDArray[np.int64]:
    """Rows that the paper's rule drops from the training part of a fold.

    Of two training images whose vectors reach the threshold, one positive and one not, the one that is not goes.
    Vectors of validation and test images are never looked at.

    Args:
        manifest: the images.
        split: of the manifest.
        fold: number, from 0.
        vectors: (images, d); rows all 0 or not finite (unreadable images) are left out.
        positive: the label that stays; every other label counts as healthy.
        threshold: least cosine.

    Returns:
        Row indices, ascending.

    Raises:
        InputError: numbers that do not fit, or so many conflicts that the threshold says nothing.
        UnknownLabelError: no image has the label ``positive``.

    References:
        specs/ct-osteosarcoma.md, section 4.
    """
    if len(vectors) != len(manifest):
        raise InputError(f"{len(vectors)} vectors were given for {len(manifest)} images: embed this manifest again")
    rows = split.rows(manifest, fold).train
    known = np.asarray(vectors[rows])
    rows, known = rows[(usable := has_direction(known))], known[usable]
    labels = np.where(manifest.truth(positive)[rows], "positive", "healthy")
    patients, images = manifest.column("patient")[rows], manifest.column("image")[rows]
    found = find_conflicts(known, labels, patients, images, threshold=threshold)
    done = resolve_conflicts(
        found, labels, rule="drop-healthy", healthy="healthy", trainable=np.ones(len(rows), dtype=np.bool_)
    )
    return np.asarray(rows[~done.kept], dtype=np.int64)
