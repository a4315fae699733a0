"""The look of a stain: bringing slides of other laboratories to one look, and varying it for training.

Macenko's way takes a picture apart into haematoxylin and eosin and puts it together with the stains of a reference;
Reinhard's matches mean and spread of each axis of CIE Lab. Both are fitted by `torchstain` (numpy back end, no torch).

What is fitted matters more than the method: where every tile is normalised by itself, a necrotic tile, which has lost
its haematoxylin, is given it back, and with it the look of viable tumour. So a slide's look is measured once, on a
sample of its tiles (``of_slide``), and every tile gets the same change.

References:
    Macenko et al., ISBI 2009, doi:10.1109/ISBI.2009.5193250. Reinhard et al., IEEE Comput. Graph. Appl. 21 (2001),
    doi:10.1109/38.946629. Tellez et al., Med. Image Anal. 58 (2019), doi:10.1016/j.media.2019.101544 (augmentation).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from osteon._optional import require
from osteon.data.provenance import Notice
from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.ops.tissue import check_rgb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["StainLook", "StainNormaliser", "augment_stain"]

Method = Literal["macenko", "reinhard"]
METHODS = ("macenko", "reinhard")

LEAST_TISSUE = 0.02
"""Share of a picture's pixels that must absorb in all three colours before a stain is measured on it."""
LEAST_ANGLE_DEGREES = 5.0
"""Between the two stains that were found; below it the picture shows one stain only."""

# of torchstain: light through glass, and the least optical density of a stained pixel
_LIGHT, _BETA = 240, 0.15
_LEAST_PIXELS = 200
_PUBLISHED_STAINS = ((0.5626, 0.2159), (0.7201, 0.8012), (0.4062, 0.5581))
_PUBLISHED_DENSITY = (1.9705, 1.0308)
# of all pixels of the 45 public tiles, averaged to 4.57 um
_PUBLIC_LAB_MEAN, _PUBLIC_LAB_SPREAD = (74.6, 20.8, -2.9), (18.2, 17.6, 6.4)

_TOO_LITTLE = Notice(
    "stain-too-little-tissue", "A picture shows too little tissue to measure its stain; its colours were left as is."
)
_NOT_FOUND = Notice(
    "stain-not-found", "No two stains could be distinguished in a picture; its colours were left as they are."
)


@dataclass(frozen=True, slots=True)
class StainLook:
    """How stained tissue looks on a slide."""

    # (3, 2) unit vectors of optical density of haematoxylin and eosin, by red, green, blue
    stains: NDArray[np.float64] = field(repr=False)
    density: NDArray[np.float64] = field(repr=False)  # (2,) 99th percentile of the amount of each
    lab_mean: NDArray[np.float64] = field(repr=False)  # (3,) mean of CIE L, a, b over the picture
    lab_spread: NDArray[np.float64] = field(repr=False)  # (3,) standard deviation likewise, above 0


@dataclass(frozen=True, slots=True)
class StainNormaliser:
    """Brings pictures to the look of a reference.

    Raises:
        UnknownLabelError: no such method.

    Example:
        >>> white = np.full((64, 64, 3), 245, dtype=np.uint8)
        >>> picture, notice = StainNormaliser.published("macenko").apply(white)
        >>> bool((picture == white).all()), notice.code
        (True, 'stain-too-little-tissue')
    """

    method: Method  # "macenko" or "reinhard"
    target: StainLook  # the look that is aimed at
    # the look of the slide that the pictures come from; None measures each picture by itself, as the published methods
    # do and as only a picture that stands alone should be
    source: StainLook | None = None

    def __post_init__(self) -> None:
        """Refuse a method that is not there."""
        if self.method not in METHODS:
            raise UnknownLabelError(f"stain normalisation {self.method!r}: {nearest_names(self.method, METHODS)}")

    @classmethod
    def published(cls, method: Method = "macenko") -> StainNormaliser:
        """Aims at a look that needs no picture.

        That of Macenko's way is the pair of reference stains published with its implementations; that of Reinhard's,
        which has none, the mean and spread of the 45 public osteosarcoma tiles (TCIA, CC BY 3.0).
        """
        return cls(method, _published_look())

    def of_slide(self, tiles: Sequence[NDArray[np.uint8]]) -> tuple[StainNormaliser, Notice | None]:
        """The same for pictures of one slide, whose look is measured once on a sample of it.

        Args:
            tiles: (rows, columns, 3) uint8 each, all of one width; some tens that were drawn from the whole slide.

        Returns:
            The normaliser and None; or this one and a notice where the sample gives no stain.

        Raises:
            InputError: no tiles.
        """
        if not len(tiles):
            raise InputError("the stain of a slide was asked for without tiles: give some tens of them")
        look = _look(np.concatenate(list(tiles), axis=0))
        return (self, look) if isinstance(look, Notice) else (replace(self, source=look), None)

    def apply(self, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Notice | None]:
        """A picture with the reference's look.

        Returns:
            A picture of the same shape and None; or ``rgb`` itself and a notice where its stain cannot be measured.

        Raises:
            InputError: no RGB picture.
        """
        check_rgb(rgb)
        look = self.source or _look(rgb)
        if isinstance(look, Notice):
            return rgb, look
        change = _restained if self.method == "macenko" else _recoloured
        return change(rgb, look, self.target), None


