"""In which bone a lesion is, where that can be proved; otherwise "not determined".

Proved means: the shape of the bone around the lesion and what it is beside leave no other bone. A site that is likely
but not proved is not named, and the level of a vertebra or rib never is.

* **vertebra**: nearly all of the lesion is in the body in front of a spinal canal, or in the arch around it; it
  hangs together with the ring of bone around that canal; and the level is not that of the pelvis. The pelvis is ruled
  out only where the images show both flanks and no large bone in them, or both lungs.
* **rib**: away from the spine, the piece of bone is thin, long, bent, is beside lung along most of its length and is
  nowhere near the middle of the trunk.
* **pelvis**: a large bone to the side of a sacral canal, with its like on the other side, over 40 mm without lung;
  both meet the bone around the canal, and towards the head the canal goes on through an abdomen.

Everything is decided on the images of the network (1.75 mm), rows to the back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.ops.closing import fill_holes
from osteon.ops.lesions import NOT_DETERMINED, grown
from osteon.ops.runs import stretches
from osteon.ops.spinal_canal import SpinalCanal, track_spinal_canal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.ops.series_images import SeriesImages

__all__ = ["Landmarks", "Site", "find_landmarks", "prove_site"]

_BODY_HALF_WIDTH_MM = 18.0
_BODY_DEPTH_MM = 42.0
_ARCH_HALF_WIDTH_MM = 14.0
_ARCH_DEPTH_MM = 25.0
_SPINOUS_HALF_WIDTH_MM = 7.0
_SPINOUS_DEPTH_MM = 45.0
_VERTEBRA_SHARE = 0.85
_SIDE_NEAR_MM, _SIDE_FAR_MM = 40.0, 170.0
_SIDE_FIELD_MM = 110.0
_LARGE_BONE_MM2 = 350.0
_HIP_MM = 40.0
_HIP_FAR_MM = 150.0
_ABDOMEN_MM2 = 30_000.0
"""A neck has half of it."""
_ABDOMEN_MM, _ABDOMEN_GAP_MM = 45.0, 20.0
_SACRUM_MM, _SACRUM_GAP_MM = 15.0, 8.0
_LUNG_SLICE_MM2 = 6000.0
"""On each side of the canal: a chest has more at most levels, gas in bowel hardly ever."""
_LUNG_MM3 = 150_000.0
_LUNG_STEP = 2
_SPINE_HALF_WIDTH_MM = 42.0
_RIB_LENGTH_MM = 70.0
_RIB_SECTION_MM2 = 240.0
_RIB_THICK_MM = 16.0
_RIB_BEND = 0.06
_RIB_LUNG_MM = 10.0
_RIB_LUNG_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Site:
    """A site and what proves it."""

    name: str  # "vertebra", "rib", "pelvis" or "not determined"
    reason: str  # a sentence: what proves it, or what is missing


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """What the whole series shows that sites are proved by."""

    bone: NDArray[np.bool_] = field(repr=False)  # (n, row, column) bool, lesions included
    canal: SpinalCanal | None  # or None
    # (n, row, column) bool, every second row and column: large gas inside the body
    lung: NDArray[np.bool_] = field(repr=False)
    has_lungs: NDArray[np.bool_] = field(repr=False)  # (n,) both sides of the canal show lung in that image
    large_left: NDArray[np.bool_] = field(repr=False)  # (n,) a large bone to the side of lower columns
    large_right: NDArray[np.bool_] = field(repr=False)  # (n,) to the side of higher columns
    # (n,) the image shows both flanks out to the skin or 110 mm from the canal
    sees_flanks: NDArray[np.bool_] = field(repr=False)
    flesh_mm2: NDArray[np.float64] = field(repr=False)  # (n,) what is denser than gas in the image
    to_head: bool = True  # whether images follow one another towards the head
    # (n, row, column) labels of the bone off the spine; None where ribs cannot be proved: without canal or lung
    pieces: NDArray[np.integer] | None = field(default=None, repr=False)

    @property
    def is_pelvic(self) -> NDArray[np.bool_]:
        """(n,) large bones on both sides, and no lungs."""
        return self.large_left & self.large_right & ~self.has_lungs


def find_landmarks(images: SeriesImages, bone: NDArray[np.bool_], *, to_head: bool = True) -> Landmarks:
    """Canal, lungs and large bones of the flanks.

    Args:
        images: of the series.
        bone: (n, row, column) bool, lesions included.
        to_head: whether images follow one another towards the head.
    """
    canal = track_spinal_canal(images, bone)
    lung = _lung(images)
    count = len(bone)
    has_lungs, left, right, flanks = (np.zeros(count, dtype=np.bool_) for _ in range(4))
    if canal is not None:
        for n in range(canal.first, canal.stop):
            middle = canal.column[n]
            half = round(middle / _LUNG_STEP)
            has_lungs[n] = all(
                np.count_nonzero(side) * (_LUNG_STEP * images.pixel_mm) ** 2 >= _LUNG_SLICE_MM2
                for side in (lung[n][:, :half], lung[n][:, half:])
            )
            left[n], right[n] = _large_bones(bone[n], middle, images.pixel_mm)
            flanks[n] = _sees_flanks(images, n, middle)
    pieces = _pieces_off_spine(images, bone, canal) if canal is not None and lung.any() else None
    flesh = np.array([np.count_nonzero(grey > images.grey_of(-200.0)) for grey in images.grey]) * images.pixel_mm**2
    return Landmarks(bone, canal, lung, has_lungs, left, right, flanks, flesh, to_head, pieces)


def prove_site(images: SeriesImages, landmarks: Landmarks, places: NDArray[np.int64]) -> Site:
    """The site of one lesion.

    Args:
        images: of the series.
        landmarks: of the series.
        places: (m, 3) image, row and column of the pixels of one lesion; at least one.
    """
    canal = landmarks.canal
    if canal is not None and canal.first <= places[:, 0].min() and places[:, 0].max() < canal.stop:
        near = _beside_canal(images, landmarks, canal, places)
        if near is not None:
            return near
    rib = _rib(images, landmarks, places)
    if rib is not None:
        return rib
    missing = (
        "no spinal canal could be followed" if canal is None else "its bone is not proved by canal, lung or pelvis"
    )
    return Site(NOT_DETERMINED, f"Not determined: {missing}.")


def _beside_canal(
    images: SeriesImages, landmarks: Landmarks, canal: SpinalCanal, places: NDArray[np.int64]
) -> Site | None:
    n, row, column = places.T
    pixel = images.pixel_mm
    aside = np.abs(column - canal.column[n]) * pixel
    ahead = (canal.front_row[n] - row) * pixel
    behind = (row - canal.back_row[n]) * pixel
    in_body = (aside <= _BODY_HALF_WIDTH_MM) & (ahead > 0) & (ahead <= _BODY_DEPTH_MM)
    in_arch = (aside <= _ARCH_HALF_WIDTH_MM) & (ahead <= 0) & (behind <= _ARCH_DEPTH_MM)
    in_arch |= (aside <= _SPINOUS_HALF_WIDTH_MM) & (behind > 0) & (behind <= _SPINOUS_DEPTH_MM)
    some = np.unique(n)
    if float((in_body | in_arch).mean()) >= _VERTEBRA_SHARE and _touches_ring(landmarks, canal, places):
        if landmarks.is_pelvic[some].any():
            return Site(NOT_DETERMINED, "Not determined: vertebra or sacrum, at the level of the pelvis.")
        is_clear = landmarks.has_lungs[some] | (
            landmarks.sees_flanks[some] & _is_far_from_pelvis(images, landmarks, some)
        )
        if not is_clear.all():
            return Site(NOT_DETERMINED, "Not determined: at a spinal canal, but the images do not rule out the sacrum.")
        words = "the body in front of" if in_body.sum() >= in_arch.sum() else "the arch around"
        length = (canal.stop - canal.first) * images.slice_mm
        return Site("vertebra", f"It is in {words} a spinal canal that was followed over {length:.0f} mm.")
    return _pelvis(images, landmarks, places, aside)


def _touches_ring(landmarks: Landmarks, canal: SpinalCanal, places: NDArray[np.int64]) -> bool:
    """Whether the lesion hangs together, in a slice, with the bone around the canal."""
    import cv2

    for n in np.unique(places[:, 0]):
        labels = cv2.connectedComponents(landmarks.bone[n].view(np.uint8), connectivity=8)[1]
        here = places[places[:, 0] == n]
        if _ring_labels(labels, canal, n) & set(np.unique(labels[here[:, 1], here[:, 2]]).tolist()):
            return True
    return False


def _is_far_from_pelvis(images: SeriesImages, landmarks: Landmarks, some: NDArray[np.int64]) -> bool:
    """No large bone on both flanks within 15 mm above or below the lesion."""
    reach = int(15 / images.slice_mm) + 1
    window = slice(max(0, int(some.min()) - reach), int(some.max()) + reach + 1)
    return not bool(landmarks.is_pelvic[window].any())


def _pelvis(
    images: SeriesImages, landmarks: Landmarks, places: NDArray[np.int64], aside: NDArray[np.float64]
) -> Site | None:
    """A hip bone beside the sacral canal, below an abdomen."""
    canal = landmarks.canal
    some = np.unique(places[:, 0])
    if canal is None or aside.min() < _SIDE_NEAR_MM or aside.max() > _HIP_FAR_MM:
        return None
    runs = stretches(landmarks.is_pelvic)
    first, stop = next((run for run in runs if run[0] <= some[0] and some[-1] < run[1]), (0, 0))
    length = (stop - first) * images.slice_mm
    is_pelvis = (
        length >= _HIP_MM
        and _is_below_abdomen(images, landmarks, canal, (first, stop))
        and _meets_sacrum(images, landmarks, canal, (first, stop))
        and all(_is_of_large_bone(images, landmarks, places[places[:, 0] == n]) for n in some)
    )
    if not is_pelvis:
        return None
    words = f"paired over {length:.0f} mm, that meet the sacrum below the abdomen"
    return Site("pelvis", f"It is in one of two large bones beside a sacral canal, {words}.")


def _is_below_abdomen(images: SeriesImages, landmarks: Landmarks, canal: SpinalCanal, run: tuple[int, int]) -> bool:
    """Whether the canal goes on towards the head through a thick trunk without lungs and without large bones.

    Above the shoulders, which are paired, too, there is a thin neck.
    """
    is_abdomen = ~landmarks.large_left & ~landmarks.large_right & ~landmarks.has_lungs & landmarks.sees_flanks
    is_abdomen &= landmarks.flesh_mm2 >= _ABDOMEN_MM2
    above = is_abdomen[run[1] : canal.stop] if landmarks.to_head else is_abdomen[canal.first : run[0]][::-1]
    gap, length = _ABDOMEN_GAP_MM / images.slice_mm, _ABDOMEN_MM / images.slice_mm
    return any(a <= gap and b - a >= length for a, b in stretches(above))


def _meets_sacrum(images: SeriesImages, landmarks: Landmarks, canal: SpinalCanal, run: tuple[int, int]) -> bool:
    """Whether the large bones of both sides come near the bone around the canal, as at the sacroiliac joints."""
    import cv2

    meeting = 0
    for n in range(max(run[0], canal.first), min(run[1], canal.stop)):
        bone = landmarks.bone[n]
        labels = cv2.connectedComponents(bone.view(np.uint8), connectivity=8)[1]
        ring = np.isin(labels, list(_ring_labels(labels, canal, n)))
        ends = [round(canal.column[n] + sign * _SIDE_NEAR_MM / images.pixel_mm) for sign in (-1, 1)]
        near = grown(ring[None], _SACRUM_GAP_MM / images.pixel_mm)[0]
        # what is left of the large bones beyond 40 mm and within reach of the ring, or hangs together with it
        meeting += bool((near & bone)[:, : max(ends[0], 0)].any() and (near & bone)[:, ends[1] :].any())
    return meeting * images.slice_mm >= _SACRUM_MM


def _ring_labels(labels: NDArray[np.int32], canal: SpinalCanal, n: int) -> set[int]:
    """Labels of the pieces of bone around the canal in an image."""
    column = round(canal.column[n])
    rows = slice(max(0, round(canal.front_row[n]) - 4), round(canal.back_row[n]) + 5)
    return set(np.unique(labels[rows, max(0, column - 4) : column + 5]).tolist()) - {0}


def _is_of_large_bone(images: SeriesImages, landmarks: Landmarks, here: NDArray[np.int64]) -> bool:
    """Whether the pixels of a lesion in one image belong to a large bone."""
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(landmarks.bone[here[0, 0]].view(np.uint8), connectivity=8)
    own = int(np.bincount(labels[here[:, 1], here[:, 2]]).argmax())
    return own > 0 and float(stats[own, cv2.CC_STAT_AREA]) * images.pixel_mm**2 >= _LARGE_BONE_MM2


def _large_bones(bone: NDArray[np.bool_], middle: float, pixel: float) -> tuple[bool, bool]:
    """Whether each flank holds a bone of a hip's size."""
    import cv2

    found = []
    for sign in (-1, 1):
        ends = sorted((round(middle + sign * _SIDE_NEAR_MM / pixel), round(middle + sign * _SIDE_FAR_MM / pixel)))
        part = np.ascontiguousarray(bone[:, max(0, ends[0]) : max(0, ends[1])]).view(np.uint8)
        areas = cv2.connectedComponentsWithStats(part, connectivity=8)[2][1:, cv2.CC_STAT_AREA] if part.size else []
        found.append(max(areas, default=0) * pixel**2 >= _LARGE_BONE_MM2)
    return bool(found[0]), bool(found[1])


