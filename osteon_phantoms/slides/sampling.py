"""Many different stains and tumours, and a study of slides: tiles of every class of each patient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import LabelledImage
from osteon.data.slide import TILE_CLASSES
from osteon_phantoms.ct import CENTRES
from osteon_phantoms.slides.slide import make_slide
from osteon_phantoms.slides.spec import SlideHabit, SlideSpec, StainSpec
from osteon_phantoms.spec import chance, in_turn, uniform
from osteon_phantoms.study import Person

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from osteon_phantoms.slides.slide import PhantomSlide
    from osteon_phantoms.study import SlideStudy

__all__ = ["TilePlace", "draw_images", "draw_person", "draw_places", "random_habit", "random_stain"]

_PATIENT, _ORDER = 11, 12
_SLIDE_UM: Final = 9000.0
_PLACES, _JPEG = 13, 14
_MAP_UM: Final = 32.0
_PURE: Final = 0.9
"""Share of the tissue of a tile that its class has at least; a pathologist names a tile after what prevails."""
_SOME_TISSUE: Final = 0.3


def random_stain(generator: np.random.Generator) -> StainSpec:
    """A laboratory and its scanner."""
    level = uniform(generator, 234, 250)
    red, green, blue = (float(min(255.0, level + shift)) for shift in generator.normal(0, 1.5, 3))
    return StainSpec(
        haematoxylin=uniform(generator, 0.65, 1.4),
        eosin=uniform(generator, 0.6, 1.45),
        haematoxylin_hue=uniform(generator, -1, 1),
        eosin_hue=uniform(generator, -1, 1),
        glass=(red, green, blue),
        noise=uniform(generator, 0.8, 4),
        gamma=uniform(generator, 0.85, 1.15),
        wash=uniform(generator, 0, 0.08),
    )


def random_habit(generator: np.random.Generator) -> SlideHabit:
    """A patient's tumour."""
    return SlideHabit(
        cellularity=uniform(generator, 0.65, 1.3),
        nucleus_size=uniform(generator, 0.8, 1.2),
        chromatin=uniform(generator, 0.65, 1.25),
        pleomorphism=uniform(generator, 0.6, 1.5),
        osteoid=uniform(generator, 0.4, 1.6),
        mineral=uniform(generator, 0.3, 1.7),
        mummies=uniform(generator, 0.4, 1.6),
    )


def draw_person(number: int, seed: int, options: SlideStudy) -> Person[tuple[SlideSpec, ...]]:
    """One patient. All have tissue of all classes, so that a stain says nothing about the class."""
    generator = np.random.default_rng([seed, _PATIENT, number])
    stain, habit = random_stain(generator), random_habit(generator)
    micron = options.tile_um / options.size
    side = round(_SLIDE_UM / micron)
    slides = []
    for _ in range(options.slides):
        # one laboratory, but no two of its batches and sections are alike
        batch = replace(
            stain,
            haematoxylin=stain.haematoxylin * uniform(generator, 0.88, 1.12),
            eosin=stain.eosin * uniform(generator, 0.88, 1.12),
            haematoxylin_hue=float(np.clip(stain.haematoxylin_hue + generator.normal(0, 0.12), -1, 1)),
            eosin_hue=float(np.clip(stain.eosin_hue + generator.normal(0, 0.12), -1, 1)),
        )
        slides.append(
            SlideSpec(
                seed=int(generator.integers(1, 10**5)) * 10_000 + number,
                size=(side, side),
                microns_per_pixel=micron,
                tissue_share=uniform(generator, 0.7, 0.9),
                tumour_share=uniform(generator, 0.55, 0.7),
                necrosis_fraction=uniform(generator, 0.4, 0.6),
                region_um=uniform(generator, 2200, 3200),
                stain=batch,
                habit=habit,
                folds=int(chance(generator, 0.3)),
                blurs=int(chance(generator, 0.3)),
            )
        )
    centre = in_turn(CENTRES, number, seeds=(seed, _ORDER))
    return Person(patient_id=f"H{number + 1:04d}", spec=tuple(slides), label="", centre=centre)


@dataclass(frozen=True, slots=True)
class TilePlace:
    """Where a tile is on a slide.

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


def draw_places(slide: PhantomSlide, options: SlideStudy) -> tuple[TilePlace, ...]:
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
    """Numbers of places of each class in every window that is on the map, (rows, columns, 4)."""
    layers = []
    for value in range(len(TILE_CLASSES) + 1):
        total = np.pad(np.cumsum(np.cumsum(kinds == value, axis=0), axis=1), ((1, 0), (1, 0)))
        layers.append(
            total[window:, window:] - total[:-window, window:] - total[window:, :-window] + total[:-window, :-window]
        )
    return np.stack(layers, axis=-1)


def draw_images(person: Person[tuple[SlideSpec, ...]], options: SlideStudy, threads: int) -> Iterator[LabelledImage]:
    """The images of a patient, drawn when they are asked for."""
    del threads
    for number, spec in enumerate(person.spec, start=1):
        slide = make_slide(spec)
        generator = np.random.default_rng([spec.seed, _JPEG])
        for index, place in enumerate(draw_places(slide, options)):
            picture = slide.read(0, place.row, place.column, options.size, options.size)
            low, high = options.jpeg or (0, 0)
            yield LabelledImage(
                image=picture,
                label=place.label,
                name=f"{number}_{index:02}",
                study=f"{person.patient_id}-{number}",
                quality=int(generator.integers(low, high + 1)) if options.jpeg else None,
                columns={
                    "microns_per_pixel": f"{spec.microns_per_pixel:.6g}",
                    "slide": f"{person.patient_id}-{number}",
                    "row": str(place.row),
                    "column": str(place.column),
                    "class_share": f"{place.share:.3f}",
                    "tissue_share": f"{place.tissue:.3f}",
                },
            )