def augment_stain(
    rgb: NDArray[np.uint8], rng: np.random.Generator, *, strength: float = 0.2, shift: float = 0.02
) -> NDArray[np.uint8]:
    """The same tissue as if it had been stained otherwise.

    The amount of each stain is multiplied by a factor drawn from 1 - ``strength`` to 1 + ``strength`` and raised by up
    to ``shift`` (in natural optical density); what neither stain explains stays. A picture whose stains cannot be
    separated gets the published stains' directions.

    Args:
        rgb: (rows, columns, 3) uint8.
        rng: of the draws, four for each picture.
        strength: 0 to below 1.
        shift: at least 0.

    Raises:
        InputError: no RGB picture, or a strength or shift outside its range.
    """
    check_rgb(rgb)
    if not (0 <= strength < 1 and shift >= 0):
        raise InputError(f"stain strength {strength} must be in 0 to below 1, and shift {shift} at or above 0")
    look = _look(rgb)
    stains = (_published_look() if isinstance(look, Notice) else look).stains
    factor = rng.uniform(1 - strength, 1 + strength, size=2)
    raised = rng.uniform(-shift, shift, size=2)
    matrix = np.eye(3) + stains @ np.diag(factor - 1) @ np.linalg.pinv(stains)
    return _from_density(_density(rgb) @ matrix.T + stains @ raised)


def _density(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Natural optical density as torchstain has it; a little below 0 where brighter than its light."""
    return np.asarray(-np.log((np.arange(256) + 1.0) / _LIGHT)[rgb])


def _from_density(density: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(_LIGHT * np.exp(-density), 0, 255).astype(np.uint8))


def _restained(rgb: NDArray[np.uint8], source: StainLook, target: StainLook) -> NDArray[np.uint8]:
    # both steps of Macenko's way, amounts by least squares and mixing by the target, are one matrix
    matrix = target.stains @ np.diag(target.density / source.density) @ np.linalg.pinv(source.stains)
    return _from_density(_density(rgb) @ matrix.T)


def _recoloured(rgb: NDArray[np.uint8], source: StainLook, target: StainLook) -> NDArray[np.uint8]:
    utils = _torchstain("utils")
    lab = _lab(rgb)
    moved = (lab - source.lab_mean) / source.lab_spread * target.lab_spread + target.lab_mean
    coded = moved * (2.55, 1, 1) + (0, 128, 128)
    return np.asarray((utils.lab2rgb(coded.astype(np.float32)) * 255).astype(np.uint8))


def _lab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIE L, a, b by torchstain, which codes them as OpenCV does."""
    coded = _torchstain("utils").rgb2lab(rgb.astype(np.float32) / 255)
    return np.asarray((coded.astype(np.float64) - (0, 128, 128)) / (2.55, 1, 1))


def _look(rgb: NDArray[np.uint8]) -> StainLook | Notice:
    """Stains, amounts and colours of a picture; a notice where they cannot be measured."""
    check_rgb(rgb)
    # torchstain measures on pixels that absorb in all colours; with none of them it would divide by zero
    stained = (_density(rgb) >= _BETA).all(axis=2)
    if stained.mean() < LEAST_TISSUE or stained.sum() < _LEAST_PIXELS:
        return _TOO_LITTLE
    lab = _lab(rgb).reshape(-1, 3)
    spread = lab.std(axis=0)
    if len(np.unique(rgb[stained], axis=0)) < 3 or spread.min() < 1e-3:
        return _NOT_FOUND
    fitted = _torchstain("normalizers").NumpyMacenkoNormalizer()
    fitted.fit(rgb, Io=_LIGHT, beta=_BETA)
    stains, density = np.asarray(fitted.HERef), np.asarray(fitted.maxCRef)
    if not (np.isfinite(stains).all() and np.isfinite(density).all()):
        return _NOT_FOUND
    angle = np.degrees(np.arccos(np.clip(stains[:, 0] @ stains[:, 1], -1, 1)))
    # a stain that lightens, or of which there is none, is a wrong decomposition
    if angle < LEAST_ANGLE_DEGREES or stains.min() < -0.2 or density.min() < 0.05:
        return _NOT_FOUND
    return StainLook(stains, density, lab.mean(axis=0), spread)


def _published_look() -> StainLook:
    values = (_PUBLISHED_STAINS, _PUBLISHED_DENSITY, _PUBLIC_LAB_MEAN, _PUBLIC_LAB_SPREAD)
    stains, density, mean, spread = (np.array(value) for value in values)
    return StainLook(stains, density, mean, spread)


def _torchstain(part: str) -> Any:  # noqa: ANN401 - torchstain ships no types
    return require(f"torchstain.numpy.{part}", extra="slides", purpose="to measure a stain")
