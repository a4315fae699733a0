"""The cells of a synthetic slide, compiled: each is drawn where chance of its place puts it, whatever part is read.

Cells lie on a jittered grid. They are drawn in the order of that grid, so that a pixel goes through the same
multiplications in the same order from whatever rectangle it is read.
"""

from __future__ import annotations

import math

from osteon._compiled import compiled
from osteon_phantoms.slides.ground import BACKGROUND, Ground, class_of, patch_of
from osteon_phantoms.slides.matrix import beam_at, blur_at, is_open, lace_at, look_index
from osteon_phantoms.slides.noise import F32, F64, chance, mixed, noise, step

__all__ = ["draw_cells", "draw_small", "draw_vessels"]

_LONGEST_UM = 20.0
_REACH_UM = 46.0
"""How far the largest cell reaches from its middle, in focus."""

_RGB = tuple[float, float, float]
_Spot = tuple[int, int, float, float]
"""First row, first column, width of a pixel, how many cells one stands for."""
_Outline = tuple[float, float, float, float, float, float, float]
"""Row, column, half axes, cosine and sine of the long one, depth of the lobes."""

_CELL_UM = 9.0
_SMALL_UM = 6.0
_VESSEL_UM = 160.0
_CELLS, _SMALLS, _VESSELS = 81, 82, 83
_BONE_CELLS = 230
_LOG_TEN = math.log(10.0)


@compiled
def _tint(light: F32, i: int, j: int, cover: float, through: _RGB) -> None:
    """Let a share of a pixel's light through a coloured film."""
    light[i, j, 0] *= 1 - cover * (1 - through[0])
    light[i, j, 1] *= 1 - cover * (1 - through[1])
    light[i, j, 2] *= 1 - cover * (1 - through[2])


@compiled
def _film(stains: F64, h: float, e: float, r: float) -> _RGB:
    """Transmission of red, green and blue through densities of the three stains."""
    return (
        math.exp(-_LOG_TEN * (h * stains[0, 0] + e * stains[1, 0] + r * stains[2, 0])),
        math.exp(-_LOG_TEN * (h * stains[0, 1] + e * stains[1, 1] + r * stains[2, 1])),
        math.exp(-_LOG_TEN * (h * stains[0, 2] + e * stains[1, 2] + r * stains[2, 2])),
    )


@compiled
def _dot(light: F32, place: _Spot, y: float, x: float, area: float, through: _RGB) -> None:
    """Spread what is smaller than a pixel over its four neighbours."""
    top, left, pitch, _ = place
    fy, fx = y / pitch - 0.5 - top, x / pitch - 0.5 - left
    i, j = math.floor(fy), math.floor(fx)
    wy, wx = fy - i, fx - j
    cover = area / (pitch * pitch) * place[3]
    for k in range(2):
        for m in range(2):
            row, column = i + k, j + m
            if 0 <= row < light.shape[0] and 0 <= column < light.shape[1]:
                share = (wy if k else 1 - wy) * (wx if m else 1 - wx)
                _tint(light, row, column, min(1.0, cover * share), through)


@compiled
def _blob(
    light: F32, place: _Spot, shape: _Outline, seen: float, through: _RGB, texture: tuple[float, float, F32]
) -> None:
    """Draw a filled outline, an ellipse with three lobes, whose edge is seen over a width, as a film.

    The texture is: share of the film that is its rim only, depth of the grain in it, noise.
    """
    y, x, long, short, cosine, sine, lobes = shape
    top, left, pitch, _ = place
    ring, grain, tile = texture
    if short < 0.75 * seen:
        area = long * short * (1 - 0.5 * ring)
        if seen < 1.5 * pitch:
            _dot(light, place, y, x, math.pi * area, through)
            return
        # out of focus: as much film, spread over a wider disc
        long, short, ring, grain = 0.75 * seen + long, 0.75 * seen + short, 0.0, 0.0
        thin = area / (long * short)
        through = (1 - thin * (1 - through[0]), 1 - thin * (1 - through[1]), 1 - thin * (1 - through[2]))
    reach = long * (1 + lobes) + seen
    low_i, high_i = math.floor((y - reach) / pitch) - top, math.ceil((y + reach) / pitch) - top
    low_j, high_j = math.floor((x - reach) / pitch) - left, math.ceil((x + reach) / pitch) - left
    middle = 0.5 * (long + short)
    for i in range(max(0, low_i), min(light.shape[0], high_i + 1)):
        dy = (top + i + 0.5) * pitch - y
        for j in range(max(0, low_j), min(light.shape[1], high_j + 1)):
            dx = (left + j + 0.5) * pitch - x
            u = (dx * cosine + dy * sine) / long
            v = (dy * cosine - dx * sine) / short
            radius = math.sqrt(u * u + v * v)
            bulge = 1.0
            if lobes > 0 and radius > 0.2:
                c = u / radius
                bulge += lobes * (4 * c * c * c - 3 * c)
            cover = step((bulge - radius) * min(middle, 2 * short), seen)
            if cover <= 0:
                continue
            if ring > 0:
                cover *= 1 - ring * min(1.0, max(0.0, 1.35 * (bulge - radius) / bulge))
            if grain > 0:
                cover *= 1 + grain * max(-1.0, min(0.0, noise(tile, (y + dy) / 1.1, (x + dx) / 1.1)))
            _tint(light, i, j, cover, through)


