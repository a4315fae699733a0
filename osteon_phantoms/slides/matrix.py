"""What is between the cells of a synthetic slide: matrix, fibres, fat, bone; compiled loops over pixels.

Stains are optical densities (base 10) of haematoxylin, eosin and red blood; everything is drawn at the width of the
pixel that is asked for: an edge is a ramp of that width, and what is finer than a pixel fades into its mean.
"""

from __future__ import annotations

import math

import numpy as np  # noqa: TC002 - numba ignores annotations, readers do not
from numpy.typing import NDArray  # noqa: TC002 - numba ignores annotations, readers do not

from osteon._compiled import compiled
from osteon_phantoms.slides.ground import BACKGROUND, NON_TUMOUR, NON_VIABLE, Ground, class_of, patch_of
from osteon_phantoms.slides.noise import F32, F64, chance, mixed, noise, step

__all__ = ["beam_at", "blur_at", "draw_ground", "fat_at", "is_open", "lace_at", "look_index", "pore_at"]

_BEAM_UM = 460.0
_NEVER = 5.0
_FAT = 71
_BUNDLE = 72


@compiled
def blur_at(blurs: F64, y: float, x: float) -> float:
    """How wide a point is seen at a place out of focus, in um; 0 in focus."""
    widest = 0.0
    for index in range(len(blurs)):
        radius = blurs[index, 2]
        distance = math.sqrt((y - blurs[index, 0]) ** 2 + (x - blurs[index, 1]) ** 2)
        if distance < radius:
            widest = max(widest, blurs[index, 3] * min(1.0, 4 * (1 - distance / radius)))
    return widest


@compiled
def look_index(patch: np.void, kind: int) -> int:
    """Which look tissue of a class has in a patch."""
    if kind == NON_TUMOUR:
        return int(patch["non_tumour"])
    if kind == NON_VIABLE:
        return int(patch["non_viable"])
    return int(patch["viable"])


@compiled
def _kept(pitch: float, scale: float) -> float:
    """How much of a variation of a scale is left in pixels of a pitch."""
    return 1.0 / (1.0 + (1.4 * pitch / scale) ** 2)


@compiled
def _band(value: float, width: float, edge: float, coarse: float) -> float:
    """Cover of the places where noise is within ``width`` of 0; its mean where pixels are coarse."""
    near = min(1.0, max(0.0, 0.5 + (width - abs(value)) / (2 * edge)))
    blend = min(1.0, 1.5 * coarse - 0.5)
    if blend <= 0:
        return near
    return near + blend * (math.erf(width / math.sqrt(2.0)) - near)


@compiled
def lace_at(tile: F32, look: np.void, patch: np.void, y: float, x: float, pitch: float) -> float:
    """Cover of osteoid or bone, 0 to 1."""
    scale = float(look["lace_um"])
    if scale <= 0:
        return 0.0
    bend = 0.35 * noise(tile, 1.7 * y / scale + 5, 1.7 * x / scale + 61)
    value = noise(tile, y / scale + 17 + bend, x / scale + 29 - bend)
    width = look["lace_width"] * patch["lace"] * (1 + 0.55 * noise(tile, 0.31 * y / scale + 41, 0.31 * x / scale + 83))
    if width <= 0.02:
        return 0.0
    return _band(value, float(width), 0.05 + 0.6 * pitch / scale, pitch / scale)


@compiled
def pore_at(tile: F32, look: np.void, y: float, x: float, pitch: float) -> float:
    """Cover of open space, 0 to 1: clefts of sinusoids, tears, holes."""
    scale = float(look["pore_um"])
    if scale <= 0:
        return 0.0
    value = noise(tile, y / scale + 101, x / scale + 47) + 0.5 * noise(tile, 2.3 * y / scale + 13, 2.3 * x / scale + 19)
    limit = look["pore_cut"]
    edge = 0.08 + 1.2 * pitch / scale
    near = step(value - limit, edge)
    blend = min(1.0, 1.5 * pitch / scale - 0.5)
    if blend <= 0:
        return near
    return near + blend * (0.5 * math.erfc(limit / (1.118 * math.sqrt(2.0))) - near)