def _sees_flanks(images: SeriesImages, n: int, middle: float) -> bool:
    """Both flanks out to air, or far enough out for a hip bone to be seen."""
    wide = (images.frame.size[1] - images.frame.scaled[1]) // 2
    first, last = max(0, wide), min(images.frame.size[1], images.frame.size[1] - wide) - 1
    rows = slice(round(images.frame.size[0] * 0.25), round(images.frame.size[0] * 0.75))
    edge = images.grey_of(-300.0)
    seen = []
    for column, away in ((first, middle - first), (last, last - middle)):
        is_air = float((images.grey[n][rows, column] < edge).mean()) > 0.9
        seen.append(is_air or away * images.pixel_mm >= _SIDE_FIELD_MM)
    return all(seen)


def _lung(images: SeriesImages) -> NDArray[np.bool_]:
    """Gas that does not reach the edge of its slice, in pieces of at least 150 ml, on every second row and column."""
    import cc3d

    coarse = images.grey[:, ::_LUNG_STEP, ::_LUNG_STEP]
    gas = coarse <= images.grey_of(-440.0)
    inside = fill_holes(~gas) & gas
    pieces, count = cc3d.connected_components(inside, connectivity=6, return_N=True)
    if count == 0:
        return inside
    voxel_mm3 = float(np.prod(images.spacing_mm)) * _LUNG_STEP**2
    large = np.bincount(pieces.ravel(), minlength=count + 1) * voxel_mm3 >= _LUNG_MM3
    large[0] = False
    return np.asarray(large[pieces])


