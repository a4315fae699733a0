"""What a synthetic slide shall show."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from osteon.errors import InputError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["SMALLEST_SIDE", "SlideHabit", "SlideSpec", "StainSpec", "random_habit", "random_stain"]

SMALLEST_SIDE: Final = 64
LARGEST_SIDE: Final = 400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StainSpec:
    """How a laboratory stained and a scanner saw a slide.

    Attributes:
        haematoxylin: strength, 1 ordinary.
        eosin: strength, 1 ordinary.
        haematoxylin_hue: -1 blue, +1 purple.
        eosin_hue: -1 bluish pink, +1 orange.
        glass: grey level of empty glass, red, green, blue.
        noise: standard deviation of the scanner's noise, in grey levels.
        gamma: of the scanner, 1 none.
        wash: eosin that stays in everything, as an optical density; thick or badly washed sections.
    """

    haematoxylin: float = 1.0
    eosin: float = 1.0
    haematoxylin_hue: float = 0.0
    eosin_hue: float = 0.0
    glass: tuple[float, float, float] = (243.0, 242.0, 244.0)
    noise: float = 2.0
    gamma: float = 1.0
    wash: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no laboratory makes."""
        if not (0 < self.haematoxylin <= 3 and 0 < self.eosin <= 3 and 0.3 <= self.gamma <= 3):
            raise InputError(
                "a stain is drawn with strengths above 0 up to 3 and a gamma of 0.3 to 3, found "
                f"{self.haematoxylin:g}, {self.eosin:g} and {self.gamma:g}"
            )
        if not (all(128 <= level <= 255 for level in self.glass) and 0 <= self.noise <= 20 and 0 <= self.wash <= 1):
            raise InputError(
                "glass has grey levels of 128 to 255, noise lies from 0 to 20, wash from 0 to 1; found "
                f"{self.glass}, {self.noise:g} and {self.wash:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideHabit:
    """How the tumour of one patient grows; factors, 1 ordinary.

    Attributes:
        cellularity: nuclei of an area.
        nucleus_size: of viable tumour cells.
        chromatin: how dark viable nuclei are.
        pleomorphism: how much nuclei differ in size, shape and darkness.
        osteoid: pink matrix between the cells.
        mineral: calcified matrix.
        mummies: cells that can still be seen in dead tumour.
    """

    cellularity: float = 1.0
    nucleus_size: float = 1.0
    chromatin: float = 1.0
    pleomorphism: float = 1.0
    osteoid: float = 1.0
    mineral: float = 1.0
    mummies: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what the drawing has no place for."""
        values = tuple(float(getattr(self, entry.name)) for entry in fields(self))
        if not (all(0 <= value <= 2.5 for value in values) and self.nucleus_size >= 0.5):
            raise InputError(
                f"the factors of a tumour's habit lie from 0 to 2.5, the size of nuclei from 0.5; found {values}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideSpec:
    """One synthetic slide.

    Attributes:
        seed: of everything that is not named here.
        size: rows and columns of level 0.
        microns_per_pixel: of level 0.
        tissue_share: of the slide; the rest is glass.
        tumour_share: of the tissue, alive or dead.
        necrosis_fraction: of the tumour that is dead. The slide comes within a thousandth of it where it has room for
            many regions; what it came to is ``PhantomSlide.true_necrosis``.
        region_um: usual width of a region of one class.
        stain: laboratory and scanner.
        habit: the tumour.
        pens: strokes of a marker over the glass.
        folds: of the section.
        blurs: places out of focus.

    Raises:
        InputError: what cannot be drawn.
    """

    seed: int = 1
    size: tuple[int, int] = (8192, 8192)
    microns_per_pixel: float = 0.5
    tissue_share: float = 0.7
    tumour_share: float = 0.6
    necrosis_fraction: float = 0.5
    region_um: float = 1200.0
    stain: StainSpec = StainSpec()
    habit: SlideHabit = SlideHabit()
    pens: int = 0
    folds: int = 0
    blurs: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in self.size):
            raise InputError(
                f"a slide has {SMALLEST_SIDE} to {LARGEST_SIDE} rows and columns, found {self.size[0]} x {self.size[1]}"
            )
        if not 0.1 <= self.microns_per_pixel <= 8:
            raise InputError(f"microns per pixel lie from 0.1 to 8, found {self.microns_per_pixel:g}")
        for name in ("tissue_share", "tumour_share", "necrosis_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} lies from 0 to 1, found {getattr(self, name):g}")
        if not 100 <= self.region_um <= 20_000:
            raise InputError(f"regions are 100 to 20,000 um wide, found {self.region_um:g}")
        if not all(0 <= count <= 20 for count in (self.pens, self.folds, self.blurs)) or self.seed < 0:
            raise InputError(
                "a slide has 0 to 20 pen strokes, folds and blurs and a seed of at least 0, found "
                f"{self.pens}, {self.folds}, {self.blurs} and {self.seed}"
            )


def random_stain(generator: np.random.Generator) -> StainSpec:
    """A laboratory and its scanner."""
    level = float(generator.uniform(234, 250))
    tint = generator.normal(0, 1.5, 3)
    return StainSpec(
        haematoxylin=float(generator.uniform(0.65, 1.4)),
        eosin=float(generator.uniform(0.6, 1.45)),
        haematoxylin_hue=float(generator.uniform(-1, 1)),
        eosin_hue=float(generator.uniform(-1, 1)),
        glass=tuple(float(min(255.0, level + shift)) for shift in tint),  # type: ignore[arg-type]  # three of them
        noise=float(generator.uniform(0.8, 4)),
        gamma=float(generator.uniform(0.85, 1.15)),
        wash=float(generator.uniform(0, 0.08)),
    )


def random_habit(generator: np.random.Generator) -> SlideHabit:
    """A patient's tumour."""
    return SlideHabit(
        cellularity=float(generator.uniform(0.65, 1.3)),
        nucleus_size=float(generator.uniform(0.8, 1.2)),
        chromatin=float(generator.uniform(0.65, 1.25)),
        pleomorphism=float(generator.uniform(0.6, 1.5)),
        osteoid=float(generator.uniform(0.4, 1.6)),
        mineral=float(generator.uniform(0.3, 1.7)),
        mummies=float(generator.uniform(0.4, 1.6)),
    )
