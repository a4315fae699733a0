"""What a segmentation model takes and gives: the part of its card that a classifier's does not have."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["MapContract", "SegmenterContract", "segmenter_entries"]

_TOLERANCE = 3e-4
"""Largest difference of a golden probability in float32: engines add in another order, and forty layers pass it on."""

_DESCRIPTION = (
    "slices in the window as 8-bit grey values, resized as a whole to the pixel size, padded with 0 or cut around the "
    "centre; divided by 255"
)


@dataclass(frozen=True, slots=True)
class MapContract:
    """One output map of a segmenter.

    Attributes:
        name: as "lesion".
        threshold: a pixel belongs to the mask from this probability on.
        source: how the threshold was chosen.
        temperature: logits are divided by it before the sigmoid.
        least_mm3: connected pieces of less are not reported; None leaves that to who reads the map.
    """

    name: str
    threshold: float = 0.5
    source: str = "0.5, not chosen on data"
    temperature: float = 1.0
    least_mm3: float | None = None


@dataclass(frozen=True, slots=True)
class SegmenterContract:
    """Slices in, maps out.

    Attributes:
        maps: in the order of the output channels of the network.
        channels: of the input: 1, or 3 for the grey image three times.
        window_hu: lowest and highest HU of the window, grey 0 and 255; the network sees the grey value over 255.
        pixel_mm: side of a pixel of an image.
        size_step: rows and columns of an image are multiples of this.
        function: the module that makes images of slices, "osteon.ops.series_images".
    """

    maps: tuple[MapContract, ...]
    channels: int
    window_hu: tuple[float, float]
    pixel_mm: float
    size_step: int
    function: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the maps, in the order of the output channels."""
        return tuple(each.name for each in self.maps)

    @property
    def thresholds(self) -> dict[str, float]:
        """Threshold by map."""
        return {each.name: each.threshold for each in self.maps}

    def probability(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities of one member.

        Args:
            logits: (n, map, row, column).

        Returns:
            The same shape, 0 to 1: the sigmoid of logits over temperature.
        """
        from scipy.special import expit

        temperatures = np.array([each.temperature for each in self.maps], dtype=np.float32)
        return np.asarray(expit(logits / temperatures[:, None, None]), dtype=np.float32)


def segmenter_entries(
    maps: Sequence[MapContract],
    *,
    golden: str,
    bfloat16_mask_tolerance: float | None = None,
    channels: int = 3,
    window_hu: tuple[float, float] | None = None,
    pixel_mm: float | None = None,
    size_step: int = 16,
    calibration: str = "none: the sigmoid as trained",
) -> dict[str, dict[str, Any]]:
    """The entries of a card that tell a segmenter: ``input``, ``output`` and ``golden``.

    Args:
        maps: in the order of the output channels of the network.
        golden: what the golden images show.
        bfloat16_mask_tolerance: largest 1 - Dice of a golden mask in bfloat16; None does not allow the precision. Give
            it only where the effect was measured on validation images.
        channels: of the input.
        window_hu: None takes ``osteon.ops.slice_frame.BONE_WINDOW_HU``.
        pixel_mm: None takes ``osteon.ops.slice_frame.PIXEL_MM``.
        size_step: of the network.
        calibration: how the temperatures were found.
    """
    from osteon.ops.series_images import BONE_WINDOW_HU, PIXEL_MM

    bounded = {} if bfloat16_mask_tolerance is None else {"mask_tolerance": {"bfloat16": bfloat16_mask_tolerance}}
    return {
        "input": {
            "channels": channels,
            "window_hu": list(window_hu or BONE_WINDOW_HU),
            "pixel_mm": pixel_mm or PIXEL_MM,
            "size_step": size_step,
            "orientation": "axial slice as it lies in the volume",
            "preprocessing": {"function": "osteon.ops.series_images", "parameters": {}, "description": _DESCRIPTION},
        },
        "output": {
            "maps": [{name: value for name, value in asdict(each).items() if value is not None} for each in maps],
            "activation": "sigmoid",
            "calibration": calibration,
        },
        "golden": {"description": golden, "tolerance": {"float32": _TOLERANCE}, **bounded},
    }