@compiled
def _margin(ground: Ground, pitch: float) -> float:
    """How far outside a rectangle cells must be looked for."""
    blur = 0.0
    for index in range(len(ground.blurs)):
        blur = max(blur, ground.blurs[index, 3])
    return _REACH_UM + 2 * math.sqrt(pitch * pitch + blur * blur)


@compiled
def _stride(pitch: float, cell_um: float) -> int:
    """Every N-th cell is drawn and stands for N; N is 1 but in pixels much wider than a cell."""
    return max(1, math.floor(pitch / (1.7 * cell_um)))


@compiled
def _bell(bits: int, number: int) -> float:
    """A number of mean 0 and standard deviation 1, nearly normal, within 3."""
    total = chance(bits, number) + chance(bits, number + 1) + chance(bits, number + 2)
    return (total - 1.5) * 2.0


@compiled
def _bone_cell(
    ground: Ground, place: _Spot, stains: F64, light: F32, where: tuple[float, float, float, float], bits: int
) -> None:
    """Draw a cell of bone: a small nucleus in a slit that is mostly open."""
    y, x, cosine, sine = where
    seen = max(0.8, math.sqrt(place[2] * place[2] + blur_at(ground.blurs, y, x) ** 2))
    tilt = 0.35 * _bell(bits, 40)
    turned = cosine * math.cos(tilt) - sine * math.sin(tilt), sine * math.cos(tilt) + cosine * math.sin(tilt)
    size = 1 + 0.2 * _bell(bits, 20)
    nothing = (0.0, 0.0, ground.tile)
    opened = _film(stains, -0.03, -0.30, 0.0)
    _blob(light, place, (y, x, 7.5 * size, 3.2 * size, turned[0], turned[1], 0.1), seen, opened, nothing)
    if chance(bits, 4) < 0.75:
        film = _film(stains, 0.55, 0.2, 0.0)
        _blob(light, place, (y + 0.6, x + 0.6, 4.4 * size, 1.9 * size, turned[0], turned[1], 0.0), seen, film, nothing)


@compiled
def _cell(
    ground: Ground,
    place: _Spot,
    stains: F64,
    light: F32,
    where: tuple[float, float, int, int],
    bits: int,
    is_in_lace: bool,  # noqa: FBT001 - compiled code has no keywords
) -> None:
    """Draw a cell: its body, then its nucleus. ``where`` is row, column, patch, look."""
    y, x, patch_number, look_number = where
    patch, look = ground.patches[patch_number], ground.looks[look_number]
    seen = math.sqrt(place[2] * place[2] + blur_at(ground.blurs, y, x) ** 2)
    size = look["nucleus_um"] * patch["nucleus"] * math.exp(look["nucleus_cv"] * _bell(bits, 10))
    aspect = max(1.0, look["aspect"] * math.exp(0.3 * _bell(bits, 20)))
    dark = max(0.25, 1 + look["nucleus_h_cv"] * _bell(bits, 30))
    lobes = look["lobes"] * chance(bits, 5)
    turn = math.pi * chance(bits, 6)
    if is_in_lace:
        size, aspect, lobes = 2.6, 1.8, 0.0
    cosine, sine = math.cos(turn), math.sin(turn)
    if chance(bits, 7) < look["align"]:
        tilt = 0.22 * _bell(bits, 40) + 0.5 * noise(ground.tile, y / 170, x / 170 + 70)
        cosine = patch["cosine"] * math.cos(tilt) - patch["sine"] * math.sin(tilt)
        sine = patch["sine"] * math.cos(tilt) + patch["cosine"] * math.sin(tilt)
    long = min(size * math.sqrt(aspect), _LONGEST_UM)
    short = min(size / math.sqrt(aspect), _LONGEST_UM)
    body = look["body"]
    if body > 0 and not is_in_lace:
        wide = min(body, 36.0 / long)
        shift = 0.4 * (wide - 1) * short
        at_y, at_x = y + shift * (chance(bits, 8) - 0.5), x + shift * (chance(bits, 9) - 0.5)
        outline = (at_y, at_x, long * wide, short * wide, cosine, sine, 0.5 * lobes)
        film = _film(stains, look["body_h"] * dark, look["body_e"] * dark, 0.0)
        _blob(light, place, outline, max(seen, 2.0), film, (0.0, 0.0, ground.tile))
    grain = 0.35 if seen < 2 else 0.0
    film = _film(stains, look["nucleus_h"] * dark, look["nucleus_e"], 0.0)
    _blob(
        light, place, (y, x, long, short, cosine, sine, lobes), max(seen, 0.8), film, (look["ring"], grain, ground.tile)
    )


