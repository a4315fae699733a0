"""How bright tissues are in a sequence: relaxation, contrast medium, and the equations of the sequences.

References:
    Relaxation times (``tables/tissues.json``) at 1.5 T of muscle, fat, marrow fat, cartilage and joint fluid: Gold et
    al. 2004, AJR 183, 343 (doi:10.2214/ajr.183.2.1830343); of blood and nerve: Stanisz et al. 2005, Magn Reson Med 54,
    507 (doi:10.1002/mrm.20605). Those of lesions are chosen to look as lesions do. Signal equations: Bernstein, King
    and Zhou, Handbook of MRI Pulse Sequences, 2004, chapters 14.1 and 14.2. Relaxivity of gadolinium chelates at 1.5 T:
    Rohrer et al. 2005, Invest Radiol 40, 715 (doi:10.1097/01.rli.0000184756.66360.d3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms.spec import table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.femur.spec import SequenceName
    from osteon_phantoms.shapes import F32

__all__ = ["SEQUENCES", "TISSUES", "Matter", "MrSequence", "MrTissue", "signal"]

_RELAXIVITY: Final = 4.3
"""Longitudinal, of an ordinary gadolinium chelate, per mmol/l and second."""
_TRANSVERSE_RELAXIVITY: Final = 5.0
_FAT_SATURATED: Final = 0.06
_T1_GROWTH: Final = 0.33
"""T1 of watery tissue grows with about this power of the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MrTissue:
    """One tissue at 1.5 T.

    Attributes:
        fat: share of its protons that are fat.
        density: of protons against water.
        t1_ms: of its water.
        t2_ms: of its water.
        uptake: of contrast medium, against a well perfused tissue.
    """

    fat: float = 0.0
    density: float = 0.8
    t1_ms: float = 1000.0
    t2_ms: float = 50.0
    uptake: float = 0.0


TISSUES: Final = {name: MrTissue(**entry) for name, entry in table("tissues")["tissues"].items()}
"""Tissues of a thigh, healthy and not."""

_FAT_T1_MS: Final = 288.0
_FAT_T2_MS: Final = 165.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MrSequence:
    """How a series is taken.

    Attributes:
        repetition_ms: TR.
        echo_ms: TE.
        inversion_ms: TI; None without inversion.
        is_fat_saturated: whether fat is pulsed away.
        has_contrast: whether contrast medium was given before.
        description: as a scanner's protocol would call it.
    """

    repetition_ms: float
    echo_ms: float
    inversion_ms: float | None = None
    is_fat_saturated: bool = False
    has_contrast: bool = False
    description: str = ""


SEQUENCES: Final[dict[SequenceName, MrSequence]] = {
    name: MrSequence(**entry) for name, entry in table("tissues")["sequences"].items()
}
"""Ordinary protocols; the inversion time is that at which fat passes through nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Matter:
    """What is at a set of points; arrays of one shape.

    Attributes:
        fat: share of fat.
        density: of protons.
        r1: 1/T1 of water at 1.5 T, per second.
        r2: 1/T2 of water, per second.
        uptake: of contrast medium.
    """

    fat: F32
    density: F32
    r1: F32
    r2: F32
    uptake: F32

    @classmethod
    def of(cls, shape: tuple[int, ...], name: str) -> Matter:
        """One tissue everywhere."""
        return cls(*(np.full(shape, value, np.float32) for value in _numbers(name)))

    def mix(self, cover: NDArray[np.floating] | NDArray[np.bool_], name: str) -> None:
        """Put a tissue in place of what is there, in shares of ``cover``; in place."""
        share = cover.astype(np.float32)
        parts = (self.fat, self.density, self.r1, self.r2, self.uptake)
        for part, value in zip(parts, _numbers(name), strict=True):
            part[...] += share * (np.float32(value) - part)


def _numbers(name: str) -> tuple[float, float, float, float, float]:
    tissue = TISSUES[name]
    return tissue.fat, tissue.density, 1000 / tissue.t1_ms, 1000 / tissue.t2_ms, tissue.uptake


def signal(matter: Matter, sequence: MrSequence, *, field_tesla: float = 1.5, contrast_mmol: float = 1.0) -> F32:
    """Signal of a spin echo, with an inversion before it where the sequence has one; fat and water add up.

    S = PD (1 - exp(-TR/T1)) exp(-TE/T2), and with an inversion PD |1 - 2 exp(-TI/T1) + exp(-TR/T1)| exp(-TE/T2).

    Args:
        matter: what is there.
        sequence: how it is taken.
        field_tesla: of the magnet; T1 of water grows with it, T2 is kept.
        contrast_mmol: in a well perfused tissue, mmol/l; counts where the sequence has contrast.

    Returns:
        of the shape of the matter, in units of the signal of all the protons of water.

    Example:
        >>> parts = Matter.of((1,), "fat")
        >>> bool(signal(parts, SEQUENCES["stir"])[0] < 0.1 < signal(parts, SEQUENCES["t1"])[0])
        True
    """
    r1 = matter.r1 * np.float32((1.5 / field_tesla) ** _T1_GROWTH)
    r2 = matter.r2
    if sequence.has_contrast:
        dose = np.float32(contrast_mmol) * matter.uptake
        r1 = r1 + np.float32(_RELAXIVITY) * dose
        r2 = r2 + np.float32(_TRANSVERSE_RELAXIVITY) * dose
    water = _recovered(r1, sequence) * np.exp(-r2 * np.float32(sequence.echo_ms / 1000))
    fat_r1 = np.float32(1000 / _FAT_T1_MS)
    fat = float(_recovered(np.array([fat_r1], np.float32), sequence)[0]) * math.exp(-sequence.echo_ms / _FAT_T2_MS)
    if sequence.is_fat_saturated:
        fat *= _FAT_SATURATED
    # after an inversion fat and water may point apart; magnitudes are taken of their sum
    return np.asarray(
        np.abs(matter.density * ((1 - matter.fat) * water + matter.fat * np.float32(fat))), dtype=np.float32
    )


def _recovered(r1: F32, sequence: MrSequence) -> F32:
    """Longitudinal magnetisation when the echo is made, with its sign."""
    late = np.exp(-r1 * np.float32(sequence.repetition_ms / 1000))
    if sequence.inversion_ms is None:
        return np.asarray(1 - late, dtype=np.float32)
    return np.asarray(1 - 2 * np.exp(-r1 * np.float32(sequence.inversion_ms / 1000)) + late, dtype=np.float32)
