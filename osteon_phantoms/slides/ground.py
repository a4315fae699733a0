"""Where on a synthetic slide which class is: smooth fields cut at the shares that were asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - numba ignores annotations, readers do not

from osteon._compiled import compiled
from osteon_phantoms.slides.appearance import appearances, draw_patches
from osteon_phantoms.slides.noise import F32, F64, make_tile, noise

if TYPE_CHECKING:
    from osteon_phantoms.slides.spec import SlideSpec

__all__ = [
    "BACKGROUND", "NON_TUMOUR", "NON_VIABLE", "Ground", "class_of", "classes", "classes_of", "make_ground", "patch_of",
]  # fmt: skip

BACKGROUND: Final = 0
NON_TUMOUR: Final = 1
NON_VIABLE: Final = 2
VIABLE: Final = 3

_MOST_FIELD: Final = 1536
"""Rows or columns of a field at most; a slide too large for it has its fields drawn coarser."""
_FIELD_UM: Final = 32.0
_SITE_UM: Final = 2200.0
_WOBBLE_UM: Final = 45.0
_WOBBLE_DEPTH_UM: Final = 22.0
_SAMPLES: Final = 1_500_000
"""Places at which the fields are looked at to find where to cut them."""


class Ground(NamedTuple):
    """What the compiled loops need to know of a slide.

    Attributes:
        seed: of everything drawn in place.
        tile: seamless noise.
        fields: (rows, columns, 3) float32: tissue, tumour, necrosis.
        field_um: width of a cell of them.
        cuts: (3,) above which there is tissue, tumour, necrosis.
        wobble: (3,) how far noise shifts the fields, in their units.
        sites: (rows, columns, 2) middles of patches, um.
        site_um: width of a cell that holds one of them.
        patches: (rows x columns,) structured: how tissue of each class looks there.
        looks: the looks that they name.
        blurs: (n, 4) row, column, radius, strength of places out of focus, um.
    """

    seed: int
    tile: F32
    fields: F32
    field_um: float
    cuts: F64
    wobble: F64
    sites: F64
    site_um: float
    patches: NDArray[np.void]
    looks: NDArray[np.void]
    blurs: F64


def make_ground(spec: SlideSpec) -> Ground:
    """Draw where the regions of a slide lie."""
    generator = np.random.default_rng([spec.seed, 62])
    height, width = (side * spec.microns_per_pixel for side in spec.size)
    field_um = max(min(_FIELD_UM, spec.region_um / 12), max(height, width) / _MOST_FIELD)
    shape = (math.ceil(height / field_um) + 2, math.ceil(width / field_um) + 2)
    sigma = spec.region_um / field_um / 3
    fields = np.ascontiguousarray(np.stack([
        _island(shape) + 0.22 * _smooth(generator, shape, max(sigma / 2, 0.05 * max(shape))),
        _smooth(generator, shape, sigma * 1.2) + 0.35 * _smooth(generator, shape, sigma * 0.4),
        _smooth(generator, shape, sigma) + 0.45 * _smooth(generator, shape, sigma * 0.35),
    ], axis=-1), dtype=np.float32)  # fmt: skip
    wobble = _WOBBLE_DEPTH_UM * np.array([0.2 / spec.region_um * 3, 3 / spec.region_um, 3 / spec.region_um])
    rows, columns = (math.ceil(side / _SITE_UM) + 2 for side in (height, width))
    sites = (np.moveaxis(np.indices((rows, columns)), 0, -1) - 1 + generator.uniform(0.1, 0.9, (rows, columns, 2))) * (
        _SITE_UM
    )
    ground = Ground(
        seed=int(generator.integers(1, 2**31)),
        tile=make_tile(spec.seed),
        fields=fields,
        field_um=field_um,
        cuts=np.full(3, -np.inf),
        wobble=wobble,
        sites=sites,
        site_um=_SITE_UM,
        patches=draw_patches(generator, rows * columns, spec.habit),
        looks=appearances(spec.habit),
        blurs=_draw_blurs(generator, spec, height, width),
    )
    return ground._replace(cuts=_find_cuts(ground, spec, height, width))


def _smooth(generator: np.random.Generator, shape: tuple[int, int], sigma: float) -> F64:
    """Noise as smooth as asked for, mean 0 and standard deviation 1 of the endless field it is cut from."""
    from scipy.ndimage import gaussian_filter

    pad = math.ceil(3 * sigma)
    drawn = generator.standard_normal((shape[0] + 2 * pad, shape[1] + 2 * pad), dtype=np.float32)
    smooth = gaussian_filter(drawn, sigma, mode="wrap", truncate=3)
    return np.asarray(smooth[pad:-pad, pad:-pad] * (2 * math.sqrt(math.pi) * sigma), dtype=np.float64)


def _island(shape: tuple[int, int]) -> F64:
    """Highest in the middle of the slide: tissue is there, with glass around it."""
    y, x = (np.abs(np.linspace(-1, 1, size)) ** 3 for size in shape)
    return np.asarray(-((y[:, None] + x[None, :]) ** (1 / 3)), dtype=np.float64)


def _draw_blurs(generator: np.random.Generator, spec: SlideSpec, height: float, width: float) -> F64:
    blurs = np.zeros((spec.blurs, 4))
    for blur in blurs:
        blur[:] = (
            generator.uniform(0.2, 0.8) * height,
            generator.uniform(0.2, 0.8) * width,
            generator.uniform(0.1, 0.2) * min(height, width),
            generator.uniform(5, 14),
        )
    return blurs


def _find_cuts(ground: Ground, spec: SlideSpec, height: float, width: float) -> F64:
    """Where to cut each field so that the shares come out, looking at places between those counted later."""
    pitch = max(4.0, math.sqrt(height * width / _SAMPLES))
    values = np.empty((max(1, round(height / pitch)), max(1, round(width / pitch)), 3), dtype=np.float32)
    _field_values(ground, height / values.shape[0], width / values.shape[1], values)
    flat = values.reshape(-1, 3)
    cuts = np.full(3, -np.inf)
    for index, share in enumerate((spec.tissue_share, spec.tumour_share, spec.necrosis_fraction)):
        if share <= 0 or not len(flat):
            cuts[index] = np.inf
            if index < 2:
                break
        elif share < 1:
            cuts[index] = float(np.quantile(flat[:, index], 1 - share))
        flat = flat[flat[:, index] >= cuts[index]]
    return cuts


@compiled
def _values(fields: F32, field_um: float, y: float, x: float) -> tuple[float, float, float]:
    """The three fields at a place in um."""
    scale = 1 / field_um
    fy = min(max(y * scale, 0.0), fields.shape[0] - 1.001)
    fx = min(max(x * scale, 0.0), fields.shape[1] - 1.001)
    i, j = int(fy), int(fx)
    wy, wx = fy - i, fx - j
    a, b, c, d = (1 - wy) * (1 - wx), (1 - wy) * wx, wy * (1 - wx), wy * wx
    return (
        a * fields[i, j, 0] + b * fields[i, j + 1, 0] + c * fields[i + 1, j, 0] + d * fields[i + 1, j + 1, 0],
        a * fields[i, j, 1] + b * fields[i, j + 1, 1] + c * fields[i + 1, j, 1] + d * fields[i + 1, j + 1, 1],
        a * fields[i, j, 2] + b * fields[i, j + 1, 2] + c * fields[i + 1, j, 2] + d * fields[i + 1, j + 1, 2],
    )


@compiled
def _wobble(tile: F32, y: float, x: float) -> float:
    y, x = y * (1.0 / _WOBBLE_UM), x * (1.0 / _WOBBLE_UM)
    return noise(tile, y, x) + 0.5 * noise(tile, y * 2.7 + 31, x * 2.7 + 7)


@compiled
def _field_values(ground: Ground, step_y: float, step_x: float, values: F32) -> None:
    tile, fields, wobble = ground.tile, ground.fields, ground.wobble
    for i in range(values.shape[0]):
        y = (i + 0.5) * step_y
        for j in range(values.shape[1]):
            x = (j + 0.5) * step_x
            shift = _wobble(tile, y, x)
            tissue, tumour, necrosis = _values(fields, ground.field_um, y, x)
            values[i, j, 0] = tissue + shift * wobble[0]
            values[i, j, 1] = tumour + shift * wobble[1]
            values[i, j, 2] = necrosis + shift * wobble[2]


@compiled
def class_of(tile: F32, fields: F32, field_um: float, cuts: F64, wobble: F64, y: float, x: float) -> int:
    """The class at a place in um, from the parts of a ``Ground``: to hand over all of it costs more than to look.

    The slide's edge is not looked at.
    """
    shift = _wobble(tile, y, x)
    tissue, tumour, necrosis = _values(fields, field_um, y, x)
    if tissue + shift * wobble[0] < cuts[0]:
        return BACKGROUND
    if tumour + shift * wobble[1] < cuts[1]:
        return NON_TUMOUR
    if necrosis + shift * wobble[2] < cuts[2]:
        return VIABLE
    return NON_VIABLE


@compiled
def classes(ground: Ground, y: F64, x: F64, out: NDArray[np.uint8]) -> None:
    """The classes at a grid of rows and columns in um."""
    tile, fields, field_um, cuts, wobble = ground.tile, ground.fields, ground.field_um, ground.cuts, ground.wobble
    for i in range(len(y)):
        for j in range(len(x)):
            out[i, j] = class_of(tile, fields, field_um, cuts, wobble, y[i], x[j])


@compiled
def classes_of(ground: Ground, y: F64, x: F64, out: NDArray[np.uint8]) -> None:
    """The classes of places in um, one by one."""
    tile, fields, field_um, cuts, wobble = ground.tile, ground.fields, ground.field_um, ground.cuts, ground.wobble
    for i in range(len(y)):
        out[i] = class_of(tile, fields, field_um, cuts, wobble, y[i], x[i])


@compiled
def patch_of(tile: F32, sites: F64, site_um: float, y: float, x: float) -> int:
    """The patch whose middle is nearest, borders being ragged, from the parts of a ``Ground``."""
    scale = 1.0 / 60.0
    y += 40 * noise(tile, y * scale + 11, x * scale + 3)
    x += 40 * noise(tile, y * scale + 57, x * scale + 89)
    rows, columns = sites.shape[0], sites.shape[1]
    i, j = math.floor(y / site_um) + 1, math.floor(x / site_um) + 1
    best, found = 1e30, 0
    for k in range(max(0, i - 1), min(rows, i + 2)):
        for m in range(max(0, j - 1), min(columns, j + 2)):
            distance = (sites[k, m, 0] - y) ** 2 + (sites[k, m, 1] - x) ** 2
            if distance < best:
                best, found = distance, k * columns + m
    return found