@compiled
def draw_cells(ground: Ground, place: tuple[int, int, float], stains: F64, light: F32) -> None:
    """Draw cell bodies and nuclei."""
    top, left, pitch = place
    tile, seed, fields, patches, looks = ground.tile, ground.seed, ground.fields, ground.patches, ground.looks
    cuts, wobble, sites = ground.cuts, ground.wobble, ground.sites
    margin = _margin(ground, pitch)
    every = _stride(pitch, _CELL_UM)
    spot = (top, left, pitch, float(every * every))
    low_k = math.floor((top * pitch - margin) / _CELL_UM / every) * every
    high_k = math.ceil(((top + light.shape[0]) * pitch + margin) / _CELL_UM)
    low_m = math.floor((left * pitch - margin) / _CELL_UM / every) * every
    high_m = math.ceil(((left + light.shape[1]) * pitch + margin) / _CELL_UM)
    area = 1e-6 * _CELL_UM * _CELL_UM
    for k in range(low_k, high_k, every):
        for m in range(low_m, high_m, every):
            bits = mixed(seed + _CELLS, k, m)
            y, x = (k + every * chance(bits, 1)) * _CELL_UM, (m + every * chance(bits, 2)) * _CELL_UM
            kind = class_of(tile, fields, ground.field_um, cuts, wobble, y, x)
            if kind == BACKGROUND:
                continue
            patch_number = patch_of(tile, sites, ground.site_um, y, x)
            patch = patches[patch_number]
            look_number = look_index(patch, kind)
            look = looks[look_number]
            wanted = look["density"] * area * patch["cells"]
            wanted *= max(0.0, 1 + look["cluster"] * noise(tile, y / 90 + 5, x / 90 + 50))
            drawn = chance(bits, 3)
            if drawn > max(wanted, look["lace_cells"] * area, _BONE_CELLS * area):
                continue
            bone, gap = beam_at(tile, look, patch, y, x, 1.0)
            if bone > 0.05:
                if bone > 0.95 and drawn < _BONE_CELLS * area:
                    _bone_cell(ground, spot, stains, light, (y, x, patch["cosine"], patch["sine"]), bits)
                continue
            is_in_lace = lace_at(tile, look, patch, y, x, 1.0) > 0.35
            if drawn > (look["lace_cells"] * area if is_in_lace else wanted):
                continue
            if gap > 0.3 or (not is_in_lace and is_open(tile, seed, look, patch, y, x)):
                continue
            _cell(ground, spot, stains, light, (y, x, patch_number, look_number), bits, is_in_lace)


@compiled
def draw_small(ground: Ground, place: tuple[int, int, float], stains: F64, light: F32) -> None:
    """Draw what is small and round: red cells, lymphocytes, crumbs of dead nuclei."""
    top, left, pitch = place
    tile, seed, fields, patches, looks = ground.tile, ground.seed, ground.fields, ground.patches, ground.looks
    cuts, wobble, sites = ground.cuts, ground.wobble, ground.sites
    margin = _margin(ground, pitch)
    every = _stride(pitch, _SMALL_UM)
    spot = (top, left, pitch, float(every * every))
    low_k = math.floor((top * pitch - margin) / _SMALL_UM / every) * every
    high_k = math.ceil(((top + light.shape[0]) * pitch + margin) / _SMALL_UM)
    low_m = math.floor((left * pitch - margin) / _SMALL_UM / every) * every
    high_m = math.ceil(((left + light.shape[1]) * pitch + margin) / _SMALL_UM)
    nothing = (0.0, 0.0, tile)
    for k in range(low_k, high_k, every):
        for m in range(low_m, high_m, every):
            bits = mixed(seed + _SMALLS, k, m)
            drawn = chance(bits, 3)
            if drawn > 0.75:
                continue
            y, x = (k + every * chance(bits, 1)) * _SMALL_UM, (m + every * chance(bits, 2)) * _SMALL_UM
            kind = class_of(tile, fields, ground.field_um, cuts, wobble, y, x)
            if kind == BACKGROUND:
                continue
            patch = patches[patch_of(tile, sites, ground.site_um, y, x)]
            look = looks[look_index(patch, kind)]
            wanted = look["small_density"] * 1e-6 * _SMALL_UM * _SMALL_UM
            wanted *= max(0.0, 1 + look["small_cluster"] * noise(tile, y / 70 + 88, x / 70 + 20))
            if drawn > wanted or lace_at(tile, look, patch, y, x, 1.0) > 0.5 or is_open(tile, seed, look, patch, y, x):
                continue
            bone, gap = beam_at(tile, look, patch, y, x, 1.0)
            if bone + gap > 0.3:
                continue
            seen = math.sqrt(pitch * pitch + blur_at(ground.blurs, y, x) ** 2)
            size = look["small_um"] * math.exp(0.25 * _bell(bits, 10))
            film = _film(stains, look["small_h"], look["small_e"], look["small_r"])
            _blob(light, spot, (y, x, size * 1.1, size, 1.0, 0.0, 0.0), max(seen, 0.8), film, nothing)


