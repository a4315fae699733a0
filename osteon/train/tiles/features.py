"""From a data set of tiles to a table of features: originals and copies go through the frozen base once."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

from osteon.data.options import Progress, silent
from osteon.data.slide import TILE_CLASSES
from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.io.whole_file import whole_file
from osteon.ops.stain import StainNormaliser
from osteon.train.tiles.bases import classifier_with_base, tile_features
from osteon.train.tiles.pictures import draw_copies, load_tiles, seen_tiles
from osteon.train.tiles.protocol import TileTable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Manifest
    from osteon.train.tiles.pictures import Tiles
    from osteon.train.tiles.settings import TileSettings

__all__ = ["normalise_stains", "tile_labels", "tile_table"]

_COPY_STRIDE = 1_000_003
"""Numbers of the draws of one copy and of the next lie this far apart."""


def tile_labels(manifest: Manifest) -> NDArray[np.int64]:
    """(n,) class of each tile, as its index in ``TILE_CLASSES``.

    Raises:
        UnknownLabelError: a label that is none of them.
    """
    wrong = sorted(set(manifest.labels) - set(TILE_CLASSES))
    if wrong:
        raise UnknownLabelError(f"a tile is labelled {wrong[0]!r}: {nearest_names(wrong[0], TILE_CLASSES)}")
    return np.array([TILE_CLASSES.index(row.label) for row in manifest.rows], dtype=np.int64)


def tile_table(
    manifest: Manifest, settings: TileSettings, *, cache: Path | None = None, progress: Progress = silent
) -> TileTable:
    """Features of all tiles of a data set, and of their copies.

    Args:
        manifest: tiles with labels of ``TILE_CLASSES``.
        settings: network, stain, augmentation and seed.
        cache: folder that keeps the features; None keeps nothing.
        progress: told about tiles read and tiles seen.

    Raises:
        InputError: a tile cannot be read.
        UnknownLabelError: a label that is no class.
        WeightsError: the base's weights cannot be had.
    """
    labels = tile_labels(manifest)
    kept = None if cache is None else cache / f"features-{_identity(manifest, settings)[:16]}.npz"
    if kept is not None and kept.exists():
        found = _read(kept)
    else:
        tiles = normalise_stains(load_tiles(manifest, pixels=settings.pixels, progress=progress), manifest, settings)
        found = _compute(tiles, settings, progress)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(kept) as work, work.open("wb") as stream:
                np.savez(stream, features=found[0], copies=found[1])
    return TileTable(*found, labels, manifest.column("patient"), len(TILE_CLASSES))


def normalise_stains(tiles: Tiles, manifest: Manifest, settings: TileSettings) -> Tiles:
    """Tiles with alike colours; the look is measured on all tiles of a patient's slide together, not tile by tile.

    A row's ``study`` says which slide of the patient it is from; tiles of patients without it are taken together. A
    slide whose stain cannot be measured stays as it is.
    """
    if settings.stain == "none":
        return tiles
    slides = np.array([f"{row.patient}/{row.study}" for row in manifest.rows])
    changed = tiles.rgb.copy()
    for slide in np.unique(slides):
        rows = np.flatnonzero(slides == slide)
        normaliser, _ = StainNormaliser.published(settings.stain).of_slide(list(seen_tiles(tiles.rgb[rows])))
        for row in rows:
            changed[row] = normaliser.apply(tiles.rgb[row])[0]
    return type(tiles)(tiles.pixels, changed)


def _compute(
    tiles: Tiles, settings: TileSettings, progress: Progress
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    network = classifier_with_base(settings)
    count = len(tiles.rgb)
    features = tile_features(network, seen_tiles(tiles.rgb), progress=progress)
    copies = np.empty(
        (settings.augmentation.copies if settings.augmentation.changes else 0, *features.shape), np.float32
    )
    for number in range(len(copies)):
        rows = range(number * _COPY_STRIDE, number * _COPY_STRIDE + count)
        drawn = draw_copies(tiles.rgb, rows, settings.augmentation, seed=settings.seed)
        copies[number] = tile_features(network, drawn, progress=progress)
    return features, copies


def _identity(manifest: Manifest, settings: TileSettings) -> str:
    """Hash of what decides the features."""
    decisive = {name: value for name, value in settings.document().items() if name in _DECISIVE}
    rows = [[row.image, row.patient, row.study, row.label] for row in manifest.rows]
    return hashlib.sha256(json.dumps([rows, decisive], sort_keys=True).encode()).hexdigest()


_DECISIVE = ("architecture", "pretrained", "pixels", "augmentation", "stain", "seed")


def _read(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    try:
        with np.load(path, allow_pickle=False) as found:
            return found["features"], found["copies"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"the kept features {path.name} cannot be read: delete the file, they are made anew"
        ) from error