@compiled
def fat_at(tile: F32, seed: int, look: np.void, y: float, x: float, pitch: float) -> float:
    """Cover of fat vacuoles, 0 to 1: rounded cells of a jittered grid, some of them missing."""
    size = look["fat_um"]
    if size <= 0:
        return 0.0
    bend = 0.12 * size
    y += bend * noise(tile, 0.9 * y / size + 3, 0.9 * x / size + 71)
    x += bend * noise(tile, 0.9 * y / size + 37, 0.9 * x / size + 9)
    i, j = math.floor(y / size), math.floor(x / size)
    first, second, first_y, first_x, second_y, second_x, first_bits = 1e30, 1e30, 0.0, 0.0, 0.0, 0.0, 0
    for k in range(i - 1, i + 2):
        for m in range(j - 1, j + 2):
            bits = mixed(seed + _FAT, k, m)
            site_y = (k + 0.15 + 0.7 * chance(bits, 1)) * size
            site_x = (m + 0.15 + 0.7 * chance(bits, 2)) * size
            distance = (site_y - y) ** 2 + (site_x - x) ** 2
            if distance < first:
                second, second_y, second_x = first, first_y, first_x
                first, first_y, first_x, first_bits = distance, site_y, site_x, bits
            elif distance < second:
                second, second_y, second_x = distance, site_y, site_x
    if chance(first_bits, 3) > look["fat_share"]:
        return 0.0
    apart = math.sqrt((second_y - first_y) ** 2 + (second_x - first_x) ** 2) + 1e-6
    to_wall = (second - first) / (2 * apart) - look["fat_wall_um"]
    radius = size * (0.42 + 0.24 * chance(first_bits, 4))
    inside = min(to_wall, radius - math.sqrt(first))
    return step(inside, max(1.0, pitch))


@compiled
def _fibres(
    tile: F32, seed: int, look: np.void, patch: np.void, y: float, x: float, pitch: float
) -> tuple[float, float]:
    """Factor of eosin from fibres, and cover of the gaps between their bundles."""
    along = x * patch["cosine"] + y * patch["sine"]
    across = y * patch["cosine"] - x * patch["sine"]
    wave = look["fibre_wave"]
    across += wave * 30 * noise(tile, along / 170 + 7, across / 170 + 77) + wave * 6 * noise(
        tile, along / 37, across / 37
    )
    scale = look["fibre_um"]
    streak = noise(tile, across / scale + 23, along / (9 * scale) + 51)
    factor = 1 + look["fibre"] * streak * _kept(pitch, scale)
    gap = 0.0
    bundle = look["bundle_um"]
    if bundle > 0:
        place = across / bundle + 0.35 * noise(tile, across / (2.5 * bundle) + 91, along / (14 * bundle) + 15)
        number = math.floor(place)
        inside = abs(place - number - 0.5)
        opening = look["cleft"] * (0.6 + 0.8 * chance(mixed(seed + _BUNDLE, int(number), 3), 1))
        opening *= max(0.0, 1 + noise(tile, across / bundle + 3, along / (7 * bundle) + 33))
        if opening > 0:
            gap = step((inside - 0.5 + opening) * bundle, max(1.0, pitch)) * min(1.0, bundle / pitch)
        factor *= 0.9 + 0.2 * chance(mixed(seed + _BUNDLE, int(number), 5), 2)
    return factor, gap


@compiled
def beam_at(tile: F32, look: np.void, patch: np.void, y: float, x: float, pitch: float) -> tuple[float, float]:
    """Cover of grown bone, and of the gap that shrinking leaves beside it; both 0 to 1."""
    width = max(look["beam_least"], look["beam"] * patch["beam"])
    if width <= 0:
        return 0.0, 0.0
    bend = 0.13 * noise(tile, y / 170 + 5, x / 170 + 21) + 0.014 * noise(tile, y / 30 + 2, x / 30 + 73)
    value = abs(noise(tile, y / _BEAM_UM + 97 + bend, x / _BEAM_UM + 53 - bend))
    width *= max(0.15, 1 + 0.4 * noise(tile, y / 800 + 19, x / 800 + 39))
    coarse = pitch / _BEAM_UM
    edge = 0.008 + 0.6 * coarse
    cover = _band(value, width, edge, coarse)
    gap = patch["gap"] * max(0.0, 0.5 + noise(tile, y / 210 + 65, x / 210 + 35))
    if gap <= 0.004:
        return cover, 0.0
    return cover, max(0.0, _band(value, width + gap, edge, coarse) - cover)


