"""A made-up study of slides: patients with laboratories and tumours of their own, and tiles of every class in each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data.slide import TILE_CLASSES
from osteon.errors import InputError
from osteon_phantoms.centres import CENTRES
from osteon_phantoms.draws import in_turn
from osteon_phantoms.slide_spec import SlideSpec, random_habit, random_stain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.slide import PhantomSlide

__all__ = ["SlidePatient", "TileOptions", "TilePlace", "draw_places", "slide_cohort"]

_PATIENT, _ORDER, _PLACES = 11, 12, 13
_SLIDE_UM: Final = 9000.0
_MAP_UM: Final = 32.0
_PURE: Final = 0.9
"""Share of the tissue of a tile that its class has at least; a pathologist names a tile after what prevails."""
_SOME_TISSUE: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class TileOptions:
    """Which tiles a cohort has.

    Attributes:
        tile_um: side of a tile.
        pixels: rows and columns of a tile.
        slides: of a patient.
        tiles: of a class and slide.
        jpeg: lowest and highest quality of the JPEG files, drawn by tile; None writes PNG.
    """

    tile_um: float = 1024.0
    pixels: int = 1024
    slides: int = 3
    tiles: int = 3
    jpeg: tuple[int, int] | None = (80, 95)

    def __post_init__(self) -> None:
        """Refuse what gives no tiles."""
        if not (100 <= self.tile_um <= 3000 and 0.1 <= self.tile_um / max(1, self.pixels) <= 8):
            raise InputError(
                "tiles are 100 to 3000 um wide, in pixels of 0.1 to 8 um; found "
                f"{self.tile_um:g} um in {self.pixels} pixels"
            )
        if not (1 <= self.slides <= 50 and 1 <= self.tiles <= 50):
            raise InputError(
                f"a patient has 1 to 50 slides with 1 to 50 tiles a class, found {self.slides} and {self.tiles}"
            )
        if self.jpeg is not None and not 1 <= self.jpeg[0] <= self.jpeg[1] <= 100:
            raise InputError(f"JPEG qualities lie from 1 to 100, the lower first, found {self.jpeg}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidePatient:
    """One patient of a made-up study.

    Attributes:
        patient_id: "H0001" and on.
        slides: to be drawn with ``make_slide``.
        centre: the hospital whose laboratory stained them.
    """

    patient_id: str
    slides: tuple[SlideSpec, ...]
    centre: str


@dataclass(frozen=True, slots=True)
class TilePlace:
    """Where a tile lies on a slide.

    Attributes:
        label: of ``TILE_CLASSES``.
        row: of its first pixel, level 0.
        column: likewise.
        share: of the tissue of the tile that is of its class.
        tissue: share of the tile that is tissue.
    """

    label: str
    row: int
    column: int
    share: float
    tissue: float


def slide_cohort(
    patients: int = 40, *, seed: int = 20260501, options: TileOptions | None = None
) -> tuple[SlidePatient, ...]:
    """Draw a study. Every patient has tissue of all classes, so that a stain says nothing about the class.

    A patient depends on seed and number only: a longer cohort begins with the shorter one.

    Args:
        patients: how many.
        seed: of everything.
        options: how fine the slides are, and how many a patient has.

    Raises:
        InputError: fewer than one patient or more than 9999.

    Example:
        >>> first, second = slide_cohort(2)
        >>> first.patient_id, len(first.slides), first.slides[0].stain == second.slides[0].stain
        ('H0001', 3, False)
    """
    if not 1 <= patients <= 9999:
        raise InputError(f"a cohort has 1 to 9999 patients, found {patients}")
    return tuple(_patient(number, seed, options or TileOptions()) for number in range(patients))


def _patient(number: int, seed: int, options: TileOptions) -> SlidePatient:
    generator = np.random.default_rng([seed, _PATIENT, number])
    stain, habit = random_stain(generator), random_habit(generator)
    micron = options.tile_um / options.pixels
    side = round(_SLIDE_UM / micron)
    slides = []
    for _ in range(options.slides):
        # one laboratory, but no two of its batches and sections are alike
        batch = replace(
            stain,
            haematoxylin=stain.haematoxylin * float(generator.uniform(0.88, 1.12)),
            eosin=stain.eosin * float(generator.uniform(0.88, 1.12)),
            haematoxylin_hue=float(np.clip(stain.haematoxylin_hue + generator.normal(0, 0.12), -1, 1)),
            eosin_hue=float(np.clip(stain.eosin_hue + generator.normal(0, 0.12), -1, 1)),
        )
        slides.append(
            SlideSpec(
                seed=int(generator.integers(1, 10**5)) * 10_000 + number,
                size=(side, side),
                microns_per_pixel=micron,
                tissue_share=float(generator.uniform(0.7, 0.9)),
                tumour_share=float(generator.uniform(0.55, 0.7)),
                necrosis_fraction=float(generator.uniform(0.4, 0.6)),
                region_um=float(generator.uniform(2200, 3200)),
                stain=batch,
                habit=habit,
                folds=int(generator.random() < 0.3),
                blurs=int(generator.random() < 0.3),
            )
        )
    return SlidePatient(
        patient_id=f"H{number + 1:04d}",
        slides=tuple(slides),
        centre=in_turn(CENTRES, number, seeds=(seed, _ORDER)),
    )


def draw_places(slide: PhantomSlide, options: TileOptions) -> tuple[TilePlace, ...]:
    """Draw places of tiles of every class; the same ones for the same slide and options.

    A tile is mostly of its class, may reach over the edge of the tissue, and overlaps no other by more than half.

    Returns:
        At most ``options.tiles`` of each class, in the order of the classes; fewer where the slide has no room.
    """
    side = options.tile_um / slide.spec.microns_per_pixel
    window = max(1, round(options.tile_um / _MAP_UM))
    sums = _window_sums(slide.true_map(step_um=_MAP_UM), window)
    counts = sums[..., 1:] / window**2
    tissue = counts.sum(axis=-1)
    generator = np.random.default_rng([slide.spec.seed, _PLACES])
    scale = _MAP_UM / slide.spec.microns_per_pixel
    places: list[TilePlace] = []
    for index, label in enumerate(TILE_CLASSES):
        share = counts[..., index] / np.maximum(tissue, 1e-9)
        least = np.where(generator.random(share.shape) < 0.2, _SOME_TISSUE, 0.75)
        fitting = np.argwhere((share >= _PURE) & (tissue >= least))
        found = 0
        for i, j in generator.permutation(fitting):
            row, column = round(float(i) * scale), round(float(j) * scale)
            if any(max(abs(row - other.row), abs(column - other.column)) < side / 2 for other in places):
                continue
            places.append(TilePlace(label, row, column, float(share[i, j]), float(tissue[i, j])))
            found += 1
            if found == options.tiles:
                break
    return tuple(places)


def _window_sums(kinds: NDArray[np.uint8], window: int) -> NDArray[np.int64]:
    """Numbers of places of each class in every window that lies on the map, (rows, columns, 4)."""
    layers = []
    for value in range(len(TILE_CLASSES) + 1):
        total = np.pad(np.cumsum(np.cumsum(kinds == value, axis=0), axis=1), ((1, 0), (1, 0)))
        layers.append(
            total[window:, window:] - total[:-window, window:] - total[window:, :-window] + total[:-window, :-window]
        )
    return np.stack(layers, axis=-1)
