"""From a data set of tiles to a table of features: originals and copies go through the frozen base once."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.data.options import Progress, silent
from osteon.data.slide import TILE_CLASSES
from osteon.errors import InputError, UnknownLabelError, UnsupportedError, WeightsError, nearest_names
from osteon.io.image import check_used_bits, stored_picture
from osteon.io.whole_file import whole_file
from osteon.nets import build_network
from osteon.nets.tile_classifier import TILE_BASES, TileClassifier
from osteon.ops.stain import StainNormaliser, augment_stain
from osteon.train.pixels import Readable, Unreadable, files_state
from osteon.train.run_folder import digest
from osteon.weights.backbone import pretrained_weights
from osteon.weights.hub import fetch_hub_file
from osteon.weights.load import load_state
from osteon.weights.package_weights import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from osteon.data import Manifest
    from osteon.train.settings import HeadSettings, TileAugmentation

__all__ = [
    "SeenTiles",
    "TileTable",
    "Tiles",
    "base_text",
    "classifier_with_base",
    "draw_copies",
    "load_seen",
    "load_tiles",
    "normalise_stains",
    "read_tile",
    "seen_tiles",
    "tile_features",
    "tile_labels",
    "tile_table",
]

_COPY_STRIDE = 1_000_003
"""Numbers of the draws of one copy and of the next lie this far apart."""

_BATCH = 8
_HEADS = ("classifier.", "fc.", "classif.", "head.fc.", "last_linear.")
_RANDOM_SEED = 20240500
"""Of a base that knows nothing: the same for all heads, which would otherwise have nothing in common."""

_OVERSAMPLED = 2  # tiles are kept this many times larger than the network sees them: copies are zoomed into
_LEAST_SIDE = 64


@dataclass(frozen=True, slots=True)
class TileTable(Readable):
    """Features of a data set's tiles with what is known of them.

    Attributes:
        features: (n, d) of the tiles as they are.
        copies: (k, n, d) of their transformed copies; k may be 0.
        labels: (n,) class, 0 on.
        patients: (n,) whose.
        classes: how many there are.
    """

    features: NDArray[np.float32] = field(repr=False)
    copies: NDArray[np.float32] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    patients: NDArray[np.str_] = field(repr=False)
    classes: int = 3

    def training(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Features and labels to learn from: the tiles of rows, then their copies."""
        copied = self.copies[:, rows].reshape(-1, self.features.shape[1])
        return np.concatenate([self.features[rows], copied]), np.tile(self.labels[rows], 1 + len(self.copies))