@compiled
def _tear_at(tile: F32, patch: np.void, y: float, x: float, pitch: float) -> float:
    """Cover of holes and tears of the section, 0 to 1."""
    if patch["tear"] > _NEVER:
        return 0.0
    value = noise(tile, y / 240 + 30, x / 240 + 85) + 0.22 * noise(tile, y / 36 + 22, x / 36 + 67)
    return step(value - patch["tear"], 0.02 + 1.2 * pitch / 240)


@compiled
def _bone(tile: F32, patch: np.void, y: float, x: float, pitch: float) -> tuple[float, float, float]:
    """Densities of haematoxylin, eosin and red of grown bone: sheets, cement lines, mineral left at places."""
    along = x * patch["cosine"] + y * patch["sine"]
    across = y * patch["cosine"] - x * patch["sine"]
    across += 34 * noise(tile, y / 190 + 7, x / 190 + 17) + 3 * noise(tile, y / 40, x / 40 + 25)
    sheets = (
        0.11
        * math.cos(across * (2 * math.pi / 8.5))
        * _kept(pitch, 4.0)
        * (0.6 + 0.6 * noise(tile, y / 120 + 43, x / 120 + 27))
    )
    streaks = 0.08 * noise(tile, across / 7 + 47, along / 90 + 36) * _kept(pitch, 7.0)
    cloud = 0.14 * noise(tile, y / 160 + 58, x / 160 + 14) + 0.05 * noise(tile, y / 3, x / 3) * _kept(pitch, 3.0)
    cement = _band(noise(tile, y / 170 + 81, x / 170 + 46), 0.012, 0.012 + 0.6 * pitch / 170, pitch / 170)
    basic = max(0.0, noise(tile, y / 260 + 92, x / 260 + 6) - 1.0)
    eosin = 0.36 * patch["stain_e"] * max(0.3, 1 + sheets + streaks + cloud)
    red = eosin * patch["red"]
    return 0.035 + 0.10 * cement + 0.20 * min(1.2, basic), eosin - 0.6 * red, red


@compiled
def _osteoid(tile: F32, look: np.void, patch: np.void, y: float, x: float, pitch: float) -> tuple[float, float]:
    """Densities of haematoxylin and eosin of osteoid, some of it calcified."""
    scale = look["lace_um"]
    sheet = (
        1
        + 0.12 * noise(tile, y / 9 + 1, x / 9 + 8) * _kept(pitch, 9.0)
        + 0.15 * noise(tile, y / (0.5 * scale) + 55, x / (0.2 * scale) + 12) * _kept(pitch, 0.2 * scale)
    )
    lace_h, lace_e = look["lace_h"] * sheet, look["lace_e"] * sheet * patch["stain_e"]
    mineral = look["lace_mineral"] * patch["mineral"]
    if mineral > 0:
        speck = noise(tile, 0.45 * y / scale + 75, 0.45 * x / scale + 99)
        speck += 0.3 * noise(tile, y / 6 + 4, x / 6) * _kept(pitch, 6.0)
        chalk = min(1.0, max(0.0, 1.6 * (speck - 1.1 + 0.7 * mineral)))
        lace_h += 0.4 * chalk * min(1.0, mineral) * (1 + 0.35 * noise(tile, y / 2.5, x / 2.5 + 66) * _kept(pitch, 2.5))
    return lace_h, lace_e