def _rib(images: SeriesImages, landmarks: Landmarks, places: NDArray[np.int64]) -> Site | None:
    """The piece of bone around the lesion, cut off the spine, if it is a rib."""
    if landmarks.pieces is None:
        return None
    labels = landmarks.pieces[tuple(places.T)]
    label = int(np.bincount(labels).argmax())
    if label == 0 or float((labels == label).mean()) < 0.95:
        return None
    return _check_rib(images, landmarks, np.argwhere(landmarks.pieces == label), places)


def _pieces_off_spine(images: SeriesImages, bone: NDArray[np.bool_], canal: SpinalCanal) -> NDArray[np.integer]:
    """Connected pieces of bone, less what is within 42 mm of the middle of the canal; 0 beyond the canal's ends."""
    import cc3d

    out = bone.copy()
    out[: canal.first] = out[canal.stop :] = False
    columns = np.arange(out.shape[2])
    for n in range(canal.first, canal.stop):
        out[n][:, np.abs(columns - canal.column[n]) * images.pixel_mm <= _SPINE_HALF_WIDTH_MM] = False
    pieces: NDArray[np.integer] = cc3d.connected_components(out, connectivity=6)
    return pieces


def _check_rib(
    images: SeriesImages, landmarks: Landmarks, piece: NDArray[np.int64], lesion: NDArray[np.int64]
) -> Site | None:
    """The tests of a rib, in the order of their cost."""
    points = piece * np.array(images.spacing_mm)
    ends = _far_ends(points)
    length = float(np.linalg.norm(ends[1] - ends[0]))
    volume = len(points) * float(np.prod(images.spacing_mm))
    if length < _RIB_LENGTH_MM or volume / length > _RIB_SECTION_MM2:
        return None
    if landmarks.canal is None or _from_middle_mm(images, landmarks.canal, piece) < _SPINE_HALF_WIDTH_MM + 10:
        return None
    along, line = _middle_line(points, ends)
    bend = float(np.linalg.norm(line - ends[0] - along[:, None] * (ends[1] - ends[0]), axis=1).max()) / length
    if bend < _RIB_BEND or _thickness_mm(images, piece, lesion) > _RIB_THICK_MM:
        return None
    near_lung = _near_lung(images, landmarks, line)
    if near_lung < _RIB_LUNG_SHARE:
        return None
    words = f"thin and bent, and is beside lung over {near_lung:.0%} of its length"
    return Site("rib", f"Its bone is {length:.0f} mm long, {words}.")


