"""What a synthetic slide shall show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from osteon_phantoms.spec import Range, Share, Spec

__all__ = ["SlideHabit", "SlideSpec", "StainSpec"]

_Strength = Annotated[float, Range(0.01, 3.0)]
_Factor = Annotated[float, Range(0.0, 2.5)]
_Count = Annotated[int, Range(0, 20)]


@dataclass(frozen=True, slots=True, kw_only=True)
class StainSpec(Spec):
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

    haematoxylin: _Strength = 1.0
    eosin: _Strength = 1.0
    haematoxylin_hue: float = 0.0
    eosin_hue: float = 0.0
    glass: Annotated[tuple[float, float, float], Range(128.0, 255.0)] = (243.0, 242.0, 244.0)
    noise: Annotated[float, Range(0.0, 20.0)] = 2.0
    gamma: Annotated[float, Range(0.3, 3.0)] = 1.0
    wash: Share = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideHabit(Spec):
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

    cellularity: _Factor = 1.0
    nucleus_size: Annotated[float, Range(0.5, 2.5)] = 1.0
    chromatin: _Factor = 1.0
    pleomorphism: _Factor = 1.0
    osteoid: _Factor = 1.0
    mineral: _Factor = 1.0
    mummies: _Factor = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideSpec(Spec):
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
    """

    seed: Annotated[int, Range(0, 2**63)] = 1
    size: Annotated[tuple[int, int], Range(64, 400_000)] = (8192, 8192)
    microns_per_pixel: Annotated[float, Range(0.1, 8.0)] = 0.5
    tissue_share: Share = 0.7
    tumour_share: Share = 0.6
    necrosis_fraction: Share = 0.5
    region_um: Annotated[float, Range(100.0, 20_000.0)] = 1200.0
    stain: StainSpec = StainSpec()
    habit: SlideHabit = SlideHabit()
    pens: _Count = 0
    folds: _Count = 0
    blurs: _Count = 0
