"""The paper's CT recipe, written plainly with scikit-image, scipy and scikit-learn.

One function a step, no trick: this is what the bench measures osteon against, and the slow reference of its tests.

References:
    CT osteosarcoma spec, sections 3 and 7.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label, marching_cubes, regionprops
from skimage.morphology import ball, disk, opening
from skimage.transform import resize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "PlainLegs",
    "bone_mask",
    "bone_surface",
    "brightest_cluster",
    "leg_crops",
    "leg_parts",
    "open_with_cv2",
    "open_with_skimage",
    "read_folder",
    "smooth",
]


def read_folder(folder: Path) -> tuple[NDArray[np.int16], tuple[float, float, float]]:
    """DICOM files of one series sorted by position: whole HU, and the spacing of (slice, row, column) in mm."""
    import pydicom

    slices = [pydicom.dcmread(path) for path in sorted(folder.iterdir()) if path.is_file()]
    slices.sort(key=lambda one: float(one.ImagePositionPatient[2]))
    volume = np.stack([s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices])
    step = abs(float(slices[1].ImagePositionPatient[2]) - float(slices[0].ImagePositionPatient[2]))
    row, column = (float(v) for v in slices[0].PixelSpacing)
    return volume.astype(np.int16), (step, row, column)


def open_with_skimage(image: NDArray[np.int16], radius: int = 10) -> NDArray[np.int16]:
    """Grey opening as the paper's authors would call it."""
    return np.asarray(opening(image, disk(radius)))


def open_with_cv2(image: NDArray[np.int16], radius: int = 10) -> NDArray[np.int16]:
    """The same opening through OpenCV, with scikit-image's disk."""
    import cv2

    return np.asarray(cv2.morphologyEx(image, cv2.MORPH_OPEN, disk(radius), borderType=cv2.BORDER_REFLECT))


@dataclass(frozen=True, slots=True, eq=False)
class PlainLegs:
    """What the recipe takes for legs.

    Attributes:
        labels: (slice, row, column) uint8; 1 at lower columns, 2 the other.
        boxes: (first row, row after, first column, column after) of each label over the series; None where it is not.
        present: (2, slice) bool.
    """

    labels: NDArray[np.uint8] = field(repr=False)
    boxes: tuple[tuple[int, int, int, int] | None, ...]
    present: NDArray[np.bool_] = field(repr=False)


def leg_parts(
    volume: NDArray[np.int16], *, opener: Callable[[NDArray[np.int16]], NDArray[np.int16]] = open_with_skimage
) -> PlainLegs:
    """Opening, Otsu and the two largest parts of every slice; one box a leg for the series."""
    labels = np.zeros(volume.shape, dtype=np.uint8)
    for k, image in enumerate(volume):
        opened = opener(image)
        parts = label(opened > threshold_otsu(opened))
        regions = sorted(regionprops(parts), key=lambda region: -region.area)[:2]
        if len(regions) == 2:
            regions.sort(key=lambda region: region.centroid[1])
            sides = [1, 2]
        else:
            middle = (volume.shape[2] - 1) / 2
            sides = [1 if region.centroid[1] <= middle else 2 for region in regions]
        for side, region in zip(sides, regions, strict=True):
            labels[k][parts == region.label] = side
    boxes = []
    for side in (1, 2):
        rows, columns = np.nonzero((labels == side).any(axis=0))
        boxes.append((rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) if rows.size else None)
    present = np.stack([(labels == side).any(axis=(1, 2)) for side in (1, 2)])
    return PlainLegs(labels=labels, boxes=tuple(boxes), present=present)


def leg_crops(
    volume: NDArray[np.int16], box: tuple[int, int, int, int], present: NDArray[np.bool_], *, size: int = 256
) -> NDArray[np.float32]:
    """Crops of one leg: each slice scaled to 0..1, nearest neighbour."""
    crops = []
    for k in np.flatnonzero(present):
        crop = volume[k, box[0] : box[1], box[2] : box[3]].astype(np.float32)
        span = crop.max() - crop.min()
        scaled = (crop - crop.min()) / span if span > 0 else np.zeros_like(crop)
        crops.append(resize(scaled, (size, size), order=0, preserve_range=True, anti_aliasing=False))
    return np.asarray(crops, dtype=np.float32).reshape(-1, size, size)


def smooth(crop: NDArray[Any], *, sigma: float = 2.0) -> NDArray[np.int16]:
    """Gaussian of every slice, to whole HU."""
    return np.stack([np.rint(ndimage.gaussian_filter(image.astype(np.float32), sigma)) for image in crop]).astype(
        np.int16
    )


def brightest_cluster(
    values: NDArray[np.int16],
    *,
    clusters: int = 5,
    starts: int = 10,
    centres: Sequence[float] | None = None,
) -> tuple[NDArray[np.bool_], float]:
    """Voxels of the brightest k-means cluster, and the inertia reached.

    With ``centres`` the search starts there and goes on until nothing changes: the best partition stays as it is.
    """
    from sklearn.cluster import KMeans

    if centres is None:
        model = KMeans(n_clusters=clusters, n_init=starts, random_state=0)
    else:
        model = KMeans(n_clusters=clusters, n_init=1, init=np.asarray(centres, dtype=np.float64)[:, None], tol=0)
    found = model.fit_predict(values.reshape(-1, 1).astype(np.float64))
    brightest = int(np.argmax(model.cluster_centers_[:, 0]))
    return np.asarray(found == brightest).reshape(values.shape), float(model.inertia_)


def _closed(mask: NDArray[np.bool_], footprint: NDArray[Any]) -> NDArray[np.bool_]:
    """Binary closing in endless empty space: padded, so that nothing at the border is lost."""
    pads = [n // 2 for n in footprint.shape]
    padded = np.pad(mask, [(p, p) for p in pads])
    closed = ndimage.binary_closing(padded, footprint)
    inner = tuple(slice(p, p + n) for p, n in zip(pads, mask.shape, strict=True))
    return np.asarray(closed[inner])


def bone_mask(bright: NDArray[np.bool_], *, voxel_mm3: float, min_part_mm3: float = 100.0) -> NDArray[np.bool_]:
    """Slice-wise closing and filling, closing with a ball, small parts dropped."""
    mask = np.stack([ndimage.binary_fill_holes(_closed(image, disk(2))) for image in bright])
    mask = _closed(mask, ball(3))
    parts, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    sizes = ndimage.sum_labels(mask, parts, np.arange(count + 1))
    return np.asarray((sizes * voxel_mm3 >= min_part_mm3)[parts] & mask)


def bone_surface(
    mask: NDArray[np.bool_], *, spacing_mm: tuple[float, float, float]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Marching cubes and PyVista's Taubin smoothing; vertices (n, 3) in mm and triangles (m, 3)."""
    import pyvista as pv

    vertices, faces, _, _ = marching_cubes(np.pad(mask, 1).astype(np.float32), 0.5, spacing=spacing_mm)
    mesh = pv.PolyData.from_regular_faces(vertices, faces).smooth_taubin()
    return np.asarray(mesh.points), np.asarray(mesh.regular_faces)