def _from_middle_mm(images: SeriesImages, canal: SpinalCanal, piece: NDArray[np.int64]) -> float:
    return float(np.abs(piece[:, 2] - np.nanmedian(canal.column)).mean()) * images.pixel_mm


def _thickness_mm(images: SeriesImages, piece: NDArray[np.int64], lesion: NDArray[np.int64]) -> float:
    """Twice the largest distance to the surface (98th percentile), outside the lesion, which may have widened it."""
    import edt

    low, high = piece.min(axis=0) - 1, piece.max(axis=0) + 2
    block, diseased = np.zeros((2, *(high - low)), dtype=np.bool_)
    block[tuple((piece - low).T)] = True
    inside = lesion[((lesion >= low) & (lesion < high)).all(axis=1)]
    diseased[tuple((inside - low).T)] = True
    depth = edt.edt(block, anisotropy=images.spacing_mm, black_border=True)
    healthy = depth[block & ~grown(diseased, 4.0)]
    return 2 * float(np.percentile(healthy, 98)) if healthy.size else float("inf")


def _far_ends(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two points far apart: the one furthest from the middle, and the one furthest from that."""
    first = points[np.linalg.norm(points - points.mean(axis=0), axis=1).argmax()]
    return np.array([first, points[np.linalg.norm(points - first, axis=1).argmax()]])


def _middle_line(
    points: NDArray[np.float64], ends: NDArray[np.float64], bins: int = 20
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means of the points in bins along the line between the ends: their place along it (0 to 1) and themselves."""
    way = ends[1] - ends[0]
    share = np.clip((points - ends[0]) @ way / (way @ way), 0, 1)
    number = np.minimum((share * bins).astype(int), bins - 1)
    used = np.unique(number)
    line = np.array([points[number == n].mean(axis=0) for n in used])
    return np.clip((line - ends[0]) @ way / (way @ way), 0, 1), line


def _near_lung(images: SeriesImages, landmarks: Landmarks, line: NDArray[np.float64]) -> float:
    """Share of the middle line with lung close by, in its slice."""
    pixel = images.pixel_mm * _LUNG_STEP
    reach = (_RIB_LUNG_MM + 6.0) / pixel  # the line runs half a rib's thickness inside
    hits = []
    for height, row, column in line:
        n = min(round(height / images.slice_mm), len(landmarks.lung) - 1)
        r, c = row / pixel, column / pixel
        rows = slice(max(0, int(r - reach)), int(r + reach) + 2)
        columns = slice(max(0, int(c - reach)), int(c + reach) + 2)
        a, b = np.nonzero(landmarks.lung[n][rows, columns])
        away = np.hypot(a + rows.start - r, b + columns.start - c)
        hits.append(bool(away.size and away.min() <= reach))
    return float(np.mean(hits))