@dataclass(frozen=True, slots=True)
class SeenTiles(Readable):
    """Tiles (n, row, column, 3) uint8 RGB, as the network sees them."""

    values: NDArray[np.uint8] = field(repr=False)

    @property
    def size(self) -> int:
        """Rows and columns of a tile."""
        return int(self.values.shape[1])

    def crops(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Tiles (n, row, column, 3), as a model takes them."""
        return np.asarray(self.values[rows])


def load_seen(
    manifest: Manifest, settings: HeadSettings, *, skip_unreadable: bool = False, progress: Progress = silent
) -> SeenTiles:
    """All tiles of a data set as the network sees them; raises as ``load_tiles``."""
    loaded = load_tiles(manifest, pixels=settings.pixels, skip_unreadable=skip_unreadable, progress=progress)
    rgb = seen_tiles(normalise_stains(loaded, manifest, settings).rgb)
    return SeenTiles(rgb, unreadable=loaded.unreadable)


def tile_labels(manifest: Manifest, classes: Sequence[str] = TILE_CLASSES) -> NDArray[np.int64]:
    """(n,) class of each tile, as its index among the classes.

    Raises:
        UnknownLabelError: a label that is none of them.
    """
    wrong = sorted(set(manifest.labels) - set(classes))
    if wrong:
        raise UnknownLabelError(f"a tile is labelled {wrong[0]!r}: {nearest_names(wrong[0], classes)}")
    return np.array([classes.index(row.label) for row in manifest.rows], dtype=np.int64)


def tile_table(
    manifest: Manifest,
    settings: HeadSettings,
    *,
    cache: Path | None = None,
    skip_unreadable: bool = False,
    progress: Progress = silent,
) -> TileTable:
    """Features of all tiles of a data set, and of their copies; the cache keeps them where no tile is skipped.

    Raises:
        InputError: a tile cannot be read.
        UnknownLabelError: a label that is not a class.
        WeightsError: the base's weights cannot be had.
    """
    labels = tile_labels(manifest, settings.classes)
    kept = None if cache is None else cache / f"features-{_identity(manifest, settings)[:16]}.npz"
    unreadable: tuple[Unreadable, ...] = ()
    if kept is not None and kept.exists():
        found = _read(kept)
    else:
        loaded = load_tiles(manifest, pixels=settings.pixels, skip_unreadable=skip_unreadable, progress=progress)
        unreadable = loaded.unreadable
        found = _compute(normalise_stains(loaded, manifest, settings), settings, progress)
        if kept is not None and not unreadable:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(kept) as work, work.open("wb") as stream:
                np.savez(stream, features=found[0], copies=found[1])
    classes = len(settings.classes)
    return TileTable(*found, labels, manifest.column("patient"), classes, unreadable=unreadable)


def normalise_stains(tiles: Tiles, manifest: Manifest, settings: HeadSettings) -> Tiles:
    """Tiles with alike colours; the look is measured on all tiles of a patient's slide together, not tile by tile.

    A row's ``study`` says which slide of the patient it is from; tiles of patients without it are taken together. A
    slide whose stain cannot be measured stays as it is.
    """
    if settings.stain == "none":
        return tiles
    slides = np.array([f"{row.patient}/{row.study}" for row in manifest.rows])
    changed = tiles.rgb.copy()
    slides[[entry.row for entry in tiles.unreadable]] = ""
    for slide in np.unique(slides[slides != ""]):
        rows = np.flatnonzero(slides == slide)
        normaliser, _ = StainNormaliser.published(settings.stain).of_slide(list(seen_tiles(tiles.rgb[rows])))
        for row in rows:
            changed[row] = normaliser.apply(tiles.rgb[row])[0]
    return replace(tiles, rgb=changed)


def _compute(
    tiles: Tiles, settings: HeadSettings, progress: Progress
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    network = classifier_with_base(settings)
    count = len(tiles.rgb)
    features = tile_features(network, seen_tiles(tiles.rgb), progress=progress)
    drawn_times = settings.augmentation.copies if settings.augmentation.changes else 0
    copies = np.empty((drawn_times, *features.shape), np.float32)
    for number in range(len(copies)):
        rows = range(number * _COPY_STRIDE, number * _COPY_STRIDE + count)
        drawn = draw_copies(tiles.rgb, rows, settings.augmentation, seed=settings.seed)
        copies[number] = tile_features(network, drawn, progress=progress)
    return features, copies


def _identity(manifest: Manifest, settings: HeadSettings) -> str:
    """Hash of what decides the features; the files by what the system says of them."""
    decisive = {name: value for name, value in settings.document().items() if name in _DECISIVE}
    rows = [[row.image, row.patient, row.study, row.label] for row in manifest.rows]
    return digest([rows, decisive, files_state(manifest.folder, (row.image for row in manifest.rows))])


_DECISIVE = ("architecture", "pretrained", "pixels", "augmentation", "stain", "seed")


def _read(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    try:
        with np.load(path, allow_pickle=False) as found:
            return found["features"], found["copies"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"the kept features {path.name} cannot be read: delete the file, they are made anew"
        ) from error


def classifier_with_base(settings: HeadSettings, *, classes: int = 3) -> TileClassifier:
    """The network with its base filled, in evaluation mode; the head is random from torch's global generator.

    Raises:
        UnknownLabelError: no weights are shipped for the base.
        WeightsError: weights cannot be had, or do not fit.
        BackendError: torch or timm is not installed.
    """
    is_random = settings.pretrained == "none"
    with torch.random.fork_rng() if is_random else contextlib.nullcontext():
        if is_random:
            torch.manual_seed(_RANDOM_SEED)
        network = build_network(settings.architecture, classes=classes)
    if not isinstance(network, TileClassifier):
        raise UnknownLabelError(f"{settings.architecture} is not a classifier of tiles")
    if not is_random:
        _fill(network, _base_state(settings), name=f"{settings.pretrained} weights")
    return network.eval().requires_grad_(requires_grad=False)


def base_text(settings: HeadSettings) -> str:
    """Where the base comes from, for tables and cards."""
    package = PACKAGES.get(settings.architecture.removesuffix("_tiles"))
    known = {
        "embedded": f"ImageNet ({f'package {package.package}' if package else 'shipped with osteon'})",
        "hub": "ImageNet (timm's hub)",
        "none": "random, frozen: it knows nothing",
    }
    return known.get(settings.pretrained, f"the file {Path(settings.pretrained).name}")


def tile_features(
    network: TileClassifier, tiles: NDArray[np.uint8], *, progress: Progress = silent
) -> NDArray[np.float32]:
    """Pooled features of tiles (n, row, column, 3) uint8 RGB as the network sees them; its normalisation stands.

    Returns:
        (n, d) float32.
    """
    found = np.empty((len(tiles), network.num_features), dtype=np.float32)
    network.eval()
    with torch.inference_mode():
        for start in range(0, len(tiles), _BATCH):
            block = torch.from_numpy(tiles[start : start + _BATCH].astype(np.float32) / np.float32(255))
            pooled = network.forward_head(network.forward_features(block.permute(0, 3, 1, 2)), pre_logits=True)
            found[start : start + _BATCH] = pooled.numpy()
            progress("features", min(start + _BATCH, len(tiles)), len(tiles))
    return found


def _base_state(settings: HeadSettings) -> Mapping[str, Tensor]:
    base = settings.architecture.removesuffix("_tiles")
    if settings.pretrained == "embedded":
        return pretrained_weights(base).state
    if settings.pretrained == "hub":
        if not TILE_BASES[base]:
            return pretrained_weights(base).state  # the hub has other weights of this name; these are osteon's own
        return load_state(fetch_hub_file(base).data, base)
    file = Path(settings.pretrained)
    try:
        return load_state(file.read_bytes(), file.name)
    except OSError as error:
        raise WeightsError(
            f"weights for {settings.architecture} were asked for at {file}; they cannot be read "
            f"({type(error).__name__}): give a safetensors file, embedded, hub or none"
        ) from error


def _fill(network: TileClassifier, state: Mapping[str, Tensor], *, name: str) -> None:
    """Put weights into the base, strictly; those of its own head are left out."""
    own = network.base.state_dict()
    kept = {key: value for key, value in state.items() if not key.startswith(_HEADS)}
    shapes = [{key: value.shape for key, value in some.items()} for some in (own, kept)]
    wrong = sorted({key for key, _ in shapes[0].items() ^ shapes[1].items()})
    if wrong:
        raise WeightsError(
            f"{name} do not fit the base {type(network.base).__name__}: {len(wrong)} tensors are missing, left over or "
            f"of another shape, the first is {wrong[0]}"
        )
    network.base.load_state_dict(kept, strict=True)


@dataclass(frozen=True, slots=True)
class Tiles(Readable):
    """Pixels of a manifest's tiles.

    Attributes:
        pixels: that the network sees.
        rgb: (n, 2 * pixels, 2 * pixels, 3) uint8.
    """

    pixels: int
    rgb: NDArray[np.uint8] = field(repr=False)


def read_tile(path: Path, *, side: int) -> NDArray[np.uint8]:
    """A picture of a tile, resized as a whole by area.

    Args:
        path: PNG, JPEG or TIFF; a grey one becomes equal channels, a transparent one is on white.
        side: rows and columns of the answer.

    Returns:
        (side, side, 3) uint8 RGB.

    Raises:
        InputError: the file cannot be read, is damaged, is not square, or is too small.
        UnsupportedError: other than 8 or 16 bits a channel.
    """
    import cv2

    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the tile {path.name} cannot be read ({error.strerror or type(error).__name__})") from error
    picture = stored_picture(data, path.name)
    check_used_bits(picture, f"the tile {path.name}")
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    if channels not in (1, 3, 4):
        raise UnsupportedError(f"{path.name} has {channels} channels: grey, RGB or RGBA tiles are read")
    rows, columns = picture.shape[:2]
    if min(rows, columns) < _LEAST_SIDE or max(rows, columns) > 1.1 * min(rows, columns):
        raise InputError(
            f"the tile {path.name} has {rows} x {columns} pixels: square tiles from {_LEAST_SIDE} on are read"
        )
    values = picture.astype(np.float32) * np.float32(255 / np.iinfo(picture.dtype).max)
    if channels == 1:
        values = np.repeat(values.reshape(rows, columns, 1), 3, axis=2)
    if channels == 4:
        alpha = values[..., 3:] / 255
        values = values[..., :3] * alpha + 255 * (1 - alpha)
    resized = cv2.resize(values, (side, side), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.rint(resized[..., ::-1]).clip(0, 255).astype(np.uint8))


def load_tiles(manifest: Manifest, *, pixels: int, skip_unreadable: bool = False, progress: Progress = silent) -> Tiles:
    """Read all tiles of a manifest, at twice the pixels that the network sees.

    Raises:
        InputError: a tile that cannot be read.
        UnsupportedError: a tile of another kind.
    """
    side = _OVERSAMPLED * pixels
    found = np.zeros((len(manifest), side, side, 3), dtype=np.uint8)
    unreadable = []
    for number, row in enumerate(manifest.rows):
        try:
            found[number] = read_tile(manifest.folder / row.image, side=side)
        except (InputError, UnsupportedError) as error:
            if not skip_unreadable:
                raise
            unreadable.append(Unreadable(number, row.image, str(error)))
        progress("tiles", number + 1, len(manifest))
    return Tiles(pixels, found, unreadable=tuple(unreadable))


def seen_tiles(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tiles (n, 2 r, 2 r, 3) as the network sees them, (n, r, r, 3): means of two by two pixels."""
    count, side = rgb.shape[:2]
    blocks = rgb.reshape(count, side // 2, 2, side // 2, 2, 3).astype(np.uint16).sum(axis=(2, 4))
    return np.asarray((blocks + 2) // 4, dtype=np.uint8)


def draw_copies(
    rgb: NDArray[np.uint8], rows: Sequence[int], augmentation: TileAugmentation, *, seed: int
) -> NDArray[np.uint8]:
    """One transformed copy of each tile (n, side, side, 3) as the network sees it.

    What is drawn depends on the seed and on a number of each tile in ``rows`` alone; several copies of a tile have
    several numbers.

    Returns:
        (n, side / 2, side / 2, 3); what comes from beyond the border is mirrored.
    """
    import cv2

    side = rgb.shape[1]
    copies = np.empty((len(rgb), side // 2, side // 2, 3), dtype=np.uint8)
    low, high = augmentation.zoom_range
    for number, (tile, row) in enumerate(zip(rgb, rows, strict=True)):
        generator = np.random.default_rng((seed, int(row)))
        angle = generator.uniform(-1, 1) * augmentation.rotation_degrees
        mirrored = augmentation.flip and generator.random() < 0.5
        factor = generator.uniform(low, high) if augmentation.zoom else 1.0
        matrix = _about_centre(angle, factor, side, mirrored=mirrored)
        border = cv2.BORDER_REFLECT_101
        moved = cv2.warpAffine(tile, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=border)
        copy = seen_tiles(np.asarray(moved, dtype=np.uint8)[None])[0]
        stained = augmentation.stain > 0
        copies[number] = augment_stain(copy, generator, strength=augmentation.stain) if stained else copy
    return copies


def _about_centre(angle_degrees: float, factor: float, side: int, *, mirrored: bool) -> NDArray[np.float64]:
    """Where a pixel (column, row) goes: turned, mirrored left to right, enlarged by a factor."""
    angle = math.radians(angle_degrees)
    turn = factor * np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    if mirrored:
        turn = turn @ np.diag([-1.0, 1.0])
    centre = np.full(2, (side - 1) / 2)
    return np.column_stack([turn, centre - turn @ centre])