@compiled
def draw_vessels(ground: Ground, place: tuple[int, int, float], stains: F64, light: F32) -> None:
    """Draw vessels: a wall, an open lumen, in some of them blood. They cover what is below."""
    top, left, pitch = place
    tile, seed, fields, patches, looks = ground.tile, ground.seed, ground.fields, ground.patches, ground.looks
    cuts, wobble, sites = ground.cuts, ground.wobble, ground.sites
    low_k = math.floor((top * pitch - 2 * _VESSEL_UM) / _VESSEL_UM)
    high_k = math.ceil(((top + light.shape[0]) * pitch + 2 * _VESSEL_UM) / _VESSEL_UM)
    low_m = math.floor((left * pitch - 2 * _VESSEL_UM) / _VESSEL_UM)
    high_m = math.ceil(((left + light.shape[1]) * pitch + 2 * _VESSEL_UM) / _VESSEL_UM)
    for k in range(low_k, high_k):
        for m in range(low_m, high_m):
            bits = mixed(seed + _VESSELS, k, m)
            y, x = (k + chance(bits, 1)) * _VESSEL_UM, (m + chance(bits, 2)) * _VESSEL_UM
            kind = class_of(tile, fields, ground.field_um, cuts, wobble, y, x)
            if kind == BACKGROUND:
                continue
            patch = patches[patch_of(tile, sites, ground.site_um, y, x)]
            look = looks[look_index(patch, kind)]
            if chance(bits, 3) > look["vessel_density"] * 1e-6 * _VESSEL_UM * _VESSEL_UM:
                continue
            bone, gap = beam_at(tile, look, patch, y, x, 1.0)
            if bone + gap > 0.05 or lace_at(tile, look, patch, y, x, 1.0) > 0.2:
                continue
            long = min(look["vessel_um"] * math.exp(0.5 * _bell(bits, 10)), 0.8 * _VESSEL_UM)
            turn = math.pi * chance(bits, 4)
            shape = (y, x, long, long * (0.35 + 0.6 * chance(bits, 5)), math.cos(turn), math.sin(turn))
            blood = chance(bits, 6) < look["vessel_blood"]
            seen = math.sqrt(pitch * pitch + blur_at(ground.blurs, y, x) ** 2)
            _vessel(ground, place, stains, light, shape, blood, max(seen, 1.0))


@compiled
def _vessel(
    ground: Ground,
    place: tuple[int, int, float],
    stains: F64,
    light: F32,
    shape: tuple[float, float, float, float, float, float],
    blood: bool,  # noqa: FBT001 - compiled code has no keywords
    seen: float,
) -> None:
    y, x, long, short, cosine, sine = shape
    top, left, pitch = place
    wall = 2.5 + 0.06 * long
    around = _film(stains, 0.12, 0.42, 0.0)
    reach = long * 1.2 + wall + seen
    low_i, high_i = math.floor((y - reach) / pitch) - top, math.ceil((y + reach) / pitch) - top
    low_j, high_j = math.floor((x - reach) / pitch) - left, math.ceil((x + reach) / pitch) - left
    for i in range(max(0, low_i), min(light.shape[0], high_i + 1)):
        dy = (top + i + 0.5) * pitch - y
        for j in range(max(0, low_j), min(light.shape[1], high_j + 1)):
            dx = (left + j + 0.5) * pitch - x
            dent = 1 + 0.18 * noise(ground.tile, (y + dy) / 25, (x + dx) / 25 + 31)
            u = (dx * cosine + dy * sine) / long
            v = (dy * cosine - dx * sine) / short
            inside = (dent - math.sqrt(u * u + v * v)) * short
            lumen, ring = step(inside, seen), step(inside + wall, seen)
            if ring <= 0:
                continue
            red = 0.0
            if blood:
                red = 0.5 * (1 + 0.35 * noise(ground.tile, (y + dy) / 4, (x + dx) / 4) / (1 + pitch * pitch / 16))
            through = _film(stains, 0.0, 0.3 * red, red)
            for c in range(3):
                under = light[i, j, c] + ring * (around[c] - light[i, j, c])
                light[i, j, c] = under + lumen * (through[c] - under)