@compiled
def _matrix(
    tile: F32, seed: int, look: np.void, patch: np.void, y: float, x: float, pitch: float
) -> tuple[float, float, float, float]:
    """Densities of haematoxylin, eosin and blood at a place, and the share that is open glass."""
    beam, gap = beam_at(tile, look, patch, y, x, pitch)
    tear = _tear_at(tile, patch, y, x, pitch)
    if beam > 0.999:
        bone_h, bone_e, bone_r = _bone(tile, patch, y, x, pitch)
        return bone_h, bone_e, bone_r, 0.0
    scale = look["cloud_um"]
    cloud = noise(tile, y / scale + 9, x / scale + 2) * _kept(pitch, scale)
    grain = noise(tile, y / look["grain_um"] + 1, x / look["grain_um"] + 8) * _kept(pitch, look["grain_um"])
    other = noise(tile, 0.6 * y / scale + 63, 0.6 * x / scale + 44)
    factor = max(0.15, 1 + look["cloud"] * cloud + look["grain"] * grain)
    h = look["h"] * max(0.0, 1 + look["cloud"] * other) * factor * patch["stain_h"]
    e = look["e"] * factor * patch["stain_e"]
    r = look["r"] * factor
    glass = 0.0
    if look["fibre"] > 0:
        of_fibres, glass = _fibres(tile, seed, look, patch, y, x, pitch)
        e *= max(0.2, of_fibres)
        h *= max(0.2, of_fibres)
    glass = max(glass, fat_at(tile, seed, look, y, x, pitch), pore_at(tile, look, y, x, pitch))
    lace = lace_at(tile, look, patch, y, x, pitch)
    if lace > 0:
        lace_h, lace_e = _osteoid(tile, look, patch, y, x, pitch)
        h += lace * (lace_h - h)
        e += lace * (lace_e - e)
        r *= 1 - lace
        glass *= 1 - lace
    glass = max(glass, gap, tear)
    if beam > 0:
        bone_h, bone_e, bone_r = _bone(tile, patch, y, x, pitch)
        h += beam * (bone_h - h)
        e += beam * (bone_e - e)
        r += beam * (bone_r - r)
        glass *= 1 - beam
    return h, e, r, glass


@compiled
def is_open(tile: F32, seed: int, look: np.void, patch: np.void, y: float, x: float) -> bool:
    """Whether there is a hole, where no cell is."""
    if _tear_at(tile, patch, y, x, 1.0) > 0.3 or fat_at(tile, seed, look, y, x, 1.0) > 0.3:
        return True
    return pore_at(tile, look, y, x, 1.0) > 0.6


@compiled
def draw_ground(
    ground: Ground, place: tuple[int, int, float], stains: F64, light: F32, kinds: NDArray[np.uint8]
) -> None:
    """Fill in the light that comes through, before cells are drawn.

    Args:
        ground: the slide.
        place: first row, first column, width of a pixel in um.
        stains: (4, 3) densities of red, green, blue for one of haematoxylin, eosin, blood; last the wash.
        light: (rows, columns, 3), filled with transmission from 0 to 1.
        kinds: (rows, columns), filled with classes.
    """
    top, left, pitch = place
    ten = math.log(10.0)
    tile, seed, blurs, patches, looks = ground.tile, ground.seed, ground.blurs, ground.patches, ground.looks
    fields, field_um, cuts, wobble, sites, site_um = (
        ground.fields, ground.field_um, ground.cuts, ground.wobble, ground.sites, ground.site_um
    )  # fmt: skip
    for i in range(light.shape[0]):
        y = (top + i + 0.5) * pitch
        for j in range(light.shape[1]):
            x = (left + j + 0.5) * pitch
            kind = class_of(tile, fields, field_um, cuts, wobble, y, x)
            kinds[i, j] = kind
            if kind == BACKGROUND:
                light[i, j, 0] = light[i, j, 1] = light[i, j, 2] = 1.0
                continue
            patch = patches[patch_of(tile, sites, site_um, y, x)]
            look = looks[look_index(patch, kind)]
            seen = math.sqrt(pitch * pitch + blur_at(blurs, y, x) ** 2)
            h, e, r, glass = _matrix(tile, seed, look, patch, y, x, seen)
            for c in range(3):
                density = h * stains[0, c] + e * stains[1, c] + r * stains[2, c] + stains[3, c]
                light[i, j, c] = glass + (1 - glass) * math.exp(-ten * density)
